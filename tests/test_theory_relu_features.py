"""3.7: ReLU features."""

import math
from typing import Any

import numpy as np
import pytest
from dense_oracle import Dense
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax

from theory import (
    fixed_classifier,
    relu_features,
)

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
        Q = np.exp(log_softmax(q["logits"], axis=0))
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
