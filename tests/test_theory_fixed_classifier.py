"""8: fixed classifiers, margins, the nearest-mean rule."""

import itertools
import math

import numpy as np
import pytest
from dense_oracle import Dense

from theory import (
    NotApplicable,
    fixed_classifier,
    frames,
    imbalance,
    mse,
    regression,
    relu_features,
    seli,
)


def relu_point(q, d):
    """W, H >= 0 that a 3.7 prediction describes: class c along coordinate c."""
    K = len(q["gram_M"])
    norms = np.sqrt(np.diag(q["gram_M"]))
    M = np.pad(np.diag(norms), ((0, d - K), (0, 0)))
    # W along h_c is logits_c/|h_c|; classes at zero have no classifier either
    W = np.pad(q["logits"] / np.where(norms > 0, norms, 1.0), ((0, 0), (0, d - K)))
    return W, M


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
