"""Eigenvalues of the small symmetric blocks into which Hessians fall apart."""

import math
from collections.abc import Iterable

import numpy as np


def stiff_pair(lam_W: float, lam_H: float, t: float) -> list[float]:
    """Eigenvalues of [[lam_W (1+t), nu (t-1)], [nu (t-1), lam_H (1+t)]], nu^2 = lam_W lam_H: determinant 4 t nu^2."""
    a, b = lam_W * (1.0 + t), lam_H * (1.0 + t)
    root = math.sqrt(lam_W) * math.sqrt(lam_H)
    return pair_of((a + b) / 2, math.hypot((a - b) / 2, root * (t - 1.0)), 4.0 * t * root, root)


def coupled_pair(lam_W: float, lam_H: float, g: float, slack: float) -> list[float]:
    """Eigenvalues (lam_W+lam_H)/2 -+ sqrt(((lam_W-lam_H)/2)^2 + g^2) of an unused feature direction (T5, T18).

    slack = sqrt(lam_W lam_H) - g comes from the caller, who knows it without cancellation; 0.0 gives an exact zero.
    """
    gap = math.hypot((lam_W - lam_H) / 2, g)
    return pair_of((lam_W + lam_H) / 2, gap, math.sqrt(lam_W) * math.sqrt(lam_H) + g, slack)


def pair_of(mean: float, gap: float, one: float, other: float) -> list[float]:
    """mean -+ gap, gap >= 0, when their product is one * other: the smaller without cancellation or underflow."""
    large = mean + gap
    return [other * (one / large), large]


def symmetric_block(squares: Iterable[tuple[float, np.ndarray]], zeros: int = 0) -> list[float]:
    """Eigenvalues of the form sum_i weight_i <row_i, x>^2, ascending; `zeros` of them, known beforehand, exactly 0.0."""
    weights, rows = (np.array(column) for column in zip(*squares, strict=True))
    form = rows.T @ (weights[:, None] * rows)
    if zeros == 0:
        return np.linalg.eigvalsh(form).tolist()
    basis = np.linalg.svd(rows)[2][:-zeros].T  # the null vectors come last
    return [0.0] * zeros + np.linalg.eigvalsh(basis.T @ form @ basis).tolist()
