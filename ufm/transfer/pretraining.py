"""Backbones: networks pretrained on a source, with what may change how they transfer."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ufm.networks.data import Data
from ufm.networks.models import Network, with_statistics
from ufm.networks.train import Recipe, start, train
from ufm.transfer.backbones import features, truncated
from ufm.transfer.samples import COPIES, augmented
from ufm.transfer.scores import nc1


@dataclass(frozen=True, eq=False)
class Backbone:
    """How a network is pretrained.

    Attributes:
        label: for tables. cause: the group of what it changes, "" for none; against: label of the backbone of the same
            pool that it changes, "" for none.
        make: (shape, K, key=) -> Network. recipe: of its training.
        trained: False leaves it as it was drawn. dropped: stages that are cut off afterwards (a projection head).
        change: of each copy of a sample, see `augmented`; the epochs are then over 4 copies, a quarter as many.
        key: seed.
    """

    label: str
    make: Callable[..., Network]
    recipe: Recipe = field(default_factory=Recipe)
    trained: bool = True
    dropped: int = 0
    change: Callable[..., Any] | None = None
    key: int = 0
    cause: str = ""
    against: str = ""


def pretrain(backbone: Backbone, source: Data) -> Network:
    """The backbone trained on the source, its batch norms fixed to the source's statistics, its head cut off."""
    data, recipe = source, backbone.recipe
    if backbone.change is not None:
        data = augmented(source, backbone.change, backbone.key)
        recipe = replace(recipe, epochs=max(1, recipe.epochs // COPIES))
    run = start(backbone.make(source.shape, source.K, key=backbone.key), recipe, data, backbone.key)
    if backbone.trained:
        run = train(run, recipe, data)
    return truncated(with_statistics(run.network, source.x), backbone.dropped)


def source_nc1(network: Network, source: Data) -> float:
    """NC1 of the last features on the source's training set."""
    return nc1(features(network, source.x)[-1], source.y)


def as_arrays(network: Network) -> dict[str, np.ndarray]:
    """The numbers of a network, by name, to be stored."""
    leaves = jax.tree.leaves(eqx.filter(network.stages, eqx.is_array))
    return {f"stage_array_{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}


def from_stored(arrays: dict[str, Any], backbone: Backbone, source: Data) -> Network:
    """The network that `as_arrays` was given, with a classifier of no meaning."""
    blank = backbone.make(source.shape, source.K, key=backbone.key)
    like = truncated(with_statistics(blank, source.x[:2]), backbone.dropped)
    kept, static = eqx.partition(like.stages, eqx.is_array)
    tree = jax.tree.structure(kept)
    leaves = [jnp.asarray(arrays[f"stage_array_{i}"]) for i in range(tree.num_leaves)]
    return Network(eqx.combine(jax.tree.unflatten(tree, leaves), static), like.head, like.names)
