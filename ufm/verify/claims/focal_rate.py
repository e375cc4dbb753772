"""The focal loss as a function of the margin, and where its rate peaks (T13)."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

import theory
from ufm.certify.point import examine, hessian_operator, packing
from ufm.losses.cross_entropy import Focal
from ufm.problem import Params, Problem
from ufm.verify.claim import Claim, Measurement
from ufm.verify.experiment import EPS, ROUNDING
from ufm.verify.ray import on_ray, root

GAMMAS = (0.5, 1.0, 2.0, 3.0, 5.0)
MARGINS = (-5.0, -1.0, 0.0, 0.7, 3.0, 9.0)
SOURCE = "derived for this project"


def losses_on_ray(gamma: float, margin: float) -> tuple[float, float, float]:
    """(phi, -phi', phi'') at the margin: value, gradient and Hessian of the model without decay, along its features."""
    problem = Problem(4, 2, 5, 0.0, 0.0, 0.0, Focal(gamma))
    params = on_ray(problem, margin)
    unit = on_ray(problem, 1.0).H * (on_ray(problem, 1.0).W[0, 0] / params.W[0, 0])
    point = examine(problem, params)
    product, _ = hessian_operator(problem, params)
    direction = packing(params)[0](Params(np.zeros_like(params.W), unit, np.zeros(problem.K)))
    return point.value, -float(np.sum(point.grad.H * unit)), float(direction @ product(direction))


def rate_settings(full: bool) -> Iterable[float]:
    """Exponents, 0 and between."""
    yield from (0.0, *GAMMAS)
    if full:
        yield from (0.01, 0.1, 0.3, 1.5, 8.0, 20.0)


def measure_rate(gamma: float) -> Measurement:
    """phi, its slope and its second derivative at margins of both signs."""
    found = np.array([losses_on_ray(gamma, margin) for margin in MARGINS]).T
    values: dict[str, Any] = dict(zip(("loss", "rate", "curvature"), found, strict=True))
    # Sums of terms of the size of their largest, gamma^2 for the second derivative.
    sizes = (1.0 + np.max(np.abs(found[0])), 2.0 + gamma, (1.0 + gamma) ** 2)
    return Measurement(values, {name: ROUNDING * size for name, size in zip(values, sizes, strict=True)})


def predict_rate(gamma: float) -> Mapping[str, Any]:
    """The closed forms."""
    margins, focal = np.array(MARGINS), theory.focal
    return {
        "loss": focal.margin_loss(margins, K=4, gamma=gamma),
        "rate": focal.rate(margins, K=4, gamma=gamma),
        "curvature": focal.curvature(margins, K=4, gamma=gamma),
    }


def peak_settings(full: bool) -> Iterable[tuple[float, float]]:
    """Exponents with p0 to four digits; where the reference has .0579 it rounded .05785 again."""
    return zip(GAMMAS, (0.0177, 0.0432, 0.0578, 0.0575, 0.0502), strict=True)


def measure_peak(setting: tuple[float, float]) -> Measurement:
    """The margin at which the second derivative of the loss changes its sign, as a probability too; the rate there."""
    gamma, _ = setting

    def curvature(margin: float) -> float:
        return losses_on_ray(gamma, margin)[2]

    margin = root(curvature, -6.0, 0.0)
    p = 1.0 / (1.0 + 3.0 * math.exp(-margin))
    slope = (curvature(margin + 1e-4) - curvature(margin - 1e-4)) / 2e-4
    values = {
        "margin": margin,
        "p0": p,
        "p0 to four digits": round(p, 4),
        "largest rate": losses_on_ray(gamma, margin)[1],
        "least K": math.floor(1.0 / p) + 1,
    }
    error = ROUNDING * (1.0 + gamma) ** 2 / abs(slope)  # of the margin: rounding of what is zero there
    rate = ROUNDING * (2.0 + gamma)
    return Measurement(values, {"margin": ROUNDING + error, "p0": 4 * EPS + p * error, "largest rate": rate})


def predict_peak(setting: tuple[float, float]) -> Mapping[str, Any]:
    """p0, the peak, and the least number of classes with 1/K < p0."""
    gamma, digits = setting
    return {
        "margin": theory.focal.peak_margin(K=4, gamma=gamma),
        "p0": theory.focal.peak_probability(gamma=gamma),
        "p0 to four digits": digits,
        "largest rate": theory.focal.peak_rate(gamma=gamma),
        "least K": theory.focal.least_bistable_K(gamma=gamma),
    }


CLAIMS = (
    Claim(
        "T13-rate",
        "Focal loss as a function of the margin: its value, its rate -phi' and its curvature, at margins of any sign.",
        "derived for this project",
        "equal wrong logits, gamma >= 0",
        "32 eps times the terms' size: 1 + phi, 2 + gamma, (1 + gamma)^2",
        rate_settings,
        measure_rate,
        predict_rate,
    ),
    Claim(
        "T13-peak",
        "The rate of the focal loss is not monotone: it peaks at a p0 that is above 1/K from K = floor(1/p0)+1 on.",
        "derived for this project",
        "gamma > 0",
        "32 eps (1 + gamma)^2 over the slope of phi'' for the root; the peak itself is flat",
        peak_settings,
        measure_peak,
        predict_peak,
        boundary=True,
    ),
)
