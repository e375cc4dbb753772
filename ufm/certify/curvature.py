"""The Hessian's spectrum at a point: exact by structure where the point is collapsed, dense when small, else Lanczos.

At a point whose features are equal within each class, with rows of [W; H^T] in an r-dimensional subspace, the Hessian
splits exactly (no criticality is needed) into

    the core: the merged problem with d = r, dimension 2 K r + K;
    within-class deviations: lam_H I + W^T J_k W / N on each of n_k - 1 directions, J_k the loss's Hessian at class k;
    directions outside the subspace: (lam_W + lam_H)/2 +- sqrt(((lam_W - lam_H)/2)^2 + g^2) for each singular value g
        of the logit gradient, d - r times each, and lam_H on the deviations.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from ufm.certify.escape import packing
from ufm.certify.duality import class_gradient
from ufm.certify.lanczos import smallest_eigenpair
from ufm.certify.point import Point, as_float64, examine, hessian_product
from ufm.precision import exact, to_host
from ufm.problem import Params, Problem
from ufm.reduction import lift_params, merge, merge_params

DENSE = 2000  # the largest matrix that is diagonalised densely


class Curvature(NamedTuple):
    """What is known of the Hessian's spectrum.

    smallest: the smallest eigenvalue found, with its residual (some eigenvalue lies within it).
    index, nullity: numbers of eigenvalues < -tolerance and within it; None where the method cannot count them.
    symmetry: dimension of the orbit of the point under the problem's symmetries, a lower bound on the nullity at
        every critical point.
    tolerance: below it an eigenvalue is called zero: rounding, plus the share of the gradient that is not zero.
    spectrum: every eigenvalue, ascending, or None.
    method: how.
    """

    smallest: float
    residual: float
    index: int | None
    nullity: int | None
    symmetry: int
    tolerance: float
    spectrum: np.ndarray | None
    method: str


class _Frame(NamedTuple):
    """A point seen in the subspace that it spans: merged params with d = rank, and what was dropped to get there."""

    problem: Problem
    params: Params
    rank: int
    dropped: float


def curvature(problem: Problem, point: Point) -> Curvature:
    """The spectrum of the Hessian at `point`, as much of it as is affordable."""
    W, H, b = point.params
    grad2 = np.sqrt(sum(float(np.sum(g**2)) for g in point.grad if g is not None))
    frame, scales = _frame(problem, point.params)
    symmetry = frame.rank * (2 * problem.d - frame.rank - 1) // 2 + _free_shift(problem)
    core_size = 2 * problem.K * frame.rank + (0 if b is None else problem.K)
    total = sum(x.size for x in point.params if x is not None)
    size = np.sqrt(sum(float(np.sum(x**2)) for x in point.params if x is not None))
    collapsed = frame.dropped <= 1e-6 * (size + np.finfo(float).tiny)

    if collapsed and core_size <= DENSE:
        spectrum, residual = _structured_spectrum(problem, frame), 0.0
        method = f"exact block structure (core {core_size})"
    elif total <= DENSE:
        spectrum, residual, method = np.linalg.eigvalsh(_dense(problem, point.params)), 0.0, f"dense ({total})"
    else:
        spectrum, method = None, ""
    gradient_share = grad2 / scales[frame.rank - 1] if frame.rank else 0.0

    def tolerance_at(largest: float, dimension: int) -> float:
        rounding = 4 * dimension * np.finfo(np.float64).eps + (frame.dropped if collapsed else 0.0)
        return 4 * gradient_share + rounding * largest

    if spectrum is not None:
        tolerance = tolerance_at(float(np.max(np.abs(spectrum))), min(total, DENSE))
        index, nullity = int(np.sum(spectrum < -tolerance)), int(np.sum(np.abs(spectrum) <= tolerance))
        return Curvature(float(spectrum[0]), residual, index, nullity, symmetry, tolerance, spectrum, method)
    return _by_lanczos(problem, point, frame, collapsed and problem.loss.convex, symmetry, tolerance_at)


def hessian_spectrum(problem: Problem, params: Params) -> np.ndarray:
    """Every eigenvalue of the Hessian at `params`, ascending (see the module's text for the structure used).

    Raises:
        ValueError: the point is not collapsed and too large for a dense matrix.
    """
    found = curvature(problem, examine(problem, params)).spectrum
    if found is None:
        raise ValueError(f"hessian_spectrum: more than {DENSE} coupled variables. Use certify, which needs only the extremes.")
    return found


def _free_shift(problem: Problem) -> int:
    """1 if b + c 1 leaves f unchanged for every c."""
    return int(problem.loss.shift_invariant and problem.lam_b is not None and float(problem.lam_b) == 0.0)


def _frame(problem: Problem, params: Params) -> tuple[_Frame, np.ndarray]:
    """The point in the span of the rows of [W; H^T], and the scales of its directions, descending."""
    merged = params if problem.merged else merge_params(problem, params)
    scatter = merged.W.T @ merged.W + merged.H @ merged.H.T
    values, vectors = np.linalg.eigh(scatter)
    scales, vectors = np.sqrt(np.maximum(values[::-1], 0.0)), vectors[:, ::-1]
    rank = int(np.sum(scales > 1e-6 * (scales[0] + np.finfo(float).tiny)))
    V = vectors[:, :rank]
    inside = Params(merged.W @ V, V.T @ merged.H, merged.b)
    nearby = lift_params(problem, Params(inside.W @ V.T, V @ inside.H, merged.b)) if not problem.merged else None
    H = V @ inside.H if nearby is None else nearby.H
    dropped = np.sqrt(np.sum((params.W - inside.W @ V.T) ** 2) + np.sum((params.H - H) ** 2))
    core = dataclasses.replace(merge(problem), d=max(rank, 1))
    return _Frame(core, inside, rank, float(dropped)), scales


def _structured_spectrum(problem: Problem, frame: _Frame) -> np.ndarray:
    K, d, r, N = problem.K, problem.d, frame.rank, problem.N
    lam_W, lam_H = float(problem.lam_W), float(problem.lam_H)
    core = frame.params if r else Params(np.zeros((K, 1)), np.zeros((1, K)), frame.params.b)
    at = examine(frame.problem, core)
    parts = [np.linalg.eigvalsh(_dense(frame.problem, core)) if r else _bias_only(frame.problem, core)]
    gains = np.linalg.svd(class_gradient(frame.problem, at.G), compute_uv=False)
    spread = np.hypot((lam_W - lam_H) / 2, gains)
    parts += [np.repeat((lam_W + lam_H) / 2 + sign * spread, d - r) for sign in (-1, 1)]
    if not problem.merged:
        copies = np.asarray(problem.sizes) - 1
        if r:
            stiffness = _loss_hessians(frame.problem, core)
            blocks = lam_H * np.eye(r) + np.einsum("ka,jkl,lb->jab", core.W, stiffness, core.W) / N
            parts.append(np.repeat(np.linalg.eigvalsh(blocks), copies, axis=0).ravel())
        parts.append(np.full(int(np.sum(copies)) * (d - r), lam_H))
    return np.sort(np.concatenate(parts))


def _bias_only(problem: Problem, core: Params) -> np.ndarray:
    """Eigenvalues of the bias block at W = H = 0, where it is decoupled."""
    if core.b is None:
        return np.empty(0)
    return np.linalg.eigvalsh(_dense(problem, core)[-problem.K :, -problem.K :])


def _by_lanczos(problem: Problem, point: Point, frame: _Frame, structured: bool, symmetry: int, tolerance_at: Any) -> Curvature:
    """The smallest eigenvalue only, with the known zero modes projected out where the point is collapsed."""
    target, params = (frame.problem, frame.params) if structured else (problem, point.params)
    pack, unpack = packing(params)
    dimension = pack(params).size
    project = _orbit_complement(target, params, pack, unpack) if structured else lambda x: x
    with exact():
        typed, at = target.astype(np.float64), as_float64(params)

        def product(x: np.ndarray) -> np.ndarray:
            return pack(to_host(hessian_product(typed, at, as_float64(unpack(x)))))

        top = smallest_eigenpair(lambda x: -product(x), dimension, steps=20, tolerance=1e-2)
        pair = smallest_eigenpair(product, dimension, steps=max(50, min(300, 10_000_000 // dimension)), project=project)
    tolerance = tolerance_at(-top.value, dimension)
    if not structured:
        index = None
        return Curvature(pair.value, pair.residual, index, None, symmetry, tolerance, None, f"Lanczos ({dimension})")
    gains = np.linalg.svd(class_gradient(frame.problem, examine(frame.problem, params).G), compute_uv=False)
    lam_W, lam_H = float(problem.lam_W), float(problem.lam_H)
    outside = (lam_W + lam_H) / 2 - np.hypot((lam_W - lam_H) / 2, gains) if problem.d > frame.rank else np.empty(0)
    smallest = min([pair.value, lam_H, *outside])
    settled = pair.value - pair.residual > tolerance
    zeros = int(np.sum(np.abs(outside) <= tolerance)) * (problem.d - frame.rank)
    inner = frame.rank * (frame.rank - 1) // 2 + _free_shift(problem)
    negative = int(np.sum(outside < -tolerance)) * (problem.d - frame.rank)
    return Curvature(
        smallest=min(smallest, 0.0) if settled and (inner or zeros) and not negative else smallest,
        residual=pair.residual,
        index=negative if settled else None,
        nullity=inner + zeros if settled else None,
        symmetry=symmetry,
        tolerance=tolerance,
        spectrum=None,
        method=f"block structure, Lanczos on the core ({dimension}) without its {inner} symmetry modes",
    )


def _orbit_complement(problem: Problem, params: Params, pack: Any, unpack: Any) -> Any:
    """The projector off the tangents (W A, -A H), A antisymmetric, and off the free shift of b.

    The adjoint of A -> (W A, -A H) followed by the map itself is A S + S A with S = W^T W + H H^T, which is diagonal
    in the eigenbasis of S.
    """
    W, H, _ = params
    values, Q = np.linalg.eigh(W.T @ W + H @ H.T)
    sums = values[:, None] + values[None, :]
    shift = _free_shift(problem)

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
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    gradient = jax.grad(lambda x: problem.objective(unravel(x)))
    _, product = jax.linearize(gradient, flat)
    return jax.vmap(product)(jax.numpy.eye(flat.size, dtype=flat.dtype))


def _loss_hessians(problem: Problem, params: Params) -> np.ndarray:
    """[K, K, K] second derivative of the loss at the logits of each class (first index: the class)."""
    with exact():
        return to_host(_loss_hessians_of(problem.astype(np.float64), as_float64(params)))


@jax.jit
def _loss_hessians_of(problem: Problem, params: Params) -> jax.Array:
    Z = problem.logits(params)
    Y = problem.one_hot(Z.dtype)
    single = jax.hessian(lambda z, y: problem.loss(z[:, None], y[:, None])[0])
    return jax.vmap(single, in_axes=(1, 1))(Z, Y)
