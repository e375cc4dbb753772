"""Thousands of problems of one shape at once: decays, the numbers of loss and model, and seeds may differ."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ufm.certify.point import examine
from ufm.checks import whole
from ufm.continuation import minimise_along, path
from ufm.driver import HERE, ended, finer, iterated, typed_solver, unpolished
from ufm.exchangeable import exchangeable, why_not
from ufm.minimum import minimise, proven, steepness, thin_start
from ufm.precision import as_dtype, exact, to_host
from ufm.problem import Params, Problem
from ufm.reduction import Full, Reduction, RowSpace, Thin, row_space, thin, thin_steps
from ufm.solution import Solution
from ufm.solve import checked_gtol, checked_solver, default_solver, lifted_norm, lifted_status, solve
from ufm.solvers.first_order import FirstOrder
from ufm.start import entropy, random_start
from ufm.status import Status, message, reached, status_of
from ufm.trap import trap_note
from ufm.validation import check_problem

CHUNK = 64  # problems that run together; the last chunk is filled with idle ones, so that the number changes no bit


class Options(NamedTuple):
    """What every solve of a batch shares."""

    solver: Any
    gtol: float
    max_steps: int
    dtype: np.dtype


def solve_batch(
    problem: Problem,
    keys: int | Sequence[int] = 0,
    *,
    solver: Any = None,
    gtol: float | None = None,
    max_steps: int | None = None,
    dtype: Any = "float64",
    reduce: bool = True,
) -> list[Solution]:
    """[solve(problem_i, key_i) for every i], problem_i of one shape: one compilation, and one call for many problems.

    Args:
        problem: whose decays and other numbers are floats (shared) or arrays [B].
        keys: a seed for all of them, or [B] seeds.
        solver, gtol, max_steps, dtype, reduce: of `solve`, the same for all.
    Returns:
        B solutions in order. What was not proven, ended at a saddle or stalled where the whole Hessian helps was
        solved again by `solve` (not with a solver that follows dynamics of its own, saddles and all). `seconds` of
        each of the others is its share of its chunk, in which compilation is contained. Minima of several class sizes
        are reached from each other on a CPU (`ufm.continuation`): what they have below gtol depends on the batch.
    Raises:
        TypeError, ValueError: before anything is compiled, as `solve`; lengths that disagree.
    """
    problems, seeds = _split(problem, keys)
    options = shared_options(problems[0], solver, gtol, max_steps, dtype, "solve_batch")
    for own, key in zip(problems, seeds, strict=True):
        check_problem(own, "solve_batch", options.dtype, minimiser=not isinstance(options.solver, FirstOrder))
        entropy(key, "solve_batch")
    if not isinstance(reduce, bool):
        raise TypeError(f"solve_batch: reduce={reduce!r} is not a bool. Pass True for the minimum by any exact way.")
    reduce = reduce and options.solver.escapes
    run = _full if not reduce else _thin if why_not(problems[0]) else _classes
    solutions: list[Solution | None] = [None] * len(problems)
    order = path(problems) if run is _classes else np.arange(len(problems))
    with exact():
        for begin in range(0, len(problems), CHUNK):
            part = order[begin : begin + CHUNK]
            found = run([problems[i] for i in part], [seeds[i] for i in part], options)
            for i, solution in zip(part, found, strict=True):
                solutions[i] = solution
    return [
        solve(own, key, reduce=reduce, **options._asdict()) if solution is None else solution
        for own, key, solution in zip(problems, seeds, solutions, strict=True)
    ]


def solve_from(problem: Problem, starts: Sequence[Params], options: Options) -> list[Solution]:
    """[solve(problem, start=start) for every start]: one compilation, one call for many. Checked by the caller."""
    size, solutions = min(CHUNK, len(starts)), []
    with exact():
        for begin in range(0, len(starts), size):
            part = list(starts[begin : begin + size])
            solutions += ends_from([problem] * len(part), part, options, "a start was given", size)
    return [
        solve(problem, start=start, **options._asdict()) if solution is None else solution
        for start, solution in zip(starts, solutions, strict=True)
    ]


def ends_from(
    problems: Sequence[Problem], starts: Sequence[Params], options: Options, why: str, size: int = CHUNK
) -> list[Solution | None]:
    """Free features of problems of one shape from their starts, at most `size` in one call, as `solve` has them.

    Args:
        why: free features are asked for. size: what the call is filled up to; it decides the program, and so the bits.
    Returns:
        Solutions in order; None where `solve` would go on. Checked by the caller, who is in `exact()`.
    """
    leaves_saddles = options.solver.escapes
    narrow = [
        row_space(own, start, why) if leaves_saddles else None for own, start in zip(problems, starts, strict=True)
    ]
    found: list[Solution | None] = [None] * len(problems)
    # Their programs differ, so that a start that has no row space changes no bit of the others.
    for places in ([i for i, x in enumerate(narrow) if x is None], [i for i, x in enumerate(narrow) if x is not None]):
        if places:
            parts = zip(*(_coordinates(problems[i], starts[i], narrow[i], why) for i in places), strict=True)
            owns, points, steep, back = map(list, parts)
            for i, solution in zip(places, _advanced(owns, points, steep, back, options, size), strict=True):
                found[i] = solution
    return found


def _coordinates(
    problem: Problem, start: Params, narrow: RowSpace | None, why: str
) -> tuple[Problem, Params, float, Reduction]:
    """What is solved from where, how much steeper the problem can be than that, and the way back."""
    if narrow is None:
        return problem, start, 1.0, Full(problem, why)
    # An entry of a lifted gradient is at most the length of a column.
    return dataclasses.replace(problem, d=problem.K), narrow.start(start), problem.K**0.5, narrow


def shared_options(problem: Problem, solver: Any, gtol: Any, max_steps: Any, dtype: Any, who: str) -> Options:
    """The options of `solve` with its defaults for this problem, or a TypeError or ValueError."""
    dtype = as_dtype(dtype, who)
    check_problem(problem, who, dtype, minimiser=not isinstance(solver, FirstOrder))
    solver = default_solver(problem) if solver is None else checked_solver(solver, who)
    solver.check(problem)
    limit = whole(solver.max_steps if max_steps is None else max_steps, "max_steps", who, 1, "that allows no step")
    return Options(solver, checked_gtol(gtol, dtype), limit, dtype)


def _split(problem: Problem, keys: Any) -> tuple[list[Problem], list[Any]]:
    """B problems and B seeds."""
    if not isinstance(problem, Problem):
        raise TypeError(
            f"solve_batch: expected a ufm.Problem, got {type(problem).__name__}. Give its decays as arrays [B]."
        )
    leaves, structure = jax.tree.flatten(problem)
    seeds: list[Any] | None = list(keys) if isinstance(keys, Sequence | np.ndarray) else None
    lengths = {len(leaf) for leaf in leaves if np.ndim(leaf) == 1} | (set() if seeds is None else {len(seeds)})
    if len(lengths) > 1 or 0 in lengths:
        raise ValueError(f"solve_batch: lengths {sorted(lengths)} disagree or are 0. Give every array one length B.")
    B = lengths.pop() if lengths else 1
    columns = [list(leaf) if np.ndim(leaf) == 1 else [leaf] * B for leaf in leaves]
    problems = [jax.tree.unflatten(structure, own) for own in zip(*columns, strict=True)] if columns else [problem] * B
    return problems, [keys] * B if seeds is None else seeds


def _classes(problems: list[Problem], keys: list[int], options: Options) -> list[Solution | None]:
    """Every minimum by the symmetry of the classes; None where it is not proven."""
    began = time.perf_counter()
    reduced = [exchangeable(own) for own in problems]
    gtols = [options.gtol / steepness(own, small) for own, small in zip(problems, reduced, strict=True)]
    numbers = _stack([small.numbers() for small in reduced], options.dtype, CHUNK)
    fixed = reduced[0].astype(options.dtype)
    states, bounds = to_host(_minimise_many(fixed, numbers, *_tail(gtols, options, CHUNK)))
    seconds = (np.nan, (time.perf_counter() - began) / len(problems))
    return [
        proven(own, small, state, bound, options.gtol, options.max_steps, seconds)
        for own, small, state, bound in zip(problems, reduced, _rows(states), bounds, strict=False)
    ]


def _thin(problems: list[Problem], keys: list[int], options: Options) -> list[Solution | None]:
    """Every solve of the thin problem; None where `solve` would go on."""
    small = [thin(own) for own in problems]
    starts = [thin_start(own, key) for own, key in zip(small, keys, strict=True)]
    steep = [steepness(own, reduced) for own, reduced in zip(problems, small, strict=True)]
    reductions = [Thin(own, thin_steps(own), why_not(own)) for own in problems]
    return _advanced(small, starts, steep, reductions, options)


def _full(problems: list[Problem], keys: list[int], options: Options) -> list[Solution | None]:
    """Every solve of free features."""
    starts = [random_start(own, key) for own, key in zip(problems, keys, strict=True)]
    return ends_from(problems, starts, options, "reduce=False, or a solver that does not leave saddles")


def _advanced(
    problems: list[Problem],
    starts: list[Params],
    steep: list[float],
    reductions: Sequence[Reduction],
    options: Options,
    size: int = CHUNK,
) -> list[Solution | None]:
    """At most `size` solves of one shape; None where `solve` would go on."""
    began = time.perf_counter()
    tail = _tail([options.gtol / factor for factor in steep], options, size)
    stacked = [_stack(values, options.dtype, size) for values in (problems, starts)]
    states = to_host(_advance_many(*stacked, *tail))
    seconds = (time.perf_counter() - began) / len(problems)
    return [
        _solution(*row, options, seconds)
        for row in zip(problems, starts, _rows(states), steep, reductions, strict=False)
    ]


def _solution(
    problem: Problem,
    start: Params,
    state: Any,
    steep: float,
    reduction: Reduction,
    options: Options,
    seconds: float,
) -> Solution | None:
    gtol, dtype = options.gtol / steep, options.dtype
    status, here = status_of(state, gtol, options.max_steps), state.iterate
    assert status is not None, "advance ends only with a status"
    if status is Status.STALLED and finer(options.solver, problem, state) is not None:
        return None
    if options.solver.escapes and _goes_on(problem, here.params, status, float(here.grad_norm), dtype):
        return None
    norm = float(here.grad_norm) * steep
    if isinstance(reduction, RowSpace):
        full = dataclasses.replace(problem, d=len(reduction.Q))
        norm = lifted_norm(full, reduction, here.params, examine(problem, here.params).grad, options.gtol)
        status = lifted_status(status, norm, options.gtol)
    steps, value, _ = reached(state)
    return Solution(
        value=value,
        grad_norm=norm,
        gtol=options.gtol,
        status=status,
        message=message(status, steps, value, norm, options.gtol, options.max_steps, dtype, problem.loss.convex)
        + trap_note(problem, start),
        steps=steps,
        evaluations=int(state.evaluations),
        escapes=0,
        compile_seconds=np.nan,
        seconds=seconds,
        trajectory=None,
        reduction=reduction,
        lower_bound=-np.inf,
        point=here.params,
    )


def _goes_on(problem: Problem, params: Params, status: Status, grad_norm: float, dtype: np.dtype) -> bool:
    """Whether `solve` would leave the point at which the steps ended."""
    if status is Status.STALLED:
        return unpolished(grad_norm, dtype) and HERE.nearer(problem, params) is not None
    return status is Status.CONVERGED and HERE.below(problem, params) is not None


def _stack(values: list[Any], dtype: np.dtype, size: int) -> Any:
    """One pytree with a leading axis of this size; the last is repeated."""
    filled = values + [values[-1]] * (size - len(values))
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf, dtype) for leaf in leaves]), *filled)


def _tail(gtols: list[float], options: Options, size: int) -> tuple[Any, ...]:
    """gtols [size] (infinite where nothing is to be done), max_steps, solver."""
    idle = [np.inf] * (size - len(gtols))
    solver = typed_solver(options.solver, options.dtype)
    return np.array(gtols + idle, options.dtype), np.asarray(options.max_steps), solver


def _rows(states: Any) -> Iterator[Any]:
    """One pytree for each entry of the leading axis, those that fill up a chunk at the end."""
    leaves, structure = jax.tree.flatten(states)
    return (jax.tree.unflatten(structure, row) for row in zip(*leaves, strict=True))


@jax.jit
def _minimise_many(fixed: Any, numbers: Any, gtols: Any, max_steps: Any, solver: Any) -> Any:
    def run(item: Any) -> Any:
        own, gtol = item
        return minimise(fixed.with_numbers(own), solver, gtol, max_steps)

    # One size makes so few unknowns that a CPU waits for its calls, not for its longest loop. Of several, at once would
    # be slower than along a path from 2 on (and batched decompositions may wait for each other for ever where two
    # threads solve: jaxlib 0.10).
    if fixed.m.size == 1 or jax.default_backend() != "cpu":
        return jax.vmap(run)((numbers, gtols))
    return minimise_along(fixed, numbers, gtols, max_steps, solver)


@jax.jit
def _advance_many(problems: Any, starts: Any, gtols: Any, max_steps: Any, solver: Any) -> Any:
    def run(item: Any) -> Any:
        problem, start, gtol = item
        return ended(iterated(solver, problem, solver.init(problem, start), gtol, max_steps))

    # One after the other on a CPU, where loops of different length do not wait for each other; elsewhere at once.
    items = (problems, starts, gtols)
    return jax.lax.map(run, items) if jax.default_backend() == "cpu" else jax.vmap(run)(items)
