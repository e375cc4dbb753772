"""Several stores into one: what cluster jobs wrote, a file each."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ufm.sweep.encoding import unpacked
from ufm.sweep.store import Store, all_rows, listings, opened, present, read_rows, transaction, write_listing

AT_ONCE = 500


@dataclass(frozen=True)
class Merged:
    """added: rows that the target did not have. known: rows that it had. damaged: rows that were left behind."""

    added: int
    known: int
    damaged: int


def merge_stores(target: str | os.PathLike[str], sources: Sequence[str | os.PathLike[str]]) -> Merged:
    """Copy every whole row, and every sweep, of `sources` into `target`, which is made if there is none.

    A row that the target has stays as it is, unless it is damaged there. Doing it again changes nothing.

    Raises:
        FileNotFoundError: a source does not exist.
        ValueError: no source, or the target among them.
        OSError: the target cannot be written.
    """
    if not sources:
        raise ValueError("merge: there is no source. Pass the stores to read.")
    for source in sources:
        if Path(source).resolve() == Path(target).resolve():
            raise ValueError(f"merge: {source} is the target too. Leave it out: its rows stay.")
        if not Path(source).is_file():
            raise FileNotFoundError(f"merge: there is no file {source}. Check the path.")
    added = known = damaged = 0
    with opened(target) as into:
        for source in sources:
            with opened(source, create=False) as held:
                part = _copied(held, into)
                added, known, damaged = added + part.added, known + part.known, damaged + part.damaged
                for listing in listings(held):
                    write_listing(into, listing.axes, listing.keys)
    return Merged(added, known, damaged)


def _copied(source: Store, target: Store) -> Merged:
    rows = list(all_rows(source))
    sound = [row for row in rows if unpacked(row) is not None]
    added = 0
    for first in range(0, len(sound), AT_ONCE):
        part = sound[first : first + AT_ONCE]
        keys = [row[0] for row in part]
        broken = read_rows(target, keys)[1]
        with transaction(target):
            target.connection.executemany("DELETE FROM rows WHERE key = ?", ((key,) for key in broken))
            before = present(target, keys)
            target.connection.executemany("INSERT OR IGNORE INTO rows VALUES (?, ?, ?, ?, ?)", part)
        added += len(part) - len(before)
    return Merged(added, len(sound) - added, len(rows) - len(sound))
