"""Bounds of f - f* from one point: by its gradient (T14), by duality (T15)."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

import theory
from ufm.certify.duality import local_bound
from ufm.certify.point import dual_ratio, examine
from ufm.start import perturb
from ufm.verify import by_hand
from ufm.verify.by_hand import Draw
from ufm.verify.claim import AtMost, Claim, Measurement
from ufm.verify.claims.balanced.draws import SCALES, draws, minimum, nontrivial, points, predicted_minimum
from ufm.verify.experiment import EPS, ROUNDING


def penalised(full: bool) -> Iterable[Draw]:
    """T14 has no bound for a free bias. Random points on both sides of |G|_2 = nu, and near the minimum."""
    for draw in draws(full):
        if draw.lam_b != 0.0:
            yield from (draw._replace(key=1, scale=scale) for scale in SCALES)
            yield draw._replace(key=1, scale=0.5, lam_W=50 * draw.lam_W, lam_H=50 * draw.lam_H)


def measure_first_order(draw: Draw) -> Measurement:
    """T14's bound from the gradient that `ufm` gives, and f - f*."""
    problem, point = draw.problem, draw.point()
    there = examine(problem, point)
    bound = (np.sum(point.W * there.grad.W) + np.sum(point.H * there.grad.H)) / 2
    if point.b is not None:
        bound += np.sum(there.grad.b**2) / (2 * float(problem.lam_b))
    excess = max(dual_ratio(problem, there) - 1.0, 0.0)
    bound += excess * there.value
    best = minimum(draw._replace(key=0, scale=1.0))
    if best.failure:
        return Measurement(failure=best.failure)
    values = {"bound": float(bound), "f - f*": there.value - best.certified.value}
    rounding = ROUNDING * by_hand.size(point) * (1.0 + there.value) / min(1.0, float(problem.nu))
    return Measurement(values, {"bound": rounding, "f - f*": 0.0})


def predict_first_order(draw: Draw) -> Mapping[str, Any]:
    """`theory`'s bound, which f - f* does not exceed."""
    point = draw.point()
    bound = theory.certificates.gap_bound(
        W=point.W,
        H=point.H,
        G=by_hand.logit_gradient(draw, point),
        value=by_hand.value(draw, point),
        lam_W=draw.lam_W,
        lam_H=draw.lam_H,
        b=point.b,
        lam_b=draw.lam_b,
    )
    return {"bound": bound, "f - f*": AtMost(bound)}


def measure_dual(draw: Draw) -> Measurement:
    """The dual bounds at random points, and at the minimum."""
    found = minimum(draw)
    if found.failure:
        return Measurement(failure=found.failure)
    problem = draw.problem
    bounds = [local_bound(problem, examine(problem, other.point())).value for other in points(draw, 20)]
    values = {"bounds": np.array(bounds), "bound at the minimum": found.certified.lower_bound}
    return Measurement(values, {"bounds": 0.0, "bound at the minimum": 32 * EPS * (1.0 + found.certified.value)})


def predict_dual(draw: Draw) -> Mapping[str, Any]:
    """None is above f*, and the last one reaches it."""
    value = predicted_minimum(draw)
    return {"bounds": AtMost(value), "bound at the minimum": value}


def measure_order(draw: Draw) -> Measurement:
    """log2 of how much f - f* and the gap of the dual bound fall as the distance from the minimum is halved."""
    found = minimum(draw)
    if found.failure:
        return Measurement(failure=found.failure)
    problem = draw.problem
    above, gaps = [], []
    for scale in (2e-4, 1e-4):
        there = examine(problem, perturb(problem, found.params, 1, scale))
        above.append(there.value - found.certified.value)
        gaps.append(there.value - local_bound(problem, there).value)
    orders = {
        "order of f - f*": math.log2(above[0] / above[1]),
        "order of the gap": math.log2(gaps[0] / gaps[1]),
        "gap / (f - f*)": gaps[1] / above[1],
    }
    # The cubic terms are smaller by the scale times third derivatives over second ones, here below 50.
    return Measurement(orders, {"order of f - f*": 1e-2, "order of the gap": 1e-2, "gap / (f - f*)": 0.0})


def predict_order(draw: Draw) -> Mapping[str, Any]:
    """Second order both, the gap not much above what it bounds."""
    return {"order of f - f*": 2.0, "order of the gap": 2.0, "gap / (f - f*)": AtMost(1.5)}


CLAIMS = (
    Claim(
        "T14",
        "f - f* is bounded by one gradient: <G, Z> + decays + |G 1 + lam_b b|^2 / (2 lam_b) + (|G|_2 - nu)_+ f / nu.",
        "derived for this project",
        "a convex loss >= 0; lam_b > 0 or no bias",
        "32 eps (1 + f) (1 + |W|^2 + |H|^2), divided by nu as the last term is",
        penalised,
        measure_first_order,
        predict_first_order,
    ),
    Claim(
        "T15",
        "Weak duality: at no point is the dual bound above f*, and at the minimum it is f*.",
        "derived for this project (Fenchel duality of the convex form)",
        "a convex loss, any point",
        "none at random points (the bound has its own margin, 8 eps (1 + f)); 32 eps (1 + f) at the minimum",
        draws,
        measure_dual,
        predict_dual,
    ),
    Claim(
        "T15-order",
        "The aligned dual gap falls with the square of the distance, as f - f* does, and stays near it.",
        "derived for this project",
        "a convex loss, a minimum that is not zero",
        "1e-2 in the order at distances of 1e-4: cubic terms",
        nontrivial,
        measure_order,
        predict_order,
    ),
)
