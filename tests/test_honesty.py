"""No silent NaN, no CONVERGED that is not: every status against an independent gradient; no global setting touched."""

import contextlib
import dataclasses
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compilations import compilations
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ufm
from ufm import Status

WIDE = np.longdouble  # 64 bits of mantissa where the platform has them, so that the reference is better than the tested
DEFAULTS: dict[str, Any] = {"K": 3, "n": 2, "d": 4, "lam_W": 1e-2, "lam_H": 1e-2, "lam_b": 1e-2}
SGD = optax.sgd(1.0)


def make(**changes: Any) -> Any:
    return ufm.Problem(**{**DEFAULTS, **changes})


class Reference(NamedTuple):
    """f and the infinity norm of its gradient; `terms` bounds the numbers that were added to get the gradient."""

    value: float
    grad_norm: float
    terms: float


def reference(problem: Any, params: Any) -> Reference:
    """CE with smoothing or half the squared error, and its gradient, written out in NumPy."""
    sizes = problem.n if isinstance(problem.n, tuple) else (problem.n,) * problem.K
    N = sum(sizes)
    Y = np.repeat(np.eye(problem.K, dtype=WIDE), sizes, axis=1)
    W, H = (np.asarray(x).astype(WIDE) for x in params[:2])
    b = np.zeros(problem.K, WIDE) if params.b is None else np.asarray(params.b).astype(WIDE)
    Z = W @ H + b[:, None]
    reach = np.abs(W) @ np.abs(H) + np.abs(b)[:, None]  # eps times this is in Z
    if isinstance(problem.loss, ufm.MSE):
        loss, G, size = np.sum((Z - Y) ** 2) / 2, (Z - Y) / N, (reach + Y) / N
    else:
        alpha = WIDE(float(problem.loss.smoothing))
        T = (1 - alpha) * Y + alpha / problem.K
        top = np.max(Z, axis=0)
        mass = np.exp(Z - top)
        total = np.sum(mass, axis=0)
        loss = np.sum(top + np.log(total) - np.sum(T * Z, axis=0))
        G, size = (mass / total - T) / N, (mass / total * (1 + 2 * np.max(reach, axis=0)) + T) / N
    lam_W, lam_H = WIDE(float(problem.lam_W)), WIDE(float(problem.lam_H))
    lam_b = WIDE(0.0 if problem.lam_b is None else float(problem.lam_b))
    blocks = [G @ H.T + lam_W * W, W.T @ G + lam_H * H]
    sums = [size @ np.abs(H).T + lam_W * np.abs(W), np.abs(W).T @ size + lam_H * np.abs(H)]
    if params.b is not None:
        blocks.append(np.sum(G, axis=1) + lam_b * b)
        sums.append(np.sum(size, axis=1) + lam_b * np.abs(b))
    value = loss / N + lam_W / 2 * np.sum(W**2) + lam_H / 2 * np.sum(H**2) + lam_b / 2 * np.sum(b**2)
    return Reference(float(value), max(float(np.max(np.abs(x))) for x in blocks), max(float(np.max(x)) for x in sums))


ADVICE = {
    Status.CONVERGED: ("<= gtol",),
    Status.MAX_STEPS: ("> gtol", "max_steps=", "raise"),
    Status.STALLED: ("> gtol", "raise gtol"),
    Status.NONFINITE: ("value", "check the loss"),
}


def assert_honest(problem: Any, solution: Any, gtol: float, dtype: str = "float64") -> None:
    """Everything that a Solution says of itself, against the reference."""
    blocks = [x for x in solution.params if x is not None]
    assert all(type(x) is np.ndarray and x.dtype == np.dtype(dtype) for x in blocks)
    assert type(solution.value) is float
    assert type(solution.grad_norm) is float
    finite = np.isfinite([solution.value, solution.grad_norm]).all()
    assert (solution.status is Status.NONFINITE) == (not finite)
    for words in ADVICE[solution.status]:
        assert words in solution.message.lower()
    if not finite:
        return
    assert all(np.isfinite(x).all() for x in blocks)
    assert (solution.status is Status.CONVERGED) == (solution.grad_norm <= gtol)
    if not isinstance(problem.loss, ufm.UserLoss):
        true, eps = reference(problem, solution.params), float(np.finfo(dtype).eps)
        # The slack is the rounding of the sums in the gradient, nothing else.
        assert abs(solution.grad_norm - true.grad_norm) <= 32 * eps * true.terms
        if solution.status is Status.CONVERGED:
            assert true.grad_norm <= gtol + 32 * eps * true.terms
        assert abs(solution.value - true.value) <= 64 * eps * (1 + true.terms + abs(true.value))


def solved(problem: Any, gtol: float = 1e-12, dtype: str = "float64", **options: Any) -> Any:
    solution = ufm.solve(problem, gtol=gtol, dtype=dtype, reduce=False, **options)
    assert_honest(problem, solution, gtol, dtype)
    return solution


def zero(problem: Any) -> Any:
    shapes = problem.shapes()
    return ufm.Params(np.zeros(shapes.W), np.zeros(shapes.H), None if shapes.b is None else np.zeros(shapes.b))


class Family(NamedTuple):
    """What one compilation serves: sizes, loss, bias mode, solver, precision."""

    K: int
    n: Any
    d: int
    cross_entropy: bool
    bias: bool
    solver: Callable[[], Any]
    dtype: str


FAMILIES = [
    Family(3, (3, 1, 1), 2, True, True, lambda: ufm.TrustRegion(max_products=60), "float64"),
    Family(4, 1, 2, False, True, lambda: ufm.TrustRegion(max_products=60), "float64"),
    Family(2, 1, 1, True, False, lambda: ufm.TrustRegion(max_products=60), "float32"),
    Family(3, (3, 1, 1), 2, True, True, lambda: ufm.LBFGS(), "float64"),
    Family(3, (3, 1, 1), 2, True, True, lambda: ufm.FirstOrder(SGD, rate=0.5), "float64"),
]
exponents = st.floats(-9.0, 6.0)


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from(FAMILIES),
    exponents,
    exponents,
    st.one_of(st.none(), exponents),
    st.sampled_from([0.0, 0.1, 0.9, 0.999999]),
    st.sampled_from([1e-150, 1e-6, 1.0, 1e3, 1e6]),
    st.sampled_from([1e-12, 1e-9, 1e-6, 1e-2]),
    st.integers(0, 5),
)
@example(FAMILIES[0], -12.0, 0.0, None, 0.0, 1.0, 1e-12, 0)
@example(FAMILIES[1], 6.0, -6.0, -12.0, 0.0, 1e6, 1e-12, 0)
@example(FAMILIES[2], 4.0, -8.0, None, 0.0, 1.0, 2e-7, 0)
@example(FAMILIES[3], -6.0, 6.0, 2.0, 0.999999, 1e-6, 3e-16, 1)
def test_a_solution_is_what_it_says(
    family: Family, w: float, h: float, b: float | None, smoothing: float, scale: float, gtol: float, seed: int
) -> None:
    problem = ufm.Problem(
        K=family.K,
        n=family.n,
        d=family.d,
        lam_W=10.0**w,
        lam_H=10.0**h,
        lam_b=(0.0 if b is None else 10.0**b) if family.bias else None,
        loss=ufm.CrossEntropy(smoothing) if family.cross_entropy else ufm.MSE(),
    )
    start = ufm.random_start(problem, seed, scale)
    gtol = max(gtol, 2e-7) if family.dtype == "float32" else gtol
    solved(problem, gtol, family.dtype, start=start, solver=family.solver(), max_steps=120)


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(st.floats(-99.0, 99.0), st.floats(-99.0, 99.0), st.floats(-99.0, 99.0), st.booleans())
@example(99.0, 99.0, 99.0, True)
@example(-99.0, -99.0, -99.0, True)
@example(99.0, -99.0, 0.0, True)
@example(45.0, 90.0, 0.0, True)
@example(99.0, 99.0, 99.0, False)
def test_decays_of_any_size_give_a_status_and_no_warning(w: float, h: float, b: float, cross_entropy: bool) -> None:
    loss = ufm.CrossEntropy() if cross_entropy else ufm.MSE()
    problem = make(lam_W=10.0**w, lam_H=10.0**h, lam_b=10.0**b, loss=loss)
    solution = ufm.solve(problem, solver=ufm.TrustRegion(max_products=60), max_steps=60, reduce=False)
    finite = np.isfinite(solution.grad_norm) and all(np.isfinite(x).all() for x in solution.params)
    assert finite or solution.status is Status.NONFINITE
    if solution.status is Status.CONVERGED:
        assert reference(problem, solution.params).grad_norm <= 1e-12 * 1.01


CERTIFIED = [
    {"lam_W": 1e90},
    {"lam_H": 1e90, "lam_W": 1e90},
    {"lam_b": 1e90},
    {"lam_b": 1e-90},
    {"lam_W": 1e-90},
    {"lam_W": 1e-90, "lam_H": 1e90},
    {"lam_W": 1e-12, "lam_H": 1e-12},
    {"lam_W": 1e6, "lam_H": 1e-6},
    {"lam_b": 0.0},
    {"lam_b": None},
    {"K": 2, "n": 1, "d": 1},
]


@pytest.mark.parametrize("mse", [False, True], ids=["ce", "mse"])
@pytest.mark.parametrize("changes", CERTIFIED, ids=str)
def test_certificates_hold_no_silent_nan(changes: dict[str, Any], mse: bool) -> None:
    problem = make(**changes, loss=ufm.MSE() if mse else ufm.CrossEntropy())
    for params in (ufm.random_start(problem), zero(problem)):
        certificate = ufm.certify(problem, params)
        second = {name: getattr(certificate, name) for name in ("smallest_eigenvalue", "curvature_tolerance")}
        for name, value in {**vars(certificate), **second}.items():
            if isinstance(value, float) and not np.isfinite(value):
                assert (name, problem.lam_b) == ("grad_b", None), f"{name}={value}"
        # A loss that is never negative cannot leave a bound below zero, beyond rounding.
        assert -1e-12 * (1 + certificate.value) <= certificate.lower_bound <= certificate.value + 1e-14
        assert certificate.gap >= 0


BENIGN = [
    {"loss": ufm.CrossEntropy()},
    {"loss": ufm.CrossEntropy(0.1), "lam_b": 0.0},
    {"loss": ufm.MSE()},
    {"loss": ufm.MSE(), "lam_b": None},
    {"loss": ufm.CrossEntropy(), "K": 2, "n": 1, "d": 1},
    {"loss": ufm.CrossEntropy(), "K": 5, "n": 1, "d": 2},
    {"loss": ufm.CrossEntropy(), "lam_W": 1e4, "lam_H": 1e-8},
    {"loss": ufm.MSE(), "n": (1000, 1, 1), "lam_b": None, "lam_W": 1e-3, "lam_H": 1e-3},
]


@pytest.mark.parametrize("changes", BENIGN, ids=lambda c: ",".join(f"{k}={v}" for k, v in c.items()))
def test_the_zero_saddle_is_left(changes: dict[str, Any]) -> None:
    """kappa < 1: zero is critical (CE, balanced) or next to a saddle; a default solve must not end there."""
    problem = make(**changes)
    solution = solved(problem, start=zero(problem), record=[0])
    assert solution.status is Status.CONVERGED
    assert solution.value < 0.999 * reference(problem, zero(problem)).value
    if reference(problem, zero(problem)).grad_norm <= 1e-12:
        assert solution.escapes >= 1


def test_above_the_threshold_zero_is_the_minimum() -> None:
    problem = make(lam_W=1.0, lam_H=1.0)
    solution = solved(problem, start=zero(problem))
    assert solution.status is Status.CONVERGED
    assert solution.escapes == 0
    assert solution.steps == 0
    assert ufm.certify(problem, solution.params).verdict.name == "GLOBAL_MINIMUM"


@pytest.mark.parametrize("solver", [ufm.LBFGS(), ufm.FirstOrder(SGD, rate=0.1), ufm.TrustRegion(escapes=False)])
def test_solvers_that_do_not_escape_stay_and_the_certificate_says_saddle(solver: Any) -> None:
    problem = make()
    solution = solved(problem, start=zero(problem), solver=solver)
    assert (solution.status, solution.steps, solution.escapes) == (Status.CONVERGED, 0, 0)
    assert ufm.certify(problem, solution.params).verdict.name == "STRICT_SADDLE"


def test_float32_leaves_the_saddle_too() -> None:
    problem = make()
    solution = solved(problem, 1e-6, "float32", start=zero(problem))
    assert solution.status is Status.CONVERGED
    assert solution.escapes >= 1
    assert solution.value < 0.2


def test_the_last_recorded_point_is_the_solution() -> None:
    problem = make()
    for gtol in (1e-12, 1e-3, 0.2):
        solution = solved(problem, gtol, start=zero(problem), record=[0])
        assert solution.trajectory is not None
        assert solution.trajectory.value[-1] == solution.value
        np.testing.assert_array_equal(solution.trajectory.params.W[-1], solution.params.W)
        assert np.all(np.diff(solution.trajectory.steps) > 0)


@pytest.mark.parametrize("scale", [1e6, 1e-6])
@pytest.mark.parametrize("loss", [ufm.CrossEntropy(), ufm.MSE()], ids=["ce", "mse"])
def test_far_and_near_starts(loss: Any, scale: float) -> None:
    problem = make(loss=loss)
    solution = solved(problem, start=ufm.random_start(problem, 0, scale))
    assert solution.status is Status.CONVERGED


def test_very_imbalanced_classes() -> None:
    assert solved(make(n=(1000, 1, 1))).status is Status.CONVERGED


@pytest.mark.parametrize(("w", "h"), [(1e6, 1e-6), (1e-6, 1e6), (1e-12, 1.0), (1e3, 1e-9)])
@pytest.mark.parametrize("loss", [ufm.CrossEntropy(), ufm.MSE()], ids=["ce", "mse"])
def test_decays_in_ratio_1e12(loss: Any, w: float, h: float) -> None:
    assert solved(make(loss=loss, lam_W=w, lam_H=h)).status is Status.CONVERGED


@pytest.mark.parametrize("solver", [ufm.TrustRegion(), ufm.LBFGS(), ufm.FirstOrder(SGD, rate=0.1)])
def test_max_steps_says_what_to_do(solver: Any) -> None:
    solution = solved(make(), solver=solver, max_steps=2)
    assert solution.status is Status.MAX_STEPS
    assert solution.steps == 2
    assert "max_steps=2" in solution.message
    assert "raise" in solution.message


def test_continuing_from_params_reaches_what_one_solve_reaches() -> None:
    problem = make()
    first = solved(problem, max_steps=4)
    second = solved(problem, start=first.params)
    assert (first.status, second.status) == (Status.MAX_STEPS, Status.CONVERGED)


def test_stalled_in_float32_says_float64() -> None:
    problem = make(K=4, n=7, d=5, lam_W=10.0, lam_H=1e-6, loss=ufm.MSE())
    solution = solved(problem, 1.2e-7, "float32", start=ufm.random_start(problem, 0, 1e3))
    assert solution.status is Status.STALLED
    assert "dtype='float64'" in solution.message


def kinked(Z: Any, Y: Any) -> Any:
    return jnp.sum(jnp.sqrt(jnp.abs(Z - Y) + 1e-300), axis=0)


@pytest.mark.parametrize("solver", [ufm.TrustRegion(), ufm.LBFGS()], ids=["trust region", "L-BFGS"])
def test_stalled_at_a_kink_blames_the_loss_not_the_digits(solver: Any) -> None:
    """A gradient of order one that no step shrinks is not a matter of digits, and raising gtol is no advice."""
    solution = solved(make(loss=kinked), solver=solver, max_steps=2000)
    assert solution.status is Status.STALLED
    assert solution.grad_norm > 0.1
    assert "no more digits" not in solution.message
    assert "loss" in solution.message


def test_stalled_with_equal_decays_does_not_advise_equal_decays() -> None:
    problem = make(lam_W=1e-12, lam_H=1e-12, loss=ufm.MSE())
    solution = solved(problem)
    if solution.status is Status.STALLED:
        assert "lam_W = lam_H" not in solution.message


def falls_forever(Z: Any, Y: Any) -> Any:
    return -jnp.sum(Z**4, axis=0)


@pytest.mark.parametrize("solver", [ufm.TrustRegion(), ufm.FirstOrder(SGD, rate=0.1)], ids=["trust region", "SGD"])
def test_an_unbounded_loss_never_converges_and_the_message_says_so(solver: Any) -> None:
    start = ufm.random_start(make(loss=falls_forever), 0, 3.0)
    solution = solved(make(loss=falls_forever), start=start, solver=solver, max_steps=2000)
    assert solution.status is not Status.CONVERGED
    if solution.status is Status.STALLED:
        assert any(words in solution.message for words in ("unbounded", "diverge", "check the loss"))


def nan_everywhere(Z: Any, Y: Any) -> Any:
    return jnp.sum((Z - Y) ** 2, axis=0) * jnp.nan


def nan_value_only(Z: Any, Y: Any) -> Any:
    return jnp.sum(Z**2, axis=0) + jax.lax.stop_gradient(jnp.nan)


def nan_gradient_only(Z: Any, Y: Any) -> Any:
    return jnp.sqrt(jnp.sum(Z**2, axis=0))


def nan_inside(Z: Any, Y: Any) -> Any:
    return jnp.where(jnp.sum(Z**2, axis=0) < 1.0, jnp.nan, jnp.sum((Z - Y) ** 2, axis=0))


def test_nan_at_the_start() -> None:
    solution = solved(make(loss=nan_everywhere))
    assert (solution.status, solution.steps) == (Status.NONFINITE, 0)
    assert "not finite at the start" in solution.message
    assert "start elsewhere" in solution.message.lower()


@pytest.mark.parametrize("loss", [nan_value_only, nan_gradient_only])
def test_nan_in_the_value_or_the_gradient_alone(loss: Any) -> None:
    problem = make(loss=loss)
    solution = solved(problem, start=zero(problem))
    assert solution.status is Status.NONFINITE


def test_nan_in_mid_run_of_the_dynamics() -> None:
    problem = make(loss=nan_inside)
    start = ufm.random_start(problem, 0, 3.0)
    solution = solved(problem, start=start, solver=ufm.FirstOrder(SGD, rate=0.1), record=range(100))
    assert solution.status is Status.NONFINITE
    assert 0 < solution.steps < 100
    assert "lower the step size, or check the loss" in solution.message.lower()
    assert solution.trajectory is not None
    assert np.isfinite(solution.trajectory.value[:-1]).all()
    assert solution.trajectory.steps[-1] == solution.steps


@pytest.mark.parametrize("solver", [ufm.TrustRegion(), ufm.LBFGS()], ids=["trust region", "L-BFGS"])
def test_a_search_that_meets_nan_stays_finite_and_does_not_blame_the_digits(solver: Any) -> None:
    problem = make(loss=nan_inside)
    solution = solved(problem, start=ufm.random_start(problem, 0, 3.0), solver=solver)
    assert solution.status is Status.STALLED
    assert np.isfinite(solution.value)
    assert solution.grad_norm > 0.1
    assert "no more digits" not in solution.message


def test_a_step_too_long_diverges_by_name() -> None:
    solution = solved(make(loss=ufm.MSE()), solver=ufm.FirstOrder(SGD, rate=50.0))
    assert solution.status is Status.NONFINITE
    assert "lower the step size" in solution.message.lower()


def test_overflow_at_the_start_is_nonfinite() -> None:
    problem = make()
    start = ufm.random_start(problem)._replace(W=np.full((3, 4), 1e200))
    solution = solved(problem, start=start, solver=ufm.LBFGS())
    assert (solution.status, solution.steps) == (Status.NONFINITE, 0)


def test_a_critical_start_is_returned_as_given() -> None:
    """A minimum is a minimum wherever it lies: a free bias shifts by any constant at no cost."""
    problem = make(lam_b=0.0)
    minimum = solved(problem).params
    start = minimum._replace(b=minimum.b + 1e3)
    assert reference(problem, start).grad_norm < 1e-12
    solution = solved(problem, start=start)
    assert (solution.status, solution.steps, solution.escapes) == (Status.CONVERGED, 0, 0)
    np.testing.assert_array_equal(solution.params.W, start.W)
    np.testing.assert_array_equal(solution.params.b, start.b)


@pytest.mark.parametrize("solver", [ufm.TrustRegion(), ufm.LBFGS(), ufm.FirstOrder(SGD, rate=0.1)])
def test_the_trajectory_begins_at_the_start(solver: Any) -> None:
    problem = make()
    start = ufm.random_start(problem, 0, 100.0)
    solution = solved(problem, start=start, solver=solver, record=[0], max_steps=3)
    assert solution.trajectory is not None
    np.testing.assert_array_equal(solution.trajectory.params.W[0], start.W)


@pytest.mark.parametrize("value", [np.float64(0.3), 1], ids=["float64", "int"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_solver_numbers_of_any_type(value: Any, dtype: str) -> None:
    gtol = 1e-6 if dtype == "float32" else 1e-12
    solver = ufm.TrustRegion(radius=value, forcing=value)
    assert solved(make(), gtol, dtype, solver=solver).status is Status.CONVERGED
    first_order = ufm.FirstOrder(SGD, rate=value)
    assert solved(make(), gtol, dtype, solver=first_order, max_steps=5).status is Status.MAX_STEPS


SAME = [
    {"n": np.int64(2)},
    {"K": np.int64(3), "d": np.int32(4)},
    {"lam_W": np.float64(1e-2), "lam_H": np.array(1e-2), "lam_b": np.array(1e-2)},
]


@pytest.mark.parametrize("changes", SAME, ids=["n", "K and d", "0-d arrays"])
def test_numpy_numbers_mean_what_python_numbers_mean(changes: dict[str, Any]) -> None:
    assert_identical(ufm.solve(make(**changes)), ufm.solve(make()))


@pytest.mark.parametrize("sizes", [[1, 2, 3], np.array([1, 2, 3])], ids=["list", "array"])
def test_class_sizes_as_a_sequence(sizes: Any) -> None:
    assert_identical(ufm.solve(make(n=sizes)), ufm.solve(make(n=(1, 2, 3))))


def assert_identical(a: Any, b: Any) -> None:
    """Every field but the clock, bit for bit."""
    for name, value in vars(a).items():
        other = getattr(b, name)
        if name.endswith("seconds") or name == "reduction":
            continue
        leaves, others = jax.tree.leaves(value), jax.tree.leaves(other)
        assert len(leaves) == len(others)
        assert all(np.array_equal(x, y) for x, y in zip(leaves, others, strict=True)), name


SOLVERS = [ufm.TrustRegion(), ufm.LBFGS(), ufm.FirstOrder(SGD, rate=0.1, max_steps=20)]


@pytest.mark.parametrize("solver", SOLVERS, ids=["trust region", "L-BFGS", "SGD"])
def test_same_seed_same_bits(solver: Any) -> None:
    once, again = (ufm.solve(make(), key=3, solver=solver, reduce=False) for _ in range(2))
    assert_identical(once, again)
    with jax.enable_x64(True):
        assert_identical(once, ufm.solve(make(), key=3, solver=solver, reduce=False))
    other = ufm.solve(make(), key=4, solver=solver, reduce=False)
    assert not np.array_equal(once.params.W, other.params.W)


def test_a_jax_key_is_a_seed() -> None:
    assert_identical(ufm.solve(make(), key=jax.random.key(5)), ufm.solve(make(), key=jax.random.key(5)))


def test_both_precisions_see_the_same_start() -> None:
    at = [ufm.solve(make(), gtol=1e3, dtype=x, solver=ufm.LBFGS()).params.W for x in ("float64", "float32")]
    np.testing.assert_array_equal(at[0].astype(np.float32), at[1])


def stop(_: Any) -> None:
    raise KeyboardInterrupt


PUBLIC: dict[str, Callable[[], Any]] = {
    "solve": lambda: ufm.solve(make()),
    "solve float32": lambda: ufm.solve(make(), dtype="float32"),
    "certify": lambda: ufm.certify(make(), ufm.random_start(make())),
    "hessian_spectrum": lambda: ufm.hessian_spectrum(make(), ufm.random_start(make())),
    "random_start": lambda: ufm.random_start(make()),
    "etf_start": lambda: ufm.etf_start(make()),
    "perturb": lambda: ufm.perturb(make(), ufm.random_start(make())),
    "interrupted": lambda: ufm.solve(make(), progress=stop),
    "bad problem": lambda: ufm.solve(make(K=1)),
    "bad loss": lambda: ufm.solve(make(loss=lambda Z, Y: 1 / 0)),
    "bad transformation": lambda: ufm.solve(make(), solver=ufm.FirstOrder(None)),  # pyright: ignore[reportArgumentType]
    "bad point": lambda: ufm.certify(make(), None),
}


def configuration() -> dict[str, Any]:
    return dict(jax.config.values)


@pytest.mark.parametrize("name", PUBLIC)
def test_no_global_setting_changes(name: str) -> None:
    before, x = configuration(), jnp.ones(2) * 1.5
    with contextlib.suppress(TypeError, ValueError, AttributeError, KeyboardInterrupt):
        PUBLIC[name]()
    assert configuration() == before
    assert not before["jax_enable_x64"]
    assert before["jax_default_matmul_precision"] is None
    assert (x * 2).dtype == jnp.float32


def test_importing_changes_no_setting() -> None:
    code = (
        "import jax, warnings; before = dict(jax.config.values); import ufm; "
        "assert dict(jax.config.values) == before; assert not jax.config.jax_enable_x64; "
        "assert not jax._src.xla_bridge.backends_are_initialized()"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_results_are_numpy_float64() -> None:
    problem = make()
    solution = ufm.solve(problem, record=[0, 3])
    assert solution.trajectory is not None
    assert solution.trajectory.steps.dtype.kind == "i"
    arrays = [*solution.params, solution.trajectory.value, solution.trajectory.grad_norm, *solution.trajectory.params]
    arrays += [*ufm.random_start(problem), *ufm.etf_start(problem), *ufm.perturb(problem, solution.params)]
    arrays += [ufm.hessian_spectrum(problem, solution.params), *ufm.certify(problem, solution.params).escape]
    assert all(type(x) is np.ndarray and x.dtype == np.float64 for x in arrays)


def test_certificates_hold_python_numbers() -> None:
    certificate = ufm.certify(make(), ufm.random_start(make()))
    for name in ("value", "grad_norm", "balance", "dual_ratio", "lower_bound", "gap", "smallest_eigenvalue"):
        assert type(getattr(certificate, name)) is float, name


def test_a_problem_is_a_pytree() -> None:
    problem = make(loss=ufm.CrossEntropy(0.1))
    leaves, structure = jax.tree.flatten(problem)
    assert leaves == [1e-2, 1e-2, 1e-2, 0.1]
    back = jax.tree.unflatten(structure, leaves)
    fields = [getattr(back, f.name) for f in dataclasses.fields(back) if f.name not in ("loss", "model")]
    assert fields == [3, 2, 4, *leaves[:3], None, False]
    assert jax.tree.structure(back) == structure
    assert len(jax.tree.leaves(make(lam_b=None))) == 3
    hollow = jax.tree.unflatten(structure, [None] * 4)  # placeholders, as transformations use them
    assert jax.tree.structure(hollow) != structure


def test_the_objective_under_jit_vmap_and_grad() -> None:
    problem, params = make(), ufm.random_start(make())
    lams = np.array([1e-3, 1e-2, 1.0])
    with jax.enable_x64(True):
        value = jax.jit(lambda p, x: p.objective(x))
        batch = dataclasses.replace(problem, lam_W=jnp.asarray(lams))
        axes = dataclasses.replace(problem, lam_W=0, lam_H=None, lam_b=None, loss=ufm.CrossEntropy(None))
        together = jax.vmap(value, in_axes=(axes, None))(batch, params)
        slope = jax.grad(lambda lam: dataclasses.replace(problem, lam_W=lam).objective(params))(1e-2)
        alone = float(value(problem, params))
    expected = [reference(make(lam_W=lam), params).value for lam in lams]
    np.testing.assert_allclose(together, expected, rtol=1e-14)
    np.testing.assert_allclose(alone, expected[1], rtol=1e-14)
    np.testing.assert_allclose(slope, np.sum(params.W**2) / 2, rtol=1e-14)


def test_one_compilation_serves_a_sweep() -> None:
    sizes = {"K": 4, "n": (3, 2, 1, 1), "d": 3}  # of no other test
    sweep = [
        {"lam_W": 2e-2},
        {"lam_W": np.float64(3e-2), "lam_H": np.float32(1e-2)},
        {"lam_H": 1, "lam_b": 0},
        {"lam_b": 0.0},
        {"lam_W": jnp.asarray(1e-2)},
        {"loss": ufm.CrossEntropy(0.2)},
        {"loss": ufm.CrossEntropy(np.float64(0.3))},
    ]
    with compilations() as counted:
        ufm.solve(make(**sizes), reduce=False)
        assert counted.count == 1
        for changes in sweep:
            ufm.solve(make(**sizes, **changes), key=len(changes), reduce=False)
        problem = make(**sizes)
        for radius in (0.1, np.float64(0.2), 1, np.float32(0.3)):
            ufm.solve(problem, solver=ufm.TrustRegion(radius=radius, forcing=radius, max_steps=7), reduce=False)
        ufm.solve(problem, start=ufm.etf_start(problem), gtol=1e-5, max_steps=3, record=range(3))
        twenty = ufm.TrustRegion(max_products=20)
        ufm.solve(problem, key=jax.random.key(1), gtol=np.float64(1e-9), solver=twenty, reduce=False)
        assert counted.count == 1


def test_the_rate_of_a_first_order_method_is_swept_without_recompiling() -> None:
    problem, transformation = make(K=4, n=(3, 2, 1, 1), d=3), optax.sgd(1.0, momentum=0.5)
    with compilations() as counted:
        values = [
            ufm.solve(problem, solver=ufm.FirstOrder(transformation, rate=rate), max_steps=5).value
            for rate in (0.1, 0.2, np.float64(0.3), np.float32(0.4), 1)
        ]
    assert counted.count == 1
    assert len(set(values)) == 5


def test_a_wrong_mode_does_compile_again() -> None:
    """The counter counts: another bias mode is another program."""
    sizes = {"K": 4, "n": (2, 2, 1, 1), "d": 3}
    with compilations() as counted:
        ufm.solve(make(**sizes), reduce=False)
        ufm.solve(make(**sizes, lam_b=None), reduce=False)
    assert counted.count == 2
