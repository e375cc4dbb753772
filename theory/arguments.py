"""Checks of what callers pass in, and the scales that every theorem is written in."""

import math
from operator import index

import numpy as np

SMALLEST_NORMAL = float(np.finfo(np.float64).tiny)

Sizes = int | tuple[int, ...]


def check_count(where: str, name: str, value: object, least: int) -> int:
    """The value as an int >= least, or a ValueError."""
    try:
        count = None if isinstance(value, bool | np.bool_) else index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        count = None
    if count is None or count < least:
        raise ValueError(f"{where}: {name}={value!r} is not an integer >= {least}. Pass {name} >= {least}.")
    return count


def check_sizes(where: str, K: int, n: Sizes) -> np.ndarray:
    """Class sizes [K] from an int (balanced) or K ints, or a ValueError."""
    check_count(where, "K", K, 2)
    if np.ndim(n) == 0:
        return np.full(K, check_count(where, "n", n, 1))
    sizes = [check_count(where, "n", size, 1) for size in n]  # pyright: ignore[reportGeneralTypeIssues]
    if len(sizes) != K:
        raise ValueError(f"{where}: n has {len(sizes)} class sizes for K={K} classes. Pass one size for every class.")
    return np.array(sizes)


def check_decay(where: str, name: str, value: float) -> float:
    """The decay as a positive normal float, or a ValueError."""
    decay = _real(value)
    if not SMALLEST_NORMAL <= decay < math.inf:
        raise ValueError(
            f"{where}: {name}={value!r} is not a positive, finite, normal number; without decay f has no minimiser "
            f"in general. Pass {name} > 0."
        )
    return decay


def check_positive(where: str, name: str, value: float) -> float:
    """The value as a positive, finite, normal float, or a ValueError."""
    positive = _real(value)
    if not SMALLEST_NORMAL <= positive < math.inf:
        raise ValueError(f"{where}: {name}={value!r} is not a positive, finite, normal number. Pass {name} > 0.")
    return positive


def check_nonnegative(where: str, name: str, value: float) -> float:
    """The value as a finite float >= 0, or a ValueError."""
    number = _real(value)
    if not 0.0 <= number < math.inf:
        raise ValueError(f"{where}: {name}={value!r} is not a finite number >= 0. Pass {name} >= 0.")
    return number


def check_nonnegatives(where: str, name: str, value: object) -> np.ndarray:
    """The value as a float64 array, all entries finite and >= 0, or a ValueError."""
    array = np.asarray(value, dtype=np.float64)
    if not np.all((array >= 0.0) & (array < np.inf)):
        raise ValueError(f"{where}: {name} has entries that are not finite numbers >= 0. Pass {name} >= 0.")
    return array


def check_matrix(where: str, name: str, value: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    """The value as a finite, non-empty float64 matrix of this shape (None: any extent), or a ValueError."""
    matrix = np.asarray(value)
    fits = matrix.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, matrix.shape, strict=True))
    if not fits or matrix.size == 0 or matrix.dtype.kind not in "iuf" or not np.all(np.isfinite(matrix)):
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(
            f"{where}: {name} has shape {matrix.shape}, type {matrix.dtype}, or an entry that is not finite. Pass "
            f"real, finite numbers [{wanted}]."
        )
    return matrix.astype(np.float64)


def check_unit_rows(where: str, name: str, value: np.ndarray) -> np.ndarray:
    """The value as a float64 matrix of unit rows [any, any], or a ValueError."""
    rows = check_matrix(where, name, value, (None, None))
    worst = float(np.max(np.abs(np.linalg.norm(rows, axis=1) - 1.0)))
    if worst > 1e-10:
        raise ValueError(f"{where}: a vector of {name} is off unit length by {worst:.1e}. Divide each by its norm.")
    return rows


def check_bias_decay(where: str, value: float | None) -> float | None:
    """None (no bias), 0.0 (free bias) or a positive normal float, or a ValueError."""
    if value is None:
        return None
    decay = _real(value)
    if not (decay == 0.0 or SMALLEST_NORMAL <= decay < math.inf):
        raise ValueError(
            f"{where}: lam_b={value!r} is neither None (no bias), 0.0 (free bias) nor a positive, finite, normal "
            "number. Pass one of these."
        )
    return decay


def check_smoothing(where: str, value: float) -> float:
    """The label smoothing as a float in [0, 1), or a ValueError."""
    smoothing = _real(value)
    if not 0.0 <= smoothing < 1.0:
        raise ValueError(f"{where}: smoothing={value!r} is outside [0, 1). Pass 0.0 for plain cross-entropy.")
    return smoothing


def nu(lam_W: float, lam_H: float) -> float:
    """sqrt(lam_W lam_H), the only combination that values, logits and biases depend on."""
    return math.sqrt(lam_W) * math.sqrt(lam_H)  # the product of the roots cannot underflow


def root_ratio(lam_W: float, lam_H: float) -> float:
    """sqrt(lam_H / lam_W) = |W|_F^2 / |H|_F^2 at every critical point (T1)."""
    return math.sqrt(lam_H) / math.sqrt(lam_W)


def kappa(where: str, K: int, n: Sizes, lam_W: float, lam_H: float) -> float:
    """K sqrt(n lam_W lam_H) for balanced classes, after checking the arguments."""
    sizes = check_sizes(where, K, n)
    if np.any(sizes != sizes[0]):
        raise ValueError(f"{where}: n={n!r} is imbalanced, but kappa needs one class size. Pass n as an int.")
    return K * math.sqrt(sizes[0]) * nu(check_decay(where, "lam_W", lam_W), check_decay(where, "lam_H", lam_H))


def _real(value: object) -> float:
    """The value as a float; NaN, which every range check refuses, if it is not a real number."""
    try:
        return math.nan if isinstance(value, bool | np.bool_ | str) else float(value)  # pyright: ignore
    except (TypeError, ValueError, OverflowError):
        return math.nan
