"""T19: gradient descent as fast as the spectrum says, and the spectrum in scaled variables against dense Hessians."""

import math
import re
from typing import Any

import numpy as np
import pytest
from dense_oracle import Dense, assert_spectrum

from theory import NotApplicable, Spectrum, conditioning, cross_entropy, expand, focal, frames, mse


def etf_point(K, n, d, lam_W, lam_H, lam_b, margin):
    W, H = frames.balanced_factors(np.repeat(margin * frames.centering(K), n, axis=1), d, lam_W, lam_H)
    return W, H, None if lam_b is None else np.zeros(K)


def units(K, n, d, lam_W, lam_H, lam_b, j1):
    """Length of each scaled variable in the plain one."""
    parts = [np.full(K * d, lam_W**-0.5), np.full(d * K * n, lam_H**-0.5)]
    return np.concatenate(parts if lam_b is None else [*parts, np.full(K, (lam_b + j1) ** -0.5)])


@pytest.mark.parametrize("lam_b", [None, 0.0, 1e-3, 0.3, 50.0])
@pytest.mark.parametrize(("K", "n", "d"), [(2, 1, 1), (2, 3, 3), (3, 2, 2), (4, 2, 5), (5, 1, 4)])
def test_scaled_spectrum_against_the_dense_hessian(K, n, d, lam_b):
    for lam_W, lam_H in ((1e-3, 1e-3), (5e-2, 5e-4), (2e-4, 2e-2)):
        for smoothing in (0.0, 0.1):
            curvature = cross_entropy.logit_curvature(K=K, n=n, lam_W=lam_W, lam_H=lam_H, smoothing=smoothing)
            dense = Dense("ce", (n,) * K, lam_W, lam_H, lam_b, smoothing)
            hessian = dense.hessian(*etf_point(K, n, d, lam_W, lam_H, lam_b, curvature.margin))
            unit = units(K, n, d, lam_W, lam_H, lam_b, curvature.j1)
            spectrum = conditioning.scaled_etf_spectrum(K=K, n=n, d=d, lam_b=lam_b, curvature=curvature)
            zeros = (K - 1) * (2 * d - K) // 2 + int(lam_b == 0.0)
            assert_spectrum(hessian * unit * unit[:, None], expand(spectrum), zeros)


def test_without_bias_any_loss_is_scaled_by_equal_decays():
    """f(W, H; lam_W, lam_H) is f of sqrt(nu) (W, H) at lam_W = lam_H = nu: the scaled spectrum is that one over nu."""
    K, n, d, lam_W, lam_H = 5, 3, 6, 5e-2, 5e-4
    nu = math.sqrt(lam_W * lam_H)
    even = expand(focal.minimum_spectrum(K=K, n=n, d=d, lam_W=nu, lam_H=nu, gamma=2.0)) / nu
    curvature = focal.logit_curvature(K=K, n=n, lam_W=lam_W, lam_H=lam_H, gamma=2.0)
    scaled = expand(conditioning.scaled_etf_spectrum(K=K, n=n, d=d, curvature=curvature))
    np.testing.assert_allclose(scaled, even, rtol=1e-11, atol=1e-12)


def measured_rate(dense, point, step, unit):
    """|gradient| of gradient descent from near the point falls by this factor a step between 1e-9 and 1e-13."""
    K, d = point[0].shape
    N, with_bias = dense.N, point[2] is not None
    x = np.concatenate([part.ravel() for part in point if part is not None]) / unit
    x = x + 1e-6 * np.random.default_rng(0).normal(size=x.size) * np.abs(x).max()
    norms = [1.0]
    while norms[-1] > 1e-13:
        y = x * unit
        W, H = y[: K * d].reshape(K, d), y[K * d : K * d + d * N].reshape(d, N)
        g = unit * dense.gradient(W, H, y[K * d + d * N :] if with_bias else None)
        norms.append(float(np.linalg.norm(g)))
        x = x - step * g
        assert len(norms) < 3000
    late = [norm for norm in norms if norm < 1e-9]
    return (late[-1] / late[0]) ** (1 / (len(late) - 1))


@pytest.mark.parametrize(("lam_W", "lam_H", "lam_b"), [(2e-2, 2e-2, None), (2e-2, 2e-2, 0.05), (5e-2, 1e-2, 0.0)])
def test_gradient_descent_is_as_fast_as_predicted(lam_W, lam_H, lam_b):
    K, n, d = 4, 3, 5
    curvature = cross_entropy.logit_curvature(K=K, n=n, lam_W=lam_W, lam_H=lam_H)
    dense = Dense("ce", (n,) * K, lam_W, lam_H, lam_b)
    point = etf_point(K, n, d, lam_W, lam_H, lam_b, curvature.margin)
    plain = conditioning.gradient_descent(
        cross_entropy.minimum_spectrum(K=K, n=n, d=d, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b)
    )
    scaled = conditioning.gradient_descent(
        conditioning.scaled_etf_spectrum(K=K, n=n, d=d, lam_b=lam_b, curvature=curvature)
    )
    unit = units(K, n, d, lam_W, lam_H, lam_b, curvature.j1)
    for found, scale in ((plain, np.ones_like(unit)), (scaled, unit)):
        assert found.rate == pytest.approx((found.L - found.mu) / (found.L + found.mu), rel=1e-14)
        assert found.condition == pytest.approx(found.L / found.mu, rel=1e-15)
        assert found.step == pytest.approx(2 / (found.L + found.mu), rel=1e-15)
        assert measured_rate(dense, point, found.step, scale) == pytest.approx(found.rate, rel=2e-3)


def test_documented_condition_numbers():
    """Cross-entropy, K=10, n=5, no bias: only log(1/lam) at lam_W = lam_H, in scaled variables at any ratio."""
    for lam, even, uneven in (
        (1e-2, 8.0, 386.5),
        (1e-3, 11.9, None),
        (1e-4, 16.8, None),
        (1e-5, 21.4, None),
        (1e-6, 26.0, 1411.4),
    ):
        for d in (10, 20):
            for ratio, expected in ((1.0, even), (100.0, uneven)):
                setting = {"K": 10, "n": 5, "lam_W": lam * math.sqrt(ratio), "lam_H": lam / math.sqrt(ratio)}
                plain = conditioning.gradient_descent(cross_entropy.minimum_spectrum(d=d, **setting))
                if expected is not None:
                    assert plain.condition == pytest.approx(expected, abs=0.06)
                scaled = conditioning.scaled_etf_spectrum(
                    K=10, n=5, d=d, curvature=cross_entropy.logit_curvature(**setting)
                )
                assert conditioning.gradient_descent(scaled).condition == pytest.approx(even, abs=0.06)


def test_a_weak_bias_decay_is_the_slowest_scaled_direction():
    """Not in the reference: along the ones vector lam_b/(lam_b + j1), which no scaling of W and H improves."""
    setting = {"K": 10, "n": 5, "lam_W": 1e-2, "lam_H": 1e-2}
    curvature = cross_entropy.logit_curvature(**setting)
    scaled = conditioning.gradient_descent(
        conditioning.scaled_etf_spectrum(K=10, n=5, d=10, lam_b=1e-3, curvature=curvature)
    )
    assert scaled.mu == pytest.approx(1e-3 / (1e-3 + curvature.j1), rel=1e-14)
    plain = conditioning.gradient_descent(cross_entropy.minimum_spectrum(d=10, lam_b=1e-3, **setting))
    assert scaled.condition > plain.condition > 8


def test_extreme_decays_stay_finite():
    for lam in (1e-140, 1e-250):
        curvature = cross_entropy.logit_curvature(K=10, n=5, lam_W=lam, lam_H=1e-30)
        for lam_b in (None, 0.0, 1e-300, 1e300):
            spectrum = conditioning.scaled_etf_spectrum(K=10, n=5, d=12, lam_b=lam_b, curvature=curvature)
            assert np.all(np.isfinite(spectrum.values))
            assert np.sum(spectrum.multiplicities) == 10 * 12 + 12 * 50 + (0 if lam_b is None else 10)
    found = conditioning.gradient_descent(mse.minimum_spectrum(K=3, n=1, d=3, lam_W=1e-200, lam_H=1e-200))
    assert 0.0 <= found.rate <= 1.0


def test_refusals():
    with pytest.raises(NotApplicable, match=r"least eigenvalue is -0.5 < 0: the point is a saddle"):
        conditioning.gradient_descent(Spectrum(np.array([-0.5, 1.0]), np.array([1, 1])))
    with pytest.raises(NotApplicable, match="No eigenvalue is positive"):
        conditioning.gradient_descent(Spectrum(np.array([0.0]), np.array([4])))
    with pytest.raises(NotApplicable, match="is a saddle"):
        conditioning.gradient_descent(cross_entropy.origin_spectrum(K=3, n=1, d=2, lam_W=0.1, lam_H=0.1))
    trivial = cross_entropy.logit_curvature(K=3, n=1, lam_W=1.0, lam_H=1.0)
    with pytest.raises(NotApplicable, match="The margin is zero"):
        conditioning.scaled_etf_spectrum(K=3, n=1, d=2, curvature=trivial)
    good: dict[str, Any] = {
        "K": 3,
        "n": 1,
        "d": 2,
        "curvature": cross_entropy.logit_curvature(K=3, n=1, lam_W=0.1, lam_H=0.1),
    }
    for change, message in (
        ({"K": 1}, "K=1 is not an integer >= 2"),
        ({"n": 0}, "n=0 is not an integer >= 1"),
        ({"d": 1}, "d=1 is not an integer >= 2"),
        ({"lam_b": -1.0}, "lam_b=-1.0 is neither None"),
        ({"curvature": trivial._replace(margin=-1.0)}, "curvature.margin=-1.0 is not a positive"),
    ):
        changed: dict[str, Any] = good | change
        with pytest.raises(ValueError, match=re.escape(f"conditioning.scaled_etf_spectrum: {message}")):
            conditioning.scaled_etf_spectrum(**changed)
