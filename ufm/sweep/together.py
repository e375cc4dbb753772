"""Small problems of a chunk in one call: the solutions that `ufm.solve` has for each of them, faster."""

from collections.abc import Sequence

from ufm.batch import ends_from, shared_options
from ufm.precision import as_dtype
from ufm.problem import Params
from ufm.solution import Solution
from ufm.sweep.case import Case
from ufm.sweep.describe import canonical
from ufm.validation import check_params

WHO = "sweep"
LARGEST = 2**22  # numbers in the points of one call, 32 MB; beyond, a call costs little beside its solve


def together(cases: Sequence[Case], size: int) -> list[Solution | None]:
    """The solution of each of these cases where a call for many of them finds it; None elsewhere.

    None is: a large problem, one with kinks, a solver that follows dynamics of its own, a start that raises or does
    not fit, and whatever leaves a saddle or is polished. What a case is given does not depend on the others: a call is
    always filled up to `size`.

    Args:
        cases: of one static shape, with a solver each (`explicit`), at most `size`.
        size: of the chunk.
    Raises:
        MemoryError, RuntimeError: for want of memory.
    """
    found: list[Solution | None] = [None] * len(cases)
    groups: dict[str, list[tuple[int, Params]]] = {}
    for i, case in enumerate(cases):
        start = _start(case) if _is_small(case, size) else None
        if start is not None:
            shared = canonical([case.solver, case.gtol, case.max_steps])
            groups.setdefault(shared, []).append((i, start))
    for members in groups.values():
        for (i, _), solution in zip(members, _ends(cases, members, size), strict=True):
            found[i] = solution
    return found


def out_of_memory(error: BaseException) -> bool:
    """Whether NumPy or the compiler's runtime ran out of memory."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def _is_small(case: Case, size: int) -> bool:
    problem = case.problem
    return case.solver.escapes and problem.model.smooth and size * problem.dimension() <= LARGEST


def _start(case: Case) -> Params | None:
    try:
        return check_params(case.problem, case.start(case.problem, case.key), WHO, as_dtype(case.dtype, WHO))
    except Exception as error:
        if out_of_memory(error):
            raise
        return None  # the case raises it again, alone


def _ends(cases: Sequence[Case], members: Sequence[tuple[int, Params]], size: int) -> Sequence[Solution | None]:
    """Of cases that share a solver and its options."""
    first = cases[members[0][0]]
    problems, starts = [cases[i].problem for i, _ in members], [start for _, start in members]
    try:
        options = shared_options(first.problem, first.solver, first.gtol, first.max_steps, first.dtype, WHO)
        return ends_from(problems, starts, options, "a start was given", size)
    except Exception as error:
        if out_of_memory(error):
            raise
        return [None] * len(members)  # what is wrong with a loss or an option is told by each case, alone
