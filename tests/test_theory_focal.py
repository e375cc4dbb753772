"""T13, T16, T18 for the focal loss: dense oracle, exhaustive search, the reference's numbers."""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from dense_oracle import Dense, assert_spectrum, assert_states
from scipy.optimize import minimize

from theory import NotApplicable, contrastive_losses, cross_entropy, expand, focal, frames

BIASES = [None, 0.0, 1e-3, 0.3]
DECAYS = [(1e-3, 1e-3), (5e-2, 5e-4), (2e-4, 2e-2), (0.15, 0.15), (1.0, 1.0)]
SMALL = [(2, 1), (2, 3), (3, 1), (4, 2), (5, 1)]
GAMMAS = [0.5, 1.0, 2.0, 5.0]


@dataclass(frozen=True, eq=False)
class FocalDense(Dense):
    """Dense with (1-p_y)^gamma (-log p_y), through the derivatives of F(log p_y)."""

    gamma: float = 2.0

    def _residual(self, A):
        N, g, Y = self.N, self.gamma, np.eye(self.K)[:, self.labels]
        A = A - A.max(axis=0)
        logs = A - np.log(np.sum(np.exp(A), axis=0))
        P = np.exp(logs)
        l, p, s = np.sum(Y * logs, axis=0), np.sum(Y * P, axis=0), np.sum((1 - Y) * P, axis=0)
        first = -(s**g) + g * s ** (g - 1) * p * l
        second = g * p * (s ** (g - 1) * (2 + l) - (g - 1) * s ** (g - 2) * p * l)
        D = Y - P
        D[self.labels, np.arange(N)] = s
        spread = np.einsum("ki,kl->ikl", P, np.eye(self.K)) - np.einsum("ki,li->ikl", P, P)
        curvature = np.einsum("i,ki,li->ikl", second, D, D) - first[:, None, None] * spread
        return float(np.sum(s**g * -l)) / N, first * D / N, curvature / N


def etf_point(K, n, d, lam_W, lam_H, lam_b, margin):
    """The balanced ETF of this margin."""
    W, H = frames.balanced_factors(np.repeat(margin * frames.centering(K), n, axis=1), d, lam_W, lam_H)
    return W, H, None if lam_b is None else np.zeros(K)


def minimiser(K, n, d, lam_W, lam_H, lam_b, gamma):
    setting = {"K": K, "n": n, "d": d, "lam_W": lam_W, "lam_H": lam_H, "lam_b": lam_b, "gamma": gamma}
    prediction = focal.global_minimum(**setting)
    point = etf_point(K, n, d, lam_W, lam_H, lam_b, prediction.quantities["margin"])
    return setting, prediction, FocalDense("focal", (n,) * K, lam_W, lam_H, lam_b, gamma=gamma), point


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("lam_b", BIASES)
@pytest.mark.parametrize(("K", "n"), SMALL)
def test_minimum_and_spectra_against_the_dense_oracle(K, n, lam_b, gamma):
    for lam_W, lam_H in DECAYS:
        for d in (K - 1, K + 2):
            setting, prediction, dense, point = minimiser(K, n, d, lam_W, lam_H, lam_b, gamma)
            assert prediction.theorem == "T13"
            assert_states(dense, prediction.quantities, *point)
            spectrum = expand(focal.minimum_spectrum(**setting))
            assert_spectrum(dense.hessian(*point), spectrum, prediction.quantities["nullity"])
            W, H, b = point
            assert_spectrum(dense.hessian(0 * W, 0 * H, b), expand(focal.origin_spectrum(**setting)))


def test_gamma_zero_is_cross_entropy():
    for lam_b in BIASES:
        for K, n in SMALL:
            for lam_W, lam_H in DECAYS:
                setting = {"K": K, "n": n, "d": K + 1, "lam_W": lam_W, "lam_H": lam_H, "lam_b": lam_b}
                ours, plain = focal.global_minimum(gamma=0.0, **setting), cross_entropy.global_minimum(**setting)
                assert ours.quantities.keys() == plain.quantities.keys()
                for name, quantity in plain.quantities.items():
                    np.testing.assert_allclose(ours.quantities[name], quantity, rtol=1e-13, atol=1e-15, err_msg=name)
                for name in ("minimum_spectrum", "origin_spectrum"):
                    a = expand(getattr(focal, name)(gamma=0.0, **setting))
                    b = expand(getattr(cross_entropy, name)(**setting))
                    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15 * b[-1])
    assert focal.collapse_threshold(K=7, gamma=0.0) == pytest.approx(1.0, rel=1e-15)
    assert focal.peak_probability(gamma=0.0) == 0.0
    assert focal.peak_rate(gamma=0.0) == 1.0
    assert focal.least_bistable_K(gamma=0.0) == math.inf
    assert focal.stationary_margins(K=5, n=1, lam_W=0.1, lam_H=0.1, gamma=0.0)[0] == (0.0, False)


def descend(dense, d, starts, seed):
    """The lowest of a few L-BFGS runs from random starts."""
    K, N, with_bias = dense.K, dense.N, dense.lam_b is not None

    def split(x):
        W, H = x[: K * d].reshape(K, d), x[K * d : K * d + d * N].reshape(d, N)
        return W, H, x[K * d + d * N :] if with_bias else None

    rng = np.random.default_rng(seed)
    return min(
        minimize(
            lambda x: dense.value(*split(x)),
            rng.normal(size=K * d + d * N + K * with_bias),
            jac=lambda x: dense.gradient(*split(x)),
            method="L-BFGS-B",
            options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 3000},
        ).fun
        for _ in range(starts)
    )


@pytest.mark.parametrize(("lam_b", "gamma"), [(None, 2.0), (0.0, 2.0), (0.1, 1.0), (None, 5.0)])
def test_value_against_descent_from_random_starts(lam_b, gamma):
    for K, n, lam in ((3, 2, 1e-2), (4, 1, 0.1)):
        _, prediction, dense, _ = minimiser(K, n, K, lam, 2 * lam, lam_b, gamma)
        assert -1e-14 <= descend(dense, K, 3, seed=K) - prediction.value <= 1e-9


def test_no_random_point_is_below_the_value():
    rng = np.random.default_rng(0)
    for lam_b in (None, 0.0, 0.2):
        for lam in (1e-2, 0.1, 0.3):
            _, prediction, dense, (W, H, b) = minimiser(4, 2, 4, lam, lam / 2, lam_b, 2.0)
            for size in 10.0 ** rng.uniform(-4, 1, size=200):
                E, F = size * rng.normal(size=W.shape), size * rng.normal(size=H.shape)
                e: Any = None if b is None else size * rng.normal(size=4)
                assert dense.value(E, F, e) >= prediction.value - 1e-15
                assert dense.value(W + E, H + F, None if b is None else b + e) >= prediction.value - 1e-15


def test_documented_warning_where_the_landscape_is_not_benign():
    """K=24, gamma=2, n=1, d=23 of the reference: (a) zero is a strict local minimum, (b) so is a partial collapse."""
    K, d, gamma = 24, 23, 2.0
    lam = 8.551313e-05 + float(focal.rate(0.0, K=K, gamma=gamma)) / (K - 1)
    setting, prediction, dense, point = minimiser(K, 1, d, lam, lam, None, gamma)
    assert focal.kappa(K=K, n=1, lam_W=lam, lam_H=lam) > 1
    assert prediction.value == pytest.approx(2.917563, abs=5e-7)
    assert_states(dense, prediction.quantities, *point)
    zero = np.zeros((K, d)), np.zeros((d, K)), None
    assert dense.value(*zero) == pytest.approx(2.918733, abs=5e-7)
    spectrum = expand(focal.origin_spectrum(**setting))
    assert spectrum[0] == pytest.approx(8.551313e-05, rel=1e-7)
    assert_spectrum(dense.hessian(*zero), spectrum)
    assert_spectrum(dense.hessian(*point), expand(focal.minimum_spectrum(**setting)), 253)
    # One class at h = 0, the others an ETF of their own: critical along its scale, hence altogether.
    Z = np.zeros((K, K))
    Z[1:, 1:] = frames.centering(K - 1)

    def partial(a):
        return frames.balanced_factors(a * Z, d, lam, lam)

    low, high = 0.4, 0.7
    for _ in range(60):  # bisection on the derivative along the scale
        middle = (low + high) / 2
        W, H = partial(middle)
        rising = dense.gradient(W, H, None) @ np.concatenate([W.ravel(), H.ravel()]) > 0
        low, high = (low, middle) if rising else (middle, high)
    W, H = partial(low)
    assert np.max(np.abs(dense.gradient(W, H, None))) <= 1e-15
    assert dense.value(W, H, None) == pytest.approx(2.917626, abs=5e-7)
    eigenvalues = np.linalg.eigvalsh(dense.hessian(W, H, None))
    assert eigenvalues[0] > -1e-15
    assert np.sum(eigenvalues < 1e-12) == 22 * (2 * d - 23) // 2 == 253
    # With lam_b = 0.01 the bias of the lost class comes in: 2.917611974621 in the reference.
    biased = FocalDense("focal", (1,) * K, lam, lam, 0.01, gamma=gamma)
    lost = np.eye(K)[0] - 1 / K
    lowest = minimize(lambda x: biased.value(*partial(x[0])[:2], -x[1] * lost), [0.58, 0.02], method="Nelder-Mead",
                      options={"xatol": 1e-9, "fatol": 1e-15}).fun  # fmt: skip
    assert lowest == pytest.approx(2.917611974621, abs=1e-10)


def test_documented_bias_that_beats_every_etf():
    """(c): lam_b = 0 and C = 1.12741; dropping 3 classes by their bias is lower by 4.9e-6. So T13 must not apply."""
    K, dropped, gamma = 24, 3, 2.0
    lam = 1.12741 / (K - 1)
    setting: dict[str, Any] = {"K": K, "n": 1, "d": K - 1, "lam_W": lam, "lam_H": lam, "gamma": gamma}
    mild: dict[str, Any] = setting | {"lam_W": 0.99 / 23, "lam_H": 0.99 / 23}  # C < 1
    few: dict[str, Any] = setting | {"K": 5}  # rate < 1 at zero
    etf = focal.global_minimum(**setting).value
    dense = FocalDense("focal", (1,) * K, lam, lam, 0.0, gamma=gamma)
    Z = np.zeros((K, K))
    Z[dropped:, dropped:] = 0.50493076 * frames.centering(K - dropped)
    b = np.where(np.arange(K) < dropped, 0.0, 0.02630813)
    assert etf - dense.value(*frames.balanced_factors(Z, K - 1, lam, lam), b) == pytest.approx(4.9e-6, abs=5e-8)
    for lam_b in (0.0, 0.1):
        (reason,) = focal.applies(lam_b=lam_b, **setting)
        assert "= 1.12741 > 1" in reason
        assert "dropping some classes" in reason
        with pytest.raises(NotApplicable, match="Known is the minimum without bias"):
            focal.global_minimum(lam_b=lam_b, **setting)
        with pytest.raises(NotApplicable, match="Known is the minimum without bias"):
            focal.minimum_spectrum(lam_b=lam_b, **setting)
    assert focal.applies(lam_b=0.0, **mild) == focal.applies(lam_b=0.0, **few) == ()


def test_logit_curvature_is_the_hessian_of_one_sample():
    K, n, lam = 5, 2, 1e-2
    for module, extra, dense in (
        (focal, {"gamma": 2.0}, FocalDense("focal", (n,) * K, lam, lam, None, gamma=2.0)),
        (cross_entropy, {"smoothing": 0.2}, Dense("ce", (n,) * K, lam, lam, None, smoothing=0.2)),
    ):
        a, c, j1, j2, tilt = module.logit_curvature(K=K, n=n, lam_W=lam, lam_H=lam, **extra)
        assert a == pytest.approx(
            module.global_minimum(K=K, n=n, d=K, lam_W=lam, lam_H=lam, **extra).quantities["margin"], rel=1e-15
        )
        assert c == pytest.approx(math.sqrt(n) * lam, rel=1e-15)
        assert tilt == pytest.approx((j2 - j1) / (K - 1), rel=1e-13)
        curvature = dense._residual(np.repeat(a * frames.centering(K), n, axis=1))[2][0] * K * n
        e = np.eye(K)[0] - 1 / K
        np.testing.assert_allclose(curvature @ e, j2 * e, atol=1e-15)
        v = np.array([0.0, 1.0, -2.0, 1.0, 0.0])
        np.testing.assert_allclose(curvature @ v, j1 * v, atol=1e-15)
    strong = focal.logit_curvature(K=K, n=n, lam_W=1.0, lam_H=1.0, gamma=2.0)
    assert strong.margin == 0.0
    assert strong.j1 == pytest.approx(float(focal.rate(0.0, K=K, gamma=2.0)) / (K - 1), rel=1e-14)


GOOD: dict[str, Any] = {"K": 4, "n": 2, "d": 5, "lam_W": 0.1, "lam_H": 0.1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n": (3, 2, 1, 1)}, ["class sizes (3, 2, 1, 1) differ"]),
        ({"d": 2}, ["d=2 < K-1=3"]),
        ({"n": (3, 2, 1, 1), "d": 1}, ["class sizes", "d=1 < K-1=3"]),
    ],
)
def test_where_the_theorems_are_silent_they_say_why(change, words):
    for module, extra in ((focal, {"gamma": 2.0}), (contrastive_losses, {})):
        reasons = module.applies(**(GOOD | change), **extra)
        assert len(reasons) == len(words)
        assert all(word in reason for word, reason in zip(words, reasons, strict=True))
        assert module.applies(**GOOD, **extra) == ()
    for call in (focal.global_minimum, focal.minimum_spectrum):
        with pytest.raises(NotApplicable, match="no closed form here"):
            call(**(GOOD | change), gamma=2.0)


def test_the_origin_needs_equal_classes_but_no_features():
    uneven: dict[str, Any] = GOOD | {"n": (3, 2, 1, 1)}
    with pytest.raises(NotApplicable, match="differ"):
        focal.origin_spectrum(**uneven, gamma=2.0)
    thin = focal.origin_spectrum(K=4, n=2, d=1, lam_W=0.1, lam_H=0.2, gamma=2.0)
    dense = FocalDense("focal", (2,) * 4, 0.1, 0.2, None, gamma=2.0)
    assert_spectrum(dense.hessian(np.zeros((4, 1)), np.zeros((1, 8)), None), expand(thin))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"K": 1}, "K=1 is not an integer >= 2"),
        ({"n": 0}, "n=0 is not an integer >= 1"),
        ({"d": 0}, "d=0 is not an integer >= 1"),
        ({"lam_W": 0.0}, "lam_W=0.0 is not a positive, finite, normal number"),
        ({"lam_H": -1.0}, "lam_H=-1.0"),
        ({"lam_b": -1e-3}, "lam_b=-0.001 is neither None"),
        ({"gamma": -0.5}, "gamma=-0.5 is not a finite number >= 0. Pass gamma >= 0."),
        ({"gamma": math.nan}, "gamma=nan is not a finite number"),
        ({"gamma": math.inf}, "gamma=inf is not a finite number"),
        ({"gamma": "2"}, "gamma='2' is not a finite number"),
        ({"gamma": None}, "gamma=None is not a finite number"),
    ],
)
def test_errors_say_what_is_wrong(change, message):
    for name in ("applies", "global_minimum", "minimum_spectrum", "origin_spectrum"):
        with pytest.raises(ValueError, match=re.escape(message)) as caught:
            getattr(focal, name)(**(GOOD | {"gamma": 2.0} | change))
        assert f"focal.{name}" in str(caught.value)
        assert not isinstance(caught.value, NotApplicable)
    if "gamma" not in change:
        with pytest.raises(ValueError, match=re.escape(message)):
            contrastive_losses.applies(**(GOOD | change))
