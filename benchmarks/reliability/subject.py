"""The sweep that the other scripts kill, starve, corrupt and crowd: small problems, a transaction every few rows."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import ufm
from ufm.sweep.encoding import unpacked
from ufm.sweep.store import all_rows, opened

CHUNK = 4
UNLIKE = ("seconds",)  # the only entry of a row that two runs need not share


def weights(problem: ufm.Problem, solution: ufm.Solution, certificate: ufm.Certificate) -> Mapping[str, Any]:
    """An array in every row."""
    return {"W": solution.params.W, "H": solution.params.H}


def cases(rows: int) -> ufm.Grid:
    """`rows` problems of one shape."""
    problem = ufm.Problem(K=2, n=5, d=3, lam_W=1e-2, lam_H=1e-2)
    return ufm.grid(problem, lam_W=np.logspace(-3, -1, rows // 4), key=range(4))


def run(store: str | Path | None, rows: int) -> ufm.Results:
    """The sweep, in this process."""
    return ufm.sweep(cases(rows), store=store, columns=weights, chunk=CHUNK)


def wrong(found: ufm.Results, reference: ufm.Results) -> int:
    """Rows of which any bit differs."""
    differ = np.zeros(len(reference), bool)
    for name, column in reference.columns.items():
        if name not in UNLIKE:
            same = (found[name] == column) | ((found[name] != found[name]) & (column != column))
            differ |= ~same.reshape(len(column), -1).all(axis=1)
    return int(np.sum(differ))


def counted(store: Path) -> tuple[int, int, set[str]]:
    """Rows, rows that are not whole, and the keys of those that are."""
    if not store.exists():
        return 0, 0, set()
    with opened(store) as held:
        rows = list(all_rows(held))
    keys = {row[0] for row in rows if unpacked(row) is not None}
    return len(rows), sum(unpacked(row) is None for row in rows), keys


def writer(store: Path, rows: int) -> subprocess.Popen[str]:
    """A process that runs the sweep, and prints how many rows it computed."""
    # Not as a program: a function of __main__ has another name, and its rows another key.
    code = f"import subject; print(subject.run({str(store)!r}, {rows}).computed)"
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True)
