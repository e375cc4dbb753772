"""Reference networks and their layers, against dense oracles and the identities that define them."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate2d

from ufm.networks import (
    Network,
    convolutional,
    hybrid,
    layer_norm,
    mlp,
    no_norm,
    residual,
    transformer,
    with_statistics,
)
from ufm.networks.layers import Attention, Patches, affine, batch_norm, conv

IMAGE, K = (8, 8, 1), 3
NETWORKS = {
    "mlp": (mlp(IMAGE, K, depth=2, width=6), ("layer1", "layer2"), 6),
    "plain": (mlp((5,), K, depth=2, width=6, norm=no_norm), ("layer1", "layer2"), 6),
    "layer norm": (mlp((5,), K, depth=1, width=6, norm=layer_norm), ("layer1",), 6),
    "hybrid": (hybrid(IMAGE, K, depth=1, linear=2, width=6), ("layer1", "layer2", "layer3"), 6),
    "convolutional": (convolutional(IMAGE, K, depth=2, width=4), ("layer1", "layer2"), 8),
    "residual": (residual(IMAGE, K, blocks=2, width=4), ("stem", "block1", "block2"), 8),
    "residual of vectors": (residual((5,), K, blocks=1, width=4), ("stem", "block1"), 4),
    "transformer": (transformer(IMAGE, K, blocks=2, width=8, heads=2), ("patches", "block1", "block2"), 8),
}
logits_of = eqx.filter_jit(Network.__call__)
each = pytest.mark.parametrize(("network", "names", "d"), NETWORKS.values(), ids=NETWORKS)
EPS = float(np.finfo(np.float32).eps)


def samples(network: Any, N: int = 5) -> np.ndarray:
    shape = (
        (5,)
        if network in (NETWORKS["plain"][0], NETWORKS["layer norm"][0], NETWORKS["residual of vectors"][0])
        else IMAGE
    )
    return np.random.default_rng(0).standard_normal((N, *shape)).astype(np.float32)


@each
def test_the_classifier_reads_the_last_tap(network, names, d):
    x = samples(network)
    found = network.taps(x)
    assert tuple(found) == names
    assert found[names[-1]].shape == (5, d)
    assert all(H.ndim == 2 for H in found.values())
    W, b = np.asarray(network.head.weight), np.asarray(network.head.bias)
    logits = np.asarray(logits_of(network, x))
    assert logits.shape == (5, K)
    np.testing.assert_allclose(np.asarray(found[names[-1]]) @ W.T + b, logits, atol=32 * EPS * np.abs(logits).max())


@each
def test_fixed_statistics_are_those_of_the_samples(network, names, d):
    """On these samples nothing changes; and each is then a function of itself alone."""
    x = samples(network)
    fixed = with_statistics(network, x)
    logits = np.asarray(logits_of(network, x))
    tolerance = 1000 * EPS * np.abs(logits).max()  # a variance of few samples passes its rounding on, layer by layer
    np.testing.assert_allclose(np.asarray(logits_of(fixed, x)), logits, atol=tolerance)
    np.testing.assert_allclose(np.asarray(logits_of(fixed, x[:2])), logits[:2], atol=tolerance)


def test_without_them_a_batch_norm_sees_its_batch():
    network, x = NETWORKS["mlp"][0], samples(NETWORKS["mlp"][0])
    assert np.max(np.abs(np.asarray(logits_of(network, x[:2])) - np.asarray(logits_of(network, x))[:2])) > 1e-2


def test_batch_norm_by_hand():
    x = np.random.default_rng(0).normal(3.0, [1.0, 1e-3], (50, 2))
    found = np.asarray(batch_norm(2)(jnp.asarray(x, jnp.float32)))
    variance = np.var(x, axis=0)
    np.testing.assert_allclose(found, (x - x.mean(axis=0)) / np.sqrt(variance + 1e-5), atol=1e-3)
    np.testing.assert_allclose(np.var(found, axis=0), variance / (variance + 1e-5), rtol=1e-3)


def test_layer_norm_by_hand():
    x = np.random.default_rng(0).normal(3.0, 2.0, (4, 7))
    expected = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(np.asarray(layer_norm(7)(jnp.asarray(x, jnp.float32))), expected, atol=1e-5)


def test_conv_is_correlation_with_zero_padding():
    rng = np.random.default_rng(0)
    layer, x = conv(rng, 3, 2, 3), rng.standard_normal((2, 5, 6, 2)).astype(np.float32)
    kernel, found = np.asarray(layer.kernel), np.asarray(layer(x))
    for i in range(2):
        for out in range(3):
            expected = sum(correlate2d(x[i, :, :, c], kernel[:, :, c, out], mode="same") for c in range(2))
            np.testing.assert_allclose(found[i, :, :, out], expected, atol=1e-5)


def test_attention_by_hand():
    rng = np.random.default_rng(0)
    layer = Attention(affine(rng, 12, 4), affine(rng, 4, 4), 2)
    x = rng.standard_normal((1, 3, 4)).astype(np.float32)
    q, k, v = np.split(x[0] @ np.asarray(layer.mix.weight).T, 3, axis=1)
    heads = []
    for columns in (slice(0, 2), slice(2, 4)):
        weights = np.exp(q[:, columns] @ k[:, columns].T / np.sqrt(2.0))
        heads.append(weights / weights.sum(axis=1, keepdims=True) @ v[:, columns])
    expected = np.hstack(heads) @ np.asarray(layer.out.weight).T
    np.testing.assert_allclose(np.asarray(layer(x))[0], expected, atol=1e-5)


def test_patches_are_squares_of_pixels():
    x = np.arange(16.0, dtype=np.float32).reshape(1, 4, 4, 1)
    identity = affine(np.random.default_rng(0), 4, 4)
    identity = type(identity)(jnp.eye(4), identity.bias)
    found = np.asarray(Patches(identity, jnp.zeros((4, 4)), 2)(x))[0]
    np.testing.assert_array_equal(found, [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]])


def test_seeds_decide_the_weights():
    same, other = mlp((5,), K, width=4, key=1), mlp((5,), K, width=4, key=2)
    np.testing.assert_array_equal(same.head.weight, mlp((5,), K, width=4, key=1).head.weight)
    assert np.any(np.asarray(same.head.weight) != np.asarray(other.head.weight))


@pytest.mark.parametrize(
    ("call", "needle"),
    [
        (lambda: mlp((), K), "mlp: shape=() has no axis"),
        (lambda: hybrid((5,), K, depth=0), "hybrid: depth=0"),
        (lambda: hybrid((5,), K, linear=-1), "hybrid: linear=-1"),
        (lambda: mlp((5,), 1), "K=1 (classes to tell apart)"),
        (lambda: convolutional((5,), K), "convolutional: shape=(5,) is not that of an image"),
        (lambda: convolutional(IMAGE, K, width=0), "convolutional: width=0"),
        (lambda: residual(IMAGE, K, blocks=0), "residual: blocks=0"),
        (lambda: transformer(IMAGE, K, side=3), "transformer: side=3 does not divide the image 8 x 8"),
        (lambda: transformer(IMAGE, K, heads=5), "transformer: heads=5 does not divide width=64"),
    ],
)
def test_sizes_that_cannot_be_are_refused(call, needle):
    with pytest.raises(ValueError, match=r"Pass|use mlp") as caught:
        call()
    assert needle in str(caught.value)
