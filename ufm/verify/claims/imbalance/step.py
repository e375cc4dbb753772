"""Cross-entropy under class imbalance: STEP minima, their certificate, zero thresholds (3.4, G1, G2).

Where it says so, class sizes are real numbers (`ufm.verify.sizes`): one compilation then serves all of them.
"""

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.certify.point import examine
from ufm.losses.cross_entropy import CrossEntropy
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
from ufm.verify.sizes import STAY, per_sample, with_sizes

SIZES = (2, 4, 2, 4, 2)  # two large classes and three small ones, mixed


class Setting(NamedTuple):
    """A problem by nu = sqrt(lam_W lam_H) and ratio = lam_W/lam_H; real_sizes: one column a class."""

    n: tuple[int, ...]
    d: int
    lam_b: float | None
    nu: float
    ratio: float = 1.0
    real_sizes: bool = True

    @property
    def K(self) -> int:
        """Classes."""
        return len(self.n)

    @property
    def decays(self) -> dict[str, Any]:
        """Keywords of Problem and of theory alike."""
        tilt = math.sqrt(self.ratio)
        return {"lam_W": self.nu * tilt, "lam_H": self.nu / tilt, "lam_b": self.lam_b}

    @property
    def problem(self) -> Problem:
        """What is solved."""
        if self.real_sizes:
            return with_sizes(self.n, self.d, self.decays["lam_W"], self.decays["lam_H"])
        return Problem(self.K, self.n, self.d, **self.decays)


def step_settings(full: bool) -> Iterable[Setting]:
    """No collapse, minority collapse, nothing left; one class in a group; equal sizes; every bias mode."""
    for lam_b, nu, ratio in [(0.0, 0.01, 3.0), (0.05, 0.06, 0.2), (0.0, 0.12, 1.0), (0.3, 0.09, 2.0)]:
        yield Setting(SIZES, 5, lam_b, nu, ratio, False)
    for n, nu in [((9, 1, 1, 1), 0.03), ((9, 1, 1, 1), 0.1), ((5, 5, 5, 2), 0.05), ((3, 3, 3, 3), 0.1)]:
        yield Setting(n, 4, None, nu, 0.5)
    yield Setting((10, 10, 1, 1), 4, None, 1e-6, 2.0)
    if full:
        yield Setting((4, 4, 1, 1), 4, None, 0.3)
        for lam_b in (None, 0.0):
            yield Setting((30, 30, 1, 1, 1), 4, lam_b, 2e-3, 5.0, False)
            yield Setting((5, 1), 2, lam_b, 0.02, 1.0, False)
            yield Setting((3, 3, 3, 1), 3, lam_b, 0.11, 1.0, False)


@functools.cache
def settled(setting: Setting) -> Settled:
    """The minimum that the solver finds from a random start."""
    return settle(setting.problem, solver=STAY) if setting.real_sizes else settle(setting.problem)


def measure_step(setting: Setting) -> Measurement:
    """Every quantity of the minimum."""
    found = quantities(settled(setting))
    return per_sample(found, setting.n) if setting.real_sizes and not found.failure else found


def predict_step(setting: Setting) -> Mapping[str, Any]:
    """The closed form."""
    found = theory.imbalance.global_minimum(K=setting.K, n=setting.n, d=setting.d, **setting.decays).quantities
    return found if setting.real_sizes else {**found, "verdict": "GLOBAL_MINIMUM"}


def residual_settings(full: bool) -> Iterable[Setting]:
    """Where there are samples."""
    return [setting for setting in step_settings(full) if not setting.real_sizes]


def measure_residual(setting: Setting) -> Measurement:
    """Singular values of the loss's gradient in the logits at the minimum; f there."""
    found = settled(setting)
    if found.failure:
        return Measurement(failure=found.failure)
    sigma = np.linalg.svd(examine(found.problem, found.params).G, compute_uv=False)
    tolerances = {"residual": found.allowance(1.0), "bound": 2 * found.value_allowance()}
    return Measurement(
        {"residual": sigma, "rank": int(np.sum(sigma > setting.nu * (1 - 1e-6))), "bound": found.value}, tolerances
    )


def predict_residual(setting: Setting) -> Mapping[str, Any]:
    """Those of theory's logits; nu as often as the rank of W H; and the dual value, which closes the gap."""
    found = theory.imbalance.global_minimum(K=setting.K, n=setting.n, d=setting.d, **setting.decays).quantities
    b = np.zeros(setting.K) if setting.lam_b is None else found["b"]
    arguments = {"logits": found["logits"] + b[:, None], "n": setting.n}
    return {
        "residual": theory.residual.residual_spectrum(**arguments),
        "rank": int(np.sum(found["sigma_Z"] > 0.0)),
        "bound": theory.residual.lower_bound(**arguments, **setting.decays),
    }


class Drawn(NamedTuple):
    """A problem, and logits [K, K] (a column a class) of this size, drawn from a seed."""

    setting: Setting
    size: float
    seed: int = 0

    @property
    def logits(self) -> np.ndarray:
        """[K, K]."""
        K = self.setting.K
        return self.size * np.random.default_rng(self.seed).standard_normal((K, K))


def measure_bound(drawn: Drawn) -> Measurement:
    """The dual function by ufm's conjugate at the gradient of these logits, scaled into |Gamma|_2 <= nu.

    With a free bias the softmax is moved first, so that the row sums vanish, and mixed with the class frequencies by as
    little as keeps it >= 0.
    """
    problem = dataclasses.replace(drawn.setting.problem, d=drawn.setting.K)
    sizes, starts = np.asarray(problem.sizes), np.cumsum((0, *problem.sizes))[:-1]
    point = examine(problem, origin(problem)._replace(W=np.eye(problem.K), H=drawn.logits[:, problem.labels]))
    G, prior = point.G[:, starts], (sizes / problem.N)[:, None]
    if drawn.setting.lam_b == 0.0:
        moved = problem.N * (G - G @ prior) + np.eye(problem.K)
        mixed = max(0.0, float(np.max(-moved / (prior - np.minimum(moved, 0.0)))))
        moved = np.maximum(moved + mixed * (prior - moved), 0.0)  # of the least entry rounding may be left
        G = (moved - np.eye(problem.K)) / problem.N
    G = G * min(1.0, drawn.setting.nu / float(np.linalg.norm(G * np.sqrt(sizes), 2)))
    bound = -float(sizes @ CrossEntropy().conjugate(problem.N * G, np.eye(problem.K))) / problem.N
    if drawn.setting.lam_b:
        bound -= float(np.sum((G @ sizes) ** 2)) / (2.0 * drawn.setting.lam_b)
    return Measurement({"bound": bound}, {"bound": ROUNDING * (1.0 + abs(bound))})


def predict_bound(drawn: Drawn) -> Mapping[str, Any]:
    """The bound by hand."""
    return {"bound": theory.residual.lower_bound(logits=drawn.logits, n=drawn.setting.n, **drawn.setting.decays)}


def measure_zero(setting: Setting) -> Measurement:
    """The nu at which the curvature along T5's direction at W = H = 0, b best, changes its sign."""
    b = None if setting.lam_b is None else np.log(np.asarray(setting.n) / np.sum(setting.n))
    ends = [setting._replace(nu=nu, ratio=1.0).problem for nu in (0.05, 0.3)]
    gradient = examine(ends[0], origin(ends[0], b)).grad_norm
    if gradient > ROUNDING:
        return Measurement(failure=f"W = H = 0 is not critical: gradient {gradient:.1e}")
    low, high = (escape_curvature(end, origin(end, b)) for end in ends)
    return Measurement({"nu": line_root(0.05, 0.3, low, high)}, {"nu": 16 * ROUNDING})


def predict_zero(setting: Setting) -> Mapping[str, Any]:
    """Where the origin becomes the global minimum."""
    return {"nu": theory.imbalance.zero_threshold(K=setting.K, n=setting.n, lam_b=setting.lam_b)}


def zero_settings(full: bool) -> Iterable[Setting]:
    """Any class sizes, without and with a free bias."""
    for n in [(7, 3, 2, 1), (9, 1, 1, 1), (4, 4, 1, 1)]:
        yield Setting(n, 4, None, 1.0)
    for n in [SIZES, (7, 3, 2, 1)] + ([(30, 3, 1)] if full else []):
        yield Setting(n, 5, 0.0, 1.0, 1.0, False)


CLAIMS = (
    Claim(
        "3.4",
        "Two class sizes: an ETF in each group and one direction between them, from four or five scalar equations.",
        "Setting: Hong and Ling (JMLR 2024); minimum and bias derived for this project",
        "cross-entropy with decay, at most two class sizes, d >= K-1",
        ALLOWANCE,
        step_settings,
        measure_step,
        predict_step,
    ),
    Claim(
        "G2",
        "At the minimum rank(W H) singular values of the residual (softmax - Y)/N equal nu, all others are below.",
        "derived for this project (optimality conditions; known from Haeffele and Vidal, CVPR 2017)",
        "cross-entropy with decay, any class sizes",
        ALLOWANCE,
        residual_settings,
        measure_residual,
        predict_residual,
    ),
    Claim(
        "G1",
        "Any logits bound f* from below by the entropy of their softmax, pulled to the labels until |residual| <= nu.",
        "derived for this project (weak duality)",
        "cross-entropy with decay, any class sizes",
        "1024 eps: the same number by ufm's conjugate",
        lambda full: [
            Drawn(Setting((2, 4, 2, 4, 2), 5, lam_b, nu, 1.0, False), size)
            for lam_b in (0.0, 0.05, 0.3)
            for nu, size in [(0.02, 3.0), (0.05, 0.3), (1.0, 1.0)]
        ],
        measure_bound,
        predict_bound,
    ),
    Claim(
        "3.4-zero",
        "W = H = 0 stops being a strict saddle at sqrt(lambda_max(P D P))/N; free bias: of D - n n^T/N.",
        "derived for this project",
        "cross-entropy, any class sizes, lam_W = lam_H",
        "512 eps: the root of a straight line through two eigenvalues of size 0.1",
        zero_settings,
        measure_zero,
        predict_zero,
        boundary=True,
    ),
)
