"""Real targets under the squared loss: which directions are kept, how far they shrink, where each is lost (7)."""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.losses.squared import MSE
from ufm.problem import Problem
from ufm.solve import solve
from ufm.verify.claim import Claim, Measurement
from ufm.verify.experiment import ALLOWANCE, Settled, line_root, quantities, settle


class Setting(NamedTuple):
    """q real targets of N samples, drawn from a seed; c = N lam_W lam_H and ratio = lam_W/lam_H.

    tied: all singular values of the targets are equal, so that a cut at d < q leaves the minimiser free.
    """

    q: int
    N: int
    d: int
    lam_b: float | None
    c: float
    ratio: float = 1.0
    seed: int = 0
    tied: bool = False

    @property
    def targets(self) -> np.ndarray:
        """[q, N] correlated rows with means, or orthogonal ones of equal norm."""
        rng = np.random.default_rng(self.seed)
        if self.tied:
            return 3.0 * np.linalg.qr(rng.standard_normal((self.N, self.q)))[0].T
        return (
            rng.standard_normal((self.q, self.q)) @ rng.standard_normal((self.q, self.N)) + np.arange(self.q)[:, None]
        )

    @property
    def decays(self) -> dict[str, Any]:
        """Keywords of Problem and of theory alike."""
        nu, tilt = math.sqrt(self.c / self.N), math.sqrt(self.ratio)
        return {"lam_W": nu * tilt, "lam_H": nu / tilt, "lam_b": self.lam_b}

    @property
    def problem(self) -> Problem:
        """What is solved: every sample is a group of its own."""
        return Problem(self.q, 1, self.d, **self.decays, loss=MSE(), targets=self.targets)


def settings(full: bool) -> Iterable[Setting]:
    """From all directions kept to none, d above and below q."""
    shapes = [(3, 8, 4, 0.0), (3, 8, 2, None)]
    decays = [(1e-4, 3.0), (0.6, 10.0)]
    if full:
        shapes += [(3, 8, 4, None), (3, 8, 2, 0.0), (1, 6, 2, 0.0), (5, 12, 6, 0.0)]
        decays += [(0.02, 0.2), (20.0, 1.0)]
    for q, N, d, lam_b in shapes:
        for c, ratio in decays:
            yield Setting(q, N, d, lam_b, c, ratio)
    yield Setting(3, 8, 2, None, 0.1, 2.0, tied=True)


@functools.cache
def settled(setting: Setting) -> Settled:
    """The minimum that the solver finds from a random start."""
    return settle(setting.problem)


def measure_minimum(setting: Setting) -> Measurement:
    """Every quantity of the minimum, W H, and c from the data loss q c/2 where every direction is kept."""
    found, base = settled(setting), quantities(settled(setting))
    if base.failure:
        return base
    Z = found.params.W @ found.params.H
    values = {**base.values, "Z": Z, "c": 2.0 * base.values["data_loss"] / setting.q}
    tolerances = {**base.tolerances, "Z": found.allowance(float(np.max(np.abs(Z)))), "c": base.tolerances["data_loss"]}
    return Measurement(values, tolerances)


def predict_minimum(setting: Setting) -> Mapping[str, Any]:
    """The closed form, and that it is the global minimum."""
    arguments = {"Y": setting.targets, "d": setting.d, **setting.decays}
    quantities = dict(theory.regression.global_minimum(**arguments).quantities)
    W, H, b = theory.regression.minimiser(**arguments)
    quantities["verdict"] = "GLOBAL_MINIMUM"
    if not setting.tied:  # else it is one of many
        quantities["Z"] = W @ H
    if b is not None:
        quantities["b"] = b
    if np.all(quantities["sigma_Z"][: setting.q] > 0.0):
        lam_W, lam_H = setting.decays["lam_W"], setting.decays["lam_H"]
        quantities["c"] = theory.regression.strength(N=setting.N, lam_W=lam_W, lam_H=lam_H)
    return quantities


def at(setting: Setting, nu: float) -> Setting:
    """At lam_W = lam_H = nu."""
    return setting._replace(c=setting.N * nu**2, ratio=1.0)


def measure_thresholds(setting: Setting) -> Measurement:
    """The nu at which each singular value of W H vanishes, from the straight line that it follows; and the rank there.

    The rank is counted 1 % below and above each root.
    """
    low, high = settled(at(setting, 0.01)), settled(at(setting, 0.03))
    if low.failure or high.failure:
        return Measurement(failure=low.failure or high.failure)
    sigma = [np.linalg.svd(found.params.W @ found.params.H, compute_uv=False)[: setting.q] for found in (low, high)]
    roots = line_root(0.01, 0.03, *sigma)
    ranks = [rank(at(setting, factor * root).problem) for root in roots for factor in (0.99, 1.01)]
    slack = 2 * max(low.allowance(float(sigma[0][0])), high.allowance(float(sigma[0][0])))
    return Measurement(
        {"nu": roots, "ranks": np.array(ranks)},
        {"nu": slack * (1.0 + float(roots[0]) / 0.02) / float(np.min(sigma[0] - sigma[1])) * 0.02},
    )


def rank(problem: Problem) -> int:
    """Number of singular values of W H that are not rounding, at the minimum."""
    params = solve(problem).params
    sigma = np.linalg.svd(params.W @ params.H, compute_uv=False)
    return int(np.sum(sigma > 1e-6 * (1.0 + sigma[0])))


def predict_thresholds(setting: Setting) -> Mapping[str, Any]:
    """c = l_j, an eigenvalue of the covariance of the targets."""
    Y = setting.targets - np.mean(setting.targets, axis=1, keepdims=True)
    covariance = np.linalg.eigvalsh(Y @ Y.T / setting.N)[::-1]
    at_one = theory.regression.strength(N=setting.N, lam_W=1.0, lam_H=1.0)
    ranks = [kept for j in range(setting.q) for kept in (j + 1, j)]
    return {"nu": np.sqrt(covariance / at_one), "ranks": np.array(ranks)}


CLAIMS = (
    Claim(
        "7",
        "Regression: directions of the targets with covariance above c = N lam_W lam_H are kept and shrink by sqrt(c).",
        "Andriopoulos et al. (NeurIPS 2024); through T10, derived for this project",
        "squared loss, real targets, free or no bias",
        ALLOWANCE,
        settings,
        measure_minimum,
        predict_minimum,
    ),
    Claim(
        "7-threshold",
        "A direction of the targets is lost exactly when its variance is at most N lam_W lam_H.",
        "Andriopoulos et al. (NeurIPS 2024) for the lower bound of all; each direction: derived for this project",
        "squared loss, free bias, d >= q",
        "the allowance of two singular values, carried along the straight line through them to its root",
        lambda full: [Setting(3, 8, 4, 0.0, 1.0)],
        measure_thresholds,
        predict_thresholds,
        boundary=True,
    ),
)
