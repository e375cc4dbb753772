"""Where numbers mislead: tiny losses, degenerate hulls, thresholds (section 9)."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import nnls
from scipy.special import logsumexp

import theory
from ufm.certify.point import examine, length
from ufm.losses.cross_entropy import CrossEntropy
from ufm.losses.squared import MSE
from ufm.models import normalized
from ufm.problem import Params, Problem
from ufm.start import etf_start
from ufm.verify.claim import AtLeast, Claim, Measurement
from ufm.verify.claims.codes.named import Code, named
from ufm.verify.experiment import EPS, ROUNDING, settle


def measure_tiny(tau: float) -> Measurement:
    """f and its logit gradient at the simplex of six classes, and f by the textbook formula logsumexp(z) - z_y.

    The columns of the gradient sum to zero, which gives its diagonal without the cancellation in p_y - 1.
    """
    problem = Problem(6, 1, 5, model=normalized(tau))
    point = examine(problem, etf_start(problem))
    naive = float(np.mean(logsumexp(point.Z, axis=0) - np.diag(point.Z)))
    others = np.where(np.eye(6, dtype=bool), 0.0, point.G)
    wrong = -np.sum(others, axis=0)
    values = {
        "log f": math.log(point.value),
        "naive error": abs(naive / point.value - 1.0),
        "gradient": wrong[0],
        "residual": np.linalg.svd(others + np.diag(wrong), compute_uv=False),
    }
    rounding = ROUNDING * (1.0 + tau)
    return Measurement(values, {"log f": rounding, **dict.fromkeys(("gradient", "residual"), rounding * -wrong[0])})


def predict_tiny(tau: float) -> Mapping[str, Any]:
    """The closed form to its last digits; the textbook formula has lost half of them by 1e-10, and all by 1e-17."""
    found = theory.spheres.global_minimum(K=6, n=1, d=5, tau=tau)
    residual = theory.residual.residual_spectrum(logits=np.asarray(found.quantities["logits"]), n=1)
    f, wrong = found.value, math.expm1(-found.value) / 6
    return {"log f": math.log(f), "naive error": AtLeast(1e-8), "gradient": wrong, "residual": residual}


def degenerate(full: bool) -> Iterable[Code]:
    """Codes whose rows have many neighbours at one distance."""
    names = ("cell_24", "schlaefli", "code_7_56", "cell_600", *(("e8_roots",) if full else ()))
    yield from (code for code in named(full) if code.name in names)


def measure_hulls(code: Code) -> Measurement:
    """rho_k from both sides: |w_k - mean of its neighbours|, and min_j (w_k - w_j).w_k; where nnls is wrong."""
    cosines = np.where(np.eye(len(code.W), dtype=bool), -np.inf, code.W @ code.W.T)
    s = np.max(cosines, axis=1, keepdims=True)
    near = np.abs(cosines - s) < 1e-9
    above = np.linalg.norm(code.W - near @ code.W / np.sum(near, axis=1, keepdims=True), axis=1)
    wrong = sum(nnls_residual_error(code.W, k, above[k]) > 1e-6 for k in range(len(code.W)))
    values = {"rho from above": above, "rho from below": 1.0 - s[:, 0], "rows nnls has wrong": wrong}
    return Measurement(values, {"rho from above": ROUNDING, "rho from below": ROUNDING})


def nnls_residual_error(W: np.ndarray, k: int, rho: float) -> float:
    """How far nnls is from min |sum_j x_j (w_k - w_j)|^2 + (sum x - 1)^2 over x >= 0, rho^2/(1 + rho^2)."""
    gaps = W[k] - np.delete(W, k, axis=0)
    system, target = np.vstack([gaps.T, np.ones(len(gaps))]), np.append(np.zeros(W.shape[1]), 1.0)
    try:
        x, reported = nnls(system, target)
    except RuntimeError:  # too many iterations is an answer too, and no wrong one
        return 0.0
    residual = float(np.linalg.norm(system @ x - target))
    right = rho / math.sqrt(1.0 + rho**2)
    return max(abs(residual - right), abs(reported - right))


def predict_hulls(code: Code) -> Mapping[str, Any]:
    """By Wolfe's method, every row; nnls is judged by nobody, as its errors depend on version and rounding."""
    rho = theory.softmax_codes.one_vs_rest_distance(getattr(theory.codes, code.name)()).rho
    return {"rho from above": rho, "rho from below": rho, "rows nnls has wrong": AtLeast(0)}


class Threshold(NamedTuple):
    """sqrt(n) = N sqrt(lam_W lam_H) for a class: cross-entropy at kappa = 1; squares with classes of 4, 4 and 2."""

    squares: bool
    t: float

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of Problem and of theory."""
        lam = math.sqrt(2.0) / 10.0 if self.squares else 1.0 / (3.0 * math.sqrt(2.0))
        return {"K": 3, "n": (4, 4, 2) if self.squares else 2, "d": 3, "lam_W": lam, "lam_H": lam, "lam_b": None}

    @property
    def problem(self) -> Problem:
        """What is evaluated."""
        return Problem(**self.arguments, loss=MSE() if self.squares else CrossEntropy())

    def point(self, t: float) -> Params:
        """At the minimiser but for W and the class means, of norm t where the minimiser has none."""
        if not self.squares:
            start = etf_start(self.problem, scale=t)
            return start._replace(W=2.0**0.25 * start.W, H=start.H / 2.0**0.25)
        n = np.array(self.problem.sizes)
        roots = np.append(np.sqrt(np.sqrt(n[:2]) - math.sqrt(2.0)), t)
        return Params(np.diag(roots), np.diag(roots / np.sqrt(n))[:, self.problem.labels], None)


def measure_flat(case: Threshold) -> Measurement:
    """f at a distance of about t, and how its gradient grows from t to 2 t; where the solver ends."""
    points = [examine(case.problem, case.point(scale * case.t)) for scale in (1.0, 2.0)]
    order = math.log2(length(points[1].grad) / length(points[0].grad)) + 1.0
    far = length(points[0].params) if not case.squares else case.t
    values: dict[str, float] = {"f": points[0].value, "distance": far, "order of f": order}
    # f is t^4 above its minimum; t^2 is lost in the order, and eps / t^3 of the gradient.
    tolerances = {"f": case.t**4, "order of f": 10.0 * case.t**2 + 1e2 * EPS / case.t**3}
    if case.squares:
        found = settle(case.problem)
        values |= {"f as solved": found.value, "left as solved": float(np.linalg.norm(found.params.W[-1]))}
        tolerances |= {"f as solved": ROUNDING, "left as solved": 10.0 * EPS**0.25}
    return Measurement(values, tolerances)


def predict_flat(case: Threshold) -> Mapping[str, Any]:
    """The minimum to twelve digits, the geometry to three."""
    module = theory.mse if case.squares else theory.cross_entropy
    f = module.global_minimum(**case.arguments).value
    solved = {"f as solved": f, "left as solved": 0.0} if case.squares else {}
    return {"f": f, "distance": AtLeast(case.t), "order of f": 4.0, **solved}


CLAIMS = (
    Claim(
        "9-tiny",
        "Cross-entropy as log1p of exponentials keeps losses of 1e-10, and of 1e-50, to the last digits.",
        "measured for this project",
        "K=6 classes on a simplex, spheres",
        "32 eps (1 + tau), relative: rounding of the logits in exponents",
        lambda full: [20.0, 100.0],
        measure_tiny,
        predict_tiny,
        boundary=True,
    ),
    Claim(
        "9-hulls",
        "Wolfe's method finds the nearest point of degenerate hulls; scipy.optimize.nnls need not (counted, unjudged).",
        "measured for this project: SciPy 1.17.1 is wrong at 14 of 227 rows",
        "codes whose rows have many neighbours at one distance",
        "32 eps: rounding",
        degenerate,
        measure_hulls,
        predict_hulls,
        boundary=True,
    ),
    Claim(
        "9-flat",
        "At a threshold f is quartic around its minimum: the value has all its digits where the geometry has three.",
        "derived for this project",
        "sqrt(n) = N sqrt(lam_W lam_H) for a class",
        "f: t^4; order: 10 t^2 + 100 eps / t^3; as solved: 32 eps for f, ten times the fourth root of eps for W",
        lambda full: [Threshold(False, 1e-3), Threshold(True, 1e-3)],
        measure_flat,
        predict_flat,
        boundary=True,
    ),
)
