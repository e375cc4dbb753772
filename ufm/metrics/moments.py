"""The first pass: counts, means and within-class squares of every class, from batches, merged across processes.

Means and squares are accumulated as differences from one sample of each class and merged by the formula of Chan, Golub
and LeVeque (1979), never as E|h|^2 - |E h|^2: batches, their order and the order of merging change the result by
rounding only, eps times the uncentred scale of the features in a mean. Nothing of size d x d, nor of N, is kept.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import scipy

from ufm.metrics.arrays import Samples, pieces, read_samples


@dataclass(frozen=True, eq=False)
class Moments:
    """Class means and within-class squares of the samples seen so far; `Moments()` has seen none.

    Attributes:
        classes: [K] the distinct labels, increasing; any integers. Row k of the others belongs to classes[k].
        counts: [K] n_k >= 1, samples of the class.
        means: [K, d] m_k in float64.
        squares: [K] sum_{i in k} |h_i - m_k|^2 >= 0.
        resolution: the largest eps of the dtypes in which features came: stored numbers know no better.
    """

    classes: np.ndarray = field(default_factory=partial(np.empty, 0, np.int64))
    counts: np.ndarray = field(default_factory=partial(np.empty, 0, np.int64))
    means: np.ndarray = field(default_factory=partial(np.empty, (0, 0)))
    squares: np.ndarray = field(default_factory=partial(np.empty, 0))
    resolution: float = 0.0


def moments(features: Any, labels: Any) -> Moments:
    """Counts, means and squares of one batch, read in pieces: n_k, m_k = mean_i h_i, sum_i |h_i - m_k|^2.

    Args:
        features: [N, d] real numbers of any dtype: NumPy, JAX, a CPU tensor, a memory map; samples are rows.
        labels: [N] any integers.
    Returns:
        Moments of these samples; K is the number of distinct labels among them.
    Raises:
        TypeError: not an array of real numbers; labels that are not integers.
        ValueError: shapes that disagree, empty, not finite, or of a size whose fourth powers leave float64.
    """
    return moments_of("moments", read_samples("moments", features, labels))


def moments_of(where: str, samples: Samples) -> Moments:
    """`moments` of checked samples; `where` begins the message of an error."""
    total = Moments()
    for X, y in pieces(where, samples):
        total = merge(total, _of_piece(X, y, samples.resolution))
    return total


def update(seen: Moments, features: Any, labels: Any) -> Moments:
    """The moments of `seen` and of one more batch: merge(seen, moments(features, labels))."""
    return merge(seen, moments(features, labels))


def merge(a: Moments, b: Moments) -> Moments:
    """The moments of the samples of both, which may differ in their classes.

    m = m_a + (n_b/n) (m_b - m_a),  S = S_a + S_b + (n_a n_b/n) |m_b - m_a|^2.

    Raises:
        ValueError: they differ in d.
    Source:
        Chan, Golub and LeVeque (1979), Updating formulae and a pairwise algorithm for computing sample variances.
    """
    if not (a.classes.size and b.classes.size):
        return a if a.classes.size else b
    if a.means.shape[1] != b.means.shape[1]:
        raise ValueError(
            f"merge: d={a.means.shape[1]} and d={b.means.shape[1]} features. Merge moments of one layer only."
        )
    classes = np.union1d(a.classes, b.classes)
    (n_a, m_a, S_a), (n_b, m_b, S_b) = _placed(a, classes), _placed(b, classes)
    n, delta = n_a + n_b, np.where((n_a * n_b > 0)[:, None], m_b - m_a, 0.0)
    means = np.where((n_a == 0)[:, None], m_b, m_a + delta * (n_b / n)[:, None])
    squares = S_a + S_b + (n_a / n * n_b) * np.einsum("kd,kd->k", delta, delta)
    return Moments(classes, n, means, squares, max(a.resolution, b.resolution))


def class_sums(index: np.ndarray, K: int, rows: np.ndarray) -> np.ndarray:
    """[K, ...] sums of the rows of each class, for the class indices [B]."""
    return (
        scipy.sparse.csr_array((np.ones(len(index)), index, np.arange(len(index) + 1)), shape=(len(index), K)).T @ rows
    )


def _of_piece(X: np.ndarray, y: np.ndarray, resolution: float) -> Moments:
    classes, first, index, counts = np.unique(y, return_index=True, return_inverse=True, return_counts=True)
    # From one sample of the class: of its spread, unless that sample is far from all others, which costs n eps.
    R = X - X[first[index]]
    shift = class_sums(index, len(classes), R) / counts[:, None]
    squares = np.bincount(index, np.einsum("id,id->i", R, R), len(classes))
    squares -= counts * np.einsum("kd,kd->k", shift, shift)
    return Moments(classes, counts, X[first] + shift, np.maximum(squares, 0.0), resolution)


def _placed(part: Moments, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts, means and squares at the rows of a larger set of classes, zero elsewhere."""
    at = np.searchsorted(classes, part.classes)
    counts, squares = np.zeros(len(classes), np.int64), np.zeros(len(classes))
    means = np.zeros((len(classes), part.means.shape[1]))
    counts[at], means[at], squares[at] = part.counts, part.means, part.squares
    return counts, means, squares
