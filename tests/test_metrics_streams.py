"""Accumulators: batches, merging, bytes; every kind of input; every refusal."""

import math
from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from collapse_oracle import near_means, random_data

from ufm import metrics


def rows(seed=0, **options):
    H, y, W, b = random_data(seed, **options)
    return H.T, y, W, b


X, Y, W, B = rows(n=(30, 50, 20, 90), spread=0.5)


def chopped(seed, parts=6, X=X, y=Y):
    """The samples in another order, in batches of random sizes, some of which lack classes."""
    g = np.random.default_rng(seed)
    order = g.permutation(len(y))
    cuts = np.sort(g.choice(np.arange(1, len(y)), parts - 1, replace=False))
    return [(X[part], y[part]) for part in np.split(order, cuts)]


def assert_equal(found, base, rtol=1e-12):
    """Two measurements, every value and the geometry."""
    for name in base.values:
        np.testing.assert_allclose(found.values[name], base.values[name], rtol=rtol, atol=1e-14, err_msg=name)
    np.testing.assert_allclose(found.frame.spectrum, base.frame.spectrum, rtol=rtol, atol=1e-14)


# ---------------------------------------------------------------------------------------------- batches and merging


@pytest.mark.parametrize("seed", range(8))
def test_batches_in_any_order_and_size_change_nothing(seed):
    assert_equal(metrics.measure_batches(chopped(seed), W, B), metrics.measure(X, Y, W, B))


@pytest.mark.parametrize("order", list(permutations(range(4)))[::5])
def test_merging_is_associative_and_commutative_up_to_rounding(order):
    parts = [metrics.moments(*batch) for batch in chopped(3, 4)]
    scatters = [metrics.scatter(*batch) for batch in chopped(3, 4)]
    a, b, c, d = (parts[i] for i in order)
    tree = metrics.merge(metrics.merge(a, b), metrics.merge(c, d))
    chain = metrics.merge(a, metrics.merge(b, metrics.merge(c, d)))
    whole = metrics.moments(X, Y)
    for found in (tree, chain):
        np.testing.assert_array_equal(found.counts, whole.counts)
        np.testing.assert_allclose(found.means, whole.means, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(found.squares, whole.squares, rtol=1e-12)
    a, b, c, d = (scatters[i] for i in order)
    found = metrics.merge_scatters(metrics.merge_scatters(a, b), metrics.merge_scatters(c, d))
    R = X - whole.means[Y]
    np.testing.assert_allclose(found.factor.T @ found.factor, R.T @ R, rtol=1e-12, atol=1e-12)
    for of in (metrics.vci, metrics.nc1_one_pass):
        assert of(found) == pytest.approx(of(metrics.scatter(X, Y)), rel=1e-12)


def test_two_passes_by_hand_are_measure():
    """The way of several processes: moments merged, the frame sent to all, spreads merged."""
    seen = metrics.Moments()
    for batch in chopped(1):
        seen = metrics.update(seen, *batch)
    frame = metrics.frame(seen)
    first, *others = (metrics.spread(frame, *batch, W, B) for batch in chopped(2))
    for other in others:
        first = metrics.merge_spreads(first, other)
    base = metrics.measure(X, Y, W, B)
    for of in (metrics.nc1, metrics.nc1_class_weighted, metrics.nc4, metrics.margin_min, metrics.margin_mean):
        assert of(first) == pytest.approx(base.values[of.__name__], rel=1e-12)
    assert metrics.cdnv(frame) == pytest.approx(base.values["cdnv"], rel=1e-12)


def test_merging_with_nothing_and_with_other_classes():
    found = metrics.moments(X, Y)
    assert metrics.merge(metrics.Moments(), found) is found
    assert metrics.merge(found, metrics.Moments()) is found
    scatter = metrics.scatter(X, Y)
    assert metrics.merge_scatters(metrics.Scatter(), scatter) is scatter
    assert metrics.merge_scatters(scatter, metrics.Scatter()) is scatter
    apart = metrics.merge(metrics.moments(X[Y < 2], Y[Y < 2]), metrics.moments(X[Y >= 2], Y[Y >= 2]))
    np.testing.assert_array_equal(apart.means, found.means)
    np.testing.assert_array_equal(apart.squares, found.squares)


def test_moments_of_one_sample_and_of_equal_samples_are_exact():
    M = np.random.default_rng(0).standard_normal((3, 5)) + 1e3
    one = metrics.moments(M, [4, -2, 9])
    np.testing.assert_array_equal(one.classes, [-2, 4, 9])
    np.testing.assert_array_equal(one.means, M[[1, 0, 2]])
    np.testing.assert_array_equal(one.squares, 0.0)
    y = np.repeat(np.arange(3), (7, 11, 1000))
    many = metrics.moments(M[y], y)
    np.testing.assert_array_equal(many.means, M)
    np.testing.assert_array_equal(many.squares, 0.0)


def test_no_difference_of_squares():
    """Spread 1e-6 at an offset of 1e3 in float64, in 50 batches: E|h|^2 - |E h|^2 would leave no digit."""
    g = np.random.default_rng(0)
    X, y = 1e3 + 1e-6 * g.standard_normal((500, 4)), np.arange(500) % 2
    merged = metrics.Moments()
    for i in range(50):
        merged = metrics.update(merged, X[i::50], y[i::50])
    exact = X.astype(np.longdouble)
    squares = [float(np.sum((exact[y == k] - exact[y == k].mean(axis=0)) ** 2)) for k in range(2)]
    np.testing.assert_allclose(metrics.moments(X, y).squares, squares, rtol=1e-9)
    np.testing.assert_allclose(merged.squares, squares, rtol=1e-6)  # eps 1e3 / 1e-6 in every merged mean


def test_the_pieces_of_a_large_array_are_like_batches(monkeypatch):
    base = metrics.measure(X, Y, W, B)
    monkeypatch.setattr("ufm.metrics.arrays.PIECE", 40)
    assert_equal(metrics.measure(X, Y, W, B), base)
    reverse = metrics.scatter(X[::-1], Y[::-1])
    assert metrics.vci(metrics.scatter(X, Y)) == pytest.approx(metrics.vci(reverse), rel=1e-12)


def test_a_loader_is_read_twice_and_an_iterator_refused():
    class Loader:
        passes = 0

        def __iter__(self):
            self.passes += 1
            return iter(chopped(0))

    loader = Loader()
    assert_equal(metrics.measure_batches(loader, W, B), metrics.measure(X, Y, W, B))
    assert loader.passes == 2
    with pytest.raises(ValueError, match="measure_batches: batches is an iterator, which can be read once"):
        metrics.measure_batches(iter(chopped(0)))
    total = metrics.Scatter()
    for batch in iter(chopped(0)):
        total = metrics.merge_scatters(total, metrics.scatter(*batch))
    assert metrics.nc1_one_pass(total) == pytest.approx(metrics.measure(X, Y).values["nc1"], rel=1e-12)
    assert math.isnan(metrics.nc1_one_pass(total, rank=0))


def test_a_second_pass_with_other_samples_is_refused():
    class Shrinking:
        passes = 0

        def __iter__(self):
            self.passes += 1
            return iter(chopped(0)[: -self.passes])

    with pytest.raises(ValueError, match="the second pass has other samples than the first"):
        metrics.measure_batches(Shrinking())


# ---------------------------------------------------------------------------------------------- bytes


def test_bytes_keep_every_bit():
    frame = metrics.frame(metrics.moments(X, Y))
    values = (metrics.moments(X, Y), metrics.scatter(X, Y), metrics.spread(frame, X, Y, W, B), metrics.Moments())
    for value in values:
        again = metrics.from_bytes(type(value), metrics.to_bytes(value))
        assert metrics.to_bytes(again) == metrics.to_bytes(value)
        assert type(again) is type(value)
    again = metrics.from_bytes(metrics.Moments, metrics.to_bytes(values[0]))
    for name, entry in vars(values[0]).items():
        np.testing.assert_array_equal(vars(again)[name], entry)
    assert metrics.vci(metrics.from_bytes(metrics.Scatter, metrics.to_bytes(values[1]))) == metrics.vci(values[1])


def test_bad_bytes_are_refused():
    data = metrics.to_bytes(metrics.moments(X, Y))
    with pytest.raises(ValueError, match="from_bytes: the data hold Moments, not Scatter"):
        metrics.from_bytes(metrics.Scatter, data)
    for junk in (b"", b"junk", data[:100], b"\x93NUMPY"):
        with pytest.raises(ValueError, match="from_bytes: the data are no archive of arrays"):
            metrics.from_bytes(metrics.Moments, junk)


# ---------------------------------------------------------------------------------------------- kinds of input


class OnlyDLPack:
    """A tensor that NumPy can read through DLPack alone."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Unreadable:
    """A tensor that carries a gradient."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


def test_any_array(tmp_path):
    base = metrics.measure(X, Y, W, B)
    np.save(tmp_path / "X.npy", X)
    with jax.enable_x64(True):
        assert_equal(metrics.measure(*map(jnp.asarray, (X, Y, W, B))), base, 0)
    assert_equal(metrics.measure(*map(OnlyDLPack, (X, Y, W, B))), base, 0)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert_equal(metrics.measure(mapped, Y.tolist(), W.tolist(), B.tolist()), base, 0)
    assert_equal(metrics.measure(np.asfortranarray(X), Y.astype(np.uint8), W, B), base)
    assert_equal(metrics.measure(X, 5 - 3 * Y.astype(np.int16), W[::-1], B[::-1]), base)
    integers = (10 * X).astype(np.int8)
    assert_equal(metrics.measure(integers, Y), metrics.measure(integers.astype(float), Y), 0)


def test_small_dtypes_lower_the_rank_that_they_cannot_resolve():
    H, y = near_means(0.0)
    stored = jnp.asarray(H.T, jnp.bfloat16)
    assert metrics.measure(stored, y).frame.rank == 2
    assert metrics.measure(np.asarray(stored, np.float64), y).frame.rank == 3  # taken as exact, rounding is a direction
    mixed = metrics.merge(metrics.moments(H.T, y), metrics.moments(stored, y))
    assert mixed.resolution == 2.0**-7
    assert metrics.moments(H.T.astype(np.float16), y).resolution == np.finfo(np.float16).eps


def test_torch_tensors_if_there_are_any():
    torch = pytest.importorskip("torch")
    found = metrics.measure(*map(torch.tensor, (X, Y, W, B)))
    assert_equal(found, metrics.measure(X, Y, W, B), 0)
    with pytest.raises(TypeError, match="features of type Tensor cannot be read by NumPy"):
        metrics.measure(torch.tensor(X, requires_grad=True), Y)


def test_inputs_are_left_alone():
    copies = [array.copy() for array in (X, Y, W, B)]
    metrics.measure(X, Y, W, B)
    metrics.scatter(X, Y)
    for array, copy in zip((X, Y, W, B), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


# ---------------------------------------------------------------------------------------------- refusals

BAD = [
    ((X * 1j, Y), {}, TypeError, "features has dtype complex128, expected real numbers"),
    ((X > 0, Y), {}, TypeError, "features has dtype bool"),
    ((X.astype(str), Y), {}, TypeError, "features has dtype <U"),
    ((Unreadable(), Y), {}, TypeError, "features of type Unreadable cannot be read by NumPy"),
    ((None, Y), {}, TypeError, "features of type NoneType cannot be read by NumPy"),
    ((X, Unreadable()), {}, TypeError, "labels of type Unreadable"),
    ((X[:, 0], Y), {}, ValueError, r"features has shape \(190,\). Pass a non-empty \[N, d\]; samples are rows"),
    ((X[None], Y), {}, ValueError, r"features has shape \(1, 190, 7\)"),
    ((X[:0], Y[:0]), {}, ValueError, r"features has shape \(0, 7\)"),
    ((X[:, :0], Y), {}, ValueError, r"features has shape \(190, 0\)"),
    ((np.where(X[3, 2] == X, np.nan, X), Y), {}, ValueError, "features has 1 non-finite entries"),
    ((np.where(X[3, 2] == X, np.inf, X), Y), {}, ValueError, "features has 1 non-finite entries"),
    ((1e80 * X, Y), {}, ValueError, "largest entry .*e.80, whose fourth power leaves float64. Rescale"),
    ((1e-80 * X, Y), {}, ValueError, "largest entry .*e-.., whose fourth power leaves float64. Rescale"),
    ((X, Y.astype(float)), {}, TypeError, "labels have dtype float64, expected integers"),
    ((X, Y > 1), {}, TypeError, "labels have dtype bool"),
    ((X, Y[:-1]), {}, ValueError, r"labels have shape \(189,\), but features have N=190 rows"),
    ((X.T, Y), {}, ValueError, r"labels have shape \(190,\), but features have N=7 rows"),
    ((X, Y.astype(np.uint64) + 2**63), {}, ValueError, "labels reach 92233720368547758.., beyond 64-bit"),
    ((X, 0 * Y + 7), {}, ValueError, "all labels are 7, need two classes"),
    ((X, Y, W.T), {}, ValueError, r"W has shape \(7, 4\), but the samples have K=4 classes and d=7"),
    ((X, np.minimum(Y, 2), W), {}, ValueError, "K=3 classes .* a class without samples has no mean"),
    ((X, Y, W[0]), {}, ValueError, r"W has shape \(7,\). Pass a non-empty \[K, d\]"),
    ((X, Y, W + np.nan), {}, ValueError, "W has 28 non-finite entries"),
    ((X, Y, W * 1j), {}, TypeError, "W has dtype complex128"),
    ((X, Y, None, B), {}, ValueError, r"b has shape \(4,\), W None. Pass W \[K, d\] and b \[K\]"),
    ((X, Y, W, B[:3]), {}, ValueError, r"b has shape \(3,\), W \(4, 7\)"),
    ((X, Y, W, B * np.inf), {}, ValueError, "b has 4 non-finite entries"),
    ((X, Y), {"classes": range(5)}, ValueError, "class 4 has no samples, so no mean"),
    ((X, Y), {"classes": range(3)}, ValueError, "label 3 is not among classes"),
    ((X, Y), {"rank": 4}, ValueError, r"rank=4 is not in 0 .. 3 = min\(d, K-1\)"),
    ((X[:, :2], Y), {"rank": 3}, ValueError, r"rank=3 is not in 0 .. 2"),
    ((X, Y), {"rank": -1}, ValueError, "rank=-1 is not in"),
    ((X, Y), {"rank": 2.0}, TypeError, "rank=2.0 is not an integer"),
    ((X, Y), {"rank": True}, TypeError, "rank=True is not an integer"),
]


@pytest.mark.parametrize(("args", "options", "error", "text"), BAD, ids=range(len(BAD)))
def test_bad_input(args, options, error, text):
    with pytest.raises(error, match=text) as caught:
        metrics.measure(*args, **options)
    assert str(caught.value).startswith(("measure: ", "frame: "))
    assert len(str(caught.value)) < 220


def test_what_does_not_belong_together_is_refused():
    seen = metrics.moments(X, Y)
    frame = metrics.frame(seen)
    with pytest.raises(ValueError, match="merge: d=7 and d=3 features"):
        metrics.merge(seen, metrics.moments(X[:, :3], Y))
    with pytest.raises(ValueError, match="spread: d=3 features, but the first pass had d=7"):
        metrics.spread(frame, X[:, :3], Y)
    with pytest.raises(ValueError, match="spread: label 9 is new in the second pass"):
        metrics.spread(frame, X, np.where(Y == 3, 9, Y))
    other = metrics.spread(metrics.frame(metrics.moments(X, Y + 1)), X, Y + 1)
    with pytest.raises(ValueError, match="merge_spreads: the classes differ"):
        metrics.merge_spreads(metrics.spread(frame, X, Y), other)
    with pytest.raises(ValueError, match="frame: got K=1 class"):
        metrics.frame(metrics.moments(X, 0 * Y))
    with pytest.raises(ValueError, match="measure_batches: there is no batch"):
        metrics.measure_batches([])
