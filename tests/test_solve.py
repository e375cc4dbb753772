"""The driver and the solvers: convergence, escape, faithful dynamics, recording, one compilation per sweep."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compilations import compilations
from dense_oracle import Dense

import ufm
from theory import cross_entropy, mse
from ufm.precision import exact

SMALL: dict[str, Any] = {"K": 4, "n": 10, "d": 8}
BIAS = [None, 0.0, 1e-2]


def _expected(problem):
    theory = mse if isinstance(problem.loss, ufm.MSE) else cross_entropy
    sizes = {name: getattr(problem, name) for name in ("K", "n", "d", "lam_W", "lam_H", "lam_b")}
    return theory.global_minimum(**sizes).value


@pytest.mark.parametrize("loss", [ufm.CrossEntropy(), ufm.MSE()], ids=["CE", "MSE"])
@pytest.mark.parametrize("lam_b", BIAS)
def test_every_start_converges_to_the_certified_global_minimum(loss, lam_b):
    rng = np.random.default_rng(0)
    for key in range(12):
        lam_W, lam_H = 10 ** rng.uniform(np.log10(5e-4), np.log10(5e-2), size=2)
        problem = ufm.Problem(**SMALL, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b, loss=loss)
        solution = ufm.solve(problem, key=key)
        certificate = ufm.certify(problem, solution.params)
        assert solution.status is ufm.Status.CONVERGED
        assert certificate.grad_norm <= 1.01e-12
        assert certificate.verdict is ufm.Verdict.GLOBAL_MINIMUM
        assert certificate.gap <= 1e-12 * (1 + solution.value)
        assert abs(solution.value - _expected(problem)) <= 1e-13


@pytest.mark.parametrize(("K", "n", "d", "gtol"), [(10, 50, 20, 1e-12), (10, 10, 9, 1e-12), (100, 10, 110, 1e-10)])
def test_larger_sizes(K, n, d, gtol):
    problem = ufm.Problem(K=K, n=n, d=d, lam_W=5e-4, lam_H=5e-3, lam_b=1e-2)
    solution = ufm.solve(problem, gtol=gtol)
    certificate = ufm.certify(problem, solution.params)
    assert solution.status is ufm.Status.CONVERGED
    assert certificate.verdict is ufm.Verdict.GLOBAL_MINIMUM
    assert certificate.nullity == certificate.symmetry == (K - 1) * (2 * d - K) // 2
    assert abs(solution.value - _expected(problem)) <= 1e-13


@pytest.mark.parametrize("scale", [1e-6, 10.0, 1e3])
def test_any_scale_of_the_start(scale):
    problem = ufm.Problem(**SMALL, lam_W=5e-3, lam_H=5e-3, lam_b=1e-2)
    for key in range(5):
        solution = ufm.solve(problem, start=ufm.random_start(problem, key, scale))
        assert solution.status is ufm.Status.CONVERGED
        assert solution.value == pytest.approx(_expected(problem), abs=1e-13)


def test_the_report_of_a_solve_is_recomputed_at_its_point():
    problem = ufm.Problem(K=3, n=(5, 3, 1), d=3, lam_W=2e-3, lam_H=9e-3, lam_b=0.0)
    solution = ufm.solve(problem, gtol=1e-10, reduce=False)
    dense = Dense("ce", (5, 3, 1), 2e-3, 9e-3, 0.0)
    assert solution.value == pytest.approx(dense.value(*solution.params), rel=1e-14)
    assert solution.grad_norm == pytest.approx(np.max(np.abs(dense.gradient(*solution.params))), abs=1e-16)
    assert all(isinstance(x, np.ndarray) and x.dtype == np.float64 for x in solution.params)


def test_a_saddle_is_left_and_first_order_dynamics_stay():
    problem = ufm.Problem(**SMALL, lam_W=5e-3, lam_H=5e-3, lam_b=1e-2)
    zero = jax.tree.map(np.zeros_like, ufm.random_start(problem))
    newton = ufm.solve(problem, start=zero)
    assert newton.escapes >= 1
    assert newton.value == pytest.approx(_expected(problem), abs=1e-13)
    descent = ufm.solve(problem, start=zero, solver=ufm.FirstOrder(optax.sgd(0.1)))
    assert (descent.status, descent.steps, descent.escapes) == (ufm.Status.CONVERGED, 0, 0)
    assert ufm.certify(problem, descent.params).verdict is ufm.Verdict.STRICT_SADDLE


@pytest.mark.parametrize("loss", [ufm.CrossEntropy(0.1), ufm.MSE()], ids=["smoothed", "MSE"])
@pytest.mark.parametrize("lam_b", BIAS)
def test_lbfgs_reaches_the_same_minimum(loss, lam_b):
    problem = ufm.Problem(**SMALL, lam_W=5e-4, lam_H=5e-2, lam_b=lam_b, loss=loss)
    for key in range(5):
        solution = ufm.solve(problem, key=key, solver=ufm.LBFGS(), gtol=1e-11)
        assert solution.status is ufm.Status.CONVERGED
        assert ufm.certify(problem, solution.params).verdict is ufm.Verdict.GLOBAL_MINIMUM


def test_first_order_follows_the_algorithm_exactly():
    """Gradient descent with momentum against ten lines of NumPy."""
    problem = ufm.Problem(K=3, n=2, d=4, lam_W=1e-2, lam_H=2e-2, lam_b=0.1)
    dense = Dense("ce", (2, 2, 2), 1e-2, 2e-2, 0.1)
    start = ufm.random_start(problem, key=7)
    solution = ufm.solve(
        problem, start=start, solver=ufm.FirstOrder(optax.sgd(0.5, momentum=0.9)), max_steps=25, record=range(26)
    )
    x = np.concatenate([np.ravel(block) for block in start])
    velocity = np.zeros_like(x)
    shapes = [block.shape for block in start]
    ends = np.cumsum([block.size for block in start])[:-1]
    assert solution.trajectory is not None
    for t in range(26):
        blocks = [part.reshape(shape) for part, shape in zip(np.split(x, ends), shapes, strict=True)]
        recorded = np.concatenate([np.ravel(block[t]) for block in solution.trajectory.params])
        np.testing.assert_allclose(recorded, x, atol=1e-13)
        assert solution.trajectory.value[t] == pytest.approx(dense.value(*blocks), rel=1e-13)
        velocity = 0.9 * velocity + dense.gradient(*blocks)
        x = x - 0.5 * velocity
    assert (solution.status, solution.steps) == (ufm.Status.MAX_STEPS, 25)
    assert "raise it, or go on from params" in solution.message


def test_rate_scales_the_update_and_any_transformation_works():
    problem = ufm.Problem(K=3, n=2, d=4, lam_W=1e-2, lam_H=1e-2)
    start = ufm.random_start(problem)
    one = ufm.solve(problem, start=start, solver=ufm.FirstOrder(optax.sgd(0.3)), max_steps=50)
    two = ufm.solve(problem, start=start, solver=ufm.FirstOrder(optax.sgd(1.0), rate=0.3), max_steps=50)
    np.testing.assert_allclose(one.params.W, two.params.W, atol=1e-14)
    searched = ufm.solve(problem, start=start, solver=ufm.FirstOrder(optax.lbfgs()), gtol=1e-9, max_steps=500)
    assert searched.status is ufm.Status.CONVERGED


def test_recording_keeps_the_asked_steps_and_the_last():
    problem = ufm.Problem(K=3, n=2, d=4, lam_W=1e-2, lam_H=1e-2)
    solution = ufm.solve(problem, solver=ufm.FirstOrder(optax.adam(0.02)), max_steps=1000, record=[0, 1, 10, 100, 5000])
    trajectory = solution.trajectory
    assert trajectory is not None
    assert trajectory.steps.tolist() == [0, 1, 10, 100, solution.steps]
    assert trajectory.params.W.shape == (5, 3, 4)
    assert trajectory.params.b is None
    np.testing.assert_array_equal(trajectory.params.H[-1], solution.params.H)
    assert trajectory.value[-1] == solution.value
    assert ufm.solve(problem).trajectory is None


def test_recording_does_not_change_the_iteration():
    problem = ufm.Problem(K=3, n=2, d=4, lam_W=1e-2, lam_H=1e-2, lam_b=0.0)
    plain = ufm.solve(problem, key=2, reduce=False)
    recorded = ufm.solve(problem, key=2, record=range(100))
    np.testing.assert_array_equal(plain.params.W, recorded.params.W)
    assert plain.steps == recorded.steps


def test_rounding_on_the_zero_modes_does_not_stall_the_last_step():
    """Conjugate gradients asked for too much follow rounding there: the step is no descent, however short it is cut."""
    sizes = (200, 150, 100, 70, 50, 30, 20, 10, 5, 2)
    problem = ufm.Problem(10, sizes, 20, 1e-3, 1e-3, 1e-3)
    solution = ufm.solve(problem, start=ufm.random_start(problem, 14, 1e-6))
    assert solution.status is ufm.Status.CONVERGED


def test_progress_is_reported():
    problem = ufm.Problem(K=3, n=2, d=4, lam_W=1e-2, lam_H=1e-2)
    seen = []
    ufm.solve(problem, solver=ufm.FirstOrder(optax.sgd(0.1)), max_steps=500, progress=seen.append)
    assert [p.steps for p in seen] == sorted({p.steps for p in seen})
    assert seen[-1].steps == 500


def test_one_compilation_serves_a_sweep():
    """Decays, bias decay (free or not), smoothing, seeds, tolerances and solver settings are all leaves."""
    sizes: dict[str, Any] = {"K": 3, "n": 4, "d": 5}
    ufm.solve(ufm.Problem(**sizes, lam_W=1e-2, lam_H=1e-2, lam_b=0.1), reduce=False)
    problem = ufm.Problem(**sizes, lam_W=1e-2, lam_H=2e-2, lam_b=0.0)
    transformation = optax.sgd(1.0)
    with compilations() as counted:
        for i, lam in enumerate([1e-3, 3e-3, 2e-2, np.float64(0.1), np.float32(0.01)]):
            loss = ufm.CrossEntropy(0.1 * i)
            problem = ufm.Problem(**sizes, lam_W=lam, lam_H=2 * lam, lam_b=[0.0, 1.0, 1e-4, 0, 5][i], loss=loss)
            solver = ufm.TrustRegion(radius=0.1 * (i + 1), forcing=0.1 / (i + 1), max_products=100 + i)
            ufm.solve(problem, key=i, gtol=1e-9 / (i + 1), max_steps=100 + i, solver=solver, reduce=False)
        assert counted.count == 0
        for rate in (0.1, 0.2, 0.3):
            ufm.solve(problem, solver=ufm.FirstOrder(transformation, rate=rate), max_steps=10)
        assert counted.count == 1


def test_float32_starts_at_the_same_point_and_says_what_it_reached():
    problem = ufm.Problem(**SMALL, lam_W=5e-3, lam_H=5e-3, lam_b=1e-2)
    double = ufm.solve(problem, key=3, max_steps=1, record=[0])
    single = ufm.solve(problem, key=3, max_steps=1, record=[0], dtype="float32")
    assert double.trajectory is not None
    assert single.trajectory is not None
    np.testing.assert_array_equal(single.trajectory.params.W[0], double.trajectory.params.W[0].astype(np.float32))
    solution = ufm.solve(problem, key=3, dtype="float32")
    assert solution.status is ufm.Status.CONVERGED
    assert solution.params.W.dtype == np.float32
    certificate = ufm.certify(problem, solution.params, gtol=2e-6)
    assert certificate.grad_norm <= 2e-6
    assert certificate.gap <= 1e-9


LARGE = ufm.Problem(10, 12, 10, 1e-3, 2e-3, 1e-2)  # 12,000 multiplications in its logits


@pytest.mark.parametrize(
    "problem", [LARGE, ufm.Problem(10, 12, 12, model=ufm.normalized(5.0))], ids=["flat", "spheres"]
)
def test_products_in_float32_cost_no_digit(problem):
    """Steps need three digits of the Hessian; value and gradient are of float64 all along."""
    point = ufm.random_start(problem, 0)
    rough, fine = (ufm.solve(problem, start=point, solver=ufm.TrustRegion(single=single)) for single in (True, False))
    for solution in (rough, fine):
        assert solution.status is ufm.Status.CONVERGED
        assert ufm.certify(problem, solution.params).grad_norm <= 1e-12
    assert rough.value == pytest.approx(fine.value, abs=4e-16)
    assert rough.evaluations <= 1.2 * fine.evaluations


def test_only_products_of_large_problems_are_in_float32():
    small = ufm.Problem(10, 1, 10, 1e-3, 1e-3)
    with exact():
        for problem, solver, single in (
            (LARGE, ufm.TrustRegion(), True),
            (LARGE, ufm.TrustRegion(single=False), False),
            (small, ufm.TrustRegion(), False),
        ):
            state = solver.init(problem, jax.tree.map(jnp.asarray, ufm.random_start(problem)))
            text = str(jax.make_jaxpr(solver.step)(problem, state))
            assert ("f32[" in text) == single
            assert jax.tree.leaves(state.iterate)[0].dtype == jnp.float64


def test_where_float32_overflows_products_go_back_to_float64():
    """Values near 1e40: the first step is no number, and the solve goes on without float32."""
    Y = 1e20 * np.random.default_rng(0).standard_normal((10, 120))
    problem = ufm.Problem(10, 1, 10, 1e17, 1e17, loss=ufm.MSE(), targets=Y)
    start = ufm.random_start(problem, 0, 1e10)
    rough, fine = (
        ufm.solve(problem, start=start, gtol=1e17, solver=ufm.TrustRegion(single=single)) for single in (True, False)
    )
    assert rough.status is fine.status is ufm.Status.CONVERGED
    assert rough.value == pytest.approx(fine.value, rel=1e-12)


def test_same_seed_same_digits():
    problem = ufm.Problem(**SMALL, lam_W=5e-3, lam_H=5e-3, lam_b=1e-2)
    first, second = (ufm.solve(problem, key=5, reduce=False) for _ in range(2))
    for one, two in zip(first.params, second.params, strict=True):
        np.testing.assert_array_equal(one, two)
    other = ufm.solve(problem, key=jax.random.key(5), reduce=False)
    assert not np.array_equal(first.params.W, other.params.W)


def test_starting_points():
    problem = ufm.Problem(K=4, n=(3, 1, 2, 1), d=5, lam_W=1e-2, lam_H=1e-2, lam_b=0.1)
    etf = ufm.etf_start(problem, scale=2.0)
    np.testing.assert_allclose(etf.W @ etf.W.T, 4.0 * (np.eye(4) * 4 / 3 - 1 / 3), atol=1e-14)
    np.testing.assert_allclose(etf.H, np.repeat(etf.W.T, problem.sizes, axis=1))
    moved = ufm.perturb(problem, etf, key=1, scale=1e-3)
    assert 0 < np.max(np.abs(moved.W - etf.W)) < 1e-2
    big, small = ufm.random_start(problem, 1, 10.0), ufm.random_start(problem, 1, 1.0)
    np.testing.assert_allclose(big.H, 10 * small.H)
