"""Programs are dropped before a process runs out of memory maps."""

import pathlib

import jax
import pytest

from ufm import room


def test_room_is_made_only_where_it_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    maps, limit = tmp_path / "maps", tmp_path / "limit"
    maps.write_text("a map\n" * 51)
    limit.write_text("100\n")
    cleared = []
    monkeypatch.setattr(room, "MAPS", maps)
    monkeypatch.setattr(room, "LIMIT", limit)
    monkeypatch.setattr(jax, "clear_caches", lambda: cleared.append(1))
    assert room.make_room()
    limit.write_text("200\n")
    assert not room.make_room()
    assert cleared == [1]
    monkeypatch.setattr(room, "MAPS", tmp_path / "absent")
    assert not room.make_room()
