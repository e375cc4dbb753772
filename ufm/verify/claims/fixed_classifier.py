"""A frozen simplex ETF as classifier: features on a sphere and with decay, their margins (8)."""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.certify.curvature import hessian_spectrum
from ufm.losses.cross_entropy import CrossEntropy
from ufm.losses.squared import DotRegression
from ufm.models import fixed_classifier
from ufm.problem import Problem
from ufm.solve import solve
from ufm.spaces import Spheres
from ufm.start import etf_start
from ufm.status import Status
from ufm.verify.claim import Claim, Measurement
from ufm.verify.compare import feature_means, measure
from ufm.verify.experiment import ALLOWANCE, EPS, ROUNDING, Settled, quantities, settle


class Setting(NamedTuple):
    """|w_k|^2 = E_W; features on the sphere |h|^2 = E_H, or anywhere with decay lam_H (then E_H is None)."""

    K: int
    n: int | tuple[int, ...]
    d: int
    E_W: float
    E_H: float | None = None
    lam_H: float | None = None

    @property
    def sizes(self) -> dict[str, Any]:
        """Keywords of Problem and of theory alike."""
        return {"K": self.K, "n": self.n, "d": self.d}

    def problem(self, loss: Any) -> Problem:
        """What is solved; the frame is `ufm.etf_start`'s."""
        W = etf_start(Problem(**self.sizes, lam_W=1.0, lam_H=1.0), math.sqrt(self.E_W)).W
        features = None if self.E_H is None else Spheres(math.sqrt(self.E_H))
        return Problem(**self.sizes, lam_H=self.lam_H, loss=loss, model=fixed_classifier(W, features))


def sphere_settings(full: bool) -> Iterable[Setting]:
    """Class sizes do not matter; d = K-1 and beyond."""
    yield Setting(3, (5, 2, 1), 3, 1.0, 2.0)
    yield Setting(3, (5, 2, 1), 3, 4.0, 0.3)
    if full:
        yield Setting(4, 2, 3, 0.5, 20.0)
        yield Setting(2, (3, 1), 2, 1.0, 9.0)


def decay_settings(full: bool) -> Iterable[Setting]:
    """From a margin of 10 to one of 0.01."""
    for E_W, lam_H in [(1.0, 1e-4), (4.0, 0.02), (0.5, 3.0)]:
        yield Setting(3, (5, 2, 1), 3, E_W, None, lam_H)
        if full:
            yield Setting(4, 2, 3, E_W, None, lam_H)


@functools.cache
def settled(setting: Setting) -> Settled:
    """The cross-entropy minimum that the solver finds from a random start."""
    return settle(setting.problem(CrossEntropy()))


def measure_minimum(setting: Setting) -> Measurement:
    """Every quantity of the minimum, and the smallest distance of a class's feature from a decision boundary."""
    found, base = settled(setting), quantities(settled(setting))
    if base.failure:
        return base
    W, means = found.params.W, feature_means(found.problem, found.params.H)
    apart = W[:, None, :] - W[None, :, :]
    with np.errstate(invalid="ignore"):
        reach = np.einsum("kjd,dk->kj", apart, means) / np.linalg.norm(apart, axis=2)
    values = {**base.values, "distance": float(np.nanmin(reach))}
    return Measurement(values, {**base.tolerances, "distance": found.allowance(values["distance"])})


def predict_sphere(setting: Setting) -> Mapping[str, Any]:
    """The closed form; margin and distance by their own formulas as well."""
    K, budgets = setting.K, {"E_W": setting.E_W, "E_H": setting.E_H}
    found = theory.fixed_classifier.norm_ball_minimum(**setting.sizes, **budgets).quantities
    margin = theory.fixed_classifier.margin(K=K, **budgets)
    distance = theory.fixed_classifier.boundary_distance(K=K, E_H=setting.E_H or 0.0)
    return {**found, "margin": margin, "distance": distance, "verdict": "GLOBAL_MINIMUM"}


def predict_decay(setting: Setting) -> Mapping[str, Any]:
    """The closed form."""
    arguments = {**setting.sizes, "E_W": setting.E_W, "lam_H": setting.lam_H}
    return {**theory.fixed_classifier.feature_decay_minimum(**arguments).quantities, "verdict": "GLOBAL_MINIMUM"}


def measure_regression(setting: Setting) -> Measurement:
    """The minimum of the dot regression, and the largest Hessian eigenvalue at the aligned features.

    The geometry is held by the fourth power of the angles only. What f itself bounds is measured: the mean of
    r (1 - cos)^2/2 is f, so that no own logit r cos is further than sqrt(2 N r f) from r.
    """
    assert setting.E_H is not None
    r = math.sqrt(setting.E_W * setting.E_H)
    problem = setting.problem(DotRegression(r))
    found = solve(problem, reduce=False)
    if found.status is not Status.CONVERGED:
        return Measurement(failure=found.message)
    seen = measure(problem, found.params)
    aligned = problem.project(found.params._replace(H=found.params.W.T[:, problem.labels]))
    curvature = float(np.max(np.abs(hessian_spectrum(problem, aligned))))
    values = {
        "value": seen["value"],
        "H_sq": seen["H_sq"],
        "gram_W": seen["gram_W"],
        "own": np.diag(seen["logits"]),
        "flat": curvature,
    }
    reach = math.sqrt(2.0 * problem.N * r * max(seen["value"], EPS**2))
    rounding = ROUNDING * (1.0 + setting.E_W + problem.N * setting.E_H)
    return Measurement(values, dict.fromkeys(values, rounding) | {"own": reach + rounding})


def predict_regression(setting: Setting) -> Mapping[str, Any]:
    """The closed form, and a Hessian that vanishes at it."""
    arguments = {**setting.sizes, "E_W": setting.E_W, "E_H": setting.E_H}
    found = theory.fixed_classifier.dot_regression_minimum(**arguments).quantities
    stated = {name: found[name] for name in ("value", "H_sq", "gram_W")}
    return {**stated, "own": np.diag(found["logits"]), "flat": 0.0}


CLAIMS = (
    Claim(
        "8",
        "Fixed simplex ETF, features on a sphere: every feature is its classifier, scaled, whatever the class sizes.",
        "Yang et al. (NeurIPS 2022); values derived for this project",
        "cross-entropy, W a simplex ETF, d >= K-1",
        ALLOWANCE,
        sphere_settings,
        measure_minimum,
        predict_sphere,
    ),
    Claim(
        "8-decay",
        "Fixed simplex ETF, features with decay: along their classifiers, at the margin where loss and decay balance.",
        "derived for this project",
        "cross-entropy, W a simplex ETF, d >= K-1",
        ALLOWANCE,
        decay_settings,
        measure_minimum,
        predict_decay,
    ),
    Claim(
        "8-flat",
        "Dot regression has the same minimiser, with value 0, but no curvature there: it is of fourth order in angles.",
        "Yang et al. (NeurIPS 2022) for the minimiser; flatness derived for this project",
        "W a simplex ETF, features on a sphere, d >= K-1",
        "32 eps of the size; sqrt(2 N r f) for the own logits, which is all that f = mean r (1-cos)^2/2 bounds",
        sphere_settings,
        measure_regression,
        predict_regression,
        boundary=True,
    ),
)
