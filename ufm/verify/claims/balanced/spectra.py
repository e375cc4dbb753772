"""Hessian spectra at minima (T16, T17) and at the origin (T18), and the decays at which minima change (T8, T18)."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

import theory
from ufm.certify.curvature import hessian_spectrum
from ufm.certify.point import examine
from ufm.problem import Params
from ufm.verify.claim import Claim, Measurement
from ufm.verify.claims.balanced.settings import Setting, both, settled, theory_of
from ufm.verify.experiment import ROUNDING, escape_curvature, line_root, origin
from ufm.verify.spectra import EIGENVALUES, expanded, spectrum_measurement


def measure_spectrum(setting: Setting) -> Measurement:
    """Every Hessian eigenvalue at the minimum, and how many are zero."""
    found = settled(setting)
    if found.failure or found.spectrum is None:
        return Measurement(failure=found.failure or "the spectrum is not affordable")
    return spectrum_measurement(found.spectrum, found.distance)


def predict_spectrum(setting: Setting) -> Mapping[str, Any]:
    """Eigenvalues with their multiplicities, zeros exact."""
    module, arguments = theory_of(setting)
    return expanded(module.minimum_spectrum(**arguments))


def origins(full: bool) -> Iterable[Setting]:
    """The settings of T7 to T9, and squares with unequal classes."""
    yield from both(full)
    for lam_b, kappa in [(0.0, 0.3), (0.4, 1.0), (None, 2.5)]:
        yield Setting(4, (5, 3, 1, 1), 3, lam_b, kappa, 3.0, None)


def at_origin(setting: Setting) -> Params:
    """W = H = 0 with its best b."""
    problem = setting.problem
    if setting.lam_b is None or setting.smoothing is not None:
        return origin(problem)
    return origin(problem, np.asarray(problem.sizes) / (problem.N * (1.0 + setting.lam_b)))


def measure_origin(setting: Setting) -> Measurement:
    """Every Hessian eigenvalue at W = H = 0."""
    return spectrum_measurement(hessian_spectrum(setting.problem, at_origin(setting)))


def predict_origin(setting: Setting) -> Mapping[str, Any]:
    """Eigenvalues at the origin."""
    module, arguments = theory_of(setting)
    return expanded(module.origin_spectrum(**arguments))


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
    low, high = (escape_curvature(end.problem, at_origin(end)) for end in ends)
    return Measurement({"kappa": line_root(0.5, 1.5, low, high)}, {"kappa": 16 * ROUNDING})


def predict_threshold(setting: Setting) -> Mapping[str, Any]:
    """Where the origin becomes the global minimum."""
    if setting.smoothing is None:
        return {"kappa": theory.mse.collapse_threshold()}
    return {"kappa": theory.cross_entropy.collapse_threshold(smoothing=setting.smoothing)}


CLAIMS = (
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
