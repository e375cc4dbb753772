"""A row as bytes, and back: canonical JSON, arrays as `np.save` writes them, and a digest that covers all of it."""

import hashlib
import io
import json
from typing import Any, NamedTuple

import numpy as np

from ufm.sweep.describe import canonical, parse


class Entry(NamedTuple):
    """A row with its configuration, both as JSON types; arrays in the record are NumPy's."""

    configuration: Any
    record: dict[str, Any]


def key_of(configuration: str) -> str:
    """sha256 of a configuration's canonical JSON."""
    return hashlib.sha256(configuration.encode()).hexdigest()


def packed(row: tuple[str, dict[str, Any]]) -> tuple[str, bytes, bytes, bytes, bytes]:
    """(canonical configuration, row) as it is stored: key, configuration, record, arrays, digest."""
    configuration, record = row[0].encode(), dict(row[1])
    arrays = {name: record.pop(name) for name in list(record) if isinstance(record[name], np.ndarray)}
    held = io.BytesIO()
    if arrays:
        np.savez(held, allow_pickle=False, **arrays)
    key, text = key_of(row[0]), canonical(record).encode()
    return key, configuration, text, held.getvalue(), digest_of(key.encode(), configuration, text, held.getvalue())


def unpacked(row: tuple[Any, ...]) -> Entry | None:
    """A stored row, or None if it is not what was written."""
    key, configuration, text, arrays, digest = row
    if not isinstance(key, str) or not all(isinstance(part, bytes) for part in row[1:]):
        return None
    if digest != digest_of(key.encode(), configuration, text, arrays):
        return None
    record = parse(text)
    if arrays:
        with np.load(io.BytesIO(arrays), allow_pickle=False) as held:
            record |= {name: held[name] for name in held.files}
    return Entry(json.loads(configuration), record)


def digest_of(*parts: bytes) -> bytes:
    """blake2b of the parts and of where each ends."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()
