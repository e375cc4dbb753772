"""Roots of monotone functions, to the last digits that the function has."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

RESOLUTION = 4 * np.finfo(np.float64).eps
LEAST = 5e-324


def bracketed_root(f: Callable[[float], float], low: float, high: float) -> float:
    """The root of a monotone f in [low, high]; low if rounding hides the change of sign there."""
    if (f(low) > 0.0) == (f(high) > 0.0):
        return low
    return float(brentq(f, low, high, xtol=LEAST, rtol=RESOLUTION))  # pyright: ignore[reportArgumentType]


def root_beyond(f: Callable[[float], float], start: float) -> float:
    """The root of an increasing f with f(start) <= 0, in ever longer intervals from start; inf if f stays below."""
    stop = 2.0 * abs(start) + 1.0
    while not f(stop) > 0.0:
        stop *= 2.0
        if stop == np.inf:
            return stop
    return bracketed_root(f, start, stop)
