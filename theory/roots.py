"""A root between two points where a function has opposite signs, to the resolution of float64."""

from collections.abc import Callable

from scipy.optimize import brentq


def bracketed_root(function: Callable[[float], float], low: float, high: float) -> float:
    """x in [low, high] with function(x) = 0, to a few roundings of x however small x is.

    Raises:
        ValueError: the function has one sign at both ends.
    """
    return float(brentq(function, low, high, xtol=1e-300, maxiter=2000))  # pyright: ignore[reportArgumentType]
