"""Focal loss with many classes (T13's warning): zero, an ETF and points between are all strict local minima."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.certify.certificate import certify
from ufm.certify.curvature import hessian_spectrum
from ufm.certify.point import examine, length
from ufm.problem import Params, Problem
from ufm.solve import solve
from ufm.solvers.newton import TrustRegion
from ufm.start import etf_start
from ufm.status import Status
from ufm.verify.claim import AtLeast, Claim, Measurement
from ufm.verify.claims.focal import Setting
from ufm.verify.experiment import EPS, ROUNDING, escape_curvature, origin
from ufm.verify.ray import balanced, collapse_point, root, slope
from ufm.verify.spectra import expanded, spectrum_measurement

STAY = TrustRegion(escapes=False)
MANY = Setting(24, 1, 23, 0.01, 24 * 0.04892741679200514, 2.0)  # 0.35 of the way from the rate at zero to the peak
TIE = 1.176497541645774  # kappa at which zero and the ETF of 24 classes have one value; only to choose settings by
GRID = np.geomspace(1e-2, 30.0, 100)


class Stationary(NamedTuple):
    """A critical simplex ETF: its margin, whether f rises on both sides of it along the ray, and the margin's error."""

    margin: float
    stable: bool
    error: float


@functools.cache
def stationary(setting: Setting) -> tuple[Stationary, ...]:
    """Zero, and every change of sign of the slope."""
    problem = setting.problem
    zero = origin(problem)
    found = [Stationary(0.0, escape_curvature(problem, zero) > 0.0, 0.0)]
    slopes = [slope(problem, margin) for margin in GRID]
    for i in np.flatnonzero(np.diff(np.sign(slopes))):
        margin = root(functools.partial(slope, problem), GRID[i], GRID[i + 1])
        step = 1e-3 * margin
        steep = (slope(problem, margin + step) - slope(problem, margin - step)) / (2.0 * step)
        error = ROUNDING * (1.0 + setting.gamma) * setting.kappa / abs(steep)  # rounding of what is zero there
        found.append(Stationary(margin, steep > 0.0, error + 4 * EPS * margin))
    return tuple(found)


def margin_settings(full: bool) -> Iterable[Setting]:
    """Below the range, inside, above; both sides of the tie; few classes, n > 1 and lam_W != lam_H."""
    yield from (MANY._replace(kappa=kappa) for kappa in (1.16, MANY.kappa, TIE * (1 - 1e-7), TIE * (1 + 1e-7), 1.18))
    yield MANY._replace(kappa=1.255, gamma=3.0)
    yield Setting(4, 2, 5, 0.05, 0.4, 2.0, 5.0)
    yield Setting(4, 2, 5, 0.05, 1.4, 2.0, 5.0)
    if full:
        for gamma in (1.0, 2.0, 3.0, 5.0):
            yield from (MANY._replace(kappa=kappa, gamma=gamma) for kappa in np.linspace(0.1, 1.5, 29).tolist())


def measure_margins(setting: Setting) -> Measurement:
    """The critical ETFs, their stability, the gradient there, and the margin of the lowest of them with its value."""
    problem, found = setting.problem, stationary(setting)
    points = [examine(problem, balanced(problem, each.margin)) for each in found]
    best = min((point.value, i) for i, point in enumerate(points) if found[i].stable)[1]
    values = {
        "margins": np.array([each.margin for each in found]),
        "stable": np.array([each.stable for each in found]),
        "gradient": max(length(point.grad) for point in points),
        "value": points[best].value,
        "margin": found[best].margin,
    }
    error = max(each.error for each in found)
    # Roots lie where the slope is rounding; the gradient is the slope times the size of W and H.
    rounding = ROUNDING * (1.0 + setting.gamma) * max(1.0, *(length(point.params) for point in points))
    tolerances = {"margins": error, "margin": error, "gradient": rounding, "value": ROUNDING * (1.0 + values["value"])}
    return Measurement(values, tolerances)


def predict_margins(setting: Setting) -> Mapping[str, Any]:
    """Every stationary margin, and which one is the minimum without bias."""
    found = theory.focal.stationary_margins(**setting.ray)
    minimum = theory.focal.global_minimum(**without_bias(setting), gamma=setting.gamma).quantities
    return {
        "margins": np.array([each.margin for each in found]),
        "stable": np.array([each.stable for each in found]),
        "gradient": 0.0,
        "value": minimum["value"],
        "margin": minimum["margin"],
    }


def without_bias(setting: Setting) -> dict[str, Any]:
    """The arguments of the model without bias: the ETFs, where b = 0, are the same."""
    return {**setting.arguments, "lam_b": None}


def range_settings(full: bool) -> Iterable[Setting]:
    """24 classes, and the least number of them for gamma = 2; other exponents with p0 > 1/24."""
    yield MANY
    yield MANY._replace(K=18, d=17)
    if full:
        yield from (MANY._replace(gamma=gamma) for gamma in (3.0, 5.0))


def measure_range(setting: Setting) -> Measurement:
    """kappa where zero stops being a saddle, where the ETF stops being a minimum, and between: where f is equal."""
    per_rate = setting.K / (setting.K - 1)
    low = collapse_point(lambda kappa: setting._replace(kappa=kappa).problem)
    problem = setting.problem
    price = (setting.K - 1) / setting.K * setting.kappa

    def bend(margin: float) -> float:  # of the loss: phi'' by a symmetric difference of the slope
        step = 1e-4
        return slope(problem, margin + step) - slope(problem, margin - step)

    peak = root(bend, 5e-3, 2.0)
    high = per_rate * (price - slope(problem, peak))  # flat at the peak

    def surplus(kappa: float) -> float:  # of the ETF beyond the peak over zero
        at = setting._replace(kappa=kappa).problem
        margin = root(functools.partial(slope, at), peak, 4.0 * peak)
        return examine(at, balanced(at, margin)).value - examine(at, origin(at)).value

    tie = root(surplus, low + 0.1 * (high - low), high - 0.02 * (high - low))
    # The peak is off by the square of the step and by rounding over the step, and the rate by the square of that.
    # Between the minima, which are further apart than the peak is from zero, f changes by their margin times (K-1)/K.
    size = ROUNDING * (2.0 + setting.gamma)
    tolerances = {"low": 16 * ROUNDING, "high": size, "tie": size * per_rate / peak}
    return Measurement({"low": low, "high": high, "tie": tie}, tolerances)


def predict_range(setting: Setting) -> Mapping[str, Any]:
    """The two ends, and the kappa from which on zero is the global minimum."""
    arguments: dict[str, Any] = {"K": setting.K, "gamma": setting.gamma}
    low, high = theory.focal.bistable_range(**arguments)
    return {"low": low, "high": high, "tie": theory.focal.collapse_threshold(**arguments)}


def measure_zero(setting: Setting) -> Measurement:
    """Every Hessian eigenvalue at zero, f there, and f at the ETF that the solver finds."""
    problem, zero = setting.problem, origin(setting.problem)
    spectrum = spectrum_measurement(hessian_spectrum(problem, zero))
    found = solve(problem, start=etf_start(problem, 0.75), solver=STAY)
    value = examine(problem, zero).value
    values = {"least eigenvalue": float(spectrum.values["eigenvalues"][0]), "f(0)": value, "f(ETF)": found.value}
    tolerance = ROUNDING * (1.0 + value)
    tolerances = {"f(0)": tolerance, "f(ETF)": tolerance, "least eigenvalue": spectrum.tolerances["eigenvalues"]}
    listed = {f"{name}, digits": x for name, x in values.items()}
    digits = dict(zip(listed, (5e-12, 5e-7, 5e-7), strict=True))
    values = {**spectrum.values, **values, **listed, "positive": int(values["least eigenvalue"] > 0.0)}
    return Measurement(values, {**spectrum.tolerances, **tolerances, **digits})


def predict_zero(setting: Setting) -> Mapping[str, Any]:
    """A strict local minimum that is not global, at kappa > 1; with the digits of the reference."""
    spectrum = expanded(theory.focal.origin_spectrum(**setting.arguments, gamma=setting.gamma))
    minimum = theory.focal.global_minimum(**without_bias(setting), gamma=setting.gamma)
    return {
        **spectrum,
        "least eigenvalue": spectrum["eigenvalues"][0],
        "positive": 1,
        "f(0)": float(theory.focal.margin_loss(0.0, K=setting.K, gamma=setting.gamma)),
        "f(ETF)": minimum.value,
        "least eigenvalue, digits": 8.551313e-05,
        "f(0), digits": 2.918733,
        "f(ETF), digits": 2.917563,
    }


def without_classes(problem: Problem, lost: int) -> Params:
    """An ETF of the other classes, with the bias that favours them: near a partially collapsed critical point."""
    W = etf_start(problem, 0.75).W * (np.arange(problem.K) >= lost)[:, None]
    kept = np.any(W != 0.0, axis=1)
    W = W - np.outer(kept, W.sum(axis=0) / kept.sum())
    return Params(W, W.T, 0.02 * kept)


def measure_partial(setting: Setting) -> Measurement:
    """A critical point at which one class is collapsed to h = 0, and what the certificate makes of it."""
    problem = setting.problem
    found = solve(problem, start=without_classes(problem, 1), solver=STAY)
    if found.status is not Status.CONVERGED:
        return Measurement(failure=found.message)
    certificate = certify(problem, found.params)
    lost = np.linalg.norm(found.params.H, axis=0) <= 1e-6
    values = {
        "value": certificate.value,
        "value, digits": certificate.value,
        "index": certificate.index,
        "zero modes": certificate.nullity,
        "classes lost": int(np.sum(lost)),
    }
    # The reference gives the decay through an eigenvalue of seven digits; f rises by half the squared norm per decay.
    digits = 5e-12 * length(found.params) ** 2 / 2
    return Measurement(values, {"value": ROUNDING * (1.0 + certificate.value), "value, digits": digits})


def predict_partial(setting: Setting) -> Mapping[str, Any]:
    """A strict local minimum up to rotation, above the ETF; with the digits of the reference."""
    minimum = theory.focal.global_minimum(**without_bias(setting), gamma=setting.gamma)
    rank = setting.K - 2
    orbit = rank * (2 * setting.d - rank - 1) // 2
    return {
        "value": AtLeast(minimum.value + 1e-6),
        "value, digits": 2.917611974621,
        "index": 0,
        "zero modes": orbit,
        "classes lost": 1,
    }


def free_bias_settings(full: bool) -> Iterable[Setting]:
    """C = 1.12741 > 1 and C = 0.99, where the proof with a bias holds."""
    yield from (MANY._replace(lam_b=0.0, kappa=24 / 23 * price) for price in (1.12741, 0.99))


def measure_free_bias(setting: Setting) -> Measurement:
    """How much lower than the ETF the solver ends when it starts without three classes."""
    problem, values, gradients = setting.problem, [], []
    for lost in (0, 3):
        first = solve(problem, start=without_classes(problem, lost), solver=STAY)
        end = solve(problem, start=first.params, solver=STAY, gtol=1e-14)
        values.append(end.value)
        gradients.append(length(examine(problem, end.params).grad))
    tolerance = ROUNDING * (1.0 + values[0])
    found = {
        "f(ETF)": values[0],
        "f": values[1],
        "gradient": max(gradients),
        "beaten": int(values[1] < values[0] - tolerance),
    }
    return Measurement(found, {"f(ETF)": tolerance, "f": 5e-8 if found["beaten"] else tolerance, "gradient": 1e-12})


def predict_free_bias(setting: Setting) -> Mapping[str, Any]:
    """Lower by the reference's 4.9e-6 where T13 refuses a bias; not at all where it does not."""
    arguments: dict[str, Any] = {**setting.arguments, "gamma": setting.gamma}
    etf = theory.focal.global_minimum(**without_bias(setting), gamma=setting.gamma).value
    refused = bool(theory.focal.applies(**arguments))
    return {"f(ETF)": etf, "f": etf - 4.9e-6 if refused else AtLeast(etf), "gradient": 0.0, "beaten": int(refused)}


SOURCE = "derived for this project"
ROOTS = "rounding of the slope where it is zero, 32 eps (1 + gamma) kappa, over the curvature along the ray"

CLAIMS = (
    Claim(
        "T13-margins",
        "The critical simplex ETFs are zero and at most two margins, one on each side of the peak of the rate.",
        SOURCE,
        "equal class sizes, d >= K-1, b = 0",
        ROOTS,
        margin_settings,
        measure_margins,
        predict_margins,
    ),
    Claim(
        "T13-range",
        "From K = 18 on (gamma = 2) zero and an ETF are both local minima in a range of kappa > 1, with a tie inside.",
        SOURCE,
        "1/K < p0; for the tie no bias, or b = 0",
        "512 eps: a straight line; 32 eps (2 + gamma): the peak of the rate; that over the margin: a root of values",
        range_settings,
        measure_range,
        predict_range,
        boundary=True,
    ),
    Claim(
        "T13-a",
        "Focal loss is not benign for K >= 18: at kappa > 1 zero can be a strict local minimum above the ETF.",
        SOURCE,
        "K = 24, gamma = 2, d = K-1, lam_b = 0.01 (or no bias: b = 0 at both)",
        "1e-12 of the largest eigenvalue; 32 eps (1 + f); half a unit of the digits given",
        lambda full: [MANY],
        measure_zero,
        predict_zero,
        boundary=True,
    ),
    Claim(
        "T13-b",
        "There, a point with one class collapsed to h = 0 is a strict local minimum too.",
        SOURCE,
        "K = 24, gamma = 2, d = K-1, lam_b = 0.01",
        "7e-11 for the reference's digits: its decay is known through an eigenvalue of seven digits",
        lambda full: [MANY],
        measure_partial,
        predict_partial,
        boundary=True,
    ),
    Claim(
        "T13-c",
        "With a free bias and C > 1 the ETF is not global: a point without three classes is lower; not so at C <= 1.",
        SOURCE,
        "K = 24, gamma = 2, d = K-1, lam_b = 0",
        "5e-8 for the difference of 4.9e-6 that the reference gives; 32 eps (1 + f)",
        free_bias_settings,
        measure_free_bias,
        predict_free_bias,
        boundary=True,
    ),
)
