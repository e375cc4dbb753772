"""T14, T20, T21, T22: bounds at random points that are tight somewhere, and exact maps between problems."""

import math
import re
from typing import Any

import numpy as np
import pytest
from dense_oracle import Dense
from scipy.optimize import minimize

from theory import NotApplicable, certificates, conversions, cross_entropy, frames, mse, reductions


def random_point(dense, d, size, seed):
    rng = np.random.default_rng(seed)
    b = None if dense.lam_b is None else size * rng.normal(size=dense.K)
    return size * rng.normal(size=(dense.K, d)), size * rng.normal(size=(d, dense.N)), b


def parts(dense, W, H, b) -> tuple[Any, Any, Any]:
    """Gradient as (W, H, b)."""
    flat, K, d = dense.gradient(W, H, b), *W.shape
    by_H = flat[K * d : K * d + d * dense.N].reshape(d, dense.N)
    return flat[: K * d].reshape(K, d), by_H, None if b is None else flat[-K:]


# T20


@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_gradients_bound_the_spread_within_classes(loss):
    tightest = 0.0
    for seed in range(60):
        dense = Dense(loss, (3, 1, 4), 0.02, 0.05 * 1.2**-seed, [None, 0.1][seed % 2])
        W, H, b = random_point(dense, 2, 10.0 ** (seed % 5 - 3), seed)
        grad_H = parts(dense, W, H, b)[1]
        spread = reductions.spread_bound(grad_H=grad_H, labels=dense.labels, lam_H=dense.lam_H)
        scatter = 0.0
        for k in range(3):
            own = H[:, dense.labels == k]
            widest = max(
                np.linalg.norm(own[:, i] - own[:, j]) for i in range(own.shape[1]) for j in range(own.shape[1])
            )
            assert widest <= spread[k] * (1 + 1e-9)
            if widest > 0.0:
                tightest = max(tightest, widest / spread[k])
            scatter += np.sum((own - own.mean(axis=1, keepdims=True)) ** 2) / dense.N
        bound = reductions.scatter_bound(grad_H=grad_H, labels=dense.labels, lam_H=dense.lam_H)
        assert scatter <= bound * (1 + 1e-9)
    assert tightest > 0.999


def test_spread_where_the_loss_is_flat_is_exact_and_order_does_not_matter():
    """W = 0: the gradient in H is lam_H H itself."""
    dense = Dense("ce", (2, 3), 0.1, 0.3, None)
    H = np.random.default_rng(0).normal(size=(2, 5))
    grad_H = parts(dense, np.zeros((2, 2)), H, None)[1]
    own = [H[:, :2], H[:, 2:]]
    exact = [max(np.linalg.norm(g[:, i] - g[:, j]) for i in range(g.shape[1]) for j in range(i)) for g in own]
    within = sum(np.sum((g - g.mean(axis=1, keepdims=True)) ** 2) for g in own) / 5
    order = np.array([4, 0, 3, 1, 2])
    for columns in (np.arange(5), order):
        setting = {"grad_H": grad_H[:, columns], "labels": dense.labels[columns], "lam_H": 0.3}
        np.testing.assert_allclose(reductions.spread_bound(**setting), exact, rtol=1e-14)
        assert reductions.scatter_bound(**setting) == pytest.approx(within, rel=1e-14)
    sparse = reductions.spread_bound(grad_H=grad_H, labels=np.array([0, 0, 2, 2, 3]), lam_H=0.3)
    assert np.isnan(sparse[1])
    assert sparse[3] == 0.0
    assert reductions.scatter_bound(grad_H=grad_H, labels=np.array([0, 0, 2, 2, 3]), lam_H=0.3) < within * 5


def test_collapse_at_a_critical_point():
    q = cross_entropy.global_minimum(K=3, n=4, d=3, lam_W=0.02, lam_H=0.01).quantities
    W, H = frames.balanced_factors(np.repeat(q["logits"], 4, axis=1), 3, 0.02, 0.01)
    dense = Dense("ce", (4,) * 3, 0.02, 0.01, None)
    setting = {"grad_H": parts(dense, W, H, None)[1], "labels": dense.labels, "lam_H": 0.01}
    assert np.max(reductions.spread_bound(**setting)) <= 1e-13
    assert reductions.scatter_bound(**setting) <= 1e-26


# T21


@pytest.mark.parametrize("sizes", [(3, 3, 3), (5, 1, 2)])
@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_one_sample_a_class_is_the_whole_problem(loss, sizes):
    lam_W, lam_H, lam_b, d = 0.03, 0.02, 0.1, 4
    dense = Dense(loss, sizes, lam_W, lam_H, lam_b)
    rng = np.random.default_rng(1)
    W, Hbar, b = rng.normal(size=(3, d)), rng.normal(size=(d, 3)), rng.normal(size=3)
    H = reductions.repeat_classes(Hbar=Hbar, sizes=sizes)
    assert np.array_equal(H, Hbar[:, dense.labels])
    weights, decays = reductions.class_problem(sizes=sizes, lam_H=lam_H)
    one = Dense(loss, (1, 1, 1), lam_W, lam_H, lam_b)
    _, G, _ = one._residual(W @ Hbar + b[:, None])
    each = [Dense(loss, tuple(int(j == k) for j in range(3)), lam_W, lam_H, lam_b) for k in range(3)]
    losses = [each[k].data_loss(W, Hbar[:, [k]], b) for k in range(3)]
    decay = lam_W * np.sum(W**2) + decays @ np.sum(Hbar**2, axis=0) + lam_b * np.sum(b**2)
    assert dense.value(W, H, b) == pytest.approx(weights @ losses + decay / 2, rel=1e-14)
    by_W, by_H, by_b = parts(dense, W, H, b)
    weighted = 3 * G * weights  # gradient in the logits of the small problem
    np.testing.assert_allclose(by_W, weighted @ Hbar.T + lam_W * W, atol=2e-15)
    np.testing.assert_allclose(by_b, weighted.sum(axis=1) + lam_b * b, atol=2e-15)
    np.testing.assert_allclose(
        reductions.class_gradient(grad_H=by_H, sizes=sizes), W.T @ weighted + decays * Hbar, atol=2e-15
    )
    if len(set(sizes)) == 1:
        small = conversions.to_one_sample(n=3, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b).decays
        assert Dense(loss, (1, 1, 1), **small).value(W, Hbar, b) == pytest.approx(dense.value(W, H, b), rel=1e-14)
        np.testing.assert_allclose(weights, 1 / 3)
        np.testing.assert_allclose(decays, small["lam_H"])


# T22


@pytest.mark.parametrize("lam_b", [None, 0.0, 0.2])
@pytest.mark.parametrize("d", [1, 3, 7])
def test_eliminating_the_features(d, lam_b):
    dense = Dense("mse", (3, 1, 2, 2), 0.03, 0.01, lam_b)
    Y = np.eye(4)[:, dense.labels]
    for size in (1e-3, 1.0, 1e2):
        W, _, b = random_point(dense, d, size, seed=d)
        H = reductions.optimal_features(W=W, Y=Y, lam_H=0.01, b=b)
        by_W, by_H, by_b = parts(dense, W, H, b)
        assert np.max(np.abs(by_H)) <= 1e-15 * (1 + size**2)
        rest: dict[str, Any] = {"Y": Y, "lam_W": 0.03, "lam_H": 0.01, "b": b, "lam_b": lam_b}
        assert reductions.reduced_mse(W=W, **rest) == pytest.approx(dense.value(W, H, b), rel=1e-14)
        gradient = reductions.reduced_mse_gradient(W=W, **rest)
        np.testing.assert_allclose(gradient.W, by_W, rtol=1e-12, atol=1e-15 * (1 + size))
        if b is None:
            assert gradient.b is None
        else:
            assert gradient.b is not None
            np.testing.assert_allclose(gradient.b, by_b, rtol=1e-12, atol=1e-15 * (1 + size))
        step = np.random.default_rng(0).normal(size=W.shape) * size * 1e-4
        slope = reductions.reduced_mse(W=W + step, **rest) - reductions.reduced_mse(W=W - step, **rest)
        assert slope == pytest.approx(2 * np.sum(gradient.W * step), rel=1e-5, abs=1e-13 * size**2)


def test_reduced_objective_descends_to_the_closed_form():
    setting: dict[str, Any] = {"Y": np.eye(4), "lam_W": 0.02, "lam_H": 0.03}
    result = minimize(
        lambda x: reductions.reduced_mse(W=x.reshape(4, 4), **setting),
        np.random.default_rng(0).normal(size=16),
        jac=lambda x: reductions.reduced_mse_gradient(W=x.reshape(4, 4), **setting).W.ravel(),
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-10},
    )
    assert result.fun == pytest.approx(mse.global_minimum(K=4, n=1, d=4, lam_W=0.02, lam_H=0.03).value, abs=1e-12)


# T14


def gap_arguments(dense, W, H, b):
    G = dense._residual(W @ H if b is None else W @ H + b[:, None])[1]
    return {
        "W": W,
        "H": H,
        "b": b,
        "G": G,
        "value": dense.value(W, H, b),
        "lam_W": dense.lam_W,
        "lam_H": dense.lam_H,
        "lam_b": dense.lam_b,
    }


@pytest.mark.parametrize("lam_b", [None, 0.2])
def test_gap_bound_holds_everywhere_and_vanishes_at_the_minimum(lam_b):
    for loss, module in (("ce", cross_entropy), ("mse", mse)):
        for lam_W, lam_H in ((0.05, 0.02), (0.4, 0.6)):
            dense = Dense(loss, (2,) * 4, lam_W, lam_H, lam_b)
            prediction = module.global_minimum(K=4, n=2, d=5, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b)
            q = prediction.quantities
            W, H = frames.balanced_factors(np.repeat(q["logits"], 2, axis=1), 5, lam_W, lam_H)
            b = q.get("b")
            at_best = certificates.gap_bound(**gap_arguments(dense, W, H, b))
            assert abs(at_best) <= 1e-15
            for seed, size in enumerate(10.0 ** np.linspace(-5, 1, 20)):
                E, F, e = random_point(dense, 5, size, seed)
                near = W + E, H + F, None if b is None or e is None else b + e
                for point in (near, (E, F, e)):
                    arguments = gap_arguments(dense, *point)
                    gap = arguments["value"] - prediction.value
                    assert gap <= certificates.gap_bound(**arguments) * (1 + 1e-12) + 1e-15
                if size <= 1e-3:  # of first order in the distance
                    assert certificates.gap_bound(**gap_arguments(dense, *near)) <= 100 * size


def test_gap_bound_at_critical_points_is_the_excess_of_the_gradient():
    """The origin: critical, and not optimal below the threshold; then only (|G|_2 - nu) f/nu is left."""
    for lam in (0.1, 0.6):
        dense = Dense("ce", (1,) * 3, lam, lam, None)
        arguments = gap_arguments(dense, np.zeros((3, 2)), np.zeros((2, 3)), None)
        excess = max(1 / 3 - lam, 0.0) * math.log(3) / lam
        assert certificates.gap_bound(**arguments) == pytest.approx(excess, rel=1e-12, abs=1e-15)


# Errors

GRADIENT = np.ones((2, 3))
LABELS = np.array([0, 1, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"grad_H": np.ones(3)},
            "grad_H has shape (3,), type float64, or an entry that is not finite. Pass real, finite numbers [any, 3].",
        ),
        ({"grad_H": np.ones((2, 4))}, "grad_H has shape (2, 4)"),
        ({"grad_H": np.full((2, 3), np.nan)}, "grad_H has shape (2, 3), type float64, or an entry that is not finite"),
        ({"grad_H": "x"}, "grad_H has shape ()"),
        ({"labels": np.array([0.0, 1.0, 1.0])}, "labels are no class indices, got shape (3,), type float64"),
        ({"labels": np.array([0, -1, 1])}, "labels are no class indices"),
        ({"labels": np.array([[0, 1, 1]])}, "labels are no class indices, got shape (1, 3)"),
        ({"grad_H": np.ones((2, 0)), "labels": np.array([], dtype=int)}, "labels are no class indices"),
        ({"lam_H": 0.0}, "lam_H=0.0 is not a positive"),
    ],
)
def test_bad_gradients_and_labels(change, message):
    setting: dict[str, Any] = {"grad_H": GRADIENT, "labels": LABELS, "lam_H": 0.1} | change
    for name in ("spread_bound", "scatter_bound"):
        with pytest.raises(ValueError, match=re.escape(f"reductions.{name}: {message}")):
            getattr(reductions, name)(**setting)


def test_bad_sizes():
    with pytest.raises(ValueError, match=re.escape("reductions.class_problem: sizes is empty")):
        reductions.class_problem(sizes=(), lam_H=1.0)
    with pytest.raises(ValueError, match=re.escape("reductions.class_problem: sizes=0 is not an integer >= 1")):
        reductions.class_problem(sizes=(2, 0), lam_H=1.0)
    with pytest.raises(ValueError, match=re.escape("reductions.repeat_classes: Hbar has shape (2, 3)")):
        reductions.repeat_classes(Hbar=GRADIENT, sizes=(1, 1))
    with pytest.raises(ValueError, match=re.escape("reductions.class_gradient: grad_H has shape (2, 3)")):
        reductions.class_gradient(grad_H=GRADIENT, sizes=(2, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W": np.ones(2)}, "W has shape (2,)"),
        (
            {"Y": np.ones((3, 4))},
            "Y has shape (3, 4), type float64, or an entry that is not finite. Pass real, finite numbers [2, any].",
        ),
        ({"b": np.ones(3), "lam_b": 0.1}, "b has shape (3,)"),
        ({"b": np.ones(2)}, "b is given but lam_b=None. Pass both"),
        ({"lam_b": 0.0}, "b is absent but lam_b=0.0. Pass both"),
        ({"lam_W": 0.0}, "lam_W=0.0 is not a positive"),
        ({"lam_H": -1.0}, "lam_H=-1.0 is not a positive"),
    ],
)
def test_bad_arguments_of_the_reduced_objective(change, message):
    setting: dict[str, Any] = {"W": np.ones((2, 3)), "Y": np.ones((2, 4)), "lam_W": 0.1, "lam_H": 0.1} | change
    for name in ("reduced_mse", "reduced_mse_gradient"):
        with pytest.raises(ValueError, match=re.escape(f"reductions.{name}: {message}")):
            getattr(reductions, name)(**setting)
    if not {"lam_W", "lam_b"} & change.keys() and change.get("b") is None:
        with pytest.raises(ValueError, match=re.escape(f"reductions.optimal_features: {message}")):
            reductions.optimal_features(**{name: setting[name] for name in ("W", "Y", "lam_H")})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"H": np.ones((2, 4))}, "H has shape (2, 4)"),
        ({"G": np.ones((2, 5))}, "G has shape (2, 5)"),
        ({"value": -1.0}, "value=-1.0 is not a finite number >= 0"),
        ({"b": np.ones(2)}, "only one of b and lam_b=None is None. Pass both, or neither."),
        ({"lam_b": 0.3}, "only one of b and lam_b=0.3 is None"),
        ({"lam_b": -0.3}, "lam_b=-0.3 is neither"),
    ],
)
def test_bad_arguments_of_the_gap_bound(change, message):
    setting: dict[str, Any] = {
        "W": np.ones((2, 3)),
        "H": np.ones((3, 4)),
        "G": np.ones((2, 4)),
        "value": 1.0,
        "lam_W": 0.1,
        "lam_H": 0.1,
    }
    with pytest.raises(ValueError, match=re.escape(f"certificates.gap_bound: {message}")):
        certificates.gap_bound(**(setting | change))
    with pytest.raises(NotApplicable, match="nothing bounds how far a free bias"):
        certificates.gap_bound(**setting, b=np.ones(2), lam_b=0.0)
