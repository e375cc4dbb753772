"""Rigorous lower bounds on the global minimum, at any point.

f >= F(Z, b) = g(Z + b 1^T) + nu |Z|_* + lam_b/2 |b|^2 with nu = sqrt(lam_W lam_H) (T2), and every Gamma [K, N] with
|Gamma|_2 <= nu gives, by weak duality,

    f* >= D(Gamma) = -g*(Gamma) - |Gamma 1|^2 / (2 lam_b)       (free bias: Gamma 1 = 0 instead; no bias: neither).

Averaging the columns of Gamma inside a group of samples with one target never lowers D, so everything here is K x C:
the column of group c is g_c = N Gamma_i, and A = [sqrt(n_c) g_c] / N has the singular values of Gamma.
"""

from collections.abc import Callable, Iterator

import numpy as np

from ufm.certify.minorant import EPS, Dual, LowerBound, class_gradient, class_sums, without_sums
from ufm.certify.point import Point, dual_ratio
from ufm.problem import Problem


def local_bound(problem: Problem, point: Point) -> LowerBound:
    """The best bound that the numbers at one point give, for decay on both blocks and a convex loss.

    Source:
        T14 and T15, derived for this project; T3's certificate is known from Haeffele and Vidal (CVPR 2017) and
        Zhu et al. (NeurIPS 2021).
    """
    # Rounding in the sums of a bound: a few units in the last place of numbers of size 1 + |f|.
    rounding = 8 * EPS * (1.0 + abs(point.value))
    best = LowerBound(0.0, "the loss is not negative")
    for bound in _bounds(problem, point):
        best = max(best, bound, key=lambda b: b.value)
        if best.value >= point.value - rounding:
            break  # closed up to rounding: no other candidate can do better
    return LowerBound(best.value - rounding, best.method)


def _bounds(problem: Problem, point: Point) -> Iterator[LowerBound]:
    loss, nu = problem.loss, float(problem.nu)
    lam_b = None if problem.lam_b is None else float(problem.lam_b)
    if loss.rank_bound is not None:
        ranked = loss.rank_bound(problem.group_targets(), np.asarray(problem.sizes, float), nu, lam_b, problem.d)
        yield LowerBound(ranked, f"singular values of the targets at rank <= {problem.d} (T9, T10)")
    if loss.conjugate is not None:
        dual = Dual(problem)
        for name, A in _candidates(problem, point):
            yield LowerBound(_best_multiple(dual, nu, A), f"dual, {name} (T15)")
        if lam_b:  # the smaller lam_b, the dearer what is left of the row sums
            without = _best_multiple(dual, nu, without_sums(class_gradient(problem, point.G), dual.sizes))
            yield LowerBound(without, "dual, gradient without row sums (T15)")
    yield LowerBound(_first_order_bound(problem, point), "first-order (T14)")


def _first_order_bound(problem: Problem, point: Point) -> float:
    """f - [<W, f_W>/2 + <H, f_H>/2 + |f_b|^2 / (2 lam_b) + (|G|_2 - nu)_+ f / nu] for a bias that is not free."""
    W, H, b = point.params
    gap = (np.sum(W * point.grad.W) + np.sum(H * point.grad.H)) / 2
    if b is not None:
        if float(problem.lam_b) == 0.0:
            return -np.inf
        gap += np.sum(point.grad.b**2) / (2 * float(problem.lam_b))
    excess = max(dual_ratio(problem, point) - 1.0, 0.0)
    return point.value - gap - excess * point.value


def _candidates(problem: Problem, point: Point) -> Iterator[tuple[str, np.ndarray]]:
    """Dual candidates A [K, C]: aligned with the point's logits, the gradient itself, and the gradient clipped."""
    A = class_gradient(problem, point.G)
    nu, sizes = float(problem.nu), np.asarray(problem.sizes)
    Z = point.Z if problem.merged else class_sums(problem, point.Z) / sizes
    Z = Z * np.sqrt(sizes)
    if problem.loss.shift_invariant:
        Z = Z - np.mean(Z, axis=0)
    if problem.lam_b is not None and float(problem.lam_b) == 0.0:
        Z = without_sums(Z, sizes)
    U, s, Vt = np.linalg.svd(Z, full_matrices=False)
    for rank in _plausible_ranks(s):
        Ur, Vr = U[:, :rank], Vt[:rank]
        rest = A - Ur @ (Ur.T @ A)
        rest = rest - (rest @ Vr.T) @ Vr
        yield f"aligned at rank {rank}", _clip(rest, nu) - nu * Ur @ Vr
    yield "scaled gradient", A
    yield "clipped gradient", _clip(A, nu)


def _plausible_ranks(s: np.ndarray) -> list[int]:
    """The ranks in front of the widest gaps of the singular values s, widest first, and full rank."""
    if s[0] == 0.0:
        return []
    floor = np.maximum(s, EPS * s[0])
    widest = np.argsort(-np.log(floor[:-1] / floor[1:]), kind="stable")[:3] + 1
    return [int(rank) for rank in widest] + [len(s)]


def _clip(A: np.ndarray, nu: float) -> np.ndarray:
    """A with its singular values cut at nu."""
    if _norm(A) <= nu:
        return A
    U, s, Vt = np.linalg.svd(A, full_matrices=False)
    return (U * np.minimum(s, nu)) @ Vt


def _norm(A: np.ndarray) -> float:
    """|A|_2; from the Gram matrix, which is as accurate for the largest singular value and several times cheaper."""
    return float(np.sqrt(np.linalg.eigvalsh(A @ A.T)[-1]))


def _best_multiple(dual: Dual, nu: float, A: np.ndarray) -> float:
    """max over s of D(s A), A made feasible first; -inf if it cannot be."""
    A = dual.feasible(A)
    if not np.all(np.isfinite(A)):
        return -np.inf
    norm = _norm(A)
    if norm == 0.0:
        return dual.value(A)
    # At full length the sums are made zero again: lengthening a short A lengthens their rounding too.
    full = dual.centred(A * (nu / norm))
    # The margin covers the rounding of the norm itself.
    top = nu / (max(_norm(full), nu) * (1.0 + 4 * EPS))
    best = max(dual.value(s * full) for s in {min(norm / nu, top), top})
    return max(best, _golden_max(lambda s: dual.value(s * full), top))


def _golden_max(function: Callable[[float], float], top: float) -> float:
    """The maximum on [0, top] of a concave function that may be -inf at the right end."""
    end, beside = function(top), function(0.99 * top)
    if np.isfinite(end) and end >= beside:
        return end
    ratio = (np.sqrt(5.0) - 1) / 2
    low, high = 0.0, top
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    f_left, f_right = function(left), function(right)
    for _ in range(14):  # to 1e-3 of the interval: where the gap closes, the best multiple is an end or A itself
        if f_left >= f_right:
            high, right, f_right = right, left, f_left
            left = high - ratio * (high - low)
            f_left = function(left)
        else:
            low, left, f_left = left, right, f_right
            right = low + ratio * (high - low)
            f_right = function(right)
    return max(f_left, f_right)
