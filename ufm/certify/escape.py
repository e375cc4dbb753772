"""The way down from a strict saddle: the slack matrix's direction, T5's with decays, and a descent step along it."""

from typing import NamedTuple

import jax
import numpy as np

from ufm.certify.bounds import has_both_decays, local_bound
from ufm.certify.frame import Frame, frame_of
from ufm.certify.point import (
    Point,
    along,
    as_float64,
    dual_ratio,
    examine,
    hessian_product,
    length,
    packing,
    sample_gradient,
    value_at,
)
from ufm.certify.slack import Lowest, lowest_slack, slack_exceeds
from ufm.certify.spectrum import tangent_eigenpair
from ufm.precision import exact, to_host
from ufm.problem import Params, Problem
from ufm.reduction import lift_params, merge

NOTHING = 1e-8  # the length of the tangent part of a unit vector that is rounding
NEAR = 1e-11  # times 1 + |f|: a point proven to be this near to f* is not left


class Escape(NamedTuple):
    """A unit direction and the curvature <D, Hess D> along it, measured by a Hessian-vector product.

    predicted: the exact eigenvalue where a dimension is spare, T5's or the slack matrix's; NaN if the direction is
    of another kind. A direction without a tangent part is zero, and its curvature NaN.
    """

    direction: Params
    curvature: float
    predicted: float


def escape_direction(problem: Problem, point: Point, frame: Frame | None = None) -> Escape:
    """(u e^T, e v^T) with e orthogonal to the rows of W and to the features, (u, v) lowest in the slack matrix.

    Where such an e exists it is an exact eigenvector of the Hessian; elsewhere e is the nearest to that. The curvature
    returned is measured, so it can be trusted anywhere (at a collapsed point, on the group means, where it is the
    same). Only its sign is a claim. Of a deep model it is the lowest direction that Lanczos finds.

    Args:
        frame: `frame_of(problem, point)` where it is known already.
    Source:
        Zhu et al. (NeurIPS 2021), proof of Theorem 3.2, for the direction with decays; the eigenpair, and 1.3 of the
        theory reference for spheres, are derived for this project.
    """
    if problem.model.deep:
        return lanczos_direction(problem, point)
    frame = frame_of(problem, point) if frame is None else frame
    if frame is None:
        return _escape_fixed(problem, point)
    collapsed = frame.collapsed and not problem.merged
    small, at = (frame.problem, frame.point) if frame.collapsed else (problem, point)
    u, v, predicted = _lowest_with_decays(small, at) if problem.euclidean else lowest_slack(small, at)
    assert u is not None, "W rotates, so it moves"
    W, H, b = frame.means if collapsed else point.params
    bias = None if b is None else np.zeros_like(b)
    e, there = frame.spare, merge(problem) if collapsed else problem
    direction, curvature = _measured(
        there, Params(W, H, b), point.ambient, Params(np.outer(u, e), np.outer(e, v), bias)
    )
    return Escape(lift_params(problem, direction) if collapsed else direction, curvature, predicted)


def _escape_fixed(problem: Problem, point: Point) -> Escape:
    """The same where rotations are not free: features alone, a fixed W, features >= 0."""
    W, H, b = point.params
    e = np.linalg.eigh(H @ H.T if W is None else _weight(problem.lam_W) * W.T @ W + _weight(problem.lam_H) * H @ H.T)[1]
    u, v, predicted = lowest_slack(problem, point)
    direction = Params(
        None if u is None else np.outer(u, e[:, 0]), np.outer(e[:, 0], v), None if b is None else np.zeros_like(b)
    )
    direction, curvature = _measured(problem, point.params, point.ambient, direction)
    return Escape(direction, curvature, predicted)


def _weight(lam: float | None) -> float:
    return 1.0 if lam is None else float(lam)


def _lowest_with_decays(problem: Problem, point: Point) -> Lowest:
    """T5: the slack matrix is [[lam_W, tau G], [tau G^T, lam_H]], and its lowest vector lies along G's top pair."""
    lam_W, lam_H = float(problem.lam_W), float(problem.lam_H)
    G = float(problem.tau) * sample_gradient(problem, point)
    # The Gram matrix is K x K however many samples there are; the top singular vector is all that is needed.
    u = np.linalg.eigh(G @ G.T)[1][:, -1]
    image = G.T @ u
    top = float(np.linalg.norm(image))
    v = image / top if top > 0 else np.zeros_like(image)
    angle = 0.5 * np.arctan2(2 * top, lam_H - lam_W)
    value = (lam_W + lam_H) / 2 - float(np.hypot((lam_W - lam_H) / 2, top))
    return Lowest(np.cos(angle) * u, -np.sin(angle) * v, value)


def descend(problem: Problem, params: Params) -> Params | None:
    """A point clearly below a strict saddle at `params`, or None if no direction of negative curvature is found."""
    point = examine(problem, as_float64(params))
    benign = is_benign(problem)
    if benign and dual_ratio(problem, point) < 1.0 + 1e-6:
        return None  # T3: a global minimum
    flat = -1e-6 * problem.stiffness()
    if not has_both_decays(problem):
        if point.value - local_bound(problem, point).value <= NEAR * (1 + abs(point.value)):
            return None
        if problem.rotates and problem.loss.convex and slack_exceeds(problem, point, flat):
            return None  # 1.3: the Hessian of a convex loss is not below the slack matrix
    for direction in (lanczos_direction,) if problem.model.deep else (escape_direction, lanczos_direction):
        escape = direction(problem, point)
        # Where the gradient matters beside the curvature, the point is on a slope, not at a saddle.
        at_saddle = point.grad_length <= -1e-3 * escape.curvature
        if at_saddle and escape.curvature < flat:
            step = _step_down(problem, point, escape.direction)
            if step is not None:
                return step
        if benign:
            return None  # T4: a saddle would have had the first direction
        # 1.3: with a dimension spare the slack matrix has the Hessian's lowest eigenvalue along that direction, and
        # of a convex loss nothing else decides.
        spare = abs(escape.curvature - escape.predicted) <= -flat
        if problem.loss.convex and spare and escape.curvature >= flat:
            return None
    return None


def is_benign(problem: Problem) -> bool:
    """T4: every critical point is a global minimiser or has T5's direction (W with a null vector).

    Its proof does not need class labels: at a critical point of a convex loss the features of a group coincide, so that
    rank H <= C, and d = C is covered as d = K is, with V in the place of U.
    """
    if not (problem.euclidean and problem.loss.convex):
        return False
    free = problem.lam_b is not None and float(problem.lam_b) == 0.0
    least = problem.K - 1 if problem.loss.shift_invariant or free else problem.K
    return problem.d >= min(least, problem.C)


def lanczos_direction(problem: Problem, point: Point) -> Escape:
    """The direction of the smallest Hessian eigenvalue that a Lanczos run finds."""
    pair = tangent_eigenpair(problem, point, steps=200)
    _, unpack = packing(point.params)
    if pair is None:
        return Escape(unpack(np.zeros(problem.dimension())), np.nan, np.nan)
    return Escape(unpack(pair.vector), pair.value, np.nan)


def _measured(problem: Problem, params: Params, ambient: Params, direction: Params) -> tuple[Params, float]:
    """The tangent part of `direction` as a unit vector, and the curvature along it; ambient matters on H >= 0 alone."""
    inside = problem.tangent(params, ambient, direction)
    size = length(inside)
    if size <= NOTHING:
        return jax.tree.map(lambda x: 0.0 * x, direction), np.nan
    unit = jax.tree.map(lambda x: x / size, inside)
    with exact():
        image = to_host(hessian_product(problem.astype(np.float64), as_float64(params), unit))
    return unit, sum(jax.tree.leaves(jax.tree.map(lambda x, y: float(np.sum(x * y)), unit, image)))


def _step_down(problem: Problem, point: Point, direction: Params) -> Params | None:
    """The lowest of the trial points along +-direction, if it is below f by more than rounding."""
    size = length(point.params) + 1.0
    trials = [sign * size * 2.0**-k for k in range(20) for sign in (1, -1)]
    with exact():
        typed = problem.astype(np.float64)
        points = [to_host(along(typed, as_float64(point.params), as_float64(direction), t)) for t in trials]
        values = np.array([float(value_at(typed, p)) for p in points])
    best = int(np.nanargmin(np.where(np.isfinite(values), values, np.nan)))
    return points[best] if values[best] < point.value - 1e-12 * (1.0 + abs(point.value)) else None
