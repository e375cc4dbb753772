"""Adam on the first stages of a part of a network and on its head, from features that are kept."""

import time
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from ufm.losses.cross_entropy import CrossEntropy
from ufm.networks.layers import Affine, BatchNorm
from ufm.networks.models import Network, with_statistics
from ufm.transfer.backbones import BATCH, features, has_open_norms, is_norm


@dataclass(frozen=True, eq=False)
class Part:
    """The stages after a frozen prefix: the first `tuned` of them are trained, the others are frozen again."""

    network: Network
    tuned: int


def advance(stages: tuple[Any, ...], x: np.ndarray) -> np.ndarray:
    """The output of these stages for the samples x [N, ...], not pooled, in pieces; x itself for no stage."""
    if not stages:
        return x
    return np.concatenate([np.asarray(_through(stages, x[i : i + BATCH])) for i in range(0, len(x), BATCH)])


def features_of(network: Network, x: np.ndarray, skip: int | None) -> np.ndarray:
    """[N, d] what the head sees: the last features, with those of stage `skip` added if it is not None."""
    layers = features(network, x)
    return layers[-1] if skip is None else np.asarray(added(layers[-1], layers[skip]))


def added(h: Any, v: Any) -> Any:
    """h + v for [N, d] and [N, d'], the narrower one filled up with zeros."""
    d = max(h.shape[1], v.shape[1])
    return _padded(h, d) + _padded(v, d)


def parameters(tree: Any) -> int:
    """How many numbers of a tree of layers are parameters; statistics of batch norms are none."""
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(tree, _mask(tree))))


def adapt(
    part: Part, u: np.ndarray, y: np.ndarray, K: int, skip: int | None, rate: float, steps: int, batch: int, key: int
) -> tuple[Network, float]:
    """The part after `steps` of Adam with a cosine rate on the mean cross-entropy, from a head of zeros.

    Args:
        u: [N, ...] inputs of the part. y: [N] in 0 .. K-1. skip: stage of the part that is added to its last, or None.
    Returns:
        The part, open batch norms fixed to the statistics of u, and the seconds that the steps took.
    Raises:
        FloatingPointError: the loss is not finite.
    """
    d = _width(part.network, u[:1] if not has_open_norms(part.network) else u[:2], skip)
    head = Affine(jnp.zeros((K, d), jnp.float32), jnp.zeros(K, jnp.float32))
    network = Network(part.network.stages, head, part.network.names)
    mask = Network(
        tuple(_mask(stage) if i < part.tuned else _none(stage) for i, stage in enumerate(network.stages)),
        _mask(head),
        network.names,
    )
    trained, fixed = eqx.partition(network, mask)
    state = optax.adam(1.0).init(eqx.filter(trained, eqx.is_array))
    Y, size = np.eye(K, dtype=np.float32)[y], min(batch, len(y))
    kept, labels = jnp.asarray(u), jnp.asarray(Y)
    rates = (rate * 0.5 * (1.0 + np.cos(np.pi * np.arange(steps) / steps))).astype(np.float32)
    _step(trained, fixed, state, kept[:size], labels[:size], rates[0], skip)  # compiled, and thrown away
    clock, loss = time.perf_counter(), jnp.zeros(())
    for t in range(steps):
        index = slice(None) if size == len(y) else np.random.default_rng([key, t]).permutation(len(y))[:size]
        trained, state, loss = _step(trained, fixed, state, kept[index], labels[index], rates[t], skip)
    last = float(loss)
    if not np.isfinite(last):
        raise FloatingPointError(f"finetune: the loss is {last} after {steps} steps. Lower the rate {rate}.")
    seconds = time.perf_counter() - clock
    found: Network = eqx.combine(trained, fixed)
    return (with_statistics(found, kept) if has_open_norms(found) else found), seconds


@eqx.filter_jit
def _step(
    trained: Any, fixed: Any, state: Any, u: Any, Y: Any, rate: Any, skip: int | None
) -> tuple[Any, Any, jax.Array]:
    """One step; what is fixed is an argument, since a compiler that folds constants would stall on it."""

    def objective(trained: Any) -> jax.Array:
        network: Network = eqx.combine(trained, fixed)
        layers = list(network.taps(u).values())
        h = layers[-1] if skip is None else added(layers[-1], layers[skip])
        return jnp.mean(CrossEntropy()(network.head(h).T, Y.T))

    value, gradient = jax.value_and_grad(objective)(trained)
    updates, state = optax.adam(rate).update(gradient, state, trained)
    return optax.apply_updates(trained, updates), state, value


@eqx.filter_jit
def _through(stages: tuple[Any, ...], x: Any) -> jax.Array:
    for stage in stages:
        x = stage(x)
    return x


def _width(network: Network, u: np.ndarray, skip: int | None) -> int:
    layers = list(network.taps(u).values())
    return max(layers[-1].shape[1], 0 if skip is None else layers[skip].shape[1])


def _padded(h: Any, d: int) -> Any:
    return h if h.shape[1] == d else jnp.pad(h, ((0, 0), (0, d - h.shape[1])))


def _mask(tree: Any) -> Any:
    """True for the parameters of a tree of layers, False for the rest."""

    def of(layer: Any) -> Any:
        if not is_norm(layer):
            return eqx.is_array(layer)
        return BatchNorm(True, True, *(None if layer.mean is None else False for _ in range(2)))

    return jax.tree.map(of, tree, is_leaf=is_norm)


def _none(tree: Any) -> Any:
    return jax.tree.map(lambda _: False, tree)
