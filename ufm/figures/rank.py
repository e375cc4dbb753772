"""Rank and depth in one picture: networks with and without batch norm, and the deep unconstrained feature model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from ufm.figures.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, RED, SKY

DASHED = (0, (3, 2))
NETWORKS = {"plain": RED, "batch norm": BLUE}
MODELS = (SKY, GREEN, ORANGE, PURPLE, INK)
METRICS = (("nc1", "NC1", "-"), ("nc2", "NC2", DASHED))
Columns = Mapping[str, np.ndarray]


def rank_tables(courses: Mapping[str, Any], models: Mapping[str, Any]) -> dict[str, Columns]:
    """ "": singular values of the centred class means over the first, by source; "epochs": NC1 and NC2 of the networks.

    Args:
        courses: name -> `ufm.networks.Course`. models: name -> `ufm.networks.DeepModel`.
    """
    ends = {name: course.train[-1].spectrum for name, course in courses.items()}
    ends |= {name: model.spectrum for name, model in models.items()}
    spectra, epochs = [], []
    for name, values in ends.items():
        for number, value in enumerate(values[:-1], start=1):  # the last one of K centred means is zero
            spectra.append((name, name in courses, number, value / values[0]))
    for name, course in courses.items():
        for epoch, at in zip(course.epochs, course.train, strict=True):
            epochs.append((name, epoch, at.nc1, at.nc2_gram_H))
    return {
        "": _columns(("source", "network", "number", "singular_value"), spectra),
        "epochs": _columns(("source", "epoch", "nc1", "nc2"), epochs),
    }


def draw_rank(figure: Figure, tables: Mapping[str, Columns]) -> None:
    """Spectra of the networks, spectra of the models, and the course of NC1 and NC2."""
    spectra, course = tables[""], tables["epochs"]
    sources = list(dict.fromkeys(spectra["source"][~spectra["network"]].tolist()))
    panels = figure.subplots(1, 2 + bool(sources))
    _draw_spectra(panels[0], spectra, NETWORKS, "lower left")
    panels[0].set_title("Networks")
    panels[0].set_ylabel("singular value over the first")
    if sources:
        _draw_spectra(panels[1], spectra, dict(zip(sources, MODELS, strict=False)), "center right")
        panels[1].set_title("Deep models, lowest points found")
    axes = panels[-1]
    for name, colour in NETWORKS.items():
        own = course["source"] == name
        for metric, label, line in METRICS:
            axes.plot(course["epoch"][own], course[metric][own], color=colour, linestyle=line, label=f"{label}, {name}")
    axes.set_title("Training set")
    axes.set(yscale="log", xlabel="epoch", xlim=(0, 1.05 * max(float(np.max(course["epoch"])), 1.0)))
    axes.set_xscale("symlog", linthresh=1)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.legend(loc="lower left")


def _draw_spectra(axes: Axes, table: Columns, colours: Mapping[str, str], legend: Any) -> None:
    for name, colour in colours.items():
        own = table["source"] == name
        axes.plot(table["number"][own], table["singular_value"][own], color=colour, marker="o", label=name)
    axes.axhline(1.0, color=GREY, linewidth=0.6, linestyle=DASHED, zorder=0)
    axes.text(0.99, 1.01, "simplex ETF", transform=axes.get_yaxis_transform(), ha="right", va="bottom", color=GREY)
    axes.set(xlabel="number of the singular value", ylim=(-0.03, 1.15))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc=legend, handlelength=1.0, handletextpad=0.4)


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, np.ndarray]:
    return {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
