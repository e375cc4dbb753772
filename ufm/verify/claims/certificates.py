"""What a point proves about the global minimum: the convex form (T2), T3's test, the bounds T14 and T15."""

import functools
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
from ufm.verify.claim import AtLeast, AtMost, Claim, Measurement
from ufm.verify.experiment import EPS, ROUNDING, Settled, settle

# Equal class sizes, so that `theory` knows f*: nontrivial minima, and one that is W = H = 0.
DRAWS = (
    Draw(4, 2, 6, 0.02, 0.03, 0.01, 0.0),
    Draw(4, 2, 6, 0.01, 0.05, 0.3, 0.1),
    Draw(4, 2, 6, 0.3, 0.1, 0.1, 0.2),
    Draw(4, 2, 6, 0.04, 0.01, 0.0, 0.1),
    Draw(4, 2, 6, 0.02, 0.05, None, 0.0),
    Draw(4, 2, 6, 0.02, 0.03, 0.2, None),
    Draw(4, 2, 6, 0.01, 0.05, 2.0, None),
)
SCALES = (0.1, 1.0, 3.0)


def draws(full: bool) -> Iterable[Draw]:
    """Every bias mode, smoothing and squares; more decays."""
    yield from DRAWS
    if full:
        for draw in DRAWS:
            for factor in (1e-3, 0.1, 0.5, 2.0):
                yield draw._replace(lam_W=factor * draw.lam_W, lam_H=factor * draw.lam_H)


@functools.cache
def minimum(draw: Draw) -> Settled:
    """From a random start."""
    return settle(draw.problem)


def predicted_minimum(draw: Draw) -> float:
    """f* of T7 or T8."""
    if draw.smoothing is None:
        return theory.mse.global_minimum(**draw.arguments).value
    return theory.cross_entropy.global_minimum(**draw.arguments, smoothing=draw.smoothing).value


def points(draw: Draw, count: int) -> Iterable[Draw]:
    """The draw at other seeds and scales."""
    return (draw._replace(key=key, scale=scale) for key in range(count) for scale in SCALES)


def measure_convex_form(draw: Draw) -> Measurement:
    """lam_W/2 |W|^2 + lam_H/2 |H|^2 less nu |W H|_* at random points, nu |Z|_* and Z of one, and f's least gap."""
    found = minimum(draw)
    if found.failure:
        return Measurement(failure=found.failure)
    excess = []
    for other in points(draw, 10):
        W, H, _ = other.point()
        decays = by_hand.decay(other.point()._replace(b=None), draw.lam_W, draw.lam_H, None)
        excess.append((decays - nuclear(draw, W @ H)) / decays)
    Z = draw.point().W @ draw.point().H
    size = float(np.linalg.norm(Z))
    value = found.certified.value
    values = {"excess": min(excess), "decay": nuclear(draw, Z), "logits": Z, "balance": 0.0, "gap": value}
    values["gap"] = found.certified.gap
    tolerances = {
        "excess": ROUNDING,
        "decay": ROUNDING * size,
        "logits": ROUNDING * size,
        "balance": ROUNDING * size,
        "gap": 32 * EPS * (1.0 + value),
    }
    return Measurement(values, tolerances)


def nuclear(draw: Draw, Z: np.ndarray) -> float:
    """nu |Z|_*."""
    return float(draw.problem.nu) * float(np.sum(np.linalg.svd(Z, compute_uv=False)))


def predict_convex_form(draw: Draw) -> Mapping[str, Any]:
    """The inequality, the factors that attain it, and min f = min F."""
    W, H, _ = draw.point()
    factors = theory.frames.balanced_factors(W @ H, draw.d, draw.lam_W, draw.lam_H)
    point = draw.point()._replace(W=factors[0], H=factors[1], b=None)
    balance = draw.lam_W * factors[0].T @ factors[0] - draw.lam_H * factors[1] @ factors[1].T
    return {
        "excess": AtLeast(0.0),
        "decay": by_hand.decay(point, draw.lam_W, draw.lam_H, None),
        "logits": factors[0] @ factors[1],
        "balance": float(np.linalg.norm(balance)),
        "gap": AtMost(0.0),
    }


def measure_ratio(draw: Draw) -> Measurement:
    """The singular values of G / nu at the minimum, the K-1 largest."""
    found = minimum(draw)
    if found.failure:
        return Measurement(failure=found.failure)
    problem = found.problem
    G = examine(problem, found.params).G
    ratios = np.linalg.svd(G, compute_uv=False)[: draw.K - 1] / float(problem.nu)
    # G changes by at most |Z - Z*| / N.
    tolerance = found.allowance(float(np.max(ratios))) / (float(problem.nu) * problem.N)
    values = {"ratios": ratios, "ratio": found.certified.dual_ratio}
    return Measurement(values, dict.fromkeys(values, tolerance))


def predict_ratio(draw: Draw) -> Mapping[str, Any]:
    """1 where W H is not zero, threshold / kappa < 1 where it is."""
    sizes = {"K": draw.K, "n": draw.n, "lam_W": draw.lam_W, "lam_H": draw.lam_H}
    if draw.smoothing is None:
        kappa, threshold = theory.mse.kappa(**sizes), theory.mse.collapse_threshold()
    else:
        kappa = theory.cross_entropy.kappa(**sizes)
        threshold = theory.cross_entropy.collapse_threshold(smoothing=draw.smoothing)
    ratio = min(1.0, threshold / kappa)
    return {"ratios": np.full(draw.K - 1, ratio), "ratio": ratio}


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


def nontrivial(full: bool) -> Iterable[Draw]:
    """Draws whose minimum is not zero."""
    return (draw for draw in draws(full) if draw.K * math.sqrt(float(draw.sizes[0]) * draw.lam_W * draw.lam_H) < 0.7)


CLAIMS = (
    Claim(
        "T2",
        "lam_W/2 |W|^2 + lam_H/2 |H|^2 >= nu |W H|_*, with equality for balanced factors; min f = min of that form.",
        "known (variational form of the nuclear norm); Haeffele and Vidal (CVPR 2017)",
        "a convex loss; d >= rank of the convex form's minimiser for the last part",
        "32 eps of the size of Z; 32 eps (1 + f) for the gap, of which the bound's own margin takes 8",
        draws,
        measure_convex_form,
        predict_convex_form,
    ),
    Claim(
        "T3",
        "At a global minimum |G|_2 = nu with K-1 equal singular values, and |G|_2 = nu threshold / kappa at W = H = 0.",
        "Haeffele and Vidal (CVPR 2017), Zhu et al. (NeurIPS 2021); the singular values derived for this project",
        "a convex loss, equal class sizes",
        "the allowance of the logits divided by nu N, the Lipschitz constant of G / nu",
        draws,
        measure_ratio,
        predict_ratio,
    ),
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
