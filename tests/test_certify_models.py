"""Certificates of every model: bounds that hold at any point and close at every closed form, spectra, escapes, text."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import theory
import ufm
from ufm import Verdict, models
from ufm.certify.bounds import local_bound
from ufm.certify.point import Point, examine
from ufm.certify.slack import slack_bound, slack_matrix
from ufm.precision import exact
from ufm.spaces import Budget, Euclidean, Fixed, Nonnegative, Spheres
from ufm.verify.predict import predict

SIZES = (2, 1, 1)
SETS, SET_SIZES = ufm.label_sets(3, {1: 2, 2: 1})
TARGETS = np.random.default_rng(7).standard_normal((3, 4))


def logistic(Z, Y):
    """A convex loss whose conjugate nobody gave: a logistic loss for every logit."""
    return jnp.sum(jax.nn.softplus(jnp.where(Y > 0, -Z, Z)), axis=0)


USER = ufm.UserLoss(logistic, convex=True)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def problem(
    d: int, loss: Any, W: Any, H: Any, tau: Any = None, lam_b: float | None = None, **kwargs: Any
) -> ufm.Problem:
    """K = 3; decays where the spaces ask for them, drawn from kwargs' rng."""
    rng = kwargs.pop("rng")
    lam_W = log_uniform(rng, 3e-3, 0.3) if W.decays else None
    lam_H = log_uniform(rng, 3e-3, 0.3) if H.decays else None
    sizes = kwargs.pop("n", SIZES)
    return ufm.Problem(3, sizes, d, lam_W, lam_H, lam_b, loss, models.Bilinear(W, H, tau), **kwargs)


def gram(H: Any, rng: np.random.Generator) -> ufm.Problem:
    lam_H = log_uniform(rng, 1e-2, 1.0) if H.decays else None
    return ufm.Problem(
        3, (3, 2, 2), 3, None, lam_H, loss=ufm.SupCon(), model=models.Gram(H, log_uniform(rng, 0.3, 3.0))
    )


def classifier(rng: np.random.Generator) -> Fixed:
    return Fixed(rng.standard_normal((3, 4)))


# Every route to a bound, with every kind of loss on it; each draws its numbers, which recompile nothing.
FAMILIES: dict[str, Callable[[np.random.Generator], ufm.Problem]] = {
    "decays, tau": lambda r: problem(2, ufm.CrossEntropy(0.1), Euclidean(), Euclidean(), r.uniform(0.5, 3), 0.0, rng=r),
    "label sets": lambda r: problem(
        2, ufm.PickAllLabel(), Euclidean(), Euclidean(), None, 0.0, rng=r, n=SET_SIZES, targets=SETS
    ),
    "label sets, spheres": lambda r: problem(
        4, ufm.PickAllLabel(), Spheres(), Spheres(2.0), r.uniform(1, 9), 0.0, rng=r, n=SET_SIZES, targets=SETS
    ),
    "regression": lambda r: problem(
        2, ufm.MSE(), Euclidean(), Euclidean(), None, 0.1, rng=r, n=1, targets=r.standard_normal((3, 4))
    ),
    "rescaled": lambda r: problem(
        4, ufm.RescaledMSE(r.uniform(0.5, 5), r.uniform(0.5, 5)), Euclidean(), Euclidean(), None, 0.1, rng=r
    ),
    "user's": lambda r: problem(4, USER, Euclidean(), Euclidean(), 2.0, 0.1, rng=r),
    "spheres": lambda r: problem(4, ufm.CrossEntropy(), Spheres(0.7), Spheres(2.0), r.uniform(0.5, 9), rng=r),
    "spheres, MSE, free bias": lambda r: problem(4, ufm.MSE(), Spheres(), Spheres(), r.uniform(0.1, 0.4), 0.0, rng=r),
    "unit features": lambda r: problem(4, ufm.CrossEntropy(), Euclidean(), Spheres(), r.uniform(0.5, 5), 0.05, rng=r),
    "unit classifier": lambda r: problem(4, ufm.RescaledMSE(2.0, 1.0), Spheres(), Euclidean(), 2.0, 0.05, rng=r),
    "budgets": lambda r: problem(4, ufm.CrossEntropy(), Budget(r.uniform(0.3, 2)), Budget(r.uniform(1, 9)), rng=r),
    "sphere and budget": lambda r: problem(4, USER, Spheres(), Budget(r.uniform(0.3, 3)), 1.5, 0.05, rng=r),
    "decay and budget": lambda r: problem(4, ufm.MSE(), Euclidean(), Budget(r.uniform(0.01, 0.2)), 1.5, 0.05, rng=r),
    "fixed": lambda r: problem(4, ufm.CrossEntropy(), classifier(r), Euclidean(), 1.5, 0.0, rng=r),
    "fixed, spheres": lambda r: problem(4, ufm.DotRegression(2.0), classifier(r), Spheres(r.uniform(0.5, 3)), rng=r),
    "fixed, budget": lambda r: problem(4, ufm.MSE(), classifier(r), Budget(r.uniform(0.1, 3)), None, 0.1, rng=r),
    "fixed, relu": lambda r: problem(4, ufm.CrossEntropy(), classifier(r), Nonnegative(), rng=r),
    "relu": lambda r: problem(4, ufm.CrossEntropy(), Euclidean(), Nonnegative(), rng=r),
    "relu, bias": lambda r: problem(4, ufm.RescaledMSE(2.0, 1.0), Euclidean(), Nonnegative(), 1.5, 0.0, rng=r),
    "relu, user's": lambda r: problem(2, USER, Euclidean(), Nonnegative(), rng=r),
    "focal": lambda r: problem(2, ufm.Focal(r.uniform(0, 5)), Euclidean(), Euclidean(), r.uniform(0.5, 2), rng=r, n=2),
    "focal, bias": lambda r: problem(4, ufm.Focal(r.uniform(0, 3)), Euclidean(), Nonnegative(), None, 0.0, rng=r, n=2),
    "contrastive": lambda r: gram(Spheres(1.5), r),
    "contrastive, budget": lambda r: gram(Budget(2.0), r),
    "contrastive, decay": lambda r: gram(Euclidean(), r),
}


def descent(instance: ufm.Problem, start: ufm.Params, steps: int) -> list[Point]:
    """Points on the way down by projected gradients with Barzilai-Borwein steps; every tenth, and the last."""
    here, step, kept = examine(instance, start), 0.1, []
    for k in range(steps):
        moved = [None if x is None else x - step * g for x, g in zip(here.params, here.grad, strict=True)]
        there = examine(instance, instance.project(ufm.Params(*moved)))
        if not there.value < here.value + 0.1 * abs(here.value):
            step /= 4
            continue
        s = np.concatenate([np.ravel(a - b) for a, b in zip(there.params, here.params, strict=True) if a is not None])
        y = np.concatenate([np.ravel(a - b) for a, b in zip(there.grad, here.grad, strict=True) if a is not None])
        step = float(np.clip(s @ s / max(abs(s @ y), 1e-300), 1e-3, 1e3))
        here = there
        kept += [here] if k % 10 == 0 else []
    return [*kept, here]


@pytest.mark.parametrize("name", FAMILIES)
def test_weak_duality(name):
    """No bound from any point exceeds f at any other point of the same problem, near its minimum or far from it."""
    rng = np.random.default_rng(len(name))
    worst, finite = -np.inf, 0
    for _ in range(3):
        instance = FAMILIES[name](rng)
        points = [examine(instance, ufm.random_start(instance, key, 10.0 ** rng.uniform(-1, 1))) for key in range(12)]
        points += descent(instance, points[0].params, 60)
        bounds = np.array([local_bound(instance, point).value for point in points])
        ceiling = min(point.value for point in points)
        worst = max(worst, float(np.max(bounds)) - ceiling)
        finite += int(np.sum(bounds > 0.0))
    assert worst <= 1e-15
    assert finite >= 1  # not vacuous


def closed_form(instance: ufm.Problem) -> ufm.Params:
    """A minimiser with the Gram matrices and logits that theory states."""
    stated = predict(instance).quantities
    d = instance.d
    if not instance.model.classifier:
        values, vectors = np.linalg.eigh(stated["gram_M"])
        M = np.zeros((d, instance.K))
        rank = min(d, instance.K)
        M[:rank] = (vectors * np.sqrt(np.maximum(values, 0.0))).T[::-1][:rank]
        return instance.project(ufm.Params(None, np.repeat(M, instance.sizes, axis=1), None))
    model: Any = instance.model
    if isinstance(model.W, Fixed):
        W = np.asarray(model.W.value)
    else:
        values, vectors = np.linalg.eigh(stated["gram_W"])
        rank = min(d, instance.K)
        W = np.zeros((instance.K, d))
        W[:, :rank] = (vectors * np.sqrt(np.where(values > 1e-12 * values[-1], values, 0.0)))[:, ::-1][:, :rank]
    M = np.linalg.pinv(W, rcond=1e-10) @ stated["logits"] / float(instance.tau)
    return instance.project(ufm.Params(W, np.repeat(M, instance.sizes, axis=1), stated.get("b")))


ETF = theory.frames.simplex_etf(3, 4)
COUNTED, COUNTED_SIZES = ufm.label_sets(4, {1: 2, 2: 3})
CLOSED = {
    "1.1": ufm.Problem(3, (3, 3, 3), 4, model=ufm.normalized(5.0)),
    "1.1, d = K - 1": ufm.Problem(4, 2, 3, model=ufm.normalized(2.0)),
    "3.6": ufm.Problem(3, 2, 4, model=ufm.layer_peeled(0.7, 3.0)),
    "3.4": ufm.Problem(3, (4, 4, 1), 3, 5e-3, 2e-2),
    "4": ufm.Problem(4, COUNTED_SIZES, 5, 5e-3, 2e-3, None, ufm.PickAllLabel(), targets=COUNTED),
    "5": ufm.Problem(3, 3, 3, model=ufm.contrastive(0.5), loss=ufm.SupCon()),
    "8, sphere": ufm.Problem(3, (3, 2, 1), 4, model=ufm.fixed_classifier(ETF, Spheres(2.0))),
    "8, decay": ufm.Problem(3, (3, 2, 1), 4, None, 1e-2, model=ufm.fixed_classifier(ETF)),
    "8, dot regression": ufm.Problem(
        3, (3, 2, 1), 4, loss=ufm.DotRegression(2.0), model=ufm.fixed_classifier(ETF, Spheres(2.0))
    ),
    "T11": ufm.Problem(3, 2, 3, 5e-3, 2e-2, 0.1, ufm.RescaledMSE(5.0, 3.0)),
    "T11, no bias": ufm.Problem(3, 2, 3, 5e-3, 2e-2, None, ufm.RescaledMSE(0.5, 3.0)),
    "T12": ufm.Problem(4, 3, 4, 5e-3, 2e-2, None, ufm.Focal(2.0)),
    "T13": ufm.Problem(4, 3, 4, 5e-3, 2e-2, 0.0, ufm.Focal(1.0)),
    "T13, origin": ufm.Problem(4, 3, 4, 0.2, 0.2, 0.1, ufm.Focal(1.0)),
}


@pytest.mark.parametrize("name", CLOSED)
def test_the_gap_closes_at_every_closed_form(name):
    instance = CLOSED[name]
    point = examine(instance, closed_form(instance))
    assert point.value == pytest.approx(predict(instance).quantities["value"], abs=2e-15)
    assert point.grad_norm <= 1e-14
    bound = local_bound(instance, point)
    assert -1e-16 <= point.value - bound.value <= 3e-14


@pytest.mark.parametrize("name", ["1.1", "3.6", "5", "8, sphere"])
def test_known_minima_are_certified(name):
    """The whole certificate: global, zero modes counted against the orbit, nothing below zero."""
    instance = CLOSED[name]
    found = ufm.certify(instance, closed_form(instance))
    assert found.verdict is Verdict.GLOBAL_MINIMUM
    assert found.bound_method in found.reason
    assert "optimal" not in found.reason + found.curvature_method
    assert (found.index, found.nullity) == (0, found.symmetry)
    assert found.smallest_eigenvalue >= -found.curvature_tolerance
    assert np.isnan([found.balance, found.nuclear_excess, found.dual_ratio]).all()
    assert np.isnan(found.grad_W) == (not instance.model.classifier)
    assert np.isnan(found.grad_b)


def test_the_spectrum_on_spheres_is_the_closed_form():
    """All eigenvalues with multiplicities (merged groups and deviations), and those of the slack matrix (1.3 iv)."""
    K, n, d, tau = 3, 3, 4, 5.0
    instance = CLOSED["1.1"]
    params = closed_form(instance)
    expected = theory.spheres.minimum_spectrum(K=K, n=n, d=d, tau=tau)
    values = np.sort(np.repeat(expected.values, expected.multiplicities))
    found = ufm.certify(instance, params)
    assert found.curvature_method.startswith("exact block structure")
    assert found.spectrum is not None
    np.testing.assert_allclose(found.spectrum, values, atol=1e-15)
    q = tau / (K - 1 + np.exp(tau * K / (K - 1)))
    slack = np.repeat([0.0, q / n, q, q * (1 + 1 / n)], [K - 1, K * n - K + 1, 1, K - 1])
    np.testing.assert_allclose(np.linalg.eigvalsh(slack_matrix(instance, examine(instance, params))), slack, atol=1e-15)


def tangent_hessian(instance: ufm.Problem, params: ufm.Params, h: float = 1e-5) -> np.ndarray:
    """Eigenvalues on the tangent space, from central differences of the gradient along projected curves."""
    at = examine(instance, params)

    def pack(point):
        return np.concatenate([np.ravel(x) for x in point if x is not None])

    def unpack(x):
        blocks, start = [], 0
        for block in params:
            blocks.append(None if block is None else x[start : start + block.size].reshape(block.shape))
            start += 0 if block is None else block.size
        return ufm.Params(*blocks)

    def tangent(x):
        return pack(instance.tangent(params, at.ambient, unpack(x)))

    size = len(pack(params))
    values, vectors = np.linalg.eigh(np.array([tangent(e) for e in np.eye(size)]))
    basis = vectors[:, values > 0.5]

    def slope(v, t):
        moved = instance.project(unpack(pack(params) + t * v))
        return tangent(pack(examine(instance, moved).grad))

    columns = np.array([(slope(v, h) - slope(v, -h)) / (2 * h) for v in basis.T]).T
    H = basis.T @ columns
    return np.linalg.eigvalsh((H + H.T) / 2)


HESSIANS = ["spheres", "sphere and budget", "fixed, relu", "contrastive, budget"]


@pytest.mark.parametrize("name", HESSIANS)
def test_spectra_equal_differences_of_the_gradient(name):
    """At a random collapsed point and at a random one: the Riemannian Hessian needs no criticality."""
    instance = FAMILIES[name](np.random.default_rng(3))
    scattered = ufm.random_start(instance, 4)
    if isinstance(instance.model.H, Nonnegative):  # at zero a difference would leave the space
        scattered = scattered._replace(H=scattered.H + 0.1)
    assert_differences_agree(instance, scattered, "dense")
    if instance.model.classifier:
        first = np.concatenate([[0], np.cumsum(instance.sizes)[:-1]])
        collapsed = instance.project(scattered._replace(H=np.repeat(scattered.H[:, first], instance.sizes, axis=1)))
        method = "exact block structure" if instance.rotates else "merged groups"
        assert_differences_agree(instance, collapsed, method)


def assert_differences_agree(instance: ufm.Problem, params: ufm.Params, method: str) -> None:
    found = ufm.hessian_spectrum(instance, params)
    expected = tangent_hessian(instance, params)
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, expected, atol=1e-8 * (1 + np.max(np.abs(expected))))
    certificate = ufm.certify(instance, params)
    assert certificate.curvature_method.startswith(method)
    assert certificate.smallest_eigenvalue == found[0]


def polygon(K: int, d: int) -> np.ndarray:
    """[K, d] a regular polygon in the first two coordinates."""
    angles = 2 * np.pi * np.arange(K) / K
    return np.pad(np.stack([np.cos(angles), np.sin(angles)], axis=1), [(0, 0), (0, d - 2)])


def test_a_saddle_on_spheres_is_recognised_and_left():
    """A square, K = 4, d = 5: critical, and the negative eigenvalue of the slack matrix is the Hessian's."""
    W = polygon(4, 5)
    instance = ufm.Problem(4, 2, 5, model=ufm.normalized(3.0))
    square = ufm.Params(W, np.repeat(W.T, 2, axis=1), None)
    found = ufm.certify(instance, square)
    assert found.verdict is Verdict.STRICT_SADDLE
    assert found.escape_curvature == pytest.approx(found.escape_predicted, abs=1e-15)
    assert found.escape_predicted == pytest.approx(
        np.linalg.eigvalsh(slack_matrix(instance, examine(instance, square)))[0], abs=1e-15
    )
    assert found.escape_predicted == pytest.approx(found.smallest_eigenvalue, abs=1e-15)
    assert found.spectrum is not None
    assert np.min(np.abs(found.spectrum - found.escape_predicted)) <= 1e-15
    assert sum(np.sum(x**2) for x in found.escape if x is not None) == pytest.approx(1.0, abs=1e-14)
    value = theory.spheres.global_minimum(K=4, n=2, d=5, tau=3.0).quantities["value"]
    assert found.lower_bound == pytest.approx(value, abs=1e-12)  # d > K: the semidefinite relaxation is the problem
    solution = ufm.solve(instance, start=square)
    assert solution.escapes >= 1
    assert solution.value == pytest.approx(value, abs=1e-14)


def test_a_spurious_local_minimum_on_spheres_is_not_called_global():
    """1.4: K = 3, d = 2 = K - 1, tau = 15. Another start finds the closed form."""
    instance = ufm.Problem(3, 3, 2, model=ufm.normalized(15.0))
    value = theory.spheres.global_minimum(K=3, n=3, d=2, tau=15.0).quantities["value"]
    found = ufm.certify(instance, ufm.solve(instance, key=3, reduce=False).params)
    assert found.verdict is Verdict.LOCAL_MINIMUM
    assert found.value == pytest.approx(0.30328, abs=1e-5)
    assert (found.index, found.nullity, found.symmetry) == (0, 1, 1)
    assert found.lower_bound == pytest.approx(value, abs=1e-13)
    best = ufm.certify(instance, ufm.solve(instance, key=0, reduce=False).params)
    assert best.verdict is Verdict.GLOBAL_MINIMUM
    assert best.value == pytest.approx(value, abs=1e-14)


def test_imbalance_on_spheres():
    """1.4: (4, 2, 1), tau = 3 is not an ETF; the semidefinite value is attained."""
    instance = ufm.Problem(3, (4, 2, 1), 2, model=ufm.normalized(3.0))
    found = ufm.certify(instance, ufm.solve(instance).params)
    assert found.verdict is Verdict.GLOBAL_MINIMUM
    assert found.value == pytest.approx(0.0205238955, abs=1e-10)
    etf = closed_form(ufm.Problem(3, 1, 2, model=ufm.normalized(3.0)))
    away = ufm.certify(instance, etf._replace(H=np.repeat(etf.H, (4, 2, 1), axis=1)))
    assert away.value == pytest.approx(0.0219747695, abs=1e-10)
    assert away.lower_bound == pytest.approx(found.value, abs=1e-12)


def test_relu_features():
    """3.7, unequal classes: certified by the copositive bound; the local minima beside it are not called global."""
    instance = ufm.Problem(3, (4, 2, 1), 4, 1e-2, 1e-2, model=ufm.relu_features())
    value = theory.relu_features.global_minimum(K=3, n=(4, 2, 1), d=4, lam_W=1e-2, lam_H=1e-2).quantities["value"]
    best = ufm.best_found(instance, starts=8)
    assert best.certificate.verdict is Verdict.GLOBAL_MINIMUM
    assert best.solution.value == pytest.approx(value, abs=1e-13)
    assert "3.7" in best.certificate.bound_method
    assert str(best).startswith("global minimum: f = ")
    beside = ufm.certify(instance, ufm.solve(instance, key=0).params)
    assert beside.verdict is Verdict.LOCAL_MINIMUM
    assert beside.value > value + 0.1
    assert (beside.index, beside.nullity, beside.symmetry) == (0, 2, 2)
    assert "face" in beside.curvature_method
    assert beside.lower_bound == pytest.approx(value, abs=1e-12)
    dead = ufm.Params(np.zeros((3, 4)), np.zeros((4, 7)), None)
    origin = ufm.certify(instance, dead)
    assert origin.verdict is Verdict.DEGENERATE
    assert "28 features at zero have a zero multiplier" in origin.reason


@pytest.mark.parametrize("name", ["fixed, spheres", "budgets"])
def test_a_point_away_from_the_minimum_gets_the_bound_of_the_relaxation(name):
    """It does not depend on the point, and no solve is below it."""
    instance = FAMILIES[name](np.random.default_rng(1))
    bounds = [ufm.certify(instance, ufm.random_start(instance, key)).lower_bound for key in (1, 2)]
    value = ufm.solve(instance).value
    assert bounds[0] == pytest.approx(bounds[1], abs=1e-12)
    assert value - 1e-12 <= bounds[0] <= value + 1e-15


def test_a_budget_that_f_would_rather_not_use_up():
    """MSE with a large budget: the constrained minimum has a negative multiplier, which the reason says."""
    instance = ufm.Problem(3, 2, 4, loss=ufm.MSE(), model=ufm.layer_peeled(1.0, 4.0))
    W = np.sqrt(1.0) * np.eye(3, 4)
    point = ufm.Params(W, 2.0 * np.repeat(W.T, 2, axis=1), None)
    found = ufm.certify(instance, point)
    assert found.grad_norm <= 1e-15
    assert found.verdict is not Verdict.GLOBAL_MINIMUM
    assert "negative multiplier" in found.reason
    assert "optimal" not in found.reason


def test_isolated_points_have_no_spectrum():
    instance = ufm.Problem(3, 2, 1, model=ufm.normalized(2.0))
    found = ufm.certify(instance, ufm.random_start(instance))
    assert np.isnan([found.smallest_eigenvalue, found.escape_curvature]).all()
    assert found.spectrum is not None
    assert len(found.spectrum) == 0
    assert found.verdict is Verdict.LOCAL_MINIMUM
    assert found.gap > 0.1


def test_decays_with_tau_have_the_spectrum_of_the_scaled_problem():
    """tau W H with decays is W H with lam_W / tau^2, in other coordinates; here against differences of the gradient."""
    instance = FAMILIES["decays, tau"](np.random.default_rng(2))
    params = ufm.random_start(instance, 1)
    np.testing.assert_allclose(ufm.hessian_spectrum(instance, params), tangent_hessian(instance, params), atol=1e-8)
    collapsed = params._replace(H=np.repeat(params.H[:, [0, 2, 3]], SIZES, axis=1))
    found = ufm.certify(instance, collapsed)
    assert found.curvature_method.startswith("exact block structure")
    assert found.spectrum is not None
    np.testing.assert_allclose(found.spectrum, tangent_hessian(instance, collapsed), atol=1e-8)
    tau = float(instance.tau)
    plain = ufm.Problem(3, SIZES, 2, instance.lam_W / tau**2, instance.lam_H, 0.0, ufm.CrossEntropy(0.1))
    same = ufm.certify(plain, collapsed._replace(W=tau * collapsed.W))
    for name in ("value", "dual_ratio", "lower_bound", "nuclear_excess"):
        assert getattr(found, name) == pytest.approx(getattr(same, name), abs=1e-13)


def test_a_free_bias_without_a_conjugate_has_no_bound():
    for model, lam_H in ((ufm.normalized(2.0), None), (ufm.fixed_classifier(ETF), 0.1), (ufm.relu_features(), 0.1)):
        lam_W = 0.1 if model.W.decays else None
        instance = ufm.Problem(3, SIZES, 4, lam_W, lam_H, 0.0, USER, model)
        bound = local_bound(instance, examine(instance, ufm.random_start(instance)))
        assert bound.value <= 0.0  # the loss is not negative, and nothing else


@pytest.mark.parametrize("name", HESSIANS)
def test_the_written_gradient_is_the_derivative_of_the_objective(name):
    instance = FAMILIES[name](np.random.default_rng(5)).astype(np.float64)
    with exact():
        point = ufm.random_start(instance, 6)
        value, gradient = instance.value_and_gradient(point)
        expected, derivative = jax.value_and_grad(instance.objective)(point)
        leaves = zip(jax.tree.leaves(gradient), jax.tree.leaves(derivative), strict=True)
        assert abs(value - expected) <= 4e-16 * (1 + abs(expected))
        for one, other in leaves:
            np.testing.assert_allclose(one, other, atol=1e-14 * (1 + np.max(np.abs(other))))


def test_many_variables_on_spheres_are_judged_by_the_slack_matrix():
    """Nothing of the Hessian is below it: no negative eigenvalue at the minimum, and no such claim beside a saddle."""
    instance = ufm.Problem(33, 1, 34, model=ufm.normalized(20.0))
    etf = ufm.etf_start(instance)
    found = ufm.certify(instance, etf)
    assert found.verdict is Verdict.GLOBAL_MINIMUM
    assert "slack matrix" in found.curvature_method
    assert (found.smallest_eigenvalue, found.index, found.nullity) == (0.0, 0, None)
    saddle = instance.project(etf._replace(H=-etf.H))
    turned = ufm.certify(instance, saddle)
    assert turned.grad_norm <= 1e-14
    assert turned.verdict is Verdict.STRICT_SADDLE
    assert turned.index is None


@pytest.mark.parametrize("model", [ufm.normalized(4.0), ufm.layer_peeled(2.0, 3.0)], ids=["spheres", "budgets"])
def test_classes_alike_have_the_better_bound(model):
    """The mean over the permutations of the classes: no worse than the point's own slack matrix, and below f*."""
    alike = ufm.Problem(K=4, n=2, d=5, lam_b=0.01, model=model)
    asked = dataclasses.replace(alike, targets=np.eye(4))  # the same, but nobody says that the classes are alike
    minimum = ufm.solve(alike)
    lowest = minimum.value
    for key in range(20):
        params = ufm.perturb(alike, minimum.params, key, scale=10.0 ** -(key % 5))
        mean, own = (slack_bound(problem, examine(problem, params)).value for problem in (alike, asked))
        assert own - 1e-13 <= mean <= lowest + 1e-14
    near = examine(alike, ufm.perturb(alike, minimum.params, 0, scale=1e-6))
    assert lowest - slack_bound(alike, near).value < 1e-11 < lowest - slack_bound(asked, near).value
