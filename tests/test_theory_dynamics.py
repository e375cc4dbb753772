"""T23, T24, T26, T27: trajectories against the full flow, times and their inverses against each other."""

import math
import re

import numpy as np
import pytest
from dense_oracle import Dense, flow, gradient_flow
from hypothesis import example, given, settings
from hypothesis import strategies as st

from theory import dynamics, frames, mse

# T23


@pytest.mark.parametrize(("loss", "sizes"), [("ce", (2, 2, 1)), ("mse", (2, 1, 3))])
def test_balance_decays(loss, sizes):
    rng = np.random.default_rng(0)
    dense = Dense(loss, sizes, 0.3, 0.3, 0.1)
    W, H, b = rng.normal(size=(3, 4)), rng.normal(size=(4, dense.N)), rng.normal(size=3)
    gap0, times = W.T @ W - H @ H.T, [0.5, 3.0]
    for t, (Wt, Ht, _) in zip(times, gradient_flow(dense, W, H, b, times), strict=True):
        np.testing.assert_allclose(Wt.T @ Wt - Ht @ Ht.T, dynamics.balance_gap(t=t, gap0=gap0, lam=0.3), atol=1e-11)
    assert np.array_equal(dynamics.balance_gap(t=7.0, gap0=gap0, lam=0.0), gap0)
    np.testing.assert_allclose(
        dynamics.balance_gap(t=np.array([0.0, 1.0]), gap0=2.0, lam=1.0), [2.0, 2.0 * math.exp(-2)]
    )


# T24


@pytest.mark.parametrize("kappa", [0.0, 0.5, 1.0, 1.7])
def test_mse_modes_are_logistic(kappa):
    K, n, d = 3, 2, 4
    lam = kappa / (K * math.sqrt(n))
    rng = np.random.default_rng(1)
    U, _ = np.linalg.qr(rng.normal(size=(K, K)))
    R, _ = np.linalg.qr(rng.normal(size=(d, d)))
    z0 = np.array([1.6, 0.3, 1e-3])
    w = np.sqrt(math.sqrt(n) * z0)
    W = (U * w) @ R[:, :K].T
    H = np.repeat((R[:, :K] * w) @ U.T, n, axis=1) / math.sqrt(n)
    times = [0.3, 4.0, 40.0]
    # Zero decay is what f has no minimiser at, not what the oracle cannot take.
    for t, (Wt, Ht, _) in zip(
        times, gradient_flow(Dense("mse", (n,) * K, lam, lam, None), W, H, None, times), strict=True
    ):
        z = dynamics.mse_mode(t=t, z0=z0, K=K, n=n, lam=lam)
        np.testing.assert_allclose(Wt @ Ht[:, ::n], (U * z) @ U.T, atol=1e-11)
        np.testing.assert_allclose(dynamics.mse_mode_time(z=z, z0=z0, K=K, n=n, lam=lam), t, rtol=1e-9)
    limit = dynamics.mse_mode(t=1e12, z0=z0, K=K, n=n, lam=lam)
    np.testing.assert_allclose(limit, max(0.0, 1 - kappa), atol=1e-11)
    if 0 < kappa < 1:
        zc = mse.global_minimum(K=K, n=n, d=K, lam_W=lam, lam_H=lam).quantities["margin"]
        np.testing.assert_allclose(limit, zc, rtol=1e-15)


@pytest.mark.parametrize("lam_b", [0.0, 0.4])
def test_centred_mse_modes_ignore_a_bias_along_ones(lam_b):
    K, n, lam = 4, 2, 0.05
    E = frames.centred_basis(K)
    z0 = np.array([0.7, 0.2, 0.01])
    U = np.hstack([E, np.full((K, 1), 1 / math.sqrt(K))])
    w = np.sqrt(math.sqrt(n) * np.append(z0, 0.3))
    W, H = U * w, np.repeat((U * w).T, n, axis=1) / math.sqrt(n)
    ((Wt, Ht, _),) = gradient_flow(Dense("mse", (n,) * K, lam, lam, lam_b), W, H, np.full(K, 0.9), [5.0])
    z = dynamics.mse_mode(t=5.0, z0=z0, K=K, n=n, lam=lam)
    np.testing.assert_allclose(E.T @ (Wt @ Ht[:, ::n]) @ E, np.diag(z), atol=1e-11)


@settings(deadline=None, max_examples=200)
@example(z0=1.000000000001, kappa=0.0, s=9.0)
@given(
    z0=st.floats(1e-12, 10.0),
    kappa=st.one_of(st.floats(0.0, 3.0), st.floats(-1e-9, 1e-9).map(lambda x: 1 + x)),
    s=st.floats(0.0, 20.0),
)
def test_mse_mode_and_its_time_are_inverse_at_any_sign_of_the_limit(z0, kappa, s):
    setting = {"K": 4, "n": 1, "lam": kappa / 4}
    t = 2.0 * s
    z = float(dynamics.mse_mode(t=t, z0=z0, **setting))
    limit = 1 - kappa
    assert min(z0, max(limit, 0.0)) * (1 - 1e-12) <= z <= max(z0, limit) * (1 + 1e-12)
    back = float(dynamics.mse_mode_time(z=z, z0=z0, **setting))
    speed = abs(z * (limit - z)) / 2  # dz/dt: the time of a z known to rounding is known to z eps / speed
    arrived = z == limit and back == math.inf  # by rounding; the limit itself is never reached
    assert arrived or back == pytest.approx(t, rel=1e-11, abs=4e-15 * max(z / max(speed, 1e-300), 1.0))
    later = float(dynamics.mse_mode(t=1.0, z0=z, **setting))
    assert later == pytest.approx(float(dynamics.mse_mode(t=t + 1.0, z0=z0, **setting)), rel=1e-12)


def test_mse_mode_times_at_the_edges():
    setting = {"K": 2, "n": 1, "lam": 0.25}  # limit 1/2
    times = dynamics.mse_mode_time(
        z=np.array([0.5, 0.1, 0.6, 0.05, 0.5]), z0=np.array([0.1, 0.1, 0.1, 0.1, 0.5]), **setting
    )
    assert times[0] == math.inf
    assert times[1] == 0.0
    assert np.isnan(times[2])
    assert times[3] < 0.0
    assert times[4] == 0.0
    assert dynamics.mse_mode_time(z=0.5, z0=0.9, **setting) == math.inf
    assert np.isnan(dynamics.mse_mode_time(z=0.4, z0=0.9, **setting))
    assert dynamics.mse_mode_time(z=0.0, z0=0.9, K=2, n=1, lam=1.0) == math.inf
    assert dynamics.mse_mode_time(z=0.0, z0=0.9, K=2, n=1, lam=0.5) == math.inf
    assert dynamics.mse_mode_time(z=0.3, z0=0.0, **setting) == math.inf
    assert dynamics.mse_mode(t=1e6, z0=0.0, **setting) == 0.0
    # Far below the start, above the threshold: z decays as e^(zinf s), and the time keeps its digits.
    z = float(dynamics.mse_mode(t=300.0, z0=1.0, K=2, n=1, lam=1.0))
    assert 0.0 < z < 1e-100
    assert dynamics.mse_mode_time(z=z, z0=1.0, K=2, n=1, lam=1.0) == pytest.approx(300.0, rel=1e-14)


# T26


def test_mixon_subspace_is_invariant_and_solved():
    C, N, d = 4, 3, 4
    rng = np.random.default_rng(2)
    W = frames.centering(C) @ rng.normal(size=(C, d)) * 0.4
    H = np.repeat(W, N, axis=0).T / math.sqrt(N)
    Y = np.repeat(np.eye(C), N, axis=1)

    def velocity(x):
        W, H, b = x[: C * d].reshape(C, d), x[C * d : C * d + d * C * N].reshape(d, C * N), x[-C:]
        R = W @ H + b[:, None] - Y  # of 1/2 |W H + b 1^T - Y|^2, summed
        return -np.concatenate([(R @ H.T).ravel(), (W.T @ R).ravel(), R.sum(axis=1)])

    times = [0.05, 0.4, 3.0]
    omega0, V = np.linalg.eigh(W @ W.T)
    omega0[0] = 0.0  # the ones vector
    start = np.concatenate([W.ravel(), H.ravel(), np.full(C, 0.9)])
    for t, x in zip(times, flow(velocity, start, times), strict=True):
        Wt, Ht, bt = x[: C * d].reshape(C, d), x[C * d : C * d + d * C * N].reshape(d, C * N), x[-C:]
        np.testing.assert_allclose(Ht, np.repeat(Wt, N, axis=0).T / math.sqrt(N), atol=1e-11)
        omega = dynamics.mixon_eigenvalue(t=t, omega0=omega0, N=N)
        np.testing.assert_allclose(Wt @ Wt.T, (V * omega) @ V.T, atol=1e-11)
        np.testing.assert_allclose(bt, dynamics.mixon_bias(t=t, beta0=0.9, N=N, C=C), atol=1e-11)
    np.testing.assert_allclose(dynamics.mixon_eigenvalue(t=1e3, omega0=omega0[1:], N=N), math.sqrt(N), rtol=1e-15)
    assert dynamics.mixon_eigenvalue(t=1e3, omega0=0.0, N=N) == 0.0
    assert dynamics.mixon_bias(t=1e3, beta0=0.9, N=N, C=C) == 1 / C
    assert dynamics.mixon_bias(t=0.0, beta0=0.9, N=N, C=C) == 0.9


# T27


def test_central_path_is_the_projected_flow_of_the_features():
    """Simulated without the theorem: least-squares W at every moment, gradient in H, tangent to Sigma_W = I."""
    C, n, d = 3, 4, 3
    N = n * C
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(C), n)
    Y = np.eye(C)[:, labels]

    def means(H):
        return H.reshape(d, C, n).mean(axis=2)

    def velocity(x):
        H = x.reshape(d, N)
        T = H - H.mean(axis=1, keepdims=True)
        R = Y - Y.mean(axis=1, keepdims=True)
        W = R @ T.T @ np.linalg.inv(T @ T.T)
        step = -W.T @ (W @ T - R) / N
        within, normal = H - means(H)[:, labels], step - means(step)[:, labels]
        # Normal space of {E E^T/N = I} at E: the S E with S symmetric; here the step's own part is S E, projected off.
        S = normal @ within.T / N
        return (step - (S + S.T) / 2 @ within).ravel()

    E = rng.normal(size=(d, N))
    E = E - means(E)[:, labels]
    root = np.linalg.cholesky(E @ E.T / N)
    E = np.linalg.solve(root, E)
    M = rng.normal(size=(d, C)) * 0.5
    w0 = np.linalg.svd(M - M.mean(axis=1, keepdims=True), compute_uv=False)[:2]
    times = [2.0, 50.0, 3000.0]
    for t, x in zip(times, flow(velocity, (M[:, labels] + E).ravel(), times), strict=True):
        H = x.reshape(d, N)
        Mt = means(H)
        np.testing.assert_allclose(H - Mt[:, labels], E, atol=1e-9)
        w = np.linalg.svd(Mt - Mt.mean(axis=1, keepdims=True), compute_uv=False)[:2]
        np.testing.assert_allclose(w, [dynamics.central_path(t=t, w0=start, n=n, C=C) for start in w0], rtol=1e-8)
        np.testing.assert_allclose(dynamics.central_path_time(w=w, w0=w0, n=n, C=C), t, rtol=1e-7)


@settings(deadline=None, max_examples=150)
@given(w0=st.floats(1e-6, 1e3), log_t=st.floats(-20, 100), n=st.integers(1, 50), C=st.integers(2, 50))
def test_central_path_and_its_time_are_inverse(w0, log_t, n, C):
    t = math.exp(log_t)
    w = dynamics.central_path(t=t, w0=w0, n=n, C=C)
    assert w >= w0
    slope = n * (C + w * w) ** 2 / w  # dt/dw
    back = float(dynamics.central_path_time(w=w, w0=w0, n=n, C=C))
    assert back == pytest.approx(t, rel=1e-12, abs=4e-15 * slope * w)
    ahead = float(dynamics.central_path_time(w=w * (1 + 1e-6), w0=w, n=n, C=C))
    assert ahead == pytest.approx(slope * w * 1e-6, rel=1e-5)


def test_central_path_at_the_edges():
    assert dynamics.central_path(t=0.0, w0=0.7, n=3, C=4) == 0.7
    assert dynamics.central_path(t=1e200, w0=0.7, n=3, C=4) == pytest.approx((4e200 / 3) ** 0.25, rel=1e-12)
    assert dynamics.central_path_time(w=0.5, w0=0.7, n=3, C=4) < 0
    assert dynamics.central_path_time(w=0.7, w0=0.7, n=3, C=4) == 0.0
    tiny = float(dynamics.central_path_time(w=1e-200, w0=1e-300, n=1, C=2))
    assert tiny == pytest.approx(4 * 100 * math.log(10), rel=1e-14)


# Errors


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        (
            "balance_gap",
            {"t": -1.0, "gap0": 1.0, "lam": 0.1},
            "t has entries that are not finite numbers >= 0. Pass t >= 0.",
        ),
        ("balance_gap", {"t": 1.0, "gap0": 1.0, "lam": -0.1}, "lam=-0.1 is not a finite number >= 0"),
        ("mse_mode", {"t": [1.0, math.nan], "z0": 1.0, "K": 2, "n": 1, "lam": 0.1}, "t has entries"),
        ("mse_mode", {"t": 1.0, "z0": -1.0, "K": 2, "n": 1, "lam": 0.1}, "z0 has entries"),
        ("mse_mode", {"t": 1.0, "z0": 1.0, "K": 1, "n": 1, "lam": 0.1}, "K=1 is not an integer >= 2"),
        ("mse_mode_time", {"z": math.inf, "z0": 1.0, "K": 2, "n": 1, "lam": 0.1}, "z has entries"),
        ("mse_mode_time", {"z": 1.0, "z0": 1.0, "K": 2, "n": 0, "lam": 0.1}, "n=0 is not an integer >= 1"),
        ("mixon_eigenvalue", {"t": 1.0, "omega0": -1.0, "N": 2}, "omega0 has entries"),
        ("mixon_eigenvalue", {"t": 1.0, "omega0": 1.0, "N": 0}, "N=0 is not an integer >= 1"),
        ("mixon_bias", {"t": 1.0, "beta0": 1.0, "N": 2, "C": 1}, "C=1 is not an integer >= 2"),
        ("central_path_time", {"w": -1.0, "w0": 1.0, "n": 1, "C": 2}, "w has entries"),
        ("central_path", {"t": -1.0, "w0": 1.0, "n": 1, "C": 2}, "t=-1.0 is not a finite number >= 0"),
        ("central_path", {"t": 1.0, "w0": 0.0, "n": 1, "C": 2}, "w0=0.0 is not a positive"),
    ],
)
def test_errors_say_what_is_wrong(name, setting, message):
    with pytest.raises(ValueError, match=re.escape(f"dynamics.{name}: {message}")):
        getattr(dynamics, name)(**setting)
