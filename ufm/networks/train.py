"""Training to the terminal phase: SGD with Nesterov momentum, cosine rate and weight decay on every parameter.

    objective = mean_i loss(z_i, y_i) + decay/2 |parameters|^2

A Run is a value: `train` takes one and returns the one that it becomes, so that recording, checkpoints and resuming
are the caller's loop or callback. The order of samples in epoch e depends on (key, e) alone: a run that is resumed
gives the digits of one that never stopped.
"""

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from ufm.checks import as_real, positive, whole
from ufm.losses.cross_entropy import CrossEntropy
from ufm.networks.data import Data
from ufm.networks.models import Network


@dataclass(frozen=True)
class Recipe:
    """How to train. The defaults collapse batch-norm networks on some thousand samples in about 3000 steps.

    Attributes:
        epochs: passes over the training set; batches are of `batch` samples (or all, if there are fewer), and the
            remainder of a shuffled epoch is left out of it.
        rate: of the first step, falls to 0 by a cosine. momentum: Nesterov's. decay: of every parameter.
        loss: ufm.CrossEntropy(), ufm.MSE(), ... or any (Z [K, B], Y [K, B]) -> [B].
    """

    epochs: int = 300
    batch: int = 128
    rate: float = 0.05
    momentum: float = 0.9
    decay: float = 5e-3
    loss: Any = field(default_factory=CrossEntropy)


@dataclass(frozen=True, eq=False)
class Run:
    """A network in training.

    Attributes:
        network: as trained so far; its batch norms use their batch (see `with_statistics` for measuring).
        momentum: the optimiser's state. epoch: how many are done. key: seed of the order of samples.
        loss: mean of the batches' losses in the last epoch, without decay; NaN before the first.
    """

    network: Network
    momentum: Any
    epoch: int
    key: int
    loss: float


def start(network: Network, recipe: Recipe, data: Data, key: int = 0) -> Run:
    """The run before its first step.

    Raises:
        TypeError, ValueError: a recipe, key or data that cannot work.
    """
    _check(recipe, network, data)
    key = whole(key, "key", "train", 0, "a seed")
    arrays = eqx.filter(network, eqx.is_array)
    return Run(network, _optimiser(recipe, 0.0).init(arrays), 0, key, float("nan"))


def train(
    run: Run, recipe: Recipe, data: Data, *, until: int | None = None, progress: Callable[[Run], None] | None = None
) -> Run:
    """The run after epoch `until` (default recipe.epochs: the end).

    Args:
        progress: called with the Run after each epoch: to report it, to measure it, or to `save` it.
    Raises:
        TypeError, ValueError: a recipe or data that cannot work; `until` beyond recipe.epochs.
        FloatingPointError: the loss is not finite.
    """
    _check(recipe, run.network, data)
    until = recipe.epochs if until is None else whole(until, "until", "train", run.epoch, "the run is there already")
    if until > recipe.epochs:
        raise ValueError(f"train: until={until} is beyond recipe.epochs={recipe.epochs}. Pass a longer recipe.")
    size = min(recipe.batch, len(data.y))
    steps = len(data.y) // size
    x, Y = jnp.asarray(data.x), jnp.asarray(np.eye(data.K, dtype=np.float32)[data.y])
    network, momentum = run.network, run.momentum
    for epoch in range(run.epoch, until):
        order = np.random.default_rng([run.key, epoch]).permutation(len(data.y)).astype(np.int32)
        done = (epoch * steps + np.arange(steps)) / (recipe.epochs * steps)
        rates = (recipe.rate * 0.5 * (1.0 + np.cos(np.pi * done))).astype(np.float32)
        losses = []
        for i, rate in enumerate(rates):
            index = order[i * size : (i + 1) * size]
            network, momentum, loss = _step(network, momentum, x, Y, index, rate, recipe)
            losses.append(loss)
        mean = float(np.mean(jax.device_get(losses), dtype=np.float64))
        if not np.isfinite(mean):
            raise FloatingPointError(
                f"train: the loss is {mean} in epoch {epoch + 1}. Lower recipe.rate={recipe.rate}."
            )
        run = Run(network, momentum, epoch + 1, run.key, mean)
        if progress is not None:
            progress(run)
    return run


def save(path: str | Path, run: Run) -> None:
    """Write the run to `path` (.npz, arrays and no pickle), whole or not at all."""
    path = Path(path)
    leaves = jax.tree.leaves((eqx.filter(run.network, eqx.is_array), run.momentum))
    header = json.dumps({"epoch": run.epoch, "key": run.key, "loss": run.loss})
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.savez(file, np.array(header), *(np.asarray(leaf) for leaf in leaves))
    partial.replace(path)


def load(path: str | Path, like: Run) -> Run:
    """The run that was saved to `path`.

    Args:
        like: a run of the same network and recipe, such as `start` gives.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file holds another network or no run.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"load: there is no file {path.name} in {path.parent.resolve()}. Pass one from `save`.")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"load: {path} is no .npz file. Pass one that `save` wrote.")
    arrays, static = eqx.partition(like.network, eqx.is_array)
    leaves, tree = jax.tree.flatten((arrays, like.momentum))
    with np.load(path, allow_pickle=False) as file:
        stored = [file[f"arr_{i}"] for i in range(len(file.files)) if f"arr_{i}" in file.files]
    if [part.shape for part in stored[1:]] != [leaf.shape for leaf in leaves]:
        raise ValueError(
            f"load: {path} holds {len(stored)} arrays that do not fit the {len(leaves)} of this network. "
            "Pass a run of the network that was saved."
        )
    header = json.loads(str(stored[0]))
    arrays, momentum = jax.tree.unflatten(tree, [jnp.asarray(leaf) for leaf in stored[1:]])
    return Run(eqx.combine(arrays, static), momentum, **header)


def _optimiser(recipe: Recipe, rate: Any) -> optax.GradientTransformation:
    return optax.chain(
        optax.add_decayed_weights(recipe.decay), optax.sgd(rate, momentum=recipe.momentum, nesterov=True)
    )


# Called from a Python loop: inside lax.scan XLA's convolutions on a CPU are 50 times slower.
@eqx.filter_jit
def _step(
    network: Network, momentum: Any, x: Any, Y: Any, index: Any, rate: Any, recipe: Recipe
) -> tuple[Network, Any, jax.Array]:
    """One step on the samples `index`; the recipe is static."""
    arrays, static = eqx.partition(network, eqx.is_array)

    def objective(arrays: Any) -> jax.Array:
        return jnp.mean(recipe.loss(eqx.combine(arrays, static)(x[index]).T, Y[index].T))

    value, gradient = jax.value_and_grad(objective)(arrays)
    updates, momentum = _optimiser(recipe, rate).update(gradient, momentum, arrays)
    moved: Any = optax.apply_updates(arrays, updates)
    return eqx.combine(moved, static), momentum, value


def _check(recipe: Recipe, network: Network, data: Data) -> None:
    if not isinstance(recipe, Recipe):
        raise TypeError(f"train: recipe={recipe!r} is not a Recipe. Pass ufm.networks.Recipe(epochs=...).")
    if not isinstance(data, Data):
        raise TypeError(
            f"train: data is a {type(data).__name__}, not Data. Build one with ufm.networks.from_arrays(...)."
        )
    whole(recipe.epochs, "epochs", "train", 1, "no step would be made")
    whole(recipe.batch, "batch", "train", 2, "batch norm needs two samples")
    positive(recipe.rate, "rate", "train")
    for name, value, above in (("momentum", recipe.momentum, 1.0), ("decay", recipe.decay, np.inf)):
        number = as_real(value)
        if number is None or not 0.0 <= number < above:
            raise ValueError(f"train: {name}={value!r} is not in [0, {above:g}). Pass a number in it.")
    if not callable(recipe.loss):
        raise TypeError(f"train: loss={recipe.loss!r} is not callable. Pass ufm.CrossEntropy() or ufm.MSE().")
    y = np.asarray(data.y)
    if y.dtype.kind not in "iu" or y.shape != data.x.shape[:1] or y.size < 2 or y.min() < 0 or y.max() >= data.K:
        raise ValueError(
            f"train: x has shape {data.x.shape}, y shape {y.shape} and type {y.dtype}. "
            f"Pass two samples or more, and a label in 0 .. {data.K - 1} for each; from_arrays numbers them."
        )
    if len(network.head.bias) != data.K:
        raise ValueError(
            f"train: the network has {len(network.head.bias)} classes, the data {data.K}. Pass the same K."
        )
