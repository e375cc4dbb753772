"""NC4, margins and errors: what the classifier and the nearest class mean decide. All from the second pass.

Rates in [0, 1] over samples, 0 at collapse but for `accuracy`. Decisions are compared as sets, ties up to rounding
included, so that no order of the classes matters.
"""

import numpy as np

from ufm.metrics.spread import Spread


def nc4(spread: Spread) -> float:
    """Rate of argmax_k w_k h + b_k != argmin_k |h - m_k|, of DISAGREEMENT. NaN: no W, or equal means.

    Source:
        Papyan, Han and Donoho (PNAS 2020), with the bias.
    """
    return _rate(spread, spread.disagree)


def nc4_no_bias(spread: Spread) -> float:
    """Rate of argmax_k w_k h != argmin_k |h - m_k|, as public codes that leave the bias out."""
    return _rate(spread, spread.disagree_no_bias)


def ncc_error(spread: Spread) -> float:
    """Rate of argmin_k |h - m_k| != y, of samples not nearest to their own class mean alone. NaN: equal means.

    Source:
        Nearest-class-centre error; Galanti et al. (arXiv 2202.09028) for the effective depth.
    """
    return _rate(spread, spread.astray)


def accuracy(spread: Spread) -> float:
    """Rate of argmax_k w_k h + b_k = y, of samples whose label alone has the largest logit. NaN: no W."""
    return _rate(spread, spread.correct)


def margin_min(spread: Spread) -> float:
    """min_i z_y - max_{j != y} z_j, z = W h_i + b, in units of the logits. NaN: no W."""
    return float(np.min(spread.margin_min))


def margin_mean(spread: Spread) -> float:
    """mean_i z_y - max_{j != y} z_j, z = W h_i + b. NaN: no W."""
    return _rate(spread, spread.margin_sum)


def _rate(spread: Spread, sums: np.ndarray) -> float:
    return float(np.sum(sums)) / float(spread.counts.sum())
