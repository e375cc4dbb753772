"""Collapse over the layers of a trained deep linear network: within-class scatter falls by one factor a layer (P2)."""

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.collapse import class_means, collapse
from ufm.linear_networks import LinearNetwork, train_linear
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
    key: int = 1
    separation: float = math.nan  # the reference's largest |D - exact D|

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


# K, n, d, L, eps, theta, step size, most steps, seed, |D - exact|: the three networks of the reference's table.
TABLE = (
    Training(3, 10, 60, 6, 0.1, 0.5, 0.02, 80_000, 0, 7.6e-4),
    Training(3, 40, 120, 6, 0.2, 0.75, 0.01, 6000, 0, 4.5e-4),
    Training(4, 25, 120, 7, 0.3, 1.0, 0.008, 4000, 0, 9.4e-4),
)


@functools.cache
def trained(setting: Training) -> LinearNetwork:
    """The network after training."""
    options = {"eps": setting.eps, "rate": setting.rate, "max_steps": setting.steps, "key": setting.key}
    return train_linear(setting.data(), setting.labels, L=setting.L, **options)


@functools.cache
def curves(setting: Training) -> tuple[np.ndarray, np.ndarray]:
    """tr Sigma_W / tr Sigma_B and 1 - the largest cosine of class means, layer by layer."""
    C, D = [], []
    for H in trained(setting).features:
        C.append(collapse(H, setting.labels).nc1_trace)
        means = class_means(H, setting.labels, setting.K)
        unit = means / np.linalg.norm(means, axis=0)
        D.append(1.0 - np.max((unit.T @ unit)[~np.eye(setting.K, dtype=bool)]))
    return np.array(C), np.array(D)


def measure_layers(setting: Training) -> Measurement:
    """The first value, the smallest and largest factor from layer to layer, and the curve of D."""
    network = trained(setting)
    if not network.converged:
        return Measurement(failure=f"the loss is {network.loss:.1e} after {network.steps} steps")
    C, D = curves(setting)
    values = {
        "first C": C[0],
        "smallest factor": np.min(C[1:] / C[:-1]),
        "largest factor": np.max(C[1:] / C[:-1]),
        "D": D,
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


def measure_table(setting: Training) -> Measurement:
    """The rate of a straight line through log C, how straight C and D are, and the curve of D."""
    network = trained(setting)
    if not network.converged:
        return Measurement(failure=f"the loss is {network.loss:.1e} after {network.steps} steps")
    C, D = curves(setting)
    rate, straight = fitted(np.log(C))
    values = {"rate": math.exp(rate), "R2 of log C": straight, "R2 of D": fitted(D)[1], "D": D}
    return Measurement(values, {"rate": 0.01 * values["rate"], "D": setting.separation})


def fitted(y: np.ndarray) -> tuple[float, float]:
    """(slope, R^2) of the line through y over the layers."""
    x = np.arange(len(y)) - (len(y) - 1) / 2
    slope = float(x @ y) / float(x @ x)
    return slope, slope**2 * float(x @ x) / float(np.sum((y - np.mean(y)) ** 2))


def predict_table(setting: Training) -> Mapping[str, Any]:
    """P2's factor and curve; straight lines to the digits that the reference found."""
    K, n, L = setting.K, setting.n, setting.L
    return {
        "rate": theory.progressive.rate(K=K, n=n, eps=setting.eps, L=L, theta=setting.theta),
        "R2 of log C": AtLeast(0.99999995),
        "R2 of D": AtLeast(0.999),
        "D": theory.progressive.layer_curves(X=setting.data(), labels=setting.labels, eps=setting.eps, L=L).D,
    }


ORDER = "Wang et al. (arXiv 2311.02960) for the order; exact curves derived for this project"
ASSUMPTIONS = "near-orthogonal data, orthogonal start of scale eps, gradient descent to interpolation"

CLAIMS = (
    Claim(
        "P2",
        "Each layer of a trained deep linear network multiplies tr Sigma_W/tr Sigma_B by eps^2 ((1-theta/K)/n)^(1/L).",
        ORDER,
        ASSUMPTIONS,
        "the bracket of 2K singular values beside eps; 0.1 eps^2 for D",
        lambda full: [Training(3, 8, 30, 5, 0.3, 0.75), Training(3, 8, 30, 5, 0.3, 0.0)],
        measure_layers,
        predict_layers,
    ),
    Claim(
        "P3",
        "Over the layers of three trained networks log C is a straight line, and D almost one.",
        ORDER,
        ASSUMPTIONS,
        "1% of the rate, which P2's bracket allows; of D the largest difference that the reference found",
        lambda full: TABLE,
        measure_table,
        predict_table,
    ),
)
