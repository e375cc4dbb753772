"""Cross-entropy of any class sizes: its residual softmax - targets as a certificate (G1) and at the minimum (G2)."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.certify.duality import class_gradient
from ufm.certify.point import examine
from ufm.problem import Params, Problem
from ufm.verify.claim import AtLeast, AtMost, Claim, Measurement
from ufm.verify.experiment import ROUNDING, Settled, settle


class Setting(NamedTuple):
    """Class sizes n and decays; seed: of random logits, of this scale."""

    n: tuple[int, ...]
    d: int
    lam_W: float
    lam_H: float
    lam_b: float | None = None
    seed: int = 0
    scale: float = 1.0

    @property
    def decays(self) -> dict[str, Any]:
        """Keywords of Problem and of theory alike."""
        return {name: getattr(self, name) for name in ("n", "lam_W", "lam_H", "lam_b")}

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return Problem(K=len(self.n), d=self.d, **self.decays)

    @property
    def logits(self) -> np.ndarray:
        """[K, K] at random, the same for the same seed."""
        K = len(self.n)
        return self.scale * np.random.default_rng(self.seed).standard_normal((K, K))


def minimum_settings(full: bool) -> Iterable[Setting]:
    """Class sizes of the reference; all directions kept, and some lost."""
    yield Setting((7, 5, 3, 2, 1), 4, 0.02, 0.02, 0.0)
    yield Setting((7, 5, 3, 2, 1), 4, 0.2, 0.05, 0.05)
    if full:
        yield Setting((12, 1, 1), 3, 0.01, 0.04)
        yield Setting((12, 1, 1), 3, 0.1, 0.15)
        for n in [(9, 4, 4, 1), (6, 5, 4, 3, 2, 1), (20, 9, 3, 1, 1)]:
            for lam in (1e-3, 1e-2, 0.05):
                yield Setting(n, len(n) - 1, lam, 2.0 * lam, 0.0)
                yield Setting(n, len(n), lam, 0.5 * lam)


@functools.cache
def settled(setting: Setting) -> Settled:
    """The minimum that the solver finds from a random start."""
    return settle(setting.problem)


def measure_minimum(setting: Setting) -> Measurement:
    """Singular values of the gradient in the logits, the rank of W H, f, and the verdict."""
    found = settled(setting)
    if found.failure:
        return Measurement(failure=found.failure)
    problem, params = found.problem, found.params
    gains = np.linalg.svd(class_gradient(problem, examine(problem, params).G), compute_uv=False)
    sizes = np.linalg.svd(params.W @ params.H, compute_uv=False)
    values = {
        "residual": gains,
        "rank": int(np.sum(sizes > 1e-7)),
        "largest / nu": gains[0] / float(problem.nu),
        "value": found.value,
        "verdict": found.certificate.verdict.name,
    }
    # The residual's Lipschitz constant is 1/N.
    error = found.allowance(1.0) / problem.N
    tolerances = {"residual": error, "largest / nu": error / float(problem.nu), "value": found.value_allowance()}
    return Measurement(values, tolerances)


def class_logits(setting: Setting) -> np.ndarray:
    """[K, K] logits of the classes at the minimum found, bias included."""
    W, H, b = settled(setting).params
    first = np.cumsum([0, *setting.n[:-1]])
    return W @ H[:, first] + (0.0 if b is None else b[:, None])


def predict_minimum(setting: Setting) -> Mapping[str, Any]:
    """From the logits alone: as many singular values at nu as W H has rank, the others below; the bound is f*."""
    logits = class_logits(setting)
    residual = theory.residual.residual_spectrum(logits=logits, n=setting.n)
    nu = float(np.sqrt(setting.lam_W * setting.lam_H))
    return {
        "residual": residual,
        "rank": int(np.sum(np.abs(residual / nu - 1.0) <= 1e-8)),
        "largest / nu": AtMost(1.0),
        "value": theory.residual.lower_bound(logits=logits, **setting.decays),
        "verdict": "GLOBAL_MINIMUM" if residual[0] <= nu * (1.0 + 1e-8) else "STRICT_SADDLE",
    }


def bound_settings(full: bool) -> Iterable[Setting]:
    """Logits far from the minimum and near zero: the residual shrunk or not, its repair needed or not."""
    for seed, scale in enumerate((0.1, 1.0, 4.0)):
        yield Setting((7, 5, 3, 2, 1), 4, 0.02, 0.02, 0.0, seed, scale)
    yield Setting((7, 5, 3, 2, 1), 4, 5.0, 4.0, 0.0, 3, 1.5)  # nothing to shrink
    yield Setting((7, 5, 3, 2, 1), 4, 0.2, 0.05, 0.05, 4, 2.0)
    if full:
        for seed in range(4, 40):
            for lam in (1e-3, 0.03, 0.3):
                for lam_b in (0.0, 0.1):
                    yield Setting((7, 5, 3, 2, 1), 4, lam, lam, lam_b, seed, 0.1 * seed)


def measure_bound(setting: Setting) -> Measurement:
    """f*, and the dual value of the shrunk residual by the conjugate of `ufm.CrossEntropy`."""
    found = settled(setting._replace(seed=0, scale=1.0))
    if found.failure:
        return Measurement(failure=found.failure)
    at = Problem(K=len(setting.n), d=len(setting.n), **setting.decays)
    K, sizes = at.K, np.array(setting.n, float)
    H = np.repeat(np.eye(K), setting.n, axis=1)
    point = examine(at, Params(setting.logits, H, None if at.lam_b is None else np.zeros(K)))
    G = point.G[:, np.cumsum([0, *setting.n[:-1]])] * at.N
    if at.lam_b == 0.0:
        G = repaired(at, G - (G @ sizes / at.N)[:, None])
    A = G * np.sqrt(sizes) / at.N
    share = min(1.0, float(at.nu) / float(np.linalg.norm(A, 2)))
    dual = -float(sizes @ at.loss.conjugate(share * G, np.eye(K))) / at.N
    if at.lam_b:
        dual -= share**2 * float(np.sum((A @ np.sqrt(sizes)) ** 2)) / (2.0 * float(at.lam_b))
    size = 1.0 + abs(dual)
    return Measurement({"bound": dual, "f*": found.value}, {"bound": ROUNDING * size, "f*": ROUNDING * size})


def repaired(problem: Problem, G: np.ndarray) -> np.ndarray:
    """G mixed with the residual of the class frequencies, by the least share at which the conjugate is finite."""
    Y = np.eye(problem.K)
    guess = np.repeat(np.array(problem.sizes)[:, None] / problem.N, problem.K, axis=1) - Y

    def mixed(share: float) -> np.ndarray:
        return (1.0 - share) * G + share * guess

    low, high = 0.0, 1.0
    if np.all(np.isfinite(problem.loss.conjugate(G, Y))):
        return G
    for _ in range(60):
        middle = (low + high) / 2
        inside = np.all(np.isfinite(problem.loss.conjugate(mixed(middle), Y)))
        low, high = (low, middle) if inside else (middle, high)
    return mixed(high)


def predict_bound(setting: Setting) -> Mapping[str, Any]:
    """The bound, which f* is not below."""
    bound = theory.residual.lower_bound(logits=setting.logits, **setting.decays)
    return {"bound": bound, "f*": AtLeast(bound)}


CLAIMS = (
    Claim(
        "G1-free",
        "G1 with a free bias: the residual of any logits, its row sums repaired, then shrunk to nu, bounds f*.",
        "derived for this project (duality of the convex form)",
        "cross-entropy, any class sizes; samples of a class have equal logits; any d",
        "32 eps (1 + bound)",
        bound_settings,
        measure_bound,
        predict_bound,
    ),
    Claim(
        "G2-sizes",
        "G2 for any class sizes: rank(W H) singular values of the residual are nu, and the bound there is f*.",
        "derived for this project (optimality of the convex form, known from Haeffele and Vidal, CVPR 2017)",
        "cross-entropy, any class sizes, d >= K-1",
        "the allowance of the logits over N, the Lipschitz constant of the residual; f is flat",
        minimum_settings,
        measure_minimum,
        predict_minimum,
    ),
)
