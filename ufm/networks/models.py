"""Reference networks: a stage for each layer that is measured, and an affine classifier on the last one's features.

    mlp             affine, norm, ReLU                                              vectors and images
    hybrid          the same, then affine layers without ReLU                       vectors and images
    convolutional   3x3 convolutions, norm, ReLU; the second half at half size      images
    residual        blocks x + f(x) of convolutions, or of affine layers            images, or vectors
    transformer     patches, then pre-norm attention and an MLP for each block      images

Batch norm is the default where it is an option: plain networks with cross-entropy do not collapse (see
`ufm.networks.low_rank`), and the transformer has layer norm.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np

from ufm.checks import whole
from ufm.networks.layers import (
    Affine,
    Attention,
    Chain,
    Patches,
    Residual,
    affine,
    batch_norm,
    conv,
    fix_statistics,
    flatten,
    layer_norm,
    pool,
)

Norm = Callable[[int], Any]  # width -> layer: batch_norm, layer_norm, no_norm
relu = jax.nn.relu


class Network(eqx.Module):
    """Stages with names, and a classifier z = W h + b on the features h of the last one.

    Attributes:
        stages: maps of batches; names: one for each.
        head: weight W [K, d], bias b [K].
    """

    stages: tuple[Chain, ...]
    head: Affine
    names: tuple[str, ...] = eqx.field(static=True)

    def __call__(self, x: Any) -> jax.Array:
        """Logits [B, K] of a batch x [B, ...]."""
        for stage in self.stages:
            x = stage(x)
        return self.head(pool(x))

    def taps(self, x: Any) -> dict[str, jax.Array]:
        """{name: [B, d]} features after each stage: images and tokens as means over their places, as PNC papers do.

        The last are those that the classifier sees. Compiled already; jax.jit would sort the names of a dict.
        """
        return dict(zip(self.names, _features(self, x), strict=True))


@eqx.filter_jit
def _features(network: Network, x: Any) -> tuple[jax.Array, ...]:
    found = []
    for stage in network.stages:
        x = stage(x)
        found.append(pool(x))
    return tuple(found)


@eqx.filter_jit
def with_statistics(network: Network, x: Any) -> Network:
    """`network` with every batch norm's mean and variance fixed to those of the samples x [N, ...], exactly.

    What is measured is then a function of one sample at a time, whatever the batches. One pass over x, at once.
    """
    stages = []
    for stage in network.stages:
        stage, x = fix_statistics(stage, x)
        stages.append(stage)
    return Network(tuple(stages), network.head, network.names)


def mlp(
    shape: Sequence[int], K: int, *, depth: int = 5, width: int = 128, norm: Norm = batch_norm, key: int = 0
) -> Network:
    """`depth` layers relu(norm(W x + b)); images are flattened.

    Args:
        shape: of one sample, such as (64,) or (8, 8, 1). K: classes.
        norm: batch_norm, layer_norm or no_norm of this module's layers. key: seed of the weights.
    Raises:
        TypeError, ValueError: a size that is no positive integer.
    """
    return _dense("mlp", shape, K, depth, 0, width, norm, key)


def hybrid(
    shape: Sequence[int],
    K: int,
    *,
    depth: int = 3,
    linear: int = 2,
    width: int = 128,
    norm: Norm = batch_norm,
    key: int = 0,
) -> Network:
    """`depth` layers relu(norm(W x + b)), then `linear` layers norm(W x + b): a nonlinear map, then a linear head.

    With batch norm and linear > 0 the features are a batch norm's output, and the network's objective is bounded by
    an unconstrained feature model's with lam_H = decay / N (see `ufm.networks.last_layer`).
    """
    return _dense("hybrid", shape, K, depth, linear, width, norm, key)


def convolutional(shape: Sequence[int], K: int, *, depth: int = 4, width: int = 16, key: int = 0) -> Network:
    """`depth` layers relu(batch_norm(conv 3x3)); halfway the image shrinks by two and the channels double."""
    (_, _, channels), K, rng = _images("convolutional", shape, K, key)
    whole(depth, "depth", "convolutional", 1, "a network needs a layer")
    whole(width, "width", "convolutional", 1, "features need a dimension")
    stages = []
    for layer in range(depth):
        stride = 2 if layer == (depth + 1) // 2 else 1
        out = width if layer < (depth + 1) // 2 else 2 * width
        stages.append(Chain((conv(rng, 3, channels, out, stride), batch_norm(out), relu)))
        channels = out
    return _network(rng, stages, channels, K)


def residual(shape: Sequence[int], K: int, *, blocks: int = 4, width: int = 16, key: int = 0) -> Network:
    """A stem, then blocks relu(f(x) + x), f two layers with batch norm: of convolutions, or affine for vectors.

    For images the channels double and the size halves at block blocks // 2 + 1, where x passes a 1x1 convolution.
    """
    shape, K, rng = _checked("residual", shape, K, key)
    whole(blocks, "blocks", "residual", 1, "a network needs a block")
    whole(width, "width", "residual", 1, "features need a dimension")
    images, d = len(shape) == 3, width
    if images:
        stages = [Chain((conv(rng, 3, shape[2], d), batch_norm(d), relu))]
    else:
        stages = [Chain((flatten, affine(rng, d, int(np.prod(shape))), batch_norm(d), relu))]
    for block in range(blocks):
        if not images:
            inner = (affine(rng, d, d), batch_norm(d), relu, affine(rng, d, d), batch_norm(d))
            stages.append(Chain((Residual(Chain(inner), Chain(())), relu)))
            continue
        narrows = block == blocks // 2
        stride, out = (2, 2 * d) if narrows else (1, d)
        inner = (conv(rng, 3, d, out, stride), batch_norm(out), relu, conv(rng, 3, out, out), batch_norm(out))
        shortcut = (conv(rng, 1, d, out, stride), batch_norm(out)) if narrows else ()
        stages.append(Chain((Residual(Chain(inner), Chain(shortcut)), relu)))
        d = out
    return _network(rng, stages, d, K, first="stem", other="block")


def transformer(
    shape: Sequence[int],
    K: int,
    *,
    blocks: int = 3,
    width: int = 64,
    heads: int = 4,
    side: int = 4,
    norm: Norm = layer_norm,
    key: int = 0,
) -> Network:
    """Patches of side x side pixels, then blocks x + attention(norm(x)), x + mlp(norm(x)); the last ends in a norm.

    Raises:
        ValueError: `side` does not divide the image, or `heads` the width.
    """
    (h, w, channels), K, rng = _images("transformer", shape, K, key)
    whole(blocks, "blocks", "transformer", 1, "a network needs a block")
    side, heads = (
        whole(side, "side", "transformer", 1, "pixels"),
        whole(heads, "heads", "transformer", 1, "of attention"),
    )
    if h % side or w % side:
        raise ValueError(f"transformer: side={side} does not divide the image {h} x {w}. Pass a common divisor.")
    if width % heads:
        raise ValueError(f"transformer: heads={heads} does not divide width={width}. Pass a divisor.")
    tokens = (h // side) * (w // side)
    position = affine(rng, tokens, width, gain=0.02**2 * width).weight
    stages = [Chain((Patches(affine(rng, width, side * side * channels, 1.0), position, side),))]
    for block in range(blocks):
        attention = Chain(
            (norm(width), Attention(affine(rng, 3 * width, width, 1.0), affine(rng, width, width, 1.0), heads))
        )
        widen = (affine(rng, 2 * width, width), jax.nn.gelu, affine(rng, width, 2 * width, 1.0))
        last = (norm(width),) if block == blocks - 1 else ()
        dense = Residual(Chain((norm(width), *widen)), Chain(()))
        stages.append(Chain((Residual(attention, Chain(())), dense, *last)))
    return _network(rng, stages, width, K, first="patches", other="block")


def _dense(
    who: str, shape: Sequence[int], K: int, depth: int, linear: int, width: int, norm: Norm, key: int
) -> Network:
    """`depth` layers with a ReLU, then `linear` ones without."""
    sizes, K, rng = _checked(who, shape, K, key)
    whole(depth, "depth", who, 1, "a network needs a layer")
    whole(linear, "linear", who, 0, "a number of layers")
    whole(width, "width", who, 1, "features need a dimension")
    stages, d = [], int(np.prod(sizes))
    for layer in range(depth + linear):
        first = (flatten,) if layer == 0 else ()
        last = (relu,) if layer < depth else ()
        stages.append(Chain((*first, affine(rng, width, d), norm(width), *last)))
        d = width
    return _network(rng, stages, d, K)


def _network(
    rng: np.random.Generator, stages: list[Chain], d: int, K: int, first: str | None = None, other: str = "layer"
) -> Network:
    """Names and a classifier for the stages: `first` and other1, other2, ..., or other1, ... for all."""
    numbers = range(1, len(stages) + 1) if first is None else range(len(stages))
    names = tuple(first if first is not None and i == 0 else f"{other}{i}" for i in numbers)
    return Network(tuple(stages), affine(rng, K, d, 1.0), names)


def _checked(who: str, shape: Sequence[int], K: int, key: int) -> tuple[tuple[int, ...], int, np.random.Generator]:
    sizes = tuple(whole(size, "a size in shape", who, 1, "a sample has entries") for size in shape)
    if not sizes:
        raise ValueError(f"{who}: shape=() has no axis. Pass the shape of one sample, such as (64,) or (8, 8, 1).")
    K = whole(K, "K", who, 2, "classes to tell apart")
    return sizes, K, np.random.default_rng(whole(key, "key", who, 0, "a seed"))


def _images(who: str, shape: Sequence[int], K: int, key: int) -> tuple[tuple[int, ...], int, np.random.Generator]:
    sizes, K, rng = _checked(who, shape, K, key)
    if len(sizes) != 3:
        raise ValueError(f"{who}: shape={sizes} is not that of an image. Pass (height, width, channels), or use mlp.")
    return sizes, K, rng
