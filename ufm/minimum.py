"""The minimum by exact reductions: classes of equal size as one, else samples of a group as one."""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ufm.certify.escape import is_benign
from ufm.certify.exchangeable import exchangeable_bound
from ufm.driver import advance, drive, typed_solver
from ufm.exchangeable import Exchangeable, Exchanged, exchangeable, rank, why_not
from ufm.precision import to_host
from ufm.problem import Problem
from ufm.reduction import Thin, thin, thin_steps
from ufm.solution import Progress, Solution
from ufm.start import random_start, spectral_start
from ufm.status import Status, message, status_of

CLOSED = {"float64": 1e-11, "float32": 1e-5}  # times 1 + |f|: the gap that proves the exchangeable point a minimum


def minimum(
    problem: Problem,
    key: Any,
    solver: Any,
    gtol: float,
    max_steps: int,
    progress: Callable[[Progress], None] | None,
    dtype: np.dtype,
) -> Solution:
    """The global minimum if the symmetry of the classes gives it, else a minimum of the merged problem."""
    refused = why_not(problem)
    if not refused:
        solution = _by_classes(problem, solver, gtol, max_steps, progress, dtype)
        if solution is not None:
            return solution
        refused = f"d={problem.d} is below the rank of the minimum over all d, or that minimum was not proven"
    return _by_samples(problem, key, solver, gtol, max_steps, progress, dtype, refused)


def _by_samples(
    problem: Problem,
    key: Any,
    solver: Any,
    gtol: float,
    max_steps: int,
    progress: Callable[[Progress], None] | None,
    dtype: np.dtype,
    refused: str,
) -> Solution:
    """Equal decays, one column a group, few dimensions; the saddles of the smaller problem are left as ever."""
    reduced = thin(problem)
    # Where every local minimum is global the start is only a matter of speed; elsewhere the key chooses among them.
    start = spectral_start(reduced) if is_benign(reduced) else random_start(reduced, key)
    tilt = _tilt(problem, reduced)
    run = drive(reduced, start, solver, gtol / tilt, max_steps, [], progress, dtype)
    run = run._replace(grad_norm=run.grad_norm * tilt, gtol=gtol)
    return Solution(**run._asdict(), reduction=Thin(problem, thin_steps(problem), refused), lower_bound=-np.inf)


def _tilt(problem: Problem, reduced: Problem) -> float:
    """How much larger the full gradient can be in the given variables than in those of equal decays."""
    if not problem.euclidean:
        return 1.0
    return max(1.0, *(float(lam / reduced.lam_W) ** 0.5 for lam in (problem.lam_W, problem.lam_H)))


def _by_classes(
    problem: Problem,
    solver: Any,
    gtol: float,
    max_steps: int,
    progress: Callable[[Progress], None] | None,
    dtype: np.dtype,
) -> Solution | None:
    """The global minimum over logits that commute with permutations of like classes; None unless it is proven one."""
    reduced = exchangeable(problem)
    tilt = max(1.0, *(float(lam / problem.nu) ** 0.5 for lam in (problem.lam_W, problem.lam_H)))
    if problem.d < problem.K:
        tilt *= float(reduced.m.size) ** 0.5  # the lift turns the directions of the sizes
    clock = time.perf_counter()
    arguments = (
        reduced.astype(dtype),
        typed_solver(solver, dtype),
        np.asarray(gtol / tilt, dtype),
        np.asarray(max_steps),
    )
    minimise = _compiled(*_signature(arguments))
    compile_seconds, clock = time.perf_counter() - clock, time.perf_counter()
    state, Z, dual = to_host(minimise(*arguments))
    status = status_of(state, gtol / tilt, max_steps)
    point, value = state.iterate.params, float(state.iterate.value)
    if status is not Status.CONVERGED or rank(problem, point) > problem.d:
        return None
    bound = exchangeable_bound(reduced, value, Z, dual)
    if value - bound.value > CLOSED[dtype.name] * (1.0 + abs(value)):
        return None
    steps, grad_norm = int(state.steps), float(state.iterate.grad_norm) * tilt
    if progress is not None:
        progress(Progress(steps, value, grad_norm))
    return Solution(
        value=value,
        grad_norm=grad_norm,
        gtol=gtol,
        status=status,
        message=message(status, state, gtol, max_steps, dtype, True),
        steps=steps,
        evaluations=int(state.evaluations),
        escapes=0,
        compile_seconds=compile_seconds,
        seconds=time.perf_counter() - clock,
        trajectory=None,
        reduction=Exchanged(problem),
        lower_bound=bound.value,
        point=point,
    )


@functools.cache
def _compiled(structure: Any, shapes: tuple[Any, ...]) -> Any:
    """`_minimise` for arguments of this structure; compiled ahead, so that the time for it is known apart."""
    leaves = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in shapes]
    return _minimise.lower(*jax.tree.unflatten(structure, leaves)).compile()


def _signature(arguments: Any) -> tuple[Any, tuple[Any, ...]]:
    leaves, structure = jax.tree.flatten(arguments)
    return structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)


@jax.jit
def _minimise(problem: Exchangeable, solver: Any, gtol: Any, max_steps: Any) -> Any:
    """The state at which the solver ends from the spectral start, the logits W H, and the gradient in them."""
    state = advance(solver, problem, solver.init(problem, problem.spectral_start()), gtol, max_steps)
    Z = problem.spectrum(state.iterate.params)
    return state, Z, problem.dual(Z, state.iterate.params.b)
