"""Deep neural collapse against strongly regular graph solutions of ReLU layers, over the depth and the classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from theory import srg
from ufm.figures.data import Data, Source, levels, on_axes, stacked
from ufm.figures.phases.diagram import MAP
from ufm.figures.style import COLUMN, INK, paper
from ufm.losses.squared import MSE
from ufm.models import DeepReLU
from ufm.multistart import best_found
from ufm.problem import Params, Problem
from ufm.solve import solve
from ufm.solvers.first_order import annealed

CAPTION = (
    "Neural collapse or strongly regular graphs: ReLU layers. Squared loss, no bias, L matrices, K = r(r-1)/2 classes"
    " (K = {K}), n = {n}, decay {strength:g}/K of every factor: value of the strongly regular graph (SRG) solution "
    "over that of deep neural collapse (DNC), by theory (D3; Sukenik et al., arXiv 2405.14468). Line: where the cost "
    "of the two is equal as the decay goes to 0; cells on its wrong side: {wrong} of {cells}. Signs in {searched} "
    "cells, the lowest of {starts} random starts (seed 0; {steps} annealed steps, all widths d = {d}) and of a descent "
    "from the explicit SRG weights ({descent} annealed steps): = within {near:g} of the lower of the two (relative), "
    "- below it (cells: {below}), + above ({above}); in brackets where only the descent from the explicit weights is "
    "there, and every random start ends higher (cells: {explicit}, by {missed:.1%} at most). Neither solution is "
    "proved to be the minimum for L >= 3."
)
STRENGTH = 0.024  # K lam, as in the figure of the depth
NEAR = 1e-3
SEARCHED = ((3, 4), (4, 4), (3, 5), (4, 5))  # (L, r)
SCALES = (0.5, 0.8)  # of the random starts: zero is a minimum, and smaller ones end there
DESCENT = 2000  # annealed steps from the explicit weights; small ones, that stay near a minimum


def data(
    source: Source,
    *,
    depths: Sequence[int] = (3, 4, 5, 6, 7, 8),
    orders: Sequence[int] = (4, 5, 6, 7, 8, 9, 10),
    searched: Sequence[tuple[int, int]] = SEARCHED,
    starts: int = 24,
    steps: int = 6000,
) -> Data:
    """Values of theory over (L, K); in some cells the lowest of random starts, and the end of a descent from SRG.

    checks: "cells", and "wrong": those where values and costs disagree on which of the two is lower; "below" and
    "above", cells where the lowest point found lies under or over the lower of the two; "explicit", cells where only
    the descent from the explicit weights finds it.
    """
    parts = [_cell(L, r) for L in depths for r in orders]
    table = stacked([{name: part[name] for name in ("L", "K", "DNC", "SRG")} for part in parts])
    cheaper = np.array([srg.beats_collapse(K=part["K"], L=part["L"]) for part in parts])
    table["cheaper"] = cheaper
    names = ("L", "K", "DNC", "SRG", "random", "explicit")
    ends = [{**_cell(L, r), "random": _lowest(L, r, starts, steps), "explicit": _descended(L, r)} for L, r in searched]
    found = stacked(ends) if ends else {name: np.empty(0) for name in names}
    off, only = _off(found), _only_explicit(found)
    checks = {
        "cells": len(parts),
        "wrong": int(np.sum((table["SRG"] < table["DNC"]) != cheaper)),
        "below": int(np.sum(off < -NEAR)),
        "above": int(np.sum(off > NEAR)),
        "explicit": int(np.sum(only)),
    }
    settings = {"n": 1, "strength": STRENGTH, "near": NEAR, "starts": starts, "steps": steps, "searched": len(ends)}
    settings |= {
        "descent": DESCENT,
        "missed": float(np.max((found["random"] / found["explicit"] - 1.0)[only], initial=0.0)),
    }
    settings |= {"K": ", ".join(str(K) for K in levels(table, "K")), "d": "3r"}
    return Data({"": table, "searched": found}, settings, checks)


def _cell(L: int, r: int) -> dict[str, Any]:
    K = r * (r - 1) // 2
    common = {"r": r, "n": 1, "lam_W": STRENGTH / K, "lam_H": STRENGTH / K, "L": L}
    return {"L": L, "K": K, "DNC": srg.collapse_value(**common), "SRG": srg.value(**common)}


def _lowest(L: int, r: int, starts: int, steps: int) -> float:
    K, width = r * (r - 1) // 2, 3 * r
    problem = Problem(K, 1, width, STRENGTH / K, STRENGTH / K, loss=MSE(), model=DeepReLU((width,) * (L - 1)))
    return best_found(problem, starts, scales=SCALES, solver=annealed(steps=steps)).solution.value


def _descended(L: int, r: int) -> float:
    """Where a descent from the explicit SRG weights ends, in the widths that they need."""
    lam = STRENGTH / (r * (r - 1) // 2)
    weights = srg.point(r=r, n=1, lam_W=lam, lam_H=lam, L=L)
    model = DeepReLU(tuple(len(matrix) for matrix in weights.W[:-1]))
    problem = Problem(len(weights.W[-1]), 1, len(weights.H), lam, lam, loss=MSE(), model=model)
    return solve(problem, start=Params(weights.W, weights.H, None), solver=annealed(1e-3, DESCENT)).value


def _off(found: dict[str, np.ndarray]) -> np.ndarray:
    """How far the lowest point found is from the lower of the two, relative to it."""
    return np.minimum(found["random"], found["explicit"]) / np.minimum(found["DNC"], found["SRG"]) - 1.0


def _only_explicit(found: dict[str, np.ndarray]) -> np.ndarray:
    """Whether random starts miss the lowest point."""
    return found["random"] > (1.0 + NEAR) * found["explicit"]


def figure(data: Data) -> Figure:
    """A cell for each depth and number of classes, the boundary of the costs, and the signs of the searches."""
    table = data.table
    K, L = levels(table, "K"), levels(table, "L")
    ratio, cheaper = (on_axes(table, ("L", "K"), name) for name in ("SRG", "cheaper"))
    ratio = ratio / on_axes(table, ("L", "K"), "DNC")
    with paper():
        figure = Figure(figsize=(COLUMN, 2.6), layout="constrained")
        axes = figure.subplots()
        mesh = axes.pcolormesh(ratio, cmap=MAP, rasterized=True)
        _draw_boundary(axes, cheaper)
        found = dict(data.tables["searched"])
        cells = zip(found["L"], found["K"], _off(found), _only_explicit(found), strict=True)
        for depth, classes, off, only in cells:
            sign = "=" if abs(off) <= NEAR else "+" if off > 0.0 else "\N{MINUS SIGN}"
            place = np.searchsorted(K, classes) + 0.5, np.searchsorted(L, depth) + 0.5
            axes.annotate(f"({sign})" if only else sign, place, ha="center", va="center", size=9)
        axes.set_xticks(np.arange(len(K)) + 0.5, [str(x) for x in K])
        axes.set_yticks(np.arange(len(L)) + 0.5, [str(x) for x in L])
        axes.set_xlabel("classes $K$")
        axes.set_ylabel("matrices $L$")
        figure.colorbar(mesh, label=r"$f_{\mathrm{SRG}}\,/\,f_{\mathrm{DNC}}$")
    return figure


def _draw_boundary(axes: Axes, cheaper: np.ndarray) -> None:
    """Edges between cells of which one is cheaper by each."""
    for row, column in np.argwhere(np.diff(cheaper, axis=1)):
        axes.plot([column + 1, column + 1], [row, row + 1], color=INK, linewidth=1.2)
    for row, column in np.argwhere(np.diff(cheaper, axis=0)):
        axes.plot([column, column + 1], [row + 1, row + 1], color=INK, linewidth=1.2)
