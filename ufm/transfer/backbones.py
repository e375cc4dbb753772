"""A network taken as a backbone: fewer stages, fresh weights, and the features of large sets."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ufm.checks import whole
from ufm.networks.layers import (
    Affine,
    Attention,
    BatchNorm,
    Chain,
    Conv,
    LayerNorm,
    Patches,
    Residual,
    affine,
    batch_norm,
    conv,
    layer_norm,
)
from ufm.networks.models import Network

BATCH = 1024  # samples of which features are taken at once


def features(network: Network, x: np.ndarray) -> list[np.ndarray]:
    """[L] features [N, d_l] after each stage, as `network.taps`, in pieces."""
    parts = [[np.asarray(H) for H in network.taps(x[i : i + BATCH]).values()] for i in range(0, len(x), BATCH)]
    return [np.concatenate(layer) for layer in zip(*parts, strict=True)]


def check_fit(network: Network, x: np.ndarray, who: str) -> None:
    """ValueError unless the network takes samples of this shape."""
    try:
        features(network, x[:2])
    except (TypeError, ValueError) as error:
        told = f"{who}: the network does not take samples of shape {x.shape[1:]} ({str(error).splitlines()[0]})."
        raise ValueError(f"{told} Pass data of the shape that it was trained on.") from error


def truncated(network: Network, dropped: int) -> Network:
    """The network without its last `dropped` stages (a projection head). Its classifier fits no more: for transfer.

    Raises:
        ValueError: no stage would be left.
    """
    L = len(network.stages)
    if not 0 <= whole(dropped, "dropped", "truncated", 0, "a number of stages") < L:
        raise ValueError(f"truncated: dropped={dropped} of {L} stages. Pass 0 .. {L - 1}.")
    return Network(network.stages[: L - dropped], network.head, network.names[: L - dropped])


def is_norm(layer: Any) -> bool:
    """Whether this is a batch norm: a leaf for the maps below, as its statistics are no parameters."""
    return isinstance(layer, BatchNorm)


def has_open_norms(tree: Any) -> bool:
    """Whether a batch norm still takes the statistics of its batch, so that a feature depends on other samples."""
    return any(is_norm(leaf) and leaf.mean is None for leaf in jax.tree.leaves(tree, is_leaf=is_norm))


def opened(layer: Any) -> Any:
    """The same layer, its batch norms taking the statistics of their batch; the inverse of `fix_statistics`."""
    if isinstance(layer, BatchNorm):
        return BatchNorm(layer.scale, layer.shift)
    if isinstance(layer, Chain):
        return Chain(tuple(map(opened, layer.layers)))
    if isinstance(layer, Residual):
        return Residual(opened(layer.inner), opened(layer.shortcut))
    return layer  # where `fix_statistics` does not look, statistics stay


def untrained(network: Network, key: int = 0) -> Network:
    """A network of the same stages with the random weights that it would have before training.

    The control of every claim that pretraining helps. Batch norms are open: `with_statistics` fixes them.

    Raises:
        TypeError: a layer that is not of ufm.networks: pass your own untrained network where one is asked for.
        ValueError: a negative key.
    """
    rng = np.random.default_rng(whole(key, "key", "untrained", 0, "a seed"))
    stages = tuple(_fresh(stage, rng) for stage in network.stages)
    return Network(stages, _fresh(network.head, rng, 1.0), network.names)


def _fresh(layer: Any, rng: np.random.Generator, gain: float = 2.0) -> Any:
    if isinstance(layer, Affine):
        out, width = layer.weight.shape
        return affine(rng, out, width, gain)
    if isinstance(layer, Conv):
        side, _, width, out = layer.kernel.shape
        return conv(rng, side, width, out, layer.stride)
    if isinstance(layer, BatchNorm):
        return batch_norm(len(layer.scale))
    if isinstance(layer, LayerNorm):
        return layer_norm(len(layer.scale))
    if isinstance(layer, Attention):
        return Attention(_fresh(layer.mix, rng, 1.0), _fresh(layer.out, rng, 1.0), layer.heads)
    if isinstance(layer, Patches):
        position = 0.02 * rng.standard_normal(layer.position.shape)
        return Patches(_fresh(layer.embed, rng, 1.0), jnp.asarray(position, jnp.float32), layer.side)
    if isinstance(layer, Chain):
        return Chain(tuple(_fresh(inner, rng) for inner in layer.layers))
    if isinstance(layer, Residual):
        return Residual(_fresh(layer.inner, rng), _fresh(layer.shortcut, rng))
    if jax.tree.leaves(eqx.filter(layer, eqx.is_array)):
        raise TypeError(
            f"untrained: {type(layer).__name__} is no layer of ufm.networks, so its random weights are not known. "
            "Pass untrained=, a network before its training."
        )
    return layer
