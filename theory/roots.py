"""Roots of monotone functions of one variable, to rounding: the transcendental equations of the theorems."""

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

Function = Callable[[float], float]
EPS = float(np.finfo(np.float64).eps)


def bracketed_root(function: Function, low: float, high: float) -> float:
    """x in [low, high] with function(x) = 0, to a few roundings of x however small x is.

    Raises:
        ValueError: the function has one sign at both ends.
    """
    return float(brentq(function, low, high, xtol=1e-300, rtol=4 * EPS, maxiter=2000))  # pyright: ignore[reportArgumentType]


def monotone_root(function: Function, low: float, high: float) -> float:
    """The root of a monotone function in [low, high]; low if rounding hides the change of sign there."""
    if (function(low) > 0.0) == (function(high) > 0.0):
        return low
    return bracketed_root(function, low, high)


def root_beyond(function: Function, start: float) -> float:
    """The root of an increasing function, function(start) <= 0, in ever longer intervals; inf if it stays below."""
    stop = 2.0 * abs(start) + 1.0
    while not function(stop) > 0.0:
        stop *= 2.0
        if stop == math.inf:
            return math.inf
    return monotone_root(function, start, stop)


def root_of_logarithm(log_ratio: Function, start: float) -> float:
    """The root beyond `start` of an increasing function that is -inf there: the log of a ratio, taken as the ratio."""
    return root_beyond(lambda x: math.expm1(min(log_ratio(x), 1.0)), start)


def decreasing_root(function: Function, reach: float = 1e300) -> float:
    """The root in [-reach, reach] of a decreasing function, bracketed outwards from zero in doubling steps.

    Raises:
        ValueError: the function does not change its sign within the reach.
    """
    at_zero = function(0.0)
    if at_zero == 0.0:
        return 0.0
    sign = math.copysign(1.0, at_zero)
    near, far = 0.0, 1.0
    while sign * function(sign * far) > 0.0:
        if far >= reach:
            raise ValueError(f"decreasing_root: no root within {reach}. Pass a function that changes its sign there.")
        near, far = far, min(2.0 * far, reach)
    return bracketed_root(function, *sorted((sign * near, sign * far)))


def newton_root(function: Callable[[float], tuple[float, float]], above: float) -> float:
    """The root of an increasing convex function, given with its slope; from above it Newton cannot overshoot."""
    x = above
    for _ in range(100):
        value, slope = function(x)
        step = value / slope
        x -= step
        if abs(step) <= EPS * max(1.0, abs(x)):
            break
    return x


def margin_root(log_pull: float, hits: int, misses: int) -> float:
    """x > 0 with x (hits e^x + misses) = e^log_pull: the margin at which the pull of the loss equals the decay.

    Relative accuracy of a few eps (1 + |log_pull|) for tiny pulls, a few eps for large ones.
    """

    def excess(y: float) -> tuple[float, float]:  # in y = log x the logarithm of the left side is convex
        x = math.exp(y)
        mass = hits + misses * math.exp(-x)
        return y + x + math.log(mass) - log_pull, 1.0 + x * hits / mass

    above = log_pull - math.log(hits + misses)
    beyond_one = log_pull - math.log(hits)
    if beyond_one > 1.0:
        above = min(above, math.log(beyond_one))
    return math.exp(newton_root(excess, above))
