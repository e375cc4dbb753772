"""Deep linear networks on given data: gradient descent to interpolation from small orthogonal weights."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ufm.checks import positive, whole
from ufm.precision import exact
from ufm.start import generator

INTERPOLATES = 1e-20  # the loss at which training ends


@dataclass(frozen=True, eq=False)
class LinearNetwork:
    """Where training ended.

    Attributes:
        features: (X, W_1 X, ..., W_(L-1) ... W_1 X), [d, N] each: what every matrix sees. last: W_L [K, d].
        loss: |W_L ... W_1 X - Y|^2 / 2. steps: of gradient descent. converged: the loss is at most 1e-20.
    """

    features: tuple[np.ndarray, ...]
    last: np.ndarray
    loss: float
    steps: int
    converged: bool


def train_linear(
    X: np.ndarray, labels: np.ndarray, *, L: int, eps: float, rate: float, max_steps: int = 100_000, key: Any = 0
) -> LinearNetwork:
    """min |W_L ... W_1 X - Y|^2 / 2 over L matrices by full-batch gradient descent, from eps times orthogonal ones.

    The network is K x d towards its end, so that products are taken from there: a step costs 6 L K d^2 operations
    beside the data's, not L d^2 N. Escape from the saddle at zero takes about eps^(2-L) time units.

    Args:
        X: [d, N] data. labels: [N] classes 0, ..., K-1; Y their one-hot columns.
        L: matrices, >= 2; the first L-1 are [d, d], the last one is a part of an orthogonal [d, d].
        eps: scale of the start. rate: step size. max_steps: the most steps.
        key: seed of the start, an int or a jax PRNG key.
    Raises:
        TypeError, ValueError: X is no finite matrix, labels do not fit it, or a number is impossible.
    """
    X, labels = np.asarray(X, np.float64), np.asarray(labels)
    if X.ndim != 2 or not np.all(np.isfinite(X)):
        raise ValueError(f"train_linear: X has shape {X.shape} or entries that are not finite. Pass [d, N] numbers.")
    if labels.shape != X.shape[1:] or labels.dtype.kind not in "iu" or labels.size == 0 or np.min(labels) < 0:
        raise ValueError(f"train_linear: labels are not {X.shape[1]} class numbers. Pass one int >= 0 for each column.")
    L = whole(L, "L", "train_linear", 2, "one matrix has no layers in between")
    eps, rate = positive(eps, "eps", "train_linear"), positive(rate, "rate", "train_linear")
    max_steps = whole(max_steps, "max_steps", "train_linear", 1, "that allows no step")
    rng, (d, _), K = generator(key, "train_linear"), X.shape, int(np.max(labels)) + 1
    if d < K:
        raise ValueError(f"train_linear: {K} classes in d={d} dimensions; rows of an orthogonal matrix are too few.")
    turns = eps * np.array([np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in range(L)])
    Y = (labels[None, :] == np.arange(K)[:, None]).astype(np.float64)
    with exact():
        (inner, last), loss, steps = _descend(turns[:-1], turns[-1, :K], X, Y, rate, max_steps)
        inner, last, loss = np.asarray(inner), np.asarray(last), float(loss)
    features = [X]
    for matrix in inner:
        features.append(matrix @ features[-1])
    return LinearNetwork(tuple(features), last, loss, int(steps), loss <= INTERPOLATES)


@jax.jit
def _descend(inner: jax.Array, last: jax.Array, X: jax.Array, Y: jax.Array, rate: Any, max_steps: Any) -> Any:
    """(weights, loss, steps) at the first loss of at most INTERPOLATES, or when the steps are used up."""

    def loss(weights: tuple[jax.Array, jax.Array]) -> jax.Array:
        product, _ = jax.lax.scan(lambda left, matrix: (left @ matrix, None), weights[1], weights[0], reverse=True)
        return jnp.sum((product @ X - Y) ** 2) / 2

    def step(state: Any) -> Any:
        weights, slope, _, count = state
        there = jax.tree.map(lambda w, g: w - rate * g, weights, slope)
        value, slope = jax.value_and_grad(loss)(there)
        return there, slope, value, count + 1

    def running(state: Any) -> jax.Array:
        return (state[2] > INTERPOLATES) & (state[3] < max_steps)

    value, slope = jax.value_and_grad(loss)((inner, last))
    weights, _, value, count = jax.lax.while_loop(running, step, ((inner, last), slope, value, 0))
    return weights, value, count
