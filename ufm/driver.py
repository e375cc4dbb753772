"""The driver: jitted chunks in a host loop, escape from saddles, status."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ufm.placement import OneDevice, Sharded
from ufm.problem import Params, Problem
from ufm.room import make_room
from ufm.solution import Progress, Trajectory
from ufm.solvers.protocol import Iterate
from ufm.status import Status, message, reached, status_of
from ufm.trap import trap_note

POLISHED = 1e-12  # a gradient that needs no polish: what is left is rounding
HERE = OneDevice()
NEW = -1  # number of steps of a state of which nothing but the point is known
COMPILED = 0.1  # seconds; less is no compilation
_known: dict[Any, Any] = {}  # programs that this process has compiled, with the shapes of the states
SMALL = 10_000  # variables up to which a call costs more than handing over an empty state
MAX_ESCAPES = 50  # saddles that one solve may leave; each is strictly lower than the one before


class Run(NamedTuple):
    """Where the iteration ended: fields of `ufm.solution.Solution`, and the gradient there."""

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
    point: Params
    grad: Params

    def fields(self) -> dict[str, Any]:
        """All but the gradient, which no solution keeps."""
        return {name: value for name, value in self._asdict().items() if name != "grad"}


class Ended(NamedTuple):
    """What is kept of a solver's last state, its gradient and its memory left out."""

    iterate: Iterate
    steps: jax.Array
    evaluations: jax.Array
    stalled: jax.Array


def ended(state: Any) -> Ended:
    """Few arrays: each costs microseconds on its way to the host."""
    return Ended(state.iterate._replace(grad=None), state.steps, state.evaluations, state.stalled)


def drive(
    problem: Problem,
    point: Params,
    solver: Any,
    gtol: float,
    max_steps: int,
    stops: list[int],
    progress: Callable[[Progress], None] | None,
    dtype: np.dtype,
    place: OneDevice | Sharded = HERE,
) -> Run:
    """Iterate from `point` until convergence, stalling, or max_steps; leave strict saddles if the solver may."""
    typed, tolerance = problem.astype(dtype), np.asarray(gtol, dtype)
    solver = typed_solver(solver, dtype)
    clock = time.perf_counter()
    first = place.put(point, dtype)
    program = (place, *signature((solver, typed, first)))
    compiled = program in _known
    if not compiled:
        _known[program] = jax.eval_shape(solver.init, typed, first)
    state = _begin(place, solver, typed, first, _known[program])
    if not compiled:
        # No step is allowed yet: these calls compile, so that compile time is known apart.
        state = jax.block_until_ready(advance(solver, typed, state, tolerance, 0))
        if solver.escapes:
            place.warm(problem, point)
    compile_seconds, clock = time.perf_counter() - clock, time.perf_counter()

    kept = []
    if stops[:1] == [0]:
        state = advance(solver, typed, state, tolerance, 0)
        kept.append(_snapshot(state, place))
    pending = [step for step in stops if step > 0]
    escapes, polished = 0, False
    while True:
        state, status = _chunks(solver, typed, state, tolerance, max_steps, pending, kept, progress, place)
        better = finer(solver, typed, state)
        if status is Status.STALLED and better is not None:
            solver, state = better, _restart(better, typed, state.iterate.params, state)
            continue
        far = unpolished(float(state.iterate.grad_norm), dtype)
        if status is Status.STALLED and far and solver.escapes and not polished:
            polished, nearer = True, place.nearer(problem, place.get(state.iterate.params))
            if nearer is not None:
                state = _restart(solver, typed, place.put(nearer, dtype), state)
                continue
        if status is not Status.CONVERGED or not solver.escapes or escapes == MAX_ESCAPES:
            break
        below = place.below(problem, place.get(state.iterate.params))
        if below is None:
            break
        escapes += 1
        state = _restart(solver, typed, place.put(below, dtype), state)
    if compile_seconds > COMPILED and make_room():
        _known.clear()
    if stops and (not kept or kept[-1][0] != int(state.steps)):
        kept.append(_snapshot(state, place))
    return Run(
        value=float(state.iterate.value),
        grad_norm=float(state.iterate.grad_norm),
        gtol=gtol,
        status=status,
        message=message(status, *reached(state), gtol, max_steps, dtype, problem.loss.convex)
        + trap_note(problem, point),
        steps=int(state.steps),
        evaluations=int(state.evaluations),
        escapes=escapes,
        compile_seconds=compile_seconds,
        seconds=time.perf_counter() - clock,
        trajectory=_trajectory(kept) if stops else None,
        point=place.get(state.iterate.params),
        grad=place.get(state.iterate.grad),
    )


def finer(solver: Any, problem: Any, state: Any) -> Any:
    """What to go on with where `solver` stalled, if it knows a method of more digits."""
    return solver.finer(problem, state.iterate) if hasattr(solver, "finer") else None


def unpolished(grad_norm: float, dtype: np.dtype) -> bool:
    """Whether the whole Hessian may find a smaller gradient where the steps stall."""
    return dtype == np.float64 and grad_norm > POLISHED


def _begin(place: OneDevice | Sharded, solver: Any, problem: Problem, params: Params, shapes: Any) -> Any:
    """A state at `params`; of a small problem one that `advance` makes whole, which spares a call."""
    if isinstance(place, Sharded) or problem.dimension() > SMALL:
        return _init(solver, problem, params)
    blank = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    return blank._replace(iterate=blank.iterate._replace(params=params), steps=np.full_like(blank.steps, NEW))


def _chunks(
    solver: Any,
    problem: Problem,
    state: Any,
    gtol: np.ndarray,
    max_steps: int,
    pending: list[int],
    kept: list[Any],
    progress: Callable[[Progress], None] | None,
    place: OneDevice | Sharded,
) -> tuple[Any, Status]:
    """The state at which the iteration ends, and how; takes recorded steps from `pending`, adds points to `kept`."""
    chunk, status = 64, None
    while status is None:
        until = min(pending[0] if pending else max_steps, int(state.steps) + chunk, max_steps)
        began = time.perf_counter()
        state = jax.block_until_ready(advance(solver, problem, state, gtol, until))
        if time.perf_counter() - began < 0.5:  # long enough to hide the call, short enough to stop and to report
            chunk = min(2 * chunk, 2**20)
        if pending and int(state.steps) >= pending[0]:
            pending.pop(0)
            kept.append(_snapshot(state, place))
        if progress is not None:
            progress(Progress(*reached(state)))
        status = status_of(state, gtol, max_steps)
    return state, status


def signature(arguments: Any) -> tuple[Any, tuple[Any, ...]]:
    """What a compiled program depends on: structure, shapes and types."""
    leaves, structure = jax.tree.flatten(arguments)
    return structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)


def typed_solver(solver: Any, dtype: np.dtype) -> Any:
    """One type for every number, so that 1 and np.float64(1.0) share a compilation."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, dtype), solver)


@jax.jit
def _init(solver: Any, problem: Problem, params: Params) -> Any:
    return solver.init(problem, params)


@jax.jit
def advance(solver: Any, problem: Problem, state: Any, gtol: Any, until: Any) -> Any:
    """Steps until `until`, convergence, stalling or a non-finite value; a new state is initialised first."""
    new = state.steps == NEW
    state = jax.lax.cond(new, lambda: _strong(solver.init(problem, state.iterate.params)), lambda: state)
    return _strong(iterated(solver, problem, state, gtol, until))


def _strong(tree: Any) -> Any:
    """No weak types, with which the state of the last call would need a program other than the first one's."""
    return jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), tree)


def iterated(solver: Any, problem: Any, state: Any, gtol: Any, until: Any) -> Any:
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


def _snapshot(state: Any, place: OneDevice | Sharded) -> tuple[int, float, float, Params]:
    here = state.iterate
    return int(state.steps), float(here.value), float(here.grad_norm), place.get(here.params)


def _trajectory(kept: list[Any]) -> Trajectory:
    steps, values, norms, points = zip(*kept, strict=True)
    return Trajectory(
        np.array(steps), np.array(values), np.array(norms), jax.tree.map(lambda *xs: np.stack(xs), *points)
    )
