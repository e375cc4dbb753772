"""T12: losses bounded by a convex function of the margin."""

import math
import re
from typing import Any

import numpy as np
import pytest

from theory import NotApplicable, contrastive_losses, cross_entropy, frames

BIASES = [None, 0.0, 1e-3, 0.3]
DECAYS = [(1e-3, 1e-3), (5e-2, 5e-4), (2e-4, 2e-2), (0.15, 0.15), (1.0, 1.0)]
SMALL = [(2, 1), (2, 3), (3, 1), (4, 2), (5, 1)]


def etf_point(K, n, d, lam_W, lam_H, lam_b, margin):
    """The balanced ETF of this margin."""
    W, H = frames.balanced_factors(np.repeat(margin * frames.centering(K), n, axis=1), d, lam_W, lam_H)
    return W, H, None if lam_b is None else np.zeros(K)


def smoothed(K, smoothing) -> dict[str, Any]:
    """phi and its slope of cross-entropy with label smoothing."""

    def phi(m):
        return math.log1p((K - 1) * math.exp(-m)) + smoothing * (K - 1) * m / K

    def slope(m):
        return smoothing * (K - 1) / K - (K - 1) * math.exp(-m) / (1 + (K - 1) * math.exp(-m))

    return {"phi": phi, "slope": slope}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("lam_b", BIASES)
def test_contrastive_losses_contain_cross_entropy(lam_b, smoothing):
    for K, n in SMALL:
        for lam_W, lam_H in [*DECAYS, (1e-60, 1e-60)]:
            setting = {"K": K, "n": n, "d": K, "lam_W": lam_W, "lam_H": lam_H, "lam_b": lam_b}
            general = contrastive_losses.global_minimum(**setting, **smoothed(K, smoothing))
            special = cross_entropy.global_minimum(smoothing=smoothing, **setting).quantities
            assert general.theorem == "T12"
            assert set(special) - set(general.quantities) <= {"nullity"}
            for name, quantity in general.quantities.items():
                np.testing.assert_allclose(quantity, special[name], rtol=1e-12, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("lam_b", [None, 0.0, 0.1])
def test_pairwise_logistic_loss(lam_b):
    """sum over j of log(1 + e^(z_j - z_y)) >= (K-1) log(1 + e^-m) by Jensen: a loss that no other module knows."""
    K, n, d, lam_W, lam_H = 4, 2, 3, 0.05, 0.02
    labels = np.repeat(np.arange(K), n)
    others = np.arange(K)[:, None] != labels

    def f(W, H, b):
        A = W @ H if b is None else W @ H + b[:, None]
        loss = np.sum(np.where(others, np.logaddexp(0.0, A - A[labels, np.arange(K * n)]), 0.0)) / (K * n)
        return (
            loss
            + lam_W / 2 * np.sum(W**2)
            + lam_H / 2 * np.sum(H**2)
            + ((lam_b or 0.0) / 2 * np.sum(b**2) if b is not None else 0.0)
        )

    prediction = contrastive_losses.global_minimum(
        K=K,
        n=n,
        d=d,
        lam_W=lam_W,
        lam_H=lam_H,
        lam_b=lam_b,
        phi=lambda m: (K - 1) * math.log1p(math.exp(-m)),
        slope=lambda m: -(K - 1) / (1 + math.exp(min(m, 700.0))),
    )
    W, H, b = etf_point(K, n, d, lam_W, lam_H, lam_b, prediction.quantities["margin"])
    assert "margin balances" in prediction.statement
    assert f(W, H, b) == pytest.approx(prediction.value, rel=1e-14)
    rng = np.random.default_rng(0)
    for size in 10.0 ** rng.uniform(-4, 1, size=300):
        E, F = size * rng.normal(size=W.shape), size * rng.normal(size=H.shape)
        e: Any = None if b is None else size * rng.normal(size=K)
        assert f(W + E, H + F, None if b is None else b + e) >= prediction.value - 1e-15
        assert f(E, F, e) >= prediction.value


def test_contrastive_losses_where_nothing_is_learned_or_nothing_stops():
    trivial = contrastive_losses.global_minimum(K=3, n=1, d=2, lam_W=1.0, lam_H=1.0, **smoothed(3, 0.0))
    assert trivial.quantities["margin"] == 0.0
    assert trivial.value == pytest.approx(math.log(3), rel=1e-15)
    assert "W = H = 0" in trivial.statement
    with pytest.raises(ValueError, match=re.escape("slope(m) stays below -(K-1) c")):
        contrastive_losses.global_minimum(K=3, n=1, d=2, lam_W=0.1, lam_H=0.1, phi=lambda m: -m, slope=lambda m: -1.0)


@pytest.mark.parametrize("change", [{"n": (3, 2, 1, 1)}, {"d": 2}])
def test_without_a_frame_there_is_no_minimum(change):
    setting: dict[str, Any] = {"K": 4, "n": 2, "d": 5, "lam_W": 0.1, "lam_H": 0.1} | change
    with pytest.raises(NotApplicable, match="no closed form here"):
        contrastive_losses.global_minimum(**setting, **smoothed(4, 0.0))
