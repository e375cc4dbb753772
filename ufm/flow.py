"""Gradient flow: dx/dt = -grad f(x), integrated in float64 to a stated tolerance."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import scipy

from ufm.certify.point import packing
from ufm.checks import positive
from ufm.precision import exact, to_host
from ufm.problem import Params, Problem
from ufm.solvers.protocol import evaluate
from ufm.validation import check_params, check_problem


@dataclass(frozen=True, eq=False)
class Flow:
    """The flow at the requested times.

    Attributes:
        times: [T]. value, grad_norm: [T] objective and infinity norm of its gradient.
        params: W [T, K, d], H [T, d, N], b [T, K] or None.
        evaluations: gradients computed.
    """

    times: np.ndarray
    value: np.ndarray
    grad_norm: np.ndarray
    params: Params
    evaluations: int


def gradient_flow(problem: Problem, start: Params, times: Any, *, rtol: float = 1e-12, atol: float = 1e-13) -> Flow:
    """The gradient flow of f from `start` at time 0, Riemannian where a block lives on a manifold.

    Integrated by an explicit Runge-Kutta pair of order 8 in the variable log(1 + t), so that times of 10 and of 1e200
    cost about the same where the flow slows down like 1/t (no decay); lam_W = lam_H = 0 is allowed.

    Args:
        start: parameters at time 0.
        times: [T] increasing, >= 0.
        rtol, atol: error of each step, relative and absolute, in every variable.
    Raises:
        TypeError, ValueError: a problem, start, times or tolerance that cannot work; a model with H >= 0, whose flow
            has kinks.
        RuntimeError: the integrator could not keep the tolerance.
    """
    check_problem(problem, "gradient_flow", minimiser=False)
    if not all(space is None or space.rotates or not space.decays for space in (problem.model.W, problem.model.H)):
        raise ValueError("gradient_flow: with H >= 0 the flow has kinks. Use ufm.FirstOrder(optax.sgd(rate)).")
    params = check_params(problem, start, "gradient_flow")
    rtol, atol = positive(rtol, "rtol", "gradient_flow"), positive(atol, "atol", "gradient_flow")
    times = _checked_times(times)
    typed = problem.astype(np.float64)
    pack, unpack = packing(params)

    def velocity(s: float, x: np.ndarray) -> np.ndarray:
        with exact():
            return -np.exp(s) * pack(to_host(_gradient(typed, unpack(x))))

    found = scipy.integrate.solve_ivp(
        velocity, (0.0, np.log1p(times[-1])), pack(params), "DOP853", np.log1p(times), rtol=max(rtol, 1e-13), atol=atol
    )
    if not found.success:
        raise RuntimeError(f"gradient_flow: {found.message} Loosen rtol={rtol:g}, or stop before t={times[-1]:g}.")
    points = [problem.project(unpack(x)) for x in found.y.T]
    with exact():
        here = [to_host(_evaluate(typed, point)) for point in points]
    return Flow(
        times,
        np.array([float(h.value) for h in here]),
        np.array([float(h.grad_norm) for h in here]),
        jax.tree.map(lambda *xs: np.stack(xs), *points),
        int(found.nfev),
    )


@jax.jit
def _gradient(problem: Problem, params: Params) -> Params:
    return evaluate(problem, params).grad


@jax.jit
def _evaluate(problem: Problem, params: Params) -> Any:
    return evaluate(problem, params)


def _checked_times(times: Any) -> np.ndarray:
    try:
        array = np.asarray(times, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"gradient_flow: times={times!r} are not numbers. Pass e.g. np.linspace(0, 10, 50).") from error
    if array.ndim != 1 or array.size == 0 or not np.all(np.isfinite(array)):
        raise ValueError("gradient_flow: times must be a non-empty list of finite numbers. Pass e.g. [0, 1, 10].")
    if array[0] < 0.0 or np.any(np.diff(array) <= 0.0):
        raise ValueError("gradient_flow: times must increase from 0 or later. Sort them, and start at time 0.")
    return array
