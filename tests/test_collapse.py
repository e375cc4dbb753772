"""Collapse metrics: published values, identities against exact oracles, invariances, hostile data, bad input."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from collapse_oracle import FIXTURE, PUBLISHED, etf, exact_nc1, fixture_data, near_means, random_data, rotation
from hypothesis import given, settings
from hypothesis import strategies as st

from ufm.collapse import class_means, collapse

W_FIELDS = ("nc2_equinorm_W", "nc2_equiangular_W", "nc2_gram_W", "nc2_gram_Wc", "nc3", "nc3_gram")
DECISIONS = ("nc4", "margin_min", "margin_mean", "accuracy")
MEAN_FIELDS = ("nc1_trace", "nc2_equinorm_H", "nc2_equiangular_H", "nc2_gram_H", "nc3", "nc3_gram", "nc4")


def relative(a, b):
    return abs(a - b) / abs(b)


def scalars(result):
    return {name: value for name, value in vars(result).items() if np.ndim(value) == 0}


def assert_close(first, second, names, tolerance=1e-10):
    for name in names:
        np.testing.assert_allclose(
            getattr(first, name), getattr(second, name), rtol=tolerance, atol=1e-13, err_msg=name
        )


# ---------------------------------------------------------------------------------------------- published values


def test_fixture_is_the_generated_data():
    X, _, W, b = fixture_data()
    found = {"sum X": X.sum(), "sum X^2": (X**2).sum(), "sum W": W.sum(), "sum b": b.sum()}
    for name, value in FIXTURE["checksums"].items():
        assert found[name] == pytest.approx(value, rel=1e-11)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("nc1", "NC1-b"),
        ("nc1_trace", "NC1-g"),
        ("nc2_gram_W", "NC2-W"),
        ("nc2_gram_Wc", "NC2-Wc"),
        ("nc2_gram_H", "NC2-H class"),
        ("nc2_equiangular_H", "NC2-cos H"),
        ("nc2_equiangular_W", "NC2-cos W"),
        ("nc2_equinorm_H", "equinorm ddof=0"),
        ("nc3", "NC3-fro"),
        ("nc3_gram", "NC3-gram class"),
    ],
)
def test_published_value(field, name):
    assert relative(getattr(collapse(*fixture_data()), field), PUBLISHED[name]) <= 1e-12


def test_published_value_with_other_factor_or_sense():
    result = collapse(*fixture_data())
    assert relative(5 * result.nc1, PUBLISHED["NC1-c"]) <= 1e-12
    assert relative(result.nc3**2, PUBLISHED["NC3-fro^2"]) <= 1e-12
    assert 1.0 - result.nc4 == PUBLISHED["NC4 bias"]
    assert 1.0 - collapse(*fixture_data()[:3]).nc4 == PUBLISHED["NC4 no bias"]
    assert result.rank == 4
    assert result.accuracy == 1.0


# ---------------------------------------------------------------------------------------------- defining identities


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("K", "d"), [(2, 1), (2, 6), (4, 7), (5, 3), (6, 6), (9, 40)])
def test_nc1_is_the_trace_with_the_pseudo_inverse(K, d, seed):
    H, y, _, _ = random_data(seed, K=K, d=d, n=tuple(range(2, K + 2)))
    result = collapse(H, y)
    assert result.rank == min(d, K - 1)
    M = class_means(H, y, K)
    C, R = M - M.mean(1, keepdims=True), H - M[:, y]
    sigma_B = C @ C.T / K
    eigenvalues = np.linalg.eigvalsh(sigma_B)[::-1]
    np.testing.assert_allclose(result.spectrum[: result.rank] ** 2 / K, eigenvalues[: result.rank], rtol=1e-10)
    pinv = np.linalg.pinv(sigma_B, rcond=0.5 * eigenvalues[result.rank - 1] / eigenvalues[0])
    dense = np.trace(R @ R.T / y.size @ pinv) / K
    assert relative(result.nc1, dense) <= 1e-10
    assert relative(collapse(H, y, rank=result.rank).nc1, dense) <= 1e-10
    assert relative(result.nc1_trace, np.trace(R @ R.T / y.size) / np.trace(sigma_B)) <= 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_nc1_against_rational_arithmetic(seed):
    H, y, _, _ = random_data(seed, K=4, d=5)
    assert relative(collapse(H, y).nc1, exact_nc1(H, y, 4)) <= 1e-13


def test_given_rank_truncates_the_sum():
    H, y, _, _ = random_data(0)
    values = [collapse(H, y, rank=r).nc1 for r in range(4)]
    assert math.isnan(values[0])
    assert 0 < values[1] < values[2] < values[3] == collapse(H, y).nc1
    assert [collapse(H, y, rank=np.int64(r)).rank for r in range(4)] == [0, 1, 2, 3]


def test_class_means_are_the_means():
    H, y, _, _ = random_data(3)
    M = class_means(H, y, 4)
    np.testing.assert_allclose(M, np.stack([H[:, y == k].mean(axis=1) for k in range(4)], axis=1), rtol=1e-14)
    with pytest.raises(ValueError, match="class 4 of K=5"):
        class_means(H, y, 5)


def test_class_means_of_equal_columns_are_exact():
    g = np.random.default_rng(0)
    M, y = g.standard_normal((6, 3)) + 1e3, np.repeat(np.arange(3), (7, 11, 1000))
    np.testing.assert_array_equal(class_means(M[:, y], y, 3), M)
    assert collapse(M[:, y], y).nc1 == 0.0


def test_margins_accuracy_and_nc4_by_hand():
    H = np.array([[2.0, 1.0, -1.25, -0.75, 0.5]])
    y, W, b = np.array([0, 0, 1, 1, 1]), np.array([[1.0], [-1.0]]), np.array([0.25, 0.0])
    result = collapse(H, y, W, b)  # margins 2h + b_0 for class 0, less for class 1; means 1.5 and -0.5
    assert result.margin_min == pytest.approx(-1.25)
    assert result.margin_mean == pytest.approx((4.25 + 2.25 + 2.25 + 1.25 - 1.25) / 5)
    assert result.accuracy == pytest.approx(4 / 5)
    assert result.nc4 == 1 / 5  # h = 0.5 is equally near to both means, but its logit is larger for class 0
    assert collapse(H + np.array([[0, 0, 0, 0, 0.5]]), y, W, b).nc4 == 0.0


def test_nc4_equals_brute_force():
    for seed in range(20):
        H, y, W, b = random_data(seed, spread=2.0)
        distance = np.linalg.norm(H[:, None, :] - class_means(H, y, 4)[:, :, None], axis=0)
        Z = W @ H + b[:, None]
        result = collapse(H, y, W, b)
        assert result.nc4 == np.mean(distance.argmin(0) != Z.argmax(0))
        assert result.accuracy == np.mean(Z.argmax(0) == y)


def test_ties():
    """Merged classes with merged classifiers agree (NC4 0) but are not classified; a zero classifier does neither."""
    M = np.array([[1.0, 1.0, -2.0], [0.5, 0.5, -1.0]])
    y = np.array([0, 0, 1, 1, 2, 2])
    result = collapse(M[:, y], y, M.T)
    assert result.nc4 == 0.0
    assert result.accuracy == pytest.approx(1 / 3)
    assert result.margin_min == 0.0
    assert result.rank == 1
    rounded = collapse(M[:, y], y, M.T * np.array([[1.0], [1.0 + 2.0**-52], [1.0]]))
    assert (rounded.nc4, rounded.accuracy) == (0.0, result.accuracy)
    zero = collapse(M[:, y], y, np.zeros((3, 2)))
    assert (zero.nc4, zero.accuracy, zero.margin_min) == (1.0, 0.0, 0.0)


# ---------------------------------------------------------------------------------------------- perfect collapse


@pytest.mark.parametrize("K", [2, 3, 10, 50])
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_simplex_etf_is_zero_everywhere(K, offset):
    W = etf(K, K + 3)
    y = np.tile(np.arange(K), 4)
    result = collapse((2.5 * W + offset).T[:, y], y, W, -offset * W.sum(axis=1))
    zeros = [name for name in scalars(result) if name.startswith("nc")]
    assert len(zeros) == 12
    for name in zeros:
        assert 0.0 <= getattr(result, name) <= 5e-15 * (1 + offset), name
    assert result.rank == K - 1
    assert result.nc1 <= 1e-30
    assert result.margin_min == pytest.approx(2.5, rel=1e-13)
    assert result.accuracy == 1.0


# ---------------------------------------------------------------------------------------------- invariances


INVARIANT = ("nc1", "nc1_trace", "rank", "nc2_equinorm_H", "nc2_equiangular_H", "nc2_gram_H", *W_FIELDS, *DECISIONS)
SHIFT_INVARIANT = INVARIANT[:6] + W_FIELDS


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_rotation_and_relabelling_change_nothing(seed):
    H, y, W, b = random_data(seed)
    base, g = collapse(H, y, W, b), np.random.default_rng(seed)
    Q = rotation(seed, 7)
    assert_close(collapse(Q @ H, y, W @ Q.T, b), base, INVARIANT)
    order = g.permutation(y.size)
    assert_close(collapse(H[:, order], y[order], W, b), base, INVARIANT)
    to = g.permutation(4)
    back = np.argsort(to)
    assert_close(collapse(H, to[y], W[back], b[back]), base, INVARIANT)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(-290, 290), shift=st.floats(-100, 100))
def test_scale_and_shift(seed, scale, shift):
    H, y, W, _ = random_data(seed)
    base, c = collapse(H, y, W), 10.0**scale
    scaled = collapse(c * H, y, W)
    assert_close(scaled, base, (*SHIFT_INVARIANT, "nc4", "accuracy"))
    np.testing.assert_allclose(scaled.spectrum[:3], c * base.spectrum[:3], rtol=1e-12)
    np.testing.assert_allclose(scaled.margin_mean, c * base.margin_mean, rtol=1e-12)
    assert_close(collapse(H, y, c * W), base, (*SHIFT_INVARIANT, "nc4", "accuracy"))
    assert_close(collapse(H + shift, y, W), base, SHIFT_INVARIANT, 1e-9)


@pytest.mark.parametrize("exponent", [-1000, -300, 7, 1000])
def test_powers_of_two_change_no_bit(exponent):
    H, y, W, _ = random_data(1)
    base, scaled = collapse(H, y, W), collapse(np.ldexp(H, exponent), y, np.ldexp(W, -exponent))
    for name in INVARIANT:
        assert getattr(scaled, name) == getattr(base, name), name
    np.testing.assert_array_equal(scaled.spectrum, np.ldexp(base.spectrum, exponent))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    K=st.integers(2, 6),
    d=st.integers(1, 8),
    log_spread=st.floats(-14, 3),
    offset=st.sampled_from([0.0, 1.0, 1e3, 1e8]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_never_negative_never_outside_the_stated_range(seed, K, d, log_spread, offset, dtype):
    g = np.random.default_rng(seed)
    y = np.repeat(np.arange(K), g.integers(1, 5, K))
    H = g.standard_normal((d, K))[:, y] + 10.0**log_spread * g.standard_normal((d, y.size)) + offset
    result = collapse(H.astype(dtype), y, g.standard_normal((K, d)).astype(dtype), g.standard_normal(K))
    top = {"nc1": math.inf, "nc1_trace": math.inf, "nc4": 1.0, "accuracy": 1.0, "rank": min(d, K - 1)}
    top |= dict.fromkeys(("nc2_equinorm_H", "nc2_equinorm_W"), math.sqrt(K - 1))
    top |= dict.fromkeys(("nc2_equiangular_H", "nc2_equiangular_W"), K / (K - 1))
    top |= dict.fromkeys(("nc2_gram_H", "nc2_gram_W", "nc2_gram_Wc", "nc3", "nc3_gram"), 2.0)
    for name, bound in top.items():
        value = getattr(result, name)
        assert math.isnan(value) or 0.0 <= value <= bound * (1 + 1e-12), (name, value)
    assert math.isnan(result.nc1) == (result.rank == 0)
    assert np.all(np.diff(result.spectrum) <= 0)
    assert result.spectrum.shape == (K,)


# ---------------------------------------------------------------------------------------------- hostile data


@pytest.mark.parametrize(("offset", "tolerance"), [(0.0, 1e-10), (1e3, 1e-7)])
def test_two_near_means_with_a_wide_spread(offset, tolerance):
    """NC1 is large and well defined: the near pair counts, in double and in float32, at an offset too."""
    H, y = near_means(1e-4, offset)
    exact = exact_nc1(H, y, 4)
    result = collapse(H, y)
    assert exact > 100
    assert result.rank == 3
    assert relative(result.nc1, exact) <= tolerance


def test_near_means_in_float32_match_the_stored_data():
    H, y = near_means(1e-4, dtype=np.float32)
    result = collapse(H, y)
    assert result.rank == 3
    assert relative(result.nc1, exact_nc1(H, y, 4)) <= 1e-10


def test_equal_means_lower_the_rank():
    """Class means 2 and 3 equal up to rounding, of the dtype in which H came: rank K-2, and NC1 of what is left."""
    for dtype in (np.float64, np.float32):
        for offset in (0.0, 1e3):
            H, y = near_means(0.0, offset, dtype=dtype)
            result = collapse(H, y)
            assert result.rank == 2
            assert result.spectrum[2] <= result.cut < 1e-1 * result.spectrum[1]
            assert 0 < result.nc1 < 1e-3
            assert collapse(H, y, rank=2).nc1 == result.nc1


def test_equal_means_stored_in_bfloat16():
    H, y = near_means(0.0)
    stored = jnp.asarray(H, jnp.bfloat16)
    assert collapse(stored, y).rank == 2
    assert collapse(np.asarray(stored, np.float64), y).rank == 3  # taken as exact, the rounding is a direction


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e3])
@pytest.mark.parametrize("seed", range(20))
def test_collapsed_to_1e_6_in_float32(offset, seed):
    g = np.random.default_rng(seed)
    y = np.repeat(np.arange(6), 20)
    H = (etf(6, 30, seed).T[:, y] + 1e-6 * g.standard_normal((30, 120)) + offset).astype(np.float32)
    result = collapse(H, y)
    assert result.rank == 5
    np.testing.assert_allclose(result.nc1, collapse(H.astype(np.float64), y).nc1, rtol=1e-12)
    residual = H.astype(np.longdouble)
    M = np.stack([residual[:, y == k].mean(1) for k in range(6)], axis=1)
    R, C = residual - M[:, y], M - M.mean(1, keepdims=True)
    trace = float((R**2).sum() / 120 / ((C**2).sum() / 6))
    np.testing.assert_allclose(result.nc1_trace, trace, rtol=1e-6 if offset else 1e-9)


@pytest.mark.parametrize("H", [np.zeros((3, 8)), np.full((3, 8), 0.1), np.full((3, 8), 1e3 / 3, np.float32)])
def test_equal_features_are_undefined(H):
    result = collapse(H, np.arange(8) % 4, np.eye(4, 3))
    assert result.rank == 0
    for name in ("nc1", *MEAN_FIELDS):
        assert math.isnan(getattr(result, name)), name
    assert not math.isnan(result.margin_mean)
    assert not math.isnan(result.nc2_gram_W)
    assert math.isnan(collapse(np.zeros((3, 8)), np.arange(8) % 4, rank=3).nc1)


def test_equal_means_of_spread_features_are_undefined():
    R = np.random.default_rng(0).standard_normal((5, 40))
    H, y = np.hstack([R, -R]), np.tile(np.arange(4), 20)
    result = collapse(H, y, np.eye(4, 5))
    assert result.rank == 0
    assert 0 < result.spectrum[0] <= result.cut
    for name in ("nc1", *MEAN_FIELDS):
        assert math.isnan(getattr(result, name)), name


def test_one_class_mean_zero():
    """m_k = 0 is nothing special; m_k = m has no direction, so its cosines are undefined and the rest is not."""
    M = np.array([[1.0, -2.0, 0.0, 1.5], [0.5, 1.0, 0.0, -3.0]])
    y = np.repeat(np.arange(4), 2)
    assert not any(math.isnan(value) for value in scalars(collapse(M[:, y], y, M.T + 1)).values())
    M[:, 3] = -M[:, :3].sum(axis=1)
    result = collapse(M[:, y] + 0.1, y)
    assert math.isnan(result.nc2_equiangular_H)
    assert not math.isnan(result.nc2_gram_H + result.nc2_equinorm_H + result.nc1)


def test_without_classifier_its_fields_are_undefined():
    H, y, W, _ = random_data(0)
    result = collapse(H, y)
    for name, value in scalars(result).items():
        assert math.isnan(value) == (name in W_FIELDS + DECISIONS), name
    assert_close(result, collapse(H, y, W), INVARIANT[:6], 0)


def test_degenerate_classifiers():
    H, y, W, _ = random_data(0)
    zero = collapse(H, y, 0 * W)
    assert all(math.isnan(getattr(zero, name)) for name in W_FIELDS)
    equal = collapse(H, y, np.tile(W[0], (4, 1)) / 3)
    assert math.isnan(equal.nc2_gram_Wc)
    assert not math.isnan(equal.nc2_gram_W)
    one = collapse(H, y, np.vstack([W[:3], 0 * W[3:]]))
    assert math.isnan(one.nc2_equiangular_W)
    assert not math.isnan(one.nc2_equinorm_W)
    C = class_means(H, y, 4) - class_means(H, y, 4).mean(1, keepdims=True)
    orthogonal = W - W @ np.linalg.pinv(C, rcond=1e-12).T @ C.T
    assert math.isnan(collapse(H, y, orthogonal).nc3_gram)


def test_overflow():
    """Margins beyond the range are infinite; a bias that cannot be set beside W h leaves the decisions undefined."""
    H, y, W, b = random_data(0)
    large = collapse(1e200 * H, y, 1e200 * W, b)
    assert_close(large, collapse(H, y, W), (*SHIFT_INVARIANT, "nc4", "accuracy"))
    assert abs(large.margin_min) == math.inf
    small = collapse(1e-200 * H, y, 1e-200 * W, b)
    assert all(math.isnan(getattr(small, name)) for name in DECISIONS)


@pytest.mark.parametrize("value", [5e-324, 1e-310, 1.7e308])
def test_extreme_scales_raise_no_warning(value):
    H = value * np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    result = collapse(H, np.array([0, 0, 1, 1]), np.eye(2))
    assert (result.rank, result.nc1, result.nc4, result.accuracy) == (1, 0.0, 0.0, 1.0)


def test_k2_features_are_always_a_simplex():
    H, y, W, _ = random_data(5, K=2, d=4, n=(3, 9))
    result = collapse(H, y, W)
    assert max(result.nc2_equinorm_H, result.nc2_equiangular_H, result.nc2_gram_H, result.nc2_gram_Wc) <= 1e-14
    assert result.nc2_gram_W > 1e-3


# ---------------------------------------------------------------------------------------------- kinds of input


def test_result_is_frozen_data():
    H, y, W, b = random_data(0)
    result = collapse(H, y, W, b)
    for name, value in vars(result).items():
        assert type(value) is {"rank": int, "spectrum": np.ndarray}.get(name, float), name
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.nc1 = 0.0  # pyright: ignore[reportAttributeAccessIssue]
    assert all(name in (type(result).__doc__ or "") for name in vars(result))


def test_inputs_are_left_alone():
    arrays = random_data(0)
    copies = [array.copy() for array in arrays]
    collapse(*arrays)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_any_array_and_layout():
    H, y, W, b = random_data(0)
    base = collapse(H, y, W, b)
    with jax.enable_x64(True):
        assert_close(collapse(jnp.asarray(H), jnp.asarray(y), jnp.asarray(W), jnp.asarray(b)), base, INVARIANT, 0)
    assert_close(collapse(H.tolist(), y.tolist(), W.tolist(), b.tolist()), base, INVARIANT, 0)
    assert_close(collapse(np.asfortranarray(H), y.astype(np.uint8), W, b), base, INVARIANT)
    small = collapse(jnp.asarray(H, jnp.bfloat16), y, W, b)
    assert relative(small.nc1, base.nc1) < 0.05
    assert_close(small, collapse(np.asarray(jnp.asarray(H, jnp.bfloat16), np.float64), y, W, b), INVARIANT)
    integers = np.array([[3, 4, 0, 1], [0, 1, 5, 5]])
    assert_close(collapse(integers, [0, 0, 1, 1]), collapse(integers.astype(float), [0, 0, 1, 1]), ("nc1", "rank"), 0)


H, Y, W, B = random_data(0)
BAD = [
    ((H * 1j, Y), {}, TypeError, "collapse: H has dtype complex128, expected real numbers"),
    ((H.astype(object), Y), {}, TypeError, "H has dtype object"),
    ((H > 0, Y), {}, TypeError, "H has dtype bool"),
    ((H.astype(str), Y), {}, TypeError, "H has dtype <U"),
    ((None, Y), {}, TypeError, "H has dtype object"),
    ((H[0], Y), {}, ValueError, r"H has shape \(19,\). Pass a non-empty \[d, N\]"),
    ((H[None], Y), {}, ValueError, r"H has shape \(1, 7, 19\)"),
    ((H[:0], Y), {}, ValueError, r"H has shape \(0, 19\)"),
    ((H[:, :0], Y[:0]), {}, ValueError, r"H has shape \(7, 0\)"),
    ((np.where(np.arange(19) == 3, np.nan, H), Y), {}, ValueError, "H has 7 non-finite entries"),
    ((np.where(np.arange(19) == 3, np.inf, H), Y), {}, ValueError, "H has 7 non-finite entries"),
    ((H, Y.astype(float)), {}, TypeError, "labels have dtype float64, expected integers"),
    ((H, Y > 1), {}, TypeError, "labels have dtype bool"),
    ((H, Y[:-1]), {}, ValueError, r"labels have shape \(18,\), but H has N=19 columns"),
    ((H.T, Y), {}, ValueError, r"labels have shape \(19,\), but H has N=7 columns"),
    ((H, Y[:, None]), {}, ValueError, r"labels have shape \(19, 1\)"),
    ((H, Y - 1), {}, ValueError, r"labels span -1 .. 2, expected 0 .. 2. Number the classes from 0"),
    ((H, Y + 1, W), {}, ValueError, r"labels span 1 .. 4, expected 0 .. 3"),
    ((H, Y + 1), {}, ValueError, "class 0 of K=5 has no samples"),
    ((H, np.where(Y == 2, 1, Y), W), {}, ValueError, "class 2 of K=4 has no samples"),
    ((H, np.minimum(Y, 2), W), {}, ValueError, "class 3 of K=4 has no samples"),
    ((H, Y * 10**15), {}, ValueError, "class 1 of K=3000000000000001 has no samples"),
    ((H, 0 * Y), {}, ValueError, "got K=1 class, need two"),
    ((H, 0 * Y, W[:1]), {}, ValueError, "got K=1 class, need two"),
    ((H, Y, W.T), {}, ValueError, r"W has shape \(7, 4\), but H has d=7 rows. Pass W \[K, d\]"),
    ((H, Y, W[0]), {}, ValueError, r"W has shape \(7,\)"),
    ((H, Y, W + np.nan), {}, ValueError, "W has 28 non-finite entries"),
    ((H, Y, W * 1j), {}, TypeError, "W has dtype complex128"),
    ((H, Y, None, B), {}, ValueError, r"b has shape \(4,\), W None. Pass W \[K, d\] and b \[K\]"),
    ((H, Y, W, B[:3]), {}, ValueError, r"b has shape \(3,\), W \(4, 7\)"),
    ((H, Y, W, B[:, None]), {}, ValueError, r"b has shape \(4, 1\)"),
    ((H, Y, W, B * np.inf), {}, ValueError, "b has 4 non-finite entries"),
    ((H, Y), {"rank": 4}, ValueError, r"rank=4 is not in 0 .. 3 = min\(d, K-1\)"),
    ((H[:2], Y), {"rank": 3}, ValueError, r"rank=3 is not in 0 .. 2"),
    ((H, Y), {"rank": -1}, ValueError, "rank=-1 is not in"),
    ((H, Y), {"rank": 2.0}, TypeError, "rank=2.0 is not an integer"),
    ((H, Y), {"rank": True}, TypeError, "rank=True is not an integer"),
]


@pytest.mark.parametrize(("args", "options", "error", "text"), BAD, ids=range(len(BAD)))
def test_bad_input(args, options, error, text):
    with pytest.raises(error, match=text) as caught:
        collapse(*args, **options)
    assert str(caught.value).startswith("collapse: ")
    assert len(str(caught.value)) < 160
