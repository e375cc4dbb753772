"""Softmax codes: many classes in few dimensions, d < K-1, in the limit tau -> infinity on spheres (Jiang et al.).

rho_k(W) = dist(w_k, conv{w_j : j != k}) is the one-vs-rest distance of class k. A softmax code maximises min_k rho_k
over K unit vectors in R^d, and

    rho*(K, d) = max over unit W, H of min_{k, j != k} <w_k - w_j, h_k>   (HardMax)   = max_W min_k rho_k(W).
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from theory.arguments import check_count, check_unit_rows
from theory.codes import cross_polytope, polygon
from theory.frames import simplex_etf
from theory.min_norm import min_norm_point
from theory.prediction import NotApplicable


class OneVsRest(NamedTuple):
    """Distances rho [K] of each row from the hull of the others, and the unit directions H [d, K] that attain them."""

    rho: np.ndarray
    H: np.ndarray


def one_vs_rest_distance(W: np.ndarray) -> OneVsRest:
    """rho_k = dist(w_k, conv{w_j : j != k}) = max over unit h of min_{j != k} <w_k - w_j, h>.

    Args:
        W: [K, d] unit rows, K >= 2.
    Returns:
        rho [K], exactly 0.0 for a row in the hull of the others; H [d, K], columns h_k = (w_k - its projection)/rho_k,
        NaN where rho_k = 0. 1 - max_j <w_k, w_j> <= rho_k <= min_j |w_k - w_j|.
    Raises:
        ValueError: fewer than two rows, or rows that are not of unit length.
    Source:
        Jiang et al. (arXiv 2310.05351); minimax derived for this project.
    """
    where = "one_vs_rest_distance"
    W = check_unit_rows(where, "W", W)
    K = check_count(where, "number of rows of W", len(W), 2)
    gaps = np.array([min_norm_point(W[k] - np.delete(W, k, axis=0)).point for k in range(K)])
    rho = np.linalg.norm(gaps, axis=1)
    apart = rho > 1e-12  # below, rounding decides on the direction
    H = np.full(gaps.shape, np.nan)
    H[apart] = gaps[apart] / rho[apart, None]
    return OneVsRest(np.where(apart, rho, 0.0), H.T)


def hardmax_value(W: np.ndarray) -> float:
    """min_k rho_k(W), the HardMax objective of W with its best H: a lower bound on rho*(K, d).

    Args and Raises: as `one_vs_rest_distance`.
    """
    return float(np.min(one_vs_rest_distance(W).rho))


def applies(*, K: int, d: int) -> tuple[str, ...]:
    """Reasons why rho*(K, d) is not known in closed form; empty if it is.

    Raises:
        ValueError: K < 2 or d < 1.
    """
    _check("softmax_codes.applies", K, d)
    if d <= 2 or 2 * d >= K:
        return ()
    return (
        f"K={K} > 2d={2 * d} with d={d} >= 3: rho*(K, d) is not proven. Known are `bounds`, and hardmax_value of any "
        "code from below; that of a Tammes code was never beaten (conjecture).",
    )


def optimum(*, K: int, d: int) -> float:
    """rho*(K, d): K/(K-1) for K <= d+1; 1 for d+2 <= K <= 2d; 1 - cos(2 pi/K) for d = 2; 0 for K > 2, d = 1.

    Args:
        K: number of unit vectors, >= 2.
        d: dimension.
    Raises:
        ValueError: K < 2 or d < 1.
        NotApplicable: K > 2d and d >= 3.
    Source:
        2.2: Jiang et al. (arXiv 2310.05351), as recalled. Proofs for this project. K <= d+1: min_j <w_k - w_j, h_k> <=
        K/(K-1) |w_k - wbar|, and mean_k |w_k - wbar|^2 <= 1. K >= d+2: by Caratheodory some w_k is not needed for the
        min-norm point p of the hull, so p is in the hull of the others, |w_k - p|^2 <= 1 - |p|^2. d = 2: with gaps
        a_k <= pi between neighbours rho_k = 2 sin(a_k/2) sin(a_{k+1}/2), and log sin is concave.
    """
    K, d = _require("softmax_codes.optimum", K, d)
    if d >= K - 1:
        return K / (K - 1)
    if 2 * d >= K:
        return 1.0
    return 2.0 * math.sin(math.pi / K) ** 2 if d == 2 else 0.0


def optimal_code(*, K: int, d: int) -> np.ndarray:
    """A code that attains `optimum`: simplex, K vertices of the cross-polytope, polygon; [K, d].

    The simplex and the polygon are the only ones up to rotation; for d+2 <= K < 2d many codes attain 1.

    Args and Raises: as `optimum`; for d = 1 every code is optimal.
    """
    K, d = _require("softmax_codes.optimal_code", K, d)
    if d >= K - 1:
        return simplex_etf(K, d)
    if 2 * d >= K:
        return np.vstack([cross_polytope(d)[[0, d]], np.delete(cross_polytope(d), [0, d], axis=0)])[:K]
    return polygon(K) if d == 2 else np.where(np.arange(K)[:, None] % 2 == 0, 1.0, -1.0)


def bounds(*, K: int, d: int) -> tuple[float, float]:
    """(c/d)^(2/(d-1))/2 <= rho*(K, d) <= 2 c^(1/(d-1)), c = (2 sqrt(pi)/K) Gamma((d+1)/2)/Gamma(d/2). Loose.

    Args:
        K: number of unit vectors, >= 2.
        d: dimension, >= 2.
    Returns:
        (lower, upper).
    Raises:
        ValueError: K < 2 or d < 2.
    Source:
        2.2: Jiang et al. (arXiv 2310.05351), as recalled. The upper one packs caps of radius half the least distance,
        using rho_k <= min_j |w_k - w_j|; the lower one covers the sphere by caps around a maximal code.
    """
    where = "softmax_codes.bounds"
    K, d = check_count(where, "K", K, 2), check_count(where, "d", d, 2)
    log_c = math.log(2.0 * math.sqrt(math.pi) / K) + float(gammaln((d + 1) / 2) - gammaln(d / 2))
    return math.exp(2 * (log_c - math.log(d)) / (d - 1)) / 2, 2 * math.exp(log_c / (d - 1))


def _check(where: str, K: int, d: int) -> tuple[int, int]:
    return check_count(where, "K", K, 2), check_count(where, "d", d, 1)


def _require(where: str, K: int, d: int) -> tuple[int, int]:
    """(K, d), checked; NotApplicable where rho* is unknown."""
    K, d = _check(where, K, d)
    if reasons := applies(K=K, d=d):
        raise NotApplicable(where, reasons)
    return K, d
