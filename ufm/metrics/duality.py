"""NC3 and the bias: how far the classifier W [K, d], b [K] is from the class means.

E = (I - J/K)/sqrt(K-1); rows c_k = m_k - m unless the name says sample (m_k - m_G) or raw (m_k). All are free of
rotations of H and W together, of their scales and of the order of classes, but for the bias.
"""

import numpy as np
from numpy.linalg import norm

from ufm.metrics.arrays import ROUNDING
from ufm.metrics.frame import Frame
from ufm.metrics.simplex import simplex_distance


def nc3(frame: Frame, W: np.ndarray) -> float:
    """| W/|W|_F - C/|C|_F |_F, in [0, 2]. NaN: W = 0 or equal means.

    Source:
        Papyan, Han and Donoho (PNAS 2020), self-duality.
    """
    size = norm(W)
    return float(norm(W / size - frame.centred / norm(frame.centred))) if size > 0.0 else np.nan


def nc3_squared(frame: Frame, W: np.ndarray) -> float:
    """| W/|W|_F - C/|C|_F |_F^2, in [0, 4]: nc3 squared, as Papyan, Han and Donoho (PNAS 2020) plot it."""
    return nc3(frame, W) ** 2


def nc3_cosine(frame: Frame, W: np.ndarray) -> float:
    """mean_k (1 - cos(w_k, c_k)), in [0, 2]. NaN: some w_k or c_k = 0 up to rounding.

    As mean_k |w_k/|w_k| - c_k/|c_k||^2 / 2, which keeps its digits near 0.
    Source:
        Jiang et al. (arXiv 2310.05351) and their public code.
    """
    w, c = norm(W, axis=1), norm(frame.centred, axis=1)
    if not frame.apart or np.min(w) <= ROUNDING * norm(W) or np.min(c) <= frame.cut:
        return np.nan
    return float(np.sum((W / w[:, None] - frame.centred / c[:, None]) ** 2)) / (2 * len(W))


def nc3_gram(frame: Frame, W: np.ndarray) -> float:
    """| W C^T/|W C^T|_F - E |_F, rows m_k - m, in [0, 2]. NaN: W C^T = 0.

    Near 0 for ANY classifier that interpolates one-hot targets, dual or not: read it beside nc3.
    Source:
        Wu and Papyan's public code; form of Zhu et al. (NeurIPS 2021).
    """
    return _dual(frame, W, frame.centred)


def nc3_gram_sample(frame: Frame, W: np.ndarray) -> float:
    """| W C_G^T/|W C_G^T|_F - E |_F, rows m_k - m_G.

    Source:
        Zhu et al. (NeurIPS 2021, arXiv 2105.02375).
    """
    return _dual(frame, W, frame.centred_sample)


def nc3_gram_Wc_sample(frame: Frame, W: np.ndarray) -> float:
    """| Wc C_G^T/|Wc C_G^T|_F - E |_F, W less the mean of its rows.

    Source:
        Zhou et al. (ICML 2022, arXiv 2203.01238).
    """
    return _dual(frame, W - np.mean(W, axis=0), frame.centred_sample)


def nc3_gram_raw(frame: Frame, W: np.ndarray) -> float:
    """| W M^T/|W M^T|_F - E |_F, means uncentred.

    Source:
        Yaras et al. (NeurIPS 2022), public code.
    """
    return _dual(frame, W, frame.moments.means)


def bias_collapse(frame: Frame, W: np.ndarray, b: np.ndarray) -> float:
    """| W m_G + b |_2, m_G the mean of the samples, >= 0, in units of the logits.

    Source:
        Zhu et al. (NeurIPS 2021): b = -W m_G when the features have a mean that the bias cancels.
    """
    return float(norm(W @ frame.sample_mean + b))


def _dual(frame: Frame, W: np.ndarray, rows: np.ndarray) -> float:
    return simplex_distance(W @ rows.T, frame.cut * float(norm(W)))
