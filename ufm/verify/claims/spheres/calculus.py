"""Derivatives and certificates on spheres at any point, and the way down from saddles (1.2, 1.3)."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.certify.point import examine
from ufm.models import normalized
from ufm.problem import Params, Problem
from ufm.verify.claim import AtMost, Claim, Measurement
from ufm.verify.experiment import ROUNDING
from ufm.verify.tangent import curvature_along, slack, tangent_spectrum


class Place(NamedTuple):
    """Seeded unit vectors in the first `span` of d dimensions; seed None: a square, each class with its features."""

    K: int
    n: int | tuple[int, ...]
    d: int
    tau: float
    span: int
    seed: int | None

    @property
    def problem(self) -> Problem:
        """What is evaluated."""
        return Problem(self.K, self.n, self.d, model=normalized(self.tau))


@functools.cache
def point_of(place: Place) -> Params:
    """The point, in plain NumPy."""
    labels, widen = place.problem.labels, ((0, 0), (0, place.d - place.span))
    if place.seed is None:
        W = np.pad(np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]), widen)
        return Params(W, W[labels].T, None)
    rng = np.random.default_rng(place.seed)
    W, F = rng.standard_normal((place.K, place.span)), rng.standard_normal((len(labels), place.span))
    W, F = W / np.linalg.norm(W, axis=1, keepdims=True), F / np.linalg.norm(F, axis=1, keepdims=True)
    return Params(np.pad(W, widen), np.pad(F, widen).T, None)


@functools.cache
def direction_of(place: Place) -> Params:
    """A seeded tangent vector there."""
    W, H, _ = point_of(place)
    rng = np.random.default_rng([0 if place.seed is None else place.seed, 1])
    D_W, D_H = rng.standard_normal(W.shape), rng.standard_normal(H.shape)
    return Params(D_W - W * np.sum(W * D_W, axis=1, keepdims=True), D_H - H * np.sum(H * D_H, axis=0), None)


def places(full: bool) -> Iterable[Place]:
    """1.2: equal and unequal classes; four temperatures."""
    for tau in (0.5, 2.5, 7.0, *((20.0,) if full else ())):
        yield Place(4, 2, 5, tau, 5, 1)
        yield Place(3, (4, 2, 1), 4, tau, 4, 2)


def measure_calculus(place: Place) -> Measurement:
    """f, its derivatives, multipliers and Q; the bound f + (K+N)/2 min(0, lambda_min(Q)); <D, Hess D>."""
    problem, params, direction = place.problem, point_of(place), direction_of(place)
    point = examine(problem, params)
    a, b, Q = slack(problem, point)
    values = {
        "value": point.value,
        "logit gradient": point.G,
        "a": a,
        "b": b,
        "gradient in W": point.grad.W,
        "gradient in H": point.grad.H,
        "Q": Q,
        "bound": point.value + sum(point.G.shape) / 2 * min(0.0, float(np.linalg.eigvalsh(Q)[0])),
        "curvature": curvature_along(problem, params, direction),
    }
    size = 1.0 + sum(float(np.sum(x**2)) for x in direction if x is not None)
    tolerances = dict.fromkeys(values, ROUNDING * (1.0 + place.tau) ** 2) | {
        "bound": ROUNDING * (1.0 + place.tau) * sum(point.G.shape),
        "curvature": ROUNDING * (1.0 + place.tau) ** 2 * size,
    }
    return Measurement(values, tolerances)


def predict_calculus(place: Place) -> Mapping[str, Any]:
    """The formulas of 1.2 and 1.3."""
    calculus, labels, tau = theory.sphere_calculus, place.problem.labels, place.tau
    W, H, _ = point_of(place)
    D_W, D_H, _ = direction_of(place)
    G = calculus.logit_gradient(W, H, labels, tau)
    a, b = calculus.multipliers(W, H, G, tau)
    grad_W, grad_H = calculus.riemannian_gradient(W, H, G, tau)
    return {
        "value": calculus.value(W, H, labels, tau),
        "logit gradient": G,
        "a": a,
        "b": b,
        "gradient in W": grad_W,
        "gradient in H": grad_H,
        "Q": calculus.slack_matrix(W, H, G, tau),
        "bound": calculus.lower_bound(W, H, labels, tau),
        "curvature": calculus.hessian_form(W, H, labels, tau, D_W, D_H),
    }


def saddles(full: bool) -> Iterable[Place]:
    """1.3 (ii): a critical square with three more dimensions; points that are not critical."""
    for tau in (1.0, 6.0, *((30.0,) if full else ())):
        yield Place(4, 2, 5, tau, 2, None)
        yield Place(3, (4, 2, 1), 4, tau, 2, 3)


def measure_saddle(place: Place) -> Measurement:
    """Along (u e^T, e v^T), (u, v) lowest of Q and e unused: the curvature and the direction, e left out."""
    problem, params = place.problem, point_of(place)
    lowest = np.linalg.eigh(slack(problem, examine(problem, params)).Q)[1][:, 0]
    unused = np.eye(place.d)[-1]
    direction = Params(np.outer(lowest[: place.K], unused), np.outer(unused, lowest[place.K :]), None)
    values = {
        "curvature": curvature_along(problem, params, direction),
        "direction": np.outer(lowest, lowest),
        "overlap of e": 0.0,
        "least eigenvalue": float(tangent_spectrum(problem, params)[0]),
    }
    rounding = ROUNDING * (1.0 + place.tau) ** 2
    return Measurement(
        values, {"curvature": rounding, "direction": 1e-12, "overlap of e": 1e-12, "least eigenvalue": rounding}
    )


def predict_saddle(place: Place) -> Mapping[str, Any]:
    """The explicit direction and its curvature lambda_min(Q), which the least eigenvalue does not exceed."""
    W, H, _ = point_of(place)
    G = theory.sphere_calculus.logit_gradient(W, H, place.problem.labels, place.tau)
    D_W, D_H, curvature = theory.sphere_calculus.escape_direction(W, H, G, place.tau)
    stacked = np.vstack([D_W, D_H.T])
    return {
        "curvature": curvature,
        "direction": stacked @ stacked.T,
        "overlap of e": float(np.max(np.abs(np.vstack([W, H.T]) @ stacked.T @ stacked))),
        "least eigenvalue": AtMost(curvature),
    }


CLAIMS = (
    Claim(
        "1.2",
        "Gradient, multipliers, Q, the bound it gives, and the Hessian form on a product of spheres, at any point.",
        "standard; the bound is derived for this project",
        "cross-entropy of tau W H, unit rows of W and columns of H",
        "32 eps (1 + tau)^2 times the size of the direction, or (K+N) for the bound: rounding",
        places,
        measure_calculus,
        predict_calculus,
    ),
    Claim(
        "1.3-escape",
        "Wherever a dimension is unused, the lowest eigenvector of Q is a direction of curvature lambda_min(Q).",
        "derived for this project",
        "the rows of W and the columns of H do not span R^d",
        "32 eps (1 + tau)^2: rounding; 1e-12 for an eigenvector that is simple",
        saddles,
        measure_saddle,
        predict_saddle,
    ),
)
