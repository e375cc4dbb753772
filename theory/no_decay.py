"""Cross-entropy without decay: gradient flow along the balanced simplex ETF, with its exact clock.

Start at W = c E, H = c/sqrt(n) E^T, repeated n times a class, with E E^T = I - J/K: the flow of (1/N) sum CE(W h_i) at
unit speed stays on this ray, and the margin x = c^2/sqrt(n) of every sample follows

    dx/dt = (2/sqrt(n)) x/(K-1+e^x),     t(x) - t(x_0) = (sqrt(n)/2) [(K-1) log(x/x_0) + Ei(x) - Ei(x_0)].

There is no minimiser: x grows like log t. Times are given and taken as logarithms, so that margins of thousands are in
reach. `theory.seli.rates` has the limits for any class sizes.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import expi

from theory.arguments import SMALLEST_NORMAL, check_count, check_positive
from theory.roots import decreasing_root

NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)
ASYMPTOTIC = 50.0  # from here on the divergent series of Ei has terms below eps


class State(NamedTuple):
    """A point of the ray: loss, |W|^2 = |H|^2, margin."""

    loss: float
    W_sq: float
    H_sq: float
    margin: float


def state(*, K: int, n: int, x: float) -> State:
    """log(1 + (K-1) e^-x) and |W|^2 = |H|^2 = (K-1) sqrt(n) x at margin x.

    Raises:
        ValueError: an argument is impossible.
    Source:
        6.1; derived for this project.
    """
    K, n, x = _check("no_decay.state", K, n, x)
    norm_sq = (K - 1) * math.sqrt(n) * x
    return State(math.log1p((K - 1) * math.exp(-x)), norm_sq, norm_sq, x)


def log_time(*, K: int, n: int, x_0: float, x: float) -> float:
    """log of the time in which the margin grows from x_0 to x > x_0.

    Args:
        K: classes.
        n: samples a class.
        x_0, x: margins, 0 < x_0 < x; x - x_0 is taken as rounded.
    Returns:
        log t; about x for large x.
    Raises:
        ValueError: an argument is impossible.
    Assumes:
        Balanced classes; W and H on the ray of the module, d >= K-1; no bias, or b = 0 (which stays 0).
    Source:
        6.1, T25; derived for this project. Model: Ji et al. (ICLR 2022, arXiv 2110.02796).
    """
    where = "no_decay.log_time"
    K, n, x_0 = _check(where, K, n, x_0)
    if not check_positive(where, "x", x) > x_0:
        raise ValueError(f"{where}: x={x!r} is not above x_0={x_0!r}. Pass a later margin: it only grows.")
    return _log_time(K, n, x_0, x - x_0)


def margin(*, K: int, n: int, x_0: float, log_t: float) -> float:
    """The margin x at time e^log_t after x_0, the inverse of `log_time`.

    Raises:
        ValueError: an argument is impossible, or log_t is outside [-700, 1e6].
    Assumes, Source:
        As `log_time`.
    """
    where = "no_decay.margin"
    K, n, x_0 = _check(where, K, n, x_0)
    if not -700.0 <= log_t <= 1e6:
        raise ValueError(f"{where}: log_t={log_t!r} is outside [-700, 1e6]. Pass the logarithm of the time.")
    if _log_time(K, n, x_0, SMALLEST_NORMAL) >= log_t:
        return x_0
    log_growth = decreasing_root(lambda y: log_t - _log_time(K, n, x_0, math.exp(y)), reach=708.0)
    return x_0 + math.exp(log_growth)


def _log_time(K: int, n: int, x_0: float, growth: float) -> float:
    """log of sqrt(n)/2 times the integral of (K-1 + e^u)/u over [x_0, x_0 + growth]."""
    x = x_0 + growth
    log_ratio = math.log1p(growth / x_0) if growth < x_0 else math.log(x) - math.log(x_0)
    scaled = (K - 1) * log_ratio * math.exp(-x) + _scaled_difference(x_0, growth)
    return x + math.log(scaled) + math.log(math.sqrt(n) / 2)


def _scaled_difference(x_0: float, growth: float) -> float:
    """e^-x (Ei(x) - Ei(x_0)) at x = x_0 + growth, without cancellation."""
    x = x_0 + growth
    if growth <= min(1.0, x_0):  # neighbours: Gauss-Legendre, whose error is below eps for an interval so far from 0
        share = (1.0 - NODES) / 2
        return growth / 2 * float(WEIGHTS @ (np.exp(-growth * share) / (x - growth * share)))
    if x <= 1.0:  # Ei(x) = gamma + log x + sum_k x^k/(k k!)
        series = sum((x**k - x_0**k) / (k * math.factorial(k)) for k in range(1, 20))
        return math.exp(-x) * (math.log(x) - math.log(x_0) + series)
    return _scaled_expi(x) - math.exp(-growth) * _scaled_expi(x_0)


def _scaled_expi(x: float) -> float:
    """e^-x Ei(x)."""
    if x < ASYMPTOTIC:
        return math.exp(-x) * float(expi(x))
    term, total = 1.0 / x, 0.0
    for k in range(1, 60):
        total += term
        term *= k / x
        if term <= 1e-17 * total:
            break
    return total


def _check(where: str, K: int, n: int, x: float) -> tuple[int, int, float]:
    return check_count(where, "K", K, 2), check_count(where, "n", n, 1), check_positive(where, "margin", x)
