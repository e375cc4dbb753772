"""The command `ufm figures`: the paper's figures, their numbers and their captions, into a folder."""

import os
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from ufm.face.solve import BadOptionError
from ufm.sweep.grid import hint


def run_figures(options: Namespace) -> int:
    """Compute, draw, and name the files.

    Returns:
        0 if every figure was made, 1 if one was left out for want of data.
    Raises:
        BadOptionError: an unknown name, or a folder or store that cannot be written, before anything is computed.
    """
    # Here, so that no other command imports matplotlib.
    from ufm.figures.data import NoDataError, Source
    from ufm.figures.make import make_all
    from ufm.figures.registry import FIGURES

    titles = {entry.name: entry.title for entry in FIGURES}
    names = _chosen(options.only, titles)
    if options.list:
        print("\n".join(f"{name:12} {titles[name]}" for name in names))
        return 0
    if options.jobs is not None and options.jobs < 1:
        raise BadOptionError(f"--jobs {options.jobs} runs nothing. Pass 1 or more.")
    jobs = min(2, os.cpu_count() or 1, len(names)) if options.jobs is None else options.jobs
    folder = _folder(options.out)
    store = folder / "sweeps.sqlite" if options.store is None else Path(options.store)
    source = Source(store) if options.results is None else Source(store, options.results)
    clock, left_out = time.perf_counter(), 0
    try:
        for name, made in make_all(names, source, folder, jobs):
            if isinstance(made, NoDataError):
                print(f"{name} is left out: {made}", file=sys.stderr)
                left_out += 1
            else:
                print(f"{name} is there after {time.perf_counter() - clock:.0f} s", file=sys.stderr, flush=True)
                print("\n".join(str(file) for file in made), flush=True)
    except OSError as error:
        raise BadOptionError(error.strerror or str(error)) from error
    return int(left_out > 0)


def _chosen(only: str | None, known: Mapping[str, str]) -> list[str]:
    """The figures that are named, in the order of the registry."""
    if only is None:
        return list(known)
    names = [name.strip() for name in only.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise BadOptionError(f"--only: there is no figure {name!r}.{hint(name, known)}")
    if not names:
        raise BadOptionError(f"--only names no figure. Known: {', '.join(known)}.")
    return [name for name in known if name in names]


def _folder(out: str) -> Path:
    """The folder, made if there is none."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadOptionError(f"--out {out}: {error.strerror or error}.") from error
    if not os.access(folder, os.W_OK):
        raise BadOptionError(f"--out {out}: no permission to write there.")
    return folder
