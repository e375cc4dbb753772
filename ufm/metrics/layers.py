"""Collapse over the layers: numerical rank, effective depth, and the line that progressive collapse follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.metrics.arrays import read_matrix, read_samples


@dataclass(frozen=True, eq=False)
class LogLinear:
    """y_l = first rate^l, l = 0, 1, ..., fitted to log y by least squares.

    Attributes:
        rate: factor per layer, > 0; below 1 the quantity decays.
        r_squared: share of the variance of log y explained, in [0, 1].
        first: the line at the first layer that it was fitted to, > 0.
        layers: how many those are.
    """

    rate: float
    r_squared: float
    first: float
    layers: int


def log_linear(values: Sequence[float] | np.ndarray) -> LogLinear:
    """The decay per layer of a positive quantity, such as trace_ratio, and how straight log y is.

    Args:
        values: y_1 .. y_L in the order of the layers. Leave out a stem that is not part of the progression.
    Returns:
        LogLinear; NaN for fewer than three layers or a value that is not positive, r_squared NaN for a constant.
    Source:
        Wang et al. (arXiv 2311.02960) for C_l; He and Su (PNAS 2023) for separation_fuzziness.
    """
    y = np.asarray(values, np.float64)
    if y.size < 3 or not np.all(np.isfinite(y) & (y > 0.0)):
        return LogLinear(np.nan, np.nan, np.nan, y.size)
    x = np.arange(y.size) - (y.size - 1) / 2.0
    middle = float(np.mean(np.log(y)))
    log_y = np.log(y) - middle
    slope = float(x @ log_y / (x @ x))
    total = float(log_y @ log_y)
    explained = slope**2 * float(x @ x) / total if total > 0.0 else np.nan
    return LogLinear(float(np.exp(slope)), explained, float(np.exp(middle + slope * x[0])), y.size)


def effective_depth(errors: Sequence[float] | np.ndarray, tolerance: float = 0.0) -> int:
    """The first layer, counted from 1, whose nearest-class-centre error is at most `tolerance`; L if there is none.

    Args:
        errors: ncc_error of layers 1 .. L.
        tolerance: epsilon in [0, 1).
    Raises:
        ValueError: no layer, or an error or a tolerance that is not a rate.
    Source:
        Galanti, Galanti and Ben-Shaul (arXiv 2202.09028), epsilon-effective depth.
    """
    rates = np.asarray(errors, np.float64)
    if rates.ndim != 1 or rates.size == 0 or not np.all((rates >= 0.0) & (rates <= 1.0)):
        raise ValueError("effective_depth: errors are not rates in [0, 1]. Pass ncc_error of every layer.")
    if not 0.0 <= tolerance < 1.0:
        raise ValueError(f"effective_depth: tolerance={tolerance!r} is not in [0, 1). Pass the error to allow.")
    reached = np.flatnonzero(rates <= tolerance)
    return int(reached[0]) + 1 if reached.size else int(rates.size)


def numerical_rank(features: Any, labels: Any) -> float:
    """mean_k (|H_k|_* / |H_k|_F)^2, H_k [n_k, d] uncentred, the features of one class.

    Needs the features of a class together: one float64 copy of the largest class. Not free of shifts.

    Args:
        features: [N, d], samples are rows.
        labels: [N] any integers.
    Returns:
        In [1, min(n_k, d)]; 1 if every class lies on a line through the origin. NaN: a class of zeros.
    Raises:
        TypeError, ValueError: as `ufm.metrics.moments`.
    Source:
        Li et al. (TMLR 2024, arXiv 2212.12206), public code.
    """
    H, y, _ = read_samples("numerical_rank", features, labels)
    ranks = []
    for k in np.unique(y):
        rows = read_matrix("numerical_rank", "features", H[y == k], "[N, d]")
        s = np.linalg.svd(rows, compute_uv=False)
        ranks.append(np.sum(s) ** 2 / (s @ s) if s[0] > 0.0 else np.nan)
    return float(np.mean(ranks))
