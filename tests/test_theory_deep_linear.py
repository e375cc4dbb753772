"""L1-L5, F1-F5: closed forms against a dense oracle, descent from random starts, the one-layer theory, and a table."""

import math
import re
from itertools import combinations

import numpy as np
import pytest
from deep_oracle import Deep
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize

from theory import NotApplicable, deep_landscape, deep_linear, expand, mse, schatten
from theory.depth import collapse_strength, least, shrinkage, spinodal_strength

# The reference's table: cases x depths, to the digits given there.
TABLE = {
    "balanced": (5, 6, 6, None, (0.085442719100, 0.055226131923, 0.040522138652, 0.034701168743)),
    "balanced + bias": (5, 6, 6, 0.0, (0.064082039325, 0.041419598943, 0.030391603989, 0.026025876557)),
    "balanced, width 3": (5, 3, 6, None, (0.189082039325, 0.166419598943, 0.155391603989, 0.151025876557)),
    "balanced + bias, width 2": (5, 2, 6, 0.0, (0.167721359550, 0.152613065962, 0.145261069326, 0.142350584371)),
    "imbalanced": ((8, 5, 3, 1), 6, 6, None, (0.074565459098, 0.049591536726, 0.037168590573, 0.032296917893)),
    "imbalanced + bias": ((8, 5, 3, 1), 6, 6, 0.0, (0.052724536337, 0.035897389957, 0.027184514460, 0.023756800754)),
    "imbalanced, last 2": ((8, 5, 3, 1), 6, 2, None, (0.166592009846, 0.147707078053, 0.139203019929, 0.135867602964)),
}


def reference_setting(n, d, last, lam_b, M):
    lam_W = tuple((0.02, 0.006, 0.004, 0.003)[M - 1] * ratio for ratio in (1.0, 1.5, 0.7, 1.2)[:M])
    dims = [d, *[6] * (M - 1)]
    dims[-1] = min(dims[-1], last)
    lam_H = (0.005, 0.003, 0.002, 0.001)[M - 1]
    return {"K": 4, "n": n, "d": dims[0], "widths": tuple(dims[1:]), "lam_W": lam_W, "lam_H": lam_H, "lam_b": lam_b}


def oracle(setting):
    sizes = setting["n"] if isinstance(setting["n"], tuple) else (setting["n"],) * setting["K"]
    lams = (*setting["lam_W"], setting["lam_H"])
    return Deep(sizes, (setting["d"], *setting["widths"]), lams, setting["lam_b"])


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("M", [1, 2, 3, 4])
def test_the_reference_table(name, M):
    n, d, last, lam_b, values = TABLE[name]
    found = deep_linear.global_minimum(**reference_setting(n, d, last, lam_b, M)).value
    assert abs(found - values[M - 1]) <= 6e-13


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("M", [2, 3])
def test_nothing_is_found_below_the_minimum_and_descent_reaches_it(name, M):
    n, d, last, lam_b, _ = TABLE[name]
    setting = reference_setting(n, d, last, lam_b, M)
    f = deep_linear.global_minimum(**setting).value
    found, _ = oracle(setting).descend(seed=M, starts=4)
    assert -1e-14 <= found - f <= 1e-9


def assert_states(setting, prediction, W, H, b):
    """Every quantity of the prediction holds at the point."""
    deep, q = oracle(setting), prediction.quantities
    sizes = np.array(deep.sizes)
    Z = np.linalg.multi_dot([*W[::-1], H]) if len(W) > 1 else W[0] @ H
    M = np.add.reduceat(H, np.cumsum((0, *deep.sizes))[:-1], axis=1) / sizes
    firsts = np.cumsum((0, *deep.sizes))[:-1]
    scores = Z[:, firsts] + (0.0 if b is None else b[:, None])
    s = np.linalg.svd(Z, compute_uv=False)
    found = {
        "value": deep.value(W, H, b),
        "W_sq": np.array([np.sum(w**2) for w in W]),
        "H_sq": np.sum(H**2),
        "gram_W": W[-1] @ W[-1].T,
        "gram_M": M.T @ M,
        "logits": Z[:, firsts],
        "sigma_Z": np.append(s, np.zeros(setting["K"]))[: setting["K"]],
        "margin": np.min((np.diag(scores) - scores)[~np.eye(setting["K"], dtype=bool)]),
        "b": b,
    }
    decays = sum(lam * np.sum(part**2) for lam, part in zip(deep.lams, [*W, H], strict=True))
    found["data_loss"] = found["value"] - (decays + (0.0 if b is None else deep.lam_b * np.sum(b**2))) / 2
    for name in set(q) - {"nullity"}:
        assert np.max(np.abs(found[name] - q[name])) <= 1e-13 * (1 + np.max(np.abs(q[name]))), name
    assert np.max(np.abs(deep.gradient(W, H, b))) <= 1e-14
    eigenvalues = np.linalg.eigvalsh(deep.hessian(W, H, b))
    assert eigenvalues[0] >= -1e-9
    assert np.sum(np.abs(eigenvalues) <= 1e-8) == q["nullity"]


@pytest.mark.parametrize("M", [1, 2, 3])
@pytest.mark.parametrize(
    ("n", "dims", "lam_b"),
    [
        (2, (4, 4, 3), None),
        (2, (3, 3, 4), 0.0),
        (2, (3, 4, 3), 0.3),
        (2, (3, 3, 3), 1e-3),
        ((3, 2, 1), (3, 4, 3), None),
        ((3, 2, 1), (3, 2, 4), None),
        ((3, 2, 1), (4, 3, 3), 0.0),
    ],
)
def test_the_described_point_is_a_minimum_with_every_stated_quantity(n, dims, lam_b, M):
    lam_W = (0.012, 0.02, 0.008)[:M]
    setting = {"K": 3, "n": n, "d": dims[0], "widths": dims[1:M], "lam_W": lam_W, "lam_H": 0.01, "lam_b": lam_b}
    prediction = deep_linear.global_minimum(**setting)
    kept = int(np.sum(prediction.quantities["sigma_Z"] > 0))
    assert kept > 0
    W, H, b = deep_landscape.critical_point(**setting, kept=range(kept))
    assert_states(setting, prediction, W, H, b)


@pytest.mark.parametrize("lam_b", [None, 0.0, 0.01, 0.7])
@pytest.mark.parametrize(("n", "d"), [(3, 2), (3, 3), (3, 5), ((5, 3, 2, 1), 2), ((5, 3, 2, 1), 6)])
def test_one_matrix_is_the_one_layer_theory(n, d, lam_b):
    setting = {"K": 4, "n": n, "d": d, "lam_H": 0.02, "lam_b": lam_b}
    if lam_b and isinstance(n, tuple):
        with pytest.raises(NotApplicable, match="different class sizes"):
            deep_linear.global_minimum(lam_W=0.01, **setting)
        return
    for lam_W in (0.01, 0.03, 0.2, 2.0):
        deep = deep_linear.global_minimum(lam_W=lam_W, **setting).quantities
        flat = mse.global_minimum(lam_W=lam_W, **setting).quantities
        assert set(deep) <= set(flat) | {"margin", "logits", "gram_W", "gram_M"}
        for name in set(deep) & set(flat):
            np.testing.assert_allclose(np.squeeze(deep[name]), flat[name], atol=3e-14, err_msg=name)


@pytest.mark.parametrize(
    ("n", "lam_b", "dims"), [(2, 1e-3, (3, 3)), (2, 3.0, (3, 3)), (2, 0.2, (2, 4)), (1, 0.5, (3, 4, 3))]
)
def test_a_penalised_bias_by_descent(n, lam_b, dims):
    """L5, measured: no run ends below, one ends there."""
    deep = Deep((n,) * 3, dims, (0.01,) * (len(dims) + 1), lam_b)
    f = deep_linear.global_minimum(K=3, n=n, d=dims[0], widths=dims[1:], lam_W=0.01, lam_H=0.01, lam_b=lam_b).value
    found, _ = deep.descend(seed=1, starts=6)
    assert -1e-14 <= found - f <= 1e-9


def test_minority_collapse_in_the_reference():
    for M, value in ((1, 0.44336524508540), (2, 0.33064833256108), (3, 0.30176784693346)):
        thresholds = deep_linear.collapse_thresholds(K=3, n=(10, 6, 2), M=M)
        lam = math.sqrt(thresholds[1] * thresholds[2]) ** (1 / (M + 1))
        f = deep_linear.global_minimum(K=3, n=(10, 6, 2), d=4, widths=(4,) * (M - 1), lam_W=lam, lam_H=lam)
        assert abs(f.value - value) <= 1e-14
        assert np.sum(f.quantities["sigma_Z"] > 0) == 2
        assert f.quantities["gram_W"][2, 2] == 0.0


@pytest.mark.parametrize("M", [1, 2, 3, 5])
def test_thresholds_are_where_the_scalar_problem_changes(M):
    """The collapse threshold where two values are equal, the spinodal where the scalar problem becomes monotone."""
    K, n = 3, (9, 4, 1)
    N, p = 14, 2 / (M + 1)
    for k, size in enumerate(n):
        y = math.sqrt(size)

        def profile(log_Lam, y=y):
            g = math.exp(log_Lam / (M + 1))
            z = y * np.linspace(0.0, 1.0, 200_001)[1:]
            return (z - y) ** 2 / (2 * N) + (M + 1) / 2 * g * z**p, y * y / (2 * N)

        def advantage(log_Lam, profile=profile):
            values, zero = profile(log_Lam)
            return float(np.min(values)) - zero

        threshold = deep_linear.collapse_thresholds(K=K, n=n, M=M)[k]
        spinodal = deep_linear.spinodal_thresholds(K=K, n=n, M=M)[k]
        if M == 1:
            assert threshold == spinodal == pytest.approx(size / N**2, rel=1e-14)
            continue
        root = brentq(advantage, math.log(threshold) - 1, math.log(threshold) + 1)
        assert root == pytest.approx(math.log(threshold), abs=1e-6)
        for factor, exists in ((1 - 1e-4, True), (1 + 1e-4, False)):
            values, _ = profile(math.log(spinodal * factor))
            assert bool(np.any(np.diff(values) < 0.0)) is exists
    ratios = deep_linear.spinodal_thresholds(K=K, n=n, M=M) / deep_linear.collapse_thresholds(K=K, n=n, M=M)
    np.testing.assert_allclose(ratios, {1: 1.0, 2: 1.6875, 3: 4.0, 5: 0.6**6 * 0.4**4 * 5**10 / 4**4}[M], rtol=1e-13)


@settings(deadline=None, max_examples=200)
@given(M=st.integers(1, 8), log_s=st.floats(-300, 0.5), y=st.floats(1e-3, 1e3), c=st.floats(1e-6, 1e2))
def test_the_scalar_minimum_is_stationary_and_not_above_its_neighbours(M, log_s, y, c):
    s = 10.0**log_s
    w = shrinkage(s, M)
    assert 0.0 <= w <= 1.0
    if w < 1.0:
        assert s <= spinodal_strength(M)
        assert w * (1 - w) ** ((M - 1) / (M + 1)) == pytest.approx(s, rel=1e-13)
    g = s * c * y ** (2 * M / (M + 1))
    share, value = least(y, c, g, M)
    direct = c / 2 * (y * share) ** 2 + (M + 1) / 2 * g * (y * (1 - share)) ** (2 / (M + 1))
    assert value == pytest.approx(direct, rel=1e-12)
    for z in y * np.linspace(0, 1, 101):
        assert value <= c / 2 * (z - y) ** 2 + (M + 1) / 2 * g * z ** (2 / (M + 1)) + 1e-14 * c * y * y


def test_at_the_collapse_threshold_two_minimisers_have_one_value_and_only_that_is_stated():
    for M in (2, 3):
        threshold = deep_linear.collapse_thresholds(K=3, n=4, M=M)[0]
        lam = threshold ** (1 / (M + 1))
        at = deep_linear.global_minimum(K=3, n=4, d=3, widths=(3,) * (M - 1), lam_W=lam, lam_H=lam)
        assert set(at.quantities) == {"value"}
        assert at.value == pytest.approx(0.5, rel=1e-14)
        assert 1 - shrinkage(collapse_strength(M), M) == pytest.approx((M - 1) / M, rel=1e-14)
        below, above = (
            deep_linear.global_minimum(K=3, n=4, d=3, widths=(3,) * (M - 1), lam_W=lam * x, lam_H=lam).quantities
            for x in (1 - 1e-9, 1 + 1e-9)
        )
        assert below["sigma_Z"][0] == pytest.approx(2 * (M - 1) / M, rel=1e-8)
        assert above["sigma_Z"][0] == above["nullity"] == 0


def test_schatten_factors_are_the_cheapest_of_their_product():
    """L1 by penalised descent over factors, and the balanced factors themselves."""
    rng = np.random.default_rng(0)
    for lams in ((0.3, 0.2), (0.3, 0.2, 0.7), (0.1, 0.4, 0.2, 0.3)):
        Z = rng.normal(size=(3, 4))
        W, H = schatten.balanced_factors(Z, (5, 4, 3)[: len(lams) - 1], lams[:-1], lams[-1])
        product = H
        for w in W:
            product = w @ product
        np.testing.assert_allclose(product, Z, atol=1e-14)
        cost = sum(lam * np.sum(x**2) for lam, x in zip(lams, [*W, H], strict=True)) / 2
        sigma = np.linalg.svd(Z, compute_uv=False)
        least_cost = schatten.factor_penalty(sigma=sigma, lam_W=lams[:-1], lam_H=lams[-1], M=len(lams) - 1)
        assert cost == pytest.approx(least_cost, rel=1e-14)
        # W_M and the factors in between are free; H solves the constraint W_M ... W_1 H = Z with the least norm.
        shapes = [w.shape for w in W]

        def total(x, shapes=shapes, lams=lams, Z=Z):
            factors, at = [], 0
            for shape in shapes:
                factors.append(x[at : at + math.prod(shape)].reshape(shape))
                at += math.prod(shape)
            P = factors[0]
            for factor in factors[1:]:
                P = factor @ P
            H = np.linalg.pinv(P) @ Z
            return sum(lam * np.sum(f**2) for lam, f in zip(lams, [*factors, H], strict=True)) / 2

        for _ in range(3):
            start = np.concatenate([rng.normal(size=w.size) for w in W])
            found = minimize(total, start, method="BFGS").fun
            assert found >= least_cost * (1 - 1e-12)
        assert found <= least_cost * (1 + 1e-4)


def test_every_local_minimum_of_the_ladder_and_every_skipping_saddle():
    """F5: f_r at minima of every rank; a selection that skips a larger class is a strict saddle."""
    setting = {"K": 3, "n": (8, 5, 3), "d": 3, "widths": (3,), "lam_W": (0.01, 0.015), "lam_H": 0.01, "lam_b": None}
    deep, ladder = oracle(setting), deep_landscape.local_minima(**setting)
    for size in range(4):
        for kept in combinations(range(3), size):
            W, H, b = deep_landscape.critical_point(**setting, kept=kept)
            assert np.max(np.abs(deep.gradient(W, H, b))) <= 1e-15
            eigenvalues = np.linalg.eigvalsh(deep.hessian(W, H, b))
            if kept == tuple(range(size)):
                assert deep.value(W, H, b) == pytest.approx(ladder[size], rel=1e-14)
                assert eigenvalues[0] >= -1e-9
                orbit = 2 * size * (6 - size - 1) // 2
                assert np.sum(np.abs(eigenvalues) <= 1e-8) == orbit
            else:
                assert eigenvalues[0] <= -1e-2
    assert ladder[-1] == deep_linear.global_minimum(**setting).value
    spinodals = deep_linear.spinodal_thresholds(K=3, n=(8, 5, 3), M=2)
    lam = math.sqrt(spinodals[0] * spinodals[1]) ** (1 / 3)
    strong = {**setting, "lam_W": (lam, lam), "lam_H": lam}
    assert np.isnan(deep_landscape.local_minima(**strong)).tolist() == [False, False, True, True]


@pytest.mark.parametrize("lam_b", [None, 0.0, 0.4])
def test_zero_is_a_strict_local_minimum(lam_b):
    deep = Deep((3, 1), (2, 3), (0.02, 0.03, 0.01), lam_b)
    W, H = [np.zeros((3, 2)), np.zeros((2, 3))], np.zeros((2, 4))
    b = None if lam_b is None else np.array([3, 1]) / (4 * (1 + lam_b))
    spectrum = deep_landscape.zero_spectrum(
        K=2, n=(3, 1), d=2, widths=(3,), lam_W=(0.02, 0.03), lam_H=0.01, lam_b=lam_b
    )
    np.testing.assert_allclose(np.linalg.eigvalsh(deep.hessian(W, H, b)), expand(spectrum), atol=1e-9)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("M", [2, 3])
def test_the_zero_radius_and_the_trap(M, relu):
    """F3 on spheres; F4: the flow points inwards inside r, and an aligned start just outside does not return."""
    deep = Deep((6, 3), (3,) * M, (0.01,) * (M + 1), None, relu=relu)
    setting = {"K": 2, "n": (6, 3), "lam_W": 0.01, "lam_H": 0.01, "M": M}
    r0, trap = deep_landscape.zero_radius(**setting), deep_landscape.trap_radius(**setting)
    rng = np.random.default_rng(0)
    size = sum(int(np.prod(shape)) for shape in deep.shapes())
    aligned = [np.outer(np.eye(2 if i == M - 1 else 3)[0], np.eye(3)[0]) for i in range(M)]
    ray = deep.join(aligned, np.outer(np.eye(3)[0], np.repeat([1.0, 0.0], [6, 3]) / math.sqrt(6)), None)
    ray /= np.linalg.norm(ray)
    for x in [ray, *(rng.normal(size=(50, size)))]:
        unit = x / np.linalg.norm(x)
        assert deep.value_and_gradient(0.999 * r0 * unit)[0] > 0.5
        assert deep.value_and_gradient(0.999 * trap * unit)[1] @ unit > 0
    assert deep.value_and_gradient(1.001 * trap * ray)[1] @ ray < 0
    norms = [trap / math.sqrt(M + 1)] * (M + 1)
    assert math.prod(norms) == pytest.approx(deep_landscape.trap_product(**setting), rel=1e-13)


def test_unused_width_and_rotations_do_not_matter_but_order_of_classes_moves_along():
    setting = {"K": 3, "d": 4, "widths": (5,), "lam_W": (0.01, 0.02), "lam_H": 0.01, "lam_b": 0.0}
    one = deep_linear.global_minimum(n=(5, 2, 3), **setting).quantities
    other = deep_linear.global_minimum(n=(3, 5, 2), **setting).quantities
    order = [2, 0, 1]
    np.testing.assert_allclose(other["logits"], one["logits"][np.ix_(order, order)], atol=1e-14)
    wide = deep_linear.global_minimum(n=(5, 2, 3), **{**setting, "d": 40, "widths": (3,)}).quantities
    np.testing.assert_allclose(wide["gram_W"], one["gram_W"], atol=1e-15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"K": 1}, "K=1 is not an integer >= 2"),
        ({"widths": (3, 0)}, "a width=0 is not an integer >= 1"),
        ({"lam_W": (0.1, 0.1)}, "lam_W has 2 decays for 3 matrices"),
        ({"lam_W": (0.1, 0.1, -1.0)}, "lam_W=-1.0 is not a positive"),
        ({"lam_H": 0.0}, "lam_H=0.0 is not a positive"),
        ({"lam_b": -1.0}, "lam_b=-1.0 is neither"),
    ],
)
def test_bad_arguments(change, message):
    setting = {"K": 3, "n": 2, "d": 3, "widths": (3, 3), "lam_W": 0.1, "lam_H": 0.1, **change}
    for function in (deep_linear.applies, deep_linear.global_minimum, deep_landscape.local_minima):
        with pytest.raises(ValueError, match=re.escape(message)):
            function(**setting)


def test_other_refusals():
    setting = {"K": 3, "n": (3, 2, 1), "d": 2, "widths": (3,), "lam_W": 0.01, "lam_H": 0.01}
    assert deep_linear.applies(**setting) == ()
    assert len(deep_linear.applies(**setting, lam_b=0.1)) == 1
    for function in (deep_linear.global_minimum, deep_landscape.local_minima):
        with pytest.raises(NotApplicable, match="penalised bias"):
            function(**setting, lam_b=0.1)
    with pytest.raises(NotApplicable, match="penalised bias"):
        deep_landscape.critical_point(**setting, lam_b=0.1, kept=())
    for kept, message in (((0, 1, 2), "has width 2"), ((3,), "for K=3 singular values"), ((-1,), "kept=-1")):
        with pytest.raises(ValueError, match=message):
            deep_landscape.critical_point(**setting, kept=kept)
    with pytest.raises(ValueError, match="no local minimiser but 0"):
        deep_landscape.critical_point(**{**setting, "lam_W": 1.0}, kept=(0,))
    with pytest.raises(NotApplicable, match="M = 1 matrix"):
        deep_landscape.trap_radius(K=2, n=1, lam_W=0.1, lam_H=0.1, M=1)
    with pytest.raises(NotApplicable, match="M = 1 matrix"):
        deep_landscape.zero_spectrum(K=2, n=1, d=2, lam_W=0.1, lam_H=0.1)
    with pytest.raises(ValueError, match="below rank Z = 2"):
        schatten.balanced_factors(np.eye(2), (2, 1), 0.1, 0.1)
    with pytest.raises(ValueError, match="Z has shape"):
        schatten.balanced_factors(np.ones(3), (2, 1), 0.1, 0.1)
