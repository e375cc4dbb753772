"""3.6: the layer-peeled model; minority collapse at a finite ratio."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from theory import (
    conversions,
    cross_entropy,
    layer_peeled,
)

BUDGETS = [(1.0, 0.3), (1.0, 3.0), (2.0, 20.0), (0.05, 4000.0), (1.0, 500.0)]


@pytest.mark.parametrize(("E_W", "E_H"), BUDGETS)
@pytest.mark.parametrize("n", [(20, 20, 2, 2, 2), (1, 50, 1), (300, 1, 1, 1), (7, 7, 7, 1), (4, 4, 4), (5, 2)])
def test_layer_peeled_minimum_by_its_dual(n, E_W, E_H):
    """loss(Theta) >= (1/N) sum n_c entropy(q_c) - B |Gamma|_2 for |Theta|_* <= B, Gamma = (Q - I) n/N: equal here."""
    K = len(n)
    q = layer_peeled.global_minimum(K=K, n=n, d=K - 1, E_W=E_W, E_H=E_H).quantities
    weights, budget, Z = np.array(n) / sum(n), K * math.sqrt(E_W * E_H), q["logits"]
    log_Q = log_softmax(Z, axis=0)
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
        log_Q = log_softmax(W @ M, axis=0)
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
