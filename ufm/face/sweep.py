"""The commands `ufm sweep` and `ufm merge`."""

import importlib
import json
import sys
from argparse import Namespace
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ufm.face.line import Line
from ufm.face.runs import check_target, summary, write_export
from ufm.face.solve import BadOptionError
from ufm.sweep.devices import DevicePool
from ufm.sweep.driver import SweepProgress, sweep
from ufm.sweep.merge import merge_stores
from ufm.sweep.pool import SpawnPool
from ufm.sweep.results import Results
from ufm.sweep.rows import FAULTS
from ufm.sweep.spec import read_spec
from ufm.verify.columns import predicted

SCHEMA = "ufm-sweep/1"
REFUSALS = ("spec", "grid", "zipped", "solve", "sweep")  # how refusals begin; anything else is a fault of ours


def run_sweep(options: Namespace) -> int:
    """Run the sweep of a file.

    Returns:
        0 if every row is there, 1 if one failed, 130 if it was interrupted.
    Raises:
        BadOptionError: before anything is computed; or the store cannot be written.
    """
    if options.jobs < 1:
        raise BadOptionError(f"--jobs {options.jobs} runs nothing. Pass 1 or more.")
    if options.devices and options.jobs > 1:
        raise BadOptionError("--devices runs in one process. Pass it or --jobs.")
    check_target(options.export)
    line = _reporter(sys.stderr)
    try:
        spec = read_spec(options.spec)
        store = options.store or spec.store or str(Path(options.spec).with_suffix(".sqlite"))
        with _executor(options) as executor:
            results = sweep(
                spec.grid,
                store=store,
                executor=executor,
                columns=predicted(),
                chunk=64 if spec.chunk is None else spec.chunk,
                progress=line.show,
            )
    except OSError as error:
        told = error.strerror or str(error)
        raise BadOptionError(f"{error.filename}: {told}" if error.filename else told) from error
    except (TypeError, ValueError) as error:
        if str(error).partition(":")[0] not in REFUSALS:
            raise
        raise BadOptionError(" ".join(str(error).split())) from error
    finally:
        line.end()
    write_export(results, options.export)
    print(_as_json(results, store) if options.json else f"{summary(results)}\nstore: {store}")
    return 130 if results.interrupted else int(any(np.isin(results["status"], FAULTS)))


def _executor(options: Namespace) -> AbstractContextManager[Executor | None]:
    if options.devices:
        return DevicePool()
    return nullcontext() if options.jobs == 1 else SpawnPool(options.jobs)


def run_merge(options: Namespace) -> int:
    """Join stores."""
    try:
        merged = merge_stores(options.target, options.sources)
    except (ValueError, OSError) as error:
        raise BadOptionError(str(error)) from error
    print(f"{merged.added} rows added, {merged.known} known already, {merged.damaged} damaged ones left behind")
    return 0


def _as_json(results: Results, store: str) -> str:
    columns = {name: column for name, column in results.columns.items() if column.dtype != object}
    record = {
        "schema": SCHEMA,
        "store": store,
        "computed": results.computed,
        "interrupted": results.interrupted,
        "notes": list(results.notes),
        "axes": [list(axis.names) for axis in results.axes],
        "columns": {name: _finite(column.tolist()) for name, column in columns.items()},
    }
    return json.dumps(record, indent=1, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _reporter(stream: TextIO) -> "_Bar | Line":
    """tqdm's bar on a terminal where tqdm is installed, else a line of our own."""
    try:
        return _Bar(importlib.import_module("tqdm").tqdm, stream) if stream.isatty() else Line(stream, _told)
    except ImportError:
        return Line(stream, _told)


class _Bar:
    """A bar of tqdm, made when the number of rows is known."""

    def __init__(self, make: Any, stream: TextIO) -> None:
        self.make, self.stream, self.bar = make, stream, None

    def show(self, now: SweepProgress) -> None:
        """Done, failed, rate and time left."""
        if self.bar is None:
            self.bar = self.make(total=now.total, file=self.stream, unit="row", leave=False, dynamic_ncols=True)
        if now.failed:
            self.bar.set_postfix(failed=now.failed, refresh=False)
        self.bar.update(now.done - self.bar.n)

    def end(self) -> None:
        """Clear the bar."""
        if self.bar is not None:
            self.bar.close()


def _told(now: SweepProgress) -> tuple[str, bool]:
    """Done, failed, rate and time left."""
    failed = f", {now.failed} failed" if now.failed else ""
    text = f"{now.done}/{now.total} rows{failed}, {now.rate:.3g}/s, {_span(now.seconds_left)} left"
    return text, now.done >= now.total


def _span(seconds: float) -> str:
    if not np.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
