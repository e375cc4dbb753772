"""Values that symmetric codes give to the cross-entropy when d < K-1: upper bounds on the minimum, no theorems.

On spheres the bound is f(W, W^T) at temperature tau; with decay it is f on the ray W M = a C C^T of a code C. No lower
point was found for polygons, cross-polytopes, the icosahedron, the 24-cell and the Clebsch code on spheres, nor for
cross-polytopes and, without a bias, polygons with decay; but optimality is NOT proven. The cube, for one, is not
optimal, and neither are polygons with decay where the decay of the bias is weak: the bias can serve a class alone.
"""

import math
from typing import NamedTuple

import numpy as np

from theory.arguments import check_count, check_positive, check_unit_rows
from theory.arguments import kappa as _kappa
from theory.roots import bracketed_root
from theory.sphere_calculus import value


class Candidate(NamedTuple):
    """A critical point of the model with decay: f there, and a in W M = a C C^T; a = 0 is the origin."""

    value: float
    scale: float


def self_dual_value(W: np.ndarray, tau: float) -> float:
    """(1/K) sum_k log sum_j exp(-tau (1 - <w_k, w_j>)), f of the code W with features h_k = w_k, balanced classes.

    For a distance-invariant code every k has the same term, and -log(f)/tau = (1 - s) - log(neighbours)/tau + o(1/tau),
    s being the largest cosine and `neighbours` how often a row attains it.

    Args:
        W: [K, d] unit rows, K >= 2.
        tau: temperature that multiplies the logits, > 0.
    Returns:
        An upper bound on the minimum of f over unit W [K, d], H, for every W.
    Raises:
        ValueError: rows that are not of unit length, fewer than two, or tau <= 0.
    Source:
        2.5; derived for this project.
    """
    where = "self_dual_value"
    W, tau = check_unit_rows(where, "W", W), check_positive(where, "tau", tau)
    check_count(where, "number of rows of W", len(W), 2)
    return value(W, W.T, np.arange(len(W)), tau)


def polygon_value(*, K: int, tau: float) -> float:
    """log sum_j exp(-tau (1 - cos(2 pi j/K))), `self_dual_value` of the regular polygon (d = 2).

    Raises:
        ValueError: K < 2 or tau <= 0.
    Source:
        2.5; lowest of all runs for K = 4 .. 8, tau = .5 .. 40. For K <= 3 it is the minimum (1.1).
    """
    where = "polygon_value"
    K, tau = check_count(where, "K", K, 2), check_positive(where, "tau", tau)
    return math.log1p(float(np.sum(np.exp(-tau * _polygon_gaps(K)[1:]))))


def cross_polytope_value(*, d: int, tau: float) -> float:
    """log(1 + (2d-2) e^-tau + e^(-2 tau)), `self_dual_value` of the cross-polytope (K = 2d).

    Raises:
        ValueError: d < 1 or tau <= 0.
    Source:
        2.5; lowest of all runs for d = 3, 4, tau = 1 .. 16. For d = 1 it is the minimum (1.1).
    """
    where = "cross_polytope_value"
    d, tau = check_count(where, "d", d, 1), check_positive(where, "tau", tau)
    return math.log1p((2 * d - 2) * math.exp(-tau) + math.exp(-2.0 * tau))


def polygon_candidate(*, K: int, n: int, lam_W: float, lam_H: float) -> Candidate:
    """min_a log sum_j exp(-a (1 - cos(2 pi j/K))) + kappa a, kappa = K sqrt(n lam_W lam_H): decay, d = 2, any lam_b.

    W = r C, M = (a/r) C^T with C the regular polygon and r^2 = a sqrt(n lam_H/lam_W); b = 0.

    Args:
        K: number of classes, >= 2.
        n: samples a class.
        lam_W, lam_H: decays > 0.
    Returns:
        Candidate: an upper bound on f*, equal to it for K <= 3 (T7) and for kappa >= 1, where a = 0.
    Raises:
        ValueError: an argument is impossible, or imbalanced n.
    Source:
        T6, derived for this project: lowest in all runs (K = 4 .. 8) without a bias or with lam_b = 10, optimality NOT
        proven. With a weak bias decay it is not lowest from K = 5 on: K = 6, n = 1, lam_W = lam_H = .05, lam_b = .1
        has 1.211459, 5.7e-3 below, with one class at h = 0.
    """
    strength = _kappa("polygon_candidate", K, n, lam_W, lam_H)
    return _on_ray(_polygon_gaps(K), strength)


def cross_polytope_candidate(*, d: int, n: int, lam_W: float, lam_H: float) -> Candidate:
    """min_a log(1 + (K-2) e^-a + e^-2a) + kappa a, K = 2d, kappa = K sqrt(n lam_W lam_H): decay, any lam_b.

    W = r C, M = (a/r) C^T with C the cross-polytope and r^2 = a sqrt(n lam_H/lam_W); b = 0.

    Args:
        d: dimension, >= 1.
        n: samples a class.
        lam_W, lam_H: decays > 0.
    Returns:
        Candidate: an upper bound on f*, equal to it for d = 1 (T7) and for kappa >= 1, where a = 0.
    Raises:
        ValueError: an argument is impossible, or imbalanced n.
    Source:
        T6, derived for this project: lowest in all runs (d = 3, 4, any lam_b), optimality NOT proven.
    """
    where = "cross_polytope_candidate"
    K = 2 * check_count(where, "d", d, 1)
    gaps = np.array([0.0, *[1.0] * (K - 2), 2.0])
    return _on_ray(gaps, _kappa(where, K, n, lam_W, lam_H))


def _polygon_gaps(K: int) -> np.ndarray:
    """1 - cos(2 pi j/K), j = 0 .. K-1, without cancellation."""
    return 2.0 * np.sin(math.pi * np.arange(K) / K) ** 2


def _on_ray(gaps: np.ndarray, strength: float) -> Candidate:
    """min over a >= 0 of log sum_j exp(-a gaps_j) + strength a; gaps_0 = 0, and the mean of the gaps is 1."""
    K = len(gaps)
    if strength >= 1.0:
        return Candidate(math.log(K), 0.0)

    def excess(a: float) -> float:
        """Decreasing in a, zero where the slope is: pull(a) = sum gaps e^(-a gaps)/sum e^(-a gaps) = strength."""
        decays = np.exp(-a * gaps)
        if strength > 0.5:  # 1 - pull, without cancellation as sum (1 - gaps) = 0
            return (1.0 - strength) - float(np.sum((1.0 - gaps) * np.expm1(-a * gaps)) / np.sum(decays))
        return math.log(float(np.sum(gaps * decays) / np.sum(decays))) - math.log(strength)

    # pull(a) <= (K-1) max(gaps) e^(-a min gap), so the root lies below.
    last = 1.0 + (math.log(2.0 * (K - 1)) - math.log(strength)) / float(np.min(gaps[1:]))
    scale = bracketed_root(excess, 0.0, last)
    data_loss = math.log1p(float(np.sum(np.exp(-scale * gaps[1:]))))
    return Candidate(data_loss + strength * scale, scale)
