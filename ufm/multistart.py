"""The best of many starts: what can be said where nothing proves a minimum global."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np

from ufm.certify.certificate import Certificate, Verdict, certify
from ufm.checks import whole
from ufm.models import DeepReLU
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solve import solve
from ufm.start import generator, random_start
from ufm.status import Status

SAME_AT_KINKS = 1e-5
SAME = 1e-9  # times 1 + |f|: values of converged solves that are counted as one


@dataclass(frozen=True, eq=False)
class BestFound:
    """The lowest of many solves of one problem; a minimum of what was tried, and of f only if the certificate says so.

    Attributes:
        solution: of the start that ended lowest. certificate: of its point.
        values: [distinct] values at which solves converged, ascending. counts: [distinct] how many ended at each.
        starts: how many there were. converged: how many of them converged; only these are in `values`. (With ReLUs:
            or stalled, as descents do on the kinks where minima are; values are the same there up to 1e-5 (1 + f).)
    """

    solution: Solution
    certificate: Certificate
    values: np.ndarray
    counts: np.ndarray
    starts: int
    converged: int

    @property
    def shares(self) -> np.ndarray:
        """[distinct] the share of the starts that ended at each value: the size of its basins, as measured."""
        return self.counts / self.starts

    def __str__(self) -> str:
        found = f"f = {self.solution.value:.12g}, {self.certificate.verdict.name}"
        hits = f"{self.converged} of {self.starts} starts converged, at {len(self.values)} distinct values"
        if self.certificate.verdict is Verdict.GLOBAL_MINIMUM:
            return f"global minimum: {found} ({self.certificate.reason}); {hits}"
        return f"best found: {found}; {hits}"


def best_found(
    problem: Problem, starts: int = 20, key: Any = 0, *, scales: Sequence[float] = (1.0,), **options: Any
) -> BestFound:
    """Solve from many random starts and certify the lowest point; one compilation serves all.

    Args:
        starts: how many, >= 1. key: seed of all of them, an int or a jax PRNG key.
        scales: of the random starts, taken in turn. Zero is a minimum of deep models: small starts end there.
        options: of `solve`, the same for every start; not `start`.
    Raises:
        TypeError: an option that solve does not have, or `start`.
        ValueError: starts < 1, no scale, or one that is not positive, or no solve ends at a finite value.
    """
    starts = whole(starts, "starts", "best_found", 1, "there is nothing to choose from")
    if "start" in options:
        raise TypeError("best_found: start= would make all starts the same. Use ufm.solve(problem, start=...).")
    if not scales:
        raise ValueError("best_found: scales is empty. Pass e.g. scales=(0.5, 1.0, 2.0).")
    seeds = generator(key, "best_found").integers(2**62, size=starts)
    points = [random_start(problem, int(seed), scale) for seed, scale in zip(seeds, cycle(scales), strict=False)]
    solutions = [solve(problem, start=point, **options) for point in points]
    finite = [solution for solution in solutions if solution.status is not Status.NONFINITE]
    if not finite:
        raise ValueError(f"best_found: none of {starts} starts ended at a finite value. {solutions[0].message}")
    best = min(finite, key=lambda solution: solution.value)
    # On kinks a descent ends by stalling, some digits above the minimum.
    kinked = isinstance(problem.model, DeepReLU) and bool(problem.model.widths)
    ends = (Status.CONVERGED, Status.STALLED) if kinked else (Status.CONVERGED,)
    values = sorted(solution.value for solution in finite if solution.status in ends)
    distinct, counts = _distinct(values, SAME_AT_KINKS if kinked else SAME)
    certificate = certify(problem, best.params, gtol=max(1e-8, best.gtol))
    return BestFound(best, certificate, distinct, counts, starts, len(values))


def _distinct(values: list[float], same: float) -> tuple[np.ndarray, np.ndarray]:
    """Runs of ascending values in which neighbours are the same up to `same`: the lowest of each, and its length."""
    if not values:
        return np.empty(0), np.empty(0, int)
    x = np.array(values)
    first = np.concatenate([[True], np.diff(x) > same * (1.0 + np.abs(x[1:]))])
    return x[first], np.diff(np.append(np.flatnonzero(first), len(x)))
