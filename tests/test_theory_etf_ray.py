"""T25, 6.1: the clock of cross-entropy on the ETF ray, by quadrature, 60 digits, the full flow and its inverse."""

import math
import re
from decimal import Decimal, localcontext
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from dense_oracle import Dense, flow, gradient_flow
from scipy.integrate import quad, solve_ivp

from theory import cross_entropy, etf_ray, frames, seli


@pytest.mark.parametrize("lam", [0.0, 0.02])
def test_cross_entropy_stays_on_the_ray_with_the_stated_velocity(lam):
    K, n, d, a0 = 4, 3, 5, 0.2
    W, H = frames.balanced_factors(np.repeat(a0 * frames.centering(K), n, axis=1), d, 1.0, 1.0)
    times = [1.0, 30.0, 400.0]
    margins = flow(lambda a: etf_ray.velocity(a=a, K=K, n=n, lam=lam), [a0], times)[:, 0]
    for t, a, (Wt, Ht, bt) in zip(
        times, margins, gradient_flow(Dense("ce", (n,) * K, lam, lam, 0.0), W, H, np.full(K, 0.3), times), strict=True
    ):
        np.testing.assert_allclose(Wt @ Ht[:, ::n], a * frames.centering(K), atol=1e-10)
        assert bt is not None
        np.testing.assert_allclose(bt, 0.3, atol=1e-12)
        if lam == 0.0:
            assert etf_ray.log_time(a=a, a0=a0, K=K, n=n) == pytest.approx(math.log(t), abs=1e-10)
            assert etf_ray.margin(log_t=math.log(t), a0=a0, K=K, n=n) == pytest.approx(a, rel=1e-10)
    if lam:
        rest = cross_entropy.global_minimum(K=K, n=n, d=d, lam_W=lam, lam_H=lam).quantities["margin"]
        assert abs(etf_ray.velocity(a=rest, K=K, n=n, lam=lam)) <= 1e-15


@pytest.mark.parametrize("K", [2, 10, 1000])
@pytest.mark.parametrize(
    ("a0", "a"),
    [(1e-300, 1e-3), (1e-8, 2e-8), (0.3, 0.3001), (0.3, 0.5), (0.3, 0.7), (0.9, 1.1), (1e-3, 1.0), (0.1, 25.0),
     (0.1, 49.0), (0.1, 51.0), (48.0, 50.5), (49.0, 50.9), (49.0, 50.9999), (3.0, 500.0), (499.0, 500.0),
     (1e-2, 690.0)],
)  # fmt: skip
def test_cross_entropy_time_against_quadrature(a0, a, K):
    """In u = log x the integrand is e^x + K - 1; scaled by e^-a it overflows nowhere."""
    n = 5

    def scaled(u):
        return math.exp(math.exp(u) - a) + (K - 1) * math.exp(-a)

    low = max(math.log(a0), math.log(a) - 50.0 / a if a > 50 and K * math.exp(-a) * 700 < 1e-22 else -math.inf)
    cuts = np.linspace(low, math.log(a), 30)
    integral = sum(quad(scaled, x, y, epsabs=0, epsrel=1e-13)[0] for x, y in pairwise(cuts))
    expected = math.log(math.sqrt(n) / 2) + a + math.log(integral)
    found = etf_ray.log_time(a=a, a0=a0, K=K, n=n)
    assert found == pytest.approx(expected, abs=1e-12 + 2e-15 * a)
    back = etf_ray.margin(log_t=found, a0=a0, K=K, n=n)
    assert back - a0 == pytest.approx(a - a0, rel=1e-11, abs=1e-15 * a)


@pytest.mark.parametrize("a0", [1e-9, 0.3, 40.0, 600.0])
def test_short_cross_entropy_times_keep_their_digits(a0):
    K, n = 10, 4
    a = a0 * (1 + 1e-9)  # so near that the velocity hardly changes
    middle = (a + a0) / 2
    expected = (a - a0) / float(etf_ray.velocity(a=middle, K=K, n=n))
    assert math.exp(etf_ray.log_time(a=a, a0=a0, K=K, n=n)) == pytest.approx(expected, rel=1e-12)


def test_cross_entropy_margin_at_extreme_times():
    for log_t in (500.0, 700.0, 1e5, 1e300):
        a = etf_ray.margin(log_t=log_t, a0=0.1, K=10, n=4)
        # (sqrt n/2) e^a/a (1 + 1/a + 2/a^2 + ...) = t, from above
        assert a - math.log(a) + math.log1p(1 / a + 2 / a / a) == pytest.approx(log_t, abs=1e-6, rel=4e-16)
        assert etf_ray.log_time(a=a, a0=0.1, K=10, n=4) == pytest.approx(log_t, abs=1e-12, rel=4e-16)
    assert etf_ray.margin(log_t=-math.inf, a0=0.1, K=10, n=4) == 0.1
    speed = float(etf_ray.velocity(a=0.1, K=10, n=4))
    for log_t in (-30.0, -10.0):
        grown = etf_ray.margin(log_t=log_t, a0=0.1, K=10, n=4) - 0.1
        assert grown == pytest.approx(speed * math.exp(log_t), rel=1e-4, abs=2e-17)
    assert etf_ray.log_time(a=0.1, a0=0.1, K=10, n=4) == -math.inf
    assert math.isnan(etf_ray.log_time(a=0.09, a0=0.1, K=10, n=4))
    assert float(etf_ray.velocity(a=1e4, K=10, n=4)) == 0.0


def exact_log_time(K, n, a0, x):
    """log(sqrt(n)/2 [K log(x/a0) + sum_k (x^k - a0^k)/(k k!)]) in 60 digits; all terms positive."""
    with localcontext() as context:
        context.prec = 60
        a0, x = Decimal(a0), Decimal(x)
        total, power, power_0, factorial = K * (x / a0).ln(), Decimal(1), Decimal(1), Decimal(1)
        for k in range(1, int(6 * x) + 200):
            power, power_0, factorial = power * x, power_0 * a0, factorial * k
            total += (power - power_0) / (k * factorial)
        return float((Decimal(n).sqrt() / 2 * total).ln())


@pytest.mark.parametrize(
    ("a0", "x"),
    [
        (0.25, 0.25 + 2.0**-40),
        (0.125, 0.375),
        (1e-9, 0.9),
        (1e-300, 1e-9),
        (0.4, 20.0),
        (3.0, 60.0),
        (40.0, 51.0),
        (49.5, 50.5),
        (55.0, 55.5),
        (40.0, 590.0),
    ],
)
def test_clock_of_the_ray_and_its_inverse(a0, x):
    for K, n in ((2, 1), (10, 50)):
        log_t = etf_ray.log_time(K=K, n=n, a0=a0, a=x)
        exact = exact_log_time(K, n, a0, x)
        assert abs(log_t - exact) <= 4e-16 * (4 + abs(exact))
        grown = etf_ray.margin(K=K, n=n, a0=a0, log_t=log_t) - a0
        conditioned = 1e-13 + 4e-16 * (1 + abs(log_t)) * (1 + math.log(x / a0))  # one rounding of log t
        assert grown == pytest.approx(x - a0, rel=conditioned, abs=2e-16 * x)


def test_margins_far_beyond_any_time_in_floats():
    """6.1 down the ray: L t log t -> V/2 and (|W|^2 + |H|^2)/log t -> 2V, as 6.2 has it for every start."""
    K, n, rates = 4, 9, seli.rates(K=4, n=9)
    errors = []
    for log_t in (584.0, 1e4, 1e6):
        x = etf_ray.margin(K=K, n=n, a0=1.0, log_t=log_t)
        assert etf_ray.log_time(K=K, n=n, a0=1.0, a=x) == pytest.approx(log_t, rel=1e-15)
        log_loss = math.log(K - 1) - x  # log1p is linear there
        errors.append(math.exp(log_loss + log_t + math.log(log_t)) / rates.loss - 1)
        point = etf_ray.state(K=K, n=n, a=x)
        assert (point.W_sq + point.H_sq) / log_t == pytest.approx(rates.norm_sq, rel=2 * math.log(log_t) / log_t)
    assert abs(errors[0]) < 0.02
    assert abs(errors[2]) < 2e-5
    assert etf_ray.margin(K=K, n=n, a0=1000.0, log_t=-700.0) == 1000.0  # nothing moves there in so short a time


def test_ray_is_the_flow_of_the_full_model():
    """DOP853 on W [K, d], H [d, N] with softmax gradients: stays on the ray, at the margin of the closed form."""
    K, n, d, a0 = 3, 2, 2, 0.3
    Y = np.repeat(np.eye(K), n, axis=1)
    frame = frames.centred_basis(K)
    W, H = a0**0.5 * n**0.25 * frame, np.repeat(a0**0.5 * n**-0.25 * frame.T, n, axis=1)

    def slope(_, x):
        W, H = x[: K * d].reshape(K, d), x[K * d :].reshape(d, K * n)
        Q = np.exp(W @ H)
        G = (Q / Q.sum(axis=0) - Y) / (K * n)
        return -np.concatenate([(G @ H.T).ravel(), (W.T @ G).ravel()])

    start = np.concatenate([W.ravel(), H.ravel()])
    times = [0.5, 5.0, 50.0, 500.0]
    run = solve_ivp(slope, (0.0, 500.0), start, method="DOP853", rtol=1e-12, atol=1e-13, t_eval=times)
    for t, x in zip(times, run.y.T, strict=True):
        point = etf_ray.state(K=K, n=n, a=etf_ray.margin(K=K, n=n, a0=a0, log_t=math.log(t)))
        W, H = x[: K * d].reshape(K, d), x[K * d :].reshape(d, K * n)
        np.testing.assert_allclose(W @ H, point.margin * frames.centering(K) @ Y, rtol=2e-11, atol=1e-13)
        assert np.sum(W**2) == pytest.approx(point.W_sq, rel=1e-11)
        assert np.sum(H**2) == pytest.approx(point.H_sq, rel=1e-11)
        Z = W @ H
        loss = -np.sum(Y * (Z - np.log(np.exp(Z).sum(axis=0)))) / (K * n)
        assert loss == pytest.approx(point.loss, rel=1e-10)


RAY: dict[str, Any] = {"a": 1.0, "a0": 0.5, "K": 3, "n": 2}


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        ("velocity", {"a": -1.0, "K": 2, "n": 1}, "a has entries"),
        ("log_time", RAY | {"a": 0.0}, "a=0.0 is not a positive"),
        ("log_time", RAY | {"a0": math.inf}, "a0=inf is not a positive"),
        (
            "margin",
            {"log_t": math.nan, "a0": 1.0, "K": 2, "n": 1},
            "log_t=nan is not a finite number or -inf",
        ),
        (
            "margin",
            {"log_t": math.inf, "a0": 1.0, "K": 2, "n": 1},
            "log_t=inf is not a finite number or -inf",
        ),
        ("margin", {"log_t": 1.0, "a0": -1.0, "K": 2, "n": 1}, "a0=-1.0 is not a positive"),
        ("state", {"K": 2, "n": 1, "a": 0.0}, "a=0.0 is not a positive"),
        ("log_time", RAY | {"a0": -2.0}, "a0=-2.0 is not a positive"),
        ("margin", {"log_t": 1.0, "a0": 1.0, "K": 1, "n": 1}, "K=1 is not an integer >= 2"),
    ],
)
def test_errors_say_what_is_wrong(name, setting, message):
    with pytest.raises(ValueError, match=re.escape(f"etf_ray.{name}: {message}")):
        getattr(etf_ray, name)(**setting)
