"""4: pick-all-label multi-label minimum against a dense oracle, duality, descent, and its extremes."""

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from theory import NotApplicable, cross_entropy, frames, multilabel

SETTINGS: list[tuple[int, dict[int, int], float, float]] = [
    (4, {1: 3, 2: 2}, 0.01, 0.02),
    (5, {1: 2, 2: 1, 3: 1}, 0.004, 0.004),
    (5, {2: 2, 3: 1}, 0.01, 0.002),  # no single labels
    (4, {1: 2, 4: 3}, 0.02, 0.02),  # and samples with every label
    (4, {1: 1, 2: 1, 3: 1, 4: 1}, 0.005, 0.03),
    (2, {1: 3}, 0.05, 0.05),
    (6, {4: 1}, 1e-3, 1e-3),
    (3, {1: 1, 2: 5}, 1.0, 1.0),  # zero
]


class Dense:
    """f and its gradient for label matrices, in plain NumPy."""

    def __init__(self, K, counts, lam_W, lam_H, lam_b):
        columns = [
            [1.0 if c in labels else 0.0 for c in range(K)]
            for m in sorted(counts)
            for labels in itertools.combinations(range(K), m)
            for _ in range(counts[m])
        ]
        self.T, self.N, self.decays = np.array(columns).T, len(columns), (lam_W, lam_H, lam_b)

    def __call__(self, W, H, b):
        """(f, data loss, gradient in the logits, full gradient)."""
        lam_W, lam_H, lam_b = self.decays
        A = W @ H + (0.0 if b is None else b[:, None])
        A = A - A.max(axis=0)
        log_Q = A - np.log(np.exp(A).sum(axis=0))
        G = (self.T.sum(axis=0) * np.exp(log_Q) - self.T) / self.N
        data = -float(np.sum(self.T * log_Q)) / self.N
        parts = [(G @ H.T + lam_W * W).ravel(), (W.T @ G + lam_H * H).ravel()]
        f = data + lam_W / 2 * float(np.sum(W**2)) + lam_H / 2 * float(np.sum(H**2))
        if b is not None:
            parts.append(G.sum(axis=1) + lam_b * b)
            f += lam_b / 2 * float(b @ b)
        return f, data, G, np.concatenate(parts)


def repeats(K, counts):
    """How often each distinct label set occurs."""
    return [counts[len(labels)] for labels in multilabel.label_sets(K=K, counts=counts)]


@pytest.mark.parametrize("lam_b", [None, 0.0, 0.1])
@pytest.mark.parametrize(("K", "counts", "lam_W", "lam_H"), SETTINGS)
def test_minimum_against_the_dense_oracle_and_its_dual(K, counts, lam_W, lam_H, lam_b):
    """Critical, every quantity as stated, and global: entropies of the residual, feasible, give the same value."""
    for d in (K - 1, K + 1):
        f = multilabel.global_minimum(K=K, counts=counts, d=d, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b)
        q, often = f.quantities, repeats(K, counts)
        W, H = frames.balanced_factors(np.repeat(q["logits"], often, axis=1), d, lam_W, lam_H)
        value, data, G, gradient = Dense(K, counts, lam_W, lam_H, lam_b)(W, H, q.get("b"))
        assert np.max(np.abs(gradient)) <= 1e-14
        assert abs(f.value - value) <= 2e-15 * (1 + value)
        assert abs(q["data_loss"] - data) <= 2e-15 * (1 + data)
        M = H[:, np.cumsum([0, *often])[:-1]]
        margins = [
            (W @ M)[c, s] - (W @ M)[j, s]
            for s, labels in enumerate(multilabel.label_sets(K=K, counts=counts))
            for c in labels
            for j in range(K)
            if j not in labels
        ]
        found = {
            "W_sq": np.sum(W**2),
            "H_sq": np.sum(H**2),
            "gram_W": W @ W.T,
            "gram_M": M.T @ M,
            "logits": W @ M,
            "sigma_Z": np.linalg.svd(W @ H, compute_uv=False),
            "margin": min(margins),
            "b": np.zeros(K),
        }
        for name in set(q) - {"value", "data_loss"}:
            wide = np.append(found[name], np.zeros(max(0, K - len(found[name])))) if name == "sigma_Z" else found[name]
            assert np.max(np.abs(wide - q[name])) <= 5e-14 * (1 + np.max(np.abs(q[name]))), name
        strength = math.sqrt(lam_W * lam_H)
        assert np.linalg.norm(G, 2) <= strength + 1e-15
        np.testing.assert_allclose(G.sum(axis=1), 0.0, atol=1e-15)  # so the bias changes nothing
        T = Dense(K, counts, lam_W, lam_H, lam_b).T
        Q = (G * T.shape[1] + T) / T.sum(axis=0)
        dual = -float(np.sum(T.sum(axis=0) * np.sum(Q * np.log(Q), axis=0))) / T.shape[1]
        assert abs(dual - f.value) <= 3e-15 * (1 + f.value)


@pytest.mark.parametrize("convention", ["half", "full"])
def test_value_against_descent(convention):
    """L-BFGS from random starts; the full convention, without 1/2 on the decays, through its converter's factor 2."""
    K, counts, d, lam = 4, {1: 2, 2: 1, 3: 1}, 4, 0.01
    ours = lam if convention == "half" else 2 * lam
    f = multilabel.global_minimum(K=K, counts=counts, d=d, lam_W=ours, lam_H=ours)
    dense = Dense(K, counts, ours, ours, None)

    def objective(x):
        value, _, _, gradient = dense(x[: K * d].reshape(K, d), x[K * d :].reshape(d, -1), None)
        return value, gradient

    options = {"ftol": 1e-16, "gtol": 1e-10, "maxiter": 5000}
    for seed in range(3):
        start = np.random.default_rng(seed).normal(size=K * d + d * dense.N)
        run = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
        assert -1e-15 <= run.fun - f.value <= 1e-13
        W = run.x[: K * d].reshape(K, d)
        np.testing.assert_allclose(W @ W.T, f.quantities["gram_W"], atol=1e-6)


@pytest.mark.parametrize(("K", "counts"), [(4, {1: 3, 2: 2}), (5, {1: 1, 2: 1, 3: 2, 4: 1})])
def test_features_are_scaled_sums_of_their_labels(K, counts):
    """Tag-wise: h_S = (x_m/x_1) sum of the features of its labels alone, x_m decreasing in m."""
    lam_W, lam_H = 0.01, 0.003
    q = multilabel.global_minimum(K=K, counts=counts, d=K, lam_W=lam_W, lam_H=lam_H).quantities
    x = multilabel.margins(K=K, counts=counts, lam_W=lam_W, lam_H=lam_H)
    sets = multilabel.label_sets(K=K, counts=counts)
    assert sets[:K] == [(c,) for c in range(K)]
    assert list(x) == sorted(counts)
    assert np.all(np.diff(list(x.values())) < 0)
    expand = np.array([[1.0 if c in S else 0.0 for S in sets] for c in range(K)]) * [x[len(S)] / x[1] for S in sets]
    np.testing.assert_allclose(expand.T @ q["gram_M"][:K, :K] @ expand, q["gram_M"], atol=1e-13)
    np.testing.assert_allclose(q["logits"][:, :K] @ expand, q["logits"], atol=1e-13)
    N, strength = sum(n * math.comb(K, m) for m, n in counts.items()), math.sqrt(lam_W * lam_H)
    kappas = [x[m] * (m * math.exp(x[m]) + K - m) for m in x]
    np.testing.assert_allclose(kappas, q["sigma_Z"][0] * K / (N * strength), rtol=1e-13)


def test_ratios_of_margins_tend_to_one():
    ratios = []
    for power in (2, 8, 50, 200):
        x = multilabel.margins(K=5, counts={1: 1, 2: 1, 3: 1}, lam_W=10.0**-power, lam_H=10.0**-power)
        ratios.append(x[3] / x[1])
    assert np.all(np.diff(ratios) > 0)
    assert 0 < 1 - ratios[-1] < 5e-3


@pytest.mark.parametrize("counts", [{1: 3, 2: 2}, {2: 1, 3: 1}, {1: 1, 2: 4, 3: 2, 4: 5}])
def test_zero_from_its_threshold_on(counts):
    K, at = 4, multilabel.zero_threshold(K=4, counts=counts)
    below, above = (
        multilabel.global_minimum(K=K, counts=counts, d=K, lam_W=at * s, lam_H=at * s) for s in (0.99, 1.01)
    )
    assert above.quantities["margin"] == 0.0 < below.quantities["margin"] < 0.1
    assert "W = H = 0" in above.statement
    assert below.value < above.value
    # The least eigenvalue of the dense problem's Hessian at zero changes sign there: |G| = threshold.
    T = Dense(K, counts, 1.0, 1.0, None).T
    G = (T.sum(axis=0) / K - T) / T.shape[1]
    assert np.linalg.norm(G, 2) == pytest.approx(at, rel=1e-14)
    near = [multilabel.margins(K=K, counts=counts, lam_W=at * (1 - e), lam_H=at * (1 - e))[2] / e for e in (1e-6, 1e-9)]
    assert near[0] == pytest.approx(near[1], rel=1e-5)  # linear onset, not lost in rounding


def test_single_labels_are_ordinary_classes_and_full_ones_cost_their_share():
    for lam in (1e-3, 0.05):
        many = multilabel.global_minimum(K=4, counts={1: 5}, d=4, lam_W=lam, lam_H=lam, lam_b=0.1)
        one = cross_entropy.global_minimum(K=4, n=5, d=4, lam_W=lam, lam_H=lam, lam_b=0.1)
        for name in many.quantities:
            np.testing.assert_allclose(many.quantities[name], one.quantities[name], atol=1e-13, err_msg=name)
    only = multilabel.global_minimum(K=3, counts={3: 2}, d=3, lam_W=0.1, lam_H=0.1)
    assert only.value == pytest.approx(3 * math.log(3), rel=1e-15)  # every label: feature 0, loss K log K
    assert math.isnan(only.quantities["margin"])
    assert multilabel.zero_threshold(K=3, counts={3: 2}) == 0.0
    assert multilabel.margins(K=3, counts={3: 2}, lam_W=0.1, lam_H=0.1) == {}


@settings(deadline=None, max_examples=100)
@given(
    K=st.integers(2, 6),
    data=st.data(),
    log_lam=st.floats(-250, 1),
    tilt=st.floats(-20, 20),
)
def test_every_setting_is_finite_and_depends_on_nu_only(K, data, log_lam, tilt):
    counts = data.draw(st.dictionaries(st.integers(1, K - 1), st.integers(1, 1000), min_size=1))
    lam_W, lam_H = 10 ** (log_lam + tilt), 10 ** (log_lam - tilt)
    even = math.sqrt(lam_W) * math.sqrt(lam_H)
    f, g = (
        multilabel.global_minimum(K=K, counts=counts, d=K, lam_W=a, lam_H=b) for a, b in ((lam_W, lam_H), (even, even))
    )
    q = f.quantities
    assert all(np.all(np.isfinite(entry)) for entry in q.values())
    assert math.isclose(f.value, g.value, rel_tol=1e-12)
    assert math.isclose(f.value, q["data_loss"] + (lam_W * q["W_sq"] + lam_H * q["H_sq"]) / 2, rel_tol=1e-12)
    x = multilabel.margins(K=K, counts=counts, lam_W=lam_W, lam_H=lam_H)
    N = sum(n * math.comb(K, m) for m, n in counts.items())
    if q["margin"] > 1e-6:
        logs = [math.log(v) + v + math.log(m + (K - m) * math.exp(-v)) for m, v in x.items()]
        target = math.log(q["sigma_Z"][0]) + math.log(K / N) - math.log(even)
        np.testing.assert_allclose(logs, target, rtol=1e-12, atol=1e-9)


GOOD: dict[str, Any] = {"K": 4, "counts": {1: 2, 2: 1}, "d": 3, "lam_W": 0.1, "lam_H": 0.1}


def test_where_the_theorem_is_silent_it_says_why():
    setting: dict[str, Any] = GOOD | {"d": 2}
    (reason,) = multilabel.applies(**setting)
    assert "d=2 < K-1=3" in reason
    with pytest.raises(NotApplicable, match="no closed form here") as caught:
        multilabel.global_minimum(**setting)
    assert caught.value.reasons == (reason,)
    assert multilabel.applies(**GOOD) == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"K": 1}, "K=1 is not an integer >= 2"),
        ({"counts": {}}, "counts={} is no mapping of multiplicities"),
        ({"counts": (1, 2)}, "counts=(1, 2) is no mapping"),
        ({"counts": {0: 1}}, "m=0 is not an integer >= 1"),
        ({"counts": {1: 0}}, "n_1=0 is not an integer >= 1"),
        ({"counts": {1: 2, 5: 1}}, "m=5 labels of K=4 classes"),
        ({"d": 0}, "d=0 is not an integer >= 1"),
        ({"lam_W": 0.0}, "lam_W=0.0 is not a positive"),
        ({"lam_H": math.inf}, "lam_H=inf is not a positive"),
        ({"lam_b": -1.0}, "lam_b=-1.0 is neither None"),
    ],
)
def test_errors_say_what_is_wrong(change, message):
    for name in ("applies", "global_minimum"):
        with pytest.raises(ValueError, match=re.escape(message)) as caught:
            getattr(multilabel, name)(**(GOOD | change))
        assert f"multilabel.{name}" in str(caught.value)
        assert not isinstance(caught.value, NotApplicable)
    if "counts" in change:
        for name in ("label_sets", "zero_threshold"):
            with pytest.raises(ValueError, match=re.escape(f"multilabel.{name}: ")):
                getattr(multilabel, name)(K=4, counts=change["counts"])
