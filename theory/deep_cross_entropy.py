"""Deep linear features model, cross-entropy, balanced, no bias: three symmetric solutions, and which of them is lower.

    f = mean cross-entropy of W_M ... W_1 H + sum_l lam_l/2 |W_l|^2 + lam_H/2 |H|^2

A class-level Z = a * Gram on n copies costs (q/2) g n^(1/q) sum_j (a gamma_j)^(2/q), gamma_j the eigenvalues of the
Gram matrix, q = M + 1, g the geometric mean of the decays (L1). For M >= 2 this prefers low rank: the simplex ETF is
not the global minimum in general, so nothing here is called one. No closed form of that is known; `lower_bound` is
tight for M = 1 only.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from theory.arguments import check_count, check_decay
from theory.depth import Decays, check_decays, geometric_mean

EXPONENT = 700.0  # margins beyond it leave nothing of the loss in float64


class Candidate(NamedTuple):
    """A symmetric solution, class logits a * Gram: f at the best a, and that a (0 where zero is lower)."""

    value: float
    a: float


def etf(*, K: int, n: int, lam_W: Decays, lam_H: float, M: int) -> Candidate:
    """min over a of log(1 + (K-1) e^-a) + (q/2) g n^(1/q) (K-1) a^(2/q): the simplex ETF, Gram I - J/K.

    Args:
        K: classes. n: samples a class. lam_W, lam_H: decays > 0. M: matrices.
    Raises:
        ValueError: an argument is impossible.
    Source:
        5; derived for this project. The global minimum for M = 1 (T7).
    """
    unit = _unit("deep_cross_entropy.etf", K, n, lam_W, lam_H, M)
    return _best(np.ones(K - 1), np.ones(K - 1), unit, M)


def polygon(*, K: int, n: int, lam_W: Decays, lam_H: float, M: int) -> Candidate:
    """min over a of log sum_j e^(a (cos(2 pi j/K) - 1)) + (q/2) g n^(1/q) 2 (a K/2)^(2/q): rank 2, K >= 3.

    Args:
        K, n, lam_W, lam_H, M: as for `etf`.
    Raises:
        ValueError: an argument is impossible; K = 2.
    Source:
        5; derived for this project. K = 3: the same as the simplex ETF.
    """
    unit = _unit("deep_cross_entropy.polygon", check_count("deep_cross_entropy.polygon", "K", K, 3), n, lam_W, lam_H, M)
    gaps = 2.0 * np.sin(math.pi * np.arange(1, K) / K) ** 2
    return _best(gaps, np.full(2, K / 2), unit, M)


def cross_polytope(*, K: int, n: int, lam_W: Decays, lam_H: float, M: int) -> Candidate:
    """min over a of log(1 + (K-2) e^-a + e^-2a) + (q/2) g n^(1/q) (K/2) (2a)^(2/q): opposite pairs, rank K/2, K even.

    Args:
        K, n, lam_W, lam_H, M: as for `etf`.
    Raises:
        ValueError: an argument is impossible; odd K.
    Source:
        5; derived for this project.
    """
    where = "deep_cross_entropy.cross_polytope"
    unit = _unit(where, K, n, lam_W, lam_H, M)
    if K % 2:
        raise ValueError(
            f"{where}: K={K} is odd, but the classes of a cross-polytope come in opposite pairs. Pass even K."
        )
    return _best(np.append(np.ones(K - 2), 2.0), np.full(K // 2, 2.0), unit, M)


def lower_bound(*, K: int, n: int, lam_W: Decays, lam_H: float, M: int) -> float:
    """min over a of log(1 + (K-1) e^-a) + (q/2) g n^(1/q) ((K-1) a)^(2/q) <= f of every point, linear or ReLU layers.

    Args:
        K, n, lam_W, lam_H, M: as for `etf`.
    Raises:
        ValueError: an argument is impossible.
    Source:
        5; derived for this project: convexity of the loss, |Z|_* <= prod |W_l| |H| and AM-GM. Tight for M = 1.
    """
    unit = _unit("deep_cross_entropy.lower_bound", K, n, lam_W, lam_H, M)
    return _best(np.ones(K - 1), np.array([K - 1.0]), unit, M).value


def low_rank_wins(*, K: int, M: int) -> bool:
    """(K/2) 2^(2/q) < K-1: for small decay the cross-polytope (K even) is below the ETF. M = 2: K >= 6; M = 3: K >= 4.

    Raises:
        ValueError: bad arguments.
    Source:
        5; derived for this project, by the leading order in the decay. Agrees in kind with Garrod and Keating
        (arXiv 2410.23169), who find that low rank is preferred.
    """
    where = "deep_cross_entropy.low_rank_wins"
    K, M = check_count(where, "K", K, 2), check_count(where, "M", M, 1)
    return K / 2 * 2.0 ** (2 / (M + 1)) < K - 1


def _unit(where: str, K: int, n: int, lam_W: Decays, lam_H: float, M: int) -> float:
    """(q/2) g n^(1/q), after the checks."""
    check_count(where, "K", K, 2)
    n, M = check_count(where, "n", n, 1), check_count(where, "M", M, 1)
    lams = np.array([*check_decays(where, lam_W, M), check_decay(where, "lam_H", lam_H)])
    return (M + 1) / 2 * geometric_mean(lams) * n ** (1 / (M + 1))


def _best(gaps: np.ndarray, gamma: np.ndarray, unit: float, M: int) -> Candidate:
    """The lowest of a = 0 and the minimisers a > 0 of log(1 + sum_j e^(-a gaps_j)) + unit sum_j (a gamma_j)^(2/q)."""
    power = 2 / (M + 1)
    price = unit * float(np.sum(gamma**power))

    def value(a: float) -> float:
        return math.log1p(float(np.sum(np.exp(-a * gaps)))) + price * a**power

    def slope(log_a: float) -> float:
        """a times the derivative."""
        a = math.exp(log_a)
        mass = np.exp(-a * gaps)
        return price * power * a**power - a * float(gaps @ mass) / (1.0 + float(np.sum(mass)))

    # The slope is positive at both ends for M >= 2; its zeros are well apart but at a spinodal, far from the minimum.
    grid = np.linspace(math.log(1e-8), math.log(EXPONENT / float(np.min(gaps))), 600)
    signs = np.array([slope(x) for x in grid]) > 0.0
    rising = np.flatnonzero(~signs[:-1] & signs[1:])
    roots = [float(brentq(slope, grid[i], grid[i + 1], xtol=1e-14)) for i in rising]  # pyright: ignore
    candidates = [Candidate(math.log1p(len(gaps)), 0.0)]
    return min([*candidates, *(Candidate(value(math.exp(x)), math.exp(x)) for x in roots)])
