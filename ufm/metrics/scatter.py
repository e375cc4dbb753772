"""One pass that keeps the within-class scatter, for what no thin basis can give: VCI, and NC1 of a stream read once.

S_W = F^T F is held by its triangular factor F [min(N, d), d], updated by QR of stacked rows: no condition number is
squared, so singular values far below sqrt(eps) of the largest survive. It costs O(d^2) memory and about 2 N d^2
operations if batches have d samples or more.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ufm.metrics.arrays import Samples, pieces, read_samples
from ufm.metrics.frame import Frame, frame
from ufm.metrics.moments import Moments, merge, moments_of


@dataclass(frozen=True, eq=False)
class Scatter:
    """Moments and the factor F of sum_i r_i r_i^T = F^T F of the samples seen so far; `Scatter()` has seen none.

    Attributes:
        moments: counts, means, squares.
        factor: [<= d, d] upper trapezoidal.
    """

    moments: Moments = field(default_factory=Moments)
    factor: np.ndarray = field(default_factory=partial(np.empty, (0, 0)))


def scatter(features: Any, labels: Any) -> Scatter:
    """The scatter of one batch. Args and Raises as `ufm.metrics.moments`."""
    return scatter_of("scatter", read_samples("scatter", features, labels))


def scatter_of(where: str, samples: Samples) -> Scatter:
    """`scatter` of checked samples; `where` begins the message of an error."""
    total = Scatter()
    for X, y in pieces(where, samples):
        part = moments_of(where, Samples(X, y, samples.resolution))
        residuals = X - part.means[np.searchsorted(part.classes, y)]
        total = merge_scatters(total, Scatter(part, _triangle(residuals)))
    return total


def merge_scatters(a: Scatter, b: Scatter) -> Scatter:
    """The scatter of the samples of both: S = S_a + S_b + sum_k (n_a n_b/n) delta_k delta_k^T, delta = m_b - m_a.

    Raises:
        ValueError: they differ in d.
    """
    if not (a.moments.classes.size and b.moments.classes.size):
        return a if a.moments.classes.size else b
    moments = merge(a.moments, b.moments)
    _, at, bt = np.intersect1d(a.moments.classes, b.moments.classes, return_indices=True)
    n_a, n_b = a.moments.counts[at], b.moments.counts[bt]
    apart = np.sqrt(n_a / (n_a + n_b) * n_b)[:, None] * (b.moments.means[bt] - a.moments.means[at])
    return Scatter(moments, _triangle(np.vstack([a.factor, b.factor, apart])))


def vci(scatter: Scatter) -> float:
    """1 - tr(Sigma_T^+ Sigma_B)/min(d, K-1), by classes: the variability-collapse index.

    Sigma_T = Sigma_W + Sigma_B with Sigma_W sample-weighted and Sigma_B = (1/K) sum_k (m_k - m_G)(m_k - m_G)^T about
    the mean of the samples.

    Returns:
        In [0, 1], free of invertible linear maps of the features. 0 at collapse, but also whenever N - K is too small
        for the residuals to reach the span of the class means (N <= d + 1, about): useless for few samples. NaN: equal
        means. At least 1/(K-1) if class means coincide.
    Source:
        Xu and Liu (ICML 2023, arXiv 2306.03440); class-weighted.
    """
    return _vci(scatter, np.full(len(scatter.moments.counts), 1.0 / max(1, len(scatter.moments.counts))))


def vci_sample_weighted(scatter: Scatter) -> float:
    """1 - tr(Sigma_T^+ Sigma_B)/min(d, K-1), by samples: Sigma_T is the covariance of all of them.

    Sigma_B = sum_k (n_k/N) (m_k - m_G)(m_k - m_G)^T. min(d, K-1) (1 - VCI) is the H-score of Bao et al.
    (ICIP 2019). For balanced classes it equals `vci`, and the least-squares probe with a bias on one-hot targets has
    the loss (K-1)/(2K) VCI (derived for this project).

    Source:
        Xu and Liu (ICML 2023, arXiv 2306.03440).
    """
    return _vci(scatter, scatter.moments.counts / max(1, scatter.moments.counts.sum()))


def _vci(scatter: Scatter, weights: np.ndarray) -> float:
    geometry = frame(scatter.moments)
    if not geometry.apart:
        return np.nan
    K, d = geometry.centred.shape
    within = scatter.factor / np.sqrt(scatter.moments.counts.sum())
    stacked = np.vstack([within, np.sqrt(weights)[:, None] * geometry.centred_sample])
    Q, s, _ = np.linalg.svd(stacked, full_matrices=False)
    between = Q[len(within) :, s > geometry.cut / np.sqrt(K)]
    return max(0.0, 1.0 - float(np.sum(between**2)) / min(d, K - 1))  # the difference of ones leaves an eps


def nc1_one_pass(scatter: Scatter, rank: int | None = None) -> float:
    """tr(Sigma_W Sigma_B^+) / K as `ufm.metrics.nc1`, for streams that cannot be read twice.

    Args:
        scatter: of all samples.
        rank: as `ufm.metrics.frame`.
    """
    geometry: Frame = frame(scatter.moments, rank=rank)
    if geometry.rank == 0:
        return np.nan
    projected = scatter.factor @ geometry.basis[:, : geometry.rank] @ geometry.whitening[0]
    K, N = len(scatter.moments.classes), float(scatter.moments.counts.sum())
    return float(np.sum(projected**2)) / (K * N)


def _triangle(rows: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.qr(rows, mode="r"))
