"""The driver: start, jitted chunks in a host loop, escape from saddles, status."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ufm.certify.escape import descend
from ufm.certify.point import examine
from ufm.checks import positive, whole
from ufm.precision import as_dtype, exact, to_host
from ufm.problem import Params, Problem
from ufm.solvers.first_order import FirstOrder
from ufm.solvers.newton import TrustRegion
from ufm.solvers.polish import polish
from ufm.start import generator, random_start
from ufm.status import Status, message, status_of
from ufm.validation import check_params, check_problem

POLISHED = 1e-12  # a gradient that needs no polish: what is left is rounding
MAX_ESCAPES = 50  # saddles that one solve may leave; each is strictly lower than the one before


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What a solve recorded.

    Attributes:
        steps: [T] step numbers.
        value, grad_norm: [T] objective and infinity norm of its gradient.
        params: W [T, K, d], H [T, d, N], b [T, K] or None.
    """

    steps: np.ndarray
    value: np.ndarray
    grad_norm: np.ndarray
    params: Params


@dataclass(frozen=True, eq=False)
class Solution:
    """Where a solve ended; NumPy data only.

    Attributes:
        params: W [K, d], H [d, N] (columns by class), b [K] or None.
        value: f at `params`. grad_norm: infinity norm of its gradient there.
        gtol: the tolerance that the status refers to.
        status, message: how it ended, and what to do if not CONVERGED.
        steps: of the solver. evaluations: gradients and Hessian-vector products.
        escapes: strict saddles that the solve reached and left.
        compile_seconds, seconds: tracing and compiling; running.
        trajectory: the recorded points, or None.
    """

    params: Params
    value: float
    grad_norm: float
    gtol: float
    status: Status
    message: str
    steps: int
    evaluations: int
    escapes: int
    compile_seconds: float
    seconds: float
    trajectory: Trajectory | None


@dataclass(frozen=True)
class Progress:
    """What the driver reports while it runs."""

    steps: int
    value: float
    grad_norm: float


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
) -> Solution:
    """A critical point of the problem, from a random start unless one is given.

    Args:
        key: seed of the random start, an int or a jax PRNG key.
        start: parameters to start from (`random_start`, `etf_start`, `perturb`, or any arrays).
        solver: TrustRegion() (default), LBFGS(), FirstOrder(transformation), or anything with their two methods.
        gtol: stop when the infinity norm of the gradient is at most this; default 1e-12 (float32: 1e-6).
        max_steps: bound on steps; default the solver's own.
        record: step numbers at which the point is kept in `Solution.trajectory` (the last point is always kept).
        progress: called at every recorded step and about every second.
        dtype: "float64" or "float32", the precision of the iteration.
    Returns:
        A Solution whose value and gradient norm were computed at its params in `dtype`.
    Raises:
        TypeError, ValueError: before anything is compiled, for a problem, start or option that cannot work.
    """
    dtype = as_dtype(dtype, "solve")
    solver = TrustRegion() if solver is None else _checked_solver(solver)
    # The dynamics of a first-order method make sense where nothing is minimal.
    check_problem(problem, "solve", dtype, minimiser=not isinstance(solver, FirstOrder))
    solver.check(problem)
    gtol = _checked_gtol(gtol, dtype)
    limit = solver.max_steps if max_steps is None else max_steps
    max_steps = whole(limit, "max_steps", "solve", 1, "that allows no step")
    stops = _checked_record(record, max_steps)
    if progress is not None and not callable(progress):
        raise TypeError(f"solve: progress={progress!r} is not callable. Pass a function of a ufm.Progress, or None.")
    generator(key, "solve")
    point = random_start(problem, key) if start is None else check_params(problem, start, "solve", dtype)
    with exact():
        return _drive(problem, point, solver, gtol, max_steps, stops, progress, dtype)


def _drive(
    problem: Problem,
    point: Params,
    solver: Any,
    gtol: float,
    max_steps: int,
    stops: list[int],
    progress: Callable[[Progress], None] | None,
    dtype: np.dtype,
) -> Solution:
    typed, tolerance = problem.astype(dtype), np.asarray(gtol, dtype)
    # One type for every number, so that 1 and np.float64(1.0) share a compilation.
    solver = jax.tree.map(lambda leaf: np.asarray(leaf, dtype), solver)
    clock = time.perf_counter()
    state = _init(solver, typed, jax.tree.map(lambda x: np.asarray(x, dtype), point))
    # No step is allowed yet: these calls compile, so that compile time is known apart.
    state = jax.block_until_ready(_advance(solver, typed, state, tolerance, 0))
    if solver.escapes:
        examine(problem, point)
    compile_seconds, clock = time.perf_counter() - clock, time.perf_counter()

    kept = [_snapshot(state)] if stops[:1] == [0] else []
    pending = [step for step in stops if step > 0]
    escapes, polished = 0, False
    while True:
        state = _chunks(solver, typed, state, tolerance, max_steps, pending, kept, progress)
        status = status_of(state, tolerance, max_steps)
        assert status is not None, "a chunk loop ends only with a status"
        far = float(state.iterate.grad_norm) > POLISHED
        if status is Status.STALLED and far and solver.escapes and dtype == np.float64 and not polished:
            polished, nearer = True, polish(problem, to_host(state.iterate.params))
            if nearer is not None:
                state = _restart(solver, typed, nearer, state)
                continue
        if status is not Status.CONVERGED or not solver.escapes or escapes == MAX_ESCAPES:
            break
        below = descend(problem, to_host(state.iterate.params))
        if below is None:
            break
        escapes += 1
        state = _restart(solver, typed, jax.tree.map(lambda x: np.asarray(x, dtype), below), state)
    if stops and (not kept or kept[-1][0] != int(state.steps)):
        kept.append(_snapshot(state))
    return Solution(
        params=to_host(state.iterate.params),
        value=float(state.iterate.value),
        grad_norm=float(state.iterate.grad_norm),
        gtol=gtol,
        status=status,
        message=message(status, state, gtol, max_steps, dtype, problem.loss.convex),
        steps=int(state.steps),
        evaluations=int(state.evaluations),
        escapes=escapes,
        compile_seconds=compile_seconds,
        seconds=time.perf_counter() - clock,
        trajectory=_trajectory(kept) if stops else None,
    )


def _chunks(
    solver: Any,
    problem: Problem,
    state: Any,
    gtol: np.ndarray,
    max_steps: int,
    pending: list[int],
    kept: list[Any],
    progress: Callable[[Progress], None] | None,
) -> Any:
    """The state at which the iteration ends; takes recorded steps from `pending` and adds their points to `kept`."""
    chunk = 64
    while status_of(state, gtol, max_steps) is None:
        until = min(pending[0] if pending else max_steps, int(state.steps) + chunk, max_steps)
        began = time.perf_counter()
        state = jax.block_until_ready(_advance(solver, problem, state, gtol, until))
        if time.perf_counter() - began < 0.5:  # long enough to hide the call, short enough to stop and to report
            chunk = min(2 * chunk, 2**20)
        if pending and int(state.steps) >= pending[0]:
            pending.pop(0)
            kept.append(_snapshot(state))
        if progress is not None:
            progress(Progress(int(state.steps), float(state.iterate.value), float(state.iterate.grad_norm)))
    return state


@jax.jit
def _init(solver: Any, problem: Problem, params: Params) -> Any:
    return solver.init(problem, params)


@jax.jit
def _advance(solver: Any, problem: Problem, state: Any, gtol: Any, until: Any) -> Any:
    """Steps until `until`, convergence, stalling or a non-finite value."""

    def running(state: Any) -> jax.Array:
        here = state.iterate
        finite = jnp.isfinite(here.value) & jnp.isfinite(here.grad_norm)
        return (state.steps < until) & (here.grad_norm > gtol) & finite & ~state.stalled

    return jax.lax.while_loop(running, lambda state: solver.step(problem, state), state)


@jax.jit
def _restart(solver: Any, problem: Problem, params: Params, state: Any) -> Any:
    fresh = solver.init(problem, params)
    return fresh._replace(steps=state.steps + 1, evaluations=state.evaluations + fresh.evaluations)


def _snapshot(state: Any) -> tuple[int, float, float, Params]:
    here = state.iterate
    return int(state.steps), float(here.value), float(here.grad_norm), to_host(here.params)


def _trajectory(kept: list[Any]) -> Trajectory:
    steps, values, norms, points = zip(*kept, strict=True)
    return Trajectory(
        np.array(steps), np.array(values), np.array(norms), jax.tree.map(lambda *xs: np.stack(xs), *points)
    )


def _checked_solver(solver: Any) -> Any:
    if isinstance(solver, type) or not all(
        hasattr(solver, name) for name in ("init", "step", "check", "max_steps", "escapes")
    ):
        raise TypeError(
            f"solve: solver={solver!r} is not a solver. Pass ufm.TrustRegion(), ufm.LBFGS() or "
            "ufm.FirstOrder(optax.sgd(0.1)); an optax transformation goes inside FirstOrder."
        )
    return solver


def _checked_gtol(gtol: Any, dtype: np.dtype) -> float:
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
