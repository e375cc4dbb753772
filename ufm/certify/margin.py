"""A lower bound for losses of the margin, convex or not: T12's argument in one dimension (focal loss)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy

from ufm.certify.minorant import EPS, LowerBound
from ufm.certify.point import Point
from ufm.problem import Problem

WIDEST = 60.0  # margins within which the slope of phi has its least value (beyond, it has reached its limit -1)


def margin_bound(problem: Problem, point: Point) -> LowerBound:
    """min over m of phi(m) + C m, phi(m) <= loss at the margin m, C = (K - 1) sqrt(n lam_W lam_H) / tau; any d.

    Let m_i = z_y - mean of the other logits. AM-GM sample by sample gives decays >= (C/N) sum_i |m_i - (margin of b)|,
    and in balanced classes the margins of b have mean zero. So without bias f* >= min over m >= 0; with a bias
    |x| >= s x / C for 0 <= s <= C gives f* >= inf over all real m of phi(m) + s m. That is attained (T13) for s = C < 1
    and, at m = 0, for s = -phi'(0) <= 1: the proven region, to which this bound is restricted.

    Source:
        T12 and T13, derived for this project after Zhou et al. (NeurIPS 2022, arXiv 2210.02192).
    """
    model, sizes = problem.model, problem.sizes
    if not (model.classifier and problem.coercive):
        return LowerBound(-np.inf, "none: for a loss that is not convex it needs decay on W and H")
    if problem.targets is not None or len(set(sizes)) > 1:
        return LowerBound(-np.inf, "none: for a loss that is not convex it needs balanced classes")
    C = (problem.K - 1) * float(sizes[0] ** 0.5 * problem.nu)
    if problem.lam_b is None:
        return LowerBound(_least(problem, C, 0.0), "one-dimensional, over margins (T12)")
    at_zero = -float(problem.loss.margin_slope(np.zeros(1), problem.K)[0])
    slopes = [slope for slope in (C, at_zero) if slope <= C and slope < 1.0 - 1e-9]
    if not slopes:
        return LowerBound(-np.inf, "none: this loss with a bias and decays this large is not covered (T13)")
    return LowerBound(max(_least(problem, s, -np.inf) for s in slopes), "one-dimensional, over margins (T13)")


def _least(problem: Problem, C: float, low: float) -> float:
    """A number below phi(m) + C m for every m >= low, up to rounding (which it allows for) its infimum.

    phi is concave up to one margin and convex beyond it (see ufm.losses), so that the infimum is at `low` or at the
    last zero of the derivative, which the convex part has in a bracket.
    """

    def phi(m: float) -> float:
        return float(problem.loss.margin_bound(np.array([m]), problem.K)[0])

    def derivative(m: float) -> float:
        return C + float(problem.loss.margin_slope(np.array([m]), problem.K)[0])

    candidates = [] if low == -np.inf else [phi(low) + C * low - 8 * EPS * (1.0 + phi(low) + C * abs(low))]
    steepest = _argmin(derivative, -WIDEST, WIDEST)
    if derivative(steepest) < 0.0:
        high = max(1.0, steepest + 1.0)
        while derivative(high) <= 0.0:
            high = 2.0 * high
        root = _zero(derivative, steepest, high)
        if root > low:
            # Within the error of the search the function moves by no more than its derivative allows.
            error = abs(derivative(root)) * (2e-13 + 8 * EPS * abs(root)) + 8 * EPS * (1.0 + phi(root) + C * abs(root))
            candidates.append(phi(root) + C * root - error)
    return min(candidates) if candidates else -np.inf


def _zero(function: Callable[[float], float], low: float, high: float) -> float:
    found: Any = scipy.optimize.brentq(function, low, high, xtol=1e-13)
    return float(found)


def _argmin(function: Callable[[float], float], low: float, high: float) -> float:
    """The minimiser of a function that falls to one least value and then rises, by golden sections."""
    ratio = (np.sqrt(5.0) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    f_left, f_right = function(left), function(right)
    for _ in range(60):
        if f_left <= f_right:
            high, right, f_right = right, left, f_left
            left = high - ratio * (high - low)
            f_left = function(left)
        else:
            low, left, f_left = left, right, f_right
            right = low + ratio * (high - low)
            f_right = function(right)
    return (low + high) / 2
