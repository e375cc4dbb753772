"""Balanced classes, decay on W and H: minima and Hessian spectra of cross-entropy and squares (T7-T9, T16-T18)."""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.certify.certificate import certify
from ufm.certify.curvature import hessian_spectrum
from ufm.certify.point import examine
from ufm.losses import MSE, CrossEntropy
from ufm.problem import Params, Problem
from ufm.verify.claim import Claim, Measurement
from ufm.verify.experiment import ALLOWANCE, ROUNDING, Settled, quantities, settle

SPECTRUM = 1e-12  # of the largest eigenvalue: eigvalsh's rounding for a few hundred variables


class Setting(NamedTuple):
    """A problem by kappa = K sqrt(n lam_W lam_H) and ratio = lam_W / lam_H; smoothing None: squares.

    With unequal class sizes kappa is K N sqrt(lam_W lam_H).
    """

    K: int
    n: int | tuple[int, ...]
    d: int
    lam_b: float | None
    kappa: float
    ratio: float = 1.0
    smoothing: float | None = 0.0

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of Problem and of theory alike."""
        scale = math.sqrt(self.n) if isinstance(self.n, int) else sum(self.n)
        nu, tilt = self.kappa / (self.K * scale), math.sqrt(self.ratio)
        return {
            "K": self.K,
            "n": self.n,
            "d": self.d,
            "lam_W": nu * tilt,
            "lam_H": nu / tilt,
            "lam_b": self.lam_b,
        }

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return Problem(**self.arguments, loss=MSE() if self.smoothing is None else CrossEntropy(self.smoothing))


def cross_entropy_settings(full: bool) -> Iterable[Setting]:
    """T7: every bias mode and smoothing, kappa from 6e-5 to beyond the threshold; three shapes, or ten."""
    shapes = [(2, 3, 1, (0.0, 1e-2)), (4, 3, 5, (0.0, 1e-2)), (5, 1, 8, (None,))]
    if full:
        shapes += [
            (3, 2, 5, (None,)),
            (10, 1, 9, (0.0, 1e-3)),
            (3, 3, 2, (0.0,)),
            (4, 1, 6, (1e-3,)),
            (5, 2, 4, (None,)),
        ]
    for K, n, d, biases in shapes:
        for lam_b in biases:
            yield Setting(K, n, d, lam_b, 1e-2, 10.0)
            yield Setting(K, n, d, lam_b, 0.3, 0.1, 0.3)
            yield Setting(K, n, d, lam_b, 0.65, 1.0, 0.1)
            yield Setting(K, n, d, lam_b, 1.13, 3.0)
            yield Setting(K, n, d, lam_b, 0.9, 1.0, 0.2)
            if full:
                yield Setting(K, n, d, lam_b, 6e-5)


def squares_settings(full: bool) -> Iterable[Setting]:
    """T8: d >= K, on both sides of the thresholds kappa = 1 and lam_b = kappa/(1 - kappa)."""
    for lam_b, kappa, ratio in [
        (0.0, 0.15, 1.0),
        (0.01, 0.15, 7.0),
        (0.3, 0.15, 0.1),
        (50.0, 0.4, 30.0),
        (0.5, 1.2, 1.0),
    ]:
        yield Setting(4, 3, 6, lam_b, kappa, ratio, None)
    for kappa in (1e-3, 0.3, 1.1):
        yield Setting(4, 3, 5, None, kappa, 2.0, None)
    if full:
        for lam_b in (0.0, 0.1, 0.2, 0.3, 1e4):
            yield Setting(5, 3, 7, lam_b, 0.15, 0.02, None)


def few_features_settings(full: bool) -> Iterable[Setting]:
    """T9: d < K."""
    for lam_b, kappa, ratio in [(0.0, 0.2, 1.0), (0.3, 0.1, 10.0), (50.0, 0.05, 1.0), (0.2, 1.05, 1.0)]:
        yield Setting(5, 3, 3, lam_b, kappa, ratio, None)
    for kappa in (0.02, 0.25, 1.2):
        yield Setting(5, 3, 2, None, kappa, 9.0, None)
    if full:
        for lam_b, kappa in [(0.0, 0.3), (0.5, 0.2), (1e4, 0.05)]:
            yield Setting(2, 2, 1, lam_b, kappa, 0.02, None)
            yield Setting(8, 1, 7, lam_b, kappa, 1.0, None)


@functools.cache
def settled(setting: Setting) -> Settled:
    """The minimum that the solver finds from a random start."""
    return settle(setting.problem)


def measure_minimum(setting: Setting) -> Measurement:
    """Every quantity of the minimum."""
    return quantities(settled(setting))


def measure_spectrum(setting: Setting) -> Measurement:
    """Every Hessian eigenvalue at the minimum, and how many are zero."""
    found = settled(setting)
    if found.failure or found.spectrum is None:
        return Measurement(failure=found.failure or "the spectrum is not affordable")
    return spectrum_measurement(found.spectrum, found.distance)


def spectrum_measurement(spectrum: np.ndarray, distance: float = 0.0) -> Measurement:
    """Eigenvalues, ascending, and the number of zeros; `distance` from the exact point moves them in proportion."""
    largest = float(np.max(np.abs(spectrum)))
    tolerance = (SPECTRUM + 4.0 * distance) * largest
    values = {"eigenvalues": spectrum, "zeros": int(np.sum(np.abs(spectrum) <= 1e-9 * largest))}
    return Measurement(values, {"eigenvalues": tolerance})


def at_origin(setting: Setting) -> Params:
    """W = H = 0 with its best b."""
    shapes = setting.problem.shapes()
    b = None if shapes.b is None else np.zeros(setting.K)
    if b is not None and setting.lam_b is not None and setting.smoothing is None:
        sizes = np.asarray(setting.problem.sizes)
        b = sizes / (np.sum(sizes) * (1.0 + setting.lam_b))
    return Params(np.zeros(shapes.W), np.zeros(shapes.H), b)


def measure_origin(setting: Setting) -> Measurement:
    """Every Hessian eigenvalue at W = H = 0."""
    return spectrum_measurement(hessian_spectrum(setting.problem, at_origin(setting)))


def theory_of(setting: Setting) -> tuple[Any, dict[str, Any]]:
    """The module of closed forms and its arguments."""
    if setting.smoothing is None:
        return theory.mse, setting.arguments
    return theory.cross_entropy, {**setting.arguments, "smoothing": setting.smoothing}


def predict_minimum(setting: Setting) -> Mapping[str, Any]:
    """The closed form, and that it is the global minimum."""
    module, arguments = theory_of(setting)
    return {**module.global_minimum(**arguments).quantities, "verdict": "GLOBAL_MINIMUM"}


def predict_spectrum(setting: Setting) -> Mapping[str, Any]:
    """Eigenvalues with their multiplicities, zeros exact."""
    module, arguments = theory_of(setting)
    return expanded(module.minimum_spectrum(**arguments))


def predict_origin(setting: Setting) -> Mapping[str, Any]:
    """Eigenvalues at the origin."""
    module, arguments = theory_of(setting)
    return expanded(module.origin_spectrum(**arguments))


def expanded(spectrum: theory.Spectrum) -> Mapping[str, Any]:
    """As `spectrum_measurement` measures it."""
    values = theory.expand(spectrum)
    return {"eigenvalues": values, "zeros": int(np.sum(np.abs(values) <= 1e-9 * np.max(np.abs(values))))}


def both(full: bool) -> Iterable[Setting]:
    """The settings of T7, T8 and T9."""
    yield from cross_entropy_settings(full)
    yield from squares_settings(full)
    yield from few_features_settings(full)


def origins(full: bool) -> Iterable[Setting]:
    """The settings of T7 to T9, and squares with unequal classes."""
    yield from both(full)
    for lam_b, kappa in [(0.0, 0.3), (0.4, 1.0), (None, 2.5)]:
        yield Setting(4, (5, 3, 1, 1), 3, lam_b, kappa, 3.0, None)


def measure_mean_threshold(setting: Setting) -> Measurement:
    """The lam_b at which the mean direction is about to be kept: its share of the logit gradient reaches nu.

    At the simplex minimum that share, |1^T G| / sqrt(K), is a multiple of t = lam_b / (1 + lam_b).
    """
    found = settled(setting)
    if found.failure or setting.lam_b is None:
        return Measurement(failure=found.failure or "no bias")
    share = float(np.linalg.norm(np.sum(examine(found.problem, found.params).G, axis=0))) / math.sqrt(setting.K)
    t = float(found.problem.nu) / share * setting.lam_b / (1.0 + setting.lam_b)
    return Measurement({"lam_b": t / (1.0 - t)}, {"lam_b": found.allowance(1.0) / (1.0 - t) ** 2})


def predict_mean_threshold(setting: Setting) -> Mapping[str, Any]:
    """kappa / (1 - kappa)."""
    arguments = {name: setting.arguments[name] for name in ("K", "n", "lam_W", "lam_H")}
    return {"lam_b": theory.mse.mean_threshold(**arguments)}


def measure_threshold(setting: Setting) -> Measurement:
    """The kappa at which the curvature along T5's direction at the origin changes its sign.

    It is nu - |G|_2 at lam_W = lam_H = nu: a straight line in kappa, so that two values give the root.
    """
    ends = [setting._replace(kappa=kappa) for kappa in (0.5, 1.5)]
    low, high = (certify(end.problem, at_origin(end)).escape_curvature for end in ends)
    return Measurement({"kappa": 0.5 - low / (high - low)}, {"kappa": 16 * ROUNDING})


def predict_threshold(setting: Setting) -> Mapping[str, Any]:
    """Where the origin becomes the global minimum."""
    if setting.smoothing is None:
        return {"kappa": theory.mse.collapse_threshold()}
    return {"kappa": theory.cross_entropy.collapse_threshold(smoothing=setting.smoothing)}


EIGENVALUES = "1e-12 of the largest eigenvalue (rounding of eigvalsh) plus the distance of the point from the exact one"

CLAIMS = (
    Claim(
        "T7",
        "Cross-entropy with label smoothing: the global minimum is one simplex ETF, its value, norms, margin explicit.",
        "Zhu et al. (NeurIPS 2021), Guo et al. (2024); values derived for this project",
        "equal class sizes, d >= K-1, lam_W, lam_H > 0",
        ALLOWANCE,
        cross_entropy_settings,
        measure_minimum,
        predict_minimum,
    ),
    Claim(
        "T8",
        "Squared loss, d >= K: simplex, intermediate or orthogonal frame according to the decay of the bias.",
        "Zhou et al. (ICML 2022), Tirer and Bruna (ICML 2022); unified form derived for this project",
        "equal class sizes, d >= K",
        ALLOWANCE,
        squares_settings,
        measure_minimum,
        predict_minimum,
    ),
    Claim(
        "T9",
        "Squared loss, d < K: min(d, K-1) centred directions are kept, whatever the decay of the bias.",
        "derived for this project",
        "equal class sizes, d < K",
        ALLOWANCE,
        few_features_settings,
        measure_minimum,
        predict_minimum,
    ),
    Claim(
        "T16-T17",
        "Every Hessian eigenvalue at the minimum with its multiplicity; the zero modes are the symmetries (and T9's).",
        "derived for this project",
        "as T7, T8, T9",
        EIGENVALUES,
        both,
        measure_spectrum,
        predict_spectrum,
    ),
    Claim(
        "T18",
        "Every Hessian eigenvalue at W = H = 0.",
        "derived for this project",
        "b optimal; cross-entropy: equal class sizes",
        EIGENVALUES,
        origins,
        measure_origin,
        predict_origin,
    ),
    Claim(
        "T18-threshold",
        "W = H = 0 stops being a strict saddle exactly at kappa = 1 - smoothing.",
        "derived for this project",
        "equal class sizes, lam_W = lam_H",
        "512 eps: the root of a straight line through two eigenvalues of size 0.1",
        lambda full: [
            Setting(5, 1, 8, None, 1.0, 1.0, 0.3),
            Setting(4, 3, 5, 1e-2, 1.0),
            Setting(4, 3, 6, 0.3, 1.0, 1.0, None),
        ],
        measure_threshold,
        predict_threshold,
        boundary=True,
    ),
    Claim(
        "T8-threshold",
        "Squared loss: a simplex exactly up to lam_b = kappa/(1 - kappa), where the mean direction enters.",
        "derived for this project",
        "equal class sizes, d >= K, kappa < 1",
        "the allowance of T8 for the logit gradient, times the slope of t/(1 - t)",
        lambda full: [Setting(4, 3, 6, 0.01, 0.15, 7.0, None), Setting(4, 3, 6, 0.1, 0.3, 1.0, None)],
        measure_mean_threshold,
        predict_mean_threshold,
        boundary=True,
    ),
)
