"""Compiled programs take memory maps, of which a process may hold few: Linux allows 65,530, some hundred shapes."""

import pathlib

import jax

MAPS = pathlib.Path("/proc/self/maps")
LIMIT = pathlib.Path("/proc/sys/vm/max_map_count")
SHARE = 0.5


def make_room() -> bool:
    """Drop every compiled program if more than half of the maps are taken; the next call compiles again.

    Without it a process that meets more and more shapes ends in "LLVM compilation error: Cannot allocate memory".
    """
    if not (MAPS.exists() and LIMIT.exists()):
        return False
    with MAPS.open("rb") as lines:
        taken = sum(1 for _ in lines)
    full = taken > SHARE * int(LIMIT.read_text())
    if full:
        jax.clear_caches()
    return full
