"""Non-negative features: the minimum, where each class is lost, minima that are only local (3.7)."""

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq

import theory
from ufm.models import Bilinear, relu_features
from ufm.problem import Params, Problem
from ufm.solve import solve
from ufm.solvers.newton import TrustRegion
from ufm.verify.claim import Claim, Measurement
from ufm.verify.experiment import ALLOWANCE, EPS, Settled, quantities, settled_at
from ufm.verify.sizes import determinant

STARTS = 12
ROOT = 2.0**12 * EPS  # relative


class Setting(NamedTuple):
    """Class sizes; nu = sqrt(lam_W lam_H) and ratio = lam_W/lam_H."""

    n: tuple[int, ...]
    d: int
    nu: float
    ratio: float = 1.0

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of Problem and of theory alike."""
        tilt = math.sqrt(self.ratio)
        return {"K": len(self.n), "n": self.n, "d": self.d, "lam_W": self.nu * tilt, "lam_H": self.nu / tilt}

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return Problem(**self.arguments, model=relu_features())


def settings(full: bool) -> Iterable[Setting]:
    """All classes kept, one lost, two lost."""
    for nu, ratio in [(0.01, 3.0), (0.13, 0.5), (0.18, 1.0)]:
        yield Setting((4, 2, 1), 3, nu, ratio)
    if full:
        yield Setting((4, 2, 1), 4, 0.3)
        for nu in (1e-3, 0.05):
            yield Setting((6, 3, 2, 1), 6, nu, 2.0)
            yield Setting((2, 2, 2, 2), 4, nu, 0.2)


@functools.cache
def best(setting: Setting) -> Settled:
    """The lowest point that is found from STARTS random starts."""
    solutions = [solve(setting.problem, key, reduce=False) for key in range(STARTS)]
    lowest = min(solutions, key=lambda solution: solution.value)
    return settled_at(setting.problem, solve(setting.problem, start=lowest.params, gtol=EPS).params, lowest)


def measure_minimum(setting: Setting) -> Measurement:
    """Every quantity of the best point found."""
    return quantities(best(setting))


def predict_minimum(setting: Setting) -> Mapping[str, Any]:
    """The closed form."""
    return {**theory.relu_features.global_minimum(**setting.arguments).quantities, "verdict": "GLOBAL_MINIMUM"}


def start_with(problem: Problem, places: Mapping[int, tuple[int, ...]]) -> Params:
    """Features of class k along the coordinates places[k], w_k along them too; the other classes have none."""
    K, d = problem.K, problem.d
    means = np.zeros((d, K))
    for k, where in places.items():
        means[list(where), k] = 1.0
    return Params(means.T - np.mean(means, axis=1), means[:, problem.labels], None)


class Lost(NamedTuple):
    """Falling class sizes; for each class an interval of nu in which it is lost and the larger ones are not."""

    n: tuple[int, ...]
    ratio: float
    brackets: tuple[tuple[float, float], ...]


def measure_threshold(setting: Lost) -> Measurement:
    """For each class the nu at which its zero features stop being stable, beside the larger classes as they are.

    The plane that decides moves w_c and the features of class c along a coordinate that nobody uses.
    """
    K, roots = len(setting.n), []
    for c, (low, high) in enumerate(setting.brackets):

        def height(nu: float, c: int = c) -> float:
            problem = Setting(setting.n, K, nu, setting.ratio).problem
            start = start_with(problem, {k: (k,) for k in range(c)})
            params = solve(problem, start=start, solver=TrustRegion(escapes=False)).params
            toward = (np.arange(K) == c) - 1.0 / K
            unused, own = np.eye(K)[c], (problem.labels == c).astype(float)
            flat = Params(np.zeros_like(params.W), np.zeros_like(params.H), None)
            in_W = flat._replace(W=np.outer(toward / np.linalg.norm(toward), unused))
            in_H = flat._replace(H=np.outer(unused, own / np.linalg.norm(own)))
            # Into the cone H >= 0 the second order is that of the unconstrained problem.
            return determinant(dataclasses.replace(problem, model=Bilinear()), params, in_W, in_H)

        roots.append(brentq(height, low, high, xtol=EPS / 4, rtol=4 * EPS))  # pyright: ignore
    return Measurement({"nu": np.array(roots)}, {"nu": ROOT * max(roots)})


def predict_threshold(setting: Lost) -> Mapping[str, Any]:
    """sqrt(n_c (K-1)/K)/N."""
    return {"nu": theory.relu_features.collapse_thresholds(K=len(setting.n), n=setting.n)}


def measure_local(setting: Setting) -> Measurement:
    """The critical point with the last class at zero and every coordinate taken by another one."""
    problem = setting.problem
    first = solve(problem, start=start_with(problem, {0: (0, 1), 1: (2,)}))
    found = settled_at(problem, solve(problem, start=first.params, gtol=EPS).params, first)
    if found.failure:
        return Measurement(failure=found.failure)
    values = {
        "value": found.value,
        "verdict": found.certificate.verdict.name,
        "nullity": found.certificate.nullity,
    }
    return Measurement(values, {"value": found.value_allowance()})


def predict_local(setting: Setting) -> Mapping[str, Any]:
    """f* is a sum over classes, and the last pays (n/N) log K instead of its term; one zero mode turns class 0."""
    K, n, N = len(setting.n), setting.n[-1], sum(setting.n)
    best = theory.relu_features.global_minimum(**setting.arguments)
    x = best.quantities["logits"][-1, -1] * K / (K - 1)
    term = n / N * math.log1p((K - 1) * math.exp(-x)) + setting.nu * math.sqrt(n * (K - 1) / K) * x
    return {"value": best.value - term + n / N * math.log(K), "verdict": "LOCAL_MINIMUM", "nullity": 1}


CLAIMS = (
    Claim(
        "3.7",
        "H >= 0: orthogonal class means, each classifier along its own; the best of 12 starts is proved to be it.",
        "Dang et al. (ICML 2024); closed form re-derived for this project",
        "cross-entropy with decay, no bias, d >= K, any class sizes",
        ALLOWANCE,
        settings,
        measure_minimum,
        predict_minimum,
    ),
    Claim(
        "3.7-threshold",
        "H >= 0: class c is lost exactly from nu = sqrt(n_c (K-1)/K)/N on.",
        "Dang et al. (ICML 2024); re-derived for this project",
        "as 3.7, d > K-1",
        "4096 eps relative: rounding of the determinant over its slope",
        lambda full: [Lost((4, 2, 1), 0.5, ((0.2, 0.3), (0.14, 0.2), (0.06, 0.14)))],
        measure_threshold,
        predict_threshold,
        boundary=True,
    ),
    Claim(
        "3.7-local",
        "H >= 0 is not benign: a class without features stays so where the others take all coordinates, even d = K.",
        "derived for this project",
        "as 3.7, d = K = 3",
        "the allowance of f",
        lambda full: [Setting((4, 2, 1), 3, 0.05)],
        measure_local,
        predict_local,
        boundary=True,
    ),
)
