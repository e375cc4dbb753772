"""DeepLinear and DeepReLU through Problem, solve, certify, collapse, compare: against NumPy and against each other."""

import dataclasses
import re

import jax
import numpy as np
import pytest
from deep_oracle import Deep

import theory
import ufm
from theory import deep_landscape, depth, schatten, srg
from ufm.certify.curvature import curvature
from ufm.certify.deep import deep_bound
from ufm.certify.kinks import kinks
from ufm.certify.point import examine, hessian_operator
from ufm.reduction import lift_params, merge, merge_params
from ufm.solve import default_solver
from ufm.verify.predict import predict

SETTING = {"K": 3, "n": (3, 2, 2), "d": 4, "lam_W": (0.01, 0.02, 0.015), "lam_H": 0.01}


def linear(loss=None, **changes):
    model = changes.pop("model", ufm.DeepLinear((3, 5)))
    return ufm.Problem(**{**SETTING, "model": model, "loss": loss or ufm.MSE(), **changes})


def oracle(problem):
    name = "mse" if isinstance(problem.loss, ufm.MSE) else "ce"
    relu = isinstance(problem.model, ufm.DeepReLU)
    dims = (problem.d, *problem.model.widths)
    return Deep(problem.sizes, dims, (*problem.lam_Ws, problem.lam_H), problem.lam_b, name, relu)


@pytest.mark.parametrize(
    ("model", "loss", "lam_b"),
    [
        (ufm.DeepLinear((3, 5)), ufm.MSE(), None),
        (ufm.DeepLinear((3, 5)), ufm.CrossEntropy(), 0.1),
        (ufm.DeepReLU((3, 5)), ufm.MSE(), 0.0),
        (ufm.DeepReLU((3, 5)), ufm.CrossEntropy(), None),
    ],
)
def test_value_gradient_and_hessian_against_numpy(model, loss, lam_b):
    problem = linear(loss, model=model, lam_b=lam_b)
    deep, params = oracle(problem), ufm.random_start(problem, 3, scale=1.3)
    x = deep.join(*params)
    value, gradient = deep.value_and_gradient(x)
    point = examine(problem, params)
    assert point.value == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(deep.join(*point.grad), gradient, atol=1e-14)
    product, dimension = hessian_operator(problem, params)
    assert dimension == problem.dimension() == x.size
    dense, unit = deep.hessian(*params), np.eye(dimension)[:7]
    # The operator's order of blocks is that of the pytree, which is the oracle's too.
    np.testing.assert_allclose([product(e) for e in unit], dense[:7], atol=2e-9)


@pytest.mark.parametrize(("model", "loss"), [(ufm.DeepLinear(()), ufm.CrossEntropy())])
def test_one_matrix_is_the_one_layer_model(model, loss):
    deep = ufm.Problem(3, 2, 4, 0.02, 0.01, 0.05, loss, model)
    flat = dataclasses.replace(deep, model=ufm.Bilinear())
    start = ufm.random_start(flat, 1)
    one = ufm.solve(flat, start=start)
    other = ufm.solve(deep, start=start._replace(W=(start.W,)))
    assert other.value == pytest.approx(one.value, rel=1e-13)
    a, b = ufm.certify(flat, one.params), ufm.certify(deep, other.params)
    assert a.verdict is b.verdict is ufm.Verdict.GLOBAL_MINIMUM
    np.testing.assert_allclose(np.array(b.spectrum), np.array(a.spectrum), atol=1e-10)
    assert (a.nullity, a.symmetry) == (b.nullity, b.symmetry)


@pytest.mark.parametrize("lam_b", [0.0, 0.2])
def test_linear_minima_are_certified_and_compare_with_theory(lam_b):
    problem = linear(n=2, lam_b=lam_b)
    best = ufm.best_found(problem, starts=6, key=1)
    certificate = best.certificate
    assert certificate.verdict is ufm.Verdict.GLOBAL_MINIMUM
    assert 0.0 <= certificate.gap <= 2e-14
    assert certificate.nullity == certificate.symmetry
    assert certificate.balance <= 1e-12
    comparison = ufm.compare(problem, best.solution.params, predict(problem), certificate=certificate)
    assert {row.name for row in comparison.rows} >= {"value", "W_sq", "H_sq", "gram_W", "gram_M", "logits", "nullity"}
    assert all(row.difference <= 1e-10 for row in comparison.rows)


@pytest.mark.parametrize("loss", [ufm.MSE(), ufm.CrossEntropy()])
@pytest.mark.parametrize("model", [ufm.DeepLinear((3, 2)), ufm.DeepReLU((3, 4))])
def test_the_bound_is_below_every_point_found(model, loss):
    """Any bias and class sizes: no random point is below the bound, and no descent (in NumPy) ends there."""
    for n, lam_b in ((2, None), (2, 0.0), (2, 0.3), ((4, 2, 1), None), ((4, 2, 1), 0.3)):
        problem = linear(loss, model=model, n=n, lam_b=lam_b)
        bound = deep_bound(problem)
        if loss.shift_invariant and lam_b is not None and n != 2:
            assert bound.value == -np.inf
            continue
        assert 0.0 < bound.value < 1.2
        deep = oracle(problem)
        for scale in (1e-3, 0.3, 1.0, 2.0):
            assert deep.value(*ufm.random_start(problem, 1, scale)) >= bound.value
        assert deep.descend(seed=1, starts=3)[0] >= bound.value


def test_the_nuclear_bound_by_brute_force():
    """min over z of the fit and the price of the sum, on a grid of sums."""
    problem = linear(model=ufm.DeepReLU((3, 4)), n=(4, 2, 1), lam_W=0.01)
    y, N, K = np.sqrt([4.0, 2.0, 1.0]), 7, 3
    z = np.maximum(y - np.linspace(0.0, 2.0, 400_001)[:, None], 0.0)
    least = np.min(np.sum((z - y) ** 2, axis=1) / (2 * N) + 2.0 * 0.01 * np.sqrt(np.sum(z, axis=1)))
    bound = deep_bound(problem)
    assert 0.0 <= least - bound.value <= 1e-9
    assert "not attained" in bound.method
    balanced = dataclasses.replace(problem, n=2)
    expected = theory.deep_relu.value_of_cost(G=float(K**2), n=2, lam_W=0.01, lam_H=0.01, L=3)
    assert deep_bound(balanced).value == pytest.approx(expected, abs=1e-13)


def test_the_margin_bound_is_theory_s_and_allows_for_smoothing():
    problem = linear(ufm.CrossEntropy(), n=2)
    expected = theory.deep_cross_entropy.lower_bound(K=3, n=2, lam_W=(0.01, 0.02, 0.015), lam_H=0.01, M=3)
    assert deep_bound(problem).value == pytest.approx(expected, abs=1e-13)
    one = ufm.Problem(3, 2, 3, (0.01,), 0.01, loss=ufm.CrossEntropy(0.2), model=ufm.DeepLinear(()))
    exact = theory.cross_entropy.global_minimum(K=3, n=2, d=3, lam_W=0.01, lam_H=0.01, smoothing=0.2).value
    # CrossEntropy is the whole of it: theory's value has no constant either.
    assert deep_bound(one).value == pytest.approx(exact, abs=1e-13)


def test_real_targets():
    """Regression through linear layers: the singular values of the targets, by soft thresholding at one matrix."""
    Y = np.random.default_rng(0).normal(size=(2, 6))
    problem = ufm.Problem(2, 1, 3, 0.02, 0.01, loss=ufm.MSE(), model=ufm.DeepLinear(()), targets=Y)
    expected = theory.mse.soft_threshold(Y=Y, d=3, lam_W=0.02, lam_H=0.01).value
    assert deep_bound(problem).value == pytest.approx(expected, abs=1e-13)
    deeper = dataclasses.replace(problem, model=ufm.DeepLinear((3,)))
    U, s, Vt = np.linalg.svd(Y, full_matrices=False)
    w = [depth.least(x, 1 / 6, (0.02 * 0.02 * 0.01) ** (1 / 3), 2)[0] for x in s]
    W, H = schatten.balanced_factors((U * s * (1 - np.array(w))) @ Vt, (3, 3), 0.02, 0.01)
    value = (
        np.sum((W[1] @ W[0] @ H - Y) ** 2) / 12 + 0.01 * (np.sum(W[0] ** 2) + np.sum(W[1] ** 2)) + 0.005 * np.sum(H**2)
    )
    assert deep_bound(deeper).value == pytest.approx(value, abs=1e-13)


def test_zero_is_a_local_minimum_that_is_not_global_and_descents_can_end_there():
    problem = linear(n=2, lam_b=0.0, lam_W=(0.004, 0.004, 0.004), lam_H=0.004)
    zero = ufm.Params(tuple(np.zeros(s) for s in problem.shapes().W), np.zeros(problem.shapes().H), np.full(3, 1 / 3))
    certificate = ufm.certify(problem, zero)
    assert certificate.verdict is ufm.Verdict.LOCAL_MINIMUM
    assert certificate.gap > 0.1
    assert certificate.spectrum is not None
    np.testing.assert_allclose(certificate.spectrum[:-3], 0.004, rtol=1e-12)
    np.testing.assert_allclose(certificate.spectrum[-3:], 1.0, rtol=1e-12)
    best = ufm.best_found(problem, starts=4, scales=(0.05, 1.0), key=2)
    assert best.values[-1] == pytest.approx(1 / 3)
    assert best.values[0] < 0.1
    assert best.shares.sum() == 1.0


def test_spectrum_at_a_collapsed_point_is_the_dense_one():
    """Groups merged and deviations within them, against the dense Hessian of all variables."""
    point = deep_landscape.critical_point(
        K=3, n=(3, 2, 2), d=4, widths=(3, 5), lam_W=(0.01, 0.02, 0.015), lam_H=0.01, kept=(0, 1)
    )
    for model in (ufm.DeepLinear((3, 5)), ufm.DeepReLU((3, 5))):
        problem = linear(model=model)
        params = ufm.Params(point.W, point.H, None)
        if isinstance(model, ufm.DeepReLU):
            params = merge_lifted(problem, ufm.random_start(problem, 0, 1.5))
        found = curvature(problem, examine(problem, params), critical=False)
        assert "merged groups" in found.method
        np.testing.assert_allclose(
            np.array(found.spectrum), np.linalg.eigvalsh(oracle(problem).hessian(*params)), atol=3e-9
        )


def merge_lifted(problem, params):
    """A collapsed point near `params`."""
    means = merge_params(problem, params)
    collapsed = lift_params(problem, means)
    merged = examine(merge(problem), means)
    assert merged.value == pytest.approx(examine(problem, collapsed).value, rel=1e-14)
    return collapsed


def test_relu_points_on_kinks_are_judged_by_descents():
    """The SRG solution with its gradient far from zero; with a neuron turned off it is not a minimum."""
    point = srg.point(r=5, n=1, lam_W=4e-3, lam_H=4e-3, L=4)
    problem = ufm.Problem(10, 1, 5, 4e-3, 4e-3, loss=ufm.MSE(), model=ufm.DeepReLU((5, 5, 10)))
    params = ufm.Params(point.W, point.H, None)
    assert kinks(problem, params) == 120
    found = ufm.certify(problem, params)
    assert found.grad_norm > 1e-3
    assert found.verdict is ufm.Verdict.LOCAL_MINIMUM
    assert "120 kinks" in found.reason
    assert found.value == pytest.approx(0.080911332199, abs=6e-13)
    assert found.lower_bound == pytest.approx(0.025068079911, abs=6e-13)
    broken = ufm.certify(problem, params._replace(H=0.7 * params.H))
    assert broken.verdict is ufm.Verdict.NOT_CRITICAL
    assert "ends lower" in broken.reason


def test_two_classes_with_relus_are_certified_global():
    problem = ufm.Problem(2, 2, 4, 3e-3, 3e-3, loss=ufm.MSE(), model=ufm.DeepReLU((4, 4)))
    best = ufm.best_found(problem, starts=8, scales=(1.0, 1.5), solver=ufm.LBFGS())
    assert best.certificate.verdict is ufm.Verdict.GLOBAL_MINIMUM
    assert best.solution.value == pytest.approx(predict(problem).value, abs=1e-13)


def test_collapse_of_every_layer():
    problem = linear(n=2, lam_b=0.0)
    best = ufm.best_found(problem, starts=6, key=1).solution
    layers = ufm.layer_collapse(problem, best.params)
    assert len(layers) == 3
    for layer in layers:
        assert layer.nc1_trace <= 1e-20
        assert layer.nc2_gram_H <= 1e-10
    assert np.isnan(layers[0].nc3)
    assert layers[-1].nc3 <= 1e-10
    features = ufm.layer_features(problem, best.params)
    np.testing.assert_allclose(features[2], best.params.W[1] @ best.params.W[0] @ best.params.H, atol=1e-15)
    relu = dataclasses.replace(problem, model=ufm.DeepReLU((3, 5)))
    assert np.min(ufm.layer_features(relu, best.params)[1]) == 0.0


def test_flows_and_trajectories_have_tuples_of_matrices():
    problem = linear(n=2, lam_b=0.0)
    flow = ufm.gradient_flow(problem, ufm.random_start(problem, 0), [0.0, 1.0, 5.0])
    assert np.all(np.diff(flow.value) < 0.0)
    assert [w.shape for w in flow.params.W] == [(3, 3, 4), (3, 5, 3), (3, 3, 5)]
    solution = ufm.solve(problem, 0, record=range(3))
    assert solution.trajectory is not None
    assert jax.tree.structure(solution.trajectory.params) == jax.tree.structure(solution.params)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": ufm.DeepLinear}, TypeError, "is not a model"),
        ({"model": ufm.DeepLinear(3)}, TypeError, "widths=3 is not a tuple"),
        ({"model": ufm.DeepLinear((3, 0))}, ValueError, "a width=0"),
        ({"model": ufm.DeepReLU((3, 2.0))}, TypeError, "a width=2.0 is not an integer"),
        ({"lam_W": (0.1, 0.1)}, ValueError, "lam_W has 2 decays for 3 matrices"),
        ({"lam_W": (0.1, 0.1, 0.0)}, ValueError, "lam_W=0 has no minimiser"),
        ({"lam_W": (0.1, "a", 0.1)}, TypeError, "is not a real scalar"),
        ({"model": ufm.Bilinear()}, TypeError, "is not a real scalar"),
    ],
)
def test_bad_problems(change, error, message):
    with pytest.raises(error, match=re.escape(message)):
        ufm.solve(linear(**change))


def test_bad_points_and_calls():
    problem = linear()
    point = ufm.random_start(problem)
    for W, message in (
        (point.W[0], "W must be a tuple of 3 matrices, W_1 first, got ndarray"),
        (point.W[:2], "got 2 of them"),
        ((*point.W[:2], point.W[2].T), "W_3 has shape (5, 3), expected (3, 5)"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            ufm.certify(problem, point._replace(W=W))
    with pytest.raises(ValueError, match="needs class labels and one classifier"):
        ufm.etf_start(problem)
    with pytest.raises(ValueError, match="scales is empty"):
        ufm.best_found(problem, starts=1, scales=())
    flat = dataclasses.replace(problem, model=ufm.Bilinear(), lam_W=0.1)
    with pytest.raises(ValueError, match="has one layer"):
        ufm.layer_features(flat, ufm.random_start(flat))
    with pytest.raises(ValueError, match="Lift the point first"):
        ufm.layer_collapse(merge(problem), point)
    for changed in (linear(ufm.CrossEntropy()), linear(model=ufm.DeepReLU((3, 5)), lam_b=0.0)):
        with pytest.raises(theory.NotApplicable):
            predict(changed)


def test_without_a_solver_kinks_get_one_that_ends():
    """Newton's method runs to its last step there."""
    problem = ufm.Problem(3, 1, 4, 4e-3, 4e-3, loss=ufm.MSE(), model=ufm.DeepReLU((4, 4)))
    assert isinstance(default_solver(problem), ufm.LBFGS)
    assert isinstance(default_solver(dataclasses.replace(problem, model=ufm.DeepReLU(()))), ufm.TrustRegion)
    solution = ufm.solve(problem, 1)
    assert solution.status in (ufm.Status.CONVERGED, ufm.Status.STALLED)
    assert solution.value == ufm.solve(problem, 1, solver=ufm.LBFGS()).value
