"""Minority collapse: the exact decay and the exact imbalance from which the small classes coincide (3.4, 3.6).

Each threshold is measured as a root: on the branch of critical points where the small classes coincide, the Hessian's
determinant on the plane in which two of them part changes its sign. Class sizes are real numbers where a ratio is
varied (`ufm.verify.sizes`).
"""

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq

import theory
from ufm.models import layer_peeled
from ufm.problem import Params, Problem
from ufm.start import random_start
from ufm.verify.claim import Claim, Measurement
from ufm.verify.experiment import EPS, Settled, settle
from ufm.verify.sizes import collapsed_branch, leaving, peeled, with_sizes

ROOT = 2.0**12 * EPS  # relative


class Decayed(NamedTuple):
    """Class sizes, and the small classes among them; ratio = lam_W/lam_H."""

    n: tuple[int, ...]
    small: tuple[int, ...]
    lam_b: float | None
    ratio: float

    def problem(self, nu: float) -> Problem:
        """At nu = sqrt(lam_W lam_H)."""
        lam_W, lam_H = nu * math.sqrt(self.ratio), nu / math.sqrt(self.ratio)
        if self.lam_b is None:
            return with_sizes(self.n, 4, lam_W, lam_H)
        return Problem(len(self.n), self.n, 5, lam_W, lam_H, self.lam_b)


class Grown(NamedTuple):
    """k_A classes of R n_B samples and k_B of n_B, at fixed decays; R is what is sought."""

    k_A: int
    k_B: int
    n_B: int
    lam_W: float
    lam_H: float


class Peeled(NamedTuple):
    """k_A large and k_B small classes within norm budgets; stated: R_0 as the theory reference prints it."""

    k_A: int
    k_B: int
    E_W: float
    E_H: float
    stated: str


def crossing(problem_at: Callable[[float], Problem], small: tuple[int, ...], low: float, high: float) -> float:
    """The root in x of the determinant on the collapsed branch of problem_at(e^x), as e^x."""
    last: Params | None = None

    def height(x: float) -> float:
        nonlocal last
        problem = problem_at(math.exp(x))
        last = collapsed_branch(problem, small, random_start(problem) if last is None else last)
        return leaving(problem, last, *small[:2])

    return math.exp(brentq(height, math.log(low), math.log(high), xtol=4 * EPS, rtol=4 * EPS))  # pyright: ignore


def measure_decay(setting: Decayed) -> Measurement:
    """nu at the threshold, between 0.02 and 0.14 (beyond, everything vanishes)."""
    nu = crossing(setting.problem, setting.small, 0.02, 0.14)
    return Measurement({"nu": nu}, {"nu": ROOT * nu})


def predict_decay(setting: Decayed) -> Mapping[str, Any]:
    """sqrt(n_B)/N."""
    return {"nu": theory.imbalance.minority_collapse_threshold(K=len(setting.n), n=setting.n)}


def measure_growth(setting: Grown) -> Measurement:
    """R at the threshold."""

    def problem_at(R: float) -> Problem:
        sizes = [R * setting.n_B] * setting.k_A + [setting.n_B] * setting.k_B
        return with_sizes(sizes, 4, setting.lam_W, setting.lam_H)

    small = tuple(range(setting.k_A, setting.k_A + setting.k_B))
    R = crossing(problem_at, small, 1.0, 1e3)
    return Measurement({"R": R}, {"R": ROOT * R})


def predict_growth(setting: Grown) -> Mapping[str, Any]:
    """(1/(nu sqrt n_B) - k_B)/k_A."""
    return {"R": theory.imbalance.minority_collapse_ratio(**setting._asdict())}


def measure_peeled(setting: Peeled) -> Measurement:
    """R_0, and whether the printed digits agree with it."""
    K, model = setting.k_A + setting.k_B, layer_peeled(setting.E_W, setting.E_H)
    R = crossing(
        lambda R: peeled([R] * setting.k_A + [1.0] * setting.k_B, K, model), tuple(range(setting.k_A, K)), 1.0, 1e4
    )
    last_digit = 10.0 ** -len(setting.stated.partition(".")[2])
    return Measurement({"R0": R, "digits": R}, {"R0": ROOT * R, "digits": last_digit / 2})


def predict_peeled(setting: Peeled) -> Mapping[str, Any]:
    """From the multiplier of the budget; as printed."""
    arguments = {"k_A": setting.k_A, "k_B": setting.k_B, "E_W": setting.E_W, "E_H": setting.E_H}
    return {"R0": theory.layer_peeled.minority_collapse_ratio(**arguments), "digits": float(setting.stated)}


PEELED = (
    Peeled(5, 5, 1.0, 5.0, "12.192447"),
    Peeled(5, 5, 1.0, 10.0, "81.102206"),
    Peeled(3, 7, 1.0, 5.0, "245.49693"),
    Peeled(2, 3, 1.0, 2.0, "11.144388"),
    Peeled(1, 4, 1.0, 3.0, "2910.1898"),
    Peeled(3, 2, 1.0, 3.0, "6.25098"),
)


class Unequal(NamedTuple):
    """Two large classes, two small ones, and N nu."""

    n: tuple[int, ...]
    N_nu: float


@functools.cache
def unequal(setting: Unequal) -> Settled:
    """The minimum at lam_W = lam_H."""
    nu = setting.N_nu / sum(setting.n)
    return settle(with_sizes(setting.n, 4, nu, nu))


def measure_unequal(setting: Unequal) -> Measurement:
    """rank W, the distance of the small classes' classifiers, the cosines between their vectors."""
    found = unequal(setting)
    if found.failure:
        return Measurement(failure=found.failure)
    W, H = found.params.W, found.params.H
    values = {
        "rank": int(np.sum(np.linalg.svd(W, compute_uv=False) > 1e-6)),
        "distance": float(np.linalg.norm(W[2] - W[3])),
        "cos h": _cosine(H[:, 2], H[:, 3]),
        "cos w": _cosine(W[2] - W.mean(axis=0), W[3] - W.mean(axis=0)),
    }
    slack = 4 * found.allowance(1.0) / min(1.0, float(np.linalg.norm(H[:, 3])) ** 2)
    return Measurement(values, {"distance": 5e-4 + slack, "cos h": slack, "cos w": slack})


def _cosine(x: np.ndarray, y: np.ndarray) -> float:
    return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))


def predict_unequal(setting: Unequal) -> Mapping[str, Any]:
    """Unequal small classes: rank 2, collinear but 0.102 apart (as printed). Equal ones: theory's minimum."""
    if setting.n[2] != setting.n[3]:
        reasons = theory.imbalance.applies(K=4, n=setting.n, d=4, lam_W=1.0, lam_H=1.0)
        assert reasons, "no closed form for three class sizes"
        return {"rank": 2, "distance": 0.102, "cos h": 1.0, "cos w": 1.0}
    nu = setting.N_nu / sum(setting.n)
    gram = theory.imbalance.global_minimum(K=4, n=setting.n, d=4, lam_W=nu, lam_H=nu).quantities["gram_W"]
    distance = math.sqrt(max(gram[2, 2] - 2 * gram[2, 3] + gram[3, 3], 0.0))
    rank = int(np.linalg.matrix_rank(gram, 1e-9))
    return {"rank": rank, "distance": distance, "cos h": 1.0, "cos w": 1.0}


TOLERANCE = "4096 eps relative: rounding of the determinant over its slope; Newton follows the branch to rounding"


def decay_settings(full: bool) -> Iterable[Decayed]:
    """No bias, a free and a penalised one."""
    yield Decayed((4, 4, 2, 2), (2, 3), None, 3.0)
    yield Decayed((9, 1, 1, 1), (1, 2, 3), None, 0.5)
    for lam_b in (0.0, 0.05):
        yield Decayed((2, 4, 2, 4, 2), (0, 2, 4), lam_b, 2.0)


CLAIMS = (
    Claim(
        "3.4-collapse",
        "The small classes coincide, classifiers and features, exactly from nu = sqrt(n_B)/N on, whatever the bias.",
        "Hong and Ling (JMLR 2024) for the phenomenon; the exact threshold derived for this project",
        "cross-entropy with decay, two class sizes, d >= K",
        TOLERANCE,
        decay_settings,
        measure_decay,
        predict_decay,
        boundary=True,
    ),
    Claim(
        "3.4-ratio",
        "At fixed decays the small classes coincide exactly from the imbalance R = (1/(nu sqrt n_B) - k_B)/k_A on.",
        "derived for this project",
        "as 3.4-collapse; n_A real",
        TOLERANCE,
        lambda full: [Grown(2, 2, 1, 0.02, 0.08), Grown(1, 3, 2, 0.01, 0.004)],
        measure_growth,
        predict_growth,
        boundary=True,
    ),
    Claim(
        "3.4-unequal",
        "Small classes of different sizes do not coincide: they become collinear, with different norms.",
        "derived for this project",
        "cross-entropy with decay, sizes (30, 30, 2, 1) and (30, 30, 2, 2)",
        "the printed digits of the distance; 4 times the allowance of a product over the smallest norm for the cosines",
        lambda full: [Unequal((30, 30, 2, 1), 2.52), Unequal((30, 30, 2, 2), 2.52)],
        measure_unequal,
        predict_unequal,
        boundary=True,
    ),
    Claim(
        "3.6-ratio",
        "Within norm budgets the small classes coincide exactly from a finite imbalance R_0 on.",
        "Fang et al. (PNAS 2021) for the limit R -> infinity; the finite threshold derived for this project",
        "layer-peeled model, two class sizes, d >= K; n_A real",
        TOLERANCE + "; the reference's six numbers to the digits they have",
        lambda full: PEELED,
        measure_peeled,
        predict_peeled,
        boundary=True,
    ),
)
