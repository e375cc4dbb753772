"""Section 5: the supervised contrastive minima against the loss written out, every batch enumerated."""

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from theory import NotApplicable, contrastive, frames


def anchors(Z, labels):
    """Loss and gradient in Z [b, d] of sum_i l_i over one batch; members are told apart by position."""
    S, b = Z @ Z.T, len(Z)
    others = ~np.eye(b, dtype=bool)
    positive = others & (labels[:, None] == labels)
    count = positive.sum(axis=1)
    top = np.max(np.where(others, S, -np.inf), axis=1, keepdims=True)
    mass = np.where(others, np.exp(S - top), 0.0)
    total = mass.sum(axis=1, keepdims=True)
    share = positive / np.maximum(count, 1)[:, None]
    losses = (top + np.log(total))[:, 0] - np.sum(share * S, axis=1)
    active = count > 0
    G = active[:, None] * (mass / total - share)
    return float(np.sum(losses[active])), (G + G.T) @ Z


def mean_over_batches(Z, labels, batches):
    value, slope = 0.0, np.zeros_like(Z)
    for batch in batches:
        members = np.array(batch)
        part, gradient = anchors(Z[members], labels[members])
        value += part
        np.add.at(slope, members, gradient)
    return value / len(batches), slope / len(batches)


def descend(labels, d, rho2, batches, seed):
    """(value, Z) at the end of an L-BFGS run over directions."""
    N = len(labels)

    def objective(x):
        Y = x.reshape(N, d)
        r = np.linalg.norm(Y, axis=1, keepdims=True)
        Z = math.sqrt(rho2) * Y / r
        value, slope = mean_over_batches(Z, labels, batches)
        slope = math.sqrt(rho2) * slope
        return value, ((slope - Y / r * np.sum(slope * Y / r, axis=1, keepdims=True)) / r).ravel()

    start = np.random.default_rng(seed).normal(size=N * d)
    options = {"ftol": 1e-16, "gtol": 1e-11, "maxiter": 3000}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    Y = found.x.reshape(N, d)
    return found.fun, math.sqrt(rho2) * Y / np.linalg.norm(Y, axis=1, keepdims=True)


def simplex_features(K, n, d, rho2):
    return math.sqrt(rho2) * np.repeat(frames.simplex_etf(K, d), n, axis=0), np.repeat(np.arange(K), n)


FULL = [(2, 2, 1, 1.0), (2, 3, 2, 2.0), (3, 2, 2, 5.0), (4, 3, 3, 10.0), (5, 2, 6, 0.1), (10, 4, 9, 10.0)]


@pytest.mark.parametrize(("K", "n", "d", "rho2"), FULL)
def test_full_batch_value_at_the_simplex(K, n, d, rho2):
    q = contrastive.full_batch_minimum(K=K, n=n, d=d, rho2=rho2).quantities
    Z, labels = simplex_features(K, n, d, rho2)
    value, slope = anchors(Z, labels)
    assert q["value"] == pytest.approx(value / (K * n), rel=1e-12, abs=0)  # of the loss, which cancels
    assert q["data_loss"] == q["value"]
    assert q["H_sq"] == pytest.approx(np.sum(Z**2))
    np.testing.assert_allclose(q["gram_M"], (Z @ Z.T)[::n, ::n], atol=1e-14 * rho2)
    tangent = slope - Z * np.sum(slope * Z, axis=1, keepdims=True) / rho2
    assert np.max(np.abs(tangent)) <= 1e-14 * rho2


@pytest.mark.parametrize(("K", "n", "d", "rho2"), [(2, 3, 3, 2.0), (3, 2, 2, 5.0), (4, 3, 4, 1.0)])
def test_descent_reaches_the_full_batch_value(K, n, d, rho2):
    labels = np.repeat(np.arange(K), n)
    f = contrastive.full_batch_minimum(K=K, n=n, d=d, rho2=rho2)
    runs = [descend(labels, d, rho2, [range(K * n)], seed) for seed in range(3)]
    best, Z = min(runs, key=lambda run: run[0])
    assert best / (K * n) == pytest.approx(f.value, rel=1e-12, abs=0)
    np.testing.assert_allclose((Z @ Z.T)[::n, ::n], f.quantities["gram_M"], atol=1e-5)
    assert min(run[0] for run in runs) / (K * n) >= f.value * (1 - 1e-13)


def enumerated(K, n, b, repeated):
    choose = itertools.combinations_with_replacement if repeated else itertools.combinations
    return list(choose(range(K * n), b))


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize(("K", "n", "b"), [(2, 2, 2), (2, 2, 3), (2, 3, 4), (3, 2, 3), (3, 2, 6), (2, 4, 5)])
def test_batches_against_enumeration(K, n, b, repeated):
    batches, rho2 = enumerated(K, n, b, repeated), 1.5
    Z, labels = simplex_features(K, n, K - 1, rho2)
    counts = [0] * (b + 1)
    for batch in batches:
        for members in np.bincount(labels[list(batch)], minlength=K):
            counts[members] += 1
    count = contrastive.multiset_counts if repeated else contrastive.subset_counts
    assert count(K=K, n=n, b=b) == tuple(counts)
    minimum = contrastive.multiset_batches_minimum if repeated else contrastive.subset_batches_minimum
    f = minimum(K=K, n=n, d=K, rho2=rho2, b=b)
    value, slope = mean_over_batches(Z, labels, batches)
    assert f.value == pytest.approx(value, rel=1e-14, abs=0)
    tangent = slope - Z * np.sum(slope * Z, axis=1, keepdims=True) / rho2
    assert np.max(np.abs(tangent)) <= 1e-14
    # The sum over batches, as the reference writes it.
    x = K * rho2 / (K - 1)
    total = sum(size * counts[size] * math.log(size - 1 + (b - size) * math.exp(-x)) for size in range(2, b + 1))
    assert len(batches) * f.value == pytest.approx(total, rel=1e-13, abs=0)
    assert ("gram_M" in f.quantities) == (b > 2)
    rng = np.random.default_rng(b)
    for size in (1e-3, 0.1, 10.0):
        other = Z + size * rng.normal(size=Z.shape)
        other *= math.sqrt(rho2) / np.linalg.norm(other, axis=1, keepdims=True)
        assert mean_over_batches(other, labels, batches)[0] >= f.value * (1 - 1e-14)


@pytest.mark.parametrize("repeated", [False, True])
def test_descent_reaches_the_batch_values(repeated):
    K, n, b, rho2 = 3, 2, 3, 2.0
    minimum = contrastive.multiset_batches_minimum if repeated else contrastive.subset_batches_minimum
    f = minimum(K=K, n=n, d=2, rho2=rho2, b=b)
    labels = np.repeat(np.arange(K), n)
    value, Z = min((descend(labels, 2, rho2, enumerated(K, n, b, repeated), s) for s in (0, 1)), key=lambda r: r[0])
    assert value == pytest.approx(f.value, rel=1e-11, abs=0)
    np.testing.assert_allclose((Z @ Z.T)[::n, ::n], f.quantities["gram_M"], atol=1e-4)


def test_one_batch_of_everything_is_the_full_batch():
    full = contrastive.full_batch_minimum(K=4, n=5, d=3, rho2=3.0)
    one = contrastive.subset_batches_minimum(K=4, n=5, d=3, rho2=3.0, b=20)
    assert one.value == pytest.approx(20 * full.value, rel=1e-15, abs=0)


def test_a_pair_never_costs_anything():
    f = contrastive.subset_batches_minimum(K=3, n=4, d=2, rho2=3.0, b=2)
    assert f.value == 0.0
    assert "every point has the loss 0" in f.statement


def test_counts_and_values_of_any_size_are_finite():
    assert sum(contrastive.subset_counts(K=7, n=3, b=5)) == 7 * math.comb(21, 5)
    assert sum(contrastive.multiset_counts(K=7, n=3, b=5)) == 7 * math.comb(25, 5)
    f = contrastive.subset_batches_minimum(K=10, n=5000, d=9, rho2=10.0, b=512)  # C(50000, 512) exceeds float64
    assert 0.0 < f.value < math.inf
    small = contrastive.full_batch_minimum(K=2, n=2, d=1, rho2=100.0).value
    assert small == pytest.approx(2 * math.exp(-200), rel=1e-12, abs=0)


def test_imbalance_breaks_the_simplex_but_not_the_collapse():
    """Counts (5, 2, 2), rho2 = 2: cosines -.5619, -.5619, -.3686."""
    labels = np.repeat([0, 1, 2], (5, 2, 2))
    _, Z = min((descend(labels, 3, 2.0, [range(9)], seed) for seed in range(3)), key=lambda run: run[0])
    U = Z / math.sqrt(2.0)
    assert np.max(np.abs(U - U[[0] * 5 + [5] * 2 + [7] * 2])) <= 1e-6
    cosines = (U @ U.T)[[0, 0, 5], [5, 7, 7]]
    np.testing.assert_allclose(cosines, [-0.5619, -0.5619, -0.3686], atol=1e-4)


GOOD: dict[str, Any] = {"K": 3, "n": 4, "d": 2, "rho2": 1.0}


def test_where_the_theorem_is_silent_it_says_why():
    assert contrastive.applies(**GOOD) == ()
    reasons = contrastive.applies(**GOOD | {"n": (3, 1, 1), "d": 1})
    for reason, start in zip(
        reasons, ("The class sizes (3, 1, 1) differ", "A class has one", "d=1 < K-1=2"), strict=True
    ):
        assert reason.startswith(start)
    with pytest.raises(NotApplicable, match=r"contrastive.full_batch_minimum: no closed form") as caught:
        contrastive.full_batch_minimum(**GOOD | {"n": (3, 1, 1), "d": 1})
    assert caught.value.reasons == reasons
    for function in (contrastive.subset_batches_minimum, contrastive.multiset_batches_minimum):
        with pytest.raises(NotApplicable, match="A class has one sample"):
            function(**GOOD | {"n": 1}, b=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"K": 1}, "K=1 is not an integer >= 2"),
        ({"n": 0}, "n=0 is not an integer >= 1"),
        ({"d": 0}, "d=0 is not an integer >= 1"),
        ({"rho2": 0.0}, "rho2=0.0 is not a positive, finite, normal number. Pass rho2 > 0."),
    ],
)
def test_errors_say_what_is_wrong(change, message):
    for name in ("applies", "full_batch_minimum", "subset_batches_minimum", "multiset_batches_minimum"):
        batch = {"b": 3} if "batches" in name else {}
        with pytest.raises(ValueError, match=re.escape(message)) as caught:
            getattr(contrastive, name)(**(GOOD | change), **batch)
        assert f"contrastive.{name}" in str(caught.value)


def test_errors_of_batch_sizes():
    with pytest.raises(ValueError, match=r"subset_counts: b=13 is above N=12, the number of samples. Pass b <= 12."):
        contrastive.subset_batches_minimum(**GOOD, b=13)
    for function in (contrastive.subset_batches_minimum, contrastive.multiset_batches_minimum):
        with pytest.raises(ValueError, match="b=1 is not an integer >= 2"):
            function(**GOOD, b=1)
