"""The minimum by exact reductions: classes of equal size as one, else samples of a group as one."""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ufm.certify.escape import is_benign
from ufm.certify.exchangeable import exchangeable_bound
from ufm.driver import drive, ended, finer, iterated, signature, typed_solver
from ufm.exchangeable import Exchangeable, Exchanged, exchangeable, rank, why_not
from ufm.precision import to_host
from ufm.problem import Params, Problem
from ufm.reduction import Thin, thin, thin_steps
from ufm.solution import Progress, Solution
from ufm.spaces import Spheres
from ufm.start import random_start, spectral_start
from ufm.status import Status, message, reached, status_of

# Times 1 + |f|: the gap that proves the exchangeable point a minimum.
CLOSED = {np.dtype(np.float64): 1e-11, np.dtype(np.float32): 1e-5}
# The loops of so few unknowns are as fast without MLIR's fusion, and compile in 60 % of the time.
QUICK: Any = {"xla_cpu_use_fusion_emitters": False}


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
    steep = steepness(problem, reduced)
    run = drive(reduced, thin_start(reduced, key), solver, gtol / steep, max_steps, [], progress, dtype)
    run = run._replace(grad_norm=run.grad_norm * steep, gtol=gtol)
    return Solution(**run.fields(), reduction=Thin(problem, thin_steps(problem), refused), lower_bound=-np.inf)


def thin_start(reduced: Problem, key: Any) -> Params:
    """Where every local minimum is global the start is a matter of speed; elsewhere the key chooses among them."""
    return spectral_start(reduced) if is_benign(reduced) or _round(reduced) else random_start(reduced, key)


def _round(problem: Problem) -> bool:
    """Equal classes, W and H on spheres of enough dimensions: benign too (Yaras et al., NeurIPS 2022, for d > K)."""
    on_spheres = isinstance(problem.model.W, Spheres) and isinstance(problem.model.H, Spheres)
    return on_spheres and problem.alike and problem.loss.convex and problem.d > problem.K


def steepness(problem: Problem, reduced: Problem | Exchangeable) -> float:
    """How much larger an entry of the gradient of `problem` can be than any in the variables of `reduced`."""
    if not problem.euclidean:
        return 1.0
    equal = float(reduced.nu) if isinstance(reduced, Exchangeable) else float(reduced.lam_W)
    steep = max(1.0, *(float(lam / equal) ** 0.5 for lam in (problem.lam_W, problem.lam_H)))
    if isinstance(reduced, Exchangeable) and problem.d < problem.K:  # the lift rotates the directions of the sizes
        return steep * reduced.m.size**0.5
    return steep


def _by_classes(
    problem: Problem,
    solver: Any,
    gtol: float,
    max_steps: int,
    progress: Callable[[Progress], None] | None,
    dtype: np.dtype,
) -> Solution | None:
    """The global minimum over logits that commute with permutations of like classes; None unless it is proven one."""
    clock, reduced = time.perf_counter(), exchangeable(problem)
    tolerance = np.asarray(gtol / steepness(problem, reduced), dtype)
    arguments = (reduced.astype(dtype), typed_solver(solver, dtype), tolerance, np.asarray(max_steps))
    run = _compiled(*signature(arguments))
    compile_seconds, clock = time.perf_counter() - clock, time.perf_counter()
    state, bound = to_host(run(*arguments))
    better = finer(solver, reduced, state)
    if bool(state.stalled) and better is not None:
        return _by_classes(problem, better, gtol, max_steps, progress, dtype)
    seconds = (compile_seconds, time.perf_counter() - clock)
    solution = proven(problem, reduced, state, bound, gtol, max_steps, seconds)
    if solution is not None and progress is not None:
        progress(Progress(solution.steps, solution.value, solution.grad_norm))
    return solution


def proven(
    problem: Problem,
    reduced: Exchangeable,
    state: Any,
    bound: Any,
    gtol: float,
    max_steps: int,
    seconds: tuple[float, float],
) -> Solution | None:
    """The solution that a state of `minimise` stands for, if it converged, is proven and fits in d dimensions."""
    here, dtype = state.iterate, state.iterate.value.dtype
    steep, value = steepness(problem, reduced), float(here.value)
    status = status_of(state, gtol / steep, max_steps)
    if status is not Status.CONVERGED or not value - float(bound) <= CLOSED[dtype] * (1.0 + abs(value)):
        return None
    if problem.d < problem.K and rank(problem, here.params) > problem.d:
        return None
    return Solution(
        value=value,
        grad_norm=float(here.grad_norm) * steep,
        gtol=gtol,
        status=status,
        message=message(status, *reached(state), gtol, max_steps, dtype, True),
        steps=int(state.steps),
        evaluations=int(state.evaluations),
        escapes=0,
        compile_seconds=seconds[0],
        seconds=seconds[1],
        trajectory=None,
        reduction=Exchanged(problem),
        lower_bound=float(bound),
        point=here.params,
    )


@functools.cache
def _compiled(structure: Any, shapes: tuple[Any, ...]) -> Any:
    """`minimise` for arguments of this structure; compiled ahead, so that the time for it is known apart."""
    leaves = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in shapes]
    lowered = minimise.lower(*jax.tree.unflatten(structure, leaves))
    try:
        return lowered.compile(compiler_options=QUICK)
    except RuntimeError:  # a compiler that has no such option
        return lowered.compile()


@jax.jit
def minimise(problem: Exchangeable, solver: Any, gtol: Any, max_steps: Any) -> Any:
    """The state at which the solver ends from the spectral start, and a lower bound on f* from there."""
    return minimise_from(problem, problem.spectral_start(), solver, gtol, max_steps)


def minimise_from(problem: Exchangeable, start: Params, solver: Any, gtol: Any, max_steps: Any) -> Any:
    """The same from another start."""
    state = iterated(solver, problem, solver.init(problem, start), gtol, max_steps)
    Z = problem.spectrum(state.iterate.params)
    dual = problem.dual(Z, state.iterate.params.b)
    return ended(state), exchangeable_bound(problem, state.iterate.value, Z, dual)
