"""The focal loss (1-p_y)^gamma (-log p_y) as a function of the margin, and its stationary margins (T12, T13).

At margin m and K-1 equal wrong logits p = 1/(1 + (K-1) e^-m) and the loss is phi(m). Against the price C of a unit of
margin a simplex ETF is critical where rate(m) = -phi'(m) = C. The rate rises with p up to p0 and falls beyond.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.special import exprel

from theory.arguments import Sizes, check_count, check_nonnegative
from theory.arguments import kappa as _kappa
from theory.roots import monotone_root, root_beyond

EPS = float(np.finfo(np.float64).eps)


class Stationary(NamedTuple):
    """A critical point on the rays of simplex ETFs; stable: a strict local minimum along the ray."""

    margin: float
    stable: bool


def margin_loss(m: Any, *, K: int, gamma: float) -> Any:
    """phi(m) = (1-p)^gamma (-log p), p = 1/(1 + (K-1) e^-m).

    Args:
        m: real margins of any shape.
        K: number of classes, >= 2.
        gamma: focal exponent, >= 0.
    Returns:
        The shape of m.
    Raises:
        ValueError: K < 2 or gamma < 0.
    """
    K, gamma = _check("focal.margin_loss", K, gamma)
    x, log_s = _logs(m, K)
    return np.exp(gamma * log_s) * x


def rate(m: Any, *, K: int, gamma: float) -> Any:
    """-phi'(m) = (1-p)^gamma [(1-p) - gamma p log p], what a unit of margin gains; arguments as `margin_loss`.

    Raises:
        ValueError: K < 2 or gamma < 0.
    """
    K, gamma = _check("focal.rate", K, gamma)
    return np.exp(_log_rate(m, K, gamma))


def curvature(m: Any, *, K: int, gamma: float) -> Any:
    """phi''(m) = p (1-p)^(gamma+1) [2 gamma + 1 + gamma log p - gamma^2 p log p/(1-p)]; arguments as `margin_loss`.

    Raises:
        ValueError: K < 2 or gamma < 0.
    """
    K, gamma = _check("focal.curvature", K, gamma)
    x, log_s = _logs(m, K)
    return np.exp((gamma + 1.0) * log_s - x) * _convexity(x, gamma)


def peak_probability(*, gamma: float) -> float:
    """p0, where the rate is largest: the root of 2 gamma + 1 + gamma log p - gamma^2 p log p/(1-p); 0 at gamma = 0.

    The left side rises with p, so that phi is convex exactly where p >= p0.

    Raises:
        ValueError: gamma < 0.
    Source:
        T13; derived for this project.
    """
    return math.exp(-_peak_log(check_nonnegative("focal.peak_probability", "gamma", gamma)))


def peak_margin(*, K: int, gamma: float) -> float:
    """log(K-1) + log(p0/(1-p0)), the margin where the rate is largest: negative where 1/K > p0, -inf at gamma = 0.

    Raises:
        ValueError: K < 2 or gamma < 0.
    Source:
        T13; derived for this project.
    """
    K, gamma = _check("focal.peak_margin", K, gamma)
    x = _peak_log(gamma)
    return math.log(K - 1) - x - math.log1p(-math.exp(-x))


def peak_rate(*, gamma: float) -> float:
    """The rate at p0, the largest of all: 1 at gamma = 0 (as p -> 0), above 1 otherwise.

    Raises:
        ValueError: gamma < 0.
    Source:
        T13; derived for this project.
    """
    gamma = check_nonnegative("focal.peak_rate", "gamma", gamma)
    x = _peak_log(gamma)
    if x == math.inf:
        return 1.0
    p = math.exp(-x)
    return math.exp(gamma * math.log1p(-p)) * (1.0 - p + gamma * p * x)


def least_bistable_K(*, gamma: float) -> float:
    """floor(1/p0) + 1, the least K for which zero and an ETF are both local minima at some kappa; inf at gamma = 0.

    Raises:
        ValueError: gamma < 0.
    Source:
        T13; derived for this project.
    """
    x = _peak_log(check_nonnegative("focal.least_bistable_K", "gamma", gamma))
    return math.floor(math.exp(x)) + 1.0 if x < 700.0 else math.inf


def bistable_range(*, K: int, gamma: float) -> tuple[float, float]:
    """kappa = K/(K-1) (rate at p = 1/K, largest rate at p >= 1/K): strictly between, zero and an ETF are local minima.

    Returns:
        (low, high); equal, hence nothing between, if K < least_bistable_K.
    Raises:
        ValueError: K < 2 or gamma < 0.
    Source:
        T13; derived for this project.
    """
    K, gamma = _check("focal.bistable_range", K, gamma)
    low = rate_at_zero(K, gamma)
    high = peak_rate(gamma=gamma) if peak_margin(K=K, gamma=gamma) > 0.0 else low
    return K / (K - 1) * low, K / (K - 1) * high


def collapse_threshold(*, K: int, gamma: float) -> float:
    """K/(K-1) max over a > 0 of (phi(0) - phi(a))/a, the kappa from which on W = H = 0 is a global minimiser (no bias).

    Where the rate falls from m = 0 on, the maximum is its limit a -> 0, the rate at zero. Otherwise it lies inside
    `bistable_range`, and at this kappa an ETF of positive margin has the value of zero.

    Raises:
        ValueError: K < 2 or gamma < 0.
    Source:
        T13; derived for this project.
    """
    K, gamma = _check("focal.collapse_threshold", K, gamma)
    start = peak_margin(K=K, gamma=gamma)
    if start <= 0.0:
        return K / (K - 1) * rate_at_zero(K, gamma)
    at_zero = float(margin_loss(0.0, K=K, gamma=gamma))

    def surplus(m: float) -> float:  # of the chord over the tangent at m: falls up to the peak, rises after it
        return at_zero - float(margin_loss(m, K=K, gamma=gamma)) - m * math.exp(_log_rate(m, K, gamma))

    return K / (K - 1) * math.exp(_log_rate(root_beyond(surplus, start), K, gamma))


def stationary_margins(*, K: int, n: Sizes, lam_W: float, lam_H: float, gamma: float) -> tuple[Stationary, ...]:
    """Zero and every a > 0 with rate(a) = C = (K-1) sqrt(n lam_W lam_H), ascending: the critical ETFs.

    Zero is stable iff C > rate(0) (or equal, where the rate falls), a root where the rate falls there. At most two
    roots exist, one on each side of the peak.

    Raises:
        ValueError: an argument is impossible, or imbalanced n.
    Source:
        T13; derived for this project.
    """
    where = "focal.stationary_margins"
    strength = _kappa(where, K, n, lam_W, lam_H)
    return stationary((K - 1) / K * strength, *_check(where, K, gamma))


def stationary(price: float, K: int, gamma: float) -> tuple[Stationary, ...]:
    """`stationary_margins` at the price C = (K-1) sqrt(n lam_W lam_H) of a unit of margin."""
    start = max(peak_margin(K=K, gamma=gamma), 0.0)
    at_zero = rate_at_zero(K, gamma)
    top = peak_rate(gamma=gamma) if start > 0.0 else at_zero
    log_price = math.log(price)

    def excess(m: float) -> float:
        return _log_rate(m, K, gamma) - log_price

    found = [Stationary(0.0, price > at_zero or (price == at_zero and start == 0.0))]
    if at_zero < price < top:
        found.append(Stationary(monotone_root(excess, 0.0, start), False))
    if price < top:
        # rate <= (1 + gamma) (1-p)^(gamma+1): beyond the margin where this is the price no root can lie.
        log_s = (log_price - math.log1p(gamma)) / (gamma + 1.0)
        beyond = math.log(K - 1) - log_s + math.log(-math.expm1(log_s))
        found.append(Stationary(monotone_root(excess, start, max(beyond, start) + 1.0), True))
    elif price == top and start > 0.0:
        found.append(Stationary(start, False))
    return tuple(found)


def best_margin(price: float, K: int, gamma: float) -> float:
    """The m >= 0 of least phi(m) + price m."""
    return min(_stable_values(price, K, gamma))[1]


def tie(price: float, K: int, gamma: float) -> tuple[str, ...]:
    """The reason why `best_margin` is not decided, if zero and a positive margin tie within rounding."""
    values = [value for value, _ in _stable_values(price, K, gamma)]
    if max(values) - min(values) > 32 * EPS * max(values) or len(values) == 1:
        return ()
    return (
        f"Zero and a simplex ETF have the same value {min(values):.16g} within rounding: kappa is collapse_threshold, "
        "and both are global minimisers.",
    )


def rate_at_zero(K: int, gamma: float) -> float:
    """rate(0): p = 1/K."""
    return math.exp(gamma * math.log1p(-1.0 / K)) * (K - 1 + gamma * math.log(K)) / K


def _stable_values(price: float, K: int, gamma: float) -> list[tuple[float, float]]:
    """(phi(m) + price m, m) at every stable margin."""
    stable = [point.margin for point in stationary(price, K, gamma) if point.stable]
    return [(float(margin_loss(m, K=K, gamma=gamma)) + price * m, m) for m in stable]


def _logs(m: Any, K: int) -> tuple[Any, Any]:
    """(-log p, log(1-p)) without cancellation."""
    t = math.log(K - 1) - np.asarray(m, dtype=np.float64)
    return np.logaddexp(0.0, t), -np.logaddexp(0.0, -t)


def _log_rate(m: Any, K: int, gamma: float) -> Any:
    x, log_s = _logs(m, K)
    return (gamma + 1.0) * log_s + np.log1p(gamma / exprel(x))  # p (-log p)/(1-p) = 1/exprel(-log p)


def _convexity(x: Any, gamma: float) -> Any:
    """Sign of phi'' as a function of x = -log p, falling in x."""
    return 2.0 * gamma + 1.0 - gamma * x + gamma**2 / exprel(x)


def _peak_log(gamma: float) -> float:
    """-log p0; inf where p0 is 0.0."""
    if gamma <= 1e-3:  # p0 < e^(-1/gamma) is below every float64
        return math.inf
    low = 2.0 + 1.0 / gamma
    return monotone_root(lambda x: float(_convexity(x, gamma)), low, low + gamma)


def _check(where: str, K: int, gamma: float) -> tuple[int, float]:
    return check_count(where, "K", K, 2), check_nonnegative(where, "gamma", gamma)
