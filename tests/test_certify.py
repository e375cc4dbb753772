"""Certificates against dense oracles: weak duality, tightness, spectra, escapes, verdicts."""

import contextlib
import importlib

import jax.numpy as jnp
import numpy as np
import pytest
from dense_oracle import Dense

import ufm
from theory import NotApplicable, cross_entropy, mse
from ufm.certify.duality import local_bound
from ufm.certify.escape import escape_direction
from ufm.certify.lanczos import smallest_eigenpair
from ufm.certify.point import Point, examine
from ufm.certify.relaxation import lower_bound

BIAS = [None, 0.0, 1e-2, 0.3]


def _random_problem(rng, K, loss, lam_b):
    sizes = tuple(int(n) for n in rng.integers(1, 6, size=K)) if rng.random() < 0.5 else int(rng.integers(1, 4))
    lam_W, lam_H = 10 ** rng.uniform(-4, -0.5, size=2)
    return ufm.Problem(K=K, n=sizes, d=int(rng.integers(1, K + 3)), lam_W=lam_W, lam_H=lam_H, lam_b=lam_b, loss=loss)


def _theory(problem):
    sizes = {name: getattr(problem, name) for name in ("K", "n", "d", "lam_W", "lam_H", "lam_b")}
    if isinstance(problem.loss, ufm.MSE):
        return mse.global_minimum(**sizes).value
    return cross_entropy.global_minimum(**sizes, smoothing=problem.loss.smoothing).value


def test_weak_duality_at_ten_thousand_points():
    """No bound exceeds f at any point of the same problem, nor the closed form f* where there is one.

    The points of one problem share their minimum, so every bound is set against every value: 560 problems, 18 points
    each, at all scales. Points of Point's fields are computed by the oracle in NumPy: nothing compiles.
    """
    rng = np.random.default_rng(1)
    worst, count = -np.inf, 0
    for trial in range(560):
        K = int(rng.integers(2, 9))
        lam_b = BIAS[trial % 4]
        smoothing = float(rng.choice([0.0, 0.1, 0.5]))
        loss = ufm.MSE() if trial % 3 == 0 else ufm.CrossEntropy(smoothing)
        problem = _random_problem(rng, K, loss, lam_b)
        dense = Dense(
            "mse" if trial % 3 == 0 else "ce",
            problem.sizes,
            problem.lam_W,
            problem.lam_H,
            lam_b,
            0.0 if trial % 3 == 0 else smoothing,
        )
        points = []
        for scale in 10.0 ** rng.uniform(-3, 1, size=18):
            params = ufm.random_start(problem, int(rng.integers(2**31)), float(scale))
            points.append(_oracle_point(dense, params))
        bounds = np.array([local_bound(problem, point).value for point in points])
        ceiling = min(point.value for point in points)
        with contextlib.suppress(NotApplicable):
            ceiling = min(ceiling, _theory(problem))
        count += len(bounds)
        worst = max(worst, float(np.max(bounds) - ceiling) / (1 + abs(ceiling)))
    assert count >= 10_000
    assert worst <= 1e-14


def _oracle_point(dense, params):
    W, H, b = params
    scores = W @ H if b is None else W @ H + b[:, None]
    flat = dense.gradient(*params)
    parts = np.split(flat, np.cumsum([x.size for x in params if x is not None])[:-1])
    grad = ufm.Params(parts[0].reshape(W.shape), parts[1].reshape(H.shape), None if b is None else parts[2])
    return Point(params, dense.value(*params), grad, grad, W @ H, dense._residual(scores)[1])


@pytest.mark.parametrize("loss", [ufm.CrossEntropy(), ufm.CrossEntropy(0.1), ufm.MSE()], ids=["CE", "smoothed", "MSE"])
@pytest.mark.parametrize("lam_b", BIAS)
def test_the_gap_is_second_order(loss, lam_b):
    """gap / (f - f*) stays below 1.2 for f - f* from 1e-12 to 1e-2, imbalance included; and it is never below 1."""
    problem = ufm.Problem(K=3, n=(6, 3, 1), d=4, lam_W=6e-3, lam_H=6e-4, lam_b=lam_b, loss=loss)
    solution = ufm.solve(problem, key=1)
    best = ufm.certify(problem, solution.params)
    assert best.gap <= 2e-14
    rng = np.random.default_rng(0)
    used = 0
    for scale in 10.0 ** np.arange(-6.5, -0.4, 0.5):
        point = examine(
            problem, ufm.perturb(problem, solution.params, key=int(rng.integers(2**31)), scale=float(scale))
        )
        excess = point.value - best.value
        if 1e-12 < excess < 1e-2:
            used += 1
            gap = point.value - lower_bound(problem, point).value
            assert excess - 1e-14 <= gap <= 1.2 * excess
    assert used >= 8


def _logsumexp_loss(Z, Y):
    return jnp.log(jnp.sum(jnp.exp(Z), axis=0)) - jnp.sum(Y * Z, axis=0)


def test_bounds_of_the_literature_hold_and_are_weaker():
    """T14 alone, for a loss whose conjugate is not known: valid, first order, and closed at the minimum."""
    given = {"K": 4, "n": 3, "d": 6, "lam_W": 5e-3, "lam_H": 5e-3, "lam_b": 1e-2}
    ours = ufm.Problem(**given)
    user = ufm.Problem(**given, loss=ufm.UserLoss(_logsumexp_loss, convex=True, shift_invariant=True))
    solution = ufm.solve(user, key=1)
    certificate = ufm.certify(user, solution.params)
    assert certificate.bound_method == "first-order (T14)"
    assert certificate.verdict is ufm.Verdict.GLOBAL_MINIMUM
    away = ufm.perturb(user, solution.params, scale=1e-2)
    loose = examine(user, away).value - local_bound(user, examine(user, away)).value
    tight = examine(ours, away).value - local_bound(ours, examine(ours, away)).value
    assert tight < loose
    assert ufm.certify(user, away).gap >= examine(user, away).value - solution.value - 1e-14


def test_no_bound_is_claimed_without_convexity():
    problem = ufm.Problem(K=3, n=2, d=4, lam_W=1e-2, lam_H=1e-2, loss=lambda Z, Y: jnp.sum(jnp.sin(Z) + Z**2, axis=0))
    certificate = ufm.certify(problem, ufm.solve(problem).params)
    assert certificate.lower_bound == -np.inf
    assert certificate.gap == np.inf
    assert "no lower bound" in certificate.reason


def test_below_rank_the_bound_is_valid_but_cannot_close():
    """Honest about d < rank Z*: the global minimum at d = 2 lies above the convex form's."""
    problem = ufm.Problem(K=5, n=1, d=2, lam_W=0.05, lam_H=0.05, lam_b=0.1)
    values = set()
    for key in range(12):
        certificate = ufm.certify(problem, ufm.solve(problem, key=key).params)
        assert certificate.verdict is ufm.Verdict.LOCAL_MINIMUM
        assert (certificate.index, certificate.nullity, certificate.symmetry) == (0, 1, 1)
        assert certificate.gap > 0.1
        values.add(round(certificate.value, 10))
    assert values == {0.9384730852, 0.9691060506}  # T6: a pentagon, and a spurious local minimum
    full = ufm.Problem(K=5, n=1, d=4, lam_W=0.05, lam_H=0.05, lam_b=0.1)
    assert certificate.lower_bound == pytest.approx(_theory(full), abs=1e-13)


@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("lam_b", [None, 0.0, 0.2])
@pytest.mark.parametrize("sizes", [(3, 3, 3), (4, 2, 1)])
def test_structured_spectra_equal_dense_ones(loss, lam_b, sizes):
    """At a solution and at random collapsed points (the block structure needs no criticality)."""
    instance = ufm.MSE() if loss == "mse" else ufm.CrossEntropy()
    problem = ufm.Problem(K=3, n=sizes, d=5, lam_W=2e-2, lam_H=5e-3, lam_b=lam_b, loss=instance)
    dense = Dense(loss, sizes, 2e-2, 5e-3, lam_b)
    rng = np.random.default_rng(0)
    W = rng.standard_normal((3, 2)) @ rng.standard_normal((2, 5))
    low_rank = ufm.Params(W, np.zeros((5, sum(sizes))), None if lam_b is None else rng.standard_normal(3))
    inside = np.linalg.qr(low_rank.W.T)[0][:, :2] @ rng.standard_normal((2, 3))
    low_rank = low_rank._replace(H=np.repeat(inside, sizes, axis=1))
    for params in (ufm.solve(problem).params, low_rank, ufm.Params(*[None if x is None else 0 * x for x in low_rank])):
        expected = np.linalg.eigvalsh(dense.hessian(*params))
        found = ufm.certify(problem, params)
        assert found.spectrum is not None
        assert found.curvature_method.startswith("exact block structure")
        np.testing.assert_allclose(found.spectrum, expected, atol=1e-13 * expected[-1])
    generic = ufm.random_start(problem, 5)
    np.testing.assert_allclose(
        ufm.hessian_spectrum(problem, generic), np.linalg.eigvalsh(dense.hessian(*generic)), atol=1e-13
    )


def test_lanczos_agrees_with_the_structured_spectrum(monkeypatch):
    """The route of large problems, forced on a small one: smallest eigenvalue, index and nullity."""
    curvature = importlib.import_module("ufm.certify.curvature")
    problem = ufm.Problem(K=6, n=(3, 3, 3, 3, 3, 3), d=9, lam_W=5e-3, lam_H=2e-3, lam_b=0.0)
    saddle = ufm.Params(np.zeros((6, 9)), np.zeros((9, 18)), np.zeros(6))
    for params in (ufm.solve(problem).params, saddle):
        exact = ufm.certify(problem, params)
        with monkeypatch.context() as patch:
            patch.setattr(curvature, "DENSE", 1)
            found = ufm.certify(problem, params)
            assert "Lanczos" in found.curvature_method  # computed here, under the patch
        assert found.spectrum is None
        assert found.smallest_eigenvalue == pytest.approx(exact.smallest_eigenvalue, abs=1e-10)
        assert found.verdict is exact.verdict
        if exact.index == 0:
            assert (found.index, found.nullity) == (exact.index, exact.nullity)


def test_the_spectrum_is_computed_when_it_is_asked_for(monkeypatch):
    """A gap that closes needs none; a number of the second order needs it once."""
    module = importlib.import_module("ufm.certify.second")
    calls, original, escape = [], module.curvature, module.escape_direction
    monkeypatch.setattr(module, "curvature", lambda *args: calls.append(1) or original(*args))
    monkeypatch.setattr(module, "escape_direction", lambda *args: calls.append("escape") or escape(*args))
    problem = ufm.Problem(K=3, n=2, d=4, lam_W=5e-3, lam_H=2e-3, lam_b=0.01)
    found = ufm.certify(problem, ufm.solve(problem).params)
    assert found.verdict is ufm.Verdict.GLOBAL_MINIMUM
    assert not calls
    assert found.nullity == found.symmetry
    assert found.smallest_eigenvalue >= -found.curvature_tolerance
    assert len(calls) == 1
    assert found.escape_curvature == pytest.approx(found.escape_predicted, rel=1e-9)
    assert calls == [1, "escape"]
    saddle = ufm.certify(problem, ufm.Params(np.zeros((3, 4)), np.zeros((4, 6)), np.zeros(3)), gtol=1.0)
    assert saddle.verdict is ufm.Verdict.STRICT_SADDLE
    assert len(calls) == 4


def test_lanczos_on_a_known_matrix():
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((200, 200)))[0]
    values = np.concatenate([[-2.0, -1.9], np.linspace(0, 10, 198)])
    A = (Q * values) @ Q.T
    pair = smallest_eigenpair(lambda x: A @ x, 200)
    assert pair.value == pytest.approx(-2.0, abs=1e-9)
    assert abs(pair.value + 2.0) <= pair.residual + 1e-12
    np.testing.assert_allclose(np.abs(pair.vector @ Q[:, 0]), 1.0, atol=1e-6)
    pair = smallest_eigenpair(lambda x: A @ x, 200, project=lambda x: x - Q[:, :2] @ (Q[:, :2].T @ x))
    assert pair.value == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize(("lam_W", "lam_H"), [(5e-3, 5e-3), (1e-3, 2e-2)])
@pytest.mark.parametrize("lam_b", [None, 0.0, 0.1])
@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_the_escape_is_an_exact_eigenvector(loss, lam_b, lam_W, lam_H):
    """T5 at the origin with the optimal bias: Hess v = mu v, and mu is the smallest eigenvalue."""
    instance = ufm.MSE() if loss == "mse" else ufm.CrossEntropy()
    problem = ufm.Problem(K=3, n=4, d=5, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b, loss=instance)
    b = None if lam_b is None else np.full(3, 1 / (3 * (1 + lam_b)) if loss == "mse" else 0.0)
    origin = ufm.Params(np.zeros((3, 5)), np.zeros((5, 12)), b)
    escape = escape_direction(problem, examine(problem, origin))
    hessian = Dense(loss, (4, 4, 4), lam_W, lam_H, lam_b).hessian(*origin)
    v = np.concatenate([np.ravel(x) for x in escape.direction if x is not None])
    assert np.linalg.norm(v) == pytest.approx(1.0, abs=1e-14)
    assert np.max(np.abs(hessian @ v - escape.predicted * v)) <= 1e-15
    assert escape.curvature == pytest.approx(escape.predicted, abs=1e-15)
    assert escape.predicted == pytest.approx(np.linalg.eigvalsh(hessian)[0], abs=1e-15)
    certificate = ufm.certify(problem, origin)
    assert certificate.verdict is ufm.Verdict.STRICT_SADDLE
    assert certificate.index == int(np.sum(np.linalg.eigvalsh(hessian) < -1e-10))


def test_first_order_identities():
    """T1 at a solution; away from it the numbers are what their formulas say."""
    problem = ufm.Problem(K=3, n=(4, 2, 1), d=5, lam_W=2e-2, lam_H=5e-3, lam_b=0.1)
    params = ufm.solve(problem).params
    solved = ufm.certify(problem, params)
    assert solved.balance <= 1e-13
    assert abs(solved.nuclear_excess) <= 1e-13
    assert solved.dual_ratio == pytest.approx(1.0, abs=1e-10)
    other = ufm.random_start(problem, 2)
    certificate = ufm.certify(problem, other)
    W, H, _ = other
    assert certificate.balance == pytest.approx(np.linalg.norm(2e-2 * W.T @ W - 5e-3 * H @ H.T))
    nuclear = np.linalg.norm(W @ H, "nuc")
    assert certificate.nuclear_excess == pytest.approx(1e-2 * np.sum(W**2) + 2.5e-3 * np.sum(H**2) - 1e-2 * nuclear)
    assert certificate.nuclear_excess >= 0
    assert certificate.grad_norm == max(certificate.grad_W, certificate.grad_H, certificate.grad_b)
    assert certificate.verdict is ufm.Verdict.NOT_CRITICAL
    assert certificate.gap >= certificate.value - solved.value - 1e-14


def test_verdicts_do_not_depend_on_rotation_or_relabelling():
    problem = ufm.Problem(K=3, n=2, d=5, lam_W=2e-2, lam_H=5e-3, lam_b=0.0)
    params = ufm.solve(problem).params
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    order, columns = [1, 2, 0], [2, 3, 4, 5, 0, 1]
    moved = ufm.Params(params.W[order] @ rotation, rotation.T @ params.H[:, columns], params.b[order] + 3.0)
    one, two = ufm.certify(problem, params), ufm.certify(problem, moved)
    assert one.verdict is two.verdict is ufm.Verdict.GLOBAL_MINIMUM
    assert (one.nullity, one.symmetry) == (two.nullity, two.symmetry) == (8, 8)  # 7 rotations and the free shift
    assert one.spectrum is not None
    assert two.spectrum is not None
    np.testing.assert_allclose(one.spectrum, two.spectrum, atol=1e-13)
    assert two.gap <= 1e-13


def test_degenerate_minima_are_named():
    """MSE at d < K without bias: a Grassmannian of minimisers (T9), more zero modes than rotations; still certified."""
    problem = ufm.Problem(K=4, n=2, d=2, lam_W=1e-2, lam_H=1e-2, loss=ufm.MSE())
    certificate = ufm.certify(problem, ufm.solve(problem).params)
    assert certificate.verdict is ufm.Verdict.GLOBAL_MINIMUM
    assert certificate.bound_method.startswith("singular values of the targets")
    assert certificate.nullity == certificate.symmetry + 2 * (4 - 2)
    user = ufm.Problem(K=4, n=2, d=2, lam_W=1e-2, lam_H=1e-2, loss=lambda Z, Y: jnp.sum((Z - Y) ** 2, axis=0) / 2)
    same = ufm.certify(user, ufm.solve(user).params)
    assert same.verdict is ufm.Verdict.DEGENERATE
    assert "5 zero modes, of which only 1 are symmetries" in same.reason


def test_a_point_near_the_origin_is_still_a_saddle():
    """Where W and H are 3e-9, the gradient's share in the tolerance must not swallow the spectrum."""
    problem = ufm.Problem(K=4, n=1, d=3, lam_W=0.05, lam_H=0.05, lam_b=1e-2)
    near = ufm.random_start(problem, key=0, scale=3e-9)
    certificate = ufm.certify(problem, near._replace(b=np.zeros(4)))
    assert certificate.verdict is ufm.Verdict.STRICT_SADDLE
    assert certificate.curvature_tolerance < 1e-3
