"""Spherical codes: K unit vectors as the rows of a [K, d] array, well apart. Named ones, built from exact coordinates.

    code                      d, K       largest cosine s of two rows
    polygon(K)                2, K       cos(2 pi/K)
    simplex(K)                K-1, K     -1/(K-1)
    cross_polytope(d)         d, 2d      0
    icosahedron()             3, 12      1/sqrt(5)
    cell_24()                 4, 24      1/2
    cell_600()                4, 120     (1 + sqrt(5))/4
    clebsch()                 5, 16      1/5
    schlaefli()               6, 27      1/4
    code_7_56()               7, 56      1/3
    e8_roots()                8, 240     1/2

The literature proves each of them a Tammes code, one that maximises the least distance of K points on the sphere;
nothing here relies on that.
"""

import itertools
import math
from collections.abc import Iterable

import numpy as np

from theory.arguments import check_count, check_unit_rows
from theory.frames import simplex_etf

GOLDEN = (1.0 + math.sqrt(5.0)) / 2.0


def separations(W: np.ndarray) -> np.ndarray:
    """1 - max_{j != k} <w_k, w_j> for every row k; [K], in [0, 2], zero for a row that occurs twice.

    Args:
        W: [K, d] unit rows, K >= 2.
    Raises:
        ValueError: fewer than two rows, or rows that are not of unit length.
    """
    W = check_unit_rows("separations", "W", W)
    check_count("separations", "number of rows of W", len(W), 2)
    cosines = np.clip(W @ W.T, -1.0, 1.0)
    np.fill_diagonal(cosines, -np.inf)
    return 1.0 - np.max(cosines, axis=1)


def coherence(W: np.ndarray) -> float:
    """s = max_{j != k} <w_k, w_j>, the largest cosine of two rows.

    Args and Raises: as `separations`.
    """
    return 1.0 - tammes_margin(W)


def tammes_margin(W: np.ndarray) -> float:
    """1 - s, the least separation: what a Tammes code maximises, and a lower bound on the one-vs-rest distances.

    Args and Raises: as `separations`.
    """
    return float(np.min(separations(W)))


def polygon(K: int) -> np.ndarray:
    """The regular polygon; [K, 2].

    Raises:
        ValueError: K < 2.
    """
    angles = 2.0 * math.pi * np.arange(check_count("polygon", "K", K, 2)) / K
    return np.column_stack([np.cos(angles), np.sin(angles)])


def simplex(K: int) -> np.ndarray:
    """The regular simplex; [K, K-1].

    Raises:
        ValueError: K < 2.
    """
    return simplex_etf(K, check_count("simplex", "K", K, 2) - 1)


def cross_polytope(d: int) -> np.ndarray:
    """The d coordinate vectors, then their negatives; [2d, d].

    Raises:
        ValueError: d < 1.
    """
    basis = np.eye(check_count("cross_polytope", "d", d, 1))
    return np.vstack([basis, -basis])


def icosahedron() -> np.ndarray:
    """Cyclic permutations of (0, +-1, +-golden ratio), normalised; [12, 3]."""
    faces = [np.roll([0.0, a, b * GOLDEN], turn) for turn in range(3) for a, b in _signs(2)]
    return _unit(faces, 1.0 + GOLDEN**2)


def cell_24() -> np.ndarray:
    """The 24-cell: the cross-polytope and (+-1/2)^4, the unit Hurwitz quaternions; [24, 4]."""
    return np.vstack([cross_polytope(4), np.array(_signs(4)) / 2.0])


def cell_600() -> np.ndarray:
    """The 600-cell: the 24-cell and the even permutations of (+-golden, +-1, +-1/golden, 0)/2; [120, 4]."""
    rows = []
    for order in itertools.permutations(range(4)):
        inversions = sum(order[i] > order[j] for i, j in itertools.combinations(range(4), 2))
        if inversions % 2 == 0:
            entries = (np.array([a * GOLDEN, b, c / GOLDEN, 0.0]) for a, b, c in _signs(3))
            rows.extend(entry[list(order)] for entry in entries)
    return np.vstack([cell_24(), _unit(rows, 4.0)])


def clebsch() -> np.ndarray:
    """Sign vectors with an even number of minus signs, over sqrt(5): the half cube, of the Clebsch graph; [16, 5]."""
    return _unit(_even_signs(5), 5.0)


def schlaefli() -> np.ndarray:
    """One weight class of the roots of E8 under E6 x A2, the 27 lines on a cubic surface; [27, 6]."""
    third = 1.0 / math.sqrt(3.0)
    poles = [np.append(row, third) for row in cross_polytope(5)]
    cube = [np.append(np.array(signs) / 2.0, -third / 2.0) for signs in _even_signs(5)]
    return _unit([*poles, np.append(np.zeros(5), -2.0 * third), *cube], 4.0 / 3.0)


def code_7_56() -> np.ndarray:
    """The minimal weights of E7: equiangular lines, 28 pairs of opposite vectors; [56, 7]."""
    half = math.sqrt(0.5)
    poles = [np.append(row, side * half) for row in cross_polytope(6) for side in (1.0, -1.0)]
    even = {tuple(signs) for signs in _even_signs(6)}
    cube = [np.append(np.array(signs) / 2.0, 0.0) for signs in _signs(6) if signs not in even]
    return _unit([*poles, *cube], 1.5)


def e8_roots() -> np.ndarray:
    """The roots of E8: +-e_i +-e_j, and (+-1/2)^8 with an even number of minus signs, normalised; [240, 8]."""
    pairs = [a * np.eye(8)[i] + b * np.eye(8)[j] for i, j in itertools.combinations(range(8), 2) for a, b in _signs(2)]
    return _unit([*pairs, *(np.array(signs) / 2.0 for signs in _even_signs(8))], 2.0)


def _signs(length: int) -> list[tuple[float, ...]]:
    return list(itertools.product((1.0, -1.0), repeat=length))


def _even_signs(length: int) -> list[tuple[float, ...]]:
    return [signs for signs in _signs(length) if math.prod(signs) > 0]


def _unit(rows: Iterable[np.ndarray | tuple[float, ...]], square: float) -> np.ndarray:
    """Rows of one common length, sqrt(square), divided by it."""
    return np.array(list(rows)) / math.sqrt(square)
