"""log of the integral of (e^x + K - 1)/x from a0 to a: the time of cross-entropy's flow on the ETF ray (T25).

That is Ei(a) - Ei(a0) + (K-1) log(a/a0) where nothing cancels or overflows; here it may: a up to 1e300, a near a0.
"""

import math

import numpy as np
from scipy.special import expi

NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)


def log_ray_integral(a0: float, a: float, K: int) -> float:
    """The logarithm for 0 < a0 <= a; -inf at a = a0."""
    if a == a0:
        return -math.inf
    if a <= 2.0 * a0 and a - a0 <= 2.0:
        # The antiderivatives cancel; the integrand is analytic far around so short an interval.
        half = (a - a0) / 2
        x = a0 + half * (1.0 + NODES)
        scaled = half * float(np.sum(WEIGHTS * (np.exp(x - a) + (K - 1) * math.exp(-a)) / x))
    else:
        # Ei(x) = Euler's constant + log x + E(x) with E entire: E(a) >= 2 E(a0) here.
        logs = K * (math.log(a) - math.log(a0)) * math.exp(-a)
        scaled = _scaled_entire(a) - math.exp(a0 - a) * _scaled_entire(a0) + logs
    return a + math.log(scaled)


def _scaled_entire(x: float) -> float:
    """e^-x times the sum of x^k/(k k!) over k >= 1, for x > 0."""
    if x <= 1.0:
        total, term = 0.0, 1.0
        for k in range(1, 20):
            term *= x / k
            total += term / k
        return math.exp(-x) * total
    logs = math.exp(-x) * (np.euler_gamma + math.log(x))
    if x <= 50.0:
        return math.exp(-x) * float(expi(x)) - logs
    # Asymptotic series of e^-x Ei(x): its terms fall below rounding long before they grow again at k = x.
    total, term = 0.0, 1.0 / x
    for k in range(1, 40):
        total += term
        term *= k / x
    return total - logs
