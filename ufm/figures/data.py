"""What a figure of the paper is made of: tables and settings in, a matplotlib Figure out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ufm.sweep.driver import sweep
from ufm.sweep.grid import Grid
from ufm.sweep.results import Results
from ufm.sweep.rows import FAULTS

Table = Mapping[str, np.ndarray]  # columns of one length


@dataclass(frozen=True, eq=False)
class Data:
    """What a figure shows; it could be drawn again from its tables alone.

    Attributes:
        tables: name -> columns [rows]. The table "" is written to NAME.csv, any other to NAME-TABLE.csv.
        settings: numbers and texts that the caption names.
        checks: what was set against theory: counts or differences, by name; the caption may name them too.
    """

    tables: Mapping[str, Table]
    settings: Mapping[str, Any]
    checks: Mapping[str, float] = field(default_factory=dict)

    @property
    def table(self) -> Table:
        """The main table."""
        return self.tables[""]


@dataclass(frozen=True)
class Source:
    """Where data come from.

    Attributes:
        store: file of the sweeps, read where it has the rows and written where not; None keeps them in memory.
        results: folder of measured times (*.json), those of the checkout by default.
    """

    store: str | Path | None = None
    results: str | Path = Path(__file__).parents[2] / "benchmarks" / "results"


class NoDataError(Exception):
    """A figure cannot be made here; the message says what is missing, and how to get it."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A figure of `ufm figures`.

    Attributes:
        name: of its files. caption: template over the settings and checks of its data; its first sentence is the title.
        data: Source -> Data, with the sizes as keywords that have defaults; NoDataError where something is missing.
        figure: Data -> matplotlib Figure, pure.
    """

    name: str
    caption: str
    data: Callable[..., Data]
    figure: Callable[[Data], Any]

    @property
    def title(self) -> str:
        """What it shows."""
        return self.caption.partition(". ")[0]


def swept(cases: Grid, **options: Any) -> Results:
    """`ufm.sweep`, all of it: a figure of a part would look like one of the whole.

    Raises:
        NoDataError: rows failed. KeyboardInterrupt: it was stopped; what is done is in the store.
    """
    results = sweep(cases, **options)
    if results.interrupted:
        raise KeyboardInterrupt
    failed = np.isin(results["status"], FAULTS)
    if np.any(failed):
        why = results["message"][failed][0]
        raise NoDataError(f"{np.sum(failed)} of {len(results)} rows of its sweep failed ({why}). Run it again.")
    return results


def kept(results: Results, *names: str) -> dict[str, np.ndarray]:
    """These columns of a sweep."""
    return {name: results[name] for name in names}


def rows(table: Table, name: str, value: Any) -> dict[str, np.ndarray]:
    """The rows in which a column has this value."""
    chosen = table[name] == value
    return {column: entries[chosen] for column, entries in table.items()}


def levels(table: Table, name: str) -> np.ndarray:
    """The values of a column, each once, in the order in which they appear."""
    return np.array(list(dict.fromkeys(table[name].tolist())))


def on_axes(table: Table, axes: Sequence[str], name: str) -> np.ndarray:
    """A column with one dimension for each of `axes`, whose product the rows are."""
    return table[name].reshape([len(levels(table, axis)) for axis in axes])


def stacked(parts: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Tables of the same columns below each other; what is a number or text in one is repeated in all of its rows."""
    columns: dict[str, list[np.ndarray]] = {name: [] for name in parts[0]}
    for part in parts:
        length = max(np.size(values) for values in part.values())
        for name, values in part.items():
            columns[name].append(np.broadcast_to(np.asarray(values), (length,)))
    return {name: np.concatenate(values) for name, values in columns.items()}
