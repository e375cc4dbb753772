"""Spurious minima of cross-entropy with decay: where many random starts end, for each dimension."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ufm.figures.data import Data, kept, levels, on_axes, swept
from ufm.figures.style import BLUE, GREY, ORANGE, PAGE, SKY, paper
from ufm.problem import Problem
from ufm.sweep.grid import grid
from ufm.sweep.results import Results

CAPTION = (
    "Where random starts end: spurious minima. Cross-entropy with decay, K = {K}, n = {n}, no bias, lam_W = lam_H of "
    "{decays}, {starts} random starts (seeds 0 .. {end}) for each dimension d. Theory: no spurious minima for d >= K "
    "(T4; Zhu et al., NeurIPS 2021, for d > K), some for d < K-1 (T6). Found above the lowest value: {spurious} local "
    "minima for d >= K-1, {higher} for d < K-1."
)
SAME = 1e-9  # of 1 + |f|: values of solves that are counted as one
ENDS = (
    ("global minimum, proven", BLUE),
    ("lowest value found", SKY),
    ("higher local minimum", ORANGE),
    ("undecided", GREY),
)
NAMES = tuple(name for name, _ in ENDS)


def spurious_minima(
    decays: Sequence[float] = (1e-4, 1e-3, 1e-2),
    *,
    K: int = 5,
    dimensions: Sequence[int] | None = None,
    starts: int = 40,
    **options: Any,
) -> Data:
    """Shares of random starts that end at a certified global minimum, at the lowest value found, or higher.

    Args:
        decays: lam_W = lam_H, one panel each; no bias.
        K: classes, one feature each. dimensions: ascending d; default 1 .. K.
        starts: random starts for each decay and d.
        options: of `ufm.sweep`, such as store or executor.
    Returns:
        Data. checks: "spurious", local minima above the lowest value where d >= K-1 (theory: none); "higher", how
        many there are where d < K-1.
    Source:
        T4: none for d >= K (Zhu et al., NeurIPS 2021, for d > K); T6: they exist for d < K-1, derived for this project.
    """
    d = np.arange(1, K + 1) if dimensions is None else np.asarray(dimensions)
    base = Problem(K=K, n=1, d=K, lam_W=1.0, lam_H=1.0)
    points = [{"lam_W": lam, "lam_H": lam} for lam in decays]
    results = swept(grid(base, points, d=d.tolist(), key=range(starts)), **options)
    ends = _ends(results)
    higher = np.sum(ends == 2, axis=(0, 2))
    checks = {"spurious": int(np.sum(higher[d >= K - 1])), "higher": int(np.sum(higher[d < K - 1]))}
    table = {**kept(results, "lam_W", "d", "key", "value", "verdict", "gap"), "end": np.array(NAMES)[ends.ravel()]}
    settings = {"K": K, "n": 1, "starts": starts, "end": starts - 1, "decays": ", ".join(f"{lam:g}" for lam in decays)}
    return Data({"": table}, settings, checks)


def _ends(results: Results) -> np.ndarray:
    """[decays, d, starts] which of ENDS."""
    values, verdict = results.on_grid("value"), results.on_grid("verdict")
    lowest = np.min(values, axis=2, keepdims=True)
    at_lowest = values <= lowest + SAME * (1.0 + np.abs(lowest))
    proven, local = verdict == "GLOBAL_MINIMUM", verdict == "LOCAL_MINIMUM"
    return np.select([proven, at_lowest, local], [0, 1, 2], 3)


def spurious_figure(data: Data) -> Figure:
    """Shares of the starts, a panel for each decay."""
    decays, d, starts = levels(data.table, "lam_W"), levels(data.table, "d"), data.settings["starts"]
    ends = on_axes(data.table, ("lam_W", "d", "key"), "end")
    with paper():
        figure = Figure(figsize=(PAGE, 2.2), layout="constrained")
        panels = figure.subplots(1, len(decays), sharey=True, squeeze=False)[0]
        for axes, lam, found in zip(panels, decays, ends, strict=True):
            foot = np.zeros(len(d))
            for label, colour in ENDS:
                share = np.mean(found == label, axis=1)
                if np.any(ends == label):
                    axes.bar(d, share, 0.72, foot, color=colour, label=label)
                foot = foot + share
            axes.set_xticks(d)
            axes.set_ylim(0.0, 1.0)
            axes.set_xlabel("$d$")
            axes.set_title(rf"$\lambda_W=\lambda_H={lam:g}$")
        panels[0].set_ylabel(f"share of {starts} random starts")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure
