"""The store: what is written comes back bit by bit; what is damaged is never returned, and what is full says so."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ufm.sweep.encoding import key_of, packed, unpacked
from ufm.sweep.merge import Merged, merge_stores
from ufm.sweep.store import (
    FORMAT,
    listings,
    opened,
    present,
    read_rows,
    remove_rows,
    write_listing,
    write_rows,
)


def configuration(i: int) -> str:
    return f'{{"case":{i}}}'


def row(i: int):
    rng = np.random.default_rng(i)
    return {
        "status": "CONVERGED",
        "value": float(rng.standard_normal()) * 10.0 ** rng.integers(-300, 300),
        "steps": i,
        "gap": [np.inf, -np.inf, np.nan][i % 3],
        "V": rng.standard_normal((2, 3)),
        "counts": rng.integers(9, size=4),
    }


ROWS = [(configuration(i), row(i)) for i in range(60)]
KEYS = [key_of(text) for text, _ in ROWS]


def same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, strict=isinstance(value, np.ndarray))


def filled(path):
    with opened(path) as store:
        write_rows(store, ROWS)
        write_listing(store, [[["lam_W", [0.5, 1.0]], ["n", ["(3, 2)", "4"]]], [["key", list(range(30))]]], KEYS)
        store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def test_rows_come_back_bit_by_bit(tmp_path):
    path = filled(tmp_path / "folder" / "s.sqlite")
    with opened(path, create=False) as store:
        found, damaged = read_rows(store, [*KEYS, key_of("other")])
        assert damaged == []
        assert list(found) != []
        for text, expected in ROWS:
            entry = found[key_of(text)]
            same(entry.record, expected)
            assert entry.configuration == {"case": expected["steps"]}
        assert present(store, [*KEYS, key_of("other")]) == set(KEYS)
        (listing,) = listings(store)
        assert listing.keys == KEYS
        assert listing.axes == [[["lam_W", [0.5, 1.0]], ["n", ["(3, 2)", "4"]]], [["key", list(range(30))]]]


def test_what_is_there_stays_as_it_is_and_a_sweep_is_noted_once(tmp_path):
    path = filled(tmp_path / "s.sqlite")
    with opened(path) as store:
        write_rows(store, [(configuration(3), {"status": "other"})])
        assert read_rows(store, [KEYS[3]])[0][KEYS[3]].record["status"] == "CONVERGED"
        first = listings(store)[0]
        assert write_listing(store, first.axes, first.keys) == first.id
        assert len(listings(store)) == 1
        assert write_listing(store, first.axes, first.keys[:-1]) != first.id
        remove_rows(store, KEYS[:2])
        assert present(store, KEYS) == set(KEYS[2:])


def test_a_transaction_that_breaks_leaves_nothing(tmp_path):
    def broken():
        yield ROWS[0]
        raise ZeroDivisionError

    with opened(tmp_path / "s.sqlite") as store:
        with pytest.raises(ZeroDivisionError):
            write_rows(store, broken())
        assert present(store, KEYS) == set()
        write_rows(store, ROWS[:2])
        assert present(store, KEYS) == set(KEYS[:2])


def test_in_memory_it_is_the_same():
    with opened(None) as store:
        write_rows(store, ROWS)
        assert len(read_rows(store, KEYS)[0]) == 60


@pytest.mark.parametrize("part", range(5))
def test_no_changed_byte_of_a_row_goes_unnoticed(part):
    stored = list(packed(ROWS[1]))
    assert unpacked(tuple(stored)) is not None
    value = stored[part]
    text = isinstance(value, str)
    data = bytearray(value.encode() if text else value)
    for place in range(0, len(data), max(1, len(data) // 40)):
        changed = data.copy()
        changed[place] ^= 1
        assert unpacked((*stored[:part], changed.decode() if text else bytes(changed), *stored[part + 1 :])) is None
    assert unpacked((*stored[:part], None, *stored[part + 1 :])) is None


def test_a_damaged_row_is_named_and_the_others_are_there(tmp_path):
    path = filled(tmp_path / "s.sqlite")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE rows SET record = replace(record, 'CONVERGED', 'STALLED  ') WHERE key = ?", KEYS[:1])
        connection.execute("UPDATE sweeps SET created = 'x'")
    connection.close()
    with opened(path) as store:
        found, damaged = read_rows(store, KEYS)
        assert damaged == KEYS[:1]
        assert found.keys() == set(KEYS[1:])
        assert listings(store) == []


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_file_never_gives_a_wrong_row(tmp_path, seed):
    path = filled(tmp_path / "s.sqlite")
    rng = np.random.default_rng(seed)
    data = bytearray(path.read_bytes())
    length = int(rng.choice([1, 64, 4096]))
    place = int(rng.integers(4096, len(data) - length))  # beyond the first page, without which it is no store
    data[place : place + length] = rng.bytes(length)
    path.write_bytes(data)
    with opened(path) as store:
        found, damaged = read_rows(store, KEYS)
        for text, expected in ROWS:
            if key_of(text) in found:
                same(found[key_of(text)].record, expected)
        assert set(damaged).isdisjoint(found)
        remove_rows(store, damaged)
        write_rows(store, [entry for entry in ROWS if key_of(entry[0]) not in found])
        again, rest = read_rows(store, KEYS)
    assert (len(again), rest) == (60, [])


def test_destroyed_pages_are_told_and_the_file_is_kept(tmp_path):
    path = filled(tmp_path / "s.sqlite")
    data = bytearray(path.read_bytes())
    pages = len(data) // 4096
    data[pages // 3 * 4096 : 2 * pages // 3 * 4096] = bytes((2 * pages // 3 - pages // 3) * 4096)
    path.write_bytes(data)
    with opened(path) as store:
        (note,) = store.notes
        assert "was damaged" in note
        assert "s.sqlite.damaged-0" in note
        kept = len(read_rows(store, KEYS)[0])
    assert (tmp_path / "s.sqlite.damaged-0").read_bytes() == data
    assert 10 < kept < 60
    with opened(path) as store:
        assert store.notes == ()


def test_what_is_no_store_is_left_alone(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("important\n" * 100)
    with pytest.raises(OSError, match="is no store of ufm"), opened(text):
        pass
    other = tmp_path / "other.sqlite"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE mine (x)")
    connection.commit()
    connection.close()
    with pytest.raises(OSError, match="is no store of ufm"), opened(other):
        pass
    assert text.read_text() == "important\n" * 100
    with pytest.raises(FileNotFoundError, match="there is no file"), opened(tmp_path / "none.sqlite", create=False):
        pass
    with pytest.raises(OSError), opened(text / "below.sqlite"):  # noqa: PT011
        pass


def test_a_full_disk_is_said_and_what_was_written_stays(tmp_path):
    path = tmp_path / "s.sqlite"

    def fill():
        with opened(path) as store:
            write_rows(store, ROWS[:5])
            pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
            store.connection.execute(f"PRAGMA max_page_count = {pages + 1}")
            write_rows(store, ROWS[5:])

    with pytest.raises(OSError, match=r"the disk is full.*run the same again"):
        fill()
    with opened(path) as store:
        assert present(store, KEYS) == set(KEYS[:5])
        write_rows(store, ROWS)
        assert len(read_rows(store, KEYS)[0]) == 60


def test_a_header_that_does_not_fit_costs_no_row(tmp_path):
    path = filled(tmp_path / "s.sqlite")
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    connection.close()
    with opened(path) as store:
        assert "the header does not fit" in store.notes[0]
        assert len(read_rows(store, KEYS)[0]) == 60  # every row names and checks itself


def write_all(path):
    with opened(path) as store:
        for entry in ROWS:
            write_rows(store, [entry])
    return len(ROWS)


def test_three_writers_at_once_write_every_row_once(tmp_path):
    path = tmp_path / "s.sqlite"
    with ThreadPoolExecutor(3) as pool:
        assert [done.result() for done in [pool.submit(write_all, path) for _ in range(3)]] == [60, 60, 60]
    with opened(path) as store:
        assert store.connection.execute("SELECT count(*), count(DISTINCT key) FROM rows").fetchone() == (60, 60)
        for text, expected in ROWS:
            same(read_rows(store, [key_of(text)])[0][key_of(text)].record, expected)


@pytest.mark.parametrize("number", [2, 3, 4])
def test_another_process_may_make_the_tables_while_this_one_opens_the_file(tmp_path, monkeypatch, number):
    path = tmp_path / "s.sqlite"
    connect = sqlite3.connect

    class Slow(sqlite3.Connection):
        statements = 0

        def execute(self, *statement):
            self.statements += 1
            if self.statements == number:
                monkeypatch.setattr(sqlite3, "connect", connect)
                with opened(path) as other:
                    write_rows(other, ROWS[:3])
            return super().execute(*statement)

    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, factory=Slow, **options))
    with opened(path) as store:
        assert store.notes == ()
        assert len(read_rows(store, KEYS[:3])[0]) == 3


def test_merging_adds_what_is_new_and_leaves_what_is_damaged(tmp_path):
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    with opened(one) as store:
        write_rows(store, ROWS[:20])
        write_listing(store, [[["key", list(range(20))]]], KEYS[:20])
    with opened(two) as store:
        write_rows(store, ROWS[10:40])
        store.connection.execute("UPDATE rows SET digest = x'00' WHERE key = ?", KEYS[30:31])
    target = tmp_path / "all.sqlite"
    with opened(target) as store:
        write_rows(store, ROWS[:1])
        store.connection.execute("UPDATE rows SET record = x'00' WHERE key = ?", KEYS[:1])
    assert merge_stores(target, [one, two]) == Merged(added=39, known=10, damaged=1)
    assert merge_stores(target, [one, two]) == Merged(added=0, known=49, damaged=1)
    with opened(target) as store:
        found, damaged = read_rows(store, KEYS)
        assert damaged == []
        assert found.keys() == set(KEYS[:40]) - set(KEYS[30:31])
        assert listings(store)[0].keys == KEYS[:20]
    with pytest.raises(ValueError, match="is the target too"):
        merge_stores(target, [target])
    with pytest.raises(ValueError, match="no source"):
        merge_stores(target, [])
    with pytest.raises(FileNotFoundError, match="there is no file"):
        merge_stores(target, [tmp_path / "none"])


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OSError, match=r"store: the folder .*file cannot be made \(File exists\)"),
        opened(tmp_path / "file" / "s.sqlite"),
    ):
        pass
