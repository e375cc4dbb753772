"""Accumulators as bytes: NumPy's archive format without pickle, so that processes and machines can merge."""

import io
import zipfile
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

import numpy as np

from ufm.metrics.moments import Moments
from ufm.metrics.scatter import Scatter
from ufm.metrics.spread import Spread

KIND = "kind"
Accumulator = TypeVar("Accumulator", bound=Moments | Scatter | Spread)


def to_bytes(value: Moments | Scatter | Spread) -> bytes:
    """The accumulator as an .npz archive: every field an array, and the name of its kind."""
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **{KIND: np.array(type(value).__name__)}, **_flat(value, ""))
    return stream.getvalue()


def from_bytes(kind: type[Accumulator], data: bytes) -> Accumulator:
    """The accumulator that `to_bytes` wrote, bit by bit.

    Args:
        kind: Moments, Scatter or Spread.
        data: the bytes.
    Raises:
        ValueError: bytes of another kind, or that are no such archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)), np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = dict(archive)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"from_bytes: the data are no archive of arrays ({error}). Pass to_bytes's.") from error
    found = str(arrays.get(KIND, "unknown"))
    if found != kind.__name__:
        raise ValueError(f"from_bytes: the data hold {found}, not {kind.__name__}. Pass the kind that was written.")
    return _built(kind, arrays, "")


def _flat(value: Any, prefix: str) -> dict[str, np.ndarray]:
    found = {}
    for field in fields(value):
        entry, name = getattr(value, field.name), prefix + field.name
        found |= _flat(entry, f"{name}.") if is_dataclass(entry) else {name: np.asarray(entry)}
    return found


def _built(kind: Any, arrays: dict[str, np.ndarray], prefix: str) -> Any:
    values = {}
    for name, hint in get_type_hints(kind).items():
        if is_dataclass(hint):
            values[name] = _built(hint, arrays, f"{prefix}{name}.")
        else:
            array = arrays[prefix + name]
            values[name] = float(array) if hint is float else array
    return kind(**values)
