"""Minima on spheres over dimension and temperature: how far the classes part, and how many starts get there."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ufm.figures.data import Data, levels, on_axes, stacked, swept
from ufm.figures.phases.diagram import draw_rows
from ufm.figures.style import INK, PAGE, paper
from ufm.models import normalized
from ufm.problem import Problem
from ufm.sweep.case import Case
from ufm.sweep.grid import grid

CAPTION = (
    "Minima on spheres over dimension and temperature. Cross-entropy, logits tau W H, no decay and no bias, K = {K}, "
    "n = {n}, d and tau (in [{low:g}, {high:g}]) as drawn; {starts} random starts (seeds 0 .. {end}) each. Left: "
    "margin m of the lowest minimum found, f = log(1 + (K-1) e^(-tau m)); theory (1.1): at most K/(K-1), reached from "
    "d = K-1 on (above the dashed line). It exceeds that by {excess:.1e} and falls short of it by {shortfall:.1e} at "
    "most. Right: share of the starts that end there."
)
SAME = 1e-9  # relative: values of solves that are counted as one


def sphere_minima(
    temperatures: Sequence[float] | None = None,
    *,
    K: int = 6,
    dimensions: Sequence[int] | None = None,
    starts: int = 12,
    **options: Any,
) -> Data:
    """Lowest of many starts of cross-entropy on spheres, as the margin m with f = log(1 + (K-1) e^(-tau m)).

    Args:
        temperatures: ascending tau, which multiplies the logits; default 13 points from 1 to 16 (at larger ones f is
            below what a gradient of 1e-14 resolves).
        K: classes, one feature each. dimensions: ascending d; default 2 .. K-1.
        starts: random starts for each (d, tau).
        options: of `ufm.sweep`, such as store or executor.
    Returns:
        Data. checks: "excess", how far the margin exceeds K/(K-1) at most (rounding); "shortfall", how far it stays
        below where d >= K-1.
    Source:
        1.1: K/(K-1) bounds the margin for every d, and is reached from d = K-1 on; derived for this project.
    """
    tau = np.logspace(0, np.log10(16.0), 13) if temperatures is None else np.asarray(temperatures, float)
    d = np.arange(2, K) if dimensions is None else np.asarray(dimensions)
    base = Case(Problem(K=K, n=1, d=K, model=normalized(1.0)), gtol=1e-14)
    results = swept(grid(base, d=d.tolist(), tau=tau, key=range(starts)), **options)
    values = results.on_grid("value")
    lowest = np.nanmin(values, axis=2)
    margin = -np.log(np.expm1(lowest) / (K - 1)) / tau
    share = np.mean(values <= (lowest + SAME * np.abs(lowest))[:, :, None], axis=2)
    ideal = K / (K - 1)
    checks = {
        "excess": float(np.max(margin - ideal)),
        "shortfall": float(np.max(ideal - margin[d >= K - 1], initial=0.0)),
    }
    lines = zip(d, lowest, margin, share, strict=True)
    table = stacked([{"d": x, "tau": tau, "value": f, "margin": m, "share": part} for x, f, m, part in lines])
    return Data(
        {"": table}, {"K": K, "n": 1, "starts": starts, "end": starts - 1, "low": tau[0], "high": tau[-1]}, checks
    )


def spheres_figure(data: Data) -> Figure:
    """Margin and share of starts, a row for each dimension; dashed between d = K-2 and K-1."""
    K, d, tau = data.settings["K"], levels(data.table, "d"), levels(data.table, "tau")
    margin, share = (on_axes(data.table, ("d", "tau"), name) for name in ("margin", "share"))
    panels = (
        (margin, Normalize(float(np.min(margin)), K / (K - 1)), "Margin of the lowest minimum found", "margin $m$"),
        (share, Normalize(0.0, 1.0), "Starts that reach it", "share"),
    )
    with paper():
        figure = Figure(figsize=(PAGE, 2.3), layout="constrained")
        for axes, (shown, norm, title, label) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
            mesh = draw_rows(axes, tau, d, shown, norm)
            axes.axhline(np.sum(d < K - 1) - 0.5, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
            axes.minorticks_off()
            axes.set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
            axes.set_title(title)
            axes.set_xlabel(r"$\tau$")
            figure.colorbar(mesh, ax=axes, label=label)
        figure.axes[0].set_ylabel("$d$")
    return figure
