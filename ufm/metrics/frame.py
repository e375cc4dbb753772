"""The geometry of the class means: their centres, spectrum and numerical rank, known after the first pass.

C = [m_k - m] (rows) = P diag(s) U^T. The three between-class covariances in print have the same range, span U, but
different eigenvectors: each is kept as the map T [rank, rank] with |T^T U^T r|^2 = r^T Sigma_B^+ r, from the singular
value decomposition of its own K x rank factor. No d x d matrix is formed and no pseudo-inverse is taken.
"""

from dataclasses import dataclass

import numpy as np

from ufm.metrics.arrays import ROUNDING
from ufm.metrics.moments import Moments


@dataclass(frozen=True, eq=False)
class Frame:
    """Centred class means, their spectrum and what NC1 needs of them.

    Attributes:
        moments: the first pass.
        apart: whether some class means differ by more than rounding: spectrum[0] > cut.
        centred: [K, d] m_k - m with m the mean of the class means; NaN unless apart.
        centred_sample: [K, d] m_k - m_G with m_G = sum_k (n_k/N) m_k the mean of the samples; NaN likewise.
        sample_mean: [d] m_G.
        spectrum: [K] singular values s of the class-centred means, decreasing, padded by zeros; Sigma_B = C^T C / K
            has the eigenvalues s^2 / K.
        cut: max(8 eps, eps of the features' dtype) sqrt(sum_k |m_k|^2 + K tr Sigma_W), uncentred: rounding of this
            size is in the means even when they are equal.
        rank: the s_j > cut, at most min(d, K-1), or what the caller gave. Below K-1 some class means coincide (minority
            collapse) or d < K-1.
        basis: [d, min(d, K)] orthonormal U; its first `rank` columns span the class means.
        coordinates: [K, min(d, K)] of the class-centred means in the basis.
        whitening: [3, rank, rank] T for Sigma_B = mean_k c_k c_k^T centred by m, by m_G, and sum_k (n_k/N) c_k c_k^T.
    """

    moments: Moments
    apart: bool
    centred: np.ndarray
    centred_sample: np.ndarray
    sample_mean: np.ndarray
    spectrum: np.ndarray
    cut: float
    rank: int
    basis: np.ndarray
    coordinates: np.ndarray
    whitening: np.ndarray


def frame(moments: Moments, *, rank: int | None = None) -> Frame:
    """The geometry of the class means.

    Args:
        moments: the first pass over all samples.
        rank: rank of Sigma_B from theory; None cuts the spectrum (see Frame.cut).
    Returns:
        Frame.
    Raises:
        TypeError: rank is not an integer.
        ValueError: fewer than two classes; rank outside 0 .. min(d, K-1).
    """
    K, d = moments.means.shape
    if K < 2:
        raise ValueError(f"frame: got K={K} class, need two to compare. Pass samples of K >= 2 classes.")
    _check_rank(rank, min(d, K - 1))
    n, M = moments.counts, moments.means
    N = int(n.sum())
    C = M - np.mean(M, axis=0)
    P, s, Ut = np.linalg.svd(C, full_matrices=False)
    scale = np.sqrt(np.vdot(M, M) + K * np.sum(moments.squares) / N)
    cut = max(ROUNDING, moments.resolution) * float(scale)
    rank = min(int(np.sum(s > cut)), K - 1) if rank is None else int(rank)
    coordinates = P * s
    kept = coordinates[:, :rank]
    kept_sample = kept - n / N @ kept
    factors = (kept / np.sqrt(K), kept_sample / np.sqrt(K), np.sqrt(n / N)[:, None] * kept_sample)
    apart = bool(s[0] > cut)
    undefined = 0.0 if apart else np.nan
    return Frame(
        moments=moments,
        apart=apart,
        centred=C + undefined,
        centred_sample=C - n / N @ C + undefined,
        sample_mean=np.mean(M, axis=0) + n / N @ C,
        spectrum=np.pad(s, (0, K - s.size)),
        cut=cut,
        rank=rank,
        basis=Ut.T,
        coordinates=coordinates,
        whitening=np.stack([_whitening(factor) for factor in factors]),
    )


def _whitening(factor: np.ndarray) -> np.ndarray:
    """T [r, r] with T T^T = (F^T F)^-1 for F [K, r]; NaN if F has lost its rank, as for means that are equal."""
    _, s, Vt = np.linalg.svd(factor, full_matrices=False)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.all(s > 0.0), Vt.T / s, np.nan)


def _check_rank(rank: int | None, largest: int) -> None:
    if rank is None:
        return
    if isinstance(rank, bool) or not isinstance(rank, int | np.integer):
        raise TypeError(f"frame: rank={rank!r} is not an integer. Pass the rank of Sigma_B, or None.")
    if not 0 <= rank <= largest:
        raise ValueError(f"frame: rank={rank} is not in 0 .. {largest} = min(d, K-1). Pass Sigma_B's, or None.")
