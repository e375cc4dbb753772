"""Collapse over the layers of a trained deep linear network: within-class scatter falls by one factor a layer (P2)."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import theory
from ufm.collapse import class_means, collapse
from ufm.precision import exact
from ufm.verify.claim import AtLeast, AtMost, Claim, Measurement


class Training(NamedTuple):
    """K classes of n samples in R^d, X^T X = I + (theta/N) [labels differ]; L matrices, eps times orthogonal first."""

    K: int
    n: int
    d: int
    L: int
    eps: float
    theta: float
    rate: float = 0.02
    steps: int = 40_000

    @property
    def labels(self) -> np.ndarray:
        """[N] by class."""
        return np.repeat(np.arange(self.K), self.n)

    def data(self) -> np.ndarray:
        """[d, N]."""
        N, labels = self.K * self.n, self.labels
        values, vectors = np.linalg.eigh(np.eye(N) + self.theta / N * (labels[:, None] != labels))
        frame = np.linalg.qr(np.random.default_rng(0).standard_normal((self.d, N)))[0]
        return frame @ (vectors * np.sqrt(values)) @ vectors.T


@jax.jit
def train(inner: jax.Array, last: jax.Array, X: jax.Array, Y: jax.Array, rate: Any, steps: Any) -> Any:
    """Gradient descent on |last inner_(L-1) ... inner_1 X - Y|^2/2 until it is below 1e-20; the loss at the end too."""

    def loss(weights: tuple[jax.Array, jax.Array]) -> jax.Array:
        features, _ = jax.lax.scan(lambda x, matrix: (matrix @ x, None), X, weights[0])
        return jnp.sum((weights[1] @ features - Y) ** 2) / 2

    def step(state: Any) -> Any:
        weights, _, count = state
        value, slope = jax.value_and_grad(loss)(weights)
        return jax.tree.map(lambda w, g: w - rate * g, weights, slope), value, count + 1

    start = ((inner, last), jnp.full((), jnp.inf, X.dtype), 0)
    return jax.lax.while_loop(lambda state: (state[1] > 1e-20) & (state[2] < steps), step, start)


@functools.cache
def trained(setting: Training) -> tuple[list[np.ndarray], float]:
    """The features of the layers 0, ..., L-1 after training, and the loss."""
    rng, d = np.random.default_rng(1), setting.d
    turns = [setting.eps * np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in range(setting.L)]
    X, Y = setting.data(), np.eye(setting.K)[:, setting.labels]
    with exact():
        # The last matrix is a part of an orthogonal one.
        end = train(np.array(turns[:-1]), turns[-1][: setting.K], X, Y, setting.rate, setting.steps)
        weights, value = np.asarray(end[0][0]), float(end[1])
    features = [X]
    for matrix in weights:
        features.append(matrix @ features[-1])
    return features, value


def measure_layers(setting: Training) -> Measurement:
    """tr Sigma_W / tr Sigma_B and 1 - the largest cosine of class means, layer by layer."""
    features, value = trained(setting)
    if not value <= 1e-20:
        return Measurement(failure=f"the loss is {value:.1e} after {setting.steps} steps")
    C = np.array([collapse(H, setting.labels).nc1_trace for H in features])
    cosines = []
    for H in features:
        means = class_means(H, setting.labels, setting.K)
        unit = means / np.linalg.norm(means, axis=0)
        cosines.append(np.max((unit.T @ unit)[~np.eye(setting.K, dtype=bool)]))
    values = {
        "first C": C[0],
        "smallest factor": np.min(C[1:] / C[:-1]),
        "largest factor": np.max(C[1:] / C[:-1]),
        "D": 1.0 - np.array(cosines),
    }
    # What training adds to the assumption is of the size of the small singular values' share of the means.
    return Measurement(values, {"first C": 1e-10 * C[0], "D": 0.1 * setting.eps**2})


def predict_layers(setting: Training) -> Mapping[str, Any]:
    """P2's factor within its bracket, and the curve of D."""
    K, n, L = setting.K, setting.n, setting.L
    factor = theory.progressive.rate(K=K, n=n, eps=setting.eps, L=L, theta=setting.theta)
    low, high = theory.progressive.rate_bracket(K=K, N=K * n)
    exact_curves = theory.progressive.layer_curves(X=setting.data(), labels=setting.labels, eps=setting.eps, L=L)
    return {
        "first C": exact_curves.C[0],
        "smallest factor": AtLeast(low * factor),
        "largest factor": AtMost(high * factor),
        "D": theory.progressive.separations(K=K, L=L, theta=setting.theta),
    }


CLAIMS = (
    Claim(
        "P2",
        "Each layer of a trained deep linear network multiplies tr Sigma_W/tr Sigma_B by eps^2 ((1-theta/K)/n)^(1/L).",
        "Wang et al. (arXiv 2311.02960) for the order; exact curves derived for this project",
        "near-orthogonal data, orthogonal start of scale eps, gradient descent to interpolation",
        "the bracket of 2K singular values beside eps; 0.1 eps^2 for D",
        lambda full: [
            Training(3, 8, 30, 5, 0.3, 0.75),
            Training(3, 8, 30, 5, 0.3, 0.0),
            *([Training(3, 40, 120, 6, 0.2, 0.75, 0.01, 6000)] if full else []),
        ],
        measure_layers,
        predict_layers,
    ),
)
