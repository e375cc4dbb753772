"""Squares with any class sizes (T10) and with rescaled targets (T11), and where their minima change."""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.certify.point import examine
from ufm.losses.squared import MSE, RescaledMSE
from ufm.problem import Problem
from ufm.verify.claim import Claim, Measurement
from ufm.verify.experiment import (
    ALLOWANCE,
    ROUNDING,
    Settled,
    escape_curvature,
    line_root,
    origin,
    quantities,
    settle,
)

SIZES = (5, 3, 2, 1)


class Setting(NamedTuple):
    """kappa = N sqrt(lam_W lam_H / n), n the mean class size, ratio = lam_W / lam_H; scale None: squares."""

    n: int | tuple[int, ...]
    d: int
    lam_b: float | None
    kappa: float
    ratio: float = 1.0
    scale: tuple[float, float] | None = None
    K: int = 4

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of Problem and of theory alike."""
        N = self.K * self.n if isinstance(self.n, int) else sum(self.n)
        nu, tilt = self.kappa / math.sqrt(N * self.K), math.sqrt(self.ratio)
        decays = {"lam_W": nu * tilt, "lam_H": nu / tilt, "lam_b": self.lam_b}
        return {"K": self.K, "n": self.n, "d": self.d, **decays}

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return Problem(**self.arguments, loss=MSE() if self.scale is None else RescaledMSE(*self.scale))

    @property
    def target(self) -> dict[str, Any]:
        """Weight k and target M of the true logit."""
        k, M = self.scale or (1.0, 1.0)
        return {"k": k, "M": M}


def imbalanced_settings(full: bool) -> Iterable[Setting]:
    """T10: all classes kept, one lost, two lost; equal classes at the cut d; a free bias."""
    for kappa, ratio in [(0.2, 1.0), (0.75, 5.0), (1.0, 0.1)]:
        yield Setting(SIZES, 5, None, kappa, ratio)
    yield Setting((2, 2, 2, 2, 1), 2, None, 0.4, K=5)  # any two directions of the four large classes: flat
    if full:
        for kappa, ratio in [(0.1, 0.3), (0.8, 2.0)]:
            yield Setting(SIZES, 2, 0.0, kappa, ratio)
        for d in (2, 3, 6):
            for kappa in (0.1, 0.5, 0.9, 1.1, 1.4):
                yield Setting((4, 2, 1, 2, 1), d, None, kappa, 3.0, K=5)
                yield Setting((4, 2, 1, 2, 1), d, 0.0, kappa, 0.5, K=5)


def rescaled_settings(full: bool) -> Iterable[Setting]:
    """T11: kept mean, simplex and zero, without bias, with a free and with a regularised one; k below 1 and above."""
    for lam_b, kappa, ratio, scale in [
        (3.0, 1.1, 1.0, (5.0, 2.0)),  # lam_b above the mean's threshold
        (0.4, 0.3, 7.0, (0.6, 3.0)),
        (0.1, 3.0, 0.2, (5.0, 2.0)),  # simplex
        (0.0, 1.7, 1.0, (5.0, 2.0)),
        (0.2, 0.9, 1.0, (0.6, 3.0)),
        (0.3, 8.0, 1.0, (5.0, 2.0)),  # zero
        (0.0, 2.5, 3.0, (0.6, 3.0)),
    ]:
        yield Setting(2, 5, lam_b, kappa, ratio, scale)
    for kappa, ratio, scale in [(1.3, 1.0, (5.0, 2.0)), (0.7, 0.1, (0.6, 3.0)), (11.0, 2.0, (5.0, 2.0))]:
        yield Setting(2, 4, None, kappa, ratio, scale)
    if full:
        for k, M in [(1.0, 1.0), (10.0, 1.0), (3.0, 20.0), (0.1, 0.5)]:
            for lam_b, share in [(0.0, 0.2), (1e-2, 0.5), (0.5, 0.1), (50.0, 0.3), (1.0, 1.2)]:
                yield Setting(1, 5, lam_b, share * k * M, 2.0, (k, M), K=5)
            yield Setting(3, 3, 1e-3, 0.5 * k * M, 1.0, (k, M), K=4)  # the simplex fits into K-1 dimensions


@functools.cache
def settled(setting: Setting) -> Settled:
    """The minimum that the solver finds from a random start."""
    return settle(setting.problem)


def measure_minimum(setting: Setting) -> Measurement:
    """Every quantity of the minimum, and sqrt(N K) |G|_2, which is kappa where W H is not zero (T1)."""
    found = settled(setting)
    measured = quantities(found)
    if measured.failure:
        return measured
    gain = float(np.linalg.norm(examine(found.problem, found.params).G, 2))
    stretch = math.sqrt(found.problem.N * setting.K)
    # G changes by at most the largest weight times |Z - Z*| / N.
    tolerance = stretch / found.problem.N * max(1.0, setting.target["k"]) * found.allowance(1.0)
    return Measurement({**measured.values, "kappa": stretch * gain}, {**measured.tolerances, "kappa": tolerance})


def predict_imbalanced(setting: Setting) -> Mapping[str, Any]:
    """From the class sizes and, the same once more, from the targets of all samples."""
    arguments = setting.arguments
    by_class = theory.mse.global_minimum(**arguments)
    Y = np.repeat(np.eye(setting.K), arguments.pop("n"), axis=1)
    del arguments["K"]
    by_sample = theory.mse.soft_threshold(Y=Y, **arguments).quantities
    predicted = {**by_class.quantities, "verdict": "GLOBAL_MINIMUM"}
    return {**predicted, **by_sample} if setting.ratio > 1.0 else predicted


def predict_rescaled(setting: Setting) -> Mapping[str, Any]:
    """The closed form, and that it is the global minimum."""
    found = theory.rescaled_mse.global_minimum(**setting.arguments, **setting.target).quantities
    predicted = {**found, "verdict": "GLOBAL_MINIMUM"}
    if found["margin"] == 0.0:
        return predicted
    return {**predicted, "kappa": theory.rescaled_mse.kappa(**sizes_and_decays(setting))}


def sizes_and_decays(setting: Setting) -> dict[str, Any]:
    """K, n, lam_W, lam_H."""
    return {name: setting.arguments[name] for name in ("K", "n", "lam_W", "lam_H")}


def class_settings(full: bool) -> Iterable[Setting]:
    """T10 without bias, as many features as classes: nothing is lost yet."""
    yield Setting(SIZES, 5, None, 0.2)
    yield Setting(SIZES, 5, None, 0.35, 4.0)


def class_sigmas(setting: Setting) -> np.ndarray:
    """[K] sqrt(n_c) times the own logit of each class."""
    return np.diag(quantities(settled(setting)).values["logits"]) * np.sqrt(np.array(setting.n))


def measure_classes(setting: Setting) -> Measurement:
    """The singular value of each class, and the nu at which the line through two of them, in nu, meets zero.

    A third one shows that it is a line.
    """
    kappas = (0.5 * setting.kappa, setting.kappa, 0.75 * setting.kappa)
    near, far, between = (setting._replace(kappa=kappa) for kappa in kappas)
    failures = [settled(end).failure for end in (near, far, between)]
    if any(failures):
        return Measurement(failure=" ".join(failures))
    nus = (float(near.problem.nu), float(far.problem.nu))
    first, last, middle = (class_sigmas(end) for end in (near, far, between))
    thresholds = line_root(nus[0], nus[1], first, last)
    values = {"sigmas": last, "thresholds": thresholds, "bend": middle - (first + last) / 2}
    error = max(settled(end).allowance(float(np.max(first))) for end in (near, far))
    # The root amplifies an error in the values by the slope's share and the distance that it is extrapolated.
    stretch = float(np.max(thresholds) / np.min(first - last))
    return Measurement(values, {"sigmas": error, "bend": 2.0 * error, "thresholds": 2.0 * stretch * error})


def predict_classes(setting: Setting) -> Mapping[str, Any]:
    """Soft thresholding, class by class."""
    return {
        "sigmas": theory.mse.class_sigmas(**sizes_and_decays(setting)),
        "thresholds": theory.mse.class_thresholds(K=setting.K, n=setting.n),
        "bend": np.zeros(setting.K),
    }


def threshold_settings(full: bool) -> Iterable[Setting]:
    """T11 above the threshold of the mean, T8 as its special case k = M = 1, and no bias."""
    yield Setting(2, 5, 3.0, 1.1, 1.0, (5.0, 2.0))
    yield Setting(2, 5, 9.0, 0.4, 1.0, (0.6, 3.0))
    yield Setting(2, 5, 2.0, 0.4, 1.0, (1.0, 1.0))
    yield Setting(2, 4, None, 1.3, 1.0, (5.0, 2.0))


def measure_thresholds(setting: Setting) -> Measurement:
    """The kappa at which W = H = 0, with its best b, stops being a saddle; the lam_b at which the mean is kept."""
    zero = settled(setting._replace(kappa=20.0))
    if zero.failure:
        return Measurement(failure=zero.failure)
    ends = [setting._replace(kappa=kappa).problem for kappa in (1.0, 20.0)]
    # At lam_W = lam_H it is nu - |G|_2, and neither b nor G at the origin depends on those decays.
    slack = [escape_curvature(end, origin(end, zero.params.b)) for end in ends]
    values = {"collapse": line_root(1.0, 20.0, *slack)}
    tolerances = {"collapse": ROUNDING * 20.0}
    if setting.lam_b is None:
        return Measurement(values, tolerances)
    pair = [setting, setting._replace(lam_b=2.0 * setting.lam_b)]
    failures = [settled(end).failure for end in pair]
    if any(failures):
        return Measurement(failure=" ".join(failures))
    # The singular value of the mean is a straight line in 1 / lam_b.
    means = [float(np.sum(quantities(settled(end)).values["logits"])) / setting.K for end in pair]
    inverse = 1.0 / setting.lam_b
    root = line_root(inverse, inverse / 2, *means)
    error = max(settled(end).allowance(setting.K * setting.target["M"]) for end in pair)
    values["mean"] = 1.0 / root
    tolerances["mean"] = error / (means[1] - means[0]) * inverse / root**2 * 2.0
    return Measurement(values, tolerances)


def predict_thresholds(setting: Setting) -> Mapping[str, Any]:
    """Both thresholds."""
    collapse = theory.rescaled_mse.collapse_threshold(K=setting.K, lam_b=setting.lam_b, **setting.target)
    if setting.lam_b is None:
        return {"collapse": collapse}
    mean = theory.rescaled_mse.mean_threshold(**sizes_and_decays(setting), **setting.target)
    if setting.scale == (1.0, 1.0):
        collapse = theory.mse.collapse_threshold()
        mean = theory.mse.mean_threshold(**sizes_and_decays(setting))
    return {"collapse": collapse, "mean": mean}


LINE = "the allowance of two points, times how far the straight line through them is extrapolated"

CLAIMS = (
    Claim(
        "T10",
        "Squares, any class sizes: W H is the truncated SVD of the targets, shrunk by N sqrt(lam_W lam_H).",
        "derived for this project (Eckart-Young and soft thresholding)",
        "any class sizes, any d, no bias or a free one",
        ALLOWANCE,
        imbalanced_settings,
        measure_minimum,
        predict_imbalanced,
    ),
    Claim(
        "T10-threshold",
        "Imbalance breaks the frame of squares: class c shrinks to sqrt(n_c) - N nu and is lost from sqrt(n_c)/N on.",
        "derived for this project; 3.5 of the reference",
        "any class sizes, no bias, d >= K",
        LINE,
        class_settings,
        measure_classes,
        predict_classes,
        boundary=True,
    ),
    Claim(
        "T11",
        "Rescaled squares: orthogonal frame, frame with the mean, simplex or zero, according to lam_b, k and M.",
        "loss Zhou et al. (ICML 2022); minimum derived for this project",
        "equal class sizes, d >= the rank of the minimiser",
        ALLOWANCE,
        rescaled_settings,
        measure_minimum,
        predict_rescaled,
    ),
    Claim(
        "T11-threshold",
        "Rescaled squares: kappa from which on W = H = 0 is optimal, and lam_b up to which the frame is a simplex ETF.",
        "derived for this project; k = M = 1: T8",
        "equal class sizes, d >= K for the second",
        f"640 eps for the first; {LINE} for the second",
        threshold_settings,
        measure_thresholds,
        predict_thresholds,
        boundary=True,
    ),
)
