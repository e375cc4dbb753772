"""One solve of a sweep, as a value: the problem, where it starts and how it is solved."""

from dataclasses import dataclass, field, replace
from typing import Any

from ufm.batch import shared_options
from ufm.checks import positive
from ufm.problem import Params, Problem
from ufm.solve import default_solver
from ufm.start import etf_start, generator, random_start


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
    solver: Any = None
    gtol: float | None = None
    max_steps: int | None = None
    dtype: str = "float64"


def explicit(case: Case) -> Case:
    """The same case, with the solver that `ufm.solve` takes by default for its problem written out."""
    return case if case.solver is not None else replace(case, solver=default_solver(case.problem))


def check_case(case: Any, who: str) -> None:
    """Raise before anything is compiled if `case` cannot be solved.

    Raises:
        TypeError, ValueError: what `ufm.solve` would refuse, and starts that are not functions.
    """
    if not isinstance(case, Case):
        raise TypeError(
            f"{who}: expected a ufm.Case, got {type(case).__name__}. Build them with ufm.grid(problem, ...)."
        )
    shared_options(case.problem, case.solver, case.gtol, case.max_steps, case.dtype, who)
    if isinstance(case.start, type) or not callable(case.start):
        raise TypeError(
            f"{who}: start={case.start!r} is not a function (problem, key) -> Params. Pass e.g. ufm.RandomStart()."
        )
    if isinstance(case.start, RandomStart | ETFStart):
        positive(case.start.scale, "scale", who)
    generator(case.key, who)
