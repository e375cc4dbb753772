"""The global minimum over the decays: solved and certified, beside its closed form."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from ufm.figures.data import Data, Source, kept, levels, on_axes, stacked, swept
from ufm.figures.paper.losses import GAMMA, LOSSES, SMOOTHING
from ufm.figures.style import BLUE, COLUMN, GREEN, GREY, ORANGE, RED, paper
from ufm.problem import Problem
from ufm.sweep.grid import grid
from ufm.verify.columns import predicted

CAPTION = (
    "The global minimum over the decays. Four losses (focal: gamma = {gamma:g}; label smoothing {smoothing:g}), K = "
    "{K}, n = {n}, d = {d}, no bias, {points} values of lam_W = lam_H, abscissa kappa = K sqrt(n lam_W lam_H). Top: "
    "dots, f of the solved problem (seed 0); lines, theory (T7, T8, T13), flat where W = H = 0. Bottom: dots, the "
    "difference |f - f*| from theory; crosses, the certified gap, a proven bound of f - f* that does not know theory. "
    "{proven} of {cells} points are certified global minima; differences are at most {difference:.1e}, gaps "
    "{gap:.1e}."
)
COLOURS = (BLUE, RED, GREEN, ORANGE)
FLOOR = 1e-17  # what is zero is drawn here
MARKS = (("o", "difference"), ("x", "gap"))


def data(source: Source, *, K: int = 4, n: int = 5, d: int = 6, points: int = 25) -> Data:
    """A sweep. checks: "cells", "proven", and the largest "difference" and "gap"."""
    kappa = np.geomspace(1e-3, 2.0, points)
    lam = kappa / (K * np.sqrt(n))
    base = Problem(K, n, d, 1.0, 1.0)
    decays = [{"lam_W": x, "lam_H": x} for x in lam]
    losses = [known.loss for known in LOSSES.values()]
    results = swept(grid(base, decays, loss=losses), columns=predicted(), store=source.store)
    table = {
        "kappa": np.repeat(kappa, len(LOSSES)),
        "loss": np.tile(np.array(list(LOSSES)), points),
        **kept(results, "lam_W", "lam_H", "value", "prediction", "difference", "gap", "verdict", "theorem"),
    }
    fine = np.geomspace(kappa[0], kappa[-1], 200)
    problems = [Problem(K, n, d, x, x) for x in fine / (K * np.sqrt(n))]
    lines = [
        {"loss": name, "kappa": fine, "value": np.array([known.minimum(problem).value for problem in problems])}
        for name, known in LOSSES.items()
    ]
    checks = {
        "cells": len(results),
        "proven": int(np.sum(results["verdict"] == "GLOBAL_MINIMUM")),
        "difference": float(np.max(np.abs(results["difference"]))),
        "gap": float(np.max(results["gap"])),
    }
    settings = {"K": K, "n": n, "d": d, "points": points, "gamma": GAMMA, "smoothing": SMOOTHING}
    return Data({"": table, "theory": stacked(lines)}, settings, checks)


def figure(data: Data) -> Figure:
    """Values above, differences and gaps below."""
    kappa = levels(data.table, "kappa")
    columns = {name: on_axes(data.table, ("kappa", "loss"), name) for name in ("value", "difference", "gap")}
    theory = data.tables["theory"]
    fine, lines = levels(theory, "kappa"), on_axes(theory, ("loss", "kappa"), "value")
    with paper():
        figure = Figure(figsize=(COLUMN, 4.0), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(1.2, 1.0))
        for i, (name, colour) in enumerate(zip(levels(data.table, "loss"), COLOURS, strict=False)):
            top.plot(fine, lines[i], color=colour, zorder=1)
            top.plot(kappa, columns["value"][:, i], "o", color=colour, label=name)
            sizes = {mark: np.maximum(np.abs(columns[column][:, i]), FLOOR) for mark, column in MARKS}
            for mark, size in sizes.items():
                bottom.plot(kappa, size, mark, color=colour, alpha=0.8)
        for (mark, _), label in zip(MARKS, (r"$|f-f^\ast|$, theory", "certified gap"), strict=True):
            bottom.plot([], [], mark, color=GREY, label=label)
        top.set(xscale="log", ylabel="global minimum")
        top.legend(loc="upper left")
        bottom.set(
            yscale="log", xlabel=r"$\kappa=K\sqrt{n\lambda_W\lambda_H}$", ylabel="difference", ylim=(1e-18, 1e-12)
        )
        bottom.yaxis.set_major_locator(LogLocator(numticks=7))
        bottom.yaxis.set_minor_locator(NullLocator())
        bottom.text(
            0.01, 0.6 * FLOOR, "exactly 0", transform=bottom.get_yaxis_transform(), va="top", color=GREY, size=7
        )
        bottom.legend(loc="upper left")
        figure.align_ylabels()
    return figure
