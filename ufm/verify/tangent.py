"""Critical points of models on curved spaces: followed to rounding, with the whole Riemannian Hessian, dense.

`ufm.certify.manifold` takes spectra apart by groups; here nothing is, so that the claims check that too.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import null_space

from ufm.certify.point import Point, examine, hessian_operator, length, packing
from ufm.precision import exact, to_host
from ufm.problem import Params, Problem
from ufm.solve import solve
from ufm.verify.claim import Measurement
from ufm.verify.compare import measure
from ufm.verify.experiment import ROUNDING, SPECTRUM, TWICE

FAR = 1e-5  # a distance from the exact critical point, times tau, beyond which no geometry is compared
ZERO = 1e-11  # of the largest eigenvalue: what is called a zero mode


@dataclass(frozen=True, eq=False)
class Critical:
    """A critical point, as far as float64 goes.

    Attributes:
        point: f and its derivatives there.
        spectrum: every eigenvalue of the Riemannian Hessian over tangent vectors, ascending.
    """

    problem: Problem
    point: Point
    spectrum: np.ndarray

    @property
    def failure(self) -> str:
        """Why nothing can be said, or ""."""
        if float(self.problem.tau) * self.distance <= FAR:
            return ""
        return f"the critical point is known to {self.distance:.1e} only (gradient {length(self.point.grad):.1e})"

    @property
    def mu(self) -> float:
        """The smallest non-zero Hessian eigenvalue in absolute value."""
        stiff = np.abs(self.spectrum)
        return float(np.min(stiff[stiff > ZERO * np.max(stiff)], initial=math.inf))

    @property
    def distance(self) -> float:
        """How far at most the exact critical point is."""
        return TWICE * length(self.point.grad) / self.mu

    def allowance(self, size: float) -> float:
        """Tolerance of tau times a product of two of W, H of this size: rounding, and what the gradient explains."""
        reach = 1.0 + length(self.point.params)
        return ROUNDING * (1.0 + size) + 2.0 * reach * max(1.0, float(self.problem.tau)) * self.distance

    def value_allowance(self) -> float:
        """Tolerance of f: flat at a critical point, so gradient * distance, and rounding of the logits in exponents."""
        rounding = ROUNDING * (1.0 + float(self.problem.tau)) * abs(self.point.value)
        return rounding + length(self.point.grad) * self.distance

    def spectrum_allowance(self) -> float:
        """Tolerance of a Hessian eigenvalue: rounding, and the Hessian's change over the distance."""
        return (SPECTRUM + 4.0 * float(self.problem.tau) * self.distance) * float(np.max(np.abs(self.spectrum)))


def settle(problem: Problem, key: Any = 0, *, start: Params | None = None) -> Critical:
    """Solve from a random start (or `start`), then follow the point to the last digits."""
    return critical(problem, polished(problem, solve(problem, key, start=start, reduce=False).params))


def critical(problem: Problem, params: Params) -> Critical:
    """The neighbourhood of `params`, a critical point already."""
    return Critical(problem, examine(problem, params), tangent_spectrum(problem, params))


def polished(problem: Problem, params: Params) -> Params:
    """Newton steps on the dense Hessian without its zero modes, for as long as they shrink the gradient.

    The trust region stops at a fixed gtol, or where f says no more: too early for losses of 1e-10, whose gradients have
    all their digits, and where the eigenvalues differ by a factor of 1e9.
    """
    pack, unpack = packing(params)
    slope = pack(examine(problem, params).grad)
    for _ in range(20):
        basis = tangent_basis(problem, params)
        values, vectors = np.linalg.eigh(on(problem, params, basis))
        modes = basis @ vectors[:, np.abs(values) > ZERO * np.max(np.abs(values))]
        stiff = values[np.abs(values) > ZERO * np.max(np.abs(values))]
        there = problem.project(unpack(pack(params) - modes @ ((modes.T @ slope) / stiff)))
        shrunk = pack(examine(problem, there).grad)
        if not np.linalg.norm(shrunk) < np.linalg.norm(slope):
            return params
        params, slope = there, shrunk
    return params


def quantities(found: Critical) -> Measurement:
    """Every quantity of `compare` at the point with its tolerance, and the number of zero modes."""
    if found.failure:
        return Measurement(failure=found.failure)
    values: dict[str, Any] = dict(measure(found.problem, found.point.params))
    tolerances = {name: found.allowance(float(np.max(np.abs(x)))) for name, x in values.items()}
    tolerances |= {"value": found.value_allowance(), "data_loss": found.value_allowance()}
    return Measurement({**values, "nullity": zero_modes(found.spectrum)}, tolerances)


def zero_modes(spectrum: np.ndarray) -> int:
    """How many eigenvalues are zero up to rounding."""
    return int(np.sum(np.abs(spectrum) <= ZERO * np.max(np.abs(spectrum))))


def tangent_spectrum(problem: Problem, params: Params) -> np.ndarray:
    """Every eigenvalue of the Riemannian Hessian at `params` over tangent vectors, ascending."""
    return np.linalg.eigvalsh(on(problem, params, tangent_basis(problem, params)))


def spectrum_beyond_rotations(problem: Problem, params: Params) -> np.ndarray:
    """Every Hessian eigenvalue on tangent vectors orthogonal to the orbit of O(d), ascending.

    At a critical point the orbit is in the null space, so that nothing is lost, and no zero hides a change of sign.
    """
    orbit = rotations(params)
    span = orbit @ np.linalg.svd(orbit.T @ orbit)[0]
    span = span[:, np.linalg.norm(span, axis=0) > 1e-8]
    basis = tangent_basis(problem, params)
    basis = basis @ null_space(span.T @ basis)
    return np.linalg.eigvalsh(on(problem, params, basis))


def on(problem: Problem, params: Params, basis: np.ndarray) -> np.ndarray:
    """The Riemannian Hessian between the columns of `basis` (flat tangent vectors), symmetrised."""
    product, _ = hessian_operator(problem, params)
    form = basis.T @ np.column_stack([product(column) for column in basis.T])
    return (form + form.T) / 2


def tangent_basis(problem: Problem, params: Params) -> np.ndarray:
    """Orthonormal tangent vectors at `params`, as flat columns."""
    pack, unpack = packing(params)
    ambient = examine(problem, params).ambient
    size = pack(params).size
    with exact():
        rows = [pack(to_host(problem.tangent(params, ambient, unpack(row)))) for row in np.eye(size)]
    shares, vectors = np.linalg.eigh(np.array(rows))
    return vectors[:, shares > 0.5]


def rotations(params: Params) -> np.ndarray:
    """The tangents (W A, -A H) of the orbit of O(d), A antisymmetric, as flat columns."""
    W, H, b = params
    pack, _ = packing(params)
    columns = []
    for i in range(len(H)):
        for j in range(i):
            A = np.zeros((len(H), len(H)))
            A[i, j], A[j, i] = 1.0, -1.0
            columns.append(pack(Params(None if W is None else W @ A, -A @ H, None if b is None else np.zeros_like(b))))
    return np.array(columns).T


def curvature_along(problem: Problem, params: Params, direction: Params) -> float:
    """<D, Hess D> for the tangent part of D; the second derivative of f along the geodesic with velocity D."""
    pack, _ = packing(params)
    product, _ = hessian_operator(problem, params)
    return float(pack(direction) @ product(pack(direction)))


class Slack(NamedTuple):
    """Q = [[-diag(a), tau G], [tau G^T, -diag(b)]], a_k = <w_k, (E_W)_k> and b_i = <h_i, (E_H)_i>, E ambient."""

    a: np.ndarray
    b: np.ndarray
    Q: np.ndarray


def slack(problem: Problem, point: Point) -> Slack:
    """The dual slack on unit spheres, from the gradient that `ufm` computes."""
    W, H, _ = point.params
    a, b = np.sum(W * point.ambient.W, axis=1), np.sum(H * point.ambient.H, axis=0)
    G = float(problem.tau) * point.G
    return Slack(a, b, np.block([[-np.diag(a), G], [G.T, -np.diag(b)]]))
