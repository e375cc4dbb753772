"""G1, G2, 3.4, 3.5: STEP imbalance against the dense oracle, rigorous duality, descent from random starts, extremes."""

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
from dense_oracle import Dense, assert_states
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from theory import NotApplicable, cross_entropy, frames, imbalance, mse, residual

BIASES = [None, 0.0, 1e-2, 5.0]
STEPS = [
    ((10, 10, 1, 1, 1), 0.01),  # generic
    ((2, 20, 2, 20, 20), 0.003),  # groups interleaved
    ((30, 2, 2, 2, 2), 0.001),  # one large class
    ((2, 30, 30, 30), 0.001),  # one small class
    ((50, 1), 1e-3),
    ((4, 4, 4, 4), 0.05),  # balanced
    ((20, 20, 20, 2, 2, 2), 0.03),  # minority collapsed
    ((20, 20, 20, 2, 2, 2), 0.06),  # and nothing between the groups
    ((20, 20, 20, 2, 2, 2), 0.09),  # zero
    ((6, 2, 2), 0.25),  # both groups collapsed or nearly so
]


def minimiser(n, lam_W, lam_H, lam_b, d):
    """Prediction, dense problem, and a point that the prediction describes."""
    prediction = imbalance.global_minimum(K=len(n), n=n, d=d, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b)
    Z = np.repeat(prediction.quantities["logits"], n, axis=1)
    W, H = frames.balanced_factors(Z, d, lam_W, lam_H)
    return prediction, Dense("ce", n, lam_W, lam_H, lam_b), (W, H, prediction.quantities.get("b"))


def scores(q):
    return q["logits"] if "b" not in q else q["logits"] + q["b"][:, None]


@pytest.mark.parametrize("lam_b", BIASES)
@pytest.mark.parametrize(("n", "lam"), STEPS)
def test_minimum_against_the_dense_oracle_and_its_certificate(n, lam, lam_b):
    """Critical (dense gradient), global (G1: a bound that needs no theory of STEP), Hessian with the stated nullity."""
    for d, tilt in ((len(n) - 1, 1.0), (len(n) + 1, 25.0)):
        setting: dict[str, Any] = {"lam_W": lam * tilt, "lam_H": lam / tilt, "lam_b": lam_b}
        prediction, dense, point = minimiser(n, d=d, **setting)
        q = prediction.quantities
        assert_states(dense, q, *point)
        assert -1e-15 <= prediction.value - residual.lower_bound(logits=scores(q), n=n, **setting) <= 1e-15
        singular = residual.residual_spectrum(logits=scores(q), n=n)
        rank = int(np.sum(q["sigma_Z"] > 0))
        np.testing.assert_allclose(singular[:rank], lam, rtol=1e-12)  # G2
        assert np.all(singular[rank:] <= lam * (1 + 1e-12))
        eigenvalues = np.linalg.eigvalsh(dense.hessian(*point))
        assert eigenvalues[0] >= -1e-14
        assert np.sum(np.abs(eigenvalues) <= 1e-12 * eigenvalues[-1]) == q["nullity"]


def descend(n, d, lam, lam_b, seed):
    """L-BFGS on one feature a class, scaled by sqrt(n_k): value and class logits; knows nothing of the closed form."""
    K, roots, N = len(n), np.sqrt(n), sum(n)

    def objective(x):
        W, M, b = x[: K * d].reshape(K, d), x[K * d : 2 * K * d].reshape(d, K), x[2 * K * d :]
        A = W @ M / roots + (b[:, None] if lam_b is not None else 0.0)
        top = A.max(axis=0)
        Q = np.exp(A - top)
        mass = Q.sum(axis=0)
        G = (Q / mass - np.eye(K)) * roots / N
        f = float(np.array(n) @ (top + np.log(mass) - np.diag(A)) / N + lam / 2 * (np.sum(W**2) + np.sum(M**2)))
        tail = [] if lam_b is None else [G @ roots + lam_b * b]
        f += 0.0 if lam_b is None else lam_b / 2 * float(b @ b)
        return f, np.concatenate([(G @ M.T + lam * W).ravel(), (W.T @ G + lam * M).ravel(), *tail])

    start = np.random.default_rng(seed).normal(size=2 * K * d + (0 if lam_b is None else K))
    options = {"ftol": 1e-16, "gtol": 1e-10, "maxiter": 5000}
    run = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    W, M, b = run.x[: K * d].reshape(K, d), run.x[K * d : 2 * K * d].reshape(d, K) / roots, run.x[2 * K * d :]
    return run.fun, W, M, (b if lam_b is not None else None)


@pytest.mark.parametrize(("n", "lam"), [((7, 7, 2, 2), 0.02), ((7, 7, 2, 2), 0.1), ((9, 1, 1), 0.01), ((3, 12), 0.01)])
@pytest.mark.parametrize("lam_b", [None, 0.0, 0.1])
def test_value_and_logits_against_descent(n, lam, lam_b):
    q = imbalance.global_minimum(K=len(n), n=n, d=len(n), lam_W=lam, lam_H=lam, lam_b=lam_b).quantities
    value, W, M, _ = descend(n, len(n), lam, lam_b, seed=0)
    assert -1e-15 <= value - q["value"] <= 1e-13
    np.testing.assert_allclose(W @ M, q["logits"], atol=2e-6)
    np.testing.assert_allclose(W @ W.T, q["gram_W"], atol=2e-6)


def test_balanced_sizes_give_the_simplex_etf():
    for K, n, lam_W, lam_H, lam_b in [(2, 1, 0.1, 0.1, None), (5, 3, 1e-3, 1e-2, 0.1), (10, 50, 5e-3, 5e-3, 0.0)]:
        setting: dict[str, Any] = {"K": K, "n": n, "d": K + 1, "lam_W": lam_W, "lam_H": lam_H, "lam_b": lam_b}
        ours, theirs = (module.global_minimum(**setting).quantities for module in (imbalance, cross_entropy))
        assert set(ours) == set(theirs)
        for name in ours:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-13, atol=2e-14, err_msg=name)


@pytest.mark.parametrize("lam_b", BIASES)
def test_minority_collapse_is_exact_at_its_threshold(lam_b):
    n, K = (12, 3, 12, 3, 3), 5
    at = imbalance.minority_collapse_threshold(K=K, n=n)
    assert at == math.sqrt(3) / 33
    small, large = [1, 3, 4], [0, 2]

    def spread(lam, members):
        """Largest |w_i - w_j| and |h_i - h_j| among the members."""
        q = imbalance.global_minimum(K=K, n=n, d=K, lam_W=lam, lam_H=lam, lam_b=lam_b).quantities
        distances = [
            math.sqrt(max(gram[i, i] + gram[j, j] - 2 * gram[i, j], 0.0))
            for gram in (q["gram_W"], q["gram_M"])
            for i, j in itertools.combinations(members, 2)
        ]
        return max(distances)

    assert spread(0.99 * at, small) > 0.05
    assert spread(1.01 * at, small) < 1e-7
    assert spread(1.01 * at, large) > 0.5
    both = math.sqrt(12) / 33  # where group A collapses, if it still has anything
    assert spread(1.01 * both, large) < 1e-7
    with np.errstate(all="raise"):
        ratio = imbalance.minority_collapse_ratio(k_A=2, k_B=3, n_B=3, lam_W=2 * at, lam_H=at / 2)
    assert ratio == pytest.approx(4.0, rel=1e-14)


def test_minority_collapse_through_descent():
    """The reference's numbers: |w_3 - w_4| = .102 and h_3 parallel to h_4 for (30, 30, 2, 1), one vector for (2, 2)."""
    lam = 2.52 / 63
    value, W, M, _ = descend((30, 30, 2, 1), 4, lam, None, seed=1)
    bound = residual.lower_bound(logits=W @ M, n=(30, 30, 2, 1), lam_W=lam, lam_H=lam)
    assert abs(value - bound) <= 1e-8  # so it is the global minimum
    assert np.linalg.svd(W, compute_uv=False)[2] <= 1e-5
    assert np.linalg.norm(W[2] - W[3]) == pytest.approx(0.102, abs=5e-4)
    assert M[:, 2] @ M[:, 3] / np.linalg.norm(M[:, 2]) / np.linalg.norm(M[:, 3]) == pytest.approx(1.0, abs=1e-9)
    with pytest.raises(NotApplicable, match="are 3 different ones"):
        imbalance.minority_collapse_threshold(K=4, n=(30, 30, 2, 1))
    G = imbalance.global_minimum(K=4, n=(30, 30, 2, 2), d=4, lam_W=2.52 / 64, lam_H=2.52 / 64).quantities["gram_W"]
    assert abs(G[2, 2] + G[3, 3] - 2 * G[2, 3]) <= 1e-15


@pytest.mark.parametrize("lam_b", [None, 0.0])
@pytest.mark.parametrize("n", [(7, 5, 3, 2, 1), (9, 4, 4, 1), (12, 1, 1), (3, 3, 3), (40, 2)])
def test_zero_is_optimal_from_its_threshold_on(n, lam_b):
    """Above: the bound G1 at W = H = 0 is f itself. Below: the Hessian there has a negative eigenvalue."""
    K, at = len(n), imbalance.zero_threshold(K=len(n), n=n, lam_b=lam_b)
    b = None if lam_b is None else np.log(np.array(n) / sum(n))
    A = np.zeros((K, K)) if b is None else np.tile(b[:, None], K)
    W, H = np.zeros((K, 1)), np.zeros((1, sum(n)))
    above, below = (Dense("ce", n, factor * at, factor * at, lam_b) for factor in (1.005, 0.995))
    bound = residual.lower_bound(logits=A, n=n, lam_W=above.lam_W, lam_H=above.lam_H, lam_b=lam_b)
    assert abs(above.value(W, H, b) - bound) <= 1e-15
    assert np.linalg.eigvalsh(below.hessian(W, H, b))[0] < -1e-5
    if len(set(n)) <= 2:
        margins = [
            np.max(imbalance.global_minimum(K=K, n=n, d=K, lam_W=lam, lam_H=lam, lam_b=lam_b).quantities["sigma_Z"])
            for lam in (above.lam_W, below.lam_W)
        ]
        assert margins[0] == 0.0 < margins[1]


def test_free_bias_moves_the_zero_threshold_down():
    for n in [(9, 4, 4, 1), (40, 2), (12, 1, 1)]:
        none, free = (imbalance.zero_threshold(K=len(n), n=n, lam_b=lam_b) for lam_b in (None, 0.0))
        assert free < none
    balanced = [imbalance.zero_threshold(K=4, n=9, lam_b=lam_b) for lam_b in (None, 0.0)]
    np.testing.assert_allclose(balanced, 1 / (4 * 3), rtol=1e-14)


@pytest.mark.parametrize("lam_b", [None, 0.0, 0.05])
def test_the_bound_holds_at_any_logits(lam_b):
    """G1 from arbitrary logits never exceeds the minimum, and improves towards it."""
    n, lam = (9, 9, 2, 2), 0.01
    prediction, _, (_, _, _) = minimiser(n, lam, lam, lam_b, 4)
    rng = np.random.default_rng(0)
    star = scores(prediction.quantities)
    gaps = []
    for size in (30.0, 1.0, 1e-2, 1e-4):
        A = star + size * rng.normal(size=(200, 4, 4))
        bounds = [residual.lower_bound(logits=a, n=n, lam_W=lam, lam_H=lam, lam_b=lam_b) for a in A]
        assert max(bounds) <= prediction.value + 1e-15
        gaps.append(prediction.value - max(bounds))
    assert gaps[-1] < 1e-3 * gaps[0]


@settings(deadline=None, max_examples=150)
@given(
    k=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    n=st.tuples(st.integers(1, 10**6), st.integers(1, 1000)),
    log_lam=st.floats(-250, 1),
    tilt=st.floats(-20, 20),
    lam_b=st.sampled_from([None, 0.0, 1e-300, 1e-12, 1e-4, 1.0, 1e300]),
)
def test_every_setting_is_finite_consistent_and_depends_on_nu_only(k, n, log_lam, tilt, lam_b):
    sizes, K = (n[0],) * k[0] + (n[1],) * k[1], sum(k)
    setting = {"K": K, "n": sizes, "d": K, "lam_b": lam_b}
    lam_W, lam_H = 10 ** (log_lam + tilt), 10 ** (log_lam - tilt)
    f = imbalance.global_minimum(lam_W=lam_W, lam_H=lam_H, **setting)
    q = f.quantities
    assert all(np.all(np.isfinite(entry)) for entry in q.values())
    assert 0.0 < q["data_loss"] <= f.value <= math.log(K) * (1 + 1e-14)
    bias = lam_b * float(q["b"] @ q["b"]) / 2 if lam_b else 0.0
    assert math.isclose(f.value, q["data_loss"] + (lam_W * q["W_sq"] + lam_H * q["H_sq"]) / 2 + bias, rel_tol=1e-12)
    even = math.sqrt(lam_W) * math.sqrt(lam_H)
    assert math.isclose(imbalance.global_minimum(lam_W=even, lam_H=even, **setting).value, f.value, rel_tol=1e-12)
    singular = residual.residual_spectrum(logits=scores(q), n=sizes)
    rank = int(np.sum(q["sigma_Z"] > 1e-9 * (1 + q["sigma_Z"][0])))
    np.testing.assert_allclose(singular[:rank], even, rtol=1e-10)
    assert singular[0] <= even * (1 + 1e-10)


def test_documented_equations_at_tiny_decay():
    """KKT of 3.4 in their own words, with masses from the logits: relative accuracy without any decay to speak of."""
    kA, kB, nA, nB, lam = 2, 3, 10, 1, 1e-90
    q = imbalance.global_minimum(K=5, n=(10, 10, 1, 1, 1), d=4, lam_W=lam, lam_H=lam).quantities
    Z, N = q["logits"], 23
    missed = np.exp(Z - np.diag(Z))  # softmax masses, whose own one is 1 here
    rA, rB, PAB, PBA = missed[1, 0], missed[3, 2], kB * missed[2, 0], kA * missed[0, 2]
    assert (kA - 1) * rA + PAB + rA == pytest.approx(lam * N / math.sqrt(nA), rel=1e-12)  # 1 - (p - r)
    assert (kB - 1) * rB + PBA + rB == pytest.approx(lam * N / math.sqrt(nB), rel=1e-12)
    ellipse = math.sqrt(5 / (kA * kB)) * math.hypot(math.sqrt(kA * nA) * PAB, math.sqrt(kB * nB) * PBA)
    assert ellipse == pytest.approx(lam * N, rel=1e-12)
    tA, tB = Z[0, 0] - Z[2, 0] - (Z[0, 0] - Z[1, 0]) / 2, Z[2, 2] - Z[0, 2] - (Z[2, 2] - Z[3, 2]) * 2 / 3
    assert PAB * tB == pytest.approx(PBA * tA, rel=1e-12)


@pytest.mark.parametrize(
    ("k", "n", "lam", "lam_b"), [((1, 2), (285620437, 2), 1e-275, 0.0), ((2, 15), (2441803, 2), 2e-234, 1e-248)]
)
def test_biases_of_hundreds_where_almost_nothing_is_penalised(k, n, lam, lam_b):
    """The best shift lies beyond logits that the trial shifts of the search can balance; closed form at a free bias."""
    sizes = (n[0],) * k[0] + (n[1],) * k[1]
    q = imbalance.global_minimum(K=sum(k), n=sizes, d=sum(k), lam_W=lam, lam_H=lam, lam_b=lam_b).quantities
    assert np.ptp(q["b"]) > 250
    Z, last = q["logits"], sum(k) - 1
    t_A, t_B = (np.mean(Z[i == np.arange(sum(k)), i]) for i in (0, last))
    assert t_A < t_B
    rows = Z @ np.array(sizes)  # a free bias takes the mean logits over samples
    assert np.max(np.abs(rows)) <= 1e-12 * np.max(sizes) * np.max(np.abs(Z))


def test_statements_and_thresholds_that_do_not_exist():
    def statement(lam):
        return imbalance.global_minimum(K=4, n=(9, 9, 1, 1), d=4, lam_W=lam, lam_H=lam).statement

    assert "Two simplex ETFs" in statement(0.01)
    assert "Minority collapse" in statement(0.06)
    assert "W = H = 0" in statement(0.2)
    two = imbalance.global_minimum(K=3, n=(4, 4, 100), d=3, lam_W=0.02, lam_H=0.02)
    assert "Minority collapse" in two.statement
    assert math.isnan(imbalance.minority_collapse_threshold(K=3, n=(4, 4, 1)))
    edge = imbalance.global_minimum(K=4, n=(16, 16, 4, 4), d=4, lam_W=2 / 40, lam_H=2 / 40)
    assert "nullity" not in edge.quantities
    assert edge.theorem == "3.4"


def test_class_sigmas_and_thresholds_of_the_mean_squared_error():
    """3.5: in class order what T10 states sorted; each class vanishes at its own threshold."""
    n, lam_W, lam_H = (2, 9, 4), 0.05, 0.02
    sigma = mse.class_sigmas(K=3, n=n, lam_W=lam_W, lam_H=lam_H)
    q = mse.global_minimum(K=3, n=n, d=3, lam_W=lam_W, lam_H=lam_H).quantities
    np.testing.assert_allclose(np.sort(sigma)[::-1], q["sigma_Z"], atol=1e-15)
    np.testing.assert_allclose(np.diag(q["gram_W"]), math.sqrt(lam_H / lam_W) * sigma, atol=1e-14)
    np.testing.assert_allclose(np.diag(q["gram_M"]), math.sqrt(lam_W / lam_H) * sigma / n, atol=1e-14)
    np.testing.assert_allclose(q["logits"], np.diag(sigma / np.sqrt(n)), atol=1e-14)
    value = np.sum((np.sqrt(n) - sigma) ** 2) / 30 + math.sqrt(lam_W * lam_H) * np.sum(sigma)
    assert q["value"] == pytest.approx(value, rel=1e-14)
    for c, at in enumerate(mse.class_thresholds(K=3, n=n)):
        below, above = (mse.class_sigmas(K=3, n=n, lam_W=at * s, lam_H=at * s)[c] for s in (0.999, 1.001))
        assert above == 0.0 < below
    for function in (mse.class_sigmas, mse.class_thresholds):
        extra = {} if function is mse.class_thresholds else {"lam_W": 1.0, "lam_H": 1.0}
        with pytest.raises(ValueError, match=rf"mse.{function.__name__}: n has 2 class sizes for K=3"):
            function(K=3, n=(1, 2), **extra)  # pyright: ignore[reportCallIssue]


GOOD: dict[str, Any] = {"K": 4, "n": (5, 5, 1, 1), "d": 4, "lam_W": 0.1, "lam_H": 0.1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n": (3, 2, 1, 1)}, ["class sizes (3, 2, 1, 1) are 3 different ones"]),
        ({"d": 2}, ["d=2 < K-1=3"]),
        ({"n": (4, 3, 2, 1), "d": 1}, ["4 different ones", "d=1 < K-1=3"]),
    ],
)
def test_where_the_theorem_is_silent_it_says_why(change, words):
    reasons = imbalance.applies(**(GOOD | change))
    assert len(reasons) == len(words)
    assert all(word in reason for word, reason in zip(words, reasons, strict=True))
    with pytest.raises(NotApplicable, match="no closed form here") as caught:
        imbalance.global_minimum(**(GOOD | change))
    assert caught.value.reasons == reasons
    assert imbalance.applies(**GOOD) == ()
    with pytest.raises(NotApplicable, match=r"lam_b=0\.1 > 0: the best bias"):
        imbalance.zero_threshold(K=3, n=2, lam_b=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"K": 1}, "K=1 is not an integer >= 2"),
        ({"n": (5, 5, 1)}, "n has 3 class sizes for K=4"),
        ({"n": (5, 5, 1, 0)}, "n=0 is not an integer >= 1"),
        ({"d": 0}, "d=0 is not an integer >= 1"),
        ({"lam_W": 0.0}, "lam_W=0.0 is not a positive"),
        ({"lam_H": math.nan}, "lam_H=nan is not a positive"),
        ({"lam_b": -1.0}, "lam_b=-1.0 is neither None"),
    ],
)
def test_errors_say_what_is_wrong(change, message):
    for name in ("applies", "global_minimum"):
        with pytest.raises(ValueError, match=re.escape(message)) as caught:
            getattr(imbalance, name)(**(GOOD | change))
        assert f"imbalance.{name}" in str(caught.value)
        assert not isinstance(caught.value, NotApplicable)


def test_errors_of_the_small_functions():
    ratio: dict[str, Any] = {"k_A": 2, "k_B": 2, "n_B": 1, "lam_W": 0.1, "lam_H": 0.1}
    for change, message in [({"k_B": 1}, "k_B=1 is not an integer >= 2"), ({"lam_H": -1}, "lam_H=-1 is not")]:
        with pytest.raises(ValueError, match=message):
            imbalance.minority_collapse_ratio(**(ratio | change))
    for bad, message in [
        (np.zeros(3), r"logits has shape \(3,\)"),
        (np.full((2, 2), np.inf), "not finite"),
        (np.zeros((2, 3)), r"logits have shape \(2, 3\). Pass the logits of the classes"),
    ]:
        with pytest.raises(ValueError, match=message):
            residual.lower_bound(logits=bad, n=2, lam_W=1.0, lam_H=1.0)
        with pytest.raises(ValueError, match=message):
            residual.residual_spectrum(logits=bad, n=2)
