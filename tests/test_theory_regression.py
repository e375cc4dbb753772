"""7: regression on real targets."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from theory import (
    conversions,
    mse,
    regression,
)


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
