"""How a solve can end, and what to do about it."""

import math
from enum import IntEnum
from typing import Any

import numpy as np


class Status(IntEnum):
    """How a solve ended. CONVERGED: the gradient's infinity norm is <= gtol at the returned point, nothing else."""

    CONVERGED = 0
    MAX_STEPS = 1
    STALLED = 2
    NONFINITE = 3


def status_of(state: Any, gtol: Any, max_steps: int) -> Status | None:
    """How the solve ended at this state; None while it has not."""
    steps, value, grad_norm = reached(state)
    if not (math.isfinite(value) and math.isfinite(grad_norm)):
        return Status.NONFINITE
    if grad_norm <= gtol:
        return Status.CONVERGED
    if bool(state.stalled):
        return Status.STALLED
    return Status.MAX_STEPS if steps >= max_steps else None


def reached(state: Any) -> tuple[int, float, float]:
    """(steps, value, grad_norm) of a solver's state."""
    return int(state.steps), float(state.iterate.value), float(state.iterate.grad_norm)


def message(
    status: Status,
    steps: int,
    value: float,
    grad_norm: float,
    gtol: float,
    max_steps: int,
    dtype: np.dtype,
    convex: bool,
) -> str:
    """One sentence: what was reached and, unless it converged, what to do."""
    gradient = f"gradient {grad_norm:.1e}"
    if status is Status.CONVERGED:
        return f"{gradient} <= gtol {gtol:.1e}"
    if status is Status.MAX_STEPS:
        return f"{gradient} > gtol {gtol:.1e} after max_steps={max_steps}: raise it, or go on from params."
    if status is Status.STALLED:
        remedy = "use dtype='float64'" if dtype == np.float32 else "start elsewhere"
        own = "" if convex else " If the loss is your own, check that it is smooth and not unbounded below."
        return f"{gradient} > gtol {gtol:.1e}, and no step in {dtype.name} lowers it: raise gtol, or {remedy}.{own}"
    what = f"value {value}, {gradient} after {steps} steps"
    if steps == 0:
        return f"{what}: the loss is not finite at the start. Start elsewhere, or check the loss."
    return f"{what}: the iteration diverged. Lower the step size, or check the loss."
