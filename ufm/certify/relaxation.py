"""The lower bound on the global minimum: from the point itself or, if that leaves a gap, from a relaxation."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from ufm.certify.bounds import has_both_decays, is_closed, local_bound
from ufm.certify.frame import Frame, frame_of
from ufm.certify.minorant import LowerBound
from ufm.certify.point import Point, examine
from ufm.models import Bilinear
from ufm.problem import Params, Problem
from ufm.reduction import merge
from ufm.solve import solve
from ufm.spaces import Fixed, Nonnegative

LARGEST = 300  # rows and columns of the logits up to which a relaxation is solved for a bound
LARGEST_ALONE = 60  # samples of features alone up to which it is


def lower_bound(problem: Problem, point: Point, frame: Callable[[], Frame | None] | None = None) -> LowerBound:
    """A lower bound on the global minimum.

    Near a global minimum the candidates at the point close the gap to rounding. Elsewhere the problem is solved where
    its landscape is benign, with one column a group and as many dimensions as that takes, and the bound is taken
    there: it depends on the problem only. Where d is below the rank of that minimum a gap remains, and likewise on
    spheres that ask for it. A bound is rigorous wherever it is taken: how the solve ends does not matter.

    Args:
        frame: tells `frame_of(problem, point)`, for those who need it as well.
    """
    best = local_bound(problem, point)
    if is_closed(point, best) or not problem.loss.convex or problem.model.deep:  # deep: the best is the same anywhere
        return best
    known = frame_of(problem, point) if frame is None else frame()
    for name, relaxed, start in _relaxations(problem, known):
        solution = solve(relaxed, start=start, gtol=1e-12 if has_both_decays(problem) else 1e-14)
        if not np.isfinite(solution.value):
            continue
        there = local_bound(relaxed, examine(relaxed, solution.params))
        best = max(best, there._replace(method=f"{name}, {there.method}"), key=lambda bound: bound.value)
    return best


def _relaxations(problem: Problem, frame: Frame | None) -> Iterator[tuple[str, Problem, Params | None]]:
    """Problems whose minimum is at most f*, each with a start that leads to it (None: any)."""
    model, size = problem.model, min(problem.K, problem.C)
    if not model.classifier:
        if problem.N <= LARGEST_ALONE:
            # At rank <= K a spare dimension is left, in which any critical point but the minimum has a way down.
            yield "semidefinite relaxation", dataclasses.replace(problem, d=min(problem.N, problem.K + 2)), None
        return
    if size > LARGEST:
        return
    merged = merge(problem)
    if has_both_decays(problem):
        nu = float(problem.nu)
        convex = dataclasses.replace(merged, d=size, lam_W=nu, lam_H=nu, model=Bilinear())
        yield "convex form", convex, None
        if isinstance(model.H, Nonnegative) and problem.C <= LARGEST:
            yield "non-negative features", dataclasses.replace(merged, d=problem.C), _orthogonal(merged)
    elif isinstance(model.W, Fixed):
        yield "one feature a group", merged, None
    else:
        # Critical points have rank <= min(K, C) (unless a multiplier is zero), so that a spare dimension is left.
        yield "semidefinite relaxation", dataclasses.replace(merged, d=size + 1), _padded(frame, size + 1)


def _padded(frame: Frame | None, d: int) -> Params | None:
    """The collapsed point in d dimensions: beside the relaxed minimum if it is one, and otherwise left by the solve."""
    if frame is None or not frame.collapsed or frame.problem.d > d:
        return None
    W, H, b = frame.point.params
    more = (0, d - frame.problem.d)
    return frame.problem.project(Params(np.pad(W, ((0, 0), more)), np.pad(H, (more, (0, 0))), b))


def _orthogonal(problem: Problem) -> Params:
    """One non-negative direction a group, and the classifier that fits it."""
    Y = problem.group_targets()
    bias = None if problem.lam_b is None else np.zeros(problem.K)
    return Params(Y - np.mean(Y, axis=0), np.eye(problem.C), bias)
