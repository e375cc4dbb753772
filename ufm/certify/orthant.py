"""A lower bound for features that are not negative: duality, with a condition weaker than a spectral norm.

With H >= 0 the infimum of <A, tau W H> + lam_W/2 |W|^2 + lam_H/2 |H|^2 is zero if nu^2 I - A^T A is copositive, which
it is as the sum of a positive semidefinite matrix and one with entries >= 0. These entries are taken from where A^T A
is negative off the diagonal: at orthogonal class means (3.7 of the theory reference) that is everywhere, so that the
bound asks |A_c| <= nu of every column and closes at that minimum, balanced or not.
"""

from collections.abc import Iterator

import numpy as np

from ufm.certify.minorant import EPS, Dual, LowerBound, class_gradient, class_sums, supporting
from ufm.certify.point import Point
from ufm.problem import Problem

LARGEST = 2000  # groups beyond which no bound is computed


def orthant_bound(problem: Problem, point: Point) -> LowerBound:
    """The best of a few feasible A near the logit gradient of the point, for decays and a convex loss.

    Source:
        Derived for this project; 3.7 of the theory reference for the minimum (Dang et al., arXiv 2401.02058).
    """
    if problem.C > LARGEST:
        return LowerBound(-np.inf, f"none: more than {LARGEST} groups")
    rounding = 8 * EPS * (1.0 + abs(point.value))
    method = "dual over non-negative features (3.7)"
    if problem.loss.conjugate is None:
        minorant = supporting(problem, point)
        if minorant is None:
            return LowerBound(-np.inf, "none: a free bias needs the conjugate of the loss")
        return LowerBound(_share(problem, minorant.A) * minorant.constant - minorant.noise, method)
    dual, best = Dual(problem), -np.inf
    for candidate in _candidates(problem, point):
        A = dual.feasible(candidate)
        if np.all(np.isfinite(A)):
            best = max(best, dual.value(_share(problem, A) * A))
    return LowerBound(best - rounding, method)


def _candidates(problem: Problem, point: Point) -> Iterator[np.ndarray]:
    """The gradient; its columns cut at nu; those of features that are not zero turned against their logits."""
    A, nu = class_gradient(problem, point.G), float(problem.nu)
    norms = np.linalg.norm(A, axis=0)
    clipped = A * np.minimum(1.0, nu / np.where(norms > 0.0, norms, np.inf))
    Z = point.Z if problem.merged else class_sums(problem, point.Z)
    Z = Z - np.mean(Z, axis=0) if problem.loss.shift_invariant else Z
    sizes = np.linalg.norm(Z, axis=0)
    used = sizes > 1e-6 * np.max(sizes)
    yield A
    yield clipped
    yield np.where(used, -nu * Z / np.where(used, sizes, 1.0), clipped)


def _share(problem: Problem, A: np.ndarray) -> float:
    """The largest s <= 1 with nu^2 I - s^2 A^T A copositive by this argument."""
    gram = A.T @ A
    kept = np.where(np.eye(len(gram), dtype=bool), gram, np.maximum(gram, 0.0))
    reach = np.sqrt(max(float(np.linalg.eigvalsh(kept)[-1]), 0.0))
    reach = min(reach, float(np.linalg.norm(A, 2))) * (1.0 + 4 * EPS * np.sqrt(len(gram)))
    nu = float(problem.nu)
    return 1.0 if reach <= nu else nu / reach
