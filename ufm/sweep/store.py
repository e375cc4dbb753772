"""Rows on disk: SQLite in WAL mode, a transaction a chunk, a digest a row, no pickle.

A row's key is the sha256 of its configuration, so that every row names itself; its digest covers all of it. A row whose
digest does not fit is damaged, and counts as absent. Where SQLite itself finds the file damaged, what can be read moves
to a fresh file, and the old one stays beside it.
"""

import errno
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ufm.sweep.describe import canonical, parse
from ufm.sweep.encoding import Entry, digest_of, packed, unpacked

SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, configuration BLOB, record BLOB, arrays BLOB, digest BLOB);
CREATE TABLE IF NOT EXISTS sweeps (id TEXT PRIMARY KEY, created TEXT, axes BLOB, keys BLOB, digest BLOB);
"""
FORMAT = 1  # of these tables, in SQLite's user_version
BLOCK = 8  # rows that are read at once from a damaged file
DAMAGE = (sqlite3.Error, UnicodeDecodeError)
PATIENCE = 60.0  # seconds to wait for another writer's transaction
FULL = "the disk is full, or cannot be written"
# What SQLite says when the world around the file is at fault, and not the file.
OUTSIDE = {
    sqlite3.SQLITE_FULL: (errno.ENOSPC, FULL, "Free some space"),
    sqlite3.SQLITE_IOERR: (errno.EIO, FULL, "Free some space, or use another disk"),
    sqlite3.SQLITE_BUSY: (errno.EBUSY, "another process has been writing for a minute", "Wait for it"),
    sqlite3.SQLITE_LOCKED: (errno.EBUSY, "another process has been writing for a minute", "Wait for it"),
    sqlite3.SQLITE_CANTOPEN: (errno.ENOENT, "it cannot be opened", "Check the path and its permissions"),
    sqlite3.SQLITE_READONLY: (errno.EACCES, "it is read-only", "Check the permissions"),
    sqlite3.SQLITE_PERM: (errno.EACCES, "permission is denied", "Check the permissions"),
    sqlite3.SQLITE_NOMEM: (errno.ENOMEM, "memory is exhausted", "Free some memory"),
}


@dataclass(frozen=True, eq=False)
class Store:
    """An open store. notes: what was found damaged when it was opened, one sentence each."""

    path: str
    connection: sqlite3.Connection
    notes: tuple[str, ...] = ()


Axes = list[list[list[Any]]]  # for each axis, for each name that it varies: the name and its labels


class Listing(NamedTuple):
    """A sweep: its cases in order by key, and the axes of its grid with their labels."""

    id: str
    created: str
    axes: Axes
    keys: list[str]


@contextmanager
def opened(path: str | os.PathLike[str] | None, *, create: bool = True) -> Iterator[Store]:
    """The store at `path`, closed on exit; in memory if it is None.

    Args:
        create: make the file, and its folder, if there is none.
    Raises:
        FileNotFoundError: there is no file, and none is to be made.
        OSError: a full disk, no permission, another program's file.
    """
    if path is None:
        store = _connected(":memory:")
    else:
        if not create and not Path(path).is_file():
            raise FileNotFoundError(errno.ENOENT, f"store: there is no file {path}. Check the path.")
        _make_folder(Path(path).parent)
        store = _opened_or_rescued(Path(path))
    try:
        with _told(store.path):
            yield store
    finally:
        store.connection.close()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        told = f"store: the folder {folder} cannot be made ({error.strerror}). Check the path and its permissions."
        raise OSError(error.errno, told) from error


def write_rows(store: Store, rows: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Add (canonical configuration, row) pairs in one transaction; what is there already stays as it is."""
    with transaction(store):
        store.connection.executemany("INSERT OR IGNORE INTO rows VALUES (?, ?, ?, ?, ?)", map(packed, rows))


def read_rows(store: Store, keys: Sequence[str]) -> tuple[dict[str, Entry], list[str]]:
    """The rows with these keys that are there and whole; the keys of those that are damaged."""
    found: dict[str, Entry] = {}
    damaged = []
    for row in _selected(store, "*", keys):
        entry = unpacked(row)
        if entry is None:
            damaged.append(row[0])
        else:
            found[row[0]] = entry
    return found, damaged


def present(store: Store, keys: Sequence[str]) -> set[str]:
    """Which of these keys have a row, whole or not."""
    return {key for (key,) in _selected(store, "key", keys)}


def remove_rows(store: Store, keys: Iterable[str]) -> None:
    """Drop these rows, in one transaction."""
    with transaction(store):
        store.connection.executemany("DELETE FROM rows WHERE key = ?", ((key,) for key in keys))


def write_listing(store: Store, axes: Axes, keys: Sequence[str]) -> str:
    """Note a sweep; the same one, made again, is noted once.

    Returns:
        Its id, a digest of the axes and the keys.
    """
    named, joined = canonical(axes).encode(), "".join(keys).encode()
    identity = hashlib.sha256(named + joined).hexdigest()[:12]
    created = datetime.now(UTC).isoformat(timespec="seconds")
    digest = digest_of(identity.encode(), created.encode(), named, joined)
    known = {listing.id for listing in listings(store)}
    if identity not in known:
        with transaction(store):
            row = (identity, created, named, joined, digest)
            store.connection.execute("INSERT OR REPLACE INTO sweeps VALUES (?, ?, ?, ?, ?)", row)
    return identity


def listings(store: Store) -> list[Listing]:
    """The sweeps of a store, oldest first; a damaged one is left out, and comes back when it is run again."""
    found = []
    for identity, created, axes, keys, digest in store.connection.execute("SELECT * FROM sweeps"):
        parts = [value.encode() if isinstance(value, str) else value for value in (identity, created, axes, keys)]
        if all(isinstance(part, bytes) for part in parts) and digest == digest_of(*parts):
            text = keys.decode()
            found.append(Listing(identity, created, parse(axes), [text[i : i + 64] for i in range(0, len(text), 64)]))
    return sorted(found, key=lambda listing: (listing.created, listing.id))


@contextmanager
def transaction(store: Store) -> Iterator[None]:
    """All or nothing."""
    store.connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        store.connection.execute("COMMIT")
    finally:
        if store.connection.in_transaction:
            store.connection.execute("ROLLBACK")


def all_rows(store: Store) -> Iterator[tuple[Any, ...]]:
    """Every row as it is stored."""
    yield from store.connection.execute("SELECT * FROM rows")


def _selected(store: Store, what: str, keys: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for first in range(0, len(keys), 500):  # below the limit on the variables of a statement
        part = list(keys[first : first + 500])
        yield from store.connection.execute(f"SELECT {what} FROM rows WHERE key IN ({','.join('?' * len(part))})", part)


def _opened_or_rescued(path: Path) -> Store:
    try:
        with _told(str(path)):
            return _connected(str(path))
    except sqlite3.DatabaseError as error:
        return _rescued(path, error)


def _connected(path: str) -> Store:
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    try:
        # In one statement, hence of one moment: another process may be making the tables.
        found = connection.execute(
            "SELECT user_version, name FROM pragma_user_version LEFT JOIN sqlite_master ON type = 'table'"
        ).fetchall()
        version, tables = found[0][0], {name for _, name in found} - {None}
        if tables and (version != FORMAT or "rows" not in tables):
            raise sqlite3.DatabaseError("the header does not fit the tables")
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        if not tables:
            connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
        (state,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if state != "ok":
            raise sqlite3.DatabaseError(state)
    except BaseException:
        connection.close()
        raise
    return Store(path, connection)


def _use_wal(connection: sqlite3.Connection) -> None:
    """Set once in the life of a file; SQLite does not wait there for others that do the same."""
    for attempt in range(int(20 * PATIENCE)):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or attempt == int(20 * PATIENCE) - 1:
                raise
            time.sleep(0.05)


@contextmanager
def _told(path: str) -> Iterator[None]:
    """An OSError that says what to do, where SQLite reports a fault outside of the file."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0)
        outside = OUTSIDE.get(code & 0xFF)
        if outside is None or code == sqlite3.SQLITE_IOERR_SHORT_READ:
            raise
        number, what, remedy = outside
        raise OSError(
            number, f"store: {path}: {what} ({error}). {remedy}, and run the same again: what is done stays done."
        ) from error


def _rescued(path: Path, error: sqlite3.DatabaseError) -> Store:
    """A fresh store with every row that can still be read; the damaged file is kept under another name."""
    with open(path, "rb") as file:
        ours = b"CREATE TABLE rows" in file.read(2**16)
    if not ours:
        raise OSError(
            errno.EINVAL, f"store: {path} is no store of ufm, or its first page is lost ({error}). Move it elsewhere."
        ) from error
    number = next(i for i in range(10**6) if not path.with_name(f"{path.name}.damaged-{i}").exists())
    aside = path.with_name(f"{path.name}.damaged-{number}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    with _told(str(path)):
        store = _connected(str(path))
        with transaction(store):
            rows = {row[0]: row for row in _readable(aside) if unpacked(row)}
            store.connection.executemany("INSERT OR IGNORE INTO rows VALUES (?, ?, ?, ?, ?)", rows.values())
    told = f"{path} was damaged ({error}); {len(rows)} whole rows were read, and the file is kept as {aside.name}"
    return Store(store.path, store.connection, (told,))


def _readable(path: Path) -> Iterator[tuple[Any, ...]]:
    """What a damaged file still yields, read in the order of writing and not through its index."""
    connection = sqlite3.connect(path, isolation_level=None)
    query = "SELECT * FROM rows NOT INDEXED WHERE rowid BETWEEN ? AND ?"
    # No row is as small: so many numbers can have been given, and as many again to rows that were replaced.
    last = path.stat().st_size // 64
    try:
        for first in range(1, last + 1, BLOCK):
            try:
                yield from connection.execute(query, (first, first + BLOCK - 1)).fetchall()
            except DAMAGE:
                for number in range(first, first + BLOCK):
                    with suppress(*DAMAGE):
                        yield from connection.execute(query, (number, number)).fetchall()
    finally:
        connection.close()
