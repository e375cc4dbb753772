"""Settings with equal class sizes, the minima that the solver finds there, and the closed forms' arguments."""

import functools
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import theory
from ufm.losses.cross_entropy import CrossEntropy
from ufm.losses.squared import MSE
from ufm.problem import Problem
from ufm.verify.experiment import Settled, settle


class Setting(NamedTuple):
    """A problem by kappa = K sqrt(n lam_W lam_H) and ratio = lam_W / lam_H; smoothing None: squares.

    With unequal class sizes kappa is K N sqrt(lam_W lam_H).
    """

    K: int
    n: int | tuple[int, ...]
    d: int
    lam_b: float | None
    kappa: float
    ratio: float = 1.0
    smoothing: float | None = 0.0

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of Problem and of theory alike."""
        scale = math.sqrt(self.n) if isinstance(self.n, int) else sum(self.n)
        nu, tilt = self.kappa / (self.K * scale), math.sqrt(self.ratio)
        return {
            "K": self.K,
            "n": self.n,
            "d": self.d,
            "lam_W": nu * tilt,
            "lam_H": nu / tilt,
            "lam_b": self.lam_b,
        }

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return Problem(**self.arguments, loss=MSE() if self.smoothing is None else CrossEntropy(self.smoothing))


def cross_entropy_settings(full: bool) -> Iterable[Setting]:
    """T7: every bias mode and smoothing, kappa from 6e-5 to beyond the threshold; three shapes, or ten."""
    shapes = [(2, 3, 1, (0.0, 1e-2)), (4, 3, 5, (0.0, 1e-2)), (5, 1, 8, (None,))]
    if full:
        shapes += [
            (3, 2, 5, (None,)),
            (10, 1, 9, (0.0, 1e-3)),
            (3, 3, 2, (0.0,)),
            (4, 1, 6, (1e-3,)),
            (5, 2, 4, (None,)),
        ]
    for K, n, d, biases in shapes:
        for lam_b in biases:
            yield Setting(K, n, d, lam_b, 1e-2, 10.0)
            yield Setting(K, n, d, lam_b, 0.3, 0.1, 0.3)
            yield Setting(K, n, d, lam_b, 0.65, 1.0, 0.1)
            yield Setting(K, n, d, lam_b, 1.13, 3.0)
            yield Setting(K, n, d, lam_b, 0.9, 1.0, 0.2)
            if full:
                yield Setting(K, n, d, lam_b, 6e-5)
                for smoothing in (0.0, 0.1, 0.3):
                    yield Setting(K, n, d, lam_b, 1e-2, 10.0, smoothing)
                    yield Setting(K, n, d, lam_b, 0.3, 0.02, smoothing)
                    yield Setting(K, n, d, lam_b, 0.66, 1.0, smoothing)


def squares_settings(full: bool) -> Iterable[Setting]:
    """T8: d >= K, on both sides of the thresholds kappa = 1 and lam_b = kappa/(1 - kappa)."""
    for lam_b, kappa, ratio in [
        (0.0, 0.15, 1.0),
        (0.01, 0.15, 7.0),
        (0.3, 0.15, 0.1),
        (50.0, 0.4, 30.0),
        (0.5, 1.2, 1.0),
    ]:
        yield Setting(4, 3, 6, lam_b, kappa, ratio, None)
    for kappa in (1e-3, 0.3, 1.1):
        yield Setting(4, 3, 5, None, kappa, 2.0, None)
    if full:
        for K, n, d in [(5, 3, 7), (2, 2, 4)]:
            yield from squares_with_bias(K, n, d)
        yield from (Setting(8, 1, 10, None, kappa, ratio, None) for kappa, ratio in KAPPAS)


def few_features_settings(full: bool) -> Iterable[Setting]:
    """T9: d < K."""
    for lam_b, kappa, ratio in [(0.0, 0.2, 1.0), (0.3, 0.1, 10.0), (50.0, 0.05, 1.0), (0.2, 1.05, 1.0)]:
        yield Setting(5, 3, 3, lam_b, kappa, ratio, None)
    for kappa in (0.02, 0.25, 1.2):
        yield Setting(5, 3, 2, None, kappa, 9.0, None)
    if full:
        for K, n, d in [(2, 2, 1), (8, 1, 7)]:
            yield from squares_with_bias(K, n, d)
        yield from (Setting(8, 1, 4, None, kappa, ratio, None) for kappa, ratio in KAPPAS)


KAPPAS = ((1e-2, 10.0), (0.15, 1.0), (0.45, 0.02), (1.1, 1.0))


def squares_with_bias(K: int, n: int, d: int) -> Iterable[Setting]:
    """From a free bias to one that is as good as none."""
    for lam_b in (0.0, 0.01, 0.1, 0.2, 0.3, 0.5, 50.0, 1e4):
        yield from (Setting(K, n, d, lam_b, kappa, ratio, None) for kappa, ratio in KAPPAS)


@functools.cache
def settled(setting: Setting) -> Settled:
    """The minimum that the solver finds from a random start."""
    return settle(setting.problem)


def both(full: bool) -> Iterable[Setting]:
    """The settings of T7, T8 and T9."""
    yield from cross_entropy_settings(full)
    yield from squares_settings(full)
    yield from few_features_settings(full)


def theory_of(setting: Setting) -> tuple[Any, dict[str, Any]]:
    """The module of closed forms and its arguments."""
    if setting.smoothing is None:
        return theory.mse, setting.arguments
    return theory.cross_entropy, {**setting.arguments, "smoothing": setting.smoothing}
