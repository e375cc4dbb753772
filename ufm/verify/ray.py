"""The ray of simplex ETFs, W H = margin (I - J/K), evaluated through `ufm`: losses, slopes, and what holds at zero."""

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

from ufm.certify.point import examine, hessian_operator, packing
from ufm.problem import Params, Problem
from ufm.start import etf_start
from ufm.verify.experiment import EPS, Settled, escape_curvature, line_root, origin


def on_ray(problem: Problem, margin: float, strength: float = 1.0) -> Params:
    """W H = margin (I - J/K) for each sample, |W|_F^2 = strength |margin| (K-1)."""
    K = problem.K
    frame = etf_start(problem).W * math.sqrt((K - 1) / K)
    size = math.sqrt(strength * abs(margin)) or 1.0
    H = np.repeat(margin / size * frame, problem.n, axis=0).T
    return Params(size * frame, H, None if problem.lam_b is None else np.zeros(K))


def slope(problem: Problem, margin: float) -> float:
    """C - rate(margin): the derivative of f along the ray of balanced simplex ETFs by the margin."""
    params = balanced(problem, margin)
    grad = examine(problem, params).grad
    return float(np.sum(grad.W * params.W) + np.sum(grad.H * params.H)) / (2.0 * margin)


def balanced(problem: Problem, margin: float) -> Params:
    """The ETF of this margin with lam_W |W|^2 = lam_H |H|^2; zero at zero."""
    if margin == 0.0:
        return origin(problem)
    return on_ray(problem, margin, math.sqrt(problem.n * float(problem.lam_H) / float(problem.lam_W)))


def collapse_point(problem_at: Callable[[float], Problem]) -> float:
    """The kappa at which W = H = 0 stops being a saddle; lam_W = lam_H = nu, proportional to kappa.

    The curvature along T5's direction is nu - |G|_2 then, a straight line, so that two values give the root.
    """
    ends = (problem_at(0.5), problem_at(1.5))
    return line_root(0.5, 1.5, *(escape_curvature(end, origin(end)) for end in ends))


def sample_curvature(found: Settled, v: np.ndarray) -> float:
    """<v, J v>/|v|^2 of the Hessian J of the first sample's loss in its logits, by moving its feature along v."""
    problem, (W, H, b) = found.problem, found.params
    move = np.zeros_like(H)
    move[:, 0] = np.linalg.lstsq(W, v, rcond=1e-8)[0]
    direction = packing(found.params)[0](Params(np.zeros_like(W), move, None if b is None else np.zeros_like(b)))
    product, _ = hessian_operator(problem, found.params)
    curvature = float(direction @ product(direction)) - float(problem.lam_H) * float(np.sum(move**2))
    return problem.N * curvature / float(v @ v)


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """A root of a function that changes its sign, to rounding."""
    return float(brentq(function, low, high, xtol=1e-300, rtol=4 * EPS))  # pyright: ignore[reportArgumentType]
