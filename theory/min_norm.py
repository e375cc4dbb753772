"""The point of least norm in the convex hull of finitely many points, by Wolfe's active-set method."""

from typing import NamedTuple

import numpy as np

from theory.arguments import check_matrix

EPS = float(np.finfo(np.float64).eps)
NEGLIGIBLE = 1e-12  # a convex weight below this leaves the active set


class MinNorm(NamedTuple):
    """x = weights @ points, the nearest point to the origin of their convex hull."""

    point: np.ndarray  # [d]
    weights: np.ndarray  # [m] >= 0, sum 1, at most d+1 of them positive


def min_norm_point(points: np.ndarray) -> MinNorm:
    """argmin |x| over x in conv{p_1 .. p_m}; the certificate of x is <x, p_i> >= |x|^2 for every i.

    Args:
        points: [m, d], any: repeated, collinear or cocircular points are fine.
    Returns:
        MinNorm; the certificate holds to rounding of |x| max_i |p_i|. The origin is returned as exact zeros.
    Raises:
        ValueError: points that are not a finite, non-empty matrix.
        ArithmeticError: the certificate fails by more than 1e-10 max_i |p_i|^2 (not seen).
    Source:
        Wolfe (Mathematical Programming 1976).
    """
    points = check_matrix("min_norm_point", "points", points, (None, None))
    reach = float(np.max(np.linalg.norm(points, axis=1)))
    active = [int(np.argmin(np.linalg.norm(points, axis=1)))]
    weights = np.ones(1)
    x = points[active[0]]
    while np.linalg.norm(x) > 16 * EPS * reach:
        products = points @ x
        worst = int(np.argmin(products))
        # Rounding of <x, p> is of the order EPS |x| |p|, which also bounds |x - solution|^2.
        if x @ x - products[worst] <= 8 * EPS * np.linalg.norm(x) * reach or worst in active:
            break
        trial_active, trial_weights = _descend(points, [*active, worst], np.append(weights, 0.0))
        trial = trial_weights @ points[trial_active]
        if trial @ trial >= x @ x:  # no descent is left above rounding
            break
        active, weights, x = trial_active, trial_weights, trial
    x = x if np.linalg.norm(x) > 16 * EPS * reach else np.zeros_like(x)
    gap = float(x @ x - np.min(points @ x))
    if gap > 1e-10 * reach**2:
        raise ArithmeticError(
            f"min_norm_point: stopped at a certificate gap of {gap:.1e} for points of norm <= {reach:.1e}. Scale the "
            "points to norms near 1, and drop repeated ones."
        )
    spread = np.zeros(len(points))
    spread[active] = weights
    return MinNorm(x, spread)


def _descend(points: np.ndarray, active: list[int], weights: np.ndarray) -> tuple[list[int], np.ndarray]:
    """From a convex combination to the nearest point of the hull of those active points that stay in use."""
    while True:
        target = _affine_minimiser(points[active])
        blocked = target <= NEGLIGIBLE
        if not np.any(blocked):
            return active, target
        # Walk towards the nearest point of the affine hull until a weight reaches zero, and drop that point.
        room = np.full(len(active), np.inf)
        drop = np.maximum(weights - target, EPS)
        room[blocked] = weights[blocked] / drop[blocked]
        step = min(1.0, float(np.min(room)))
        weights = weights + step * (target - weights)
        keep = weights > NEGLIGIBLE
        keep[int(np.argmin(room))] = False
        active = [index for index, kept in zip(active, keep, strict=True) if kept]
        weights = weights[keep] / np.sum(weights[keep])


def _affine_minimiser(corners: np.ndarray) -> np.ndarray:
    """Weights of sum 1 of the point nearest to the origin in the affine hull of the corners [r, d]."""
    edges = corners[1:] - corners[0]
    coefficients = np.linalg.lstsq(edges.T, -corners[0], rcond=None)[0]
    return np.append(1.0 - np.sum(coefficients), coefficients)
