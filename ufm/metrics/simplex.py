"""NC2: how far K rows are from a simplex, by Gram matrices, cosines, norms and hulls.

The rows are class means (suffix _H, of a Frame) or those of a classifier (suffix _W); E = (I - J/K)/sqrt(K-1) is the
Gram matrix, of norm 1, of a simplex ETF. All are free of rotations, scales and the order of classes; those of centred
rows also of shifts. For K = 2 two centred rows are always opposite: their NC2 is 0 whatever the network does.
"""

import numpy as np
import scipy
from numpy.linalg import norm

from ufm.metrics.arrays import ROUNDING
from ufm.metrics.frame import Frame


def nc2_gram_H(frame: Frame) -> float:
    """| C C^T/|C C^T|_F - E |_F, rows m_k - m, in [0, 2]. NaN: equal means.

    Source:
        Wu and Papyan's public code; form of Zhu et al. (NeurIPS 2021).
    """
    return simplex_distance(frame.centred @ frame.centred.T, 0.0)


def nc2_gram_H_sample(frame: Frame) -> float:
    """| C_G C_G^T/|C_G C_G^T|_F - E |_F, rows m_k - m_G, m_G the mean of the SAMPLES. NaN: equal means.

    Under imbalance far from 0 even at a perfect simplex.
    """
    return simplex_distance(frame.centred_sample @ frame.centred_sample.T, 0.0)


def nc2_gram_H_raw(frame: Frame) -> float:
    """| M M^T/|M M^T|_F - E |_F, means uncentred, in [0, 2]. NaN: all m_k = 0.

    0 only for a simplex centred at the origin.
    """
    M = frame.moments.means
    return simplex_distance(M @ M.T, 0.0)


def nc2_gram_W(W: np.ndarray) -> float:
    """| W W^T/|W W^T|_F - E |_F, W as it is, in [0, 2]. NaN: W = 0.

    Source:
        Zhu et al. (NeurIPS 2021, arXiv 2105.02375).
    """
    return simplex_distance(W @ W.T, 0.0)


def nc2_gram_Wc(W: np.ndarray) -> float:
    """| Wc Wc^T/|Wc Wc^T|_F - E |_F, Wc = W less the mean of its rows, in [0, 2]. NaN: equal rows.

    Source:
        Zhou et al. (ICML 2022, arXiv 2203.01238).
    """
    Wc = W - np.mean(W, axis=0)
    return simplex_distance(Wc @ Wc.T, (ROUNDING * float(norm(W))) ** 2)


def nc2_equiangular_H(frame: Frame) -> float:
    """mean_{k != l} |cos(c_k, c_l) + 1/(K-1)|, c_k = m_k - m, in [0, K/(K-1)]. NaN: some c_k = 0 up to rounding.

    Source:
        Papyan, Han and Donoho (PNAS 2020).
    """
    return equiangular(frame.centred, frame.cut)


def nc2_equiangular_W(W: np.ndarray) -> float:
    """mean_{k != l} |cos(w_k, w_l) + 1/(K-1)|, rows as they are, in [0, K/(K-1)]. NaN: some w_k = 0. Source: as _H."""
    return equiangular(W, ROUNDING * float(norm(W)))


def nc2_equinorm_H(frame: Frame, ddof: int = 0) -> float:
    """std_k |m_k - m| / mean_k |m_k - m|, divisor K - ddof, in [0, sqrt(K-1)] for ddof 0. NaN: equal means.

    Source:
        Papyan, Han and Donoho (PNAS 2020), who state no divisor; public codes have both.
    """
    return equinorm(frame.centred, ddof)


def nc2_equinorm_W(W: np.ndarray, ddof: int = 0) -> float:
    """std_k |w_k| / mean_k |w_k|, divisor K - ddof. NaN: W = 0. Source: as for _H."""
    return equinorm(W, ddof)


def nc2_cosines_squared_H(frame: Frame) -> float:
    """mean_{k, l} (cos(c_k, c_l) - cos of a simplex)^2, over all K^2 pairs, the diagonal too. NaN: some c_k = 0.

    Source:
        Beaglehole et al. (NeurIPS 2024), deep recursive feature machines.
    """
    cosines = _cosines(frame.centred, frame.cut)
    K = len(cosines)
    return float(np.mean((cosines - (np.eye(K) * K - 1.0) / (K - 1)) ** 2))


def coherence_H(frame: Frame) -> float:
    """max_{k != l} |cos(c_k, c_l)|, in [1/(K-1), 1], the lower end iff a simplex (d >= K-1). NaN: some c_k = 0.

    Source:
        Mutual coherence; the lower end is Welch's bound (IEEE Trans. Inf. Theory 1974).
    """
    return _coherence(_cosines(frame.centred, frame.cut))


def coherence_W(W: np.ndarray) -> float:
    """max_{k != l} |cos(w_k, w_l)|, rows as they are, in [0, 1]; 1/(K-1) for a simplex. NaN: some w_k = 0."""
    return _coherence(_cosines(W, ROUNDING * float(norm(W))))


def gnc2(W: np.ndarray) -> float:
    """min_k dist(w_k, conv{w_j : j != k}), unit rows, the one-vs-rest distance.

    The nearest point of a hull to the origin is the non-negative least-squares solution of |P^T x|^2 + (sum x - 1)^2,
    scaled to sum 1: along a ray t x the sum fixes t, and the minimum is |P^T x|^2/(1 + |P^T x|^2).

    Returns:
        In [0, K/(K-1)], the upper end iff a simplex; generalised NC2 maximises it when K > d + 1. NaN: some w_k = 0.
    Source:
        Jiang et al., generalised neural collapse for many classes (arXiv 2310.05351); the reduction derived here.
    """
    norms = norm(W, axis=1)
    if np.min(norms) <= ROUNDING * np.max(norms):
        return np.nan
    U = np.asarray(np.linalg.qr((W / norms[:, None]).T, mode="r")).T  # the same angles in min(d, K) coordinates
    return min(_distance_to_hull(U[k] - np.delete(U, k, axis=0)) for k in range(len(U)))


def simplex_distance(G: np.ndarray, floor: float) -> float:
    """| G/|G|_F - (I - J/K)/sqrt(K-1) |_F; NaN if |G|_F <= floor."""
    K, size = G.shape[0], norm(G)
    return float(norm(G / size - (np.eye(K) - 1.0 / K) / np.sqrt(K - 1.0))) if size > floor else np.nan


def equiangular(rows: np.ndarray, floor: float) -> float:
    """mean_{k != l} |cos + 1/(K-1)|; NaN if a row has norm <= floor."""
    cosines = _cosines(rows, floor)
    K = len(cosines)
    return float(np.mean(np.abs(cosines + 1.0 / (K - 1))[~np.eye(K, dtype=bool)]))


def equinorm(rows: np.ndarray, ddof: int = 0) -> float:
    """std_k / mean_k of the rows' norms; NaN if all are zero."""
    norms = norm(rows, axis=1)
    return float(np.std(norms, ddof=ddof) / np.mean(norms)) if np.any(norms > 0.0) else np.nan


def _cosines(rows: np.ndarray, floor: float) -> np.ndarray:
    norms = norm(rows, axis=1)
    if np.any(norms <= floor):
        return np.full((len(rows), len(rows)), np.nan)
    unit = rows / norms[:, None]
    return unit @ unit.T


def _coherence(cosines: np.ndarray) -> float:
    return float(np.max(np.abs(cosines)[~np.eye(len(cosines), dtype=bool)]))


def _distance_to_hull(P: np.ndarray) -> float:
    """Distance of the origin from the hull of the rows of P."""
    x, _ = scipy.optimize.nnls(np.vstack([P.T, np.ones(len(P))]), np.append(np.zeros(P.shape[1]), 1.0))
    return float(norm(x @ P) / np.sum(x))
