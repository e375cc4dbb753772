"""The lower bound that a model and a loss admit, from the numbers at one point."""

import numpy as np

from ufm.certify.deep import deep_bound
from ufm.certify.duality import local_bound as duality_bound
from ufm.certify.fixed import fixed_bound
from ufm.certify.margin import margin_bound
from ufm.certify.minorant import LowerBound
from ufm.certify.orthant import orthant_bound
from ufm.certify.point import Point
from ufm.certify.slack import slack_bound
from ufm.problem import Problem
from ufm.spaces import Fixed, Nonnegative

CLOSED = 5e-13  # times 1 + |f|: a gap at the point that needs no better bound


def local_bound(problem: Problem, point: Point) -> LowerBound:
    """The best bound on f* that the numbers at one point give; -inf with the reason where nothing is proved.

    decay on W and H, convex loss        duality (T14, T15), for H >= 0 as well, where it is joined by a sharper one
    other spaces, features alone         the slack matrix (1.3)
    W fixed                              the tangent plane over the features
    focal loss                           one dimension (T12, T13)
    deep models                          singular values (squared loss, exact for linear layers), or the mean margin
    """
    if problem.model.deep:
        return max(LowerBound(0.0, "the loss is not negative"), deep_bound(problem), key=lambda bound: bound.value)
    if not problem.loss.convex:
        if problem.loss.margin_bound is not None:
            return margin_bound(problem, point)
        return LowerBound(-np.inf, "none: the loss is not known to be convex")
    trivial = LowerBound(0.0, "the loss is not negative")
    return max(trivial, *_bounds(problem, point), key=lambda bound: bound.value)


def is_closed(point: Point, bound: LowerBound) -> bool:
    """Whether the bound reaches f as far as rounding lets it."""
    return point.value - bound.value <= CLOSED * (1.0 + abs(point.value))


def has_both_decays(problem: Problem) -> bool:
    """One W and H that both decay: with free or non-negative entries, but no fixed norms."""
    return problem.model.classifier and problem.coercive and not problem.model.deep


def _bounds(problem: Problem, point: Point) -> list[LowerBound]:
    model = problem.model
    if not has_both_decays(problem):
        return [fixed_bound(problem, point) if isinstance(model.W, Fixed) else slack_bound(problem, point)]
    # H >= 0 only takes points away.
    bounds = [duality_bound(problem, point)]
    return [*bounds, orthant_bound(problem, point)] if isinstance(model.H, Nonnegative) else bounds
