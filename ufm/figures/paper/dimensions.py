"""Where the landscape is benign, and where it stops: the minima that random starts find, dimension by dimension."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from theory import cross_entropy
from ufm.dimensions import by_dimension
from ufm.figures.data import Data, Source, levels, rows, stacked
from ufm.figures.landscape import dimension_table, draw_dimensions
from ufm.figures.style import GREY, PAGE, paper
from ufm.problem import Problem

CAPTION = (
    "Minima by dimension. Cross-entropy, K = {K}, n = {n}, lam_W = lam_H = lam of {decays}, lam_b = {lam_b:g}, "
    "{starts} random starts (seed 0) at each d = {d}: every distinct value, its area the share of the starts that end"
    " there. Theory (T4; Zhu et al., NeurIPS 2021, for d > K): no minimum but the global one from d = K-1 on "
    "(dashed), whose value (T7, line) is met to {difference:.1e}. Found there above it: {spurious}; minima above the "
    "lowest value for d < K-1: {higher}."
)
LAM_B = 0.1


def data(
    source: Source, *, decays: Sequence[float] = (1e-3, 0.05), K: int = 5, starts: int = 24, extra: int = 1
) -> Data:
    """`by_dimension` for d = 1 .. K + extra, blind.

    checks: "difference" of the lowest value from T7 where d >= K-1; "spurious", distinct values above it there;
    "higher", local minima above the lowest value where d < K-1.
    """
    dimensions = range(1, K + extra + 1)
    parts, errors, spurious, higher = [], [], 0, 0
    for lam in decays:
        seen = by_dimension(Problem(K, 1, K, lam, lam, LAM_B), dimensions, starts)
        value = cross_entropy.global_minimum(K=K, n=1, d=K, lam_W=lam, lam_H=lam, lam_b=LAM_B).value
        parts.append({"lam": lam, **dimension_table(seen), "f_theory": value})
        wide = [at for at in seen if at.d >= K - 1]
        errors += [abs(float(at.found.values[0]) - value) for at in wide]
        spurious += sum(len(at.found.values) - 1 for at in wide)
        higher += sum(at.spurious for at in seen if at.d < K - 1)
    settings = {"K": K, "n": 1, "d": f"1 .. {K + extra}", "lam_b": LAM_B, "starts": starts}
    settings["decays"] = ", ".join(f"{lam:g}" for lam in decays)
    checks = {"difference": max(errors), "spurious": spurious, "higher": higher}
    return Data({"": stacked(parts)}, settings, checks)


def figure(data: Data) -> Figure:
    """A panel for each decay."""
    decays, K = levels(data.table, "lam"), data.settings["K"]
    with paper():
        figure = Figure(figsize=(PAGE, 2.4), layout="constrained")
        panels = figure.subplots(1, len(decays), squeeze=False)[0]
        for axes, lam in zip(panels, decays, strict=True):
            part = rows(data.table, "lam", lam)
            d = part["d"]
            axes.plot([K - 1, max(np.max(d), K - 1)], [part["f_theory"][0]] * 2, color=GREY, linewidth=0.8, zorder=0)
            axes.axvline(K - 1.5, color=GREY, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0)
            draw_dimensions(axes, part, 80.0)
            axes.set_title(rf"$\lambda={lam:g}$")
            axes.legend(loc="upper right", markerscale=0.6)
    return figure
