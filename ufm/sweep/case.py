"""One solve of a sweep, as a value: the problem, where it starts and how it is solved."""

from dataclasses import dataclass, field
from typing import Any

from ufm.checks import positive, whole
from ufm.precision import as_dtype
from ufm.problem import Params, Problem
from ufm.solvers.newton import TrustRegion
from ufm.start import etf_start, generator, random_start
from ufm.validation import check_problem


@dataclass(frozen=True)
class RandomStart:
    """Gaussian entries of `scale`, drawn from the case's key: `ufm.random_start`."""

    scale: float = 1.0

    def __call__(self, problem: Problem, key: int) -> Params:
        return random_start(problem, key, self.scale)


@dataclass(frozen=True)
class ETFStart:
    """Collapsed features on a simplex ETF of norm `scale`, whatever the key: `ufm.etf_start`."""

    scale: float = 1.0

    def __call__(self, problem: Problem, key: int) -> Params:
        return etf_start(problem, self.scale)


@dataclass(frozen=True, eq=False)
class Case:
    """One row of a sweep; the fields are the arguments of `ufm.solve`.

    Args:
        problem: what is minimised. key: seed, an int.
        start: a function (problem, key) -> Params, such as RandomStart(scale) or ETFStart(scale).
        solver, gtol, max_steps, dtype: as in `ufm.solve`; None is its default.
    """

    problem: Problem
    key: int = 0
    start: Any = field(default_factory=RandomStart)
    solver: Any = field(default_factory=TrustRegion)
    gtol: float | None = None
    max_steps: int | None = None
    dtype: str = "float64"


def check_case(case: Any, who: str) -> None:
    """Raise before anything is compiled if `case` cannot be solved.

    Raises:
        TypeError, ValueError: what `ufm.solve` would refuse, and starts that are not functions.
    """
    if not isinstance(case, Case):
        raise TypeError(
            f"{who}: expected a ufm.Case, got {type(case).__name__}. Build them with ufm.grid(problem, ...)."
        )
    dtype = as_dtype(case.dtype, who)
    if isinstance(case.solver, type) or not all(hasattr(case.solver, name) for name in ("init", "step", "escapes")):
        raise TypeError(f"{who}: solver={case.solver!r} is not a solver. Pass e.g. ufm.TrustRegion().")
    check_problem(case.problem, who, dtype, minimiser=case.solver.escapes)
    case.solver.check(case.problem)
    if isinstance(case.start, type) or not callable(case.start):
        raise TypeError(
            f"{who}: start={case.start!r} is not a function (problem, key) -> Params. Pass e.g. ufm.RandomStart()."
        )
    generator(case.key, who)
    if case.gtol is not None:
        positive(case.gtol, "gtol", who)
    if case.max_steps is not None:
        whole(case.max_steps, "max_steps", who, 1, "that allows no step")
