"""Cross-entropy's gradient flow on the ray of balanced simplex ETFs, with its exact clock (T25, 6.1).

Start at W = c E, H = c/sqrt(n) E^T, repeated n times a class, with E E^T = I - J/K: the flow of (1/N) sum CE(W h_i) at
unit speed stays on this ray. The margin a = c^2/sqrt(n) of every sample, W M = a (I - J/K), follows

    da/dt = (2/sqrt(n)) a/(e^a + K-1),     t = (sqrt(n)/2) [Ei(a) - Ei(a0) + (K-1) log(a/a0)].

There is no minimiser: a grows like log t. Times are given and taken as logarithms, so that margins of thousands are in
reach. `theory.seli.rates` has the limits for any class sizes.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expi

from theory.arguments import check_count, check_nonnegative, check_nonnegatives, check_positive
from theory.roots import root_of_logarithm

NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)


class State(NamedTuple):
    """A point of the ray: loss, |W|^2 = |H|^2, margin."""

    loss: float
    W_sq: float
    H_sq: float
    margin: float


def state(*, K: int, n: int, a: float) -> State:
    """log(1 + (K-1) e^-a) and |W|^2 = |H|^2 = (K-1) sqrt(n) a at margin a.

    Raises:
        ValueError: an argument is impossible.
    Source:
        6.1; derived for this project.
    """
    K, n = _check("etf_ray.state", K, n)
    a = check_positive("etf_ray.state", "a", a)
    norm_sq = (K - 1) * math.sqrt(n) * a
    return State(math.log1p((K - 1) * math.exp(-a)), norm_sq, norm_sq, a)


def velocity(*, a: Any, K: int, n: int, lam: float = 0.0) -> Any:
    """da/dt = (2/sqrt n) a/(e^a + K - 1) - 2 lam a.

    Args:
        a: margins >= 0, an array or a number.
        K, n: classes, samples a class.
        lam: decay of both W and H, >= 0.
    Raises:
        ValueError: an argument is impossible.
    Assumes:
        Cross-entropy; balanced classes; W^T W = H H^T and class-collapsed features at t = 0; b = beta 1 or none.
    Source:
        T25; derived for this project.
    """
    where = "etf_ray.velocity"
    K, n = _check(where, K, n)
    a, lam = check_nonnegatives(where, "a", a), check_nonnegative(where, "lam", lam)
    return 2.0 * a * (np.exp(-a) / (1.0 + (K - 1) * np.exp(-a)) / math.sqrt(n) - lam)


def log_time(*, a: float, a0: float, K: int, n: int) -> float:
    """log t, t = (sqrt n/2) [Ei(a) - Ei(a0) + (K-1) log(a/a0)], when the margin has grown from a0 to a without decay.

    Args:
        a, a0: margins > 0, any size: t itself overflows beyond a = 716. a - a0 is taken as rounded.
        K, n: classes, samples a class.
    Returns:
        log t; -inf at a = a0, NaN below, which the flow never reaches.
    Raises:
        ValueError: an argument is impossible.
    Assumes:
        As `velocity`, with lam = 0.
    Source:
        T25, 6.1; derived for this project. Model: Ji et al. (ICLR 2022, arXiv 2110.02796).
    """
    where = "etf_ray.log_time"
    K, n = _check(where, K, n)
    a, a0 = check_positive(where, "a", a), check_positive(where, "a0", a0)
    return math.log(n) / 2 - math.log(2.0) + _log_integral(a0, a - a0, K) if a >= a0 else math.nan


def margin(*, log_t: float, a0: float, K: int, n: int) -> float:
    """The margin a at time t, the inverse of `log_time`: a ~ log t + log log t + log(2/sqrt n).

    Args:
        log_t: log of the time, -inf for t = 0.
        a0: margin > 0 at t = 0.
        K, n: classes, samples a class.
    Raises:
        ValueError: an argument is impossible.
    Assumes, Source:
        As `log_time`.
    """
    where = "etf_ray.margin"
    K, n = _check(where, K, n)
    a0 = check_positive(where, "a0", a0)
    if not -math.inf <= log_t < math.inf:
        raise ValueError(f"{where}: log_t={log_t!r} is not a finite number or -inf. Pass the logarithm of a time.")
    if log_t == -math.inf:
        return a0
    target = log_t + math.log(2.0) - math.log(n) / 2
    # In the growth, not the margin: short times keep their digits, and the ratio of times is linear there.
    return a0 + root_of_logarithm(lambda growth: _log_integral(a0, growth, K) - target, 0.0)


def _log_integral(a0: float, growth: float, K: int) -> float:
    """log of the integral of (e^x + K - 1)/x over [a0, a0 + growth], without cancellation or overflow."""
    if growth == 0.0:
        return -math.inf
    a = a0 + growth
    if growth <= min(2.0, a0):
        # The antiderivatives cancel; the integrand is analytic far around so short an interval.
        share = growth * (1.0 - NODES) / 2
        scaled = growth / 2 * float(WEIGHTS @ ((np.exp(-share) + (K - 1) * math.exp(-a)) / (a - share)))
    else:
        # Ei(x) = Euler's constant + log x + E(x) with E entire: E(a) >= 2 E(a0) here.
        log_ratio = math.log1p(growth / a0) if growth < a0 else math.log(a) - math.log(a0)
        scaled = _scaled_entire(a) - math.exp(-growth) * _scaled_entire(a0) + K * log_ratio * math.exp(-a)
    return a + math.log(scaled)


def _scaled_entire(x: float) -> float:
    """e^-x times the sum of x^k/(k k!) over k >= 1, for x > 0."""
    if x <= 1.0:
        total, term = 0.0, 1.0
        for k in range(1, 20):
            term *= x / k
            total += term / k
        return math.exp(-x) * total
    if x <= 50.0:
        return math.exp(-x) * (float(expi(x)) - np.euler_gamma - math.log(x))
    # Asymptotic series of e^-x Ei(x): its terms fall below rounding long before they grow again at k = x. What Ei has
    # more than the sum, Euler's constant and log x, is below rounding by e^-50.
    total, term = 0.0, 1.0 / x
    for k in range(1, 40):
        total += term
        term *= k / x
    return total


def _check(where: str, K: int, n: int) -> tuple[int, int]:
    return check_count(where, "K", K, 2), check_count(where, "n", n, 1)
