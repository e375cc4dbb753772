"""What a point is, with every number that the verdict rests on."""

import itertools
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np

from ufm.certify.frame import Frame
from ufm.certify.kinks import BELOW, kinks, returned
from ufm.certify.minorant import EPS
from ufm.certify.point import Point, check_finite, dual_ratio, examine
from ufm.certify.relaxation import lower_bound
from ufm.certify.second import SecondOrder
from ufm.checks import positive
from ufm.models import DeepLinear, DeepReLU
from ufm.problem import Problem
from ufm.spaces import Budget
from ufm.validation import check_params, check_problem


class Verdict(IntEnum):
    """What a point is.

    GLOBAL_MINIMUM: critical, and no point is lower by more than the stated gap (proved: `bound_method`).
    LOCAL_MINIMUM: critical, no negative eigenvalue, and every zero mode is a symmetry; global optimality is open.
    STRICT_SADDLE: critical, with a direction of negative curvature.
    DEGENERATE: critical, but the second order does not decide: zero modes beyond the symmetries, or not counted, or
        features at zero that nothing holds there.
    NOT_CRITICAL: the gradient is above the tolerance.

    With ReLUs a minimum can sit on kinks of f, where the gradient is no test. Where it is not zero, or pre-activations
    are, descents from perturbed points decide: LOCAL_MINIMUM if all return and none ends lower (measured, not proved),
    else DEGENERATE or NOT_CRITICAL. GLOBAL_MINIMUM is proved by the bound alone, at kinks too.

    Critical, eigenvalues and zero modes refer to the tangent space of the model's spaces at the point; of features
    >= 0, to the face of those that are free.
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
        value: f. grad_norm: infinity norm of its gradient in the tangent space; grad_W, grad_H, grad_b: of its blocks
            (NaN for a block that the model does not have).
        balance: |lam_W W^T W - lam_H H H^T|_F, 0 at every critical point (T1).
        nuclear_excess: lam_W/2 |W|^2 + lam_H/2 |H|^2 - nu |tau WH|_*, >= 0, and 0 at every critical point (T1, T2).
        dual_ratio: |G|_2 / nu, G the gradient in the logits; with a convex loss a critical point is a global
            minimum if it is <= 1, and only if unless d cuts the rank (T3, T9).
            These three are NaN unless W and H range over all matrices with decay on both; of a deep linear model the
            balance is the largest |lam_l W_l W_l^T - lam_(l+1) W_(l+1)^T W_(l+1)|_F, H the innermost factor (L6).
        lower_bound: a number <= f* (-inf if nothing is proved); bound_method: where it comes from.
        gap: value - lower_bound >= f - f*.
        gtol, gap_tolerance: what was called zero.
        second: the Hessian. Its numbers are computed when the verdict needs them (a gap that closes needs none), or
            when one of them is read:
        escape: the unit direction (u e^T, e v^T) of the slack matrix (T5, 1.3), e the direction of R^d that W and H
            use least; escape_curvature: <D, Hess D> measured along it (NaN, and escape zero, if nothing of it is
            tangent); escape_predicted: its exact eigenvalue where W and H leave a dimension unused.
        smallest_eigenvalue, eigenvalue_residual: of the Hessian; some eigenvalue lies within the residual.
        index, nullity: negative and zero eigenvalues (None where they cannot be counted; nullity: where not critical).
        symmetry: dimension of the symmetry orbit through the point; at a minimum without further flat directions the
            nullity equals it (T16).
        spectrum: every Hessian eigenvalue, ascending, or None where that is not affordable.
        curvature_method, curvature_tolerance: how the second order was found, and what it called zero.
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
    gtol: float
    gap_tolerance: float
    second: SecondOrder = field(repr=False)

    escape = property(lambda self: self.second.escape.direction)
    escape_curvature = property(lambda self: self.second.escape.curvature)
    escape_predicted = property(lambda self: self.second.escape.predicted)
    smallest_eigenvalue = property(lambda self: self.second.found.smallest)
    eigenvalue_residual = property(lambda self: self.second.found.residual)
    index = property(lambda self: self.second.found.index)
    nullity = property(lambda self: self.second.found.nullity)
    symmetry = property(lambda self: self.second.found.symmetry)
    spectrum = property(lambda self: self.second.found.spectrum)
    curvature_method = property(lambda self: self.second.found.method)
    curvature_tolerance = property(lambda self: self.second.found.tolerance)


def certify(problem: Problem, params: Any, *, gtol: float = 1e-8, gap_tolerance: float = 1e-12) -> Certificate:
    """What the point `params` of `problem` is, and how far from the global minimum at most.

    Args:
        params: any point (W [K, d], H [d, N] with columns by class, b [K] or None), not only a solution.
        gtol: infinity norm of the gradient up to which the point is called critical.
        gap_tolerance: times 1 + |f|, the gap up to which it is called a global minimum.
    Raises:
        TypeError, ValueError: a problem, parameters or tolerances that cannot work.
    Source:
        T1-T5, T14, T15, 1.2, 1.3; Haeffele and Vidal (CVPR 2017), Zhu et al. (NeurIPS 2021) for T3 and T5's direction.
    """
    check_problem(problem, "certify")
    gtol, gap_tolerance = positive(gtol, "gtol", "certify"), positive(gap_tolerance, "gap_tolerance", "certify")
    point = examine(problem, check_params(problem, params, "certify"))
    check_finite(point, "certify")
    second = SecondOrder(problem, point, point.grad_norm <= gtol)
    bound = lower_bound(problem, point, lambda: second.frame)
    gap = float(point.value - bound.value)
    verdict, reason = _judge(point, gap, bound.method, second, gtol, gap_tolerance)
    if isinstance(problem.model, DeepReLU):
        verdict, reason = _judge_at_kinks(problem, point, gap, bound.method, verdict, reason, gap_tolerance)
    return Certificate(
        verdict=verdict,
        reason=reason if verdict is Verdict.NOT_CRITICAL else reason + _inward(problem, point),
        value=point.value,
        grad_norm=point.grad_norm,
        **_first_order(problem, point, second),
        lower_bound=float(bound.value),
        bound_method=bound.method,
        gap=gap,
        gtol=gtol,
        gap_tolerance=gap_tolerance,
        second=second,
    )


def _first_order(problem: Problem, point: Point, second: SecondOrder) -> dict[str, float]:
    """The gradient's blocks and, with decay on all matrices, what T1 says of critical points."""
    sizes = [np.nan if size is None else float(size) for size in point.grad_norms]
    found = dict(zip(("grad_W", "grad_H", "grad_b"), sizes, strict=True))
    frame = second.frame if problem.euclidean else None
    if frame is None:
        return {**found, "balance": _deep_balance(problem, point), "nuclear_excess": np.nan, "dual_ratio": np.nan}
    W, H, _ = point.params
    lam_W, lam_H = float(problem.lam_W), float(problem.lam_H)
    # Of a wide matrix the small factor of its QR decomposition has the singular values.
    nuclear = float(problem.tau) * float(np.sum(np.linalg.svd(np.linalg.qr((W @ H).T, mode="r"), compute_uv=False)))
    return {
        **found,
        "balance": _balance(problem, point, frame),
        "nuclear_excess": (lam_W * float(np.vdot(W, W)) + lam_H * float(np.vdot(H, H))) / 2
        - float(problem.nu) * nuclear,
        "dual_ratio": dual_ratio(problem, point),
    }


def _balance(problem: Problem, point: Point, frame: Frame) -> float:
    """|lam_W W^T W - lam_H H H^T|_F. Features add lam_H times the square of their deviation to that of the means."""
    W, H, _ = point.params
    of_means = _weighted_balance(problem, frame.means.W, frame.means.H)
    added = float(problem.lam_H) * frame.deviation**2
    if added <= max(1e-6 * of_means, EPS * float(problem.lam_H) * float(np.vdot(H, H))):
        return of_means
    return _weighted_balance(problem, W, H)


def _weighted_balance(problem: Problem, W: np.ndarray, H: np.ndarray) -> float:
    columns = np.hstack([W.T, H])
    if columns.shape[1] < problem.d:  # in coordinates of their own space, where the matrix is smaller
        columns = np.asarray(np.linalg.qr(columns, mode="r"))
    signed = np.repeat([float(problem.lam_W), -float(problem.lam_H)], [problem.K, H.shape[1]])
    return float(np.linalg.norm((columns * signed) @ columns.T))


def _deep_balance(problem: Problem, point: Point) -> float:
    """L6 for linear layers; with ReLUs only (W_1, H) are balanced as matrices. NaN for other models."""
    if not problem.model.deep:
        return np.nan
    W, H, _ = point.params
    factors = [(H, problem.lam_H), *zip(W, problem.lam_Ws, strict=True)]
    pairs = list(itertools.pairwise(factors if isinstance(problem.model, DeepLinear) else factors[:2]))
    return max(float(np.linalg.norm(float(a) * x @ x.T - float(c) * y.T @ y)) for (x, a), (y, c) in pairs)


def _judge(
    point: Point, gap: float, method: str, second: SecondOrder, gtol: float, gap_tolerance: float
) -> tuple[Verdict, str]:
    known = f"f exceeds f* by at most {gap:.1e}" if np.isfinite(gap) else f"no lower bound is known ({method})"
    if point.grad_norm > gtol:
        return Verdict.NOT_CRITICAL, f"gradient {point.grad_norm:.1e} > gtol {gtol:.1e}; {known}"
    if gap <= gap_tolerance * (1.0 + abs(point.value)):
        return Verdict.GLOBAL_MINIMUM, f"no point is lower by more than {gap:.1e} ({method})"
    found = second.found
    lowest = float(np.fmin(found.smallest, second.escape.curvature))
    if lowest < -found.tolerance:
        return Verdict.STRICT_SADDLE, f"curvature {lowest:.3e} < 0 along a known direction"
    if found.weak:
        return Verdict.DEGENERATE, f"{found.weak} features at zero have a zero multiplier: nothing holds them there"
    if found.nullity is not None and found.nullity == found.symmetry:
        modes = f"no negative eigenvalue, and the {found.nullity} zero modes are symmetries"
        return Verdict.LOCAL_MINIMUM, f"{modes}; {known}"
    if found.nullity is None:
        return Verdict.DEGENERATE, "no negative curvature was found, but the zero modes could not be counted"
    return Verdict.DEGENERATE, f"{found.nullity} zero modes, of which only {found.symmetry} are symmetries"


def _judge_at_kinks(
    problem: Problem, point: Point, gap: float, method: str, smooth: Verdict, reason: str, gap_tolerance: float
) -> tuple[Verdict, str]:
    """The verdict where ReLUs make kinks: `smooth` and its reason away from them."""
    if gap <= gap_tolerance * (1.0 + abs(point.value)):
        return Verdict.GLOBAL_MINIMUM, f"no point is lower by more than {gap:.1e} ({method})"
    on_kinks = kinks(problem, point.params)
    if smooth is not Verdict.NOT_CRITICAL and (not on_kinks or smooth is Verdict.STRICT_SADDLE):
        return smooth, reason
    found = returned(problem, point)
    if found is None:
        return smooth, reason
    known = f"at {on_kinks} kinks; f exceeds f* by at most {gap:.1e}"
    low, high = (float(extreme(found.values)) - point.value for extreme in (np.min, np.max))
    if found.stays(point.value):
        return Verdict.LOCAL_MINIMUM, f"perturbed descents return, to f {low:+.1e} at least and {high:+.1e}, {known}"
    if low < -BELOW * (1.0 + abs(point.value)):
        return Verdict.NOT_CRITICAL, f"a perturbed descent ends lower, at f {low:+.1e} ({known})"
    return Verdict.DEGENERATE, f"perturbed descents end at f {low:+.1e} to {high:+.1e} and decide nothing ({known})"


def _inward(problem: Problem, point: Point) -> str:
    """A budget is an inequality in the literature: whether f would fall if less of it were used."""
    blocks = ((problem.model.W, point.params.W, point.ambient.W), (problem.model.H, point.params.H, point.ambient.H))
    for space, x, g in blocks:
        if isinstance(space, Budget) and float(np.sum(x * g)) > 1e-9 * (1.0 + abs(point.value)):
            return "; a budget has a negative multiplier: f falls inside, where an inequality would allow to go"
    return ""
