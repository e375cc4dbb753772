"""Spurious minima of cross-entropy with decay: where many random starts end, for each dimension."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ufm.figures.phases.diagram import Diagram
from ufm.figures.style import BLUE, GREY, ORANGE, SKY, style
from ufm.problem import Problem
from ufm.sweep.driver import sweep
from ufm.sweep.grid import grid

SAME = 1e-9  # relative: values of solves that are counted as one


def spurious_minima(
    dimensions: Sequence[int] | None = None, *, K: int = 6, lam: float = 5e-3, starts: int = 40, **options: Any
) -> Diagram:
    """Shares of random starts that end at a certified global minimum, at the lowest value found, or higher.

    Args:
        dimensions: ascending d; default 1 .. K.
        K: classes, one feature each. lam: lam_W = lam_H, no bias. starts: random starts for each d.
        options: of `ufm.sweep`, such as store or executor.
    Returns:
        Diagram. checks: "spurious", local minima above the lowest value where d >= K-1 (theory: none); "above", the
        share of them over all d < K-1.
    Source:
        T3: no spurious minima for d >= K (Zhu et al., NeurIPS 2021), and T6: they exist for d < K-1.
    """
    d = np.arange(1, K + 1) if dimensions is None else np.asarray(dimensions)
    base = Problem(K=K, n=1, d=K, lam_W=lam, lam_H=lam)
    results = sweep(grid(base, d=d.tolist(), key=range(starts)), **options)
    values, verdict = results.on_grid("value"), results.on_grid("verdict")
    lowest = np.min(values, axis=1, keepdims=True)
    at_lowest = values <= lowest + SAME * (1.0 + np.abs(lowest))
    proven = verdict == "GLOBAL_MINIMUM"
    parts = (
        ("global minimum, proven", BLUE, proven),
        ("lowest value found", SKY, at_lowest & ~proven),
        ("higher local minimum", ORANGE, ~at_lowest & (verdict == "LOCAL_MINIMUM")),
    )
    rest = ~np.any([mask for _, _, mask in parts], axis=0)
    shares = [np.mean(mask, axis=1) for _, _, mask in parts] + [np.mean(rest, axis=1)]
    with style():
        figure = Figure(figsize=(5.6, 3.4), layout="constrained")
        axes = figure.subplots()
        foot = np.zeros(len(d))
        for share, (label, colour, _) in zip(shares, (*parts, ("undecided", GREY, rest)), strict=True):
            if np.any(share > 0):
                axes.bar(d, share, 0.72, foot, color=colour, label=label)
            foot = foot + share
        axes.set_xticks(d)
        axes.set_ylim(0.0, 1.0)
        axes.set_xlabel("$d$")
        axes.set_ylabel(f"share of {starts} random starts")
        axes.set_title(rf"Cross-entropy, $K={K}$, $\lambda_W=\lambda_H={lam:g}$")
        figure.legend(loc="outside lower center", ncols=3)
    above = ~at_lowest & ~proven
    enough = d >= K - 1
    checks = {
        "spurious": int(np.sum(above[enough])),
        "above": float(np.mean(above[~enough])) if np.any(~enough) else 0.0,
    }
    return Diagram(results, figure, checks)
