"""The Hessian's spectrum at a point: exact by structure where the point is collapsed, dense when small, else Lanczos.

At a point whose features are equal within each class, with rows of [W; H^T] in an r-dimensional subspace, the Hessian
splits exactly (no criticality is needed) into

    the core: the merged problem with d = r, dimension (K + C) r + K for C groups of samples with one target;
    within-group deviations: lam_H I + W^T J_c W / N on each of n_c - 1 directions, J_c the loss's Hessian at group c;
    directions outside the subspace: (lam_W + lam_H)/2 +- sqrt(((lam_W - lam_H)/2)^2 + g^2) for each singular value g
        of the logit gradient, d - r times each, lam_W or lam_H where K and C differ, and lam_H on the deviations.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ufm.certify.lanczos import smallest_eigenpair
from ufm.certify.manifold import loss_hessians, manifold_curvature
from ufm.certify.minorant import class_gradient
from ufm.certify.point import Point, as_float64, check_finite, examine, hessian_operator, length, packing
from ufm.certify.spectrum import DENSE, Curvature, free_shift, rotations, tolerance
from ufm.precision import exact, to_host
from ufm.problem import Params, Problem
from ufm.reduction import lift_params, merge, merge_params
from ufm.validation import check_params, check_problem


class _Frame(NamedTuple):
    """A point in the subspace that the rows of [W; H^T] span, collapsed, in the merged problem with d = rank.

    dropped: distance from the point to this image of it. scale: the smallest singular value of [W; H^T] kept.
    unit: a length below which 1e-6 of it is nothing, also where the point itself is zero.
    """

    problem: Problem
    params: Params
    rank: int
    scale: float
    dropped: float
    unit: float


def curvature(problem: Problem, point: Point, critical: bool) -> Curvature:
    """The spectrum of the Hessian at `point`, as much of it as is affordable; zero modes counted where critical."""
    if not problem.euclidean:
        return manifold_curvature(problem, point, critical)
    frame = _frame(problem, point)
    total = sum(x.size for x in point.params if x is not None)
    collapsed = frame.dropped <= 1e-6 * max(length(point.params), frame.unit)
    core = (problem.K + problem.C) * frame.rank + (0 if point.params.b is None else problem.K)
    if collapsed and core <= DENSE:
        spectrum = _structured_spectrum(problem, frame)
        tolerance = _tolerance(point, frame, critical, float(np.max(np.abs(spectrum))), core, frame.dropped)
        return _counted(problem, frame, critical, spectrum, tolerance, f"exact block structure (core {core})")
    if total <= DENSE:
        spectrum = np.linalg.eigvalsh(_dense(problem, point.params))
        tolerance = _tolerance(point, frame, critical, float(np.max(np.abs(spectrum))), total, 0.0)
        return _counted(problem, frame, critical, spectrum, tolerance, f"dense ({total})")
    if collapsed and critical and problem.loss.convex:
        return _core_lanczos(problem, point, frame)
    return _full_lanczos(problem, point, frame, critical)


def hessian_spectrum(problem: Problem, params: Params) -> np.ndarray:
    """Every eigenvalue of the Hessian at `params`, ascending (see the module's text for the structure used).

    Raises:
        TypeError, ValueError: a problem or parameters that cannot work; a point that is neither collapsed nor small
            enough for a dense matrix.
    """
    check_problem(problem, "hessian_spectrum")
    point = examine(problem, check_params(problem, params, "hessian_spectrum"))
    check_finite(point, "hessian_spectrum")
    found = curvature(problem, point, critical=False).spectrum
    if found is None:
        raise ValueError(
            f"hessian_spectrum: more than {DENSE} coupled variables. Use certify, which needs only the extremes."
        )
    return found


def _symmetry(problem: Problem, rank: int) -> int:
    """Dimension of the orbit of a point of this rank under rotations of R^d and the free shift of b."""
    return rotations(rank, problem.d) + free_shift(problem)


def _frame(problem: Problem, point: Point) -> _Frame:
    params = point.params
    # Every minimiser lies within sqrt(2 f / lam) of the origin; a thousandth of that is still a visible point.
    unit = 1e-3 * float(np.sqrt(2 * abs(point.value) / (problem.lam_W + problem.lam_H)))
    values, vectors = np.linalg.eigh(params.W.T @ params.W + params.H @ params.H.T)
    scales = np.sqrt(np.maximum(values[::-1], 0.0))
    rank = int(np.sum(scales > 1e-6 * max(scales[0], unit)))
    V = vectors[:, ::-1][:, :rank]
    merged = params if problem.merged else merge_params(problem, params)
    inside = Params(merged.W @ V, V.T @ merged.H, merged.b)
    image = Params(inside.W @ V.T, V @ inside.H, merged.b)
    image = image if problem.merged else lift_params(problem, image)
    dropped = float(np.sqrt(np.sum((params.W - image.W) ** 2) + np.sum((params.H - image.H) ** 2)))
    core = dataclasses.replace(merge(problem), d=max(rank, 1))
    return _Frame(core, inside, rank, float(scales[rank - 1]) if rank else np.inf, dropped, unit)


def _tolerance(point: Point, frame: _Frame, critical: bool, largest: float, dimension: int, dropped: float) -> float:
    return tolerance(
        point,
        scale=frame.scale,
        largest=largest,
        dimension=dimension,
        dropped=dropped,
        stiffness=frame.problem.stiffness(),
        critical=critical,
    )


def _counted(
    problem: Problem, frame: _Frame, critical: bool, spectrum: np.ndarray, tolerance: float, method: str
) -> Curvature:
    return Curvature(
        smallest=float(spectrum[0]),
        residual=0.0,
        index=int(np.sum(spectrum < -tolerance)),
        nullity=int(np.sum(np.abs(spectrum) <= tolerance)) if critical else None,
        symmetry=_symmetry(problem, frame.rank),
        tolerance=tolerance,
        spectrum=spectrum,
        method=method,
    )


def _structured_spectrum(problem: Problem, frame: _Frame) -> np.ndarray:
    K, C, d, r, N = problem.K, problem.C, problem.d, frame.rank, problem.N
    lam_W, lam_H = float(problem.lam_W), float(problem.lam_H)
    core = frame.params if r else Params(np.zeros((K, 1)), np.zeros((1, C)), frame.params.b)
    at = examine(frame.problem, core)
    parts = [np.linalg.eigvalsh(_dense(frame.problem, core)) if r else _bias_only(frame.problem, core)]
    tau = float(problem.tau)
    gains = tau * np.linalg.svd(class_gradient(frame.problem, at.G), compute_uv=False)
    spread = np.hypot((lam_W - lam_H) / 2, gains)
    parts += [np.repeat((lam_W + lam_H) / 2 + sign * spread, d - r) for sign in (-1, 1)]
    parts.append(np.full(abs(K - C) * (d - r), lam_W if K > C else lam_H))
    if not problem.merged:
        copies = np.asarray(problem.sizes) - 1
        if r:
            stiffness = loss_hessians(frame.problem, core)
            bent = np.einsum("ka,jkl,lb->jab", core.W, stiffness, core.W)
            blocks = lam_H * np.eye(r) + tau**2 / N * bent
            parts.append(np.repeat(np.linalg.eigvalsh(blocks), copies, axis=0).ravel())
        parts.append(np.full(int(np.sum(copies)) * (d - r), lam_H))
    return np.sort(np.concatenate(parts))


def _bias_only(problem: Problem, core: Params) -> np.ndarray:
    """Eigenvalues of the bias block at W = H = 0, where it is decoupled."""
    if core.b is None:
        return np.empty(0)
    return np.linalg.eigvalsh(_dense(problem, core)[-problem.K :, -problem.K :])


def _full_lanczos(problem: Problem, point: Point, frame: _Frame, critical: bool) -> Curvature:
    """The smallest eigenvalue only, on all variables."""
    product, dimension = hessian_operator(problem, point.params)
    largest = -smallest_eigenpair(lambda x: -product(x), dimension, steps=20, tolerance=1e-2).value
    pair = smallest_eigenpair(product, dimension, steps=_affordable(dimension))
    return Curvature(
        smallest=pair.value,
        residual=pair.residual,
        index=None,
        nullity=None,
        symmetry=_symmetry(problem, frame.rank),
        tolerance=_tolerance(point, frame, critical, largest, dimension, 0.0),
        spectrum=None,
        method=f"Lanczos ({dimension})",
    )


def _core_lanczos(problem: Problem, point: Point, frame: _Frame) -> Curvature:
    """Lanczos on the core, its symmetry modes projected out, beside the exact eigenvalues outside the subspace.

    The deviations within a class need no work: for a convex loss their eigenvalues are at least lam_H.
    """
    product, dimension = hessian_operator(frame.problem, frame.params)
    project = _orbit_complement(frame.problem, frame.params)
    largest = -smallest_eigenpair(lambda x: -product(x), dimension, steps=20, tolerance=1e-2).value
    pair = smallest_eigenpair(product, dimension, steps=_affordable(dimension), project=project)
    tolerance = _tolerance(point, frame, True, largest, dimension, frame.dropped)

    lam_W, lam_H = float(problem.lam_W), float(problem.lam_H)
    at = examine(frame.problem, frame.params)
    gains = float(problem.tau) * np.linalg.svd(class_gradient(frame.problem, at.G), compute_uv=False)
    outside = np.repeat((lam_W + lam_H) / 2 - np.hypot((lam_W - lam_H) / 2, gains), problem.d - frame.rank)
    inner = frame.rank * (frame.rank - 1) // 2 + free_shift(problem)
    positive = pair.value - pair.residual > tolerance
    return Curvature(
        # A symmetry mode is an exact zero of the Hessian at a critical point.
        smallest=min([pair.value, lam_H, *outside.tolist(), *([0.0] if inner else [])]),
        residual=pair.residual,
        index=int(np.sum(outside < -tolerance)) if positive else None,
        nullity=inner + int(np.sum(np.abs(outside) <= tolerance)) if positive else None,
        symmetry=_symmetry(problem, frame.rank),
        tolerance=tolerance,
        spectrum=None,
        method=f"block structure, Lanczos on the core ({dimension}) without its {inner} symmetry modes",
    )


def _affordable(dimension: int) -> int:
    """Lanczos steps: the basis stays below 80 MB, but at least 50."""
    return max(50, min(300, 10_000_000 // dimension))


def _orbit_complement(problem: Problem, params: Params) -> Any:
    """The projector off the tangents (W A, -A H), A antisymmetric, and off the free shift of b.

    The adjoint of A -> (W A, -A H) followed by the map itself is A S + S A with S = W^T W + H H^T, which is diagonal
    in the eigenbasis of S.
    """
    W, H, _ = params
    pack, unpack = packing(params)
    values, Q = np.linalg.eigh(W.T @ W + H @ H.T)
    sums = values[:, None] + values[None, :]
    shift = free_shift(problem)

    def project(x: np.ndarray) -> np.ndarray:
        dW, dH, db = unpack(x)
        image = W.T @ dW - dH @ H.T
        skew = Q.T @ (image - image.T) @ Q
        A = Q @ (skew / sums) @ Q.T
        if shift:
            db = db - np.mean(db)
        return pack(Params(dW - W @ A, dH + A @ H, db))

    return project


def _dense(problem: Problem, params: Params) -> np.ndarray:
    """The Hessian as a matrix, symmetrised."""
    with exact():
        rows = to_host(_hessian_rows(problem.astype(np.float64), as_float64(params)))
    return (rows + rows.T) / 2


@jax.jit
def _hessian_rows(problem: Problem, params: Params) -> jax.Array:
    flat, unravel = ravel_pytree(params)
    gradient = jax.grad(lambda x: problem.objective(unravel(x)))
    _, product = jax.linearize(gradient, flat)
    return jax.vmap(product)(jnp.eye(flat.size, dtype=flat.dtype))
