"""Figures computed, drawn and written, several at a time where there are processes for them."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from ufm.figures.data import NoDataError, Source
from ufm.figures.registry import FIGURES
from ufm.figures.write import write
from ufm.sweep.pool import SpawnPool


def make(name: str, source: Source, folder: Path) -> tuple[Path, ...]:
    """The files of one figure of the registry, written into `folder`.

    Raises:
        NoDataError: its data are not to be had here. KeyboardInterrupt: its sweep was stopped.
        OSError: the folder or the store cannot be written.
    """
    entry = next(entry for entry in FIGURES if entry.name == name)
    return write(entry, entry.data(source), folder)


def make_all(
    names: Sequence[str], source: Source, folder: Path, jobs: int = 1
) -> Iterator[tuple[str, tuple[Path, ...] | NoDataError]]:
    """(name, files) of each figure, in the order of `names`; what is missing instead of the files of one left out.

    Args:
        jobs: processes; with 1 everything runs in this one.
    """
    with contextlib.nullcontext() if jobs == 1 else SpawnPool(jobs) as pool:
        running = [None if pool is None else pool.submit(make, name, source, folder) for name in names]
        for name, future in zip(names, running, strict=True):
            try:
                yield name, make(name, source, folder) if future is None else future.result()
            except NoDataError as error:
                yield name, error
