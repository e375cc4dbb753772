"""Means of differences that are paired, and their standard errors, where backbones and samples both are drawn."""

import numpy as np


def deviation(values: np.ndarray) -> np.ndarray:
    """Standard deviation over the first axis, with N - 1 in the denominator; NaN for a single value."""
    return np.std(values, axis=0, ddof=1) if len(values) > 1 else np.full(np.shape(values)[1:], np.nan)


def mean_error(values: np.ndarray) -> float:
    """Standard error of the mean of a table [B, D], for other rows (backbones) and other columns (draws) alike.

    The variance of the mean is (MS_B + MS_D - MS_E)/(B D), with the mean squares of the rows, of the columns and of the
    rest: without bias where entries are a + row + column + rest, each of them independent. By chance that can come out
    below one of its terms; then MS_B/(B D) or MS_D/(B D) is taken, the larger.

    Args:
        values: [B, D]; with B = 1 or D = 1 it is the usual standard error of the other axis.
    Returns:
        >= 0; NaN for a single value.
    """
    B, D = values.shape
    if min(B, D) == 1:
        return float(deviation(values.ravel())) / np.sqrt(values.size)
    rows, columns = np.mean(values, axis=1), np.mean(values, axis=0)
    rest = values - rows[:, None] - columns + np.mean(values)
    of_rows, of_columns = D * np.var(rows, ddof=1), B * np.var(columns, ddof=1)
    of_rest = np.sum(rest**2) / ((B - 1) * (D - 1))
    return float(np.sqrt(max(of_rows + of_columns - of_rest, of_rows, of_columns) / values.size))
