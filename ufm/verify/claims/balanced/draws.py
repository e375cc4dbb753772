"""Problems whose minimum `theory` knows, and random points of them."""

import functools
import math
from collections.abc import Iterable

import theory
from ufm.verify.by_hand import Draw
from ufm.verify.experiment import Settled, settle

# The shapes of T7 and T8, so that they are compiled once: nontrivial minima, and one that is W = H = 0.
DRAWS = (
    Draw(4, 3, 5, 0.02, 0.03, 0.01, 0.0),
    Draw(4, 3, 5, 0.01, 0.05, 0.3, 0.1),
    Draw(4, 3, 5, 0.3, 0.1, 0.1, 0.2),
    Draw(4, 3, 5, 0.04, 0.01, 0.0, 0.1),
    Draw(5, 1, 8, 0.02, 0.05, None, 0.0),
    Draw(4, 3, 6, 0.02, 0.03, 0.3, None),
    Draw(4, 3, 6, 0.01, 0.05, 2.0, None),
    Draw(4, 3, 5, 0.02, 0.05, None, None),
)
SCALES = (0.1, 1.0, 3.0)


def draws(full: bool) -> Iterable[Draw]:
    """Every bias mode, smoothing and squares; more decays."""
    yield from DRAWS
    if full:
        for draw in DRAWS:
            for factor in (1e-3, 0.1, 0.5, 2.0):
                yield draw._replace(lam_W=factor * draw.lam_W, lam_H=factor * draw.lam_H)


@functools.cache
def minimum(draw: Draw) -> Settled:
    """From a random start."""
    return settle(draw.problem)


def predicted_minimum(draw: Draw) -> float:
    """f* of T7 or T8."""
    if draw.smoothing is None:
        return theory.mse.global_minimum(**draw.arguments).value
    return theory.cross_entropy.global_minimum(**draw.arguments, smoothing=draw.smoothing).value


def points(draw: Draw, count: int) -> Iterable[Draw]:
    """The draw at other seeds and scales."""
    return (draw._replace(key=key, scale=scale) for key in range(count) for scale in SCALES)


def nontrivial(full: bool) -> Iterable[Draw]:
    """Draws whose minimum is not zero."""
    return (draw for draw in draws(full) if draw.K * math.sqrt(float(draw.sizes[0]) * draw.lam_W * draw.lam_H) < 0.7)
