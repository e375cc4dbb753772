"""The Hessian's spectrum at a point: exact by structure where the point is collapsed, dense when small, else Lanczos.

`ufm.certify.frame` says how it splits for models that rotate; `ufm.certify.manifold` takes the others.
"""

from typing import Any

import numpy as np

from ufm.certify.frame import Frame, frame_of
from ufm.certify.lanczos import smallest_eigenpair
from ufm.certify.manifold import affordable, deviations, lanczos, manifold_curvature, tangent_spectrum
from ufm.certify.point import Point, check_finite, examine, hessian_operator, packing
from ufm.certify.slack import lowest_slack, multipliers, slack_matrix
from ufm.certify.spectrum import DENSE, Curvature, free_shift, rotations, tolerance
from ufm.problem import Params, Problem
from ufm.validation import check_params, check_problem


def curvature(problem: Problem, point: Point, critical: bool, frame: Frame | None = None) -> Curvature:
    """The spectrum of the Hessian at `point`, as much of it as is affordable; zero modes counted where critical.

    Args:
        frame: `frame_of(problem, point)` where it is known already.
    """
    frame = frame_of(problem, point) if frame is None else frame
    if frame is None:
        return manifold_curvature(problem, point, critical)
    core, total = frame.problem.dimension(), problem.dimension()
    if frame.collapsed and core <= DENSE:
        spectrum = _structured_spectrum(problem, frame)
        method = f"exact block structure (core {core})"
        return _counted(problem, point, frame, critical, spectrum, core, frame.dropped, method)
    if total <= DENSE:
        spectrum = tangent_spectrum(problem, point.params)
        return _counted(problem, point, frame, critical, spectrum, total, 0.0, f"dense ({total})")
    if frame.collapsed and critical and problem.loss.convex:
        found = _core_lanczos(problem, point, frame) if problem.euclidean else _slack_only(problem, point, frame)
        if found is not None:
            return found
    return lanczos(problem, point, critical)


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


def _tolerance(point: Point, frame: Frame, critical: bool, largest: float, dimension: int, dropped: float) -> float:
    return tolerance(
        point,
        scale=frame.scale,
        largest=largest,
        dimension=dimension,
        dropped=dropped,
        stiffness=frame.problem.stiffness(),
        critical=critical,
    )


def _symmetry(problem: Problem, frame: Frame) -> int:
    """Dimension of the orbit of the point under rotations of R^d and the free shift of b."""
    return rotations(frame.rank, problem.d) + free_shift(problem)


def _counted(
    problem: Problem, point: Point, frame: Frame, critical: bool, spectrum: np.ndarray, dimension: int, dropped: float,
    method: str,
) -> Curvature:  # fmt: skip
    """What follows from the whole spectrum, ascending, of a matrix or core of this dimension."""
    largest = max(abs(float(x)) for x in spectrum[[0, -1]]) if spectrum.size else 0.0
    zero = _tolerance(point, frame, critical, largest, dimension, dropped)
    below, above = np.searchsorted(spectrum, -zero), np.searchsorted(spectrum, zero, side="right")
    return Curvature(
        smallest=float(spectrum[0]) if spectrum.size else np.nan,
        residual=0.0,
        index=int(below),
        nullity=int(above - below) if critical else None,
        symmetry=_symmetry(problem, frame),
        tolerance=zero,
        spectrum=spectrum,
        method=method,
    )


def _structured_spectrum(problem: Problem, frame: Frame) -> np.ndarray:
    """Core, directions outside the subspace, and deviations within the groups, each as often as it occurs."""
    spare = problem.d - frame.problem.d
    parts: list[tuple[np.ndarray, Any]] = [(tangent_spectrum(frame.problem, frame.point.params), 1)]
    if spare:
        parts.append((np.linalg.eigvalsh(slack_matrix(frame.problem, frame.point)), spare))
    if not problem.merged:
        copies = np.asarray(problem.sizes) - 1
        stiffness = multipliers(frame.problem, frame.point)[1]
        parts += [(values, size) for values, size in zip(deviations(frame.problem, frame.point), copies, strict=True)]
        parts.append((stiffness, copies * spare))
    values = np.concatenate([part for part, _ in parts])
    counts = np.concatenate([np.broadcast_to(count, part.shape) for part, count in parts])
    order = np.argsort(values)
    return np.repeat(values[order], counts[order])


def _slack_only(problem: Problem, point: Point, frame: Frame) -> Curvature | None:
    """No eigenvalue is negative where the slack matrix has none: of a convex loss it is less than the Hessian.

    The smallest is then a zero of the symmetries; None where this does not decide. What lies above is not counted.
    """
    lowest = lowest_slack(frame.problem, frame.point).value
    zero = _tolerance(point, frame, True, problem.stiffness(), sum(problem.logit_shape()), frame.dropped)
    orbit = _symmetry(problem, frame)
    if lowest < -zero or not orbit:
        return None
    return Curvature(
        smallest=0.0,
        residual=max(0.0, -lowest),
        index=0,
        nullity=None,
        symmetry=orbit,
        tolerance=zero,
        spectrum=None,
        method="slack matrix without negative eigenvalues, which the Hessian exceeds",
    )


def _core_lanczos(problem: Problem, point: Point, frame: Frame) -> Curvature:
    """Lanczos on the core, its symmetry modes projected out, beside the exact eigenvalues outside the subspace.

    The deviations within a class need no work: for a convex loss their eigenvalues are at least lam_H.
    """
    product, dimension = hessian_operator(frame.problem, frame.point.params)
    project = _orbit_complement(frame.problem, frame.point.params)
    largest = -smallest_eigenpair(lambda x: -product(x), dimension, steps=20, tolerance=1e-2).value
    pair = smallest_eigenpair(product, dimension, steps=affordable(dimension), project=project)
    tolerance = _tolerance(point, frame, True, largest, dimension, frame.dropped)

    outside = (
        np.linalg.eigvalsh(slack_matrix(frame.problem, frame.point)) if problem.d > frame.problem.d else np.empty(0)
    )
    inner = frame.rank * (frame.rank - 1) // 2 + free_shift(problem)
    positive = pair.value - pair.residual > tolerance
    spare = problem.d - frame.problem.d
    return Curvature(
        # A symmetry mode is an exact zero of the Hessian at a critical point.
        smallest=min([pair.value, float(problem.lam_H), *outside.tolist(), *([0.0] if inner else [])]),
        residual=pair.residual,
        index=spare * int(np.sum(outside < -tolerance)) if positive else None,
        nullity=inner + spare * int(np.sum(np.abs(outside) <= tolerance)) if positive else None,
        symmetry=_symmetry(problem, frame),
        tolerance=tolerance,
        spectrum=None,
        method=f"block structure, Lanczos on the core ({dimension}) without its {inner} symmetry modes",
    )


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
        A = Q @ np.divide(skew, sums, out=np.zeros_like(skew), where=sums > 0.0) @ Q.T
        if shift:
            db = db - np.mean(db)
        return pack(Params(dW - W @ A, dH + A @ H, db))

    return project
