"""Everything about one point that the certificates read, evaluated once in float64."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np

from ufm.precision import exact, to_host
from ufm.problem import Params, Problem


@dataclass(frozen=True, eq=False)
class Point:
    """NumPy float64 throughout.

    value f; grad, its gradient in the tangent space; ambient, the gradient in all of space; Z [K, N] logits W H
    without the bias; G [K, N] gradient of the data loss in the logits.
    """

    params: Params
    value: float
    grad: Params
    ambient: Params
    Z: np.ndarray
    G: np.ndarray

    @cached_property
    def grad_norms(self) -> Params:
        """Infinity norms of the gradient's blocks."""
        return Params(*[max_abs(block) if jax.tree.leaves(block) else None for block in self.grad])

    @cached_property
    def grad_norm(self) -> float:
        """Infinity norm of the gradient."""
        return float(
            np.max([norm for norm, block in zip(self.grad_norms, self.grad, strict=True) if block is not None])
        )

    @cached_property
    def grad_length(self) -> float:
        """Euclidean norm of the gradient."""
        return length(self.grad)


def examine(problem: Problem, params: Params) -> Point:
    """Evaluate objective, gradient and logit gradient at `params`."""
    with exact():
        value, grad, ambient, Z, G = to_host(_examine(problem.astype(np.float64), as_float64(params)))
    return Point(params, float(value), ambient if grad is None else grad, ambient, Z, G)


def dual_ratio(problem: Problem, point: Point) -> float:
    """|G|_2 / nu, G the gradient of the data loss in the logits (T3)."""
    G = sample_gradient(problem, point)
    return float(np.sqrt(np.linalg.eigvalsh(G @ G.T)[-1]) / problem.nu)


def sample_gradient(problem: Problem, point: Point) -> np.ndarray:
    """G in coordinates whose singular values are those of the full [K, N] gradient."""
    return point.G / np.sqrt(problem.sizes) if problem.merged else point.G


def check_finite(point: Point, who: str) -> None:
    """ValueError if f or its gradient is not finite at the point."""
    if not (np.isfinite(point.value) and np.isfinite(point.grad_norm)):
        raise ValueError(
            f"{who}: f={point.value} or its gradient is not finite at this point. Check the loss and the scale."
        )


def as_float64(params: Params) -> Params:
    """The same parameters as NumPy float64 arrays."""
    return jax.tree.map(lambda x: np.asarray(x, np.float64), params)


@jax.jit
def value_at(problem: Problem, params: Params) -> jax.Array:
    """f at `params`."""
    return problem.objective(params)


@jax.jit
def hessian_product(problem: Problem, params: Params, direction: Params) -> Params:
    """Riemannian Hessian of f at `params` times the tangent part of `direction`."""
    ambient, product = jax.linearize(problem.gradient, params)
    inside = problem.tangent(params, ambient, direction)
    bend = problem.bend(params, ambient, inside)
    return problem.tangent(params, ambient, jax.tree.map(jax.numpy.subtract, product(inside), bend))


@jax.jit
def along(problem: Problem, params: Params, direction: Params, length: float) -> Params:
    """The point of the model that is reached from `params` along length * direction."""
    return problem.retract(params, direction, length)


def max_abs(params: Any) -> float:
    """The infinity norm over all blocks, NaN if an entry is."""
    return float(np.max([np.maximum(np.max(x), -np.min(x)) for x in jax.tree.leaves(params)]))


def length(params: Params) -> float:
    """The Euclidean norm over all blocks."""
    return float(np.sqrt(sum(float(np.vdot(x, x)) for x in jax.tree.leaves(params))))


def packing(like: Params) -> tuple[Callable[[Params], np.ndarray], Callable[[np.ndarray], Params]]:
    """(pack, unpack) between Params shaped like `like` and flat vectors."""
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([x.size for x in leaves])

    def pack(params: Params) -> np.ndarray:
        return np.concatenate([np.ravel(x) for x in jax.tree.leaves(params)])

    def unpack(vector: np.ndarray) -> Params:
        parts = np.split(vector, ends[:-1])
        return jax.tree.unflatten(structure, [part.reshape(x.shape) for part, x in zip(parts, leaves, strict=True)])

    return pack, unpack


def hessian_operator(problem: Problem, params: Params) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """The Hessian at `params` as a function of flat NumPy vectors, and its dimension."""
    pack, unpack = packing(params)
    typed, at = problem.astype(np.float64), as_float64(params)

    def product(x: np.ndarray) -> np.ndarray:
        with exact():
            return pack(to_host(hessian_product(typed, at, unpack(x))))

    return product, pack(params).size


@jax.jit
def _examine(problem: Problem, params: Params) -> Any:
    value, ambient = problem.value_and_gradient(params)
    grad = None if problem.flat else problem.tangent(params, ambient, ambient)  # where space is flat all is tangent
    logits = problem.logits(params)
    Z = logits if params.b is None else logits - params.b[:, None]
    return value, grad, ambient, Z, jax.grad(problem.data_loss)(logits)
