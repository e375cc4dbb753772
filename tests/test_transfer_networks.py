"""Fine-tuning: what is trained, what stays, what chooses; layer profiles, backbones and data sets made from others."""

from dataclasses import replace
from functools import cache, partial
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

from ufm import transfer
from ufm.networks import Data, Network, convolutional, from_arrays, mlp, residual, transformer, with_statistics
from ufm.networks.layers import BatchNorm
from ufm.transfer.backbones import features, has_open_norms, opened
from ufm.transfer.finetune import finetune, predict
from ufm.transfer.layer_profile import correlation, layer_profile
from ufm.transfer.plans import METHODS
from ufm.transfer.samples import augmented, few, inverted, noise, of_classes, shift, split
from ufm.transfer.tuning import added, advance, parameters

K, D, WIDTH, DEPTH, STEPS = 3, 6, 8, 3, 4


def blobs(seed: int = 0, spread: float = 1.0) -> Data:
    rng = np.random.default_rng(seed)
    y = np.arange(120) % K
    x = 1.5 * rng.standard_normal((K, D))[y] + spread * rng.standard_normal((120, D))
    return from_arrays(x, y, n=20, name="blobs")


SOURCE, DATA = blobs(1), blobs(2)
NET = with_statistics(mlp(DATA.shape, K, depth=DEPTH, width=WIDTH, key=3), SOURCE.x)
HEAD = K * WIDTH + K
STAGES = [WIDTH * D + 3 * WIDTH, *[WIDTH * WIDTH + 3 * WIDTH] * (DEPTH - 1)]  # weight, bias, scale, shift


@cache
def tuned(method: str, layer: Any = None, rate: float = 1e-2):
    return finetune(NET, DATA, method, layer=layer, rates=(rate,), steps=STEPS)


def leaves(tree: Any) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(eqx.filter(tree, eqx.is_array))]


@pytest.mark.parametrize(
    ("method", "layer", "trained"),
    [
        ("probe", None, []),
        ("skip", 2, []),
        ("layer", 2, [1]),
        ("scl", 2, [1]),
        ("full", None, [0, 1, 2]),
        ("scratch", None, [0, 1, 2]),
    ],
)
def test_what_is_trained_and_what_stays(method, layer, trained):
    found = tuned(method, layer)
    assert found.trained == HEAD + sum(STAGES[i] for i in trained)
    assert found.total == HEAD + sum(STAGES)
    assert found.share == found.trained / found.total
    assert (found.method, found.layer, found.rule, found.labels) == (method, layer, "", 60)
    start = transfer.untrained(NET, 0) if method == "scratch" else NET
    for i, (before, after) in enumerate(zip(start.stages, found.network.stages, strict=True)):
        norms = [stage.layers[-2] for stage in (before, after)]
        if i < min(trained, default=DEPTH):  # the prefix
            assert leaves(before) == leaves(after)
            continue
        x = np.asarray(found.network.stages[i].layers[-3](advance(found.network.stages[:i], DATA.x).reshape(60, -1)))
        np.testing.assert_allclose(norms[1].mean, np.mean(x, axis=0), atol=1e-5)  # of the task, no more of the source
        np.testing.assert_allclose(norms[1].variance, np.var(x, axis=0), rtol=1e-4, atol=1e-6)
        if i not in trained:
            assert leaves(opened(before)) == leaves(opened(after))
            continue
        weights = [stage.layers[-3] for stage in (before, after)]  # affine, norm, relu
        moved = np.asarray(weights[0].weight) != np.asarray(weights[1].weight)
        assert np.mean(moved) > 0.5  # but for units that a ReLU has silenced
    assert not has_open_norms(found.network)
    assert np.isnan(found.rate) == (method in ("probe", "skip"))
    assert found.nc1_before == pytest.approx(transfer.nc1(features(NET, DATA.x)[-1], DATA.y), rel=1e-6)


def test_the_skip_is_added_to_what_the_head_sees():
    found = tuned("scl", 2)
    _, H, last = features(found.network, DATA.x_test)
    head = found.network.head
    logits = (last + H) @ np.asarray(head.weight).T + np.asarray(head.bias)
    np.testing.assert_allclose(predict(found, DATA.x_test), logits, rtol=1e-5, atol=1e-6)
    assert found.accuracy == np.mean(np.argmax(logits, axis=1) == DATA.y_test)
    assert found.nc1_test == pytest.approx(transfer.nc1(last + H, DATA.y_test), rel=1e-6)
    seen = features(found.network, DATA.x)
    assert found.nc1_after == pytest.approx(transfer.nc1(seen[2] + seen[1], DATA.y), rel=1e-6)
    wide, narrow = np.ones((2, 3)), np.full((2, 1), 2.0)
    for sums in (added(wide, narrow), added(narrow, wide)):
        np.testing.assert_array_equal(sums, [[3.0, 1.0, 1.0]] * 2)


def test_the_first_step_is_adams():
    """From a head of zeros, W moves by the rate against the sign of mean_i (1/K - e_y) h^T; no stage moves."""
    found = finetune(NET, DATA, "full", rates=(0.1,), steps=1)
    moved = with_statistics(Network(tuple(map(opened, NET.stages)), NET.head, NET.names), DATA.x)
    H = features(moved, DATA.x)[-1]
    gradient = (1.0 / K - np.eye(K)[DATA.y]).T @ H / len(H)
    expected = np.where(np.abs(gradient) > 1e-6, -0.1 * np.sign(gradient), 0.0)
    np.testing.assert_allclose(np.asarray(found.network.head.weight), expected, atol=1e-4)
    assert leaves(found.network.stages) == leaves(moved.stages)


def test_layer_rules_look_at_training_nc1():
    frozen = [transfer.nc1(H, DATA.y) for H in features(NET, DATA.x)]
    by_rule = tuned("layer", "nc1")
    assert (by_rule.layer, by_rule.rule) == (int(np.argmin(frozen)) + 1, "nc1")
    assert by_rule.nc1_before == frozen[-1]
    each = [tuned("layer", layer).nc1_after for layer in range(1, DEPTH + 1)]
    searched = finetune(NET, DATA, "layer", layer="search", rates=(1e-2,), steps=STEPS)
    assert (searched.layer, searched.nc1_after) == (int(np.argmin(each)) + 1, min(each))


def test_nothing_is_chosen_by_the_test_set():
    held = few(blobs(2, 1.5), 2)
    choose = partial(finetune, NET, method="scl", layer="search", rates=(1e-3, 1e-1), validation=(held.x, held.y))
    one = choose(data=DATA, steps=STEPS)
    other = choose(data=replace(DATA, x_test=-DATA.x_test, y_test=np.roll(DATA.y_test, 1)), steps=STEPS)
    assert leaves(one.network) == leaves(other.network)
    assert (one.layer, one.rate) == (other.layer, other.rate)
    assert one.accuracy != other.accuracy
    assert one.labels == 60 + 6
    rates = [finetune(NET, DATA, "scl", layer=one.layer, rates=(r,), steps=STEPS) for r in (1e-3, 1e-1)]
    right = [np.mean(np.argmax(predict(each, held.x), axis=1) == held.y) for each in rates]
    assert one.rate == (1e-3, 1e-1)[int(np.argmax(right))]
    assert one.validation_accuracy == max(right)


def test_the_validation_may_choose_the_layer():
    held = few(blobs(2, 1.5), 4)
    options: Any = {"rates": (1e-2,), "validation": (held.x, held.y), "steps": STEPS}
    found = finetune(NET, DATA, "layer", layer="validation", **options)
    each = [finetune(NET, DATA, "layer", layer=i, **options).validation_accuracy for i in range(1, DEPTH + 1)]
    assert (found.layer, found.rule) == (int(np.argmax(each)) + 1, "validation")
    assert found.validation_accuracy == max(each)


def test_small_batches_and_the_same_seed():
    runs = [finetune(NET, DATA, "layer", layer=3, steps=3, batch=16, key=key) for key in (0, 0, 1)]
    digits = [leaves(run.network) for run in runs]
    assert digits[0] == digits[1] != digits[2]


def test_a_probe_is_the_probe_of_the_last_features():
    found = tuned("probe")
    H, held = (features(NET, x)[-1] for x in (DATA.x, DATA.x_test))
    expected = transfer.probe_accuracy(transfer.fit_probe(H, DATA.y), held, DATA.y_test)
    assert found.accuracy == expected
    assert found.nc1_after == found.nc1_before
    held = few(blobs(2, 1.5), 2)
    again = finetune(NET, DATA, "probe", rates=(1e-3, 1e-1), validation=(held.x, held.y))
    assert (again.accuracy, again.labels) == (found.accuracy, 60)  # a convex problem: the validation chose nothing


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"network": "net"}, TypeError, "network is a str. Pass"),
        ({"network": mlp(DATA.shape, K, depth=1, width=4)}, ValueError, "batch norms without statistics. Pass"),
        ({"data": (1, 2)}, TypeError, "data is a tuple. Build"),
        ({"method": "skl"}, ValueError, "method='skl' is none. Did you mean 'scl'"),
        ({"method": "full", "layer": 1}, ValueError, "layer=1 would have no effect on 'full'"),
        ({"layer": 4}, ValueError, r"layer=4 is none. Pass 1 .. 3, or one of nc1, search, validation"),
        ({"layer": "validation"}, ValueError, "layer='validation', and nothing to choose by. Pass"),
        ({"data": few(DATA, 1)}, ValueError, "layer='nc1', but with one sample of a class NC1 is 0 .* Pass"),
        ({"data": replace(DATA, x=DATA.x[:, :4])}, ValueError, r"the test samples of data have shape .* Pass"),
        (
            {"data": replace(DATA, x=DATA.x[:, :4], x_test=DATA.x_test[:, :4])},
            ValueError,
            r"the network does not take .* Pass data",
        ),
        (
            {"data": replace(DATA, x=DATA.x * np.nan)},
            ValueError,
            "the training samples of data have 360 non-finite .* Pass",
        ),
        ({"data": replace(DATA, y_test=DATA.y_test + 0.5)}, ValueError, "the test samples .* labels .* float64. Pass"),
        ({"data": replace(DATA, x=DATA.x[DATA.y > 0], y=DATA.y[DATA.y > 0])}, ValueError, "class 0 has no .* Pass"),
        ({"data": replace(DATA, y_test=0 * DATA.y_test)}, ValueError, "the test set has fewer than two .* Pass"),
        (
            {"validation": (DATA.x[:, :4], DATA.y)},
            ValueError,
            r"the samples of the validation have shape \(60, 4\) .* Pass",
        ),
        ({"validation": (DATA.x[:0], DATA.y[:0])}, ValueError, "the validation is empty. Pass"),
        ({"validation": DATA}, TypeError, "validation is a Data, need a pair. Pass"),
        ({"batch": 1}, ValueError, "batch=1 .a batch norm needs two samples"),
        ({"layer": 0}, ValueError, "layer=0 .layers count from 1"),
        ({"layer": "nc2"}, ValueError, "layer='nc2' is none. Pass"),
        ({"rates": ()}, ValueError, r"rates=\(\) is no list of learning rates. Pass"),
        ({"rates": 1e-3}, ValueError, "rates=0.001 is no list of learning rates. Pass"),
        ({"rates": (1e-3, 1e-2)}, ValueError, "2 rates, and nothing to choose by. Pass"),
        ({"rates": (-1.0,)}, ValueError, "a rate=-1.0 is not"),
        ({"data": replace(DATA, y=DATA.y + 1)}, ValueError, "the training samples .* from 1 to 3. Pass one label"),
        ({"validation": (DATA.x, DATA.y[:3])}, ValueError, r"the samples of the validation .* Pass .* \[3, 6\]"),
        ({"steps": 0}, ValueError, "steps=0"),
        ({"key": -1}, ValueError, "key=-1"),
    ],
)
def test_options_that_cannot_work_are_refused(options, error, message):
    with pytest.raises(error, match=f"finetune: {message}"):
        finetune(**({"network": NET, "data": DATA} | options))


def test_a_diverging_rate_says_so():
    with pytest.raises(FloatingPointError, match=r"finetune: the loss is (nan|inf) .* Lower"):
        finetune(NET, DATA, "full", rates=(3e38,), steps=STEPS)


def test_a_profile_is_what_each_layer_measures():
    found = layer_profile(NET, DATA, SOURCE, n=4, draws=2)
    assert found.names == NET.names
    for i, (H, home) in enumerate(zip(features(NET, DATA.x), features(NET, SOURCE.x), strict=True)):
        assert found.downstream_nc1[i] == pytest.approx(transfer.nc1(H, DATA.y), rel=1e-6)
        assert found.source_nc1[i] == pytest.approx(transfer.nc1(home, SOURCE.y), rel=1e-6)
    held = features(NET, DATA.x_test)[1]
    parts = [few(DATA, 4, draw) for draw in range(2)]
    probes = [transfer.fit_probe(features(NET, part.x)[1], part.y) for part in parts]
    expected = [transfer.probe_accuracy(probe, held, DATA.y_test) for probe in probes]
    assert found.probe[1] == pytest.approx(np.mean(expected))
    assert found.probe_sd[1] == pytest.approx(np.std(expected, ddof=1))
    assert found.raw_nc1 == pytest.approx(transfer.nc1(DATA.x, DATA.y))
    assert found.r_source == correlation(np.log(found.source_nc1), found.probe)
    fresh = with_statistics(transfer.untrained(NET), DATA.x)
    assert found.random_nc1[0] == pytest.approx(transfer.nc1(features(fresh, DATA.x)[0], DATA.y), rel=1e-6)
    of_function = layer_profile(NET.taps, DATA, n=4, draws=2, untrained_model=fresh)
    np.testing.assert_array_equal(of_function.probe, found.probe)
    np.testing.assert_array_equal(of_function.random_probe, found.random_probe)
    assert np.all(np.isnan(of_function.source_nc1))
    assert np.isnan(of_function.r_source)
    assert np.all(np.isnan(layer_profile(NET, DATA, n=4, draws=1).probe_sd))
    with pytest.raises(TypeError, match=r"layer_profile: source is a tuple. Build Data"):
        layer_profile(NET, DATA, (1, 2))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"layer_profile: model is a NoneType. Pass"):
        layer_profile(None, DATA)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"layer_profile: the untrained model has layers \['layer1'\], .* Pass"):
        layer_profile(NET, DATA, n=4, draws=1, untrained_model=lambda x: {"layer1": x})
    with pytest.raises(TypeError, match=r"layer_profile: a function has no weights .* Pass"):
        layer_profile(NET.taps, DATA)
    with pytest.raises(ValueError, match=r"layer_profile: .* batch norms .* Pass"):
        layer_profile(mlp(DATA.shape, K, depth=1, width=4), DATA)


def test_correlations_of_lines_and_of_what_is_undefined():
    x = np.array([1.0, 2.0, 4.0])
    assert correlation(x, 3.0 - 2.0 * x) == pytest.approx(-1.0, abs=1e-15)
    assert correlation(x, np.array([0.0, 1.0, 0.0])) == pytest.approx(np.corrcoef(x, [0, 1, 0])[0, 1], abs=1e-15)
    assert all(np.isnan(correlation(x, y)) for y in (np.ones(3), np.array([1.0, np.nan, 2.0])))
    assert np.isnan(correlation(x[:2], x[:2]))


def test_fresh_weights_are_other_weights_of_the_same_shapes():
    shape = (8, 8, 1)
    makers = (partial(mlp, depth=2), convolutional, partial(residual, blocks=2), partial(transformer, blocks=1))
    for make in makers:
        network = make(shape, K)
        fresh = transfer.untrained(network, 1)
        one, two = (jax.tree.leaves(eqx.filter(net, eqx.is_array)) for net in (network, fresh))
        assert [leaf.shape for leaf in one] == [leaf.shape for leaf in two]
        assert jax.tree.structure(network) == jax.tree.structure(fresh)
        drawn = [(a, b) for a, b in zip(one, two, strict=True) if np.std(np.asarray(a)) > 0.0]
        for a, b in drawn:
            assert np.all(np.asarray(a) != np.asarray(b))
            assert 0.5 < np.std(np.asarray(a)) / np.std(np.asarray(b)) < 2.0
        assert leaves(fresh) == leaves(transfer.untrained(network, 1))

    class Foreign(eqx.Module):
        weight: Any

        def __call__(self, x):
            return x * self.weight

    foreign: Any = (Foreign(np.ones(3)),)
    with pytest.raises(TypeError, match=r"untrained: Foreign is no layer .* Pass"):
        transfer.untrained(Network(foreign, NET.head, ("one",)))


def test_truncated_networks_and_counted_parameters():
    shorter = transfer.truncated(NET, 1)
    assert shorter.names == NET.names[:2]
    np.testing.assert_array_equal(features(shorter, DATA.x)[-1], features(NET, DATA.x)[1])
    with pytest.raises(ValueError, match=r"truncated: dropped=3 of 3 stages. Pass 0 .. 2"):
        transfer.truncated(NET, 3)
    assert parameters(BatchNorm(np.ones(4), np.ones(4), np.ones(4), np.ones(4))) == 8


def test_data_sets_made_from_others():
    small = few(DATA, 4, key=1)
    assert np.bincount(small.y).tolist() == [4, 4, 4]
    assert np.array_equal(few(DATA, 4, 1).x, small.x)
    assert not np.array_equal(few(DATA, 4, 2).x, small.x)
    taken, rest = split(DATA, 4, key=1)
    both = np.concatenate([taken.x, rest.x])
    assert np.array_equal(np.unique(both, axis=0), np.unique(DATA.x, axis=0))
    np.testing.assert_allclose(inverted(inverted(DATA)).x, DATA.x, atol=1e-5)
    assert inverted(DATA).x.min() == pytest.approx(DATA.x.min(), abs=1e-5)
    two = of_classes(DATA, [2, 0], "two")
    assert (two.K, np.bincount(two.y).tolist()) == (2, [20, 20])
    shifted = two.x[two.y == 0] - DATA.x[DATA.y == 2]
    assert np.ptp(shifted) < 1e-5
    more = augmented(DATA, noise)
    assert (len(more.y), more.y[:60].tolist()) == (240, DATA.y.tolist())
    assert np.std(more.x[:60] - DATA.x) == pytest.approx(0.5 * np.std(DATA.x), rel=0.2)
    image = np.zeros((50, 5, 5, 1))
    image[:, 2, 2] = 1.0
    moved = shift(image, np.random.default_rng(0))
    assert np.all(np.sum(moved, axis=(1, 2, 3)) == 1.0)
    assert set(np.argmax(moved.reshape(50, -1), axis=1)) == {6, 7, 8, 11, 12, 13, 16, 17, 18}
    for call, message in (
        (lambda: few(DATA, 21), "few: n=21, but the smallest class has 20 training samples. Pass"),
        (lambda: split(DATA, 20), "split: n=20 leaves a class empty. Pass"),
        (lambda: of_classes(DATA, [0, 3], "two"), r"of_classes: classes=\[0, 3\]. Pass two .* 0 .. 2"),
        (lambda: of_classes(DATA, [1, 1], "two"), r"of_classes: classes=\[1, 1\]. Pass two"),
        (lambda: shift(DATA.x, np.random.default_rng(0)), r"shift: samples have shape \(6,\), .* Pass"),
        (lambda: augmented(DATA, noise, -1), "augmented: key=-1"),
        (lambda: transfer.untrained(NET, -1), "untrained: key=-1"),
        (lambda: transfer.predict(tuned("probe"), DATA.x[:, :4]), "predict: the network does not take .* Pass"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_methods_are_those_of_the_table():
    assert {name: method(5, 2) for name, method in METHODS.items()}["scl"].skip == 2
    assert [(plan.first, plan.stop) for plan in (method(5, 2) for method in METHODS.values())] == [
        (5, 5),
        (2, 3),
        (2, 3),
        (5, 5),
        (0, 5),
        (0, 5),
    ]
