"""Rigorous lower bounds on the global minimum, at any point.

f >= F(Z, b) = g(Z + b 1^T) + nu |Z|_* + lam_b/2 |b|^2 with nu = sqrt(lam_W lam_H) (T2), and every Gamma [K, N] with
|Gamma|_2 <= nu gives, by weak duality,

    f* >= D(Gamma) = -g*(Gamma) - |Gamma 1|^2 / (2 lam_b)       (free bias: Gamma 1 = 0 instead; no bias: neither).

Averaging the columns of Gamma inside a group of samples with one target never lowers D, so everything here is K x C:
the column of group c is g_c = N Gamma_i, and A = [sqrt(n_c) g_c] / N has the singular values of Gamma.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ufm.certify.point import Point, dual_ratio, examine
from ufm.models import Bilinear
from ufm.problem import Problem
from ufm.reduction import merge
from ufm.solve import solve

CLOSED = 2e-13  # times 1 + |f|: a gap at the point that needs no better bound
LARGEST_RELAXATION = 300  # rows and columns of the logits up to which the convex form is solved for a bound


class LowerBound(NamedTuple):
    """A number that f* cannot be below, and how it was found; -inf where nothing is proved."""

    value: float
    method: str


def lower_bound(problem: Problem, point: Point) -> LowerBound:
    """A lower bound on the global minimum, from the point's own logits or, if that leaves a gap, from the convex form.

    Near a global minimum the aligned candidate at the point closes the gap to rounding. Elsewhere F is minimised
    (as the merged problem at d = K, whose landscape is benign) and the bound taken there: it depends on the problem
    only, and the gap is then f - min F. Where d is below the rank of F's minimiser it stays above f* - min F > 0.

    Source:
        T14 and T15, derived for this project; T3's certificate is known from Haeffele and Vidal (CVPR 2017) and
        Zhu et al. (NeurIPS 2021).
    """
    if not problem.loss.convex:
        return LowerBound(-np.inf, "none: the loss is not known to be convex")
    here = local_bound(problem, point)
    size = min(problem.K, problem.C)
    if point.value - here.value <= CLOSED * (1.0 + abs(point.value)) or size > LARGEST_RELAXATION:
        return here
    nu = float(problem.nu)
    relaxed = dataclasses.replace(merge(problem), d=size, lam_W=nu, lam_H=nu, model=Bilinear())
    there = local_bound(relaxed, examine(relaxed, solve(relaxed).params))
    return max(here, there._replace(method=f"convex form, {there.method}"), key=lambda bound: bound.value)


def local_bound(problem: Problem, point: Point) -> LowerBound:
    """The best bound that the numbers at one point give."""
    # Rounding in the sums of a bound: a few units in the last place of numbers of size 1 + |f|.
    rounding = 8 * np.finfo(np.float64).eps * (1.0 + abs(point.value))
    best = LowerBound(0.0, "the loss is not negative")
    for bound in _bounds(problem, point):
        best = max(best, bound, key=lambda b: b.value)
        if best.value >= point.value - rounding:
            break  # closed up to rounding: no other candidate can do better
    return LowerBound(best.value - rounding, best.method)


def _bounds(problem: Problem, point: Point) -> Iterator[LowerBound]:
    loss, lam_b = problem.loss, None if problem.lam_b is None else float(problem.lam_b)
    if loss.rank_bound is not None:
        ranked = loss.rank_bound(
            problem.group_targets(), np.asarray(problem.sizes, float), float(problem.nu), lam_b, problem.d
        )
        yield LowerBound(ranked, f"singular values of the targets at rank <= {problem.d} (T9, T10)")
    if loss.conjugate is not None:
        dual = _Dual(problem)
        for name, A in _candidates(problem, point):
            yield LowerBound(dual.best_multiple(A), f"dual, {name} (T15)")
        if lam_b:  # the smaller lam_b, the dearer what is left of the row sums
            without = dual.best_multiple(_without_sums(class_gradient(problem, point.G), dual.sizes))
            yield LowerBound(without, "dual, gradient without row sums (T15)")
    yield LowerBound(_first_order_bound(problem, point), "first-order (T14)")


def class_gradient(problem: Problem, G: np.ndarray) -> np.ndarray:
    """[K, C] A = [sqrt(n_c) g_c] / N of the group-averaged logit gradient G [K, N]."""
    sizes = np.asarray(problem.sizes)
    if problem.merged:
        return G / np.sqrt(sizes)
    return _class_sums(problem, G) / np.sqrt(sizes)


def _class_sums(problem: Problem, X: np.ndarray) -> np.ndarray:
    starts = np.concatenate([[0], np.cumsum(problem.sizes)[:-1]])
    return np.add.reduceat(X, starts, axis=1)


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
    Z = point.Z if problem.merged else _class_sums(problem, point.Z) / sizes
    Z = Z * np.sqrt(sizes)
    if problem.loss.shift_invariant:
        Z = Z - np.mean(Z, axis=0)
    if problem.lam_b is not None and float(problem.lam_b) == 0.0:
        Z = _without_sums(Z, sizes)
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
    floor = np.maximum(s, np.finfo(np.float64).eps * s[0])
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


def _without_sums(A: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """A (I - v v^T), v = sqrt(sizes / N): the sum over all samples removed. Never raises the spectral norm."""
    v = np.sqrt(sizes / np.sum(sizes))
    return A - np.outer(A @ v, v)


class _Dual:
    """D as a concave function on multiples of a candidate, with the constraints repaired."""

    def __init__(self, problem: Problem) -> None:
        self.loss = problem.loss
        self.sizes = np.asarray(problem.sizes, float)
        self.N = float(problem.N)
        self.targets = problem.group_targets()
        self.nu = float(problem.nu)
        self.lam_b = None if problem.lam_b is None else float(problem.lam_b)

    def best_multiple(self, A: np.ndarray) -> float:
        """max over s of D(s A), A made feasible first; -inf if it cannot be."""
        A = self._feasible(A)
        if not np.all(np.isfinite(A)):
            return -np.inf
        norm = _norm(A)
        if norm == 0.0:
            return self.value(A)
        # At full length the sums are made zero again: lengthening a short A lengthens their rounding too.
        full = self._without_sums(A * (self.nu / norm))
        # The margin covers the rounding of the norm itself.
        top = self.nu / (max(_norm(full), self.nu) * (1.0 + 4 * np.finfo(np.float64).eps))
        multiples = (min(norm / self.nu, top), top, _golden_max(lambda s: self.value(s * full), top))
        return max(self.value(s * full) for s in multiples)

    def value(self, A: np.ndarray) -> float:
        """D at the class-constant Gamma that A stands for."""
        G = self.N * A / np.sqrt(self.sizes)
        bound = -float(np.sum(self.sizes * self.loss.conjugate(G, self.targets))) / self.N
        if self.lam_b:
            bound -= float(np.sum((A @ np.sqrt(self.sizes)) ** 2)) / (2 * self.lam_b)
        return bound

    def _feasible(self, A: np.ndarray) -> np.ndarray:
        """Near A, with the sums that the problem demands, in the conjugate's domain."""
        G = self.loss.repair(self.N * self._without_sums(A) / np.sqrt(self.sizes), self.targets, self.sizes)
        return G * np.sqrt(self.sizes) / self.N

    def _without_sums(self, A: np.ndarray) -> np.ndarray:
        """Column sums zero for shift-invariant losses, row sums zero for a free bias."""
        if self.loss.shift_invariant:
            A = A - np.mean(A, axis=0)
        return _without_sums(A, self.sizes) if self.lam_b == 0.0 else A


def _golden_max(function: Callable[[float], float], top: float) -> float:
    """The maximiser on [0, top] of a concave function that may be -inf at the right end."""
    ratio = (np.sqrt(5.0) - 1) / 2
    low, high = 0.0, top
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    f_left, f_right = function(left), function(right)
    for _ in range(20):  # to 1e-4 of the interval: where the gap closes, the best multiple is an end or A itself
        if f_left >= f_right:
            high, right, f_right = right, left, f_left
            left = high - ratio * (high - low)
            f_left = function(left)
        else:
            low, left, f_left = left, right, f_right
            right = low + ratio * (high - low)
            f_right = function(right)
    return (low + high) / 2
