"""A lower bound where the classifier W is given: the problem is convex in H, and the infimum over H is exact."""

import numpy as np

from ufm.certify.minorant import EPS, LowerBound, supporting
from ufm.certify.point import Point
from ufm.problem import Problem
from ufm.reduction import merge


def fixed_bound(problem: Problem, point: Point) -> LowerBound:
    """constant + inf over the features of <tau W^T A, H> + lam_H/2 |H|^2, constant + <A, Z> below the convex loss.

    With decay it is within |grad_H f|^2 / (2 lam_H) of f, by strong convexity; on spheres and budgets it is the
    Frank-Wolfe bound over the ball, which the sphere's minimum attains if no feature would rather be shorter.

    Source:
        Derived for this project; 8 of the theory reference for its closed forms.
    """
    minorant = supporting(problem, point)
    if minorant is None:
        return LowerBound(-np.inf, "none: a free bias needs the conjugate of the loss")
    slope = float(problem.tau) * point.params.W.T @ minorant.A
    lam_H = float(problem.lam_H) if problem.model.H.decays else None
    least = problem.model.H.least(slope, lam_H, merge(problem).columns()[1])
    value = minorant.constant + least - minorant.noise - 8 * EPS * abs(least)
    return LowerBound(value if np.isfinite(value) else -np.inf, "tangent plane over the features (convex in H)")
