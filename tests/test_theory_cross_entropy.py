"""T7, T16, T18: closed forms against a dense oracle, against duality, and against sixty digits."""

import math
import re
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from dense_oracle import Dense, assert_spectrum, assert_states
from hypothesis import given, settings
from hypothesis import strategies as st

from theory import NotApplicable, cross_entropy, expand, frames

BIASES = [None, 0.0, 1e-3, 0.3, 50.0]
DECAYS = [(1e-3, 1e-3), (5e-2, 5e-4), (2e-4, 2e-2), (1.0, 1.0)]
SMALL = [(2, 1), (2, 3), (3, 1), (3, 2), (4, 2), (5, 1), (5, 3)]


def minimiser(K, n, d, lam_W, lam_H, lam_b, smoothing=0.0):
    """Prediction, dense problem, and the point that the prediction describes, built from a frame."""
    setting = {"K": K, "n": n, "d": d, "lam_W": lam_W, "lam_H": lam_H, "lam_b": lam_b, "smoothing": smoothing}
    prediction = cross_entropy.global_minimum(**setting)
    radius = math.sqrt(prediction.quantities["W_sq"] / K)
    W = radius * frames.simplex_etf(K, d)
    H = np.repeat(math.sqrt(lam_W / (lam_H * n)) * W.T, n, axis=1)
    return (
        setting,
        prediction,
        Dense("ce", (n,) * K, lam_W, lam_H, lam_b, smoothing),
        (W, H, prediction.quantities.get("b")),
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("lam_b", BIASES)
@pytest.mark.parametrize(("K", "n"), SMALL)
def test_minimum_and_spectra_against_the_dense_oracle(K, n, lam_b, smoothing):
    for d in range(K - 1, K + 4):
        for lam_W, lam_H in DECAYS:
            setting, prediction, dense, point = minimiser(K, n, d, lam_W, lam_H, lam_b, smoothing)
            assert_states(dense, prediction.quantities, *point)
            spectrum = expand(cross_entropy.minimum_spectrum(**setting))
            assert_spectrum(dense.hessian(*point), spectrum, prediction.quantities["nullity"])
            W, H, b = point
            origin = dense.hessian(0 * W, 0 * H, b)
            assert_spectrum(origin, expand(cross_entropy.origin_spectrum(**setting)))


@pytest.mark.parametrize(("K", "n", "d"), [(8, 2, 8), (8, 1, 11), (10, 1, 9), (10, 2, 12), (10, 3, 13)])
@pytest.mark.parametrize("lam_b", [None, 0.0, 1e-2])
def test_larger_spectra(K, n, d, lam_b):
    setting, prediction, dense, point = minimiser(K, n, d, 5e-2, 5e-4, lam_b, 0.1)
    assert_states(dense, prediction.quantities, *point)
    spectrum = cross_entropy.minimum_spectrum(**setting)
    assert np.all(np.diff(spectrum.values) >= 0)
    assert np.all(spectrum.multiplicities > 0)
    assert_spectrum(dense.hessian(*point), expand(spectrum), prediction.quantities["nullity"])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
@pytest.mark.parametrize(
    ("K", "n", "lam_W", "lam_H"), [(2, 1, 0.1, 0.1), (4, 3, 1e-3, 1e-5), (10, 50, 5e-3, 5e-3), (5, 2, 1, 1)]
)
def test_dual_point_proves_the_value(K, n, lam_W, lam_H, smoothing):
    """T15: entropies of feasible conditional probabilities bound f from below, here with equality."""
    f = cross_entropy.global_minimum(K=K, n=n, d=K - 1, lam_W=lam_W, lam_H=lam_H, smoothing=smoothing)
    q = min(K * math.sqrt(n * lam_W * lam_H) + smoothing, 1.0) / K
    Q = np.full((K, K), q) + (1 - K * q) * np.eye(K)
    T = (1 - smoothing) * np.eye(K) + smoothing / K
    gamma = np.repeat(Q - T, n, axis=1) / (n * K)
    np.testing.assert_allclose(gamma.sum(axis=1), 0.0, atol=1e-15)  # feasible for every bias mode
    assert np.linalg.norm(gamma, 2) <= math.sqrt(lam_W * lam_H) * (1 + 1e-14)
    assert abs(-np.sum(Q * np.log(Q)) / K - f.value) <= 1e-15 * (1 + f.value)


def test_no_random_point_is_below_the_value():
    rng = np.random.default_rng(0)
    checked = 0
    for lam_b in (None, 0.0, 0.2):
        for smoothing in (0.0, 0.3):
            _, prediction, dense, (W, H, b) = minimiser(4, 2, 5, 2e-2, 5e-3, lam_b, smoothing)
            for size in 10.0 ** rng.uniform(-4, 1, size=300):
                E, F = size * rng.normal(size=W.shape), size * rng.normal(size=H.shape)
                e = None if b is None else size * rng.normal(size=4)
                away = dense.value(E, F, e)
                near = dense.value(W + E, H + F, None if b is None else b + e)
                assert min(away, near) >= prediction.value - 1e-15
                checked += 2
    assert checked == 3600


@settings(deadline=None, max_examples=150)
@given(
    K=st.integers(2, 9),
    n=st.integers(1, 200),
    extra=st.integers(0, 5),
    lam=st.tuples(st.floats(-250, 2), st.floats(-10, 2)),
    lam_b=st.sampled_from(BIASES),
    smoothing=st.floats(0.0, 0.99),
)
def test_every_setting_is_finite_consistent_and_depends_on_nu_only(K, n, extra, lam, lam_b, smoothing):
    lam_W, lam_H = 10 ** lam[0], 10 ** lam[1]
    common = {"K": K, "n": n, "lam_b": lam_b, "smoothing": smoothing}
    f = cross_entropy.global_minimum(d=K - 1 + extra, lam_W=lam_W, lam_H=lam_H, **common)
    q = f.quantities
    assert all(np.all(np.isfinite(entry)) for entry in q.values())
    assert 0.0 < f.value <= math.log(K)
    regulariser = (lam_W * q["W_sq"] + lam_H * q["H_sq"]) / 2
    assert math.isclose(f.value, q["data_loss"] + regulariser, rel_tol=1e-13)
    nuclear = math.sqrt(lam_W) * math.sqrt(lam_H) * np.sum(q["sigma_Z"])
    assert math.isclose(regulariser, nuclear, rel_tol=1e-13)
    trivial = cross_entropy.kappa(K=K, n=n, lam_W=lam_W, lam_H=lam_H) >= cross_entropy.collapse_threshold(
        smoothing=smoothing
    )
    assert (q["margin"] == 0.0) == trivial
    spectrum = cross_entropy.minimum_spectrum(d=K - 1 + extra, lam_W=lam_W, lam_H=lam_H, **common)
    d, N = K - 1 + extra, K * n
    assert np.sum(spectrum.multiplicities) == K * d + d * N + (0 if lam_b is None else K)
    if "nullity" in q and min(lam_W, lam_H) > 1e-8 * max(lam_W, lam_H):  # else small eigenvalues round to zero
        assert np.sum(spectrum.multiplicities[spectrum.values == 0.0]) == q["nullity"]
    even = math.sqrt(lam_W) * math.sqrt(lam_H)
    other = cross_entropy.global_minimum(d=d, lam_W=even, lam_H=even, **common)
    assert math.isclose(other.value, f.value, rel_tol=1e-13)


def exact(K, n, lam_W, lam_H, smoothing):
    """(value, margin, data loss) of T7 in Decimal."""
    c = (n * Decimal(lam_W) * Decimal(lam_H)).sqrt()
    q = c + Decimal(smoothing) / K
    p = 1 - (K - 1) * q
    a = (p / q).ln()
    return -p * p.ln() - (K - 1) * q * q.ln(), a, -p.ln() + Decimal(smoothing) * (K - 1) * a / K


@pytest.mark.parametrize("kappa", [1e-300, 1e-100, 1e-20, 1e-8, 0.3, 0.85, 1 - 1e-6, 1 - 1e-10])
@pytest.mark.parametrize(("K", "n"), [(2, 1), (10, 50), (1000, 100)])
def test_relative_accuracy_from_no_decay_to_the_threshold(K, n, kappa):
    lam_W, lam_H = kappa / math.sqrt(n) * 7 / K, kappa / math.sqrt(n) / 7 / K
    for smoothing in (0.0, 0.1) if kappa < 0.8 else (0.0,):
        q = cross_entropy.global_minimum(K=K, n=n, d=K, lam_W=lam_W, lam_H=lam_H, smoothing=smoothing).quantities
        with localcontext() as context:
            context.prec = 400
            value, margin, data_loss = exact(K, n, lam_W, lam_H, smoothing)
            errors = [
                abs(Decimal(q[name]) / true - 1)
                for name, true in zip(("value", "margin", "data_loss"), (value, margin, data_loss), strict=True)
            ]
        assert errors[0] <= 1e-15
        assert errors[1] <= 1e-15 / (1 - kappa)  # kappa itself carries one rounding
        assert errors[2] <= 3e-15 + 3e-17 * K  # at the threshold it moves K times as fast as kappa


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_continuity_and_honesty_at_the_threshold(smoothing):
    K, n = 4, 2
    edge = cross_entropy.collapse_threshold(smoothing=smoothing) / (K * math.sqrt(n))
    below, at, above = (
        cross_entropy.global_minimum(K=K, n=n, d=5, lam_W=lam, lam_H=lam, lam_b=0.0, smoothing=smoothing)
        for lam in (edge * (1 - 1e-9), edge, edge * (1 + 1e-9))
    )
    assert below.value <= above.value == math.log(K)
    assert above.value - below.value <= 1e-15
    assert 0 < below.quantities["margin"] <= 1e-8
    assert below.quantities["margin"] == pytest.approx(K * (1 - smoothing) * 1e-9 / (1.0), rel=1e-6)
    assert below.quantities["nullity"] == 3 * (10 - 4) // 2 + 1
    assert above.quantities["nullity"] == 1
    assert "nullity" not in at.quantities
    smallest = [
        cross_entropy.origin_spectrum(K=K, n=n, d=5, lam_W=lam, lam_H=lam, smoothing=smoothing).values[0]
        for lam in (edge * 0.99, edge * 1.01)
    ]
    assert smallest[0] < 0 < smallest[1]


def test_documented_numbers():
    """Layer-peeled value, zero counts and the margin law of the theory reference."""
    f = cross_entropy.global_minimum(K=4, n=1, d=4, lam_W=0.25 * (1 - 1e-5), lam_H=0.25 * (1 - 1e-5))
    assert f.quantities["margin"] / 1e-5 == pytest.approx(4.0, rel=1e-4)
    assert cross_entropy.nullity(K=10, d=20, lam_b=0.0) == 9 * 30 // 2 + 1
    assert f.theorem == "T7"
    trivial = cross_entropy.global_minimum(K=3, n=1, d=2, lam_W=1.0, lam_H=1.0)
    assert trivial.value == math.log(3)
    assert "b" not in trivial.quantities
    assert cross_entropy.global_minimum(K=3, n=(2, 2, 2), d=2, lam_W=0.1, lam_H=0.1).value == pytest.approx(
        cross_entropy.global_minimum(K=3, n=2, d=2, lam_W=0.1, lam_H=0.1).value, abs=0
    )


GOOD: dict[str, Any] = {"K": 4, "n": 2, "d": 5, "lam_W": 0.1, "lam_H": 0.1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n": (3, 2, 1, 1)}, ["class sizes (3, 2, 1, 1) differ"]),
        ({"d": 2}, ["d=2 < K-1=3"]),
        ({"n": (3, 2, 1, 1), "d": 1}, ["class sizes", "d=1 < K-1=3"]),
    ],
)
def test_where_the_theorem_is_silent_it_says_why(change, words):
    setting = GOOD | change
    reasons = cross_entropy.applies(**setting)
    assert len(reasons) == len(words)
    assert all(word in reason for word, reason in zip(words, reasons, strict=True))
    for function in (cross_entropy.global_minimum, cross_entropy.minimum_spectrum):
        with pytest.raises(NotApplicable, match="no closed form here") as caught:
            function(**setting)
        assert caught.value.reasons == reasons
    assert cross_entropy.applies(**GOOD) == ()
    with pytest.raises(NotApplicable, match="differ"):
        cross_entropy.origin_spectrum(K=4, n=(3, 2, 1, 1), d=5, lam_W=0.1, lam_H=0.1)


def test_the_known_part_of_the_silence_is_true():
    """Imbalance: zero with its best free bias is optimal iff the gradient there has norm <= nu (first-order test)."""
    sizes, dense = (4, 2, 1), Dense("ce", (4, 2, 1), 1.0, 1.0, 0.0)
    prior = np.array(sizes) / 7
    G = (prior[:, None] - np.eye(3)[:, dense.labels]) / 7
    U, s, Vt = np.linalg.svd(G)
    for factor, descends in ((0.9, True), (1.1, False)):
        problem = Dense("ce", sizes, factor * s[0], factor * s[0], 0.0)
        step = 1e-3
        moved = problem.value(-step * U[:, :1], step * Vt[:1], np.log(prior))
        assert (moved < problem.value(0 * U[:, :1], 0 * Vt[:1], np.log(prior))) == descends


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"K": 1}, "K=1 is not an integer >= 2. Pass K >= 2."),
        ({"K": True}, "K=True is not an integer"),
        ({"K": 4.0}, "K=4.0 is not an integer"),
        ({"n": 0}, "n=0 is not an integer >= 1"),
        ({"n": (2, 2, 0, 2)}, "n=0 is not an integer >= 1"),
        ({"n": (2, 2)}, "n has 2 class sizes for K=4 classes"),
        ({"d": 0}, "d=0 is not an integer >= 1"),
        ({"lam_W": 0.0}, "lam_W=0.0 is not a positive, finite, normal number"),
        ({"lam_W": -1.0}, "lam_W=-1.0"),
        ({"lam_H": math.nan}, "lam_H=nan"),
        ({"lam_H": math.inf}, "lam_H=inf"),
        ({"lam_H": 1e-310}, "lam_H=1e-310"),
        ({"lam_W": None}, "lam_W=None"),
        ({"lam_b": -1e-3}, "lam_b=-0.001 is neither None"),
        ({"lam_b": math.nan}, "lam_b=nan is neither None"),
        ({"lam_b": "free"}, "lam_b='free' is neither None"),
        ({"smoothing": 1.0}, "smoothing=1.0 is outside [0, 1)"),
        ({"smoothing": -0.1}, "smoothing=-0.1 is outside [0, 1)"),
        ({"smoothing": math.nan}, "smoothing=nan is outside [0, 1)"),
    ],
)
def test_errors_say_what_is_wrong(change, message):
    for name in ("applies", "global_minimum", "minimum_spectrum", "origin_spectrum"):
        with pytest.raises(ValueError, match=re.escape(message)) as caught:
            getattr(cross_entropy, name)(**(GOOD | change))
        assert f"cross_entropy.{name}" in str(caught.value)
        assert not isinstance(caught.value, NotApplicable)


def test_errors_of_the_small_functions():
    with pytest.raises(ValueError, match="is imbalanced, but kappa needs one class size"):
        cross_entropy.kappa(K=2, n=(1, 2), lam_W=1.0, lam_H=1.0)
    with pytest.raises(ValueError, match="d=1 is not an integer >= 3"):
        cross_entropy.nullity(K=4, d=1)
    with pytest.raises(ValueError, match="smoothing=2 is outside"):
        cross_entropy.collapse_threshold(smoothing=2)
