"""The driver of a sweep: what is missing, in chunks of one shape, through an executor, into the store."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.checks import whole
from ufm.sweep.case import Case, check_case, explicit
from ufm.sweep.chunks import Chunk, chunks_of, shrink, without
from ufm.sweep.describe import canonical, describe
from ufm.sweep.encoding import key_of
from ufm.sweep.execution import elsewhere, here
from ufm.sweep.grid import Axis, Grid
from ufm.sweep.results import Results, collected
from ufm.sweep.rows import BLANK, FAULTS, MISNAMED, Columns, Row
from ufm.sweep.store import Store, opened, present, read_rows, remove_rows, write_listing, write_rows
from ufm.sweep.version import code_version


@dataclass(frozen=True)
class SweepProgress:
    """How far a sweep is. done: rows there, failed ones included; of `total`. rate: rows computed a second."""

    done: int
    failed: int
    total: int
    rate: float

    @property
    def seconds_left(self) -> float:
        """Estimate; inf before the first row."""
        return (self.total - self.done) / self.rate if self.rate > 0 else np.inf


def sweep(
    cases: Grid | Sequence[Case],
    *,
    store: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    columns: Columns | None = None,
    chunk: int = 64,
    progress: Callable[[SweepProgress], None] | None = None,
) -> Results:
    """Solve, certify and measure every case; rows that the store has already are not computed again.

    Ctrl-C stops after the running chunk, and returns what is done (a second one stops at once; rows of finished chunks
    are in the store). Cases that failed for want of memory, of a worker or by an exception are tried again by the next
    run; what a solver says (MAX_STEPS, STALLED, NONFINITE) is an answer, and stays.

    Args:
        cases: `ufm.grid(...)`, or a sequence of cases.
        store: file of rows, made if there is none; None keeps them in memory.
        executor: any concurrent.futures.Executor, such as `ufm.SpawnPool(2)`; None works in this process.
        columns: further entries of each row, a function (problem, solution, certificate) -> {name: number, text or
            array}; part of the configuration. `ufm.verify.columns.predicted()` sets theory beside each row. No name
            may be that of an axis, or of a column that every row has.
        chunk: cases that are solved, and written, together.
        progress: called after each chunk.
    Returns:
        Results in the order of the cases.
    Raises:
        TypeError, ValueError: before anything is computed, for cases or options that cannot work.
        ValueError: after the first chunk, for a name of `columns` that is taken; the rows are in the store.
        OSError: the store cannot be written; what was written stays.
    """
    grid = cases if isinstance(cases, Grid) else _listed(cases)
    size = whole(chunk, "chunk", "sweep", 1, "a chunk needs a case")
    _check_options(store, executor, columns, progress)
    varied = _check_names(grid)
    extra, code = describe(columns), code_version()
    solved = [explicit(case) for case in grid.cases]
    configurations = [canonical({"case": case, "code": code, "columns": extra}) for case in solved]
    keys = [key_of(configuration) for configuration in configurations]
    with opened(store) as held:
        axes = [[[name, label.tolist()] for name, label in zip(a.names, a.labels, strict=True)] for a in grid.axes]
        write_listing(held, axes, keys)
        found, damaged = read_rows(held, list(dict.fromkeys(keys)))
        faulty = [key for key, entry in found.items() if entry.record["status"] in FAULTS]
        remove_rows(held, [*damaged, *faulty])
        notes = [*held.notes, *_named(grid, keys, damaged)]
        done = found.keys() - set(faulty)
        if told := _misnamed([found[key].record for key in done], varied):
            raise ValueError(told)
        missing = {
            key: (configuration, case)
            for key, configuration, case in zip(keys, configurations, solved, strict=True)
            if key not in done
        }
        with _stoppable() as stopped:
            computed = _fill(held, list(missing.values()), size, executor, columns, progress, stopped, notes, varied)
        rows = read_rows(held, list(dict.fromkeys(keys)))[0]
    records = [rows[key].record if key in rows else None for key in keys]
    return collected(grid.axes, grid.coordinates(), records, notes, computed, stopped.is_set())


def _fill(
    store: Store,
    missing: list[tuple[str, Case]],
    size: int,
    executor: Executor | None,
    columns: Columns | None,
    progress: Callable[[SweepProgress], None] | None,
    stopped: threading.Event,
    notes: list[str],
    varied: frozenset[str],
) -> int:
    """Compute and write the missing rows; how many this process computed."""
    chunks = chunks_of(missing, size)
    computed, failed, misnamed, clock = 0, 0, "", time.perf_counter()
    there, total = 0, len(missing)

    def wanted() -> Iterator[Chunk]:
        """The chunks that no other writer of this store has computed in the meantime."""
        nonlocal there
        while chunks and not stopped.is_set():
            chunk = chunks.popleft()
            taken = present(store, [key_of(configuration) for configuration in chunk.configurations])
            there += len(taken)
            if taken and chunks:  # another writer is here: go on elsewhere, not beside it
                chunks.rotate(-(os.getpid() % len(chunks)))
            left = without(chunk, taken)
            if left.cases:
                yield left

    run = here(wanted(), columns) if executor is None else elsewhere(wanted(), executor, columns)
    for chunk, rows in run:
        write_rows(store, zip(chunk.configurations, rows, strict=True))
        computed += len(rows)
        failed += sum(row["status"] in FAULTS for row in rows)
        smallest = min(row["chunk"] for row in rows)
        if smallest < chunk.size:
            notes.append(f"a chunk of {chunk.size} cases did not fit, and was done in parts of {smallest}")
            shrink(chunks, chunk.shape, smallest)
        if progress is not None:
            rate = computed / (time.perf_counter() - clock)
            progress(SweepProgress(computed + there, failed, total, rate))
        misnamed = misnamed or _misnamed(rows, varied)
        if misnamed:
            stopped.set()  # chunks that run elsewhere are written before the error is raised
    if misnamed:
        raise ValueError(misnamed)
    return computed


def _misnamed(rows: Iterable[Row], varied: frozenset[str]) -> str:
    """What is wrong with the name of a further column; "" if nothing is."""
    for row in rows:
        if row["status"] == MISNAMED:
            return f"sweep: {row['message']}"
        if both := varied & row.keys():
            return f"sweep: columns returned {min(both)!r}, which the grid varies. Choose another name."
    return ""


def _named(grid: Grid, keys: list[str], damaged: list[str]) -> list[str]:
    """A sentence for each damaged row, with its coordinates."""
    coordinates = grid.coordinates()
    told = []
    for key in damaged:
        place = keys.index(key)
        at = ", ".join(f"{name}={column[place]}" for name, column in coordinates.items())
        told.append(f"the row {key[:12]} ({at}) was damaged, and was computed again")
    return told


@contextmanager
def _stoppable() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second is a KeyboardInterrupt. In the main thread, for a while only."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(signum: int, frame: Any) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.default_int_handler)


def _listed(cases: Any) -> Grid:
    """A plain sequence of cases as a grid with one axis, their position."""
    if isinstance(cases, str | bytes | Case) or not isinstance(cases, Sequence) or not cases:
        raise TypeError(f"sweep: cases={cases!r} is no grid. Pass ufm.grid(problem, ...), or a list of ufm.Case.")
    for case in cases:
        check_case(case, "sweep")
    return Grid(tuple(cases), (Axis(("case",), (np.arange(len(cases)),)),))


def _check_names(grid: Grid) -> frozenset[str]:
    """What the grid varies; columns of the results have these names."""
    names = frozenset(name for axis in grid.axes for name in axis.names)
    if both := names & BLANK.keys():
        raise ValueError(
            f"sweep: the grid varies {min(both)!r}, which is a column of every row too. Name it by its path, in a "
            "joint axis: [{path: value}]."
        )
    return names


def _check_options(store: Any, executor: Any, columns: Any, progress: Any) -> None:
    if store is not None and not isinstance(store, str | os.PathLike):
        raise TypeError(f"sweep: store={store!r} is not a path. Pass e.g. 'runs/ce.sqlite', or None.")
    if executor is not None and not (hasattr(executor, "submit") and not isinstance(executor, type)):
        raise TypeError(f"sweep: executor={executor!r} has no submit. Pass e.g. ufm.SpawnPool(2), or None.")
    for name, value in (("columns", columns), ("progress", progress)):
        if value is not None and not callable(value):
            raise TypeError(f"sweep: {name}={value!r} is not callable. Pass a function, or None.")
