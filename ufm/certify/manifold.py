"""The Riemannian Hessian's spectrum on the tangent space of any model.

Where the features of every group coincide it splits exactly, as it does with decays, into the merged problem and the
deviations within a group, n_c - 1 times the eigenvalues of the free part of S^T J_c S / N + lam_H - b_c, S the
derivative of the logits in a feature (tau W; the product of a deep model's matrices), J_c the loss's Hessian, b_c the
space's multiplier at group c. Otherwise the matrix is dense, or Lanczos finds the smallest
eigenvalue. On non-negative features the tangent space is the face of the entries that are free: positive, or zero and
about to grow.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ufm.certify.point import Point, as_float64, examine, length
from ufm.certify.spectrum import DENSE, Curvature, hidden_columns, scales, symmetry, tangent_eigenpair, tolerance
from ufm.precision import exact, to_host
from ufm.problem import Params, Problem
from ufm.reduction import deviation, merge, merge_params
from ufm.spaces import Columns, Euclidean, Nonnegative


class _Core(NamedTuple):
    """The merged problem at the group means, and how far the point is from them."""

    problem: Problem
    point: Point
    dropped: float


def manifold_curvature(problem: Problem, point: Point, critical: bool) -> Curvature:
    """The spectrum of the Riemannian Hessian at `point`, as much of it as is affordable."""
    core = _core(problem, point)
    if core is not None and core.problem.dimension() <= DENSE:
        within = zip(deviations(core.problem, core.point), problem.sizes, strict=True)
        parts = [tangent_spectrum(core.problem, core.point.params), *[np.repeat(x, size - 1) for x, size in within]]
        spectrum = np.sort(np.concatenate(parts))
        method, dropped = f"merged groups and deviations within them (core {core.problem.dimension()})", core.dropped
    elif problem.dimension() <= DENSE:
        spectrum, dropped = tangent_spectrum(problem, point.params), 0.0
        method = f"dense, on the tangent space ({spectrum.size} of {problem.dimension()})"
    else:
        return lanczos(problem, point, critical)
    largest = float(np.max(np.abs(spectrum))) if spectrum.size else 0.0
    zero = _tolerance(problem, point, largest, spectrum.size, dropped, critical)
    return Curvature(
        smallest=float(spectrum[0]) if spectrum.size else np.nan,
        residual=0.0,
        index=int(np.sum(spectrum < -zero)),
        nullity=int(np.sum(np.abs(spectrum) <= zero)) if critical else None,
        symmetry=symmetry(problem, point.params),
        tolerance=zero,
        spectrum=spectrum,
        method=method + _face(problem),
        weak=_weak(problem, point, zero),
    )


def lanczos(problem: Problem, point: Point, critical: bool) -> Curvature:
    """The smallest eigenvalue only."""
    dimension = problem.dimension()
    top = tangent_eigenpair(problem, point, sign=-1.0, steps=20, tolerance=1e-2)
    low = tangent_eigenpair(problem, point, steps=affordable(dimension))
    zero = _tolerance(problem, point, 0.0 if top is None else -top.value, dimension, 0.0, critical)
    return Curvature(
        smallest=np.nan if low is None else low.value,
        residual=np.nan if low is None else low.residual,
        index=None,
        nullity=None,
        symmetry=symmetry(problem, point.params),
        tolerance=zero,
        spectrum=None,
        method=f"Lanczos on the tangent space ({dimension})" + _face(problem),
        weak=_weak(problem, point, zero),
    )


def affordable(dimension: int) -> int:
    """Lanczos steps: the basis stays below 80 MB, but at least 50."""
    return max(50, min(300, 10_000_000 // dimension))


def _tolerance(problem: Problem, point: Point, largest: float, dimension: int, dropped: float, critical: bool) -> float:
    sizes = np.concatenate([scales(x) for x in hidden_columns(problem, point.params)])
    sizes = sizes[sizes > 0.0]
    return tolerance(
        point,
        scale=float(np.min(sizes)) if sizes.size else np.inf,
        largest=largest,
        dimension=dimension,
        dropped=dropped,
        stiffness=problem.stiffness(),
        critical=critical,
    )


def _core(problem: Problem, point: Point) -> _Core | None:
    """None where groups are single samples already, or features within a group differ."""
    if not problem.model.classifier or problem.merged or max(problem.sizes) == 1:
        return None
    merged = merge(problem)
    means = merge_params(problem, point.params)
    dropped = deviation(problem, point.params.H, means.H)
    if dropped > 1e-6 * length(point.params):
        return None
    return _Core(merged, examine(merged, merged.project(means)), dropped)


def deviations(problem: Problem, point: Point) -> list[np.ndarray]:
    """The eigenvalues of the deviations within each group of a merged problem; each occurs n_c - 1 times."""
    H = point.params.H
    space, (_, columns) = problem.model.H, problem.columns()
    decay = float(problem.lam_H) if space.decays else 0.0
    stiffness = decay - np.asarray(space.multiplier(H, point.ambient.H, columns))
    slopes = logit_slopes(problem, point.params)
    bent = np.einsum("jka,jkl,jlb->jab", slopes, loss_hessians(problem, point.params), slopes) / problem.N
    blocks = bent + stiffness[:, None, None] * np.eye(problem.d)
    if isinstance(space, Euclidean):
        return list(np.linalg.eigvalsh(blocks))
    found = []
    for block, c, size in zip(blocks, range(problem.C), problem.sizes, strict=True):
        free = _free(space, H[:, c] / size**0.5, point.ambient.H[:, c], size)
        found.append(np.linalg.eigvalsh(free.T @ block @ free))
    return found


def _free(space: Any, h: np.ndarray, g: np.ndarray, size: int) -> np.ndarray:
    """[d, free] orthonormal basis of the v for which two samples at h may move by v and -v."""
    pair, one = np.stack([h, h], axis=1), np.ones(2)
    columns = Columns(one, size * one, size)
    moves = [
        space.tangent(pair, np.stack([g, g], axis=1), np.stack([e, -e], axis=1), columns)[:, 0] for e in np.eye(h.size)
    ]
    values, vectors = np.linalg.eigh(np.array(moves))
    return vectors[:, values > 0.5]


def tangent_spectrum(problem: Problem, params: Params) -> np.ndarray:
    """The eigenvalues on the tangent space: what is normal to it is moved beyond them, and left out."""
    with exact():
        rows, inside = to_host(_projected_rows(problem.astype(np.float64), as_float64(params)))
    normal = np.eye(len(rows)) - (inside + inside.T) / 2
    beyond = 2.0 * float(np.max(np.sum(np.abs(rows), axis=1))) or 1.0
    values = np.linalg.eigvalsh((rows + rows.T) / 2 + beyond * normal)
    return values[: len(rows) - round(float(np.trace(normal)))]


@jax.jit
def _projected_rows(problem: Problem, params: Params) -> tuple[jax.Array, jax.Array]:
    """The Hessian between two projections on the tangent space, and the projection, both as matrices."""
    flat, unravel = ravel_pytree(params)
    ambient, product = jax.linearize(problem.gradient, params)

    def row(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        inside = problem.tangent(params, ambient, unravel(x))
        bend = problem.bend(params, ambient, inside)
        image = problem.tangent(params, ambient, jax.tree.map(jnp.subtract, product(inside), bend))
        return ravel_pytree(image)[0], ravel_pytree(inside)[0]

    return jax.vmap(row)(jnp.eye(flat.size, dtype=flat.dtype))


def loss_hessians(problem: Problem, params: Params) -> np.ndarray:
    """[C, K, K] second derivative of the loss at the logits of each group, of the merged problem."""
    with exact():
        return to_host(_loss_hessians(problem.astype(np.float64), as_float64(params)))


@jax.jit
def _loss_hessians(problem: Problem, params: Params) -> jax.Array:
    Z = problem.logits(params)
    Y = problem.one_hot(Z.dtype)
    single = jax.hessian(lambda z, y: problem.loss(z[:, None], y[:, None])[0])
    return jax.vmap(single, in_axes=(1, 1))(Z, Y)


def logit_slopes(problem: Problem, params: Params) -> np.ndarray:
    """[C, K, d] derivative of the logits in one feature, at each group of the merged problem."""
    with exact():
        return to_host(_logit_slopes(problem.astype(np.float64), as_float64(params)))


@jax.jit
def _logit_slopes(problem: Problem, params: Params) -> jax.Array:
    def logits(h: jax.Array) -> jax.Array:
        return problem.model.logits(params.W, h[:, None])[:, 0]

    return jax.vmap(jax.jacfwd(logits), in_axes=1)(params.H)


def _weak(problem: Problem, point: Point, zero: float) -> int:
    """Number of features at zero whose multiplier is zero as well."""
    if not isinstance(problem.model.H, Nonnegative):
        return 0
    least = max(zero, 10 * point.grad_norm)
    return int(np.sum((point.params.H == 0.0) & (np.abs(point.ambient.H) <= least)))


def _face(problem: Problem) -> str:
    return ", on the face of the free features" if isinstance(problem.model.H, Nonnegative) else ""
