"""The best of many starts: what can be said where nothing proves a minimum global."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np

from ufm.batch import shared_options, solve_from
from ufm.certify.certificate import Certificate, Verdict, certify
from ufm.checks import whole
from ufm.problem import Params, Problem
from ufm.solution import Solution
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
        points: [distinct] the lowest point of each. (Where f has kinks: converged or stalled, as descents do on the
            kinks where minima are; values are the same there up to 1e-5 (1 + f).)
        starts: how many there were. converged: how many of them are in `values`.
    """

    solution: Solution
    certificate: Certificate
    values: np.ndarray
    counts: np.ndarray
    points: tuple[Params, ...]
    starts: int
    converged: int

    @property
    def shares(self) -> np.ndarray:
        """[distinct] the share of the starts that ended at each value: the size of its basins, as measured."""
        return self.counts / self.starts

    def __str__(self) -> str:
        found = f"f = {self.solution.value:.12g}, {self.certificate.verdict.name}"
        hits = f"{self.converged} of {self.starts} starts converged, at {len(self.values)} distinct values"
        proven = self.certificate.verdict is Verdict.GLOBAL_MINIMUM
        head = f"global minimum: {found} ({self.certificate.reason})" if proven else f"best found: {found}"
        table = [f"{value:18.12f} {share:7.1%}" for value, share in zip(self.values, self.shares, strict=True)]
        return "\n".join([f"{head}; {hits}", *table])


def best_found(
    problem: Problem,
    starts: int = 20,
    key: Any = 0,
    *,
    scales: Sequence[float] = (1.0,),
    solver: Any = None,
    gtol: float | None = None,
    max_steps: int | None = None,
    dtype: Any = "float64",
) -> BestFound:
    """Solve from many random starts, as one batch, and certify the lowest point.

    Args:
        starts: how many, >= 1. key: seed of all of them, an int or a jax PRNG key.
        scales: of the random starts, taken in turn. Zero is a minimum of deep models: small starts end there.
        solver, gtol, max_steps, dtype: of `solve`, the same for every start. `ufm.annealed()` finds lower minima of
            `DeepReLU` than the default, faster.
    Raises:
        TypeError, ValueError: before anything is compiled, as `solve`; starts < 1, no scale, or one that is not
            positive.
        ValueError: no solve ends at a finite value.
    """
    starts = whole(starts, "starts", "best_found", 1, "there is nothing to choose from")
    if not scales:
        raise ValueError("best_found: scales is empty. Pass e.g. scales=(0.5, 1.0, 2.0).")
    options = shared_options(problem, solver, gtol, max_steps, dtype, "best_found")
    seeds = generator(key, "best_found").integers(2**62, size=starts)
    points = [random_start(problem, int(seed), scale) for seed, scale in zip(seeds, cycle(scales), strict=False)]
    solutions = solve_from(problem, points, options)
    finite = [solution for solution in solutions if solution.status is not Status.NONFINITE]
    if not finite:
        raise ValueError(f"best_found: none of {starts} starts ended at a finite value. {solutions[0].message}")
    best = min(finite, key=lambda solution: solution.value)
    # On kinks a descent ends by stalling, some digits above the minimum.
    smooth = problem.model.smooth
    ends = (Status.CONVERGED,) if smooth else (Status.CONVERGED, Status.STALLED)
    ended = sorted((x for x in finite if x.status in ends), key=lambda solution: solution.value)
    lowest, counts = _distinct([solution.value for solution in ended], SAME if smooth else SAME_AT_KINKS)
    return BestFound(
        solution=best,
        certificate=certify(problem, best.params, gtol=max(1e-8, best.gtol)),
        values=np.array([ended[i].value for i in lowest]),
        counts=counts,
        points=tuple(ended[i].params for i in lowest),
        starts=starts,
        converged=len(ended),
    )


def _distinct(values: list[float], same: float) -> tuple[np.ndarray, np.ndarray]:
    """Runs of ascending values in which neighbours are the same up to `same`: where each begins, and its length."""
    if not values:
        return np.empty(0, int), np.empty(0, int)
    x = np.array(values)
    first = np.flatnonzero(np.concatenate([[True], np.diff(x) > same * (1.0 + np.abs(x[1:]))]))
    return first, np.diff(np.append(first, len(x)))
