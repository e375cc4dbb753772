"""Sweeps that a store holds, read again and set against each other."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.sweep.describe import canonical
from ufm.sweep.encoding import Entry
from ufm.sweep.grid import Axis, coordinates
from ufm.sweep.results import Results, collected
from ufm.sweep.store import Listing, opened, read_rows

Path = str | os.PathLike[str]
UNLIKE = ("seconds", "message", "code", "jax", "numpy", "chunk")  # of how a row was made, not of what it says


@dataclass(frozen=True)
class Difference:
    """A column in which rows differ. largest: of |one - two|; inf where a text, or what is undefined, differs."""

    column: str
    rows: int
    largest: float


@dataclass(frozen=True, eq=False)
class Compared:
    """Two sweeps. common: cases that both have a row of; differences: one for each column that has any."""

    common: int
    only_one: int
    only_two: int
    differences: tuple[Difference, ...]


def recalled(path: Path, listing: Listing) -> Results:
    """The results of a sweep as the store has them; rows that are missing or damaged are NOT_RUN."""
    axes = tuple(
        Axis(tuple(name for name, _ in axis), tuple(np.array(labels) for _, labels in axis)) for axis in listing.axes
    )
    with opened(path, create=False) as store:
        rows, damaged = read_rows(store, list(dict.fromkeys(listing.keys)))
    notes = [f"the row {key[:12]} is damaged; run the sweep again" for key in damaged]
    records = [rows[key].record if key in rows else None for key in listing.keys]
    return collected(axes, coordinates(axes), records, notes)


def shared(path: Path, listing: Listing) -> dict[str, Any]:
    """What all rows of a sweep have in common of their cases, by dotted name; numbers and text only."""
    with opened(path, create=False) as store:
        rows, _ = read_rows(store, list(dict.fromkeys(listing.keys)))
    flat = [dict(_flat("", entry.configuration["case"])) for entry in rows.values()]
    return {name: value for name, value in flat[0].items() if all(f.get(name) == value for f in flat)} if flat else {}


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _flat(f"{name}.{key}".removeprefix("."), entry)
    elif not isinstance(value, list) and value is not None:
        yield name, value


def compared(path_one: Path, one: Listing, path_two: Path, two: Listing) -> Compared:
    """Rows of two sweeps whose case is the same, whatever code and extra columns they were made with."""
    first, second = _by_case(path_one, one), _by_case(path_two, two)
    common = [case for case in first if case in second]
    pairs = [(first[case].record, second[case].record) for case in common]
    names = dict.fromkeys(name for pair in pairs for name in pair[0] if name in pair[1] and name not in UNLIKE)
    found = []
    for name in names:
        sizes = [_apart(a.get(name), b.get(name)) for a, b in pairs]
        if rows := sum(size != 0.0 for size in sizes):
            found.append(Difference(name, rows, max(sizes)))
    return Compared(len(common), len(first) - len(common), len(second) - len(common), tuple(found))


def _by_case(path: Path, listing: Listing) -> dict[str, Entry]:
    with opened(path, create=False) as store:
        rows, _ = read_rows(store, list(dict.fromkeys(listing.keys)))
    return {canonical(entry.configuration["case"]): entry for entry in rows.values()}


def _apart(one: Any, two: Any) -> float:
    if one is None or two is None or isinstance(one, str) or isinstance(two, str):
        return 0.0 if one == two else np.inf
    a, b = np.asarray(one, float), np.asarray(two, float)
    if a.shape != b.shape:
        return np.inf
    differ = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    sizes = np.abs(np.subtract(a, b, where=differ, out=np.zeros(a.shape)))
    return float(np.max(np.where(np.isnan(sizes), np.inf, sizes), initial=0.0))
