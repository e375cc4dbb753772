"""Eigenvalues of the small symmetric blocks into which Hessians fall apart."""

import math
from collections.abc import Iterable

import numpy as np
from scipy.linalg import null_space


def stiff_pair(lam_W: float, lam_H: float, t: float) -> list[float]:
    """Eigenvalues of [[lam_W (1+t), nu (t-1)], [nu (t-1), lam_H (1+t)]], nu^2 = lam_W lam_H: determinant 4 t nu^2."""
    a, b = lam_W * (1.0 + t), lam_H * (1.0 + t)
    root = math.sqrt(lam_W) * math.sqrt(lam_H)
    large = (a + b) / 2 + math.hypot((a - b) / 2, root * (t - 1.0))
    return [4.0 * t * root * (root / large), large]


def coupled_pair(lam_W: float, lam_H: float, g: float, slack: float) -> list[float]:
    """Eigenvalues (lam_W+lam_H)/2 -+ sqrt(((lam_W-lam_H)/2)^2 + g^2) of an unused feature direction (T5, T18).

    slack = sqrt(lam_W lam_H) - g comes from the caller, who knows it without cancellation; 0.0 gives an exact zero.
    """
    large = (lam_W + lam_H) / 2 + math.hypot((lam_W - lam_H) / 2, g)
    return [slack * ((math.sqrt(lam_W) * math.sqrt(lam_H) + g) / large), large]


def symmetric_block(squares: Iterable[tuple[float, np.ndarray]], null: np.ndarray | None = None) -> list[float]:
    """Eigenvalues of the form sum_i weight_i <row_i, x>^2, ascending; a given null vector has an exact leading 0.0."""
    weights, rows = zip(*squares, strict=True)
    form = np.array(rows).T @ (np.array(weights)[:, None] * np.array(rows))
    if null is None:
        return np.linalg.eigvalsh(form).tolist()
    basis = null_space(null[None, :])
    return [0.0, *np.linalg.eigvalsh(basis.T @ form @ basis).tolist()]
