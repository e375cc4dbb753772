"""3.1, 3.2, 3.3, 6.2: max-margin geometry by its dual, limits of vanishing decay, gradient flow without decay."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import minimize

from theory import NotApplicable, fixed_classifier, frames, imbalance, seli

SIZES = [(3, 2), (4, 1, 1), (6, 6, 2, 2), (7, 3, 2, 1), (2, 2, 2, 2), (1000, 1, 1), (5, 4, 3, 2, 1)]


@pytest.mark.parametrize("n", SIZES)
def test_geometry_is_that_of_centred_labels_and_optimal(n):
    """W, H from the SVD; the dual point U V^T, nothing positive off its diagonal, proves that no pair is less."""
    K = len(n)
    q = seli.global_minimum(K=K, n=n, d=K - 1).quantities
    PY = frames.centering(K)[:, np.repeat(np.arange(K), n)]
    W, H = frames.balanced_factors(PY, K - 1, 1.0, 1.0)
    M = H[:, np.cumsum((0, *n))[:-1]]
    scale = 1e-13 * max(n)
    np.testing.assert_allclose(q["gram_W"], W @ W.T, atol=scale)
    np.testing.assert_allclose(q["gram_M"], M.T @ M, atol=scale)
    np.testing.assert_allclose(q["gram_W"] @ q["gram_M"], frames.centering(K), atol=scale)  # pseudo-inverses
    np.testing.assert_allclose(q["gram_W"] @ q["gram_W"], frames.centering(K) * n @ frames.centering(K), atol=scale)
    np.testing.assert_allclose(q["logits"], W @ M, atol=1e-14)
    np.testing.assert_allclose(q["sigma_Z"][: K - 1], np.linalg.svd(PY, compute_uv=False)[: K - 1], rtol=1e-13)
    assert q["value"] == pytest.approx((np.sum(W**2) + np.sum(H**2)) / 2, rel=1e-14)
    assert q["value"] == seli.nuclear_norm(K=K, n=n) == q["W_sq"] == q["H_sq"]
    margins = (np.diag(W @ M) - W @ M)[~np.eye(K, dtype=bool)]
    np.testing.assert_allclose(margins, q["margin"], atol=1e-13)
    U, _, Vt = np.linalg.svd(PY, full_matrices=False)
    dual = (U[:, : K - 1] @ Vt[: K - 1])[:, np.cumsum((0, *n))[:-1]]  # of spectral norm 1, a column a class
    np.testing.assert_allclose(dual, q["gram_M"], atol=1e-12)
    multipliers = -dual[~np.eye(K, dtype=bool)]
    assert np.all(multipliers >= 0.0)
    assert float(np.array(n) @ np.diag(dual)) == pytest.approx(q["value"], rel=1e-13)  # the sum of the multipliers


@settings(deadline=None, max_examples=100)
@given(n=st.lists(st.integers(1, 10**6), min_size=2, max_size=7))
def test_the_dual_point_is_feasible_for_any_class_sizes(n):
    q = seli.global_minimum(K=len(n), n=tuple(n), d=len(n)).quantities
    off = q["gram_M"][~np.eye(len(n), dtype=bool)]
    assert np.all(off <= 1e-12 * np.max(q["gram_M"]))
    assert math.isclose(float(np.array(n) @ np.diag(q["gram_M"])), q["value"], rel_tol=1e-9)


@pytest.mark.parametrize(
    ("k_A", "k_B", "n_A", "n_B"), [(1, 1, 5, 2), (2, 3, 10, 1), (3, 1, 4, 4), (1, 4, 7, 2), (4, 4, 99, 1)]
)
def test_step_form_equals_the_general_one(k_A, k_B, n_A, n_B):
    step = seli.step_minimum(k_A=k_A, k_B=k_B, n_A=n_A, n_B=n_B)
    n = (n_A,) * k_A + (n_B,) * k_B
    general = seli.global_minimum(K=k_A + k_B, n=n, d=k_A + k_B - 1)
    assert set(step.quantities) == set(general.quantities)
    for name, stated in step.quantities.items():
        np.testing.assert_allclose(stated, general.quantities[name], rtol=2e-14, atol=3e-14, err_msg=name)
    assert step.value == seli.step_minimum(k_A=k_B, k_B=k_A, n_A=n_B, n_B=n_A).value
    K, m, G = k_A + k_B, (k_B * n_A + k_A * n_B) / (k_A + k_B), step.quantities["gram_W"]
    assert G[0, 0] == pytest.approx(math.sqrt(n_A) * (1 - 1 / k_A) + math.sqrt(m) * k_B / (K * k_A), rel=1e-14)
    assert G[0, -1] == pytest.approx(-math.sqrt(m) / K, rel=1e-14)


def test_minority_classifiers_align_as_the_ratio_grows():
    ratios = [1, 10, 100, 10**4, 10**8]
    grams = [seli.step_minimum(k_A=5, k_B=5, n_A=ratio, n_B=1).quantities for ratio in ratios]
    cosines = [q["gram_W"][8, 9] / q["gram_W"][9, 9] for q in grams]
    np.testing.assert_allclose(cosines, [-0.1111, 0.0334, 0.338, 0.873, 0.9986], atol=5e-5)
    assert grams[-1]["gram_M"][8, 9] / grams[-1]["gram_M"][9, 9] == pytest.approx(-1 / 4, abs=1e-4)


def test_value_against_constrained_descent():
    """SLSQP on the factors with the margin constraints, one feature a class weighted by its size."""
    n, K, d = (4, 2, 1), 3, 2
    roots = np.sqrt(n)

    def margins(x):
        Z = x[: K * d].reshape(K, d) @ x[K * d :].reshape(d, K) / roots
        return (np.diag(Z) - Z)[~np.eye(K, dtype=bool)] - 1

    start = np.random.default_rng(3).normal(size=2 * K * d)
    run = minimize(
        lambda x: float(x @ x) / 2,
        start,
        jac=lambda x: x,
        method="SLSQP",
        constraints={"type": "ineq", "fun": margins},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert run.fun == pytest.approx(seli.nuclear_norm(K=K, n=n), rel=1e-9)
    W = run.x[: K * d].reshape(K, d)
    np.testing.assert_allclose(W @ W.T, seli.global_minimum(K=K, n=n, d=d).quantities["gram_W"], atol=2e-5)


def test_largest_margin_is_attained_by_the_geometry():
    """The reference's 2.54770506 for (5, 2, 1) at E_W E_H = 2.73."""
    n, K, N, E_W, E_H = (5, 2, 1), 3, 8, 1.3, 2.1
    at = fixed_classifier.largest_margin(K=K, n=n, E_W=E_W, E_H=E_H)
    assert at == pytest.approx(2.54770506, abs=5e-9)
    W, H = frames.balanced_factors(frames.centering(K)[:, np.repeat(np.arange(K), n)], K, 1.0, 1.0)
    W, H = W * math.sqrt(K * E_W) / np.linalg.norm(W), H * math.sqrt(N * E_H) / np.linalg.norm(H)
    Z = (W @ H)[:, [0, 5, 7]]
    np.testing.assert_allclose((np.diag(Z) - Z)[~np.eye(K, dtype=bool)], at, rtol=1e-13)
    assert at > fixed_classifier.margin(K=K, E_W=E_W, E_H=E_H)
    balanced = fixed_classifier.largest_margin(K=4, n=7, E_W=E_W, E_H=E_H)
    assert balanced == pytest.approx(fixed_classifier.margin(K=4, E_W=E_W, E_H=E_H), rel=1e-14)


def test_vanishing_decay_approaches_seli_logarithmically():
    """3.3: the error of the direction times log(1/nu), for 10, 10, 1, 1; down to decays no solver reaches."""
    n, K = (10, 10, 1, 1), 4
    target = frames.centering(K) * np.sqrt(n)
    target /= np.linalg.norm(target)
    found = []
    for power in (4, 6, 8, 10, 12, 14, 100, 280):
        lam = 10.0**-power
        q = imbalance.global_minimum(K=K, n=n, d=K - 1, lam_W=lam, lam_H=lam).quantities
        Z = q["logits"] * np.sqrt(n)
        found.append(np.linalg.norm(Z / np.linalg.norm(Z) - target) * math.log(1 / lam))
    np.testing.assert_allclose(found[:6], [0.765, 0.768, 0.770, 0.7710, 0.7718, 0.7724], atol=5e-4)
    assert np.all(np.diff(found) > 0)
    assert found[-1] - found[-2] < 2e-3


def follow(n, log_t_end, seed):
    """Gradient flow on the loss L without decay, random start, to e^log_t_end: (log L, |W|^2 + |H|^2, least margin).

    One feature a class, scaled by sqrt(n_k); in the time s with dt = ds/L, so that nothing vanishes.
    """
    K, roots, N = len(n), np.sqrt(n), sum(n)
    off = ~np.eye(K, dtype=bool)

    def look(x):
        W, M = x[: K * K].reshape(K, K), x[K * K : -1].reshape(K, K)
        A = W @ M / roots
        lead = A - np.diag(A)
        top = float(np.max(lead[off]))
        misses = np.where(off, np.exp(lead - top), 0.0)  # relative to e^top
        mass = math.exp(top) * misses.sum(axis=0)
        losses = misses.sum(axis=0) * np.where(mass < 1e-9, 1.0, np.log1p(mass) / np.maximum(mass, 1e-9))
        return W, M, top, misses / (1.0 + mass), float(np.array(n) @ losses) / N

    def slope(_, x):
        W, M, top, misses, loss = look(x)
        G = (misses - np.diag(misses.sum(axis=0))) * roots / N / loss
        return np.concatenate([-(G @ M.T).ravel(), -(W.T @ G).ravel(), [math.exp(-top - math.log(loss) - x[-1])]])

    def arrived(_, x):
        return x[-1] - log_t_end

    arrived.terminal = True
    start = np.append(np.random.default_rng(seed).normal(size=2 * K * K), 0.0)
    run = solve_ivp(slope, (0.0, 100.0), start, method="DOP853", rtol=1e-9, atol=1e-9, events=arrived)
    x = run.y[:, -1]
    assert x[-1] == pytest.approx(log_t_end, abs=1e-6)
    _, _, top, _, loss = look(x)
    return top + math.log(loss), float(x[:-1] @ x[:-1]), -top


@pytest.mark.parametrize(
    ("n", "rate"), [((2, 2, 2), 1.400), ((4, 2, 1), 1.485), ((5, 1, 1, 1), 1.981), ((3, 2), 0.7830)]
)
def test_rates_of_gradient_flow_without_decay(n, rate):
    """6.2 at log t = 584: L t log t as measured in the reference, on its way to V/2; norms and margin likewise."""
    rates, log_t = seli.rates(K=len(n), n=n), 584.0
    log_loss, norm_sq, margin = follow(n, log_t, seed=0)
    assert math.exp(log_loss + log_t + math.log(log_t)) == pytest.approx(rate, abs=6e-4)
    assert rate == pytest.approx(rates.loss, rel=0.012)
    assert norm_sq / log_t == pytest.approx(rates.norm_sq, rel=0.015)
    assert margin / (norm_sq / 2) == pytest.approx(rates.margin, rel=2e-3)
    assert margin / (norm_sq / 2) < rates.margin  # the largest margin per norm, not reached


def test_where_the_geometry_does_not_fit():
    (reason,) = seli.applies(K=4, n=(3, 2, 1, 1), d=2)
    assert "d=2 < K-1=3" in reason
    with pytest.raises(NotApplicable, match="no closed form here") as caught:
        seli.global_minimum(K=4, n=2, d=2)
    assert caught.value.reasons == (reason,)
    assert seli.applies(K=4, n=2, d=3) == ()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: seli.global_minimum(K=1, n=2, d=2), "seli.global_minimum: K=1 is not an integer >= 2"),
        (lambda: seli.applies(K=3, n=2, d=0), "seli.applies: d=0 is not an integer >= 1"),
        (lambda: seli.nuclear_norm(K=3, n=(1, 2)), "seli.nuclear_norm: n has 2 class sizes for K=3"),
        (lambda: seli.rates(K=2, n=0), "seli.rates: n=0 is not an integer >= 1"),
        (lambda: seli.step_minimum(k_A=0, k_B=1, n_A=1, n_B=1), "seli.step_minimum: k_A=0 is not an integer >= 1"),
        (lambda: fixed_classifier.largest_margin(K=2, n=1, E_W=0.0, E_H=1.0), "E_W=0.0 is not a positive"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
