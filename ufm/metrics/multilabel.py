"""Pick-all-label collapse: whether the mean feature of a set of labels is the average of its labels' own means."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.linalg import norm

from ufm.metrics.arrays import as_array, read_samples
from ufm.metrics.moments import moments


@dataclass(frozen=True, eq=False)
class TagAngles:
    """Angles of label sets of two labels and more.

    Attributes:
        sets: the label sets, each a tuple of columns of the targets.
        counts: [T] samples of each.
        angles: [T] radians in [0, pi]; 0 at multi-label collapse. NaN: a mean coincides with the centre.
        mean: of the angles.
    """

    sets: tuple[tuple[int, ...], ...]
    counts: np.ndarray
    angles: np.ndarray
    mean: float


def tag_average_angles(features: Any, targets: Any) -> TagAngles:
    """angle(m_S - m, sum_{k in S} (m_k - m)) for every set S of two labels and more, m = mean_k m_k of single labels.

    Args:
        features: [N, d], samples are rows.
        targets: [N, K] of 0 and 1, the labels of each sample; at least one each.
    Returns:
        TagAngles; free of shifts, rotations, scales, and the order of samples and labels.
    Raises:
        TypeError, ValueError: not real features; targets that are not 0 and 1, a sample without label, a label that
            no sample has alone, or no set of two labels.
    Source:
        Tag-wise average property: Li et al. (ICML 2024, arXiv 2310.15903), who compare such angles with those of
        unrelated pairs; this form derived for the project.
    """
    Y = as_array("tag_average_angles", "targets", targets)
    if Y.ndim != 2 or not np.all((Y == 0) | (Y == 1)):
        raise ValueError(
            f"tag_average_angles: targets of shape {Y.shape} are not 0 and 1. Pass [N, K] label indicators."
        )
    rows, index = np.unique(Y.astype(bool), axis=0, return_inverse=True)
    sizes = np.sum(rows, axis=1)
    if np.any(sizes == 0):
        raise ValueError("tag_average_angles: a sample has no label. Leave such samples out.")
    alone = np.any(rows[sizes == 1], axis=0) if np.any(sizes == 1) else np.zeros(Y.shape[1], bool)
    if not np.all(alone):
        raise ValueError(
            f"tag_average_angles: label {int(np.argmin(alone))} has no sample of its own. Pass some, or drop the label."
        )
    if np.all(sizes == 1):
        raise ValueError("tag_average_angles: every sample has one label. Pass samples of two labels and more.")
    H = read_samples("tag_average_angles", features, index.reshape(-1))
    found = moments(H.features, H.labels)
    singles = found.means[sizes == 1][np.argsort(np.argmax(rows[sizes == 1], axis=1))]
    centre = np.mean(singles, axis=0)
    several = rows[sizes > 1]
    angles = _angles(found.means[sizes > 1] - centre, several.astype(float) @ (singles - centre))
    sets = tuple(tuple(np.flatnonzero(row).tolist()) for row in several)
    return TagAngles(sets, found.counts[sizes > 1], angles, float(np.mean(angles)))


def _angles(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Angles of rows, accurate near 0 and pi; NaN for a zero row."""
    with np.errstate(invalid="ignore"):
        A, B = A / norm(A, axis=1, keepdims=True), B / norm(B, axis=1, keepdims=True)
    return 2.0 * np.arctan2(norm(A - B, axis=1), norm(A + B, axis=1))
