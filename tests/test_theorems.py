"""The "Check" lines of T1, T3, T4, T6-T10, T20 and T21 of the theory reference, redone through `ufm`.

Nothing is built from a closed form here: a point is found by `ufm.solve` from a random start, judged by `ufm.certify`,
and only then set against `theory`. Three errors are allowed, and nothing else:

    rounding       some multiple of eps times the size of what is compared;
    the gradient   a critical point with gradient g lies within DISTANCE = 2 |g|_2 / mu of a minimiser, mu the smallest
                   non-zero Hessian eigenvalue (predicted by T16, T17); the value is off by DISTANCE * |g|_2 at most;
    the spectrum   1e-12 of the largest eigenvalue (in test_theorems_hessian.py).
"""

import functools
import math
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
from dense_oracle import measure
from scipy.optimize import minimize_scalar

import ufm
from theory import Prediction, conversions, cross_entropy, expand, mse
from ufm.certify.escape import packing
from ufm.certify.point import examine, hessian_product
from ufm.precision import exact, to_host
from ufm.reduction import lift_params, merge, merge_params

EPS = float(np.finfo(np.float64).eps)


class Case(NamedTuple):
    """One setting of a theorem, by its kappa = K sqrt(n lam_W lam_H) and ratio = lam_W / lam_H."""

    loss: str
    K: int
    n: int | tuple[int, ...]
    d: int
    lam_b: float | None
    kappa: float
    ratio: float = 1.0
    smoothing: float = 0.0

    @property
    def setting(self) -> dict[str, Any]:
        """The keywords of `ufm.Problem` and of `theory`, apart from the loss. Imbalanced: kappa = N nu."""
        scale = self.K * math.sqrt(self.n) if isinstance(self.n, int) else sum(self.n)
        nu, tilt = self.kappa / scale, math.sqrt(self.ratio)
        return {"K": self.K, "n": self.n, "d": self.d, "lam_W": nu * tilt, "lam_H": nu / tilt, "lam_b": self.lam_b}

    @property
    def problem(self) -> ufm.Problem:
        loss = ufm.CrossEntropy(self.smoothing) if self.loss == "ce" else ufm.MSE()
        return ufm.Problem(**self.setting, loss=loss)

    @property
    def theory(self) -> ModuleType:
        return cross_entropy if self.loss == "ce" else mse

    @property
    def arguments(self) -> dict[str, Any]:
        return self.setting | ({"smoothing": self.smoothing} if self.loss == "ce" else {})

    @property
    def prediction(self) -> Prediction:
        return self.theory.global_minimum(**self.arguments)

    @property
    def spectrum(self) -> np.ndarray:
        """T16 or T17: every eigenvalue at the minimum."""
        return expand(self.theory.minimum_spectrum(**self.arguments))

    @property
    def trivial(self) -> bool:
        return self.kappa >= 1.0 - self.smoothing


def ce(*args: Any, **kwargs: Any) -> Case:
    return Case("ce", *args, **kwargs)


def squares(*args: Any, **kwargs: Any) -> Case:
    return Case("mse", *args, **kwargs)


# K, n, d, lam_b, kappa, lam_W / lam_H, smoothing. Rows of one (K, n, d, bias or not) share one compilation.
T7 = [
    ce(2, 3, 1, 0.0, 0.3),
    ce(2, 3, 1, 1e-3, 6e-5),
    ce(2, 3, 1, 1e-2, 0.65, 0.1, 0.3),
    ce(3, 2, 5, None, 6e-5),
    ce(3, 2, 5, None, 1e-2, 10.0, 0.1),
    ce(3, 2, 5, None, 0.3, 0.1, 0.3),
    ce(3, 2, 5, None, 0.9),
    ce(4, 1, 3, 0.0, 0.05, 1.0, 0.1),
    ce(4, 1, 3, 1e-3, 0.5, 100.0),
    ce(4, 1, 3, 1e-2, 6e-5),
    ce(4, 1, 3, 1e-2, 1.13),
    ce(4, 1, 3, 0.0, 1.13, 3.0),
    ce(5, 3, 8, 0.0, 0.2, 1.0, 0.3),
    ce(5, 3, 8, 1e-3, 0.8, 0.01, 0.1),
    ce(5, 3, 8, 1e-2, 1e-3),
    ce(5, 3, 8, 0.0, 0.4, 0.1),
    ce(4, 2, 4, None, 0.1, 4.0),
    ce(4, 2, 4, None, 0.75, 1.0, 0.3),
    ce(4, 2, 4, None, 0.6, 0.02, 0.1),
    ce(4, 2, 4, None, 1e-3, 50.0),
    ce(10, 1, 9, 0.0, 0.4),
    ce(10, 1, 9, 1e-2, 0.02, 25.0, 0.1),
    ce(10, 1, 9, 1e-3, 0.85),
    ce(10, 1, 9, 1e-2, 1e-3, 1.0, 0.3),
]
T8 = [
    *(squares(4, 3, 6, lam_b, 0.15) for lam_b in (0.0, 0.01, 0.1, 0.2, 0.3)),  # the mean direction from 0.176 on
    squares(4, 3, 6, 50.0, 0.4, 30.0),
    squares(4, 3, 6, 1e4, 0.3),
    squares(4, 3, 6, 0.5, 1.2),
    squares(4, 3, 4, None, 1e-3),
    squares(4, 3, 4, None, 0.3, 0.1),
    squares(4, 3, 4, None, 1.1),
    squares(8, 1, 10, 0.2, 0.1),
    squares(8, 1, 10, 0.01, 0.5, 5.0),
]
T9 = [
    squares(2, 2, 1, 0.0, 0.3),
    squares(2, 2, 1, 0.5, 0.2, 0.02),
    squares(5, 2, 3, 0.0, 0.2),
    squares(5, 2, 3, 0.3, 0.1, 10.0),
    squares(5, 2, 3, 50.0, 0.05),
    squares(5, 2, 3, 0.2, 1.05),
    squares(5, 1, 4, 0.1, 0.3),
    squares(5, 1, 4, 1e4, 0.05),
    squares(8, 1, 3, None, 0.25),
]
SIZES = (4, 2, 1, 2, 1)
T10 = [  # kappa = N nu; without bias class k is lost once it reaches sqrt(n_k)
    *(squares(5, SIZES, 5, None, threshold, 2.0) for threshold in (0.3, 0.9, 1.2, 1.7, 2.1)),
    squares(5, SIZES, 4, 0.0, 0.3),
    squares(5, SIZES, 4, 0.0, 1.3, 0.1),
    squares(4, (5, 3, 2, 1), 2, None, 0.4),
    squares(4, (5, 3, 2, 1), 2, None, 1.8),
]


def named(case: Case) -> str:
    """The id of a case in pytest's output."""
    n = case.n if isinstance(case.n, int) else "+".join(map(str, case.n))
    smoothed = f"-smooth{case.smoothing:g}" if case.smoothing else ""
    return f"{case.loss}-K{case.K}-n{n}-d{case.d}-b{case.lam_b}-kappa{case.kappa:g}-ratio{case.ratio:g}{smoothed}"


class Solved(NamedTuple):
    problem: ufm.Problem
    params: ufm.Params
    grad: float
    certificate: ufm.Certificate


@functools.cache
def solved(case: Case, key: int = 0) -> Solved:
    """CONVERGED to 1e-12 from a random start, certified; then polished as far as float64 goes."""
    problem = case.problem
    return Solved(problem, *polish(problem, ufm.solve(problem, key)))


def polish(problem: ufm.Problem, found: ufm.Solution) -> tuple[ufm.Params, float, ufm.Certificate]:
    """The same critical point to the last digits: its parameters, |gradient|_2 and certificate."""
    assert found.status is ufm.Status.CONVERGED, found.message
    assert found.grad_norm <= 1e-12
    params = ufm.solve(problem, start=found.params, gtol=1e-15).params
    point = examine(problem, params)
    grad = math.sqrt(sum(float(np.sum(g**2)) for g in point.grad if g is not None))
    return params, grad, ufm.certify(problem, params)


def differences(case: Case, found: Solved) -> dict[str, tuple[float, float]]:
    """Every stated quantity: (largest |found - predicted|, largest |predicted|)."""
    W, H, b = found.params
    sizes = found.problem.sizes
    means = merge_params(found.problem, found.params).H / np.sqrt(sizes)
    got = measure(W, np.repeat(means, sizes, axis=1), b, sizes)
    got["value"] = found.certificate.value
    decay = found.problem.lam_W * got["W_sq"] + found.problem.lam_H * got["H_sq"]
    got["data_loss"] = got["value"] - (decay + (found.problem.lam_b * np.sum(b**2) if b is not None else 0.0)) / 2
    if b is not None and case.loss == "ce" and case.lam_b == 0.0:
        got["b"] = b - np.mean(b)
    stated = dict(case.prediction.quantities)
    stated.pop("nullity", None)
    return {k: (float(np.max(np.abs(got[k] - v))), float(np.max(np.abs(v)))) for k, v in stated.items()}

if __name__ == "__main__":
    for c in T7+T8+T9+T10:
        s=solved(c)
        mu = None
        try:
            sp=c.spectrum; mu=sp[sp>0].min()
        except Exception: pass
        ce_=s.certificate
        print(named(c), ce_.verdict.name, "gap %.1e"%ce_.gap, "g %.1e"%s.grad, "mu", mu, "bal %.1e"%ce_.balance, "ratio-1 %.1e"%(ce_.dual_ratio-1), ce_.nullity, c.prediction.quantities.get("nullity"))
        print("      ", {k:"%.0e/%.0e"%v for k,v in differences(c,s).items()})
