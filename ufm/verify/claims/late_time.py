"""Gradient flow on cross-entropy without decay, late: the rates of 6.2 from random starts, exactly on the ray."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.certify.point import examine
from ufm.flow import gradient_flow
from ufm.problem import Params, Problem
from ufm.start import random_start
from ufm.verify.claim import Claim, Measurement
from ufm.verify.experiment import ROUNDING

LOG_T = 584.0
RTOL = 1e-9


class Late(NamedTuple):
    """Class sizes, and L t log t at LOG_T as the theory reference prints it."""

    n: tuple[int, ...]
    stated: str


def measure_late(setting: Late) -> Measurement:
    """L t log t, (|W|^2 + |H|^2)/log t and the smallest margin over half of that norm, at LOG_T from a random start."""
    K = len(setting.n)
    problem = Problem(K, setting.n, K, 0.0, 0.0)
    flow = gradient_flow(problem, random_start(problem), [math.exp(LOG_T)], rtol=RTOL, atol=RTOL / 10)
    W, H = flow.params.W[0], flow.params.H[0]
    Z, labels = W @ H, problem.labels
    lead = Z[labels, np.arange(problem.N)] - Z
    norm_sq = float(np.sum(W**2) + np.sum(H**2))
    loss = math.exp(math.log(float(flow.value[0])) + LOG_T + math.log(LOG_T))
    margin = float(np.min(lead[labels[None, :] != np.arange(K)[:, None]]))
    values = {"loss": loss, "norm_sq": norm_sq / LOG_T, "margin": margin / (norm_sq / 2.0)}
    # One order beyond the leading one: log log t / log t.
    reach = {name: 2.0 * math.log(LOG_T) / LOG_T * value for name, value in values.items()}
    last_digit = 10.0 ** -len(setting.stated.partition(".")[2])
    return Measurement({**values, "digits": loss}, {**reach, "digits": 0.51 * last_digit})


def predict_late(setting: Late) -> Mapping[str, Any]:
    """The limits."""
    rates = theory.seli.rates(K=len(setting.n), n=setting.n)
    return {**rates._asdict(), "digits": float(setting.stated)}


class OnRay(NamedTuple):
    """K classes of n samples on the balanced ray, at a margin where e^-a is nothing beside 1."""

    K: int
    n: int
    a: float


def measure_ray(setting: OnRay) -> Measurement:
    """The same three numbers, with log t in its leading form a, and t in the exact L a/(da/dt) = L t a.

    dt = (V/2) da/(a L) with L = (K-1) e^-a, so that L t a goes to L a/(da/dt) = V/2.
    """
    K, n, a = setting
    P, c = np.eye(K) - 1.0 / K, math.sqrt(a * math.sqrt(n))
    params = Params(c * P, np.repeat(c * P / math.sqrt(n), n, axis=1), None)
    point = examine(Problem(K, n, K, 0.0, 0.0), params)
    speed = -(point.grad.W @ params.H + params.W @ point.grad.H)
    norm_sq = float(np.sum(params.W**2) + np.sum(params.H**2))
    values = {
        "loss": point.value * a / float(speed[0, 0] - speed[1, 0]),
        "norm_sq": norm_sq / a,
        "margin": 2 * a / norm_sq,
    }
    return Measurement(values, dict.fromkeys(values, ROUNDING * (1.0 + norm_sq / a)))


def predict_ray(setting: OnRay) -> Mapping[str, Any]:
    """The limits."""
    return theory.seli.rates(K=setting.K, n=setting.n)._asdict()


CLAIMS = (
    Claim(
        "6.2",
        "Without decay: L t log t -> V/2, (|W|^2 + |H|^2)/log t -> 2 V, margin/(half the norms) -> 1/V, V = |PY|_*.",
        "Ji et al. (ICLR 2022) for the KKT direction; rates derived for this project",
        "cross-entropy; gradient flow from random starts, which went to SELI every time",
        "2 log log t/log t of the limit, the next order, at log t = 584; printed digits",
        lambda full: [
            Late((2, 2, 2), "1.400"),
            Late((4, 2, 1), "1.485"),
            *([Late((5, 1, 1, 1), "1.981"), Late((3, 2), ".7830")] if full else []),
        ],
        measure_late,
        predict_late,
    ),
    Claim(
        "6.2-ray",
        "On the balanced ray the three limits of 6.2 are met exactly in terms of the margin.",
        "derived for this project",
        "equal class sizes, e^-a below rounding",
        "32 eps of the size",
        lambda full: [OnRay(3, 2, 60.0), OnRay(3, 2, 300.0)],
        measure_ray,
        predict_ray,
    ),
)
