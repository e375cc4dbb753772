"""Everything about one point that the certificates read, evaluated once in float64."""

from typing import Any, NamedTuple

import jax
import numpy as np

from ufm.precision import exact, to_host
from ufm.problem import Params, Problem


class Point(NamedTuple):
    """NumPy float64 throughout.

    value f; grad, its gradient; Z [K, N] logits W H without the bias; G [K, N] gradient of the data loss in the logits.
    """

    params: Params
    value: float
    grad: Params
    Z: np.ndarray
    G: np.ndarray

    @property
    def grad_norm(self) -> float:
        """Infinity norm of the gradient."""
        return max(float(np.max(np.abs(block))) for block in self.grad if block is not None)


def examine(problem: Problem, params: Params) -> Point:
    """Evaluate objective, gradient and logit gradient at `params`."""
    with exact():
        value, grad, Z, G = to_host(_examine(problem.astype(np.float64), as_float64(params)))
    return Point(params, float(value), grad, Z, G)


def dual_ratio(problem: Problem, point: Point) -> float:
    """|G|_2 / nu, G the gradient of the data loss in the logits (T3)."""
    G = sample_gradient(problem, point)
    return float(np.sqrt(np.linalg.eigvalsh(G @ G.T)[-1]) / problem.nu)


def sample_gradient(problem: Problem, point: Point) -> np.ndarray:
    """G in coordinates whose singular values are those of the full [K, N] gradient."""
    return point.G / np.sqrt(problem.sizes) if problem.merged else point.G


def as_float64(params: Params) -> Params:
    """The same parameters as NumPy float64 arrays."""
    return jax.tree.map(lambda x: np.asarray(x, np.float64), params)


@jax.jit
def value_at(problem: Problem, params: Params) -> jax.Array:
    """f at `params`."""
    return problem.objective(params)


@jax.jit
def hessian_product(problem: Problem, params: Params, direction: Params) -> Params:
    """Hessian of f at `params` times `direction`."""
    return jax.jvp(jax.grad(problem.objective), (params,), (direction,))[1]


@jax.jit
def _examine(problem: Problem, params: Params) -> Any:
    value, grad = jax.value_and_grad(problem.objective)(params)
    logits = problem.logits(params)
    Z = logits if params.b is None else logits - params.b[:, None]
    return value, grad, Z, jax.grad(problem.data_loss)(logits)
