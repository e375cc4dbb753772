"""NC1: how small the variation within the classes is beside that between them, every published variant by its name.

Notation: class means m_k of n_k samples, m their mean, m_G the mean of the samples, r_i = h_i - m_{y_i},
Sigma_W = (1/N) sum_i r_i r_i^T, Sigma_B = (1/K) sum_k (m_k - m)(m_k - m)^T unless said otherwise. All are >= 0, 0 at
perfect collapse, and free of shifts, scales, rotations, and the order of samples and classes. Those with Sigma_B^+
count only directions above the cut: read them beside `Frame.rank`; a rank below K-1 says that class means coincide.
"""

import numpy as np
import scipy

from ufm.metrics.frame import Frame
from ufm.metrics.spread import Spread


def nc1(spread: Spread, ddof: int = 0) -> float:
    """tr(Sigma_W Sigma_B^+) / K, centred by m.

    Args:
        spread: the second pass.
        ddof: divides Sigma_W by N - ddof K: 1 removes the bias of few samples per class, n/(n-1) for balanced ones.
    Returns:
        >= 0. NaN if the means are equal, or N = ddof K.
    Source:
        Papyan, Han and Donoho (PNAS 2020), who leave out the factor 1/K; sum over the thin basis, derived here.
    """
    return nc1_unscaled(spread, ddof) / len(spread.counts)


def nc1_unscaled(spread: Spread, ddof: int = 0) -> float:
    """tr(Sigma_W Sigma_B^+), centred by m: K nc1, with the same `ddof`.

    Source:
        Papyan, Han and Donoho (PNAS 2020) and their public code.
    """
    return _ratio(float(np.sum(spread.projected[0])), float(spread.counts.sum()) - ddof * len(spread.counts))


def nc1_sample_centred(spread: Spread) -> float:
    """tr(Sigma_W Sigma_B^+) / K, centred by m_G, Sigma_B = (1/K) sum_k (m_k - m_G)(m_k - m_G)^T.

    Source:
        Zhu et al. (NeurIPS 2021, arXiv 2105.02375); Zhou et al. (ICML 2022); Yaras et al. (NeurIPS 2022).
    """
    return float(np.sum(spread.projected[1])) / (float(spread.counts.sum()) * len(spread.counts))


def nc1_class_weighted(spread: Spread) -> float:
    """tr(Sigma_W Sigma_B^+), class-weighted, centred by m_G, Sigma_W = (1/K) sum_k (1/n_k) sum_{i in k} r_i r_i^T.

    Source:
        Public code of He and Su (PNAS 2023), which weights every class alike.
    """
    return float(np.mean(spread.projected[1] / spread.counts))


def nc1_sample_weighted(spread: Spread) -> float:
    """tr(Sigma_W Sigma_B^+) / K, Sigma_B sample-weighted, sum_k (n_k/N) (m_k - m_G)(m_k - m_G)^T.

    Source:
        Hong and Ling (arXiv 2309.09725), for classes of unequal size.
    """
    return separation_fuzziness(spread) / len(spread.counts)


def separation_fuzziness(spread: Spread) -> float:
    """tr(Sigma_W Sigma_B^+), Sigma_B sample-weighted, K nc1_sample_weighted: D of He and Su.

    Its logarithm falls linearly with the layer ("equi-separation").
    Source:
        He and Su, A law of data separation in deep learning (PNAS 2023).
    """
    return float(np.sum(spread.projected[2])) / float(spread.counts.sum())


def trace_ratio(frame: Frame) -> float:
    """tr Sigma_W / tr Sigma_B, centred by m, Sigma_W sample-weighted: C_l of layer l.

    Returns:
        >= 0, first pass only. NaN if the means are equal.
    Source:
        Tirer and Bruna (ICML 2022); Wang et al., progressive feature compression C_l (arXiv 2311.02960).
    """
    within = np.sum(frame.moments.squares) / frame.moments.counts.sum()
    return float(within / np.mean(np.einsum("kd,kd->k", frame.centred, frame.centred)))


def cdnv(frame: Frame) -> float:
    """mean_{k != l} (V_k + V_l) / (2 |m_k - m_l|^2), V_k = (1/n_k) sum_{i in k} |r_i|^2.

    The class-distance normalised variance.
    Returns:
        >= 0, first pass only. NaN if two class means are equal up to rounding: one pair is enough.
    Source:
        Galanti, Gyorgy and Hutter (ICLR 2022, arXiv 2112.15121).
    """
    V = frame.moments.squares / frame.moments.counts
    distances = scipy.spatial.distance.pdist(frame.coordinates)
    if np.min(distances) <= frame.cut:
        return np.nan
    i, j = np.triu_indices(len(V), 1)
    return float(np.mean((V[i] + V[j]) / (2.0 * distances**2)))


def discrimination(frame: Frame) -> float:
    """1 - max_{k != l} cos(m_k, m_l), means UNCENTRED, in [0, 2]; K/(K-1) for a simplex about 0.

    Neither free of shifts nor 0 at collapse: it grows as the classes come apart. NaN if some m_k = 0 up to rounding.
    Source:
        Wang et al., between-class discrimination D_l (arXiv 2311.02960).
    """
    M = frame.moments.means
    norms = np.linalg.norm(M, axis=1)
    if np.min(norms) <= frame.cut:
        return np.nan
    return float(np.min(scipy.spatial.distance.pdist(M / norms[:, None]))) ** 2 / 2.0


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0.0 else np.nan
