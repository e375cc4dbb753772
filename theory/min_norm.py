"""The point of least norm in the convex hull of finitely many points, by Wolfe's active-set method."""

from typing import NamedTuple

import numpy as np

from theory.arguments import check_matrix

EPS = float(np.finfo(np.float64).eps)
FLOOR = 16 * EPS  # a point nearer to the origin, relative to the farthest one, is the origin
NEGLIGIBLE = 4 * EPS  # a convex weight below this leaves the active set


class MinNorm(NamedTuple):
    """x = weights @ points, the nearest point to the origin of their convex hull."""

    point: np.ndarray  # [d]
    weights: np.ndarray  # [m] >= 0, sum 1, at most d+1 of them positive


def min_norm_point(points: np.ndarray) -> MinNorm:
    """argmin |x| over x in conv{p_1 .. p_m}; the certificate of x is <x, p_i> >= |x|^2 for every i.

    Args:
        points: [m, d], any: repeated, collinear or cocircular points are fine.
    Returns:
        MinNorm; the certificate holds to rounding of max_i |p_i|^2. The origin is returned as exact zeros.
    Raises:
        ValueError: points that are not a finite, non-empty matrix.
        ArithmeticError: the certificate fails by more than 1e-10 max_i |p_i|^2 (not seen).
    Source:
        Wolfe (Mathematical Programming 1976).
    """
    points = check_matrix("min_norm_point", "points", points, (None, None))
    exponent = int(np.frexp(np.max(np.abs(points)))[1])
    points = np.ldexp(points, -exponent)  # exact; the squares of points near 1 neither overflow nor underflow
    reach = float(np.max(np.linalg.norm(points, axis=1)))
    active, weights = [int(np.argmin(np.linalg.norm(points, axis=1)))], np.ones(1)
    seen: set[frozenset[int]] = set()
    best = (np.inf, active, weights)
    while frozenset(active) not in seen:
        seen.add(frozenset(active))
        x = weights @ points[active]
        products = points @ x
        worst = int(np.argmin(products))
        gap = float(x @ x - products[worst])  # bounds |x - solution|^2
        best = min(best, (gap, active, weights), key=lambda found: found[0])
        # Rounding of <x, p> is of the order EPS |x| |p|. The norm itself may stall long before: it falls by gap^2.
        if gap <= 8 * EPS * np.linalg.norm(x) * reach or np.linalg.norm(x) <= FLOOR * reach or worst in active:
            break
        active, weights = _descend(points, [*active, worst], np.append(weights, 0.0))
    gap, active, weights = best
    x = weights @ points[active]
    if np.linalg.norm(x) <= FLOOR * reach:
        x = np.zeros_like(x)
    elif gap > 1e-10 * reach**2:
        raise ArithmeticError(
            f"min_norm_point: stopped at a certificate gap of {gap:.1e} for points of norm <= {reach:.1e}. Drop "
            "points that repeat others up to rounding."
        )
    spread = np.zeros(len(points))
    spread[active] = weights
    return MinNorm(np.ldexp(x, exponent), spread)


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
