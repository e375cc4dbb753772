"""3.6, 3.7, 7, 8: layer-peeled model, ReLU features, regression, fixed classifiers; nearest-mean rule."""

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
from dense_oracle import Dense
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from theory import (
    NotApplicable,
    conversions,
    cross_entropy,
    fixed_classifier,
    frames,
    imbalance,
    layer_peeled,
    mse,
    regression,
    relu_features,
    seli,
)


def log_softmax(A):
    A = A - A.max(axis=0)
    return A - np.log(np.exp(A).sum(axis=0))


# 3.6 layer-peeled

BUDGETS = [(1.0, 0.3), (1.0, 3.0), (2.0, 20.0), (0.05, 4000.0), (1.0, 500.0)]


@pytest.mark.parametrize(("E_W", "E_H"), BUDGETS)
@pytest.mark.parametrize("n", [(20, 20, 2, 2, 2), (1, 50, 1), (300, 1, 1, 1), (7, 7, 7, 1), (4, 4, 4), (5, 2)])
def test_layer_peeled_minimum_by_its_dual(n, E_W, E_H):
    """loss(Theta) >= (1/N) sum n_c entropy(q_c) - B |Gamma|_2 for |Theta|_* <= B, Gamma = (Q - I) n/N: equal here."""
    K = len(n)
    q = layer_peeled.global_minimum(K=K, n=n, d=K - 1, E_W=E_W, E_H=E_H).quantities
    weights, budget, Z = np.array(n) / sum(n), K * math.sqrt(E_W * E_H), q["logits"]
    log_Q = log_softmax(Z)
    losses = np.log1p(np.sum(np.exp(Z - np.diag(Z)) * (1 - np.eye(K)), axis=0))
    assert q["value"] == q["data_loss"] == pytest.approx(float(weights @ losses), rel=1e-12)
    dual = -float(weights @ np.sum(np.exp(log_Q) * log_Q, axis=0))
    dual -= budget * np.linalg.norm((np.exp(log_Q) - np.eye(K)) * weights, 2)
    assert abs(dual - q["value"]) <= 5e-16 * (2 + budget)
    U, s, Vt = np.linalg.svd(Z)
    assert np.sum(s) == pytest.approx(budget, rel=1e-13)
    scale = 1e-12 * (1 + budget)
    np.testing.assert_allclose(q["gram_W"], math.sqrt(E_W / E_H) * (U * s) @ U.T, atol=scale * max(1.0, E_W / E_H))
    np.testing.assert_allclose(q["gram_M"], math.sqrt(E_H / E_W) * (Vt.T * s) @ Vt, atol=scale * max(1.0, E_H / E_W))
    assert np.trace(q["gram_W"]) == pytest.approx(K * E_W, rel=1e-12)
    assert q["W_sq"] == K * E_W
    assert np.trace(q["gram_M"]) == pytest.approx(K * E_H, rel=1e-12)
    assert float(np.array(n) @ np.diag(q["gram_M"])) == pytest.approx(q["H_sq"], rel=1e-13)
    expected = np.linalg.svd(np.repeat(Z, n, axis=1), compute_uv=False)
    np.testing.assert_allclose(q["sigma_Z"], expected, atol=1e-13 * expected[0])
    lead = (np.diag(Z) - Z)[~np.eye(K, dtype=bool)]
    assert q["margin"] == pytest.approx(np.min(lead), abs=1e-12 * (1 + budget))


@pytest.mark.parametrize(
    ("k_A", "k_B", "E_W", "E_H", "ratio"),
    [
        (3, 7, 1, 5, 245.49693),
        (5, 5, 1, 5, 12.192447),
        (5, 5, 1, 10, 81.102206),
        (2, 3, 1, 2, 11.144388),
        (1, 4, 1, 3, 2910.1898),
        (3, 2, 1, 3, 6.25098),
    ],
)
def test_minority_collapse_at_a_finite_ratio(k_A, k_B, E_W, E_H, ratio):
    """The reference's six numbers to their digits; the minimum is collapsed at sizes above R_0 and not below."""
    found = layer_peeled.minority_collapse_ratio(k_A=k_A, k_B=k_B, E_W=E_W, E_H=E_H)
    assert found == pytest.approx(ratio, rel=4e-7)
    small = 10**6
    for factor, collapsed in ((0.98, False), (1 - 1e-5, False), (1 + 1e-5, True), (1.02, True)):
        n = (round(factor * found * small),) * k_A + (small,) * k_B
        f = layer_peeled.global_minimum(K=k_A + k_B, n=n, d=k_A + k_B, E_W=E_W, E_H=E_H)
        G = f.quantities["gram_W"]
        assert (abs(G[-1, -1] - G[-1, -2]) <= 1e-12) == collapsed
        assert ("Minority collapse" in f.statement) == collapsed


def test_layer_peeled_value_against_constrained_descent():
    """SLSQP on (W, M) with both budgets: no start below, the best one there."""
    n, K, d, E_W, E_H = (6, 6, 1, 1), 4, 3, 1.0, 2.0
    f = layer_peeled.global_minimum(K=K, n=n, d=d, E_W=E_W, E_H=E_H)

    def split(x):
        return x[: K * d].reshape(K, d), x[K * d :].reshape(d, K)

    def loss(x):
        W, M = split(x)
        log_Q = log_softmax(W @ M)
        G = (np.exp(log_Q) - np.eye(K)) * n / sum(n)
        value = -float(np.array(n) @ np.diag(log_Q)) / sum(n)
        return value, np.concatenate([(G @ M.T).ravel(), (W.T @ G).ravel()])

    budgets = [
        {"type": "ineq", "fun": lambda x: K * E_W - np.sum(split(x)[0] ** 2)},
        {"type": "ineq", "fun": lambda x: K * E_H - np.sum(split(x)[1] ** 2)},
    ]
    runs = [
        minimize(
            loss,
            np.random.default_rng(seed).normal(size=2 * K * d) / 2,
            jac=True,
            method="SLSQP",
            constraints=budgets,
            options={"ftol": 1e-13, "maxiter": 400},
        ).fun
        for seed in range(3)
    ]
    assert min(runs) == pytest.approx(f.value, abs=1e-9)


def test_balanced_layer_peeled_is_the_simplex_etf_of_its_multipliers():
    K, n, E_W, E_H = 5, 3, 2.0, 0.7
    value = layer_peeled.balanced_value(K=K, E_W=E_W, E_H=E_H)
    f = layer_peeled.global_minimum(K=K, n=n, d=K, E_W=E_W, E_H=E_H)
    assert f.value == pytest.approx(value, rel=1e-14)
    multipliers = conversions.from_layer_peeled(K=K, n=n, E_W=E_W, E_H=E_H)
    decayed = cross_entropy.global_minimum(K=K, n=n, d=K, **multipliers.decays)
    for name in ("data_loss", "W_sq", "H_sq", "gram_W", "gram_M", "logits", "sigma_Z", "margin"):
        np.testing.assert_allclose(f.quantities[name], decayed.quantities[name], atol=2e-13, err_msg=name)


def test_layer_peeled_extremes():
    with pytest.raises(ValueError, match="is so small that rounding of its multiplier decides"):
        layer_peeled.global_minimum(K=3, n=(5, 5, 1), d=2, E_W=1e-13, E_H=1e-13)
    with pytest.raises(ValueError, match="margins beyond 690"):
        layer_peeled.global_minimum(K=3, n=(5, 5, 1), d=2, E_W=1e4, E_H=1e4)
    with pytest.raises(ValueError, match=r"R_0 exceeds e\^690"):
        layer_peeled.minority_collapse_ratio(k_A=2, k_B=2, E_W=1e4, E_H=1e4)
    small = layer_peeled.minority_collapse_ratio(k_A=2, k_B=2, E_W=1e-4, E_H=1e-4)
    assert 1.0 < small < 1.001
    ratios = [layer_peeled.minority_collapse_ratio(k_A=2, k_B=3, E_W=1, E_H=e) for e in (0.1, 1, 10, 100, 1e4)]
    assert np.all(np.diff(ratios) > 0)


# 3.7 ReLU features

RELU = [
    ((3, 3, 3), 0.01, 0.02),
    ((6, 3, 1), 0.02, 0.01),
    ((6, 3, 1), 0.1, 0.1),  # one class at zero
    ((4, 1), 0.05, 0.02),
    ((8, 4, 2, 1), 1e-4, 1e-2),
    ((2, 2, 2), 1.0, 1.0),  # all at zero
]


def relu_point(q, d):
    """W, H >= 0 that a 3.7 prediction describes: class c along coordinate c."""
    K = len(q["gram_M"])
    norms = np.sqrt(np.diag(q["gram_M"]))
    M = np.pad(np.diag(norms), ((0, d - K), (0, 0)))
    # W along h_c is logits_c/|h_c|; classes at zero have no classifier either
    W = np.pad(q["logits"] / np.where(norms > 0, norms, 1.0), ((0, 0), (0, d - K)))
    return W, M


@pytest.mark.parametrize(("n", "lam_W", "lam_H"), RELU)
def test_relu_minimum_as_stated_and_no_point_below(n, lam_W, lam_H):
    """f at the point; tangents of the loss, W eliminated and <h_i, h_j> >= 0 give the same number as a lower bound."""
    K, N = len(n), sum(n)
    for d in (K, K + 2):
        q = relu_features.global_minimum(K=K, n=n, d=d, lam_W=lam_W, lam_H=lam_H).quantities
        W, M = relu_point(q, d)
        dense, H = Dense("ce", n, lam_W, lam_H, None), np.repeat(M, n, axis=1)
        found = {
            "value": dense.value(W, H, None),
            "data_loss": dense.data_loss(W, H, None),
            "W_sq": np.sum(W**2),
            "H_sq": np.sum(H**2),
            "gram_W": W @ W.T,
            "gram_M": M.T @ M,
            "logits": W @ M,
            "sigma_Z": np.linalg.svd(W @ H, compute_uv=False)[:K],
            "margin": np.min((np.diag(W @ M) - W @ M)[~np.eye(K, dtype=bool)]),
        }
        assert set(found) == set(q)
        for name, measured in found.items():
            assert np.max(np.abs(measured - q[name])) <= 3e-14 * (1 + np.max(np.abs(q[name]))), name
        Q = np.exp(log_softmax(q["logits"]))
        pull = np.linalg.norm(Q - np.eye(K), axis=0)  # one class's residual; those of two classes have product <= 0
        assert np.all(np.sqrt(n) * pull <= N * math.sqrt(lam_W * lam_H) * (1 + 1e-12))
        assert np.all(((Q - np.eye(K)).T @ (Q - np.eye(K)))[~np.eye(K, dtype=bool)] <= 0)
        bound = float(np.array(n) @ -np.sum(Q * np.log(Q), axis=0)) / N
        assert abs(bound - q["value"]) <= 2e-15 * (1 + bound)


@pytest.mark.parametrize(("n", "lam_W", "lam_H"), [((6, 3, 1), 0.02, 0.01), ((6, 3, 1), 0.1, 0.1)])
def test_relu_value_against_bounded_descent(n, lam_W, lam_H):
    K, d, N = 3, 4, 10
    f = relu_features.global_minimum(K=K, n=n, d=d, lam_W=lam_W, lam_H=lam_H)
    dense = Dense("ce", n, lam_W, lam_H, None)

    def objective(x):
        W, H = x[: K * d].reshape(K, d), x[K * d :].reshape(d, N)
        return dense.value(W, H, None), dense.gradient(W, H, None)

    rng = np.random.default_rng(0)
    bounds: Any = [(None, None)] * (K * d) + [(0, None)] * (d * N)
    runs = [
        minimize(
            objective,
            np.concatenate([rng.normal(size=K * d), np.abs(rng.normal(size=d * N))]),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"ftol": 1e-16, "gtol": 1e-10, "maxiter": 3000},
        ).fun
        for _ in range(6)
    ]
    assert -1e-15 <= min(runs) - f.value <= 1e-12


def test_relu_thresholds_class_by_class():
    n = (9, 4, 1)
    for c, at in enumerate(relu_features.collapse_thresholds(K=3, n=n)):
        assert at == pytest.approx(math.sqrt(n[c] * 2 / 3) / 14, rel=1e-15)
        below, above = (
            relu_features.global_minimum(K=3, n=n, d=3, lam_W=at * s, lam_H=at * s).quantities["gram_M"][c, c]
            for s in (1 - 1e-9, 1 + 1e-9)
        )
        assert above == 0.0 < below < 1e-7
    assert "1 of 3 classes have zero" in relu_features.global_minimum(K=3, n=n, d=3, lam_W=0.1, lam_H=0.1).statement


@settings(deadline=None, max_examples=60)
@given(n=st.lists(st.integers(1, 10**6), min_size=2, max_size=6), log_lam=st.floats(-250, 2), tilt=st.floats(-20, 20))
def test_relu_and_fixed_classifiers_at_every_decay(n, log_lam, tilt):
    K, N, lam_W, lam_H = len(n), sum(n), 10 ** (log_lam + tilt), 10 ** (log_lam - tilt)
    f = relu_features.global_minimum(K=K, n=tuple(n), d=K, lam_W=lam_W, lam_H=lam_H)
    q = f.quantities
    assert all(np.all(np.isfinite(entry)) for entry in q.values())
    assert math.isclose(f.value, q["data_loss"] + (lam_W * q["W_sq"] + lam_H * q["H_sq"]) / 2, rel_tol=1e-12)
    strength = math.sqrt(lam_W) * math.sqrt(lam_H)
    for c in range(K):
        x = float(q["logits"][c, c]) * K / (K - 1)
        if x > 1e-6:  # stationarity in its own words, with the mass of the wrong classes from the margin
            missed = (K - 1) * math.exp(-x) / (1 + (K - 1) * math.exp(-x))
            assert math.isclose(missed, N * strength * math.sqrt((K - 1) / K / n[c]), rel_tol=1e-12)
    fixed = fixed_classifier.feature_decay_minimum(K=K, n=tuple(n), d=K, E_W=10**tilt, lam_H=lam_H)
    x = fixed.quantities["margin"]
    log_pull = math.log(N) + math.log(lam_H) + math.log(x) + x + math.log(1 + (K - 1) * math.exp(-x))
    assert math.isclose(log_pull, math.log(K * K / (K - 1)) + tilt * math.log(10), rel_tol=1e-13, abs_tol=1e-12)


# 7 regression


def targets(q, N, seed, rank=None):
    rng = np.random.default_rng(seed)
    Y = rng.normal(size=(q, q if rank is None else rank)) @ rng.normal(size=(q if rank is None else rank, N))
    return Y + 3 * rng.normal(size=(q, 1))


REGRESSION = [
    (3, 20, 4, None, 1e-3),
    (3, 20, 2, None, 1e-3),
    (3, 20, 5, None, 0.3),
    (3, 12, 3, 2, 1e-2),
    (2, 9, 4, None, 40.0),
]


@pytest.mark.parametrize("lam_b", [None, 0.0])
@pytest.mark.parametrize(("q", "N", "d", "rank", "c"), REGRESSION)
def test_regression_in_the_words_of_the_paper(q, N, d, rank, c, lam_b):
    """With its normalisation lam_H/(2N) |H|^2: value, W W^T, W H, residual and MSE from the eigenvalues of Sigma."""
    Y = targets(q, N, 1, rank)
    lw, lh = 0.5 * math.sqrt(c), 2 * math.sqrt(c)  # c = their product
    decays = conversions.from_mean_feature_decay(N=N, lam_W=lw, lam_H=lh, lam_b=lam_b).decays
    setting: dict[str, Any] = {"Y": Y, "d": d, **decays}
    f = regression.global_minimum(**setting)
    W, H, b = regression.minimiser(**setting)
    shift = 0.0 if b is None else b[:, None]
    value = np.sum((W @ H + shift - Y) ** 2) / (2 * N) + lh / (2 * N) * np.sum(H**2) + lw / 2 * np.sum(W**2)
    assert f.value == pytest.approx(value, rel=1e-13)
    assert regression.strength(N=N, lam_W=decays["lam_W"], lam_H=decays["lam_H"]) == pytest.approx(c, rel=1e-14)
    residual = (W @ H + shift - Y) / N
    np.testing.assert_allclose(residual @ H.T + lw * W, 0.0, atol=1e-13)
    np.testing.assert_allclose(W.T @ residual + lh / N * H, 0.0, atol=1e-13)
    centred = Y if b is None else Y - Y.mean(axis=1, keepdims=True)
    eigenvalues, vectors = np.linalg.eigh(centred @ centred.T / N)
    kept = (eigenvalues > c) & (np.arange(q) >= q - d)
    shrunk = np.where(kept, np.sqrt(np.maximum(eigenvalues, 0)) - math.sqrt(c), 0.0)
    np.testing.assert_allclose(f.quantities["gram_W"], math.sqrt(lh / lw) * (vectors * shrunk) @ vectors.T, atol=1e-13)
    share = np.where(kept, 1 - math.sqrt(c) / np.sqrt(np.maximum(eigenvalues, c)), 0.0)
    np.testing.assert_allclose(W @ H, (vectors * share) @ vectors.T @ centred, atol=1e-12)
    parts = np.where(kept, np.sqrt(c * np.maximum(eigenvalues, 0)) - c / 2, eigenvalues / 2)
    assert f.value == pytest.approx(np.sum(parts), rel=1e-12)
    assert f"{np.sum(kept)} of {q} target directions" in f.statement
    assert np.linalg.matrix_rank(H, tol=1e-9) == np.sum(kept)  # NRC1
    if np.all(kept):
        root = (vectors * eigenvalues**-0.5) @ vectors.T @ centred
        np.testing.assert_allclose(N * residual, -math.sqrt(c) * root, atol=1e-12)
        np.testing.assert_allclose(H, math.sqrt(lw / lh) * W.T @ root, atol=1e-12)  # NRC2: in the rows of W
        assert np.sum((N * residual) ** 2) / N == pytest.approx(q * c, rel=1e-11)
        assert f.quantities["data_loss"] == pytest.approx(q * c / 2, rel=1e-12)


def test_regression_value_against_descent():
    Y, d, lam_W, lam_H = targets(2, 8, 3), 3, 0.05, 0.01
    f = regression.global_minimum(Y=Y, d=d, lam_W=lam_W, lam_H=lam_H)

    def objective(x):
        W, H, b = x[: 2 * d].reshape(2, d), x[2 * d : 2 * d + 8 * d].reshape(d, 8), x[10 * d :]
        R = (W @ H + b[:, None] - Y) / 8
        grads = [R @ H.T + lam_W * W, W.T @ R + lam_H * H, R.sum(axis=1)]
        value = 4 * np.sum(R**2) + lam_W / 2 * np.sum(W**2) + lam_H / 2 * np.sum(H**2)
        return float(value), np.concatenate([g.ravel() for g in grads])

    start = np.random.default_rng(0).normal(size=10 * d + 2)
    run = minimize(objective, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-16, "gtol": 1e-10})
    assert -1e-14 <= run.fun - f.value <= 1e-12
    np.testing.assert_allclose(run.x[10 * d :], f.quantities["b"], atol=1e-6)
    same = mse.soft_threshold(Y=Y, d=d, lam_W=lam_W, lam_H=lam_H, lam_b=0.0)
    assert dict(f.quantities).keys() == dict(same.quantities).keys()
    assert f.value == same.value


# 8 fixed classifiers


@pytest.mark.parametrize("n", [(4, 4, 4), (5, 2, 1), (1, 9)])
def test_norm_ball_minimum_is_a_kkt_point_of_a_convex_problem(n):
    """Per sample cross-entropy is convex in h: its gradient at the point is -mu h with mu > 0, for any class sizes."""
    K, E_W, E_H = len(n), 1.3, 2.1
    for d in (K - 1, K + 2):
        q = fixed_classifier.norm_ball_minimum(K=K, n=n, d=d, E_W=E_W, E_H=E_H).quantities
        W = math.sqrt(E_W) * frames.simplex_etf(K, d)
        H = np.repeat(math.sqrt(E_H / E_W) * W.T, n, axis=1)
        dense = Dense("ce", n, 1.0, 1.0, None)
        assert_states_of_features(dense, q, W, H)
        pull = (dense.gradient(W, H, None) - np.concatenate([W.ravel(), H.ravel()]))[W.size :].reshape(d, -1)
        mu = -np.sum(pull * H, axis=0) / E_H
        assert np.all(mu > 0)
        np.testing.assert_allclose(pull, -mu * H, atol=1e-15)
        x = q["margin"]
        assert x == pytest.approx(fixed_classifier.margin(K=K, E_W=E_W, E_H=E_H), rel=1e-15)
        assert q["value"] == pytest.approx(math.log1p((K - 1) * math.exp(-x)), rel=1e-15)
        regress = fixed_classifier.dot_regression_minimum(K=K, n=n, d=d, E_W=E_W, E_H=E_H).quantities
        assert regress["value"] == 0.0
        np.testing.assert_allclose(np.sum(W[dense.labels] * H.T, axis=1), math.sqrt(E_W * E_H), rtol=1e-14)
        for name in set(q) - {"value", "data_loss"}:
            np.testing.assert_array_equal(q[name], regress[name])


def assert_states_of_features(dense, q, W, H):
    """Every quantity of a prediction for fixed W, at (W, H)."""
    first = np.cumsum((0, *dense.sizes))[:-1]
    M = H[:, first]
    found = {
        "data_loss": dense.data_loss(W, H, None),
        "W_sq": np.sum(W**2),
        "H_sq": np.sum(H**2),
        "gram_W": W @ W.T,
        "gram_M": M.T @ M,
        "logits": W @ M,
        "sigma_Z": np.linalg.svd(W @ H, compute_uv=False)[: dense.K],
        "margin": np.min((np.diag(W @ M) - W @ M)[~np.eye(dense.K, dtype=bool)]),
    }
    assert set(q) == set(found) | {"value"}
    for name, measured in found.items():
        assert np.max(np.abs(measured - q[name])) <= 1e-14 * (1 + np.max(np.abs(q[name]))), name


@pytest.mark.parametrize("lam_H", [1e-6, 1e-2, 0.3, 30.0])
@pytest.mark.parametrize("n", [(4, 4, 4), (5, 2, 1), (1, 9)])
def test_feature_decay_minimum_is_critical_in_a_convex_problem(n, lam_H):
    K, d, E_W = len(n), len(n), 1.7
    q = fixed_classifier.feature_decay_minimum(K=K, n=n, d=d, E_W=E_W, lam_H=lam_H).quantities
    W = math.sqrt(E_W) * frames.simplex_etf(K, d)
    norm = q["margin"] * (K - 1) / (K * math.sqrt(E_W))
    H = np.repeat(norm * frames.simplex_etf(K, d).T, n, axis=1)
    dense = Dense("ce", n, 1e-300, lam_H, None)
    assert_states_of_features(dense, q, W, H)
    np.testing.assert_allclose(dense.gradient(W, H, None)[W.size :], 0.0, atol=2e-16 * (1 + lam_H))
    assert q["value"] == pytest.approx(dense.value(W, H, None), rel=1e-14)


def test_dot_regression_is_quartic_on_the_sphere():
    E_W, E_H, root = 1.3, 2.1, math.sqrt(1.3 * 2.1)
    losses = [(root * math.cos(angle) - root) ** 2 / (2 * root) for angle in (1e-2, 1e-3)]
    assert losses[0] / losses[1] == pytest.approx(1e4, rel=1e-3)
    assert "flat" in (fixed_classifier.dot_regression_minimum.__doc__ or "")
    assert fixed_classifier.margin(K=2, E_W=E_W, E_H=E_H) == pytest.approx(2 * root, rel=1e-15)


def test_margins_of_the_frames():
    for K, d, E_W, E_H in ((2, 1, 1.0, 1.0), (4, 5, 1.3, 2.1), (10, 9, 0.2, 7.0)):
        W, M = math.sqrt(E_W) * frames.simplex_etf(K, d), math.sqrt(E_H) * frames.simplex_etf(K, d).T
        pairs = list(itertools.permutations(range(K), 2))
        leads = [(W[k] - W[j]) @ M[:, k] for k, j in pairs]
        np.testing.assert_allclose(leads, fixed_classifier.margin(K=K, E_W=E_W, E_H=E_H), rtol=1e-13)
        distances = [(W[k] - W[j]) @ M[:, k] / np.linalg.norm(W[k] - W[j]) for k, j in pairs]
        np.testing.assert_allclose(distances, fixed_classifier.boundary_distance(K=K, E_H=E_H), rtol=1e-13)


def rules_agree(W, M, b):
    """Whether argmax and nearest mean agree at 4000 random points, near and far from the means."""
    rng = np.random.default_rng(0)
    h = np.linalg.norm(M) * rng.normal(size=(len(M), 4000)) * rng.choice([0.1, 1.0, 5.0], size=4000)
    scores = W @ h + (0.0 if b is None else b[:, None])
    distances = np.sum((h[:, None, :] - M[:, :, None]) ** 2, axis=0)
    return bool(np.all(np.argmax(scores, axis=0) == np.argmin(distances, axis=0)))


def test_nearest_mean_rule_of_the_geometries():
    """NC4 holds for aligned means of equal norm; without a bias it fails in the geometries of 3.2, 3.4, 3.5, 3.7."""
    etf = frames.simplex_etf(4, 4)
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))
    cases: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]] = [
        (3 * etf @ rotation, (etf @ rotation).T, None),
        (3 * etf, etf.T, np.full(4, 7.0)),
        (3 * etf + 1.0, etf.T + 0.0, None),  # a common vector in W changes no decision
    ]
    for W, M, b in cases:
        assert fixed_classifier.is_nearest_mean_rule(W=W, M=M, b=b)
        assert rules_agree(W, M, b)
    n = (8, 8, 1, 1)
    for f in (
        seli.global_minimum(K=4, n=n, d=4),
        mse.global_minimum(K=4, n=n, d=4, lam_W=0.01, lam_H=0.01),
        relu_features.global_minimum(K=4, n=n, d=4, lam_W=0.01, lam_H=0.01),
        imbalance.global_minimum(K=4, n=n, d=4, lam_W=0.01, lam_H=0.01),
    ):
        Z = f.quantities["logits"]
        if f.theorem == "3.7":
            W, M = relu_point(f.quantities, 4)
        else:
            W, H = frames.balanced_factors(np.repeat(Z, n, axis=1), 4, 1.0, 1.0)
            M = H[:, [0, 8, 16, 17]]
        assert not fixed_classifier.is_nearest_mean_rule(W=W, M=M)
        assert not rules_agree(W, M, None)
        aligned, bias = 2 * M.T, -np.sum(M**2, axis=0)  # s = 2, b = -s |mu|^2/2: the rule by construction
        assert fixed_classifier.is_nearest_mean_rule(W=aligned, M=M, b=bias)
        assert rules_agree(aligned, M, bias)
        assert not fixed_classifier.is_nearest_mean_rule(W=aligned, M=M)
        assert not rules_agree(aligned, M, None)
    assert not fixed_classifier.is_nearest_mean_rule(W=-etf, M=etf.T)
    assert not fixed_classifier.is_nearest_mean_rule(W=etf, M=0 * etf.T)
    assert not fixed_classifier.is_nearest_mean_rule(W=etf, M=etf.T, b=np.array([0, 0, 0, 1e-3]))
    assert fixed_classifier.is_nearest_mean_rule(W=etf, M=etf.T, b=np.array([0, 0, 0, 1e-3]), tolerance=1e-2)


# where the theorems are silent, and bad arguments

SILENT: list[tuple[Any, Any, dict[str, Any], list[str]]] = [
    (
        layer_peeled.applies,
        layer_peeled.global_minimum,
        {"K": 4, "n": (4, 3, 2, 1), "d": 2, "E_W": 1.0, "E_H": 1.0},
        ["are 4 different ones", "d=2 < K-1=3"],
    ),
    (
        relu_features.applies,
        relu_features.global_minimum,
        {"K": 3, "n": 2, "d": 2, "lam_W": 0.1, "lam_H": 0.1},
        ["d=2 < K=3: K orthogonal"],
    ),
]


@pytest.mark.parametrize(("applies", "minimum", "setting", "words"), SILENT)
def test_where_the_theorems_are_silent_they_say_why(applies, minimum, setting, words):
    reasons = applies(**setting)
    assert len(reasons) == len(words)
    assert all(word in reason for word, reason in zip(words, reasons, strict=True))
    with pytest.raises(NotApplicable, match="no closed form here") as caught:
        minimum(**setting)
    assert caught.value.reasons == reasons
    assert applies(**(setting | {"d": 3, "n": 2})) == ()


def test_fixed_classifiers_need_room():
    (reason,) = fixed_classifier.applies(K=4, n=2, d=2)
    assert "d=2 < K-1=3" in reason
    assert fixed_classifier.applies(K=4, n=2, d=3) == ()
    for minimum, extra in (
        (fixed_classifier.norm_ball_minimum, {"E_H": 1.0}),
        (fixed_classifier.dot_regression_minimum, {"E_H": 1.0}),
        (fixed_classifier.feature_decay_minimum, {"lam_H": 1.0}),
    ):
        with pytest.raises(NotApplicable, match="d=2 < K-1=3"):
            minimum(K=4, n=2, d=2, E_W=1.0, **extra)  # pyright: ignore[reportCallIssue]
    with pytest.raises(NotApplicable, match="with general targets"):
        regression.minimiser(Y=np.eye(3), d=3, lam_W=1.0, lam_H=1.0, lam_b=0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: layer_peeled.applies(K=3, n=2, d=3, E_W=-1.0, E_H=1.0),
            "layer_peeled.applies: E_W=-1.0 is not a positive",
        ),
        (
            lambda: layer_peeled.global_minimum(K=3, n=(1, 2), d=3, E_W=1.0, E_H=1.0),
            "layer_peeled.global_minimum: n has 2 class sizes for K=3",
        ),
        (lambda: layer_peeled.balanced_value(K=1, E_W=1.0, E_H=1.0), "K=1 is not an integer >= 2"),
        (
            lambda: layer_peeled.minority_collapse_ratio(k_A=1, k_B=1, E_W=1.0, E_H=1.0),
            "layer_peeled.minority_collapse_ratio: k_B=1 is not an integer >= 2",
        ),
        (
            lambda: relu_features.global_minimum(K=3, n=0, d=3, lam_W=1.0, lam_H=1.0),
            "relu_features.global_minimum: n=0 is not an integer >= 1",
        ),
        (
            lambda: relu_features.applies(K=3, n=1, d=3, lam_W=1.0, lam_H=0.0),
            "relu_features.applies: lam_H=0.0 is not a positive",
        ),
        (lambda: relu_features.collapse_thresholds(K=3, n=(1,)), "n has 1 class sizes for K=3"),
        (lambda: regression.strength(N=0, lam_W=1.0, lam_H=1.0), "regression.strength: N=0 is not an integer >= 1"),
        (lambda: regression.global_minimum(Y=np.ones(3), d=1, lam_W=1.0, lam_H=1.0), "Y has shape (3,)"),
        (
            lambda: conversions.from_mean_feature_decay(N=0, lam_W=1.0, lam_H=1.0),
            "from_mean_feature_decay: N=0 is not an integer >= 1",
        ),
        (
            lambda: fixed_classifier.norm_ball_minimum(K=3, n=2, d=3, E_W=0.0, E_H=1.0),
            "fixed_classifier.norm_ball_minimum: E_W=0.0 is not a positive",
        ),
        (
            lambda: fixed_classifier.feature_decay_minimum(K=3, n=2, d=3, E_W=1.0, lam_H=0.0),
            "fixed_classifier.feature_decay_minimum: lam_H=0.0 is not a positive",
        ),
        (lambda: fixed_classifier.boundary_distance(K=1, E_H=1.0), "K=1 is not an integer >= 2"),
        (lambda: fixed_classifier.margin(K=2, E_W=1.0, E_H=math.inf), "E_H=inf is not a positive"),
        (
            lambda: fixed_classifier.is_nearest_mean_rule(W=np.eye(3), M=np.eye(2)),
            "fixed_classifier.is_nearest_mean_rule: M has shape (2, 2)",
        ),
        (lambda: fixed_classifier.is_nearest_mean_rule(W=np.eye(2), M=np.eye(2), b=np.ones(3)), "b has shape (3,)"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        call()
    assert not isinstance(caught.value, NotApplicable)
