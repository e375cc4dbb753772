"""Converters: the other objective, written out from its own formula, equals factor * f + offset at random points."""

import re
from typing import Any

import numpy as np
import pytest
from dense_oracle import Dense

from theory import conversions, cross_entropy

SIZES = (3, 3, 3)
LAM: dict[str, Any] = {"lam_W": 3e-2, "lam_H": 7e-3}
BIASES = [None, 0.0, 0.4]


def points(lam_b, count=5):
    """Random (W, H, b)."""
    rng = np.random.default_rng(1)
    for _ in range(count):
        b = None if lam_b is None else rng.normal(size=3)
        yield rng.normal(size=(3, 4)), rng.normal(size=(4, 9)), b


def squares(W, H, b, lam_W, lam_H, lam_b=None):
    """lam_W |W|^2 + lam_H |H|^2 + lam_b |b|^2."""
    return lam_W * np.sum(W**2) + lam_H * np.sum(H**2) + (0.0 if b is None else lam_b * np.sum(b**2))


def scores(W, H, b):
    return W @ H + (0.0 if b is None else b[:, None])


def nll(A):
    labels = np.repeat(np.arange(3), SIZES)
    return np.log(np.sum(np.exp(A), axis=0)) - A[labels, np.arange(9)]


def residual(A):
    return A - np.eye(3)[:, np.repeat(np.arange(3), SIZES)]


OTHERS = {
    "sum": ("ce", lambda lam: conversions.from_sum(N=9, **lam), lambda A, reg: nll(A).sum() + reg / 2),
    "sum mse": (
        "mse",
        lambda lam: conversions.from_sum(N=9, **lam),
        lambda A, reg: np.sum(residual(A) ** 2) / 2 + reg / 2,
    ),
    "full decays": ("ce", lambda lam: conversions.from_full_decays(**lam), lambda A, reg: nll(A).mean() + reg),
    "full mse": (
        "mse",
        lambda lam: conversions.from_full_mse(**lam),
        lambda A, reg: np.sum(residual(A) ** 2) / 9 + reg / 2,
    ),
    "entry mean": (
        "mse",
        lambda lam: conversions.from_entry_mean_mse(K=3, **lam),
        lambda A, reg: np.mean(residual(A) ** 2) + reg / 2,
    ),
}


@pytest.mark.parametrize("lam_b", BIASES)
@pytest.mark.parametrize("name", OTHERS)
def test_converter_is_an_identity_at_every_point(name, lam_b):
    loss, convert, other = OTHERS[name]
    lam = LAM | {"lam_b": lam_b}
    conversion = convert(lam)
    dense = Dense(loss, SIZES, **conversion.decays)
    for W, H, b in points(lam_b):
        expected = other(scores(W, H, b), squares(W, H, b, **lam))
        np.testing.assert_allclose(conversion.factor * dense.value(W, H, b), expected, rtol=1e-14)


@pytest.mark.parametrize("lam_b", BIASES)
def test_converters_compose_in_any_order(lam_b):
    lam = LAM | {"lam_b": lam_b}
    first = conversions.from_full_decays(**lam)
    one = conversions.from_sum(N=9, **first.decays)
    second = conversions.from_sum(N=9, **lam)
    other = conversions.from_full_decays(**second.decays)
    assert one.decays == other.decays  # doubling is exact
    dense = Dense("ce", SIZES, **one.decays)
    for W, H, b in points(lam_b):
        expected = nll(scores(W, H, b)).sum() + squares(W, H, b, **lam)
        np.testing.assert_allclose(first.factor * one.factor * dense.value(W, H, b), expected, rtol=1e-14)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_torch_weight_decay_gives_the_gradient_of_sgd(loss, bias):
    """SGD's step direction is the gradient of the mean loss plus weight_decay times the parameter."""
    decay = 5e-3
    if loss == "ce":
        conversion, raw_scale = conversions.from_torch_cross_entropy(weight_decay=decay, bias=bias), 1.0
    else:
        conversion, raw_scale = conversions.from_torch_mse(K=3, weight_decay=decay, bias=bias), 2 / 3
    dense, undecayed = Dense(loss, SIZES, **conversion.decays), Dense(loss, SIZES, 0.0, 0.0, 0.0 if bias else None)
    for W, H, b in points(0.0 if bias else None):
        flat = np.concatenate([part.ravel() for part in (W, H, b) if part is not None])
        direction = raw_scale * undecayed.gradient(W, H, b) + decay * flat
        np.testing.assert_allclose(conversion.factor * dense.gradient(W, H, b), direction, atol=1e-14)


@pytest.mark.parametrize(("K", "n", "E_W", "E_H"), [(2, 1, 1.0, 1.0), (3, 3, 2.0, 5.0), (10, 4, 0.3, 20.0)])
def test_layer_peeled_multipliers_use_up_both_budgets(K, n, E_W, E_H):
    conversion = conversions.from_layer_peeled(K=K, n=n, E_W=E_W, E_H=E_H)
    optimum = cross_entropy.global_minimum(K=K, n=n, d=K, **conversion.decays)
    assert optimum.quantities["W_sq"] / K == pytest.approx(E_W, rel=1e-13)
    assert optimum.quantities["H_sq"] / (K * n) == pytest.approx(E_H, rel=1e-13)
    constrained = np.log1p((K - 1) * np.exp(-K / (K - 1) * np.sqrt(E_W * E_H)))
    assert conversion.factor * optimum.value + conversion.offset == pytest.approx(constrained, abs=1e-14)


def test_layer_peeled_is_the_lagrangian_at_every_point():
    conversion = conversions.from_layer_peeled(K=3, n=3, E_W=2.0, E_H=5.0)
    dense = Dense("ce", SIZES, **conversion.decays)
    lam_W, lam_H = conversion.decays["lam_W"], conversion.decays["lam_H"]
    for W, H, _ in points(None):
        excess = lam_W / 2 * (np.sum(W**2) - 3 * 2.0) + lam_H / 2 * (np.sum(H**2) - 9 * 5.0)
        expected = nll(W @ H).mean() + excess
        np.testing.assert_allclose(
            conversion.factor * dense.value(W, H, None) + conversion.offset, expected, rtol=1e-13
        )


@pytest.mark.parametrize("lam_b", BIASES)
def test_equal_decays_and_one_sample_are_the_same_objective(lam_b):
    lam = LAM | {"lam_b": lam_b}
    equal, s = conversions.to_equal_decays(**lam)
    single = conversions.to_one_sample(n=3, **lam)
    full, even = Dense("ce", SIZES, **lam), Dense("ce", SIZES, **equal.decays)
    small = Dense("ce", (1, 1, 1), **single.decays)
    for W, H, b in points(lam_b):
        np.testing.assert_allclose(even.value(W / s, s * H, b), full.value(W, H, b), rtol=1e-14)
        M = H[:, :3]
        np.testing.assert_allclose(small.value(W, M, b), full.value(W, np.repeat(M, 3, axis=1), b), rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conversions.from_sum(N=0, **LAM), "from_sum: N=0 is not an integer >= 1"),
        (lambda: conversions.from_sum(N=9, lam_W=0.0, lam_H=1.0), "from_sum: lam_W=0.0 is not a positive"),
        (lambda: conversions.from_full_decays(lam_W=1.0, lam_H=-1.0), "from_full_decays: lam_H=-1.0 is not a positive"),
        (lambda: conversions.from_full_mse(lam_W=1.0, lam_H=1.0, lam_b=-1.0), "lam_b=-1.0 is neither None"),
        (lambda: conversions.from_entry_mean_mse(K=0, **LAM), "from_entry_mean_mse: K=0 is not"),
        (lambda: conversions.from_torch_cross_entropy(weight_decay=0.0), "from_torch_cross_entropy"),
        (lambda: conversions.from_torch_mse(K=3, weight_decay=np.nan), "lam_b=nan"),
        (lambda: conversions.from_layer_peeled(K=3, n=1, E_W=0.0, E_H=1.0), "E_W=0.0 is not a positive"),
        (lambda: conversions.from_layer_peeled(K=3, n=1, E_W=1e4, E_H=1e4), "multiplier lam_W=0.0 is not"),
        (lambda: conversions.to_one_sample(n=0, **LAM), "to_one_sample: n=0 is not"),
        (lambda: conversions.to_equal_decays(lam_W=np.inf, lam_H=1.0), "lam_W=inf is not a positive"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
