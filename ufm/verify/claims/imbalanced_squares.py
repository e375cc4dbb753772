"""The squared loss under class imbalance: orthogonal classes, each lost at its own decay (3.5)."""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.losses.squared import MSE
from ufm.problem import Problem
from ufm.verify.claim import Claim, Measurement
from ufm.verify.experiment import ALLOWANCE, Settled, line_root, quantities, settle


class Setting(NamedTuple):
    """Class sizes; nu = sqrt(lam_W lam_H) and ratio = lam_W/lam_H."""

    n: tuple[int, ...]
    d: int
    lam_b: float | None
    nu: float
    ratio: float = 1.0

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of Problem and of theory alike."""
        decays = {"lam_W": self.nu * math.sqrt(self.ratio), "lam_H": self.nu / math.sqrt(self.ratio)}
        return {"K": len(self.n), "n": self.n, "d": self.d, "lam_b": self.lam_b, **decays}


def settings(full: bool) -> Iterable[Setting]:
    """All classes kept, some lost, too few features; without and with a free bias."""
    shapes = [((4, 2, 1), 4, None), ((4, 2, 1), 3, 0.0)]
    if full:
        shapes += [((4, 2, 1), 2, None), ((4, 2, 1), 1, 0.0), ((9, 1, 1, 1), 5, 0.0), ((5, 4, 3, 2), 6, None)]
    for n, d, lam_b in shapes:
        yield Setting(n, d, lam_b, 0.17, 0.2)
        if lam_b is None or full:
            yield Setting(n, d, lam_b, 0.01, 3.0)


@functools.cache
def settled(setting: Setting) -> Settled:
    """The minimum that the solver finds from a random start."""
    return settle(Problem(**setting.arguments, loss=MSE()))


def measure_minimum(setting: Setting) -> Measurement:
    """Every quantity of the minimum."""
    return quantities(settled(setting))


def predict_minimum(setting: Setting) -> Mapping[str, Any]:
    """The closed form; without a bias and with d >= K W W^T is diagonal."""
    found = dict(theory.mse.global_minimum(**setting.arguments).quantities)
    if setting.lam_b is None and setting.d >= len(setting.n):
        lam_W, lam_H = setting.arguments["lam_W"], setting.arguments["lam_H"]
        sigma = theory.mse.class_sigmas(K=len(setting.n), n=setting.n, lam_W=lam_W, lam_H=lam_H)
        found["gram_W"] = math.sqrt(lam_H / lam_W) * np.diag(sigma)
    return {**found, "verdict": "GLOBAL_MINIMUM"}


def measure_thresholds(setting: Setting) -> Measurement:
    """The nu at which each |w_c|^2 vanishes, from the straight line that it follows at lam_W = lam_H."""
    ends = (0.01, 0.03)
    low, high = (settled(setting._replace(nu=nu, ratio=1.0)) for nu in ends)
    if low.failure or high.failure:
        return Measurement(failure=low.failure or high.failure)
    squares = [np.sum(found.params.W**2, axis=1) for found in (low, high)]
    slope = float(np.min(squares[0] - squares[1])) / (ends[1] - ends[0])
    slack = 2.0 * (low.allowance(2.0) + high.allowance(2.0)) / slope * 50.0
    return Measurement({"nu": line_root(*ends, *squares)}, {"nu": slack})


def predict_thresholds(setting: Setting) -> Mapping[str, Any]:
    """sqrt(n_c)/N."""
    return {"nu": theory.mse.class_thresholds(K=len(setting.n), n=setting.n)}


CLAIMS = (
    Claim(
        "3.5",
        "Squared loss, unequal classes, no bias: orthogonal class means of unequal norms; the singular values shrink.",
        "derived for this project",
        "squared loss, any class sizes, free or no bias",
        ALLOWANCE,
        settings,
        measure_minimum,
        predict_minimum,
    ),
    Claim(
        "3.5-threshold",
        "Squared loss without bias: class c is lost exactly from nu = sqrt(n_c)/N on, cross-entropy's number (3.4).",
        "derived for this project",
        "squared loss, d >= K",
        "the allowance of two squared norms, carried along the straight line through them to its root",
        lambda full: [Setting((4, 2, 1), 4, None, 1.0)],
        measure_thresholds,
        predict_thresholds,
        boundary=True,
    ),
)
