"""Experiments on real networks. Each returns data; `ufm.figures.networks` has the picture of each.

collapse_over_epochs   NC1-NC4 on the training and on the test set while a network trains
progressive_collapse   every layer of a trained network, with log-linear fits and the effective depth
last_layer             the trained last layer beside the unconstrained feature model's global minimum
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ufm.certify.certificate import Certificate, certify
from ufm.collapse import Collapse, collapse
from ufm.metrics.layers import LogLinear, effective_depth, log_linear
from ufm.models import Bilinear, relu_features
from ufm.networks.data import Data
from ufm.networks.files import batches
from ufm.networks.layers import BatchNorm
from ufm.networks.models import Network, with_statistics
from ufm.networks.probes import Layers, measure_layers
from ufm.networks.train import Recipe, Run, start, train
from ufm.precision import exact
from ufm.problem import Params, Problem
from ufm.reduction import lift_params, merge
from ufm.solve import Solution, solve

_logits = eqx.filter_jit(Network.__call__)


@dataclass(frozen=True, eq=False)
class Course:
    """A training, measured.

    Attributes:
        name: of the data. epochs: [T]. loss: [T] mean over the training set, without decay.
        train, test: [T] Collapse of the last layer and the classifier on each set, each about its own class means.
        run: as it ended.
    """

    name: str
    epochs: np.ndarray
    loss: np.ndarray
    train: tuple[Collapse, ...]
    test: tuple[Collapse, ...]
    run: Run


@dataclass(frozen=True, eq=False)
class Progressive:
    """The layers of a trained network.

    Attributes:
        name: of the data. train, test: every layer on each set, each about its own class means.
        trace_ratio, separation: log-linear fits over the training set's layers.
        depth: effective depth, the first layer (from 1) whose nearest class mean misses at most 1 % of the training
            set; the last one if there is none.
    """

    name: str
    train: Layers
    test: Layers
    trace_ratio: LogLinear
    separation: LogLinear
    depth: int


@dataclass(frozen=True, eq=False)
class LastLayer:
    """A trained last layer and the global minimum of the unconstrained feature model with its decays.

    Where a batch norm with scale s and shift t makes the features, on the training set whose statistics it has,
    |H|_F^2 / N <= |s|^2 + |t|^2, with equality if neither a ReLU nor pooling follows (and for variances far above
    the 1e-5 that it adds). So the decay of s and t acts as lam_H = decay / N on H, and

        objective >= loss + decay/2 (|W|^2 + |b|^2 + |s|^2 + |t|^2) >= f(W, H, b) >= f*:

    no training can bring the network's objective below f*, which `certificate` proves. Of the weights before a
    batch norm only the direction matters, so that their decay can be small. Derived for this project.

    Attributes:
        problem: K, n, d of the network; lam_W = lam_b = decay, lam_H = decay / N; features >= 0 after a ReLU.
        params: W, H, b of the network, samples in the order of their classes. solution, certificate: of
            `merge(problem)`, whose minimum is the problem's.
        objective: loss + decay/2 |all parameters|^2. head_objective: the sum of three terms in the middle.
        value: f(W, H, b) at the network's last layer.
        collapse, optimum: of the network, of the solution.
    """

    problem: Problem
    params: Params
    solution: Solution
    certificate: Certificate
    objective: float
    head_objective: float
    value: float
    collapse: Collapse
    optimum: Collapse


def collapse_over_epochs(
    network: Network,
    data: Data,
    recipe: Recipe,
    *,
    epochs: Iterable[int] | None = None,
    key: int = 0,
    progress: Callable[[Run], None] | None = None,
) -> Course:
    """Train, and measure after each of `epochs` (default about 20, in geometric progression) with 0 the start.

    Raises:
        TypeError, ValueError: see `ufm.networks.train`; an epoch that is not in 0 .. recipe.epochs.
    """
    wanted = np.geomspace(1, recipe.epochs, 20).astype(int) if epochs is None else list(epochs)
    stops = sorted({0, recipe.epochs} | {int(epoch) for epoch in wanted})
    if stops[0] < 0 or stops[-1] > recipe.epochs:
        raise ValueError(f"collapse_over_epochs: epochs={stops} leave 0 .. {recipe.epochs}. Pass epochs in it.")
    run, loss, seen, held = start(network, recipe, data, key), [], [], []
    for epoch in stops:
        run = train(run, recipe, data, until=epoch, progress=progress)
        fixed = with_statistics(run.network, data.x)
        seen.append(_last(fixed, data.x, data.y))
        held.append(_last(fixed, data.x_test, data.y_test))
        loss.append(_loss(fixed, data, recipe.loss))
    return Course(data.name, np.array(stops), np.array(loss), tuple(seen), tuple(held), run)


def progressive_collapse(network: Network, data: Data, *, skip: int = 0) -> Progressive:
    """Every layer of a trained network on the training and the test set.

    Args:
        network: as trained (Run.network); its batch norms are fixed to the training set here.
        skip: layers that the fits leave out, such as the stem of a residual network, which may lie above the pixels.
    """
    taps = with_statistics(network, data.x).taps
    seen, held = measure_layers(taps, batches(data.x, data.y)), measure_layers(taps, batches(data.x_test, data.y_test))
    fits = log_linear(seen.trace_ratio[skip:]), log_linear(seen.separation[skip:])
    errors = np.nan_to_num(seen.centre_error, nan=1.0)  # equal means, as of features that have died, are a tie of all
    return Progressive(data.name, seen, held, *fits, effective_depth(errors, 0.01))


def last_layer(network: Network, data: Data, recipe: Recipe) -> LastLayer:
    """The last layer of a trained network beside the global minimum of the model without constraint on features.

    Raises:
        ValueError: see `unconstrained`.
    """
    problem, params = unconstrained(network, data, recipe)
    W, H, b = params
    merged = merge(problem)
    solution = solve(merged)
    lifted = lift_params(problem, solution.params)
    with exact():
        loss = float(problem.data_loss(jnp.asarray(W @ H + b[:, None])))
    norm, _ = _last_norm(network)
    head = _squares([network.head.weight, network.head.bias])
    half = 0.5 * recipe.decay
    return LastLayer(
        problem=problem,
        params=params,
        solution=solution,
        certificate=certify(merged, solution.params),
        objective=loss + half * _squares(jax.tree.leaves(eqx.filter(network, eqx.is_array))),
        head_objective=loss + half * (head + _squares([norm.scale, norm.shift])),
        value=loss + half * (head + _squares([H]) / problem.N),
        collapse=collapse(H, problem.labels, W, b),
        optimum=collapse(lifted.H, problem.labels, lifted.W, lifted.b),
    )


def unconstrained(network: Network, data: Data, recipe: Recipe) -> tuple[Problem, Params]:
    """The unconstrained feature model that a network's last layer stands for (see LastLayer), and the network's point.

    Args:
        network: as trained with `recipe` (decay > 0), whose last stage ends in a batch norm, or in one and a ReLU.
    Returns:
        The problem, and W [K, d], H [d, N], b [K] in float64, on the training set in the order of its classes; for
        `ufm.solve`, `ufm.certify`, `ufm.compare`.
    Raises:
        ValueError: another last stage; classes of different sizes; no decay.
    """
    _, rectified = _last_norm(network)
    sizes = np.bincount(data.y, minlength=data.K)
    if len(set(sizes)) > 1 or recipe.decay <= 0.0:
        raise ValueError(
            f"last_layer: classes of sizes {sizes.tolist()} and decay={recipe.decay}. Pass equal classes and decay > 0."
        )
    H = list(with_statistics(network, data.x).taps(data.x).values())[-1]
    params = Params(
        np.asarray(network.head.weight, np.float64),
        np.asarray(H, np.float64)[np.argsort(data.y, kind="stable")].T,
        np.asarray(network.head.bias, np.float64),
    )
    decay, d, model = recipe.decay, len(params.H), relu_features() if rectified else Bilinear()
    return Problem(data.K, int(sizes[0]), d, decay, decay / len(data.y), decay, recipe.loss, model), params


def _squares(parts: list[Any]) -> float:
    """Sum of the squares of all entries."""
    return sum(float(np.sum(np.asarray(part, np.float64) ** 2)) for part in parts)


def _last(fixed: Network, x: np.ndarray, y: np.ndarray) -> Collapse:
    H = list(fixed.taps(x).values())[-1]
    return collapse(np.asarray(H).T, y, fixed.head.weight, fixed.head.bias)


def _loss(fixed: Network, data: Data, loss: Any) -> float:
    Y = np.eye(data.K, dtype=np.float32)[data.y]
    return float(np.mean(np.asarray(loss(_logits(fixed, data.x).T, Y.T)), dtype=np.float64))


def _last_norm(network: Network) -> tuple[BatchNorm, bool]:
    """The batch norm that makes the features, and whether a ReLU follows it."""
    end = network.stages[-1].layers[-2:]
    rectified = end[-1] is jax.nn.relu
    norm = end[0] if rectified else end[-1]
    if not isinstance(norm, BatchNorm):
        raise ValueError(
            f"last_layer: the last stage {network.names[-1]!r} ends in {type(norm).__name__}, not in a batch norm (and "
            "a ReLU), so that no decay of the features is known. Pass an mlp, hybrid or convolutional network."
        )
    return norm, rectified
