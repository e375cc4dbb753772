"""Times of `benchmarks/rivals.py`, as measured and stored: how long a global minimum takes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from ufm.figures.data import Data, NoDataError, Source, levels, rows
from ufm.figures.style import BLUE, ORANGE, PAGE, paper

CAPTION = (
    "Performance. Seconds from a random start (seed 0) to a gradient of 1e-10 for cross-entropy, as measured by "
    "benchmarks/rivals.py and stored in {files}: warm (dark, and the numbers: the best of the later calls, compiled) "
    "and cold (pale: the first call, compilation included unless an earlier case has the same program). Cases: "
    "{cases}; more in benchmarks/rivals.py. `ufm.solve` uses the exact reductions, and its time contains the proof of "
    "optimality; `ufm free` and the others work on free features. Hollow: the gradient asked for was missed by more "
    "than a factor of two. No bar: not measured."
)
SIZES = {
    "S1": "K=10, n=10, d=20, decays 5e-3",
    "S2": "K=10, n=100, d=64, decays 5e-4",
    "Hd": "K=10, n=100, d=512, decays 5e-4",
    "I": "K=10, n=200 to 2, d=20, decays 1e-3",
    "M": "K=100, n=10, d=200, decays 5e-4",
    "LT": "K=100, n=500 to 5, d=200, decays 1e-4",
}
ASKED = 1e-10
MEASURED = ("cold", "warm", "steps", "gradient", "gap")


def data(source: Source) -> Data:
    """The stored rows; NoDataError where there are none."""
    found: dict[str, list[Any]] = {name: [] for name in ("file", "device", "case", "method", *MEASURED)}
    for path in sorted(Path(source.results).glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if not (isinstance(record, dict) and "device" in record):
            continue
        for case in SIZES:
            for row in record.get(case, ()):
                values = (path.stem, record["device"], case, row["method"], *(row[name] for name in MEASURED))
                for name, value in zip(found, values, strict=True):
                    found[name].append(value)
    if not found["case"]:
        raise NoDataError(
            f"{source.results} has no times of benchmarks/rivals.py. Run it with --out, and pass its folder as results."
        )
    table = {name: np.array(values) for name, values in found.items()}
    cases = "; ".join(f"{case}: {SIZES[case]}" for case in levels(table, "case"))
    files = ", ".join(f"{name}.json" for name in levels(table, "file"))
    return Data({"": table}, {"cases": cases, "files": files})


def figure(data: Data) -> Figure:
    """A row of panels for each file, a panel for each case."""
    files, cases = levels(data.table, "file"), levels(data.table, "case")
    parts = {(file, case): rows(rows(data.table, "file", file), "case", case) for file in files for case in cases}
    methods = {file: levels(rows(data.table, "file", file), "method").tolist() for file in files}
    longest = max(map(len, methods.values()))
    with paper():
        figure = Figure(figsize=(PAGE, (0.8 + 0.2 * longest) * len(files)), layout="constrained")
        panels = figure.subplots(len(files), len(cases), squeeze=False, sharex=True, sharey="row")
        for line, file in zip(panels, files, strict=True):
            for axes, case in zip(line, cases, strict=True):
                _draw_bars(axes, parts[file, case], methods[file])
                K, n, d = SIZES[case].split(", ")[:3]
                axes.set_title(f"{case}\n{K}, {d}\n{n}", size=7)
            line[0].set_ylabel(file)
        for axes in panels[-1]:
            axes.set_xlabel("seconds")
    return figure


def _draw_bars(axes: Axes, part: dict[str, np.ndarray], methods: list[str]) -> None:
    y = np.array([methods.index(method) for method in part["method"]])
    reached = part["gradient"] <= 2.0 * ASKED
    colours = np.where(np.char.startswith(part["method"], "ufm"), BLUE, ORANGE)
    axes.barh(y, part["cold"], 0.75, color="#E4E4E4", label="cold")
    axes.barh(y, part["warm"], 0.45, color=np.where(reached, colours, "white"), edgecolor=colours, label="warm")
    for i, seconds in enumerate(part["warm"]):
        axes.text(max(part["cold"][i], seconds) * 1.15, y[i], f"{_seconds(seconds)}", va="center", size=6.5)
    axes.set_xscale("log")
    axes.set_xlim(3e-4, 9e1)
    axes.xaxis.set_major_locator(LogLocator(base=100.0, numticks=4))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks(range(len(methods)), methods)
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.tick_params(left=False)


def _seconds(value: float) -> str:
    return f"{value * 1e3:.3g} ms" if value < 1.0 else f"{value:.3g} s"
