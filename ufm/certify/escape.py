"""The way down from a strict saddle: T5's explicit direction, and a descent step along it."""

from typing import NamedTuple

import numpy as np

from ufm.certify.lanczos import smallest_eigenpair
from ufm.certify.point import (
    Point,
    along,
    as_float64,
    dual_ratio,
    examine,
    hessian_operator,
    hessian_product,
    length,
    packing,
    sample_gradient,
    value_at,
)
from ufm.precision import exact, to_host
from ufm.problem import Params, Problem


class Escape(NamedTuple):
    """A unit direction and the curvature <D, Hess D> along it, measured by a Hessian-vector product.

    predicted: T5's exact eigenvalue (lam_W + lam_H)/2 - sqrt(((lam_W - lam_H)/2)^2 + |G|_2^2); NaN if the direction
    is not T5's.
    """

    direction: Params
    curvature: float
    predicted: float


def escape_direction(problem: Problem, point: Point) -> Escape:
    """T5's direction: x u a^T in W and -y a v^T in H, with W a = 0, H^T a = 0 and (|G|_2, u, v) the top of G.

    At a critical point where such an a exists it is an exact eigenvector of the Hessian; the curvature returned is
    measured, so it can be trusted anywhere. Only its sign is a claim.

    Source:
        Zhu et al. (NeurIPS 2021), proof of Theorem 3.2, for the direction; the eigenpair is derived for this project.
    """
    W, H, b = point.params
    lam_W, lam_H = float(problem.lam_W), float(problem.lam_H)
    G = sample_gradient(problem, point)
    # The Gram matrix is K x K however many samples there are; the top singular vector is all that is needed.
    u = np.linalg.eigh(G @ G.T)[1][:, -1]
    image = G.T @ u
    top = float(np.linalg.norm(image))
    v = image / top if top > 0 else np.zeros_like(image)
    a = np.linalg.eigh(lam_W * W.T @ W + lam_H * H @ H.T)[1][:, 0]
    angle = 0.5 * np.arctan2(2 * top, lam_H - lam_W)
    D = Params(np.cos(angle) * np.outer(u, a), -np.sin(angle) * np.outer(a, v), None if b is None else np.zeros_like(b))
    predicted = (lam_W + lam_H) / 2 - np.hypot((lam_W - lam_H) / 2, top)
    return Escape(D, _curvature_along(problem, point.params, D), predicted)


def descend(problem: Problem, params: Params) -> Params | None:
    """A point clearly below a strict saddle at `params`, or None if no direction of negative curvature is found."""
    point = examine(problem, Params(*[None if x is None else np.asarray(x, np.float64) for x in params]))
    if is_benign(problem) and dual_ratio(problem, point) < 1.0 + 1e-6:
        return None  # T3: a global minimum
    for direction in (escape_direction, lanczos_direction) if problem.euclidean else (lanczos_direction,):
        escape = direction(problem, point)
        # Where the gradient matters beside the curvature, the point is on a slope, not at a saddle.
        at_saddle = length(point.grad) <= -1e-3 * escape.curvature
        if at_saddle and escape.curvature < -1e-6 * problem.stiffness():
            step = _step_down(problem, point, escape.direction)
            if step is not None:
                return step
        if is_benign(problem):
            return None  # T4: a saddle would have had the first direction
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
    product, dimension = hessian_operator(problem, point.params)
    pair = smallest_eigenpair(product, dimension, steps=200)
    _, unpack = packing(point.params)
    return Escape(unpack(pair.vector), pair.value, np.nan)


def _curvature_along(problem: Problem, params: Params, direction: Params) -> float:
    with exact():
        image = to_host(hessian_product(problem.astype(np.float64), as_float64(params), as_float64(direction)))
    return sum(float(np.sum(x * y)) for x, y in zip(direction, image, strict=True) if x is not None)


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
