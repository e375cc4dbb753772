"""Gradient flow against its conservation laws and closed forms."""

import math

import numpy as np
import pytest
from scipy.special import expi

import theory
import ufm


def test_the_balance_decays_at_twice_the_decay():
    """T23: W^T W - H H^T = e^(-2 lam t) times its start, for any loss, when lam_W = lam_H."""
    for loss in (ufm.CrossEntropy(0.1), ufm.Focal(2.0)):
        problem = ufm.Problem(3, (2, 1, 2), 4, 0.05, 0.05, 0.01, loss)
        flow = ufm.gradient_flow(problem, ufm.random_start(problem), [0.0, 1.0, 10.0])
        W, H, _ = flow.params
        gram = np.einsum("tki,tkj->tij", W, W) - np.einsum("tin,tjn->tij", H, H)
        for t, balance in zip(flow.times, gram, strict=True):
            assert np.max(np.abs(balance - math.exp(-0.1 * t) * gram[0])) <= 1e-11
        assert np.all(np.diff(flow.value) < 0.0)


def test_without_decay_the_margin_grows_by_the_exponential_integral():
    """6.1: on the balanced ray, (K-1) log x + Ei(x) grows by 2 t / sqrt(n), here up to t = 1e100."""
    K, n, x0 = 3, 2, 0.5
    problem = ufm.Problem(K, n, K, 0.0, 0.0)
    P = np.eye(K) - 1.0 / K
    scale = math.sqrt(x0 * math.sqrt(n))
    start = ufm.Params(scale * P, np.repeat(scale * P / math.sqrt(n), n, axis=1), None)
    flow = ufm.gradient_flow(problem, start, [1.0, 1e3, 1e10, 1e100])
    for t, W, H in zip(flow.times, flow.params.W, flow.params.H, strict=True):
        Z = W @ H
        x = Z[0, 0] - Z[1, 0]
        grown = (K - 1) * math.log(x / x0) + expi(x) - expi(x0)
        assert grown == pytest.approx(2 * t / math.sqrt(n), rel=1e-8)


def test_the_flow_leaves_the_origin_at_the_predicted_rate():
    """T18: the distance from W = H = 0 grows like e^(-mu t), mu the smallest eigenvalue of `theory` there."""
    arguments = {"K": 4, "n": 3, "d": 4, "lam_W": 0.02, "lam_H": 0.05}
    problem = ufm.Problem(**arguments, loss=ufm.MSE())
    mu = theory.mse.origin_spectrum(**arguments).values[0]
    flow = ufm.gradient_flow(problem, ufm.random_start(problem, scale=1e-9), [100.0, 110.0], atol=1e-22)
    W, H, _ = flow.params
    distance = np.sqrt(np.sum(W**2, axis=(1, 2)) + np.sum(H**2, axis=(1, 2)))
    assert mu < 0.0
    assert math.log(distance[1] / distance[0]) == pytest.approx(-10 * mu, rel=1e-6)


def test_on_spheres_the_flow_stays_and_descends():
    problem = ufm.Problem(3, 2, 3, model=ufm.normalized(4.0))
    flow = ufm.gradient_flow(problem, ufm.random_start(problem), [0.0, 1.0, 100.0, 1e4])
    assert np.max(np.abs(np.sum(flow.params.H**2, axis=1) - 1.0)) <= 1e-14
    assert np.all(np.diff(flow.value) < 0.0)
    assert flow.value[-1] == pytest.approx(math.log1p(2 * math.exp(-6.0)), rel=1e-6)


PROBLEM = ufm.Problem(3, 2, 4, 0.05, 0.05)
RELU = ufm.Problem(3, 2, 4, 0.05, 0.05, model=ufm.relu_features())


@pytest.mark.parametrize(
    ("problem", "times", "changes", "error", "text"),
    [
        (PROBLEM, [], {}, ValueError, "non-empty list of finite numbers"),
        (PROBLEM, [1.0, np.inf], {}, ValueError, "finite numbers"),
        (PROBLEM, [1.0, 0.5], {}, ValueError, "times must increase"),
        (PROBLEM, [-1.0, 0.5], {}, ValueError, "from 0 or later"),
        (PROBLEM, "soon", {}, TypeError, "times='soon' are not numbers"),
        (PROBLEM, [1.0], {"rtol": 0.0}, ValueError, "rtol=0.0 is not a finite positive number"),
        (RELU, [1.0], {}, ValueError, "with H >= 0 the flow has kinks"),
    ],
)
def test_what_cannot_flow_is_refused(problem, times, changes, error, text):
    with pytest.raises(error, match=text):
        ufm.gradient_flow(problem, ufm.random_start(problem), times, **changes)
