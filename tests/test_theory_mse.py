"""T8, T9, T10, T17, T18: closed forms against a dense oracle, duality, brute-force minimisation and many digits."""

import math
import re
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from dense_oracle import Dense, assert_spectrum, assert_states
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from theory import NotApplicable, expand, frames, mse

BIASES = [None, 0.0, 1e-3, 0.01, 0.3, 0.5, 50.0, 1e4]
DECAYS = [(1e-3, 1e-3), (5e-2, 5e-4), (2e-3, 0.1), (1.0, 1.0)]
SMALL = [(2, 1), (2, 3), (3, 1), (3, 2), (4, 2), (5, 1), (5, 3)]


def some_logits(prediction, K, n, d, lam_W, lam_H, lam_b):
    """The class-mean logits; where the theorem leaves them free (T9), a random choice among the minimisers."""
    if "logits" in prediction.quantities:
        return prediction.quantities["logits"]
    basis = np.eye(K) if lam_b is None else frames.centred_basis(K)
    turn, _ = np.linalg.qr(np.random.default_rng(d).normal(size=(basis.shape[1],) * 2))
    kept = (basis @ turn)[:, :d]
    return (1 - mse.kappa(K=K, n=n, lam_W=lam_W, lam_H=lam_H)) * kept @ kept.T


def minimiser(K, n, d, lam_W, lam_H, lam_b):
    """Prediction, dense problem, and a point that the prediction describes."""
    setting = {"K": K, "n": n, "d": d, "lam_W": lam_W, "lam_H": lam_H, "lam_b": lam_b}
    prediction = mse.global_minimum(**setting)
    sizes = (n,) * K if isinstance(n, int) else n
    Z = some_logits(prediction, **setting) if isinstance(n, int) else prediction.quantities["logits"]
    W, H = frames.balanced_factors(np.repeat(Z, sizes, axis=1), d, lam_W, lam_H)
    return setting, prediction, Dense("mse", sizes, lam_W, lam_H, lam_b), (W, H, prediction.quantities.get("b"))


@pytest.mark.parametrize("lam_b", BIASES)
@pytest.mark.parametrize(("K", "n"), SMALL)
def test_minimum_and_spectra_against_the_dense_oracle(K, n, lam_b):
    for d in range(1, K + 4):
        for lam_W, lam_H in DECAYS:
            setting, prediction, dense, (W, H, b) = minimiser(K, n, d, lam_W, lam_H, lam_b)
            assert prediction.theorem == ("T8" if d >= K else "T9")
            assert_states(dense, prediction.quantities, W, H, b)
            hessian = dense.hessian(W, H, b)
            # A penalty of 1e4 on b leaves rotations into the mean an eigenvalue of order 1e-4 of the rest: no zero.
            zeros = prediction.quantities["nullity"] if lam_b != 1e4 else None
            assert_spectrum(hessian, expand(mse.minimum_spectrum(**setting)), zeros)
            b0 = None if b is None else np.full(K, 1 / (K * (1 + lam_b)))
            assert_spectrum(dense.hessian(0 * W, 0 * H, b0), expand(mse.origin_spectrum(**setting)))


@pytest.mark.parametrize(("K", "n", "d"), [(8, 2, 3), (8, 1, 11), (10, 1, 9), (10, 2, 12), (10, 2, 6)])
@pytest.mark.parametrize("lam_b", [None, 0.0, 0.1, 5.0])
def test_larger_spectra(K, n, d, lam_b):
    setting, prediction, dense, point = minimiser(K, n, d, 5e-2, 5e-4, lam_b)
    assert_states(dense, prediction.quantities, *point)
    spectrum = mse.minimum_spectrum(**setting)
    assert np.all(np.diff(spectrum.values) >= 0)
    assert np.all(spectrum.multiplicities > 0)
    assert_spectrum(dense.hessian(*point), expand(spectrum), prediction.quantities["nullity"])


@pytest.mark.parametrize("lam_b", [None, 0.0, 0.02, 0.3, 1e4])
@pytest.mark.parametrize(
    ("K", "n", "lam_W", "lam_H"), [(2, 1, 0.1, 0.1), (4, 3, 1e-3, 1e-2), (10, 5, 5e-3, 5e-3), (5, 2, 1, 1)]
)
def test_dual_point_proves_the_value(K, n, lam_W, lam_H, lam_b):
    """T15: -N/2 |Gamma|^2 - <Gamma, Y> - |Gamma 1|^2/(2 lam_b) bounds f from below, here with equality."""
    q = mse.global_minimum(K=K, n=n, d=K, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b).quantities
    Y = np.repeat(np.eye(K), n, axis=1)
    gamma = (np.repeat(q["logits"], n, axis=1) + (0.0 if lam_b is None else q["b"][:, None]) - Y) / (n * K)
    assert np.linalg.norm(gamma, 2) <= math.sqrt(lam_W * lam_H) * (1 + 1e-13)
    dual = -n * K / 2 * np.sum(gamma**2) - np.sum(gamma * Y)
    if lam_b == 0.0:
        np.testing.assert_allclose(gamma.sum(axis=1), 0.0, atol=1e-15)
    elif lam_b is not None:
        dual -= np.sum(gamma.sum(axis=1) ** 2) / (2 * lam_b)
    assert abs(dual - q["value"]) <= 1e-15


def descend(dense, d, seed):
    """The lowest of a few L-BFGS runs from random starts: knows nothing of the closed form."""
    K, N, with_bias = dense.K, dense.N, dense.lam_b is not None

    def split(x):
        W, H = x[: K * d].reshape(K, d), x[K * d : K * d + d * N].reshape(d, N)
        return W, H, x[K * d + d * N :] if with_bias else None

    rng = np.random.default_rng(seed)
    runs = [
        minimize(
            lambda x: dense.value(*split(x)),
            rng.normal(size=K * d + d * N + K * with_bias),
            jac=lambda x: dense.gradient(*split(x)),
            method="L-BFGS-B",
            options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 3000},
        ).fun
        for _ in range(3)
    ]
    return min(runs)


@pytest.mark.parametrize(
    ("n", "d", "lam_b"),
    [
        *((2, d, lam_b) for d in (1, 2, 3, 4) for lam_b in (None, 0.0, 0.3)),
        *((n, d, lam_b) for n, d in (((5, 3, 2, 1), 2), ((5, 3, 2, 1), 5), ((4, 4, 1, 1), 3)) for lam_b in (None, 0.0)),
    ],
)
def test_value_against_descent_from_random_starts(n, d, lam_b):
    f = mse.global_minimum(K=4, n=n, d=d, lam_W=2e-2, lam_H=1e-2, lam_b=lam_b)
    sizes = n if isinstance(n, tuple) else (n,) * 4
    found = descend(Dense("mse", sizes, 2e-2, 1e-2, lam_b), d, seed=d)
    assert -1e-14 <= found - f.value <= 1e-9


@pytest.mark.parametrize("lam_b", [None, 0.0])
@pytest.mark.parametrize("n", [(5, 3, 2, 1), (6, 6, 1), (1, 2, 3, 4, 5), (50, 1)])
def test_imbalanced_minimum_against_the_dense_oracle(n, lam_b):
    K = len(n)
    for d in range(1, K + 3):
        for lam_W, lam_H in ((2e-2, 1e-2), (1e-4, 1e-2), (0.1, 0.1), (1.0, 1.0)):
            prediction = mse.global_minimum(K=K, n=n, d=d, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b)
            if "logits" not in prediction.quantities:
                continue
            _, _, dense, (W, H, b) = minimiser(K, n, d, lam_W, lam_H, lam_b)
            assert_states(dense, prediction.quantities, W, H, b)
            eigenvalues = np.linalg.eigvalsh(dense.hessian(W, H, b))
            assert eigenvalues[0] >= -1e-14
            assert np.sum(np.abs(eigenvalues) <= 1e-12) == prediction.quantities["nullity"]
            origin = expand(mse.origin_spectrum(K=K, n=n, d=d, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b))
            assert_spectrum(dense.hessian(0 * W, 0 * H, b), origin)


def test_imbalanced_penalised_bias_still_has_its_origin_spectrum():
    n, lam_b = (4, 2, 1), 0.3
    dense = Dense("mse", n, 0.02, 0.05, lam_b)
    b = np.array(n) / (7 * (1 + lam_b))
    spectrum = mse.origin_spectrum(K=3, n=n, d=2, lam_W=0.02, lam_H=0.05, lam_b=lam_b)
    assert_spectrum(dense.hessian(np.zeros((3, 2)), np.zeros((2, 7)), b), expand(spectrum))


def test_small_classes_are_lost_first_and_ties_are_left_open():
    setting = {"K": 3, "n": (9, 4, 1), "lam_W": 0.1, "lam_H": 0.1}  # N nu = 1.4
    f = mse.global_minimum(d=3, **setting)
    np.testing.assert_allclose(f.quantities["logits"], np.diag([1 - 1.4 / 3, 1 - 1.4 / 2, 0.0]), atol=1e-15)
    assert f.quantities["margin"] == 0.0
    tied = mse.global_minimum(K=3, n=(4, 4, 1), d=1, lam_W=0.05, lam_H=0.05)
    assert {"logits", "gram_W", "gram_M", "margin"}.isdisjoint(tied.quantities)
    assert tied.quantities["nullity"] == 1  # the circle of directions between the two large classes
    W, H = frames.balanced_factors(np.diag([1 - 9 * 0.05 / 2, 0, 0])[:, [0] * 4 + [1] * 4 + [2]], 1, 0.05, 0.05)
    dense = Dense("mse", (4, 4, 1), 0.05, 0.05, None)
    assert abs(dense.value(W, H, None) - tied.value) <= 1e-15
    assert np.sum(np.abs(np.linalg.eigvalsh(dense.hessian(W, H, None))) <= 1e-12) == 1
    edge = mse.global_minimum(K=3, n=(4, 4, 1), d=3, lam_W=1 / 9, lam_H=1 / 9)  # N nu = 1 = sqrt(1)
    assert "nullity" not in edge.quantities


@settings(deadline=None, max_examples=60)
@given(
    K=st.integers(1, 5),
    N=st.integers(1, 8),
    d=st.integers(1, 6),
    free=st.booleans(),
    nu=st.floats(1e-3, 0.5),
    seed=st.integers(0, 2**31),
)
def test_soft_threshold_is_the_minimum_for_any_targets(K, N, d, free, nu, seed):
    """f at the described point equals the value; the dual (any rank d) or brute SVD identity says nothing is lower."""
    Y = np.random.default_rng(seed).normal(size=(K, N))
    lam_W, lam_H, lam_b = 3 * nu, nu / 3, 0.0 if free else None
    q = mse.soft_threshold(Y=Y, d=d, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b).quantities
    C = Y - Y.mean(axis=1, keepdims=True) if free else Y
    U, s, Vt = np.linalg.svd(C, full_matrices=False)
    z = np.maximum(s - N * nu, 0.0) * (np.arange(len(s)) < d)
    W, H = frames.balanced_factors((U * z) @ Vt, d, lam_W, lam_H)
    b = Y.mean(axis=1, keepdims=True) if free else 0.0
    data = np.sum((W @ H + b - Y) ** 2) / (2 * N)
    assert math.isclose(q["data_loss"], data, rel_tol=1e-12, abs_tol=1e-15)
    value = data + lam_W / 2 * np.sum(W**2) + lam_H / 2 * np.sum(H**2)
    assert math.isclose(q["value"], value, rel_tol=1e-12, abs_tol=1e-15)
    assert math.isclose(q["W_sq"], np.sum(W**2), rel_tol=1e-12, abs_tol=1e-14)
    assert q["sigma_Z"].shape == (K,)
    np.testing.assert_allclose(q["gram_W"], W @ W.T, atol=1e-11)
    if free:
        np.testing.assert_allclose(q["b"], Y.mean(axis=1))
    if K * d + d * N <= 40:  # no point is lower: von Neumann's inequality, here by trial
        rng = np.random.default_rng(seed)
        for size in (1e-3, 1e-1, 1.0):
            A, B = W + size * rng.normal(size=W.shape), H + size * rng.normal(size=H.shape)
            residual = A @ B - Y
            best = residual - residual.mean(axis=1, keepdims=True) if free else residual
            lower = np.sum(best**2) / (2 * N) + lam_W / 2 * np.sum(A**2) + lam_H / 2 * np.sum(B**2)
            assert lower >= q["value"] * (1 - 1e-13)


def test_soft_threshold_agrees_with_the_class_label_forms():
    for n, lam_b in ((3, None), (3, 0.0), ((4, 2, 1), None), ((4, 2, 1), 0.0)):
        sizes = (3,) * 3 if n == 3 else n
        Y = np.repeat(np.eye(3), sizes, axis=1)
        for d in (1, 2, 3, 4):
            setting = {"d": d, "lam_W": 0.02, "lam_H": 0.03, "lam_b": lam_b}
            general = mse.soft_threshold(Y=Y, **setting).quantities
            special = mse.global_minimum(K=3, n=n, **setting).quantities
            for name in set(general) & set(special):
                np.testing.assert_allclose(general[name], special[name], atol=1e-14, err_msg=name)


def test_no_random_point_is_below_the_value():
    rng = np.random.default_rng(0)
    for lam_b in (None, 0.0, 0.02, 2.0):
        for d in (2, 3, 5):
            _, prediction, dense, (W, H, b) = minimiser(4, 2, d, 2e-2, 5e-3, lam_b)
            for size in 10.0 ** rng.uniform(-4, 1, size=150):
                E, F = size * rng.normal(size=W.shape), size * rng.normal(size=H.shape)
                e = None if b is None else size * rng.normal(size=4)
                assert dense.value(E, F, e) >= prediction.value
                assert dense.value(W + E, H + F, None if b is None else b + e) >= prediction.value - 1e-15


def exact(K, n, lam_W, lam_H, lam_b):
    """(value, data loss, b_k) of T8 in Decimal, as the theory reference writes them."""
    kappa = K * (n * Decimal(lam_W) * Decimal(lam_H)).sqrt()
    t = Decimal(1) if lam_b is None else Decimal(lam_b) / (1 + Decimal(lam_b))
    zc = 1 - kappa
    zm = max(Decimal(0), 1 - kappa / t) if t else Decimal(0)
    value = ((K - 1) * ((1 - zc) ** 2 + 2 * kappa * zc) + t * (1 - zm) ** 2 + 2 * kappa * zm) / (2 * K)
    data_loss = ((K - 1) * (1 - zc) ** 2 + t * t * (1 - zm) ** 2) / (2 * K)
    return value, data_loss, (1 - zm) / (K * (1 + Decimal(lam_b or 0.0)))


@pytest.mark.parametrize("lam_b", [None, 0.0, 1e-12, 1e-3, 1.0, 1e6])
@pytest.mark.parametrize("kappa", [1e-100, 1e-15, 1e-6, 0.3, 0.9, 1 - 1e-10])
@pytest.mark.parametrize(("K", "n"), [(2, 1), (10, 50), (100, 100)])
def test_relative_accuracy_from_no_decay_to_the_threshold(K, n, kappa, lam_b):
    lam_W, lam_H = kappa / math.sqrt(n) * 7 / K, kappa / math.sqrt(n) / 7 / K
    q = mse.global_minimum(K=K, n=n, d=K, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b).quantities
    with localcontext() as context:
        context.prec = 400
        value, data_loss, b = exact(K, n, lam_W, lam_H, lam_b)
        assert abs(Decimal(q["value"]) / value - 1) <= 1e-15
        assert abs(Decimal(q["data_loss"]) / data_loss - 1) <= 2e-15
        if lam_b is not None:
            assert abs(Decimal(float(q["b"][0])) / b - 1) <= 1e-15


@settings(deadline=None, max_examples=150)
@given(
    K=st.integers(2, 9),
    n=st.integers(1, 200),
    d=st.integers(1, 12),
    lam=st.tuples(st.floats(-120, 2), st.floats(-10, 2)),
    lam_b=st.sampled_from([*BIASES, 1e-200, 1e200]),
)
def test_every_setting_is_finite_consistent_and_depends_on_nu_only(K, n, d, lam, lam_b):
    lam_W, lam_H = 10 ** lam[0], 10 ** lam[1]
    setting = {"K": K, "n": n, "d": d, "lam_b": lam_b}
    f = mse.global_minimum(lam_W=lam_W, lam_H=lam_H, **setting)
    q = f.quantities
    assert all(np.all(np.isfinite(entry)) for entry in q.values())
    decays = lam_W * q["W_sq"] + lam_H * q["H_sq"] + (lam_b * np.sum(q["b"] ** 2) if lam_b else 0.0)
    assert math.isclose(f.value, q["data_loss"] + decays / 2, rel_tol=1e-13)
    spectrum = mse.minimum_spectrum(lam_W=lam_W, lam_H=lam_H, **setting)
    assert np.sum(spectrum.multiplicities) == K * d + d * K * n + (0 if lam_b is None else K)
    # Beyond this span small eigenvalues round to zero.
    if "nullity" in q and lam_b != 1e200 and min(lam_W, lam_H) > 1e-8 * max(lam_W, lam_H, 1.0):
        assert np.sum(spectrum.multiplicities[spectrum.values == 0.0]) == q["nullity"]
    even = math.sqrt(lam_W) * math.sqrt(lam_H)
    assert math.isclose(mse.global_minimum(lam_W=even, lam_H=even, **setting).value, f.value, rel_tol=1e-13)


def test_regimes_meet_at_their_thresholds():
    K, n, lam_H = 4, 2, 0.05
    kappa = 0.4
    lam_W = (kappa / K) ** 2 / n / lam_H
    at = mse.mean_threshold(K=K, n=n, lam_W=lam_W, lam_H=lam_H)
    assert at == pytest.approx(kappa / (1 - kappa), rel=1e-14, abs=0)
    below, above = (
        mse.global_minimum(K=K, n=n, d=6, lam_W=lam_W, lam_H=lam_H, lam_b=at * factor).quantities
        for factor in (1 - 1e-9, 1 + 1e-9)
    )
    assert (below["nullity"], above["nullity"]) == (3 * (12 - 4) // 2, 4 * (12 - 5) // 2)
    assert below["sigma_Z"][-1] == 0.0 < above["sigma_Z"][-1] < 1e-8
    for name in ("value", "data_loss", "W_sq", "H_sq", "b", "gram_W", "gram_M", "logits", "sigma_Z", "margin"):
        np.testing.assert_allclose(below[name], above[name], atol=1e-7, err_msg=name)
    exactly = mse.global_minimum(K=2, n=1, d=2, lam_W=0.25, lam_H=0.25, lam_b=1.0)  # kappa = t = 1/2
    assert "nullity" not in exactly.quantities
    assert "nullity" not in mse.global_minimum(K=2, n=1, d=1, lam_W=0.5, lam_H=0.5).quantities  # kappa = 1
    assert mse.mean_threshold(K=2, n=1, lam_W=1.0, lam_H=1.0) == math.inf
    huge = mse.global_minimum(K=K, n=n, d=6, lam_W=lam_W, lam_H=lam_H, lam_b=1e300)
    assert huge.value == pytest.approx(
        mse.global_minimum(K=K, n=n, d=6, lam_W=lam_W, lam_H=lam_H).value, rel=1e-15, abs=0
    )
    assert mse.collapse_threshold() == 1.0


@pytest.mark.parametrize(
    ("d", "lam_b", "sentence"),
    [
        (4, None, "orthogonal frame"),
        (4, 0.0, "simplex ETF"),
        (4, 50.0, "one equiangular frame"),
        (2, None, "2 of the 4 possible directions"),
        (2, 0.1, "2 of the 3 possible directions"),
    ],
)
def test_statement_names_the_frame(d, lam_b, sentence):
    assert sentence in mse.global_minimum(K=4, n=2, d=d, lam_W=0.02, lam_H=0.02, lam_b=lam_b).statement
    assert "W = H = 0" in mse.global_minimum(K=4, n=2, d=d, lam_W=1.0, lam_H=1.0, lam_b=lam_b).statement


def test_intermediate_frame_has_the_cosine_of_the_theorem():
    q = mse.global_minimum(K=4, n=2, d=5, lam_W=0.02, lam_H=0.02, lam_b=1.0).quantities
    zc, zm = q["sigma_Z"][0], q["sigma_Z"][3]
    cosine = (zm - zc) / (3 * zc + zm)
    frame = frames.equiangular_frame(4, 5, cosine)
    np.testing.assert_allclose(q["gram_W"] / q["gram_W"][0, 0], frame @ frame.T, atol=1e-15)


GOOD: dict[str, Any] = {"K": 4, "n": 2, "d": 5, "lam_W": 0.1, "lam_H": 0.1}


def test_where_the_theorems_are_silent_they_say_why():
    setting: dict[str, Any] = GOOD | {"n": (3, 2, 1, 1), "lam_b": 0.1}
    (reason,) = mse.applies(**setting)
    assert "lam_b=0.1 > 0 with different class sizes (3, 2, 1, 1)" in reason
    with pytest.raises(NotApplicable, match="no closed form here") as caught:
        mse.global_minimum(**setting)
    assert caught.value.reasons == (reason,)
    free: dict[str, Any] = setting | {"lam_b": 0.0}
    assert mse.applies(**free) == ()
    assert mse.applies(K=4, n=2, d=1, lam_W=0.1, lam_H=0.1, lam_b=0.1) == ()
    with pytest.raises(NotApplicable, match="the spectrum is not derived there"):
        mse.minimum_spectrum(**free)
    with pytest.raises(NotApplicable, match="with general targets"):
        mse.soft_threshold(Y=np.eye(3), d=2, lam_W=0.1, lam_H=0.1, lam_b=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"K": 1}, "K=1 is not an integer >= 2"),
        ({"n": -1}, "n=-1 is not an integer >= 1"),
        ({"n": 2.5}, "n=2.5 is not an integer >= 1"),
        ({"n": (1, 2, 3)}, "n has 3 class sizes for K=4"),
        ({"d": None}, "d=None is not an integer >= 1"),
        ({"lam_W": 0}, "lam_W=0 is not a positive"),
        ({"lam_H": "x"}, "lam_H='x' is not a positive"),
        ({"lam_b": math.inf}, "lam_b=inf is neither None"),
        ({"lam_b": 1e-320}, "lam_b=1e-320 is neither None"),
    ],
)
def test_errors_say_what_is_wrong(change, message):
    for name in ("applies", "global_minimum", "minimum_spectrum", "origin_spectrum"):
        with pytest.raises(ValueError, match=re.escape(message)) as caught:
            getattr(mse, name)(**(GOOD | change))
        assert f"mse.{name}" in str(caught.value)


@pytest.mark.parametrize("Y", [np.ones(3), np.empty((3, 0)), np.full((2, 2), np.inf)])
def test_bad_targets(Y):
    with pytest.raises(ValueError, match=r"mse.soft_threshold: Y has shape .* Pass finite targets"):
        mse.soft_threshold(Y=Y, d=1, lam_W=1.0, lam_H=1.0)


def test_imbalanced_kappa_is_refused():
    with pytest.raises(ValueError, match=r"mse.kappa: n=\(1, 2\) is imbalanced"):
        mse.kappa(K=2, n=(1, 2), lam_W=1.0, lam_H=1.0)
