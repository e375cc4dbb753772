"""The minimum on spheres, its spectra and the closed bound (1.1, 1.3)."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

import theory
from ufm.certify.point import examine
from ufm.reduction import merge
from ufm.start import etf_start
from ufm.verify.claim import AtLeast, Claim, Measurement
from ufm.verify.claims.spheres.point import DISTANCE, VALUE, Setting, settled, slack_allowance
from ufm.verify.tangent import quantities, slack, zero_modes

MANY = 10**6  # samples a class, where one more is an imbalance of second order below rounding


def minima(full: bool) -> Iterable[Setting]:
    """1.1: from nearly flat to losses of 1e-11; more classes and unused dimensions in full."""
    yield from (Setting(4, 2, 5, tau) for tau in (0.3, 3.0, 20.0))
    yield from (Setting(3, 3, 2, tau) for tau in (1.0, 5.0))
    if full:
        for K, n, d, tau in [(2, 3, 3, 2.0), (3, 2, 2, 4.0), (5, 2, 4, 10.0), (6, 2, 7, 9.0), (10, 1, 9, 6.0)]:
            yield Setting(K, n, d, tau)


def spectra(full: bool) -> Iterable[Setting]:
    """1.1 and two classes, whose blocks are fewer."""
    yield from minima(full)
    yield Setting(2, 3, 3, 2.0, None)


def measure_minimum(setting: Setting) -> Measurement:
    """Every quantity of the minimum, and the values that two more starts reach."""
    found = settled(setting)
    measured = quantities(found)
    if found.failure:
        return measured
    starts = [settled(setting._replace(key=key)).point.value for key in (1, 2)]
    rho = measured.values["margin"] / setting.tau
    values = {**measured.values, "starts": np.array(starts), "hardmax": rho}
    tolerances = {"starts": found.value_allowance(), "hardmax": measured.tolerances["margin"] / setting.tau}
    return Measurement(values, {**measured.tolerances, **tolerances})


def predict_minimum(setting: Setting) -> Mapping[str, Any]:
    """The closed form; min over k, j of (w_k - w_j).h_k is the HardMax optimum of d >= K-1 as well."""
    minimum = theory.spheres.global_minimum(**setting.arguments)
    hardmax = theory.softmax_codes.optimum(K=setting.K, d=setting.d)
    return {**minimum.quantities, "starts": np.full(2, minimum.value), "hardmax": hardmax}


def measure_spectrum(setting: Setting) -> Measurement:
    """Every Riemannian Hessian eigenvalue at the minimum, and every one of Q."""
    found = settled(setting)
    if found.failure:
        return Measurement(failure=found.failure)
    values = {
        "hessian": found.spectrum,
        "zeros": zero_modes(found.spectrum),
        "slack": np.linalg.eigvalsh(slack(found.problem, found.point).Q),
    }
    return Measurement(values, {"hessian": found.spectrum_allowance(), "slack": slack_allowance(found)})


def predict_spectrum(setting: Setting) -> Mapping[str, Any]:
    """Both spectra with multiplicities, zeros exact."""
    hessian = theory.expand(theory.spheres.minimum_spectrum(**setting.arguments))
    matrix = theory.spheres.slack_spectrum(K=setting.K, n=setting.n, tau=setting.tau)
    return {"hessian": hessian, "zeros": int(np.sum(hessian == 0.0)), "slack": theory.expand(matrix)}


def bounded(full: bool) -> Iterable[Setting]:
    """Where the bound is attained: two classes of any sizes, equal and nearly equal ones; and where it is not."""
    yield Setting(4, 2, 5, 3.0)
    yield Setting(2, (3, 1), 2, 3.0, None)
    yield Setting(3, (MANY + 1, MANY, MANY), 2, 2.0, None)
    yield Setting(3, (4, 2, 1), 4, 3.0)
    if full:
        yield Setting(5, 2, 2, 3.0)


def measure_bounded(setting: Setting) -> Measurement:
    """The least value found, or that of the simplex (one column a class, exact at collapse)."""
    if setting.key is None:
        problem = merge(setting.problem)
        value = examine(problem, etf_start(problem)).value
        return Measurement({"value": value}, {"value": 1e-12 * (1.0 + setting.tau) * value})
    found = settled(setting)
    return Measurement({"value": found.point.value}, {"value": found.value_allowance()}, found.failure)


def predict_bounded(setting: Setting) -> Mapping[str, Any]:
    """The bound, which the simplex attains unless K > 2 and the sizes differ by more than one in a million."""
    bound = theory.spheres.lower_bound(**setting.arguments)
    attained = setting.key is None or (isinstance(setting.n, int) and setting.d >= setting.K - 1)
    return {"value": bound if attained else AtLeast(bound)}


CLAIMS = (
    Claim(
        "1.1",
        "Unit features and classifiers: the minimum is a self-dual simplex ETF, at every temperature.",
        "Model of Yaras et al. (NeurIPS 2022); proof derived for this project",
        "equal class sizes, d >= K-1, cross-entropy of tau W H, no bias",
        VALUE + "geometry: the Lipschitz constant times the distance; " + DISTANCE,
        minima,
        measure_minimum,
        predict_minimum,
    ),
    Claim(
        "1.1-spectrum",
        "Every Riemannian Hessian eigenvalue at the simplex, and every one of its dual certificate Q, which is >= 0.",
        "derived for this project",
        "as 1.1",
        "1e-12 of the largest eigenvalue (rounding of eigvalsh), and 4 tau distance of it; " + DISTANCE,
        spectra,
        measure_spectrum,
        predict_spectrum,
    ),
    Claim(
        "1.1-bound",
        "A closed lower bound for every d and any class sizes; attained by two classes and, asymptotically, by equal.",
        "derived for this project",
        "cross-entropy of tau W H on spheres",
        VALUE + "1e-12 (1 + tau) of f at the simplex: one sample more than 10^6 moves the bound by less",
        bounded,
        measure_bounded,
        predict_bounded,
    ),
)
