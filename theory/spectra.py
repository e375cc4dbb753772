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


def symmetric_block(squares: Iterable[tuple[float, np.ndarray]]) -> list[float]:
    """Eigenvalues of the form sum_i weight_i <row_i, x>^2, ascending."""
    weights, rows = _columns(squares)
    return np.linalg.eigvalsh(rows.T @ (weights[:, None] * rows)).tolist()


def singular_block(squares: Iterable[tuple[float, np.ndarray]]) -> list[float]:
    """The same if exactly one direction is orthogonal to all rows: an exact 0.0, then the others ascending."""
    weights, rows = _columns(squares)
    rows = rows @ np.linalg.svd(rows)[2][:-1].T
    return [0.0, *np.linalg.eigvalsh(rows.T @ (weights[:, None] * rows)).tolist()]


def _columns(squares: Iterable[tuple[float, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Weights [m] and rows [m, dimension]."""
    weights, rows = zip(*squares, strict=True)
    return np.array(weights), np.array(rows)
