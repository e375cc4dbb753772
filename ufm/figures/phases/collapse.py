"""Collapse to zero at a finite decay: cross-entropy, squared error and label smoothing over (lam_W, lam_H)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from theory import cross_entropy, mse
from ufm.figures.data import Data, kept, levels, on_axes, swept
from ufm.figures.phases.diagram import draw_legend, draw_line, draw_map, ends
from ufm.figures.style import PAGE, paper
from ufm.losses.cross_entropy import CrossEntropy
from ufm.losses.squared import MSE
from ufm.problem import Problem
from ufm.sweep.grid import grid
from ufm.sweep.rows import VANISHED

CAPTION = (
    "Collapse to zero at a finite decay. Largest |W H| of the global minimum over {points} x {points} values of "
    "(lam_W, lam_H) in [{low:g}, {high:g}], K = {K}, n = {n}, d = {d}, no bias, solved from seed 0, for "
    "cross-entropy, squared error and label smoothing {smoothing:g}. Grey: W H = 0. Lines: the thresholds kappa = 1, "
    "1 and 1 - smoothing of theory (T7, T8). Cells on the wrong side: {wrong} of {cells}."
)
SMOOTHING = 0.3
LOSSES = (CrossEntropy(), MSE(), CrossEntropy(SMOOTHING))
TITLES = ("Cross-entropy", "Mean squared error", f"Label smoothing {SMOOTHING:g}")


def collapse_to_zero(
    decays: Sequence[float] | None = None, *, K: int = 4, n: int = 5, d: int = 5, **options: Any
) -> Data:
    """max |W H| of the global minimum over (lam_W, lam_H), and kappa = K sqrt(n lam_W lam_H) at its threshold.

    Args:
        decays: ascending, of both axes; default 17 points from 1e-3 to 1.
        K, n, d: sizes, no bias; d >= K-1.
        options: of `ufm.sweep`, such as store or executor.
    Returns:
        Data. checks: "cells", and "wrong": those where W H = 0 and kappa >= threshold disagree.
    Source:
        T7 (cross-entropy, label smoothing), T8 (squared error): thresholds derived for this project.
    """
    lam = np.logspace(-3, 0, 17) if decays is None else np.asarray(decays, float)
    base = Problem(K=K, n=n, d=d, lam_W=1.0, lam_H=1.0)
    results = swept(grid(base, loss=LOSSES, lam_W=lam, lam_H=lam), **options)
    kappa = K * np.sqrt(n * np.outer(lam, lam))
    thresholds = (
        cross_entropy.collapse_threshold(),
        mse.collapse_threshold(),
        cross_entropy.collapse_threshold(smoothing=SMOOTHING),
    )
    zero = results.on_grid("largest_logit") <= VANISHED
    wrong = sum(int(np.sum(zero[i] != (kappa >= threshold))) for i, threshold in enumerate(thresholds))
    table = kept(results, "loss", "lam_W", "lam_H", "largest_logit", "value", "gap", "verdict")
    table["threshold"] = np.repeat(thresholds, lam.size**2)
    settings = {"K": K, "n": n, "d": d, "low": lam[0], "high": lam[-1], "points": lam.size, "smoothing": SMOOTHING}
    return Data({"": table}, settings, {"cells": zero.size, "wrong": wrong})


def collapse_figure(data: Data) -> Figure:
    """A map for each loss, with the line kappa = threshold."""
    lam, K, n = levels(data.table, "lam_W"), data.settings["K"], data.settings["n"]
    logits = on_axes(data.table, ("loss", "lam_W", "lam_H"), "largest_logit")
    shown = np.where(logits > VANISHED, logits, np.nan)
    norm = LogNorm(max(np.nanmin(shown), 1e-2), np.nanmax(shown))
    with paper():
        figure = Figure(figsize=(PAGE, 2.3), layout="constrained")
        panels = figure.subplots(1, 3, sharey=True)
        thresholds = data.table["threshold"][:: lam.size**2]
        for panel, values, threshold, title in zip(panels, shown, thresholds, TITLES, strict=True):
            mesh = draw_map(panel, lam, lam, values.T, norm)
            product = threshold**2 / (K**2 * n)
            span = np.array(ends(lam))
            draw_line(panel, span, product / span, rf"$\kappa=K\sqrt{{n\lambda_W\lambda_H}}={threshold:g}$")
            panel.set_title(title)
            panel.set_xlabel(r"$\lambda_W$")
            panel.text(0.95, 0.95, "$WH=0$", transform=panel.transAxes, ha="right", va="top")
            draw_legend(panel, "lower left")
        panels[0].set_ylabel(r"$\lambda_H$")
        figure.colorbar(mesh, ax=panels, label=r"$\max|WH|$", pad=0.015)
    return figure
