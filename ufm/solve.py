"""Solve: the checks at the door, and whether free features or the minimum are asked for."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from ufm.certify.point import examine, max_abs
from ufm.checks import positive, whole
from ufm.driver import drive
from ufm.minimum import minimum
from ufm.placement import placement
from ufm.precision import as_dtype, exact
from ufm.problem import Params, Problem
from ufm.reduction import Full, RowSpace, row_space
from ufm.solution import Progress, Solution, Trajectory
from ufm.solvers.first_order import FirstOrder
from ufm.solvers.lbfgs import LBFGS
from ufm.solvers.newton import TrustRegion
from ufm.start import entropy, random_start
from ufm.status import Status, message
from ufm.validation import check_params, check_problem


def solve(
    problem: Problem,
    key: Any = 0,
    *,
    start: Params | None = None,
    solver: Any = None,
    gtol: float | None = None,
    max_steps: int | None = None,
    record: Iterable[int] = (),
    progress: Callable[[Progress], None] | None = None,
    dtype: Any = "float64",
    reduce: bool = True,
    mesh: Mesh | None = None,
) -> Solution:
    """A critical point of the problem: the global minimum where it can be had exactly, else from a random start.

    Args:
        key: seed of the random start, an int or a jax PRNG key.
        start: parameters to start from (`random_start`, `etf_start`, `perturb`, or any arrays).
        solver: TrustRegion(), LBFGS(), FirstOrder(transformation), or anything with their two methods. Default:
            TrustRegion(), or LBFGS() where f has kinks (`DeepReLU`): minima sit on them, and a quadratic model of f
            leads nowhere. What ends there is STALLED, since no gradient is zero on a kink; `certify` judges it.
        gtol: stop when the infinity norm of the gradient is at most this; default 1e-12 (float32: 1e-6).
        max_steps: bound on steps; default the solver's own.
        record: step numbers at which the point is kept in `Solution.trajectory` (the last point is always kept).
        progress: called at every recorded step and about every second.
        dtype: "float64" or "float32", the precision of the iteration.
        reduce: use the exact reductions that apply (`Solution.reduction` names them): equal decays, one feature a
            class, no more dimensions than needed, one class of each size. They find the same global minimum, not the
            same path: for the landscape of free features pass False. A start, a record or a solver that does not
            leave saddles asks for free features by itself. Free features in more than K dimensions are computed in
            the row space of the start's W, where their first step takes them (`ufm.reduction.RowSpace`), unless
            the solver follows given dynamics.
        mesh: of devices, of one or many hosts, over which the columns of H are divided: for free features that one
            device does not hold. Asks for free features. The default solver is TrustRegion(single=False) there, so that
            W and H do not depend on the number of devices.
    Returns:
        A Solution whose value and gradient norm were computed at its params in `dtype`.
    Raises:
        TypeError, ValueError: before anything is compiled, for a problem, start or option that cannot work.
    """
    dtype = as_dtype(dtype, "solve")
    # The dynamics of a first-order method make sense where nothing is minimal.
    check_problem(problem, "solve", dtype, minimiser=not isinstance(solver, FirstOrder))
    solver = default_solver(problem, single=mesh is None) if solver is None else checked_solver(solver, "solve")
    solver.check(problem)
    gtol = checked_gtol(gtol, dtype)
    limit = solver.max_steps if max_steps is None else max_steps
    max_steps = whole(limit, "max_steps", "solve", 1, "that allows no step")
    stops = _checked_record(record, max_steps)
    if progress is not None and not callable(progress):
        raise TypeError(f"solve: progress={progress!r} is not callable. Pass a function of a ufm.Progress, or None.")
    if not isinstance(reduce, bool):
        raise TypeError(f"solve: reduce={reduce!r} is not a bool. Pass True for the global minimum by any exact way.")
    entropy(key, "solve")
    point = None if start is None else check_params(problem, start, "solve", dtype)
    place = placement(mesh, problem)
    full = _why_full(reduce and mesh is None, start is not None, solver.escapes, bool(stops))
    with exact():
        if full:
            point = random_start(problem, key) if point is None else point
            narrow = row_space(problem, point, full) if solver.escapes and mesh is None else None
            if narrow is not None:
                return _in_row_space(problem, point, narrow, solver, gtol, max_steps, stops, progress, dtype)
            run = drive(problem, point, solver, gtol, max_steps, stops, progress, dtype, place)
            return Solution(**run.fields(), reduction=Full(problem, full), lower_bound=-np.inf)
        return minimum(problem, key, solver, gtol, max_steps, progress, dtype)


def _in_row_space(
    problem: Problem, start: Params, narrow: RowSpace, solver: Any, gtol: float, max_steps: int, stops: list[int],
    progress: Any, dtype: np.dtype,
) -> Solution:  # fmt: skip
    thinner = dataclasses.replace(problem, d=problem.K)
    sharper = gtol / problem.K**0.5  # an entry of a lifted gradient is at most the length of a column
    run = drive(thinner, narrow.start(start), solver, sharper, max_steps, list(stops), progress, dtype)
    norm = lifted_norm(problem, narrow, run.point, run.grad, gtol)
    status = lifted_status(run.status, norm, gtol)
    text = message(status, run.steps, run.value, norm, gtol, max_steps, dtype, problem.loss.convex)
    path = None if run.trajectory is None else _lifted(problem, thinner, start, run.trajectory, narrow, gtol)
    run = run._replace(grad_norm=norm, gtol=gtol, status=status, message=text, trajectory=path)
    return Solution(**run.fields(), reduction=narrow, lower_bound=-np.inf)


def lifted_status(status: Status, norm: float, gtol: float) -> Status:
    """How a solve in the row space, which has its own tolerance, ended in all of space."""
    if norm <= gtol:
        return Status.CONVERGED
    # Where lifting rounds the gradient away from what it was, no step would lower it.
    return Status.STALLED if status is Status.CONVERGED else status


def lifted_norm(problem: Problem, narrow: RowSpace, point: Params, grad: Params, gtol: float) -> float:
    """The infinity norm of the gradient of `problem` at the lifted point; `grad` is that in the row space."""
    norm = max_abs(narrow.lift(grad))
    # Lifting rounds W and H, which the decays multiply: no matter, unless they are out of all proportion.
    weighted = max(float(problem.lam_W) * np.max(np.abs(point.W)), float(problem.lam_H) * np.max(np.abs(point.H)))
    if problem.d * np.finfo(point.H.dtype).eps * weighted <= 1e-2 * max(norm, gtol):
        return norm
    return examine(problem, narrow.lift(point)).grad_norm


def _lifted(
    problem: Problem, thinner: Problem, start: Params, path: Trajectory, narrow: RowSpace, gtol: float
) -> Trajectory:
    """The recorded points in d dimensions; before its first step the solve is at the start itself."""
    there = [jax.tree.map(lambda x, t=t: x[t], path.params) for t in range(path.steps.size)]
    norms = np.array([lifted_norm(problem, narrow, point, examine(thinner, point).grad, gtol) for point in there])
    points, value = [narrow.lift(point) for point in there], path.value.copy()
    if path.steps[0] == 0:
        points[0] = jax.tree.map(lambda x: np.asarray(x, path.params.H.dtype), start)
        begin = examine(problem, points[0])
        value[0], norms[0] = begin.value, begin.grad_norm
    return Trajectory(path.steps, value, norms, jax.tree.map(lambda *xs: np.stack(xs), *points))


def _why_full(reduce: bool, started: bool, seeks_minimum: bool, recorded: bool) -> str:
    """Why the free features themselves are asked for, or ""."""
    if not reduce:
        return "reduce=False, or a mesh"
    if started:
        return "a start was given"
    if not seeks_minimum:
        return "the dynamics of a solver that does not leave saddles"
    return "the trajectory is recorded" if recorded else ""


def default_solver(problem: Problem, single: bool = True) -> Any:
    """Newton's method, or L-BFGS where f has kinks. single: of TrustRegion."""
    return TrustRegion(single=single) if problem.model.smooth else LBFGS()


def checked_solver(solver: Any, who: str) -> Any:
    """`solver`, or a TypeError if it is none."""
    if isinstance(solver, type) or not all(
        hasattr(solver, name) for name in ("init", "step", "check", "max_steps", "escapes")
    ):
        raise TypeError(
            f"{who}: solver={solver!r} is not a solver. Pass ufm.TrustRegion(), ufm.LBFGS() or "
            "ufm.FirstOrder(optax.sgd(0.1)); an optax transformation goes inside FirstOrder."
        )
    return solver


def checked_gtol(gtol: Any, dtype: np.dtype) -> float:
    """gtol, or the default of the precision; raises TypeError or ValueError if it cannot be reached."""
    if gtol is None:
        return 1e-12 if dtype == np.float64 else 1e-6
    gtol = positive(gtol, "gtol", "solve")
    eps = float(np.finfo(dtype).eps)
    if gtol < eps:
        other = "Use float64, or pass gtol >= 1e-6." if dtype == np.float32 else "Pass gtol >= 1e-14."
        raise ValueError(f"solve: gtol={gtol:g} is below {dtype.name} resolution ({eps:.1e}). {other}")
    return gtol


def _checked_record(record: Any, max_steps: int) -> list[int]:
    help = "Pass step numbers >= 0, e.g. record=range(0, 1000, 10)."
    if isinstance(record, str | bytes) or not isinstance(record, Iterable):
        raise TypeError(f"solve: record={record!r} is not a collection of step numbers. {help}")
    steps = list(record)
    for step in steps:
        if isinstance(step, bool) or not isinstance(step, int | np.integer):
            raise TypeError(f"solve: record contains {step!r}, which is not an integer. {help}")
        if step < 0:
            raise ValueError(f"solve: record contains step {step}. {help}")
    return sorted({int(step) for step in steps if step <= max_steps})
