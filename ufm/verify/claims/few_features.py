"""Cross-entropy at d < K-1 with decay: the values that symmetric codes have, and that no start gets below (T6)."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.certify.curvature import hessian_spectrum
from ufm.certify.point import examine, length
from ufm.problem import Problem
from ufm.solve import solve
from ufm.status import Status
from ufm.verify.claim import Claim, Measurement
from ufm.verify.experiment import EPS, ROUNDING


class Setting(NamedTuple):
    """kappa = K sqrt(n lam_W lam_H), ratio = lam_W / lam_H; K = 2 d: a cross-polytope, else d = 2: a polygon."""

    K: int
    d: int
    kappa: float
    ratio: float = 1.0
    n: int = 2
    starts: int = 6

    @property
    def decays(self) -> dict[str, Any]:
        """lam_W and lam_H."""
        nu, tilt = self.kappa / (self.K * math.sqrt(self.n)), math.sqrt(self.ratio)
        return {"lam_W": nu * tilt, "lam_H": nu / tilt}


def settings(full: bool) -> Iterable[Setting]:
    """The octahedron at weak and strong decays, and beyond the threshold; more codes. The pentagon is in T6."""
    for kappa, ratio in ((0.1, 4.0), (0.7, 0.3), (1.1, 1.0)):
        yield Setting(6, 3, kappa, ratio)
    if full:
        for K, d in ((4, 2), (5, 2), (6, 2), (7, 2), (6, 3), (8, 4)):
            for kappa in (0.02, 0.3, 0.6, 0.95):
                yield Setting(K, d, kappa, 2.0, 1, 20)


def measure(setting: Setting) -> Measurement:
    """The lowest value of several starts, and the own logit of the classes there."""
    problem = Problem(setting.K, setting.n, setting.d, **setting.decays, lam_b=0.1)
    found = [solve(problem, key) for key in range(setting.starts)]
    failures = [run.message for run in found if run.status is not Status.CONVERGED]
    if failures:
        return Measurement(failure=failures[0])
    best = min(found, key=lambda run: run.value)
    W, H, b = params = solve(problem, start=best.params, gtol=EPS).params
    spectrum = np.abs(hessian_spectrum(problem, params))
    mu = float(np.min(spectrum[spectrum > 1e-11 * np.max(spectrum)]))
    distance = 2.0 * length(examine(problem, params).grad) / mu
    values = {"value": best.value, "own logits": np.diag((W @ H)[:, :: setting.n]), "b": float(np.max(np.abs(b)))}
    allowance = ROUNDING * (1.0 + float(np.max(values["own logits"]))) + 2.0 * (1.0 + length(params)) * distance
    return Measurement(values, {"value": ROUNDING * (1.0 + best.value), "own logits": allowance, "b": allowance})


def predict(setting: Setting) -> Mapping[str, Any]:
    """The candidate, every class with the same own logit, no bias."""
    if 2 * setting.d == setting.K and setting.d > 2:
        candidate = theory.code_values.cross_polytope_candidate(d=setting.d, n=setting.n, **setting.decays)
    else:
        candidate = theory.code_values.polygon_candidate(K=setting.K, n=setting.n, **setting.decays)
    return {"value": candidate.value, "own logits": np.full(setting.K, candidate.scale), "b": 0.0}


CLAIMS = (
    Claim(
        "T6-lowest",
        "At d < K-1 no start gets below the polygon (d = 2) and the cross-polytope (K = 2d), of explicit value.",
        "derived for this project; lowest in all runs, optimality not proven",
        "cross-entropy, equal class sizes, any bias decay",
        "32 eps (1 + f) for the value; rounding and 2 |gradient| / mu, the distance from the exact point, for the rest",
        settings,
        measure,
        predict,
        boundary=True,
    ),
)
