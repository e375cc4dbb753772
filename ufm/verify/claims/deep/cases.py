"""Deep problems that the claims share, few shapes with many decays, and their minima."""

import functools
from typing import Any, NamedTuple

import numpy as np

from ufm.losses.cross_entropy import CrossEntropy
from ufm.losses.squared import MSE
from ufm.models import DeepLinear, DeepReLU
from ufm.multistart import best_found
from ufm.problem import Params, Problem
from ufm.solve import solve
from ufm.solvers.newton import TrustRegion
from ufm.verify.experiment import EPS, Settled, settled_at

STAY = TrustRegion(escapes=False)  # at the saddle that it reaches


class Case(NamedTuple):
    """A deep problem; squares unless `entropy`."""

    K: int
    n: int | tuple[int, ...]
    d: int
    widths: tuple[int, ...]
    lam_W: tuple[float, ...]
    lam_H: float
    lam_b: float | None = None
    relu: bool = False
    entropy: bool = False

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of theory."""
        return {name: getattr(self, name) for name in ("K", "n", "d", "widths", "lam_W", "lam_H", "lam_b")}

    @property
    def problem(self) -> Problem:
        """What is solved."""
        model = DeepReLU(self.widths) if self.relu else DeepLinear(self.widths)
        loss = CrossEntropy() if self.entropy else MSE()
        return Problem(self.K, self.n, self.d, self.lam_W, self.lam_H, self.lam_b, loss, model)

    def at(self, factor: float) -> "Case":
        """The same with every decay times `factor`."""
        return self._replace(lam_W=tuple(factor * lam for lam in self.lam_W), lam_H=factor * self.lam_H)


UNEQUAL = Case(4, (4, 3, 2, 1), 4, (4,), (0.009, 0.006), 0.006)  # all four classes are kept
LOST = UNEQUAL.at(2.5)  # the smallest class is not
CENTRED = Case(4, 2, 5, (4,), (0.006, 0.009), 0.005, 0.0)
PENALISED = CENTRED._replace(lam_b=0.3)
NARROW = Case(4, 2, 4, (3, 5), (0.004, 0.006, 0.0028), 0.002)


@functools.cache
def minimum(case: Case) -> Settled:
    """The best of eight random starts, followed to rounding level."""
    problem = case.problem
    best = best_found(problem, 8, key=1, scales=(1.0, 1.4)).solution
    return settled_at(problem, solve(problem, start=best.params, gtol=EPS).params, best)


def zero(case: Case) -> Params:
    """Zero factors, and the bias that is best for them."""
    shapes = case.problem.shapes()
    sizes = np.array(case.problem.sizes)
    b = None if case.lam_b is None else sizes / np.sum(sizes) / (1.0 + case.lam_b)
    return Params(tuple(np.zeros(shape) for shape in shapes.W), np.zeros(shapes.H), b)


def settled_from(case: Case, start: Params) -> Settled:
    """The critical point that Newton's method reaches from `start`, saddle or not."""
    problem = case.problem
    first = solve(problem, start=start, solver=STAY)
    return settled_at(problem, solve(problem, start=first.params, gtol=EPS, solver=STAY).params, first)
