"""Experiments that claims share: a solve followed to rounding level, with what its neighbourhood allows to be said."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ufm.certify.certificate import Certificate, certify
from ufm.certify.escape import escape_direction
from ufm.certify.point import examine, length
from ufm.flow import Flow
from ufm.problem import Params, Problem
from ufm.solution import Solution
from ufm.solve import solve
from ufm.status import Status
from ufm.verify.claim import Measurement
from ufm.verify.compare import measure

EPS = float(np.finfo(np.float64).eps)
ROUNDING = 32 * EPS  # of a product of two of W, H, b after a sum over at most a few hundred terms, relative to its size
SPECTRUM = 1e-12  # of the largest eigenvalue: eigvalsh's rounding for a few hundred variables
ALLOWANCE = (
    "32 eps (1 + size) for rounding, and the Lipschitz constant of the quantity times 2 |gradient| / mu, the distance "
    "of the point from the exact one (mu: smallest non-zero Hessian eigenvalue); f itself is flat there"
)
DRIFT = "4 times the number of integration steps times their allowed error 1.1e-12 (1 + size)"
STEP = 1e-12 + 1e-13  # what gradient_flow lets go wrong in one step, relative and absolute
NEAR = 1e-3
STAGES = 12  # gradients in one step
TWICE = 2.0  # the distance to the exact critical point is |gradient| / mu to first order; at most twice that here


@dataclass(frozen=True, eq=False)
class Settled:
    """A critical point, as far as float64 goes.

    Attributes:
        first: the solve from a random start. params: the point to which it was followed.
        gradient: |gradient|_2 there. mu: the smallest non-zero Hessian eigenvalue in absolute value; NaN if unknown.
        certificate: of the point.
    """

    problem: Problem
    first: Solution
    params: Params
    gradient: float
    mu: float
    certificate: Certificate

    @property
    def failure(self) -> str:
        """Why nothing can be said, or ""."""
        if self.first.status is not Status.CONVERGED:
            return f"the solve did not converge: {self.first.message}"
        return "" if math.isfinite(self.mu) else "the Hessian's smallest non-zero eigenvalue is not known"

    @property
    def value(self) -> float:
        """f there."""
        return self.certificate.value

    @property
    def spectrum(self) -> np.ndarray | None:
        """Every Hessian eigenvalue, ascending; None where that is not affordable."""
        return self.certificate.spectrum

    @property
    def distance(self) -> float:
        """How far at most the exact critical point is."""
        return TWICE * self.gradient / self.mu

    def allowance(self, size: float) -> float:
        """Tolerance of a product of at most two of W, H, b of this size: rounding, and what the gradient explains."""
        reach = sum(float(np.linalg.norm(x)) for x in jax.tree.leaves(self.params))
        return ROUNDING * (1.0 + size) + 2.0 * (1.0 + reach) * max(1.0, float(self.problem.tau)) * self.distance

    def value_allowance(self) -> float:
        """Tolerance of f: flat at a critical point, so rounding and gradient * distance."""
        return ROUNDING * (1.0 + abs(self.value)) + self.gradient * self.distance


def settle(problem: Problem, key: Any = 0, *, start: Params | None = None, **options: Any) -> Settled:
    """Solve at the default gtol from a random start (or `start`), then follow the point to the last digits."""
    first = solve(problem, key, start=start, reduce=False, **options)
    options.pop("gtol", None)
    params = solve(problem, start=first.params, gtol=EPS, **options).params
    return settled_at(problem, params, first)


def settled_at(problem: Problem, params: Params, first: Solution) -> Settled:
    """What the neighbourhood of `params` looks like."""
    certificate = certify(problem, params)
    mu = math.nan
    if certificate.spectrum is not None:
        stiff = np.abs(certificate.spectrum)
        mu = float(np.min(stiff[stiff > 1e-11 * np.max(stiff)], initial=math.inf))
    return Settled(problem, first, params, length(examine(problem, params).grad), mu, certificate)


def quantities(found: Settled) -> Measurement:
    """Every quantity of `compare` at the point with its tolerance, and nullity and verdict by the certificate."""
    if found.failure:
        return Measurement(failure=found.failure)
    values: dict[str, Any] = dict(measure(found.problem, found.params))
    loss, lam_b = found.problem.loss, found.problem.lam_b
    if "b" in values and loss.shift_invariant and lam_b is not None and float(lam_b) == 0.0:
        values["b"] = values["b"] - np.mean(values["b"])  # defined up to a multiple of the ones vector
    tolerances = {name: found.allowance(float(np.max(np.abs(x)))) for name, x in values.items()}
    tolerances["value"] = found.value_allowance()
    values["verdict"] = found.certificate.verdict.name
    if found.certificate.nullity is not None:
        values["nullity"] = found.certificate.nullity
    return Measurement(values, tolerances)


def line_root(x0: Any, x1: Any, y0: Any, y1: Any) -> Any:
    """Where the straight line through (x0, y0) and (x1, y1) vanishes."""
    return x0 + y0 * (x1 - x0) / (y0 - y1)


def escape_curvature(problem: Problem, params: Params) -> float:
    """The curvature measured along T5's direction."""
    return escape_direction(problem, examine(problem, params)).curvature


def origin(problem: Problem, b: Any = None) -> Params:
    """W = H = 0, with this bias (zero by default) where there is one."""
    at_zero = Params(*[None if shape is None else np.zeros(shape) for shape in problem.shapes()])
    return at_zero if b is None else at_zero._replace(b=b)


def drift(flow: Flow) -> float:
    """What the integrator may have added up, relative to 1 + size: the flows here do not amplify relative errors."""
    return 4.0 * STEP * flow.evaluations / STAGES


def around(times: np.ndarray) -> np.ndarray:
    """Every time between two near ones, for `time_errors`."""
    return (times[:, None] * np.array([1.0 - NEAR, 1.0, 1.0 + NEAR])).ravel()


def time_errors(times: np.ndarray, x: np.ndarray, error: float) -> tuple[np.ndarray, dict[str, float]]:
    """(x at the times, tolerance of each time as read off x): x [3 T, m] at `around(times)` has this error."""
    before, here, after = x[0::3], x[1::3], x[2::3]
    speeds = np.min(np.abs(after - before), axis=1) / (2.0 * NEAR * times)
    return here, {f"time {t:g}": 1.1 * error / float(speed) for t, speed in zip(times, speeds, strict=True)}


def orthogonal(size: int, seed: int) -> np.ndarray:
    """An orthogonal matrix that mixes all coordinates."""
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))[0]
