"""The best of many starts: what can be said where nothing proves a minimum global."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.certify.certificate import Certificate, Verdict, certify
from ufm.checks import whole
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solve import solve
from ufm.start import generator
from ufm.status import Status

SAME = 1e-9  # times 1 + |f|: values of converged solves that are counted as one


@dataclass(frozen=True, eq=False)
class BestFound:
    """The lowest of many solves of one problem; a minimum of what was tried, and of f only if the certificate says so.

    Attributes:
        solution: of the start that ended lowest. certificate: of its point.
        values: [distinct] values at which solves converged, ascending. counts: [distinct] how many ended at each.
        starts: how many there were. converged: how many of them converged; only these are in `values`.
    """

    solution: Solution
    certificate: Certificate
    values: np.ndarray
    counts: np.ndarray
    starts: int
    converged: int

    def __str__(self) -> str:
        found = f"f = {self.solution.value:.12g}, {self.certificate.verdict.name}"
        hits = f"{self.converged} of {self.starts} starts converged, at {len(self.values)} distinct values"
        if self.certificate.verdict is Verdict.GLOBAL_MINIMUM:
            return f"global minimum: {found} ({self.certificate.reason}); {hits}"
        return f"best found: {found}; {hits}"


def best_found(problem: Problem, starts: int = 20, key: Any = 0, **options: Any) -> BestFound:
    """Solve from many random starts and certify the lowest point; one compilation serves all.

    Args:
        starts: how many, >= 1. key: seed of all of them, an int or a jax PRNG key.
        options: of `solve`, the same for every start; not `start`.
    Raises:
        TypeError: an option that solve does not have, or `start`.
        ValueError: starts < 1, or no solve ends at a finite value.
    """
    starts = whole(starts, "starts", "best_found", 1, "there is nothing to choose from")
    if "start" in options:
        raise TypeError("best_found: start= would make all starts the same. Use ufm.solve(problem, start=...).")
    seeds = generator(key, "best_found").integers(2**62, size=starts)
    options.setdefault("reduce", False)  # the starts are of free features, and so are the minima that are counted
    solutions = [solve(problem, key=int(seed), **options) for seed in seeds]
    finite = [solution for solution in solutions if solution.status is not Status.NONFINITE]
    if not finite:
        raise ValueError(f"best_found: none of {starts} starts ended at a finite value. {solutions[0].message}")
    best = min(finite, key=lambda solution: solution.value)
    values = sorted(solution.value for solution in finite if solution.status is Status.CONVERGED)
    distinct, counts = _distinct(values)
    certificate = certify(problem, best.params, gtol=max(1e-8, best.gtol))
    return BestFound(best, certificate, distinct, counts, starts, len(values))


def _distinct(values: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Runs of ascending values in which neighbours are the same up to SAME: the lowest of each, and its length."""
    if not values:
        return np.empty(0), np.empty(0, int)
    x = np.array(values)
    first = np.concatenate([[True], np.diff(x) > SAME * (1.0 + np.abs(x[1:]))])
    return x[first], np.diff(np.append(np.flatnonzero(first), len(x)))
