"""Vanishing decay: cross-entropy takes the max-margin direction only like 1/log (3.3)."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.verify.claim import Claim, Measurement
from ufm.verify.experiment import ALLOWANCE, settle
from ufm.verify.sizes import STAY, with_sizes


class Vanishing(NamedTuple):
    """lam = lam_W = lam_H for sizes (10, 10, 1, 1), and what the theory reference prints."""

    lam: float
    stated: str


SIZES = (10, 10, 1, 1)
VANISHING = tuple(
    Vanishing(10.0**-power, stated)
    for power, stated in zip(range(4, 15, 2), (".765", ".768", ".770", ".7710", ".7718", ".7724"), strict=True)
)


def measure_vanishing(setting: Vanishing) -> Measurement:
    """|Z/|Z| - PY/|PY|| log(1/lam) at the minimum of f/lam, which float64 resolves at any lam."""
    found = settle(with_sizes(SIZES, 4, 1.0, 1.0, scale=1.0 / setting.lam), solver=STAY)
    if found.failure:
        return Measurement(failure=found.failure)
    Z = found.params.W @ found.params.H
    error = _off_direction(Z / np.sqrt(SIZES)) * math.log(1.0 / setting.lam)
    slack = found.allowance(1.0) * math.log(1.0 / setting.lam) / float(np.linalg.norm(Z)) * 4
    last_digit = 10.0 ** -len(setting.stated.partition(".")[2])
    return Measurement({"error": error, "digits": error}, {"error": slack, "digits": 0.51 * last_digit})


def _off_direction(logits: np.ndarray) -> float:
    """Distance of Z/|Z| from P Y/|P Y|; columns of class logits, sizes SIZES."""
    roots = np.sqrt(SIZES)
    Z, PY = logits * roots, (np.eye(4) - 0.25) * roots
    return float(np.linalg.norm(Z / np.linalg.norm(Z) - PY / np.linalg.norm(PY)))


def predict_vanishing(setting: Vanishing) -> Mapping[str, Any]:
    """The same of the closed form."""
    found = theory.imbalance.global_minimum(K=4, n=SIZES, d=4, lam_W=setting.lam, lam_H=setting.lam).quantities
    error = _off_direction(found["logits"]) * math.log(1.0 / setting.lam)
    return {"error": error, "digits": float(setting.stated)}


CLAIMS = (
    Claim(
        "3.3",
        "As the decay vanishes logits take SELI's direction with an error of order 1/log(1/lam) only, never exactly.",
        "derived for this project",
        "cross-entropy, sizes (10, 10, 1, 1), no bias",
        ALLOWANCE + "; printed digits",
        lambda full: VANISHING,
        measure_vanishing,
        predict_vanishing,
        boundary=True,
    ),
)
