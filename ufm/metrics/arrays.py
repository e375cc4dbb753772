"""Arrays as users have them (NumPy, JAX, tensors on the CPU, memory maps), read in float64 pieces of bounded size."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

# Rounding of one float64 evaluation, relative to the uncentred scale: an entry of C passes through at most about 16
# roundings of eps / 2 each (mean of the class 4, centre 2 + log2 K, subtraction 1, and a few in the SVD; K <= 1000).
ROUNDING = 8 * float(np.finfo(np.float64).eps)
PIECE = 2**21  # numbers in one float64 piece: 16 MiB
LARGEST = 1e70  # norms of Gram matrices take fourth powers: those of 1e70 are finite, of 1e-70 not yet zero


class Samples(NamedTuple):
    """Checked features [N, d] and labels [N], still as they are stored, and the eps of the features' dtype."""

    features: np.ndarray
    labels: np.ndarray
    resolution: float


def read_samples(where: str, features: Any, labels: Any) -> Samples:
    """Features [N, d] and integer labels [N], unconverted; their entries are checked piece by piece (`pieces`).

    Raises:
        TypeError: arrays that NumPy cannot read, or that are not real numbers; labels that are not integers.
        ValueError: shapes that disagree or are empty.
    """
    H = _real(where, "features", as_array(where, "features", features), "[N, d]", "samples are rows")
    y = as_array(where, "labels", labels)
    if y.dtype.kind not in "iu":
        raise TypeError(f"{where}: labels have dtype {y.dtype}, expected integers. Pass one class number per sample.")
    if y.shape != H.shape[:1]:
        raise ValueError(
            f"{where}: labels have shape {y.shape}, but features have N={H.shape[0]} rows. Pass [N, d], [N]."
        )
    if y.dtype.kind == "u" and int(y.max()) >= 2**63:
        raise ValueError(f"{where}: labels reach {int(y.max())}, beyond 64-bit integers. Renumber the classes.")
    return Samples(H, y.astype(np.int64, copy=False), _resolution(H.dtype))


def pieces(where: str, samples: Samples) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Float64 copies of consecutive rows, at most `PIECE` numbers each, with their labels.

    Raises:
        ValueError: entries that are not finite, or whose fourth powers would overflow or vanish.
    """
    H, y, _ = samples
    rows = max(1, PIECE // H.shape[1])
    for start in range(0, len(H), rows):
        yield _measurable(where, "features", H[start : start + rows]), y[start : start + rows]


def read_matrix(where: str, name: str, value: Any, shape: str) -> np.ndarray:
    """A small real array, such as W [K, d] or b [K], in float64.

    Raises:
        TypeError: not an array of real numbers.
        ValueError: of another number of axes, empty, or not finite.
    """
    array = as_array(where, name, value)
    return _measurable(where, name, _real(where, name, array, shape, f"as {shape}"))


def read_classifier(where: str, W: Any, b: Any, K: int, d: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """W [K, d] and b [K] in float64, each None if it is None.

    Raises:
        TypeError: not arrays of real numbers.
        ValueError: shapes that do not fit K classes of d features; b without W.
    """
    W = None if W is None else read_matrix(where, "W", W, "[K, d]")
    b = None if b is None else read_matrix(where, "b", b, "[K]")
    if W is not None and W.shape != (K, d):
        raise ValueError(
            f"{where}: W has shape {W.shape}, but the samples have K={K} classes and d={d} features. "
            f"Pass W as [{K}, {d}], rows in increasing order of the labels; a class without samples has no mean."
        )
    if b is not None and (W is None or b.shape != (K,)):
        raise ValueError(f"{where}: b has shape {b.shape}, W {W if W is None else W.shape}. Pass W [K, d] and b [K].")
    return W, b


def as_array(where: str, name: str, value: Any) -> np.ndarray:
    """`value` as a NumPy array, without a copy if it can be: through __array__, else through DLPack.

    Raises:
        TypeError: NumPy can do neither, as for a tensor on a GPU or one that carries a gradient.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind != "O" or array.shape != ():
            return array
        return np.from_dlpack(value)
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:80]
        raise TypeError(
            f"{where}: {name} of type {type(value).__name__} cannot be read by NumPy ({reason}). "
            "Pass a real array; of a tensor, .detach().cpu().float()."
        ) from error


def _real(where: str, name: str, array: np.ndarray, shape: str, hint: str) -> np.ndarray:
    if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
        raise TypeError(f"{where}: {name} has dtype {array.dtype}, expected real numbers. Pass a float array {shape}.")
    if array.ndim != shape.count(",") + 1 or array.size == 0:
        raise ValueError(f"{where}: {name} has shape {array.shape}. Pass a non-empty {shape}; {hint}.")
    return array


def _measurable(where: str, name: str, array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        array = array.astype(np.float64)
    largest = float(np.maximum(np.max(array), -np.min(array)))  # NaN if one entry is
    if not np.isfinite(largest):
        raise ValueError(f"{where}: {name} has {np.sum(~np.isfinite(array))} non-finite entries. Pass finite arrays.")
    if largest > LARGEST or 0.0 < largest < 1.0 / LARGEST:
        raise ValueError(
            f"{where}: {name} has largest entry {largest:.1e}, whose fourth power leaves float64. Rescale it, "
            "say by its largest entry."
        )
    return array


def _resolution(dtype: np.dtype) -> float:
    """The eps of a dtype: what storing a number in it costs; 0 for integers, which are exact."""
    if dtype.kind == "f":
        return float(np.finfo(dtype).eps)
    return 2.0**-7 if dtype.name == "bfloat16" else 0.0
