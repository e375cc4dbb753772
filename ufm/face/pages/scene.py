"""A recorded trajectory in three dimensions: one fixed projection, and what it leaves of every set's length."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ufm.problem import Problem
from ufm.solution import Trajectory
from ufm.verify.compare import feature_means

CLASSES = 60  # that are drawn; more could not be told apart
NUMBERS = 100_000  # coordinates in a page, which keep it under a megabyte
VANISHED = 1e-6  # length, in units of the longest vector on the way, that gives no direction


@dataclass(frozen=True, eq=False)
class Scene:
    """Points to draw at each of T recorded steps, in the coordinates of three orthonormal directions of R^d.

    Attributes:
        rows, means: [T, c, 3] of W and of the class means, each set in units of its longest vector on the way.
        features: [T, s, 3] in the unit of the means. labels: [s] their classes.
        shares: name -> [T] share of the squared norm of all rows, means or features that lies in the three directions.
    """

    rows: np.ndarray
    means: np.ndarray
    features: np.ndarray
    labels: np.ndarray
    shares: Mapping[str, np.ndarray]


def scene(problem: Problem, trajectory: Trajectory) -> Scene:
    """The first classes and the first features of each, as many as a page has room for.

    Args:
        trajectory: of a model whose W is a matrix [K, d], with class labels.
    """
    W, H = trajectory.params.W.astype(np.float64), trajectory.params.H.astype(np.float64)
    H = H / np.sqrt(problem.sizes) if problem.merged else H
    means = np.stack([feature_means(problem, at) for at in trajectory.params.H]).swapaxes(1, 2)  # [T, K, d]
    width, height = _longest(W), _longest(means)
    W, means, H = W / width, means / height, H.swapaxes(1, 2) / height
    basis = _directions(np.vstack([W[-1], means[-1]]), np.vstack([*W, *means]))
    shown = min(problem.K, CLASSES)
    room = max(NUMBERS // (3 * len(W)) - 2 * shown, shown)
    labels = np.asarray(problem.labels)
    chosen = np.concatenate([np.flatnonzero(labels == k)[: max(room // shown, 1)] for k in range(shown)])
    return Scene(
        rows=W[:, :shown] @ basis,
        means=means[:, :shown] @ basis,
        features=H[:, chosen] @ basis,
        labels=labels[chosen],
        shares={name: _share(points, basis) for name, points in (("W", W), ("means", means), ("features", H))},
    )


def _longest(points: np.ndarray) -> float:
    return float(np.max(np.linalg.norm(points, axis=-1))) or 1.0


def _directions(final: np.ndarray, path: np.ndarray) -> np.ndarray:
    """[d, 3] the principal directions of `final`; where it has fewer, of what `path` has beside them; or zeros."""
    values, vectors = np.linalg.svd(final, full_matrices=False)[1:]
    kept = vectors[:3][values[:3] > VANISHED]
    if len(kept) < 3:
        values, vectors = np.linalg.svd(path - path @ kept.T @ kept, full_matrices=False)[1:]
        kept = np.vstack([kept, vectors[: 3 - len(kept)][values[: 3 - len(kept)] > VANISHED]])
    return np.pad(kept, ((0, 3 - len(kept)), (0, 0))).T


def _share(points: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """NaN where all points are zero."""
    whole = np.sum(points**2, axis=(1, 2))
    with np.errstate(invalid="ignore"):
        return np.sum((points @ basis) ** 2, axis=(1, 2)) / whole
