"""1.1 - 1.5: cross-entropy on spheres against a dense oracle, descent from random starts, and many digits."""

import itertools
import math
import re
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sphere_oracle import (
    ambient_gradient,
    descend,
    gradient_norm,
    labels_of,
    loss,
    random_point,
    riemannian_hessian,
    tangent_basis,
)

from theory import NotApplicable, expand, frames, sphere_calculus, spheres

VERIFIED = [(2, 3, 3, 2.0), (3, 2, 2, 4.0), (3, 3, 5, 1.0), (4, 2, 3, 8.0), (5, 2, 4, 10.0), (5, 2, 8, 0.3)]
VERIFIED += [(6, 2, 7, 20.0), (10, 1, 9, 16.0)]  # (K, n, d, tau)
EDGES = [(2, 1, 1, 3.0), (2, 4, 2, 0.01), (3, 1, 2, 5.0), (3, 4, 4, 2.0), (4, 5, 4, 0.1), (7, 3, 6, 6.0)]


def simplex_point(K, n, d):
    W = frames.simplex_etf(K, d)
    return W, np.repeat(W.T, n, axis=1)


@pytest.mark.parametrize(("K", "n", "d", "tau"), VERIFIED + EDGES)
def test_minimum_and_spectra_against_the_dense_oracle(K, n, d, tau):
    setting = {"K": K, "n": n, "d": d, "tau": tau}
    q = spheres.global_minimum(**setting).quantities
    W, H = simplex_point(K, n, d)
    sizes = (n,) * K
    found = {
        "value": loss(W, H, sizes, tau),
        "data_loss": loss(W, H, sizes, tau),
        "W_sq": np.sum(W**2),
        "H_sq": np.sum(H**2),
        "gram_W": W @ W.T,
        "gram_M": (H.T @ H)[::n, ::n],
        "logits": tau * W @ H[:, ::n],
        "sigma_Z": np.append(np.linalg.svd(tau * W @ H, compute_uv=False), np.zeros(max(0, K - n * K))),
        "margin": tau * np.min((1 - (W @ W.T))[~np.eye(K, dtype=bool)]),
    }
    assert set(q) == set(found) | {"nullity"}
    for name, entry in found.items():
        np.testing.assert_allclose(q[name], entry, rtol=1e-13, atol=1e-13 * np.max(np.abs(q[name])), err_msg=name)
    assert gradient_norm(W, H, sizes, tau) <= 1e-14 * max(1.0, tau)

    hessian, _ = riemannian_hessian(W, H, sizes, tau)
    spectrum = spheres.minimum_spectrum(**setting)
    assert np.sum(spectrum.multiplicities) == (K + n * K) * (d - 1)
    eigenvalues = expand(spectrum)
    assert np.sum(eigenvalues == 0.0) == q["nullity"]
    if d > 1:
        np.testing.assert_allclose(np.linalg.eigvalsh(hessian), eigenvalues, atol=1e-13 * eigenvalues[-1])

    G = sphere_calculus.logit_gradient(W, H, labels_of(sizes), tau)
    Q = sphere_calculus.slack_matrix(W, H, G, tau)
    slack = expand(spheres.slack_spectrum(K=K, n=n, tau=tau))
    np.testing.assert_allclose(np.linalg.eigvalsh(Q), slack, atol=1e-13 * slack[-1])


@pytest.mark.parametrize(("K", "n", "d", "tau"), VERIFIED)
def test_descent_reaches_the_value_and_never_passes_it(K, n, d, tau):
    sizes, f = (n,) * K, spheres.global_minimum(K=K, n=n, d=d, tau=tau).value
    values = [loss(*descend(sizes, d, tau, seed), sizes, tau) for seed in range(2)]
    assert min(values) == pytest.approx(f, rel=1e-10, abs=0)
    assert min(values) >= f * (1 - 1e-13)


@settings(deadline=None, max_examples=80)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=2, max_size=6),
    d=st.integers(1, 6),
    tau=st.floats(0.05, 40.0),
    near=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_no_point_is_below_any_bound(sizes, d, tau, near, seed):
    """The closed bound of every d, and the certificate at the point, which must not exceed f nor the closed value."""
    sizes, rng, K = tuple(sizes), np.random.default_rng(seed), len(sizes)
    W, H = random_point(sizes, d, rng)
    if near and d >= K - 1:
        W = W + 20.0 * frames.simplex_etf(K, d)
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        H = W.T[:, labels_of(sizes)]
    f = loss(W, H, sizes, tau)
    bound = spheres.lower_bound(K=K, n=sizes, d=d, tau=tau)
    assert bound <= f * (1 + 1e-13)
    certified = sphere_calculus.lower_bound(W, H, labels_of(sizes), tau)
    assert certified <= f * (1 + 1e-13)
    other = frames.simplex_etf(K, K)  # in another dimension: the certificate does not know d
    assert certified <= loss(other, other.T[:, labels_of(sizes)], sizes, tau) * (1 + 1e-12)
    if len(set(sizes)) == 1:
        value = spheres.global_minimum(K=K, n=sizes, d=max(d, K - 1), tau=tau).value
        assert bound == value
        assert certified <= value * (1 + 1e-12)


def test_bound_of_two_imbalanced_classes_is_attained():
    W = np.array([[1.0], [-1.0]])
    H = W.T[:, [0, 0, 0, 1]]
    bound = spheres.lower_bound(K=2, n=(3, 1), d=1, tau=3.0)
    assert bound == pytest.approx(loss(W, H, (3, 1), 3.0), rel=1e-15, abs=0)
    assert bound < spheres.lower_bound(K=2, n=(3, 1), d=1, tau=2.9)


@pytest.mark.parametrize("sizes", [(2, 2, 2), (3, 1, 2, 1)])
def test_calculus_at_a_random_point(sizes):
    tau, d, rng = 2.5, 4, np.random.default_rng(3)
    W, H = random_point(sizes, d, rng)
    labels = labels_of(sizes)
    assert sphere_calculus.value(W, H, labels, tau) == pytest.approx(loss(W, H, sizes, tau), rel=1e-14, abs=0)
    G = sphere_calculus.logit_gradient(W, H, labels, tau)
    E_W, E_H = ambient_gradient(W, H, sizes, tau)
    a, b = sphere_calculus.multipliers(W, H, G, tau)
    np.testing.assert_allclose(a, np.sum(E_W * W, axis=1), atol=1e-15)
    np.testing.assert_allclose(b, np.sum(E_H * H, axis=0), atol=1e-15)
    assert np.sum(a) == pytest.approx(np.sum(b), abs=1e-14)
    grad_W, grad_H = sphere_calculus.riemannian_gradient(W, H, G, tau)
    np.testing.assert_allclose(grad_W, E_W - a[:, None] * W, atol=1e-15)
    np.testing.assert_allclose(grad_H, E_H - b * H, atol=1e-15)

    hessian, basis = riemannian_hessian(W, H, sizes, tau)
    z = rng.normal(size=basis.shape[1])
    D_W, D_H = np.split(basis @ z, [W.size])
    D_W, D_H = D_W.reshape(W.shape), D_H.reshape(H.shape)
    form = sphere_calculus.hessian_form(W, H, labels, tau, D_W, D_H)
    assert form == pytest.approx(z @ hessian @ z, rel=1e-12, abs=0)

    def along(t):
        """f on the geodesic: every vector turns in its own plane."""
        r, s = np.linalg.norm(D_W, axis=1, keepdims=True), np.linalg.norm(D_H, axis=0)
        V, F = W * np.cos(t * r) + D_W / r * np.sin(t * r), H * np.cos(t * s) + D_H / s * np.sin(t * s)
        return loss(V, F, sizes, tau)

    t = 1e-3
    slope = np.sum(grad_W * D_W) + np.sum(grad_H * D_H)
    first = (8 * (along(t) - along(-t)) - (along(2 * t) - along(-2 * t))) / (12 * t)
    second = (16 * (along(t) + along(-t)) - (along(2 * t) + along(-2 * t)) - 30 * along(0.0)) / (12 * t * t)
    assert first == pytest.approx(slope, rel=1e-8, abs=0)
    assert second == pytest.approx(form, rel=1e-6, abs=0)


def test_confident_logits_keep_their_digits():
    """At tau = 100 the gradient and the Hessian are of the order of the loss, 1e-65: no p - 1, no p (1 - p)."""
    W, H = simplex_point(3, 2, 3)
    labels, tau = labels_of((2, 2, 2)), 100.0
    q = math.exp(-150) / (1 + 2 * math.exp(-150))
    G = sphere_calculus.logit_gradient(W, H, labels, tau)
    np.testing.assert_allclose(G, q / 6 * (1 - 3 * np.eye(3)[:, labels]), rtol=1e-12)
    basis = tangent_basis(W, H)
    forms = [sphere_calculus.hessian_form(W, H, labels, tau, D[:9].reshape(3, 3), D[9:].reshape(3, 6)) for D in basis.T]
    trace = np.sum(expand(spheres.minimum_spectrum(K=3, n=2, d=3, tau=tau)))
    assert np.sum(forms) == pytest.approx(trace, rel=1e-10, abs=0)


def test_variance_of_confident_logits_does_not_cancel():
    """Off the simplex the true class moves too: against sum_{j < l} p_j p_l (x_j - x_l)^2, which is free of it."""
    rng, tau = np.random.default_rng(1), 100.0
    W, H = frames.simplex_etf(3, 2), frames.simplex_etf(3, 2).T + 0.1 * rng.normal(size=(2, 3))
    H /= np.linalg.norm(H, axis=0)
    D_W, D_H = rng.normal(size=(3, 2)), np.zeros((2, 3))
    D_W -= W * np.sum(W * D_W, axis=1, keepdims=True)
    P = np.exp(tau * (W @ H - np.diag(W @ H)))
    dZ = tau * D_W @ H
    pairs = itertools.combinations(range(3), 2)
    variance = sum(np.sum(P[j] * P[m] * (dZ[j] - dZ[m]) ** 2) for j, m in pairs) / 3
    G = sphere_calculus.logit_gradient(W, H, np.arange(3), tau)
    a, _ = sphere_calculus.multipliers(W, H, G, tau)
    form = sphere_calculus.hessian_form(W, H, np.arange(3), tau, D_W, D_H)
    assert 0.0 < form < 1e-40
    assert form == pytest.approx(variance - np.sum(a @ D_W**2), rel=1e-10, abs=0)


def test_slack_matrix_is_the_curvature_in_an_unused_dimension():
    sizes, rng = (2, 1, 2), np.random.default_rng(0)
    W, H = random_point(sizes, 3, rng)
    W, H = np.pad(W, ((0, 0), (0, 1))), np.pad(H, ((0, 1), (0, 0)))
    G = sphere_calculus.logit_gradient(W, H, labels_of(sizes), 6.0)
    Q = sphere_calculus.slack_matrix(W, H, G, 6.0)
    z, e = rng.normal(size=8), np.eye(4)[3]
    form = sphere_calculus.hessian_form(W, H, labels_of(sizes), 6.0, np.outer(z[:3], e), np.outer(e, z[3:]))
    assert form == pytest.approx(z @ Q @ z, rel=1e-12, abs=0)


@pytest.fixture(scope="module")
def spurious():
    """1.4: a strict local minimum of K=3, n=3, d=2, tau=15 that is not global."""
    for seed in range(30):
        W, H = descend((3, 3, 3), 2, 15.0, seed)
        if abs(loss(W, H, (3, 3, 3), 15.0) - 0.30328) < 1e-5:
            return W, H
    raise AssertionError("no start ends at 0.30328")


def test_spurious_local_minimum_in_the_least_dimension(spurious):
    W, H = spurious
    assert gradient_norm(W, H, (3, 3, 3), 15.0) <= 1e-13
    eigenvalues = np.linalg.eigvalsh(riemannian_hessian(W, H, (3, 3, 3), 15.0)[0])
    assert abs(eigenvalues[0]) <= 1e-14  # the one rotation of the plane, and
    assert eigenvalues[1] > 1e-8  # nothing else: a strict local minimum
    assert loss(W, H, (3, 3, 3), 15.0) > 1e6 * spheres.global_minimum(K=3, n=3, d=2, tau=15.0).value
    G = sphere_calculus.logit_gradient(W, H, labels_of((3, 3, 3)), 15.0)
    with pytest.raises(NotApplicable, match="span all 2 dimensions"):
        sphere_calculus.escape_direction(W, H, G, 15.0)


def test_it_is_a_strict_saddle_in_one_more_dimension(spurious):
    """1.3 (ii), (iii): for d > rank [W; H^T] the slack matrix shows the way down, at any temperature."""
    W, H = np.pad(spurious[0], ((0, 0), (0, 2))), np.pad(spurious[1], ((0, 2), (0, 0)))
    labels, tau = labels_of((3, 3, 3)), 15.0
    assert tau > spheres.yaras_temperature_bound(K=3, d=4)
    G = sphere_calculus.logit_gradient(W, H, labels, tau)
    D_W, D_H, curvature = sphere_calculus.escape_direction(W, H, G, tau)
    assert curvature < -1e-3
    assert np.sum(D_W**2) + np.sum(D_H**2) == pytest.approx(1.0)
    assert sphere_calculus.hessian_form(W, H, labels, tau, D_W, D_H) == pytest.approx(curvature, rel=1e-10, abs=0)
    least = np.linalg.eigvalsh(riemannian_hessian(W, H, (3, 3, 3), tau)[0])[0]
    assert least == pytest.approx(curvature, rel=1e-6, abs=0) or least < curvature
    V, F = W + 0.1 * D_W, H + 0.1 * D_H
    V, F = V / np.linalg.norm(V, axis=1, keepdims=True), F / np.linalg.norm(F, axis=0)
    assert loss(V, F, (3, 3, 3), tau) < loss(W, H, (3, 3, 3), tau)


@pytest.mark.parametrize(("K", "tau"), [(3, 2.0), (3, 60.0), (4, 20.0)])
def test_critical_points_of_lower_rank_are_strict_saddles(K, tau):
    """1.3 (iii): a minimum of dimension < K-1, put into d = K+1."""
    sizes, low = (2,) * K, K - 2
    W, H = descend(sizes, low + (low == 1), tau, 1) if low > 1 else (np.eye(K)[:, :1] * 2 - 1, np.ones((1, 2 * K)))
    if low == 1:
        H[0, 2:] = -1.0
    assert low == 1 or gradient_norm(W, H, sizes, tau) <= 1e-12
    W, H = np.pad(W, ((0, 0), (0, K + 1 - W.shape[1]))), np.pad(H, ((0, K + 1 - len(H)), (0, 0)))
    G = sphere_calculus.logit_gradient(W, H, labels_of(sizes), tau)
    curvature = sphere_calculus.escape_direction(W, H, G, tau).curvature
    least = np.linalg.eigvalsh(riemannian_hessian(W, H, sizes, tau)[0])[0]
    assert least <= curvature * (1 - 1e-9) < 0


def test_imbalance_moves_the_minimum_off_the_simplex():
    """1.4: counts (4, 2, 1), tau = 3; the slack matrix proves the found value global, already at d = K."""
    sizes, tau = (4, 2, 1), 3.0
    W, H = descend(sizes, 3, tau, 0)
    f = loss(W, H, sizes, tau)
    assert f == pytest.approx(0.0205238955, abs=1e-10)
    E = frames.simplex_etf(3, 3)
    assert loss(E, E.T[:, labels_of(sizes)], sizes, tau) == pytest.approx(0.0219747695, abs=1e-10)
    assert f - 1e-12 <= sphere_calculus.lower_bound(W, H, labels_of(sizes), tau) <= f + 1e-15
    assert spheres.lower_bound(K=3, n=sizes, d=3, tau=tau) < f
    assert np.max(np.abs(H - H[:, [0, 0, 0, 0, 4, 4, 6]])) <= 1e-8  # 1.5: classes collapse all the same
    assert np.max(np.abs(H[:, [0, 4, 6]] - W.T)) > 0.02  # but are not self-dual


@pytest.mark.parametrize(("sizes", "d", "tau"), [((2,) * 5, 2, 4.0), ((2,) * 5, 3, 20.0), ((3, 2, 2, 1, 1, 1), 2, 3.0)])
def test_classes_collapse_in_few_dimensions(sizes, d, tau):
    """1.5: one feature a class at the lowest point found, for every d, temperature and class sizes."""
    H = min((descend(sizes, d, tau, seed) for seed in range(4)), key=lambda point: loss(*point, sizes, tau))[1]
    labels = labels_of(sizes)
    first = np.searchsorted(labels, labels)
    assert np.max(np.abs(H - H[:, first])) <= 3e-9


@pytest.mark.parametrize("tau", [1e-9, 0.1, 5.0, 300.0])
@pytest.mark.parametrize(("K", "n"), [(2, 1), (3, 2), (10, 50), (100, 3)])
def test_relative_accuracy_at_every_temperature(K, n, tau):
    f = spheres.global_minimum(K=K, n=n, d=K, tau=tau)
    spectrum = spheres.minimum_spectrum(K=K, n=n, d=K, tau=tau)
    with localcontext() as context:
        context.prec = 400
        T = Decimal(tau)
        odds = (-T * K / (K - 1)).exp()
        assert abs(Decimal(f.value) / (1 + (K - 1) * odds).ln() - 1) <= 1e-15 * max(1, tau)
        q, t = odds / (1 + (K - 1) * odds), T / (K - 1)
        wanted = [(1 + t) / n * q * T, (1 + t) * (1 + Decimal(1) / n) * q * T]
        if K > 2:
            in_W, in_H = 1 + t * (1 - q * K * (K - 2) / (K - 1)), (1 + t) / n
            root = (((in_W - in_H) / 2) ** 2 + ((t - 1) / (K - 1)) ** 2 / n).sqrt()
            wanted += [((in_W + in_H) / 2 + sign * root) * q * T for sign in (1, -1)]
        for eigenvalue in wanted[1 if n == 1 or K == 2 else 0 : None if K > 2 else 1]:
            assert min(abs(Decimal(float(v)) / eigenvalue - 1) for v in spectrum.values) <= 1e-14 * max(1, tau)
    assert all(np.all(np.isfinite(entry)) for entry in f.quantities.values())


def test_past_the_range_of_float64_everything_is_zero():
    setting: dict[str, Any] = {"K": 4, "n": 2, "d": 5, "tau": 1e4}
    assert spheres.global_minimum(**setting).value == 0.0
    assert np.all(expand(spheres.minimum_spectrum(**setting)) == 0.0)
    assert spheres.global_minimum(K=4, n=2, d=5, tau=1e-300).value == pytest.approx(math.log(4), rel=1e-15, abs=0)


def test_temperature_bound_of_yaras():
    assert spheres.yaras_temperature_bound(K=4, d=6) == 8.0
    assert spheres.yaras_temperature_bound(K=5, d=6) == pytest.approx(8 / 1.2)
    assert spheres.yaras_temperature_bound(K=3, d=2) == 0.0
    with pytest.raises(ValueError, match=r"spheres.yaras_temperature_bound: d=1 is not an integer >= 2"):
        spheres.yaras_temperature_bound(K=3, d=1)


GOOD: dict[str, Any] = {"K": 4, "n": 2, "d": 5, "tau": 2.0}


def test_where_the_theorem_is_silent_it_says_why():
    assert spheres.applies(**GOOD) == ()
    assert spheres.applies(**GOOD | {"n": (2, 2, 2, 2), "d": 3}) == ()
    reasons = spheres.applies(**GOOD | {"n": (2, 2, 2, 1), "d": 2})
    assert "The class sizes (2, 2, 2, 1) differ" in reasons[0]
    assert "d=2 < K-1=3" in reasons[1]
    for name in ("global_minimum", "minimum_spectrum"):
        with pytest.raises(NotApplicable, match=f"spheres.{name}: no closed form here") as caught:
            getattr(spheres, name)(**GOOD | {"n": (2, 2, 2, 1), "d": 2})
        assert caught.value.reasons == reasons
    with pytest.raises(NotApplicable, match=r"spheres.slack_spectrum: no closed form"):
        spheres.slack_spectrum(K=2, n=(1, 2), tau=1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"K": 1}, "K=1 is not an integer >= 2"),
        ({"n": 0}, "n=0 is not an integer >= 1"),
        ({"n": (1, 2, 3)}, "n has 3 class sizes for K=4"),
        ({"d": 0}, "d=0 is not an integer >= 1"),
        ({"tau": 0.0}, "tau=0.0 is not a positive, finite, normal number"),
        ({"tau": math.inf}, "tau=inf is not a positive"),
        ({"tau": "x"}, "tau='x' is not a positive"),
    ],
)
def test_errors_say_what_is_wrong(change, message):
    for name in ("applies", "global_minimum", "minimum_spectrum", "lower_bound"):
        with pytest.raises(ValueError, match=re.escape(message)) as caught:
            getattr(spheres, name)(**(GOOD | change))
        assert f"spheres.{name}" in str(caught.value)


def test_errors_of_the_calculus():
    W, H = random_point((1, 2), 3, np.random.default_rng(0))
    labels, G = np.array([0, 1, 1]), np.zeros((2, 3))
    with pytest.raises(ValueError, match=r"sphere_calculus.value: a vector of W is off unit length by 1.0e\+00"):
        sphere_calculus.value(2 * W, H, labels, 1.0)
    with pytest.raises(ValueError, match="a vector of H is off unit length"):
        sphere_calculus.value(W, 0.5 * H, labels, 1.0)
    with pytest.raises(ValueError, match=r"H has shape \(2, 3\), .* Pass real, finite numbers \[3, any\]"):
        sphere_calculus.value(W, H[:2], labels, 1.0)
    with pytest.raises(ValueError, match="W has shape"):
        sphere_calculus.value(W * math.nan, H, labels, 1.0)
    for bad in (np.array([0, 1]), np.array([0.0, 1.0, 1.0]), np.array([0, 1, 2]), np.array([-1, 1, 1])):
        with pytest.raises(ValueError, match=r"labels have shape .* Pass one int in this range for each of the 3"):
            sphere_calculus.logit_gradient(W, H, bad, 1.0)
    with pytest.raises(ValueError, match=r"tau=-1.0 is not a positive"):
        sphere_calculus.lower_bound(W, H, labels, -1.0)
    with pytest.raises(ValueError, match=r"sphere_calculus.multipliers: G has shape \(2, 2\)"):
        sphere_calculus.multipliers(W, H, G[:, :2], 1.0)
    with pytest.raises(ValueError, match=r"has a part of .* along \(W, H\)"):
        sphere_calculus.hessian_form(W, H, labels, 1.0, W, 0 * H)
