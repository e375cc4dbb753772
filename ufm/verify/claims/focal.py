"""Focal loss (T13): minimum, spectra and threshold while few classes keep it benign.

With many it is not: bistable.py."""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.certify.curvature import hessian_spectrum
from ufm.certify.point import examine
from ufm.losses.cross_entropy import Focal
from ufm.problem import Problem
from ufm.verify.claim import Claim, Measurement
from ufm.verify.experiment import ALLOWANCE, ROUNDING, Settled, origin, quantities, settle
from ufm.verify.ray import collapse_point, sample_curvature
from ufm.verify.spectra import expanded, spectrum_measurement

GAMMAS = (0.5, 1.0, 2.0, 3.0, 5.0)


class Setting(NamedTuple):
    """A balanced problem by kappa = K sqrt(n lam_W lam_H), ratio = lam_W / lam_H and the focal exponent."""

    K: int
    n: int
    d: int
    lam_b: float | None
    kappa: float
    gamma: float
    ratio: float = 1.0

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of Problem and of theory alike, but gamma."""
        nu, tilt = self.kappa / (self.K * math.sqrt(self.n)), math.sqrt(self.ratio)
        decays = {"lam_W": nu * tilt, "lam_H": nu / tilt, "lam_b": self.lam_b}
        return {"K": self.K, "n": self.n, "d": self.d, **decays}

    @property
    def ray(self) -> dict[str, Any]:
        """Keywords of theory that do not know d and the bias."""
        names = ("K", "n", "lam_W", "lam_H")
        return {**{name: self.arguments[name] for name in names}, "gamma": self.gamma}

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return Problem(**self.arguments, loss=Focal(self.gamma))


def minimum_settings(full: bool) -> Iterable[Setting]:
    """Exponents on both sides of 1, decays from 1e-2 of the threshold to beyond it, every bias mode."""
    for lam_b, kappa, gamma, ratio in [
        (0.05, 0.01, 0.5, 1.0),
        (0.0, 0.3, 1.0, 10.0),
        (0.0, 0.6, 2.0, 0.2),
        (0.3, 0.9, 5.0, 1.0),
        (0.05, 1.4, 2.0, 3.0),
    ]:
        yield Setting(4, 2, 5, lam_b, kappa, gamma, ratio)
    for kappa, gamma, ratio in [(0.1, 3.0, 2.0), (0.5, 0.0, 1.0), (0.7, 1.0, 0.5), (1.3, 5.0, 1.0)]:
        yield Setting(3, 1, 2, None, kappa, gamma, ratio)
    if full:
        for gamma in (0.0, *GAMMAS):
            for kappa in (1e-3, 0.2, 0.8):
                yield Setting(2, 3, 1, 0.01, kappa, gamma, 2.0)
                yield Setting(10, 2, 9, None, kappa, gamma, 0.5)


@functools.cache
def settled(setting: Setting) -> Settled:
    """The minimum that the solver finds from a random start."""
    return settle(setting.problem)


def measure_minimum(setting: Setting) -> Measurement:
    """Every quantity of the minimum; where it is not zero, kappa = K sqrt(n) |G|_2 (T1) and one sample's Hessian."""
    found = settled(setting)
    measured = quantities(found)
    if measured.failure or measured.values["margin"] < 1e-6:
        return measured
    problem, stretch = found.problem, setting.K * math.sqrt(setting.n)
    values = {"kappa": stretch * float(np.linalg.norm(examine(problem, found.params).G, 2)), **sample_hessian(found)}
    # Second and third derivatives of the loss are below (1 + gamma)^3: what G and j change by, times |Z - Z*|.
    drift = (1.0 + setting.gamma) ** 3 * found.allowance(1.0)
    # The decay is subtracted from a Hessian whose share of the loss is |W|^2 / N.
    weakest = float(np.linalg.svd(found.params.W, compute_uv=False)[setting.K - 2]) ** 2
    rounding = ROUNDING * problem.N * float(problem.lam_H) / weakest
    tolerances = {**dict.fromkeys(values, drift + rounding), "kappa": stretch / problem.N * drift}
    return Measurement({**measured.values, **values}, {**measured.tolerances, **tolerances})


def sample_hessian(found: Settled) -> dict[str, float]:
    """Curvature of one sample's loss in its logits, along its class and (from three classes on) across."""
    e = np.eye(found.problem.K)
    j2 = sample_curvature(found, e[0] - 1.0 / len(e))
    if len(e) == 2:
        return {"j2": j2}
    j1 = sample_curvature(found, e[1] - e[2])
    return {"j1": j1, "j2": j2, "tilt": (j2 - j1) / (len(e) - 1)}


def predict_minimum(setting: Setting) -> Mapping[str, Any]:
    """T13's quantities, and that it is the global minimum."""
    found = {**theory.focal.global_minimum(**setting.arguments, gamma=setting.gamma).quantities}
    found["verdict"] = "GLOBAL_MINIMUM"
    if found["margin"] == 0.0:
        return found
    j = theory.focal.logit_curvature(**setting.ray)
    kappa = theory.focal.kappa(**{name: x for name, x in setting.ray.items() if name != "gamma"})
    predicted = {**found, "kappa": kappa, "j2": j.j2}
    return predicted if setting.K == 2 else {**predicted, "j1": j.j1, "tilt": j.tilt}


def measure_spectrum(setting: Setting) -> Measurement:
    """Every Hessian eigenvalue at the minimum."""
    found = settled(setting)
    if found.failure or found.spectrum is None:
        return Measurement(failure=found.failure or "the spectrum is not affordable")
    return spectrum_measurement(found.spectrum, (1.0 + setting.gamma) * found.distance)


def predict_spectrum(setting: Setting) -> Mapping[str, Any]:
    """Eigenvalues with their multiplicities, zeros exact."""
    return expanded(theory.focal.minimum_spectrum(**setting.arguments, gamma=setting.gamma))


def measure_origin(setting: Setting) -> Measurement:
    """Every Hessian eigenvalue at W = H = 0."""
    return spectrum_measurement(hessian_spectrum(setting.problem, origin(setting.problem)))


def predict_origin(setting: Setting) -> Mapping[str, Any]:
    """Eigenvalues with their multiplicities."""
    return expanded(theory.focal.origin_spectrum(**setting.arguments, gamma=setting.gamma))


def threshold_settings(full: bool) -> Iterable[Setting]:
    """So few classes that zero and an ETF are never both local minima."""
    for gamma in GAMMAS:
        yield Setting(4, 2, 5, 0.05, 1.0, gamma)


def measure_threshold(setting: Setting) -> Measurement:
    """Where zero stops being a saddle."""
    kappa = collapse_point(lambda kappa: setting._replace(kappa=kappa).problem)
    return Measurement({"kappa": kappa, "range": [kappa, kappa]}, {"kappa": 16 * ROUNDING, "range": 16 * ROUNDING})


def predict_threshold(setting: Setting) -> Mapping[str, Any]:
    """There it becomes the global minimum; the range between is empty."""
    arguments: dict[str, Any] = {"K": setting.K, "gamma": setting.gamma}
    return {
        "kappa": theory.focal.collapse_threshold(**arguments),
        "range": np.array(theory.focal.bistable_range(**arguments)),
    }


SOURCE = "derived for this project (T12 without convexity); Collapse: Zhou et al. (NeurIPS 2022)"

CLAIMS = (
    Claim(
        "T13",
        "Focal loss: the minimum is the simplex ETF of the lowest stationary margin, rate(margin) = C.",
        SOURCE,
        "equal class sizes, d >= K-1; no bias, or C <= 1, or a rate <= 1 at zero",
        ALLOWANCE,
        minimum_settings,
        measure_minimum,
        predict_minimum,
    ),
    Claim(
        "T13-spectrum",
        "Focal loss: every Hessian eigenvalue at the minimum with its multiplicity (T16 for this loss).",
        "derived for this project",
        "as T13",
        "1e-12 of the largest eigenvalue (rounding of eigvalsh) plus 1 + gamma times the distance of the point",
        minimum_settings,
        measure_spectrum,
        predict_spectrum,
    ),
    Claim(
        "T13-origin",
        "Focal loss: every Hessian eigenvalue at W = H = 0 (T18 for this loss).",
        "derived for this project",
        "equal class sizes, b = 0",
        "1e-12 of the largest eigenvalue, rounding of eigvalsh",
        minimum_settings,
        measure_origin,
        predict_origin,
    ),
    Claim(
        "T13-threshold",
        "Few classes: W = H = 0 is a saddle below one kappa and the minimum from there on, with nothing between.",
        "derived for this project",
        "1/K >= p0",
        "512 eps: the root of a straight line through two eigenvalues of size 0.1",
        threshold_settings,
        measure_threshold,
        predict_threshold,
        boundary=True,
    ),
)
