"""Cases in chunks: what one compiled program solves, a fixed number at a time."""

from collections import deque
from typing import Any, NamedTuple

import jax
import numpy as np

from ufm.sweep.case import Case
from ufm.sweep.encoding import key_of


class Chunk(NamedTuple):
    """Cases of one static shape, with their configurations, and what they are padded to."""

    shape: Any
    configurations: tuple[str, ...]
    cases: tuple[Case, ...]
    size: int


def chunks_of(missing: list[tuple[str, Case]], size: int) -> deque[Chunk]:
    """Cases of one compiled shape, in order, `size` at a time."""
    groups: dict[Any, list[tuple[str, Case]]] = {}
    for configuration, case in missing:
        groups.setdefault(static_shape(case), []).append((configuration, case))
    found: deque[Chunk] = deque()
    for shape, members in groups.items():
        for first in range(0, len(members), size):
            configurations, cases = zip(*members[first : first + size], strict=True)
            found.append(Chunk(shape, configurations, cases, size))
    return found


def static_shape(case: Case) -> Any:
    """What decides which compiled program solves a case: sizes, types, the shapes of the leaves and the precision."""
    leaves, structure = jax.tree.flatten((case.problem, case.solver))
    return structure, tuple(np.shape(leaf) for leaf in leaves), case.dtype


def shrink(chunks: deque[Chunk], shape: Any, size: int) -> None:
    """Cut the waiting chunks of this shape to what fits."""
    waiting = list(chunks)
    chunks.clear()
    for chunk in waiting:
        if chunk.shape != shape or chunk.size <= size:
            chunks.append(chunk)
            continue
        for first in range(0, len(chunk.cases), size):
            part = slice(first, first + size)
            chunks.append(Chunk(shape, chunk.configurations[part], chunk.cases[part], size))


def without(chunk: Chunk, taken: set[str]) -> Chunk:
    """The chunk less the cases whose keys are taken."""
    if not taken:
        return chunk
    kept = [i for i, text in enumerate(chunk.configurations) if key_of(text) not in taken]
    configurations, cases = chunk.configurations, chunk.cases
    return chunk._replace(configurations=tuple(configurations[i] for i in kept), cases=tuple(cases[i] for i in kept))
