"""What a point is, with every number that the verdict rests on."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from ufm.certify.curvature import Curvature, curvature
from ufm.certify.duality import lower_bound
from ufm.certify.escape import escape_direction
from ufm.certify.point import Point, check_finite, dual_ratio, examine
from ufm.checks import positive
from ufm.problem import Params, Problem
from ufm.validation import check_params, check_problem


class Verdict(IntEnum):
    """What a point is.

    GLOBAL_MINIMUM: critical, and no point is lower by more than the stated gap (proved by duality).
    LOCAL_MINIMUM: critical, no negative eigenvalue, and every zero mode is a symmetry; global optimality is open.
    STRICT_SADDLE: critical, with a direction of negative curvature.
    DEGENERATE: critical, but the second order does not decide (zero modes beyond the symmetries, or not counted).
    NOT_CRITICAL: the gradient is above the tolerance.
    """

    GLOBAL_MINIMUM = 0
    LOCAL_MINIMUM = 1
    STRICT_SADDLE = 2
    DEGENERATE = 3
    NOT_CRITICAL = 4


@dataclass(frozen=True, eq=False)
class Certificate:
    """First order, second order and global optimality of one point, in float64.

    Attributes:
        verdict, reason: what the point is, and why in one sentence.
        value: f. grad_norm: infinity norm of its gradient; grad_W, grad_H, grad_b: of its blocks (b: NaN without bias).
        balance: |lam_W W^T W - lam_H H H^T|_F, 0 at every critical point (T1).
        nuclear_excess: lam_W/2 |W|^2 + lam_H/2 |H|^2 - nu |WH|_*, >= 0, and 0 at every critical point (T1, T2).
        dual_ratio: |G|_2 / nu, G the gradient in the logits; with a convex loss a critical point is a global
            minimum if it is <= 1, and only if unless d cuts the rank (T3, T9).
        lower_bound: a number <= f* (-inf if nothing is proved); bound_method: where it comes from.
        gap: value - lower_bound >= f - f*.
        smallest_eigenvalue, eigenvalue_residual: of the Hessian; some eigenvalue lies within the residual.
        index, nullity: negative and zero eigenvalues (None where they cannot be counted; nullity: where not critical).
        symmetry: dimension of the symmetry orbit through the point; at a minimum without further flat directions the
            nullity equals it (T16).
        spectrum: every Hessian eigenvalue, ascending, or None where that is not affordable.
        curvature_method: how the second order was found.
        escape: T5's unit direction; escape_curvature: <D, Hess D> measured along it;
            escape_predicted: T5's exact eigenvalue, valid at critical points where W has a null vector.
        gtol, gap_tolerance, curvature_tolerance: what was called zero.
    """

    verdict: Verdict
    reason: str
    value: float
    grad_norm: float
    grad_W: float
    grad_H: float
    grad_b: float
    balance: float
    nuclear_excess: float
    dual_ratio: float
    lower_bound: float
    bound_method: str
    gap: float
    smallest_eigenvalue: float
    eigenvalue_residual: float
    index: int | None
    nullity: int | None
    symmetry: int
    spectrum: np.ndarray | None
    curvature_method: str
    escape: Params
    escape_curvature: float
    escape_predicted: float
    gtol: float
    gap_tolerance: float
    curvature_tolerance: float


def certify(problem: Problem, params: Any, *, gtol: float = 1e-8, gap_tolerance: float = 1e-12) -> Certificate:
    """What the point `params` of `problem` is, and how far from the global minimum at most.

    Args:
        params: any point (W [K, d], H [d, N] with columns by class, b [K] or None), not only a solution.
        gtol: infinity norm of the gradient up to which the point is called critical.
        gap_tolerance: times 1 + |f|, the gap up to which it is called a global minimum.
    Raises:
        TypeError, ValueError: a problem, parameters or tolerances that cannot work.
    Source:
        T1-T5, T14, T15; Haeffele and Vidal (CVPR 2017), Zhu et al. (NeurIPS 2021) for T3 and T5's direction.
    """
    check_problem(problem, "certify")
    gtol, gap_tolerance = positive(gtol, "gtol", "certify"), positive(gap_tolerance, "gap_tolerance", "certify")
    point = examine(problem, check_params(problem, params, "certify"))
    check_finite(point, "certify")
    bound = lower_bound(problem, point)
    second = curvature(problem, point, critical=point.grad_norm <= gtol)
    escape = escape_direction(problem, point)
    gap = float(point.value - bound.value)
    verdict, reason = _judge(point, gap, second, escape.curvature, gtol, gap_tolerance)
    return Certificate(
        verdict=verdict,
        reason=reason,
        value=point.value,
        grad_norm=point.grad_norm,
        **_first_order(problem, point),
        lower_bound=float(bound.value),
        bound_method=bound.method,
        gap=gap,
        smallest_eigenvalue=second.smallest,
        eigenvalue_residual=second.residual,
        index=second.index,
        nullity=second.nullity,
        symmetry=second.symmetry,
        spectrum=second.spectrum,
        curvature_method=second.method,
        escape=escape.direction,
        escape_curvature=escape.curvature,
        escape_predicted=escape.predicted,
        gtol=gtol,
        gap_tolerance=gap_tolerance,
        curvature_tolerance=second.tolerance,
    )


def _first_order(problem: Problem, point: Point) -> dict[str, float]:
    """The gradient's blocks and what T1 says of critical points."""
    W, H, b = point.params
    lam_W, lam_H = float(problem.lam_W), float(problem.lam_H)
    nuclear = float(np.sum(np.linalg.svd(W @ H, compute_uv=False)))
    return {
        "grad_W": float(np.max(np.abs(point.grad.W))),
        "grad_H": float(np.max(np.abs(point.grad.H))),
        "grad_b": np.nan if b is None else float(np.max(np.abs(point.grad.b))),
        "balance": float(np.linalg.norm(lam_W * W.T @ W - lam_H * H @ H.T)),
        "nuclear_excess": float(lam_W * np.sum(W**2) + lam_H * np.sum(H**2)) / 2 - float(problem.nu) * nuclear,
        "dual_ratio": dual_ratio(problem, point),
    }


def _judge(
    point: Point, gap: float, second: Curvature, escape: float, gtol: float, gap_tolerance: float
) -> tuple[Verdict, str]:
    known = f"f exceeds f* by at most {gap:.1e}" if np.isfinite(gap) else "no lower bound is known for this loss"
    if point.grad_norm > gtol:
        return Verdict.NOT_CRITICAL, f"gradient {point.grad_norm:.1e} > gtol {gtol:.1e}; {known}"
    if gap <= gap_tolerance * (1.0 + abs(point.value)):
        return Verdict.GLOBAL_MINIMUM, f"no point is lower by more than {gap:.1e} (duality)"
    lowest = min(second.smallest, escape)
    if lowest < -second.tolerance:
        return Verdict.STRICT_SADDLE, f"curvature {lowest:.3e} < 0 along a known direction"
    if second.nullity is not None and second.nullity == second.symmetry:
        modes = f"no negative eigenvalue, and the {second.nullity} zero modes are symmetries"
        return Verdict.LOCAL_MINIMUM, f"{modes}; {known}"
    if second.nullity is None:
        return Verdict.DEGENERATE, "no negative curvature was found, but the zero modes could not be counted"
    return Verdict.DEGENERATE, f"{second.nullity} zero modes, of which only {second.symmetry} are symmetries"
