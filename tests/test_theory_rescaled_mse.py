"""T11: the closed form against a dense oracle, the convex certificate, T8, many digits and its own thresholds."""

import math
import re
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from dense_oracle import Dense, assert_states
from hypothesis import given, settings
from hypothesis import strategies as st

from theory import NotApplicable, frames, mse, rescaled_mse

BIASES = [None, 0.0, 1e-3, 0.05, 0.3, 50.0, 1e4]
GOOD: dict[str, Any] = {"K": 4, "n": 2, "d": 5, "lam_W": 0.02, "lam_H": 0.02, "k": 3.0, "M": 2.0}
DECAYS = [(1e-3, 1e-3), (5e-2, 5e-4), (2e-3, 0.1), (1.0, 1.0)]
SMALL = [(2, 1), (2, 3), (3, 2), (4, 1), (5, 2)]
RESCALINGS = [(1.0, 1.0), (4.0, 1.0), (0.3, 2.0), (8.0, 0.5)]


@dataclass(frozen=True, eq=False)
class RescaledDense(Dense):
    """Dense with 1/2 [k (z_y - M)^2 + sum of the other z_j^2]."""

    k: float = 1.0
    M: float = 1.0

    def _residual(self, A):
        Y = np.eye(self.K)[:, self.labels]
        weights = 1.0 + (self.k - 1.0) * Y
        R = A - self.M * Y
        curvature = np.einsum("ki,kl->ikl", weights, np.eye(self.K))
        return float(np.sum(weights * R**2)) / (2 * self.N), weights * R / self.N, curvature / self.N

    def pull(self, W, H, b):
        """Gradient in the logits [K, N]."""
        return self._residual(W @ H if b is None else W @ H + b[:, None])[1]


def but(**change: Any) -> dict[str, Any]:
    """A good setting, changed."""
    return GOOD | change


def minimiser(K, n, d, lam_W, lam_H, lam_b, k, M):
    """Setting, prediction, dense problem, and a point that the prediction describes."""
    setting = {"K": K, "n": n, "d": d, "lam_W": lam_W, "lam_H": lam_H, "lam_b": lam_b, "k": k, "M": M}
    prediction = rescaled_mse.global_minimum(**setting)
    Z = np.repeat(prediction.quantities["logits"], n, axis=1)
    W, H = frames.balanced_factors(Z, d, lam_W, lam_H)
    dense = RescaledDense("rescaled", (n,) * K, lam_W, lam_H, lam_b, k=k, M=M)
    return setting, prediction, dense, (W, H, prediction.quantities.get("b"))


@pytest.mark.parametrize(("k", "M"), RESCALINGS)
@pytest.mark.parametrize("lam_b", BIASES)
@pytest.mark.parametrize(("K", "n"), SMALL)
def test_minimum_against_the_dense_oracle_and_its_certificate(K, n, lam_b, k, M):
    for lam_W, lam_H in DECAYS:
        for d in (K, K + 2):
            _, prediction, dense, (W, H, b) = minimiser(K, n, d, lam_W, lam_H, lam_b, k, M)
            assert prediction.theorem == "T11"
            assert_states(dense, prediction.quantities, W, H, b)
            # T3: a critical point of a convex loss with |G|_2 <= nu is a global minimiser.
            assert np.linalg.norm(dense.pull(W, H, b), 2) <= math.sqrt(lam_W * lam_H) + 1e-15 * (1 + k * M)
            eigenvalues = np.linalg.eigvalsh(dense.hessian(W, H, b))
            assert eigenvalues[0] >= -1e-13 * eigenvalues[-1]
            if (
                "nullity" in prediction.quantities and lam_b != 1e4
            ):  # such a penalty leaves a rotation into the mean an eigenvalue near rounding
                assert np.sum(eigenvalues <= 1e-12 * eigenvalues[-1]) == prediction.quantities["nullity"]


@pytest.mark.parametrize("lam_b", BIASES)
@pytest.mark.parametrize(("K", "n"), SMALL)
def test_without_rescaling_it_is_the_mean_squared_error(K, n, lam_b):
    for lam_W, lam_H in DECAYS:
        setting = {"K": K, "n": n, "d": K + 1, "lam_W": lam_W, "lam_H": lam_H, "lam_b": lam_b}
        special, general = rescaled_mse.global_minimum(k=1.0, M=1.0, **setting), mse.global_minimum(**setting)
        assert special.quantities.keys() == general.quantities.keys()
        for name, quantity in general.quantities.items():
            np.testing.assert_allclose(special.quantities[name], quantity, rtol=1e-12, atol=1e-15, err_msg=name)
        scale = {"K": K, "n": n, "lam_W": lam_W, "lam_H": lam_H}
        assert rescaled_mse.kappa(**scale) == mse.kappa(**scale)
        assert rescaled_mse.collapse_threshold(K=K, k=1.0, M=1.0, lam_b=lam_b) == mse.collapse_threshold()
        assert rescaled_mse.mean_threshold(k=1.0, M=1.0, **scale) == pytest.approx(mse.mean_threshold(**scale))


def test_no_random_point_is_below_the_value():
    rng = np.random.default_rng(0)
    for lam_b in (None, 0.0, 0.05, 2.0):
        for k, M in ((5.0, 1.0), (0.2, 3.0)):
            _, prediction, dense, (W, H, b) = minimiser(4, 2, 4, 2e-2, 5e-3, lam_b, k, M)
            for size in 10.0 ** rng.uniform(-4, 1, size=150):
                E, F = size * rng.normal(size=W.shape), size * rng.normal(size=H.shape)
                e = None if b is None else size * rng.normal(size=4)
                assert dense.value(E, F, e) > prediction.value
                assert dense.value(W + E, H + F, None if b is None else b + e) >= prediction.value - 1e-15


def exact(K, n, lam_W, lam_H, lam_b, k, M):
    """(value, margin) of T11 in Decimal, as the theory reference writes it."""
    k, M = Decimal(k), Decimal(M)
    c = (n * Decimal(lam_W) * Decimal(lam_H)).sqrt()
    a, lost = M - K * c / k, None
    if lam_b is None:
        e, beta, lost, lam = a, Decimal(0), M * M * k / 2, Decimal(0)
    else:
        lam = Decimal(lam_b)
        e, beta = (a - K * c / lam, c / lam) if lam else (Decimal(-1), Decimal(0))
    v = Decimal(0)
    if not (a > 0 and e > 0):
        if lost is not None:
            return lost, Decimal(0)
        e = Decimal(0)
        a = (k * M - K * c - (k - 1) * c / (1 + lam)) / (k - (k - 1) * lam / (K * (1 + lam)))
        v = (c - lam * a / K) / (1 + lam)
        beta = v + a / K
        if a <= 0:
            a, beta = Decimal(0), k * M / (k + K - 1 + lam * K)
            v = beta
    u = v + a
    value = (k * (u - M) ** 2 + (K - 1) * v * v) / 2 + c * ((K - 1) * a + e) + lam * K * beta * beta / 2
    return value, a


@pytest.mark.parametrize(("k", "M"), [*RESCALINGS, (1e-3, 1e3), (1e4, 1e-2)])
@pytest.mark.parametrize("lam_b", [None, 0.0, 1e-12, 1e-2, 1.0, 1e6])
def test_relative_accuracy_from_no_decay_to_beyond_the_threshold(lam_b, k, M):
    for K, n in ((2, 1), (10, 50), (100, 100)):
        threshold = rescaled_mse.collapse_threshold(K=K, k=k, M=M, lam_b=lam_b)
        for share in (1e-100, 1e-15, 1e-6, 0.3, 0.9, 1 - 1e-10, 1 + 1e-10, 3.0):
            lam_W, lam_H = share * threshold / math.sqrt(n) * 7 / K, share * threshold / math.sqrt(n) / 7 / K
            q = rescaled_mse.global_minimum(
                K=K, n=n, d=K, lam_W=lam_W / (share * threshold), lam_H=lam_H, lam_b=lam_b, k=k, M=M
            )
            with localcontext() as context:
                context.prec = 300
                value, margin = exact(K, n, lam_W / (share * threshold), lam_H, lam_b, k, M)
                assert abs(Decimal(q.value) / value - 1) <= 2e-15
                assert abs(Decimal(q.quantities["margin"]) - margin) <= Decimal(4e-15 * M)


def test_thresholds_separate_the_three_frames():
    K, n, k, M, lam_H = 4, 2, 5.0, 2.0, 0.05
    for lam_b, strength in ((None, k * M), (0.0, k * M / (1 + (k - 1) / K)), (0.3, k * M / (1 + (k - 1) / (K * 1.3)))):
        at = rescaled_mse.collapse_threshold(K=K, k=k, M=M, lam_b=lam_b)
        assert at == pytest.approx(strength, rel=1e-15)
        for factor, trivial in ((1 - 1e-9, False), (1 + 1e-9, True)):
            lam_W = (at * factor / K) ** 2 / n / lam_H
            q = rescaled_mse.global_minimum(K=K, n=n, d=6, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b, k=k, M=M).quantities
            assert (q["margin"] == 0.0) == trivial
            assert q["margin"] <= 1e-7
            assert q["nullity"] == (0 if trivial else 4 * 7 // 2 if lam_b is None else 3 * 8 // 2)
    strength = 1.5
    scale = {"K": K, "n": n, "lam_W": (strength / K) ** 2 / n / lam_H, "lam_H": lam_H}
    at = rescaled_mse.mean_threshold(k=k, M=M, **scale)
    assert at == pytest.approx(k * strength / (k * M - strength), rel=1e-14)
    below, above = (
        rescaled_mse.global_minimum(d=6, k=k, M=M, lam_b=at * factor, **scale).quantities
        for factor in (1 - 1e-9, 1 + 1e-9)
    )
    assert below["sigma_Z"][-1] == 0.0 < above["sigma_Z"][-1] < 1e-8
    assert (below["nullity"], above["nullity"]) == (3 * 8 // 2, 4 * 7 // 2)
    for name in ("value", "data_loss", "W_sq", "H_sq", "b", "logits", "margin"):
        np.testing.assert_allclose(below[name], above[name], atol=1e-7, err_msg=name)
    assert rescaled_mse.mean_threshold(K=2, n=1, lam_W=9.0, lam_H=9.0, k=2.0, M=1.0) == math.inf
    exactly = rescaled_mse.global_minimum(K=2, n=1, d=2, lam_W=1.0, lam_H=1.0, k=2.0, M=1.0)  # kappa = k M
    assert "nullity" not in exactly.quantities


@settings(deadline=None, max_examples=150)
@given(
    K=st.integers(2, 9),
    n=st.integers(1, 200),
    extra=st.integers(0, 4),
    lam=st.tuples(st.floats(-120, 2), st.floats(-10, 2)),
    lam_b=st.sampled_from([*BIASES, 1e-300, 1e300]),
    k=st.floats(1e-3, 1e3),
    M=st.floats(1e-2, 1e2),
)
def test_every_setting_is_finite_consistent_and_depends_on_nu_only(K, n, extra, lam, lam_b, k, M):
    lam_W, lam_H = 10 ** lam[0], 10 ** lam[1]
    setting = {"K": K, "n": n, "d": K + extra, "lam_b": lam_b, "k": k, "M": M}
    f = rescaled_mse.global_minimum(lam_W=lam_W, lam_H=lam_H, **setting)
    q = f.quantities
    assert all(np.all(np.isfinite(entry)) for entry in q.values())
    decays = lam_W * q["W_sq"] + lam_H * q["H_sq"]
    if lam_b:
        decays += np.sum((math.sqrt(lam_b) * q["b"]) ** 2)
    assert math.isclose(f.value, q["data_loss"] + decays / 2, rel_tol=1e-12)
    assert f.value <= k * M * M / 2 * (1 + 1e-15)  # the value at zero
    even = math.sqrt(lam_W) * math.sqrt(lam_H)
    other = rescaled_mse.global_minimum(lam_W=even, lam_H=even, **setting)
    assert math.isclose(other.value, f.value, rel_tol=1e-12)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, "one orthogonal frame"),
        ({"lam_b": 0.0}, "one simplex ETF"),
        ({"lam_b": 50.0}, "one equiangular frame"),
        ({"lam_W": 9.0, "lam_H": 9.0}, "W = H = 0"),
    ],
)
def test_statement_names_the_frame(change, sentence):
    assert sentence in rescaled_mse.global_minimum(**but(**change)).statement


def test_few_features_suffice_where_the_minimiser_has_low_rank():
    simplex = but(d=3, lam_b=0.01)
    assert rescaled_mse.applies(**simplex) == ()
    _, prediction, dense, point = minimiser(
        *(simplex[name] for name in ("K", "n", "d", "lam_W", "lam_H", "lam_b", "k", "M"))
    )
    assert_states(dense, prediction.quantities, *point)
    assert rescaled_mse.applies(**but(d=1, lam_W=9.0, lam_H=9.0)) == ()
    for change, rank in (({"d": 3}, 4), ({"d": 2, "lam_b": 0.01}, 3)):
        (reason,) = rescaled_mse.applies(**but(**change))
        assert f"d={change['d']} is below the rank {rank}" in reason
        with pytest.raises(NotApplicable, match="no closed form here") as caught:
            rescaled_mse.global_minimum(**but(**change))
        assert caught.value.reasons == (reason,)
    (reason,) = rescaled_mse.applies(**but(n=(2, 2, 2, 1)))
    assert "class sizes (2, 2, 2, 1) differ" in reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"K": 1}, "K=1 is not an integer >= 2"),
        ({"n": (1, 2)}, "n has 2 class sizes for K=4"),
        ({"d": 0}, "d=0 is not an integer >= 1"),
        ({"lam_W": 0.0}, "lam_W=0.0 is not a positive"),
        ({"lam_H": math.nan}, "lam_H=nan is not a positive"),
        ({"lam_b": -1.0}, "lam_b=-1.0 is neither None"),
        ({"k": 0.0}, "k=0.0 is not a positive, finite, normal number. Pass k > 0."),
        ({"k": True}, "k=True is not a positive"),
        ({"M": -1.0}, "M=-1.0 is not a positive"),
        ({"M": math.inf}, "M=inf is not a positive"),
        ({"M": "2"}, "M='2' is not a positive"),
    ],
)
def test_errors_say_what_is_wrong(change, message):
    for name in ("applies", "global_minimum"):
        with pytest.raises(ValueError, match=re.escape(message)) as caught:
            getattr(rescaled_mse, name)(**but(**change))
        assert f"rescaled_mse.{name}" in str(caught.value)


def test_errors_of_the_thresholds():
    with pytest.raises(ValueError, match=r"rescaled_mse.kappa: n=\(1, 2\) is imbalanced"):
        rescaled_mse.kappa(K=2, n=(1, 2), lam_W=1.0, lam_H=1.0)
    with pytest.raises(ValueError, match=r"rescaled_mse.collapse_threshold: k=0 is not"):
        rescaled_mse.collapse_threshold(K=2, k=0, M=1.0)
    with pytest.raises(ValueError, match=r"rescaled_mse.mean_threshold: M=0 is not"):
        rescaled_mse.mean_threshold(K=2, n=1, lam_W=1.0, lam_H=1.0, k=1.0, M=0)
