"""Minority collapse: classifiers of small classes that become one vector, with decay and with norm budgets."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from theory import imbalance, layer_peeled
from ufm import models
from ufm.certify.certificate import Certificate
from ufm.figures.data import Data, kept, levels, on_axes, swept
from ufm.figures.phases.diagram import draw_legend, draw_line, draw_map, ends
from ufm.figures.style import COLUMN, paper
from ufm.problem import Problem
from ufm.solve import Solution
from ufm.sweep.case import Case
from ufm.sweep.grid import grid
from ufm.sweep.results import Results
from ufm.sweep.rows import VANISHED

CAPTION = (
    "Minority collapse with decay. Distance |w_3 - w_4| of the classifiers of two small classes over |w_1 - w_2| of "
    "two large ones, cross-entropy, K = {K} ({k_A} classes of n_A and {k_B} of n_B = 1 samples), d = {d}, no bias, "
    "{points} values of nu = lam_W = lam_H in [{low:g}, {high:g}], solved from seed 0. Grey: one vector (distance up "
    "to {one:g}) or W H = 0. Line: nu = sqrt(n_B)/N by theory (3.4), the boundary; dotted: W = H = 0 from there on. "
    "Cells on the wrong side: {wrong} of {cells}."
)
BUDGETS_CAPTION = (
    "Minority collapse with norm budgets. Layer-peeled model (Fang et al., PNAS 2021), no decay: distance |w_3 - w_4| "
    "of the classifiers of two small classes over |w_1 - w_2| of two large ones, cross-entropy, K = {K} ({k_A} "
    "classes of n_A and {k_B} of n_B = 1 samples), d = {d}, no bias, {points} budgets E_W = E_H in [{low:g}, "
    "{high:g}], solved from seed 0. Grey: one vector (distance up to {one:g}). Line: the ratio R_0(E) of theory "
    "(3.6). Cells on the wrong side: {wrong} of {cells}."
)
ONE_VECTOR = 1e-5  # distance of classifiers, in units of the majority's, up to which they are one
K_A = K_B = 2
BUDGET_TICKS = (0.3, 0.5, 1.0, 2.0, 4.0)
RATIOS = (1, 2, 4, 9, 20)
SETTINGS = {"K": K_A + K_B, "k_A": K_A, "k_B": K_B, "one": ONE_VECTOR}


def minority_distance(problem: Problem, solution: Solution, certificate: Certificate) -> Mapping[str, float]:
    """`minority`: |w_i - w_j| of the last two classes over that of the first two; NaN where W H = 0."""
    W, H, _ = solution.params
    if float(np.max(np.abs(W @ H))) <= VANISHED:
        return {"minority": np.nan}
    return {"minority": float(np.linalg.norm(W[-1] - W[-2]) / np.linalg.norm(W[0] - W[1]))}


def minority_collapse(
    decays: Sequence[float] | None = None, *, ratios: Sequence[int] = RATIOS, d: int = 4, **options: Any
) -> Data:
    """Distance of the minority's classifiers over (n_A/n_B, nu), and the boundary nu = sqrt(n_B)/N.

    Args:
        decays: ascending nu = sqrt(lam_W lam_H) = lam_W = lam_H; default 21 points from 5e-3 to 0.5.
        ratios: n_A/n_B, ascending, with n_B = 1; two classes of each size.
        d: features, >= 3.
        options: of `ufm.sweep`, such as store or executor.
    Returns:
        Data. checks: "cells" where W H != 0, and "wrong": those where collapse and nu >= sqrt(n_B)/N disagree.
    Source:
        3.4: the boundary is derived for this project.
    """
    nu = np.logspace(np.log10(5e-3), np.log10(0.5), 21) if decays is None else np.asarray(decays, float)
    base = Problem(K=K_A + K_B, n=1, d=d, lam_W=1.0, lam_H=1.0, merged=True)
    points = [{"lam_W": x, "lam_H": x} for x in nu]
    results = swept(grid(base, points, n=_sizes(ratios)), columns=minority_distance, **options)
    boundary = np.array([imbalance.minority_collapse_threshold(K=K_A + K_B, n=n) for n in _sizes(ratios)])
    lost = np.array([imbalance.zero_threshold(K=K_A + K_B, n=n) for n in _sizes(ratios)])
    checks = _checked(results, nu[:, None] >= boundary)
    settings = {"d": d, "low": nu[0], "high": nu[-1], "points": nu.size, **SETTINGS}
    lines = {"ratio": np.asarray(ratios), "boundary": boundary, "zero": lost}
    return Data({"": _table(results, ratios), "theory": lines}, settings, checks)


def minority_figure(data: Data) -> Figure:
    """The map over the decay, nu = sqrt(n_B)/N, and from where on everything is zero."""
    fine = np.geomspace(*ends(levels(data.table, "ratio")), 200)
    line = (fine, 1.0 / (K_A * fine + K_B), r"$\nu=\sqrt{n_B}/N$")
    figure = _figure(data, "lam_W", line, r"$\nu=\sqrt{\lambda_W\lambda_H}$")
    theory = data.tables["theory"]
    with paper():
        axes = figure.axes[0]
        axes.plot(theory["ratio"], theory["zero"], color="black", linestyle=(0, (1, 2)), label="$WH=0$ from here on")
        draw_legend(axes, "lower left")
    return figure


def layer_peeled_collapse(
    budgets: Sequence[float] | None = None, *, ratios: Sequence[int] = RATIOS, d: int = 4, **options: Any
) -> Data:
    """The same in the layer-peeled model, over (n_A/n_B, E = E_W = E_H), with its finite threshold R_0(E).

    Args:
        budgets: ascending E; default 17 points from 0.3 to 6.
        ratios, d, options: as in `minority_collapse`.
    Returns:
        Data. checks: "cells", and "wrong": those where collapse and n_A/n_B >= R_0 disagree.
    Source:
        3.6: model of Fang et al. (PNAS 2021); R_0 derived for this project.
    """
    E = np.logspace(np.log10(0.3), np.log10(6.0), 17) if budgets is None else np.asarray(budgets, float)
    base = Case(Problem(K=K_A + K_B, n=1, d=d, model=models.layer_peeled(1.0, 1.0), merged=True))
    points = [{"model.W.mean_square": x, "model.H.mean_square": x} for x in E]
    results = swept(grid(base, points, n=_sizes(ratios)), columns=minority_distance, **options)
    checks = _checked(results, np.array(ratios) >= _thresholds(E)[:, None])
    fine = np.geomspace(*ends(E), 80)
    settings = {"d": d, "low": E[0], "high": E[-1], "points": E.size, **SETTINGS}
    return Data({"": _table(results, ratios), "theory": {"E": fine, "ratio": _thresholds(fine)}}, settings, checks)


def layer_peeled_figure(data: Data) -> Figure:
    """The map over the budgets, and R_0(E)."""
    theory = data.tables["theory"]
    line = (theory["ratio"], theory["E"], r"$n_A/n_B=R_0(E)$")
    figure = _figure(data, "model.W.mean_square", line, "$E_W=E_H$")
    with paper():
        figure.axes[0].set_yticks(BUDGET_TICKS, [f"{tick:g}" for tick in BUDGET_TICKS])
        figure.axes[0].yaxis.set_minor_locator(NullLocator())
        draw_legend(figure.axes[0], "lower right")
    return figure


def _thresholds(budgets: np.ndarray) -> np.ndarray:
    return np.array([layer_peeled.minority_collapse_ratio(k_A=K_A, k_B=K_B, E_W=x, E_H=x) for x in budgets])


def _sizes(ratios: Sequence[int]) -> list[tuple[int, ...]]:
    return [(int(ratio),) * K_A + (1,) * K_B for ratio in ratios]


def _checked(results: Results, expected: np.ndarray) -> dict[str, float]:
    distance = results.on_grid("minority")
    there = np.isfinite(distance)
    return {"cells": int(np.sum(there)), "wrong": int(np.sum(((distance <= ONE_VECTOR) != expected) & there))}


def _table(results: Results, ratios: Sequence[int]) -> dict[str, np.ndarray]:
    """The sweep, with the ratio of sizes as a number."""
    axis = next(name for name in ("lam_W", "model.W.mean_square") if name in results.columns)
    ratio = np.tile(np.asarray(ratios), len(results) // len(ratios))
    return {"ratio": ratio, **kept(results, axis, "n", "minority", "value", "gap", "verdict")}


def _figure(data: Data, axis: str, line: Any, label: str) -> Figure:
    x, y = levels(data.table, "ratio"), levels(data.table, axis)
    distance = on_axes(data.table, (axis, "ratio"), "minority")
    shown = np.where(distance > ONE_VECTOR, distance, np.nan)
    with paper():
        figure = Figure(figsize=(COLUMN, 2.6), layout="constrained")
        axes = figure.subplots()
        mesh = draw_map(axes, x, y, shown, Normalize(0.0, 1.0))
        draw_line(axes, *line)
        axes.set_xlabel("$n_A/n_B$")
        axes.set_ylabel(label)
        axes.set_xticks(x, [str(ratio) for ratio in x])
        axes.xaxis.set_minor_locator(NullLocator())
        figure.colorbar(mesh, label=r"$|w_3-w_4|\,/\,|w_1-w_2|$")
    return figure
