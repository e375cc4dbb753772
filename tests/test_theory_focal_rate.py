"""T13: the focal loss as a function of the margin, its peaks and stationary margins."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory import NotApplicable, cross_entropy, focal


@pytest.mark.parametrize("gamma", [0.0, 1e-4, 0.5, 1.0, 2.0, 5.0, 60.0])
@pytest.mark.parametrize("K", [2, 3, 24, 1000])
def test_loss_rate_and_curvature_are_derivatives_of_each_other(K, gamma):
    m = np.linspace(-6.0, 20.0, 53)
    p = 1 / (1 + (K - 1) * np.exp(-m))
    s = (K - 1) * np.exp(-m) / (1 + (K - 1) * np.exp(-m))
    phi, rate, curvature = (f(m, K=K, gamma=gamma) for f in (focal.margin_loss, focal.rate, focal.curvature))
    np.testing.assert_allclose(phi, s**gamma * -np.log1p(-s), rtol=1e-11)
    np.testing.assert_allclose(rate, s**gamma * (s - gamma * p * np.log1p(-s)), rtol=1e-11)
    h = 1e-4
    around = [focal.margin_loss(m + step * h, K=K, gamma=gamma) for step in (-2, -1, 1, 2)]
    slope = (around[0] - 8 * around[1] + 8 * around[2] - around[3]) / (12 * h)
    np.testing.assert_allclose(-rate, slope, rtol=1e-8, atol=1e-11)
    around = [focal.rate(m + step * h, K=K, gamma=gamma) for step in (-2, -1, 1, 2)]
    slope = (around[0] - 8 * around[1] + 8 * around[2] - around[3]) / (12 * h)
    np.testing.assert_allclose(-curvature, slope, rtol=1e-8, atol=1e-11 * (1 + gamma))
    for f in (focal.margin_loss, focal.rate, focal.curvature):
        assert np.all(np.isfinite(f(np.array([-1e4, -700.0, 700.0, 1e4]), K=K, gamma=gamma)))


def test_documented_peaks():
    """p0 and the least K of the theory reference (its p0 at gamma = 2, .0579, is .05785)."""
    for gamma, p0, K in ((0.5, 0.0177, 57), (1, 0.0432, 24), (2, 0.05785, 18), (3, 0.0575, 18), (5, 0.0502, 20)):
        found = focal.peak_probability(gamma=gamma)
        assert found == pytest.approx(p0, abs=5e-5)
        assert focal.least_bistable_K(gamma=gamma) == K
        odds = 6 * math.exp(-focal.peak_margin(K=7, gamma=gamma))
        assert 1 / (1 + odds) == pytest.approx(found, rel=1e-13, abs=0)
        p = np.linspace(1e-4, 0.3, 300001)
        rate = (1 - p) ** gamma * ((1 - p) - gamma * p * np.log(p))
        assert abs(p[np.argmax(rate)] - found) <= 2e-6
        assert focal.peak_rate(gamma=gamma) == pytest.approx(np.max(rate), rel=1e-11)
        for classes, bistable in ((K - 1, False), (K, True)):
            low, high = focal.bistable_range(K=classes, gamma=gamma)
            assert (low < high) == bistable
            assert low <= focal.collapse_threshold(K=classes, gamma=gamma) <= high


@pytest.mark.parametrize("gamma", [1e-9, 1e-4, 1e-2, 0.3, 1e2, 1e6])
def test_extreme_exponents(gamma):
    assert (focal.peak_margin(K=2, gamma=gamma) == -math.inf) == (focal.peak_probability(gamma=gamma) == 0.0)
    assert 0.0 <= focal.peak_probability(gamma=gamma) < 0.06
    assert 1.0 <= focal.peak_rate(gamma=gamma) <= 1 + gamma
    for K in (2, 100):
        low, high = focal.bistable_range(K=K, gamma=gamma)
        assert 0.0 <= low <= focal.collapse_threshold(K=K, gamma=gamma) * (1 + 1e-15) <= high * (1 + 1e-14)
        f = focal.global_minimum(K=K, n=1, d=K, lam_W=1e-9, lam_H=1e-3, gamma=gamma)
        assert all(np.all(np.isfinite(entry)) for entry in f.quantities.values())


@settings(deadline=None, max_examples=200)
@given(
    K=st.integers(2, 60),
    gamma=st.floats(0.0, 8.0),
    price=st.one_of(st.floats(0.9, 1.5), st.floats(1e-6, 2.0)),
)
def test_every_stationary_margin_is_found_and_the_lowest_one_chosen(K, gamma, price):
    lam = price / (K - 1)
    found = focal.stationary_margins(K=K, n=1, lam_W=lam, lam_H=lam, gamma=gamma)
    grid = np.concatenate([[0.0], np.geomspace(1e-9, 60.0, 40001)])
    excess = focal.rate(grid, K=K, gamma=gamma) - price
    crossings = np.nonzero(np.sign(excess[1:]) != np.sign(excess[:-1]))[0]
    roots = [point for point in found if point.margin > 1e-7]
    if abs(excess[0]) > 1e-6 and abs(focal.peak_rate(gamma=gamma) - price) > 1e-6:
        assert len(roots) == len(crossings)
        for point, at in zip(roots, crossings, strict=True):
            assert grid[at] * (1 - 1e-9) <= point.margin <= grid[at + 1] * (1 + 1e-9)
            assert point.stable == (excess[at] > 0)
    for point in roots:
        assert focal.rate(point.margin, K=K, gamma=gamma) == pytest.approx(price, rel=1e-12)
    value = focal.margin_loss(grid, K=K, gamma=gamma) + price * grid
    setting: dict[str, Any] = {"K": K, "n": 1, "d": K, "lam_W": lam, "lam_H": lam, "gamma": gamma}
    if focal.applies(**setting):
        return  # a tie
    f = focal.global_minimum(**setting)
    assert f.value <= np.min(value) * (1 + 1e-14)
    assert f.value >= np.min(value) - 1e-4 * price
    assert any(f.quantities["margin"] == pytest.approx(point.margin, rel=1e-9) for point in found if point.stable)


@pytest.mark.parametrize(
    ("K", "gamma"), [(3, 2.0), (10, 1.0), (17, 2.0), (24, 2.0), (57, 0.5), (100, 2.0), (1000, 5.0)]
)
def test_zero_is_the_minimum_exactly_from_the_threshold_on(K, gamma):
    at = focal.collapse_threshold(K=K, gamma=gamma)
    low, high = focal.bistable_range(K=K, gamma=gamma)

    def setting(strength):
        return {"K": K, "n": 4, "d": K, "lam_W": strength / K / 2, "lam_H": strength / K / 2, "gamma": gamma}

    assert focal.kappa(**{key: setting(at)[key] for key in ("K", "n", "lam_W", "lam_H")}) == pytest.approx(
        at, rel=1e-14
    )
    near = 1e-6 if low == high else min(1e-6, (at - low) / (2 * at), (high - at) / (2 * at))
    below, above = (focal.global_minimum(**setting(at * factor)) for factor in (1 - near, 1 + near))
    assert above.quantities["margin"] == 0.0 < below.quantities["margin"]
    assert above.value == pytest.approx(((K - 1) / K) ** gamma * math.log(K), rel=1e-14)
    assert above.value * (1 - 1e-5) <= below.value <= above.value * (1 + 1e-15)
    least = focal.origin_spectrum(**setting(at * (1 - near))).values[0]
    if low == high:
        assert below.quantities["margin"] <= 1e-3
        assert least < 0
        assert "nullity" not in focal.global_minimum(**setting(at)).quantities
    else:
        assert low < at < high
        assert below.quantities["margin"] > 0.01
        assert least > 0  # zero is a strict local minimum although an ETF is better
        (reason,) = focal.applies(**setting(at))
        assert "have the same value" in reason
        scale = {name: setting(at)[name] for name in ("K", "n", "lam_W", "lam_H", "gamma")}
        for call in (
            lambda: focal.global_minimum(**setting(at)),
            lambda: focal.minimum_spectrum(**setting(at)),
            lambda: focal.logit_curvature(**scale),
        ):
            with pytest.raises(NotApplicable, match="both are global minimisers"):
                call()


def test_errors_of_the_small_functions():
    for name in ("margin_loss", "rate", "curvature"):
        with pytest.raises(ValueError, match=f"focal.{name}: gamma=-1 is not"):
            getattr(focal, name)(0.0, K=3, gamma=-1)
        with pytest.raises(ValueError, match=f"focal.{name}: K=1 is not"):
            getattr(focal, name)(0.0, K=1, gamma=1)
    for name in ("peak_probability", "peak_rate", "least_bistable_K"):
        with pytest.raises(ValueError, match=f"focal.{name}: gamma=-1 is not"):
            getattr(focal, name)(gamma=-1)
    for name in ("bistable_range", "collapse_threshold", "peak_margin"):
        with pytest.raises(ValueError, match=f"focal.{name}: K=1 is not"):
            getattr(focal, name)(K=1, gamma=1)
    with pytest.raises(ValueError, match=r"focal.kappa: n=\(1, 2\) is imbalanced"):
        focal.kappa(K=2, n=(1, 2), lam_W=1.0, lam_H=1.0)
    with pytest.raises(ValueError, match=r"focal.stationary_margins: lam_W=0 is not"):
        focal.stationary_margins(K=2, n=1, lam_W=0, lam_H=1.0, gamma=1.0)
    with pytest.raises(ValueError, match=r"cross_entropy.logit_curvature: smoothing=1 is outside"):
        cross_entropy.logit_curvature(K=2, n=1, lam_W=1.0, lam_H=1.0, smoothing=1)
