"""The linear probe: multinomial logistic regression on frozen features, its strength by cross-validation.

Features are centred by their training mean and divided by one number, so that |h|^2 is d on average: a probe is free of
shifts, scales and rotations, and no direction is blown up. The decay's grid then fits every model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from ufm.checks import positive, whole
from ufm.metrics.arrays import read_matrix, read_samples

STRENGTHS = (1.0, 0.1, 1e-2, 1e-3)  # of the decay, from the smoothest
FOLDS = 3


@dataclass(frozen=True, eq=False)
class Probe:
    """A linear classifier z = W (h - mean)/scale + b.

    Attributes:
        W: [K, d]. b: [K]. mean: [d]. scale: > 0. classes: [K] labels, increasing. strength: the decay lam_W.
    """

    W: np.ndarray
    b: np.ndarray
    mean: np.ndarray
    scale: float
    classes: np.ndarray
    strength: float


def fit_probe(H: Any, y: Any, *, strengths: Sequence[float] = STRENGTHS, key: int = 0) -> Probe:
    """The minimum of (1/N) sum_i CE(W h_i + b, y_i) + strength/2 |W|^2, h centred and scaled, b free.

    Args:
        H: [N, d] features, samples are rows. y: [N] any integers, of two classes or more.
        strengths: one decay, or several: that of the lowest cross-entropy in cross-validation over 3 stratified folds
            (2 if a class has two samples; with one sample the middle one). No label but y is used.
        key: seed of the folds.
    Raises:
        TypeError, ValueError: as `ufm.transfer.scores`; strengths that are not positive.
    """
    samples = read_samples("fit_probe", H, y)
    X = read_matrix("fit_probe", "features", samples.features, "[N, d]")
    classes, labels, counts = np.unique(samples.labels, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"fit_probe: all labels are {classes[0]}, need two classes. Pass samples of K >= 2.")
    if np.ndim(strengths) != 1 or not len(strengths):
        raise ValueError(f"fit_probe: strengths={strengths!r} is no list of decays. Pass (0.01,), or several.")
    grid = sorted((positive(strength, "a strength", "fit_probe") for strength in strengths), reverse=True)
    key = whole(key, "key", "fit_probe", 0, "a seed")
    mean = np.mean(X, axis=0)
    scale = float(np.sqrt(np.mean((X - mean) ** 2))) or 1.0
    Z, Y = (X - mean) / scale, np.eye(len(classes))[labels]
    folds = min(FOLDS, int(np.min(counts)))
    at = len(grid) // 2
    if len(grid) > 1 and folds > 1:
        at = int(np.argmin(_held_out(Z, Y, _fold_of(labels, folds, key), grid)))
    W, b = _path(Z, Y, grid[: at + 1])[-1]
    return Probe(W, b, mean, scale, classes, grid[at])


def probe_accuracy(probe: Probe, H: Any, y: Any) -> float:
    """Rate of samples H [N, d] whose largest logit is that of their label y [N]; an unknown label is a miss.

    Raises:
        TypeError, ValueError: as `ufm.transfer.scores`; features of another d than the probe's.
    """
    samples = read_samples("probe_accuracy", H, y)
    X, d = read_matrix("probe_accuracy", "features", samples.features, "[N, d]"), len(probe.mean)
    if X.shape[1] != d:
        raise ValueError(f"probe_accuracy: features have d={X.shape[1]}, the probe d={d}. Pass those of its model.")
    Z = (X - probe.mean) / probe.scale
    return float(np.mean(probe.classes[np.argmax(Z @ probe.W.T + probe.b, axis=1)] == samples.labels))


def _held_out(Z: np.ndarray, Y: np.ndarray, fold: np.ndarray, grid: Sequence[float]) -> np.ndarray:
    """[strengths] cross-entropy summed over the samples, each predicted without its own fold."""
    total = np.zeros(len(grid))
    for k in range(int(np.max(fold)) + 1):
        held = fold == k
        for i, (W, b) in enumerate(_path(Z[~held], Y[~held], grid)):
            logits = Z[held] @ W.T + b
            total[i] += np.sum(logsumexp(logits, axis=1) - np.sum(Y[held] * logits, axis=1))
    return total


def _path(Z: np.ndarray, Y: np.ndarray, grid: Sequence[float]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(W, b) for each decay, each found from the one before, in the span of the samples."""
    U, s, Vt = np.linalg.svd(Z, full_matrices=False)
    kept = s > len(Z) * np.finfo(float).eps * max(s[0], 1e-300)
    X, Vt = U[:, kept] * s[kept], Vt[kept]
    N, K, r = len(X), Y.shape[1], X.shape[1]

    def objective(theta: np.ndarray, strength: float) -> tuple[float, np.ndarray]:
        A, b = theta[: K * r].reshape(K, r), theta[K * r :]
        logits = X @ A.T + b
        logits -= np.max(logits, axis=1, keepdims=True)
        P = np.exp(logits)
        sums = np.sum(P, axis=1, keepdims=True)
        error = (P / sums - Y) / N
        value = (np.sum(np.log(sums)) - np.sum(Y * logits)) / N + 0.5 * strength * np.sum(A**2)
        return value, np.append((error.T @ X + strength * A).ravel(), np.sum(error, axis=0))

    theta, found = np.zeros(K * (r + 1)), []
    for strength in grid:
        theta = minimize(
            objective, theta, (strength,), "L-BFGS-B", jac=True, options={"maxiter": 1000, "gtol": 1e-6, "ftol": 1e-12}
        ).x
        found.append((theta[: K * r].reshape(K, r) @ Vt, theta[K * r :]))
    return found


def _fold_of(labels: np.ndarray, folds: int, key: int) -> np.ndarray:
    """[N] fold of each sample: those of a class are dealt out in turn, in random order."""
    fold = np.empty(len(labels), int)
    order = np.random.default_rng(key).permutation(len(labels))
    for k in range(int(np.max(labels)) + 1):
        of_class = order[labels[order] == k]
        fold[of_class] = (np.arange(len(of_class)) + k) % folds
    return fold
