"""Every metric of ufm.metrics: the published values, dense oracles, closed forms, invariances, hostile data."""

import math

import numpy as np
import pytest
from collapse_oracle import FIXTURE, PUBLISHED, etf, exact_nc1, fixture_data, near_means, random_data, rotation
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.softmax_codes import one_vs_rest_distance
from ufm import metrics
from ufm.collapse import collapse

FIXTURE_NAMES = {
    "NC1-a": "nc1_sample_centred",
    "NC1-b": "nc1",
    "NC1-c": "nc1_unscaled",
    "NC1-d": "nc1_class_weighted",
    "NC1-e": "nc1_sample_weighted",
    "NC1-g": "trace_ratio",
    "CDNV": "cdnv",
    "NC2-W": "nc2_gram_W",
    "NC2-Wc": "nc2_gram_Wc",
    "NC2-H class": "nc2_gram_H",
    "NC2-H sample": "nc2_gram_H_sample",
    "NC2-H raw": "nc2_gram_H_raw",
    "NC2-cos H": "nc2_equiangular_H",
    "NC2-cos W": "nc2_equiangular_W",
    "equinorm ddof=0": "nc2_equinorm_H",
    "NC2-RFM": "nc2_cosines_squared_H",
    "NC3-gram": "nc3_gram_sample",
    "NC3-gram Wc": "nc3_gram_Wc_sample",
    "NC3-gram raw": "nc3_gram_raw",
    "NC3-gram class": "nc3_gram",
    "NC3-fro^2": "nc3_squared",
    "NC3-fro": "nc3",
    "NC3-cos": "nc3_cosine",
    "bias collapse": "bias_collapse",
}
# The metrics that a shift of the features changes, and those that its scale does.
UNSHIFTED = {"discrimination", "nc2_gram_H_raw", "nc3_gram_raw", "bias_collapse"}
DECISIONS = {"nc4", "nc4_no_bias", "accuracy", "margin_min", "margin_mean"}
SCALED = {"margin_min", "margin_mean"}
FROM_COLLAPSE = {
    **{name: name for name in ("nc1", "nc2_gram_H", "nc2_gram_W", "nc2_gram_Wc", "nc3", "nc3_gram", "nc4", "accuracy")},
    **{name: name for name in ("nc2_equiangular_H", "nc2_equiangular_W", "nc2_equinorm_H", "nc2_equinorm_W")},
    "nc1_trace": "trace_ratio",
    "margin_min": "margin_min",
    "margin_mean": "margin_mean",
}


def rows(seed, **options):
    """(features [N, d], labels, W, b)."""
    H, y, W, b = random_data(seed, **options)
    return H.T, y, W, b


def relative(found, truth):
    return abs(found - truth) / abs(truth)


def assert_same(found, base, names, rtol=1e-10):
    for name in names:
        np.testing.assert_allclose(found.values[name], base.values[name], rtol=rtol, atol=1e-13, err_msg=name)


# ---------------------------------------------------------------------------------------------- published values


@pytest.mark.parametrize("name", FIXTURE_NAMES)
def test_published_value(name):
    X, y, W, b = fixture_data()
    values = metrics.measure(X.T, y, W, b).values
    assert relative(values[FIXTURE_NAMES[name]], PUBLISHED[name]) <= 1e-12


def test_published_values_that_need_an_argument_or_another_pass():
    X, y, W, b = fixture_data()
    found, scatter = metrics.measure(X.T, y, W, b), metrics.scatter(X.T, y)
    assert relative(metrics.nc2_equinorm_H(found.frame, ddof=1), PUBLISHED["equinorm ddof=1"]) <= 1e-12
    assert relative(metrics.vci(scatter), PUBLISHED["VCI"]) <= 1e-12
    assert 1.0 - found.values["nc4"] == PUBLISHED["NC4 bias"]
    assert 1.0 - found.values["nc4_no_bias"] == PUBLISHED["NC4 no bias"]
    assert relative(4 * (1 - metrics.vci_sample_weighted(scatter)), FIXTURE["transferability"]["H-score"]) <= 1e-12
    named = {*FIXTURE_NAMES, "equinorm ddof=1", "VCI", "NC4 bias", "NC4 no bias"}
    assert named == set(PUBLISHED)


# ---------------------------------------------------------------------------------------------- identities


def dense_nc1(X, y, kind):
    """Every variant from its definition, with d x d matrices and a pseudo-inverse cut below the rank of Sigma_B."""
    K, N = int(y.max()) + 1, len(y)
    n = np.bincount(y)
    M = np.stack([X[y == k].mean(axis=0) for k in range(K)])
    R = X - M[y]
    centre = M.mean(axis=0) if kind in ("nc1", "nc1_unscaled") else X.mean(axis=0)
    weights = n / N if kind in ("nc1_sample_weighted", "separation_fuzziness") else np.full(K, 1 / K)
    sigma_W = R.T @ R / N
    if kind == "nc1_class_weighted":
        sigma_W = sum(R[y == k].T @ R[y == k] / n[k] for k in range(K)) / K
    sigma_B = (M - centre).T * weights @ (M - centre)
    eigenvalues = np.linalg.eigvalsh(sigma_B)[::-1]
    cut = 0.5 * eigenvalues[min(X.shape[1], K - 1) - 1] / eigenvalues[0]
    trace = np.trace(sigma_W @ np.linalg.pinv(sigma_B, rcond=cut))
    return trace / (1 if kind in ("nc1_unscaled", "nc1_class_weighted", "separation_fuzziness") else K)


@pytest.mark.parametrize(("K", "d"), [(2, 1), (2, 6), (5, 3), (6, 6), (9, 40)])
@pytest.mark.parametrize(
    "kind",
    [
        "nc1",
        "nc1_unscaled",
        "nc1_sample_centred",
        "nc1_class_weighted",
        "nc1_sample_weighted",
        "separation_fuzziness",
    ],
)
def test_thin_nc1_is_the_trace_with_the_pseudo_inverse(kind, K, d):
    X, y, _, _ = rows(K + d, K=K, d=d, n=tuple(range(2, K + 2)))
    found = metrics.measure(X, y)
    assert found.frame.rank == min(d, K - 1)
    assert relative(found.values[kind], dense_nc1(X, y, kind)) <= 1e-10


@pytest.mark.parametrize("seed", range(3))
def test_nc1_against_rational_arithmetic(seed):
    X, y, _, _ = rows(seed, d=5)
    exact = exact_nc1(X.T, y, 4)
    assert relative(metrics.measure(X, y).values["nc1"], exact) <= 1e-13
    assert relative(metrics.nc1_one_pass(metrics.scatter(X, y)), exact) <= 1e-12


@pytest.mark.parametrize("seed", range(10))
def test_measure_agrees_with_collapse(seed):
    """Two independent codes: columns in one array, and streamed rows."""
    X, y, W, b = rows(seed, spread=1.0)
    one, other = collapse(X.T, y, W, b), metrics.measure(X, y, W, b)
    for name, ours in FROM_COLLAPSE.items():
        np.testing.assert_allclose(other.values[ours], getattr(one, name), rtol=1e-11, atol=1e-14, err_msg=name)
    np.testing.assert_allclose(other.frame.spectrum, one.spectrum, rtol=1e-12, atol=1e-14)
    assert (other.frame.rank, pytest.approx(other.frame.cut)) == (one.rank, one.cut)


def test_ddof_removes_the_bias_of_few_samples():
    X, y, _, _ = rows(0, n=(4, 4, 4, 4))
    spread = metrics.measure(X, y).spread
    assert metrics.nc1(spread, ddof=1) == pytest.approx(4 / 3 * metrics.nc1(spread), rel=1e-14)
    alone = metrics.measure(X[:4], np.arange(4)).spread
    assert metrics.nc1(alone) == 0.0
    assert math.isnan(metrics.nc1(alone, ddof=1))


def test_decisions_equal_brute_force():
    for seed in range(10):
        X, y, W, b = rows(seed, spread=2.0)
        M = np.stack([X[y == k].mean(axis=0) for k in range(4)])
        nearest = np.linalg.norm(X[:, None] - M, axis=2).argmin(axis=1)
        values = metrics.measure(X, y, W, b).values
        assert values["nc4"] == np.mean(nearest != np.argmax(X @ W.T + b, axis=1))
        assert values["nc4_no_bias"] == np.mean(nearest != np.argmax(X @ W.T, axis=1))
        assert values["ncc_error"] == np.mean(nearest != y)
        pairs = [(k, j) for k in range(4) for j in range(4) if k != j]
        V = [np.mean(np.sum((X[y == k] - M[k]) ** 2, axis=1)) for k in range(4)]
        cdnv = np.mean([(V[k] + V[j]) / (2 * np.sum((M[k] - M[j]) ** 2)) for k, j in pairs])
        assert values["cdnv"] == pytest.approx(cdnv, rel=1e-12)
        unit = M / np.linalg.norm(M, axis=1, keepdims=True)
        assert values["discrimination"] == pytest.approx(1 - max(unit[k] @ unit[j] for k, j in pairs), rel=1e-12)


def test_vci_is_the_loss_of_the_least_squares_probe():
    X, y, _, _ = rows(1, d=6, n=(9, 9, 9, 9), spread=1.0)
    Y = np.eye(4)[y]
    design = np.hstack([X, np.ones((36, 1))])
    residual = Y - design @ np.linalg.lstsq(design, Y, rcond=None)[0]
    loss, scatter = np.sum(residual**2) / 72, metrics.scatter(X, y)
    assert relative(3 / 8 * metrics.vci(scatter), loss) <= 1e-10
    assert relative(3 / 8 * metrics.vci_sample_weighted(scatter), loss) <= 1e-10


@pytest.mark.parametrize("seed", range(5))
def test_vci_is_free_of_linear_maps(seed):
    X, y, _, _ = rows(seed, d=6, n=(9, 7, 8, 9), spread=1.0)
    A = np.random.default_rng(seed).standard_normal((6, 6))
    base, mapped = metrics.scatter(X, y), metrics.scatter(X @ A + 3.0, y)
    for of in (metrics.vci, metrics.vci_sample_weighted):
        assert relative(of(mapped), of(base)) <= 1e-8
    assert relative(metrics.nc1_one_pass(mapped), metrics.nc1_one_pass(base)) > 1e-2


def test_vci_of_few_samples_and_of_equal_means():
    X, y, _, _ = rows(0, d=30, n=(2, 2, 2, 2))
    assert 0.0 <= metrics.vci(metrics.scatter(X, y)) <= 1e-13  # more dimensions than residuals
    M = np.repeat(etf(4, 5), 3, axis=0)
    merged = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2])
    coincide = metrics.vci(metrics.scatter(np.repeat(etf(3, 5), 4, axis=0)[merged * 4], np.repeat(np.arange(4), 3)))
    assert coincide == pytest.approx(1 / 3, rel=1e-12)  # two of three directions are left
    assert metrics.vci(metrics.scatter(M, np.repeat(np.arange(4), 3))) <= 1e-13
    assert math.isnan(metrics.vci(metrics.scatter(np.ones((4, 3)), np.arange(4))))


# ---------------------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("K", [2, 3, 10, 40])
def test_a_simplex_is_perfect_collapse(K):
    W = etf(K, K + 3)
    y = np.tile(np.arange(K), 3)
    found = metrics.measure(2.5 * W[y], y, W)
    values = dict(found.values)
    assert values.pop("accuracy") == 1.0
    assert values.pop("margin_min") == pytest.approx(2.5, rel=1e-12)
    assert values.pop("margin_mean") == pytest.approx(2.5, rel=1e-12)
    assert values.pop("discrimination") == pytest.approx(K / (K - 1), rel=1e-12)
    assert values.pop("gnc2") == pytest.approx(K / (K - 1), rel=1e-12)
    assert values.pop("coherence_H") == pytest.approx(1 / (K - 1), rel=1e-12)
    assert values.pop("coherence_W") == pytest.approx(1 / (K - 1), rel=1e-12)
    for name, value in values.items():
        assert 0.0 <= value <= 1e-13, name
    assert found.frame.rank == K - 1


def test_gnc2_is_the_one_vs_rest_distance():
    """Against the active-set method of theory, on more classes than dimensions, and on a row inside the hull."""
    for seed in range(10):
        K, d = ((6, 3), (9, 4), (5, 8))[seed % 3]
        W = np.random.default_rng(seed).standard_normal((K, d))
        unit = W / np.linalg.norm(W, axis=1, keepdims=True)
        assert metrics.gnc2(W) == pytest.approx(np.min(one_vs_rest_distance(unit).rho), rel=1e-9, abs=1e-12)
    assert metrics.gnc2(np.array([[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0]])) <= 1e-14  # equal directions
    assert metrics.gnc2(np.array([[1.0, 0.0], [0.0, 3.0]])) == pytest.approx(math.sqrt(2), rel=1e-14)
    square = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    assert metrics.gnc2(square) == pytest.approx(1.0, rel=1e-14)
    assert math.isnan(metrics.gnc2(np.array([[1.0, 0.0], [0.0, 0.0]])))


def test_coherence_by_hand():
    W = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, -3.0]])
    assert metrics.coherence_W(W) == pytest.approx(math.sqrt(0.5), rel=1e-15)
    assert math.isnan(metrics.coherence_W(0 * W))


# ---------------------------------------------------------------------------------------------- invariances


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), shift=st.floats(-100, 100), scale=st.floats(-65, 65))
def test_rotation_permutation_relabelling_scale_shift(seed, shift, scale):
    X, y, W, b = rows(seed)
    base, g = metrics.measure(X, y, W, b), np.random.default_rng(seed)
    Q = rotation(seed, 7)
    assert_same(metrics.measure(X @ Q, y, W @ Q, b), base, base.values)
    order = g.permutation(y.size)
    assert_same(metrics.measure(X[order], y[order], W, b), base, base.values)
    to = g.permutation(4)
    back = np.argsort(to)
    assert_same(metrics.measure(X, 10**12 * to[y] - 7, W[back], b[back]), base, base.values)
    plain, c = metrics.measure(X, y, W), 10.0**scale
    assert_same(metrics.measure(c * X, y, W), plain, plain.values.keys() - SCALED - {"bias_collapse"})
    assert_same(metrics.measure(X, y, c * W), plain, plain.values.keys() - SCALED - {"bias_collapse"})
    assert_same(metrics.measure(X + shift, y, W), plain, plain.values.keys() - UNSHIFTED - DECISIONS, 1e-9)


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
    X = g.standard_normal((K, d))[y] + 10.0**log_spread * g.standard_normal((y.size, d)) + offset
    found = metrics.measure(X.astype(dtype), y, g.standard_normal((K, d)), g.standard_normal(K))
    scatter = metrics.scatter(X.astype(dtype), y)
    values = {**found.values, "vci": metrics.vci(scatter), "vci_s": metrics.vci_sample_weighted(scatter)}
    infinite = {name for name in values if name.startswith("nc1")} | {"separation_fuzziness", "trace_ratio", "cdnv"}
    top = dict.fromkeys(values, 2.0) | dict.fromkeys(infinite | {"bias_collapse"}, math.inf)
    top |= {name: math.sqrt(K) for name in values if "equinorm" in name}
    top |= {"nc3_squared": 4.0, "nc2_cosines_squared_H": 4.0}
    for name in values.keys() - SCALED:
        assert math.isnan(values[name]) or 0.0 <= values[name] <= top[name] * (1 + 1e-12), (name, values[name])
    assert math.isnan(values["nc1"]) == (found.frame.rank == 0)


# ---------------------------------------------------------------------------------------------- hostile data


@pytest.mark.parametrize(("offset", "tolerance"), [(0.0, 1e-10), (1e3, 1e-7)])
def test_two_near_means_with_a_wide_spread(offset, tolerance):
    """Means 1e-4 apart, spread 1e-2: NC1 is in the hundreds and well defined, whichever way it is accumulated."""
    H, y = near_means(1e-4, offset)
    exact, found = exact_nc1(H, y, 4), metrics.measure(H.T, y)
    assert exact > 100
    assert found.frame.rank == 3
    assert relative(found.values["nc1"], exact) <= tolerance
    assert relative(metrics.nc1_one_pass(metrics.scatter(H.T, y)), exact) <= 10 * tolerance
    batches = [(H.T[i::7], y[i::7]) for i in range(7)]
    assert relative(metrics.measure_batches(batches).values["nc1"], exact) <= 10 * tolerance


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_equal_means_lower_the_rank(dtype, offset):
    H, y = near_means(0.0, offset, dtype=dtype)
    found = metrics.measure(H.T, y)
    assert found.frame.rank == 2
    assert 0.0 < found.values["nc1"] < 1e-3
    assert math.isnan(found.values["cdnv"])
    given_rank = metrics.measure(H.T, y, rank=2)
    assert given_rank.values["nc1"] == found.values["nc1"]


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e3])
@pytest.mark.parametrize("seed", range(5))
def test_collapsed_to_1e_6_in_float32(offset, seed):
    """float32 features give what their float64 copies give, batch by batch, with no difference of squares."""
    g = np.random.default_rng(seed)
    y = np.repeat(np.arange(6), 20)
    X = (etf(6, 30, seed)[y] + 1e-6 * g.standard_normal((120, 30)) + offset).astype(np.float32)
    found = metrics.measure_batches([(X[i::5], y[i::5]) for i in range(5)])
    assert found.frame.rank == 5
    truth = X.astype(np.longdouble)
    M = np.stack([truth[y == k].mean(axis=0) for k in range(6)])
    trace = float(np.sum((truth - M[y]) ** 2) / 120 / (np.sum((M - M.mean(axis=0)) ** 2) / 6))
    # a merged mean is right to eps times its size, beside a spread of 1e-6 (or of float32's rounding of the offset)
    assert relative(found.values["trace_ratio"], trace) <= 1e-8 * (1 + offset)
    exact = metrics.measure(X.astype(np.float64), y)
    assert relative(found.values["nc1"], exact.values["nc1"]) <= 1e-7 * (1 + offset)


@pytest.mark.parametrize("X", [np.zeros((8, 3)), np.full((8, 3), 0.1), np.full((8, 3), 1e3 / 3, np.float32)])
def test_equal_features_are_undefined(X):
    found = metrics.measure(X, np.arange(8) % 4, np.eye(4, 3))
    defined = {"nc2_gram_W", "nc2_gram_Wc", "nc2_equinorm_W", "bias_collapse", "accuracy", "margin_min", "margin_mean"}
    defined |= {"discrimination", "nc2_gram_H_raw", "nc3_gram_raw"} if X.any() else set()
    assert found.frame.rank == 0
    assert not found.frame.apart
    for name, value in found.values.items():
        undefined = name not in defined and not name.endswith("_W") and name != "gnc2"
        assert math.isnan(value) or not undefined, name


def test_a_rank_beyond_that_of_the_data_is_undefined():
    M = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    found = metrics.measure(np.repeat(M, 3, axis=0), np.repeat(np.arange(3), 3), rank=2)
    assert math.isnan(found.values["nc1"])
    assert math.isnan(metrics.measure(M, np.arange(3), rank=0).values["nc1"])


def test_without_classifier_its_metrics_are_undefined():
    X, y, W, _ = rows(0)
    found, full = metrics.measure(X, y), metrics.measure(X, y, W)
    of_W = DECISIONS | {name for name in full.values if "nc3" in name or "_W" in name} | {"gnc2", "bias_collapse"}
    for name, value in found.values.items():
        assert math.isnan(value) == (name in of_W), name
    assert_same(found, full, full.values.keys() - of_W, 0)
    assert not any(math.isnan(value) for value in full.values.values())


def test_degenerate_classifiers():
    X, y, W, _ = rows(0)
    zero = metrics.measure(X, y, 0 * W).values
    assert all(math.isnan(zero[name]) for name in zero if "nc3" in name or name.endswith(("_W", "_Wc")))
    assert math.isnan(zero["gnc2"])
    one = metrics.measure(X, y, np.vstack([W[:3], 0 * W[3:]])).values
    assert math.isnan(one["nc2_equiangular_W"])
    assert math.isnan(one["nc3_cosine"])
    assert not math.isnan(one["nc3"])


def test_ties_belong_to_the_sets():
    """Merged classes with merged classifiers agree, but are neither classified nor near to one mean alone."""
    M = np.array([[1.0, 0.5], [1.0, 0.5], [-2.0, -1.0]])
    y = np.array([0, 0, 1, 1, 2, 2])
    values = metrics.measure(M[y], y, M).values
    assert (values["nc4"], values["accuracy"], values["ncc_error"]) == (0.0, pytest.approx(1 / 3), pytest.approx(2 / 3))


def test_every_metric_has_a_documented_function():
    X, y, W, b = rows(0)
    for name in metrics.measure(X, y, W, b).values:
        assert name in metrics.__all__
        assert len(getattr(metrics, name).__doc__) > 40, name
