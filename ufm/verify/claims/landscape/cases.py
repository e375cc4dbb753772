"""Problems and critical points that the claims on the landscape share."""

import functools
from typing import Any, NamedTuple

import numpy as np

from ufm.losses.cross_entropy import CrossEntropy
from ufm.losses.squared import MSE
from ufm.problem import Problem
from ufm.solve import solve
from ufm.solvers.newton import TrustRegion
from ufm.start import random_start
from ufm.verify.experiment import EPS, Settled, settle, settled_at

SIZES = (4, 2, 1, 2, 1)
STAY = TrustRegion(escapes=False)  # at the saddle that it reaches


class Case(NamedTuple):
    """A problem; smoothing None: squares. rank: of a saddle whose features beyond it are zero; None: any minimum."""

    K: int
    n: int | tuple[int, ...]
    d: int
    lam_W: float
    lam_H: float
    lam_b: float | None
    smoothing: float | None = 0.0
    rank: int | None = None
    seeds: int = 1

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of Problem and of theory alike."""
        return {name: getattr(self, name) for name in ("K", "n", "d", "lam_W", "lam_H", "lam_b")}

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return Problem(**self.arguments, loss=MSE() if self.smoothing is None else CrossEntropy(self.smoothing))


@functools.cache
def critical(case: Case) -> Settled:
    """The point, followed to rounding level: features that are zero in W and H stay zero, exactly."""
    problem = case.problem
    if case.rank is None:
        return settle(problem, solver=STAY)
    start, seen = random_start(problem), np.arange(case.d) < case.rank
    first = solve(problem, start=start._replace(W=start.W * seen, H=start.H * seen[:, None]), solver=STAY)
    return settled_at(problem, solve(problem, start=first.params, gtol=EPS, solver=STAY).params, first)
