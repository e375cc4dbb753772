"""Gradient descent on free features: loss, NC1-NC3, margins and norms over the steps, beside theory."""

from typing import Any

import numpy as np
import optax
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from theory import conditioning
from ufm.collapse import collapse
from ufm.figures.data import Data, Source, Table, levels, rows, stacked
from ufm.figures.paper.losses import GAMMA, LOSSES, SMOOTHING, Known
from ufm.figures.style import BLUE, GREEN, GREY, INK, ORANGE, PAGE, PURPLE, RED, SKY, paper
from ufm.problem import Problem
from ufm.solution import Trajectory
from ufm.solve import solve
from ufm.solvers.first_order import FirstOrder

CAPTION = (
    "Training to the minimum. Gradient descent at the constant rate {rate:g} on free features, for four losses "
    "(focal: gamma = {gamma:g}; label smoothing {smoothing:g}): K = {K} classes of n = {n} samples, d = {d}, lam_W = "
    "{lam_W:g}, lam_H = {lam_H:g}, lam_b = {lam_b:g}, one random start (seed {key}). Top: f less the global minimum "
    "f* of theory (T7, T8, T13); grey, the slope 2 log(1 - rate mu), mu the least positive eigenvalue of the Hessian "
    "of theory (T16, T17), moved up a little. Middle: NC1, NC2 and NC3 (nc1, nc2_gram_*, nc3 of ufm.collapse), 0 at "
    "the minimum. What is below {floor:g} is drawn there. Bottom: smallest margin and squared norms; dashed, their "
    "values by theory. At the last step |f - f*| <= {excess:.1e} and margins differ from theory by <= {margin:.1e}."
)
METRICS = (
    ("nc1", "NC1", GREEN, "-"),
    ("nc2_gram_W", "NC2 of $W$", ORANGE, "-"),
    ("nc2_gram_H", "NC2 of the means", PURPLE, (0, (2, 2))),
    ("nc3", "NC3", BLUE, "-"),
)
SIZES = (("margin", "margin", RED), ("W_sq", r"$|W|_F^2$", BLUE), ("H_sq", r"$|H|_F^2$", SKY))
FLOOR = 1e-17  # what is zero is drawn here


def data(
    source: Source,
    *,
    K: int = 4,
    n: int = 10,
    d: int = 8,
    lam_W: float = 2.5e-3,
    lam_H: float = 5e-3,
    lam_b: float = 1e-2,
    rate: float = 1.5,
    steps: int = 6000,
    key: int = 0,
) -> Data:
    """One run for each loss. checks: "excess", "margin": the largest differences from theory at the last step."""
    record = np.linspace(0, steps, 101).astype(int).tolist()
    parts = []
    for name, known in LOSSES.items():
        problem = Problem(K, n, d, lam_W, lam_H, lam_b, known.loss)
        run = solve(problem, key, solver=FirstOrder(optax.sgd(rate)), max_steps=steps, gtol=1e-15, record=record)
        if run.trajectory is not None:
            parts.append({"loss": name, **_measured(problem, run.trajectory), **_stated(known, problem, rate)})
    checks = {
        "excess": max(abs(part["f"][-1] - part["f_theory"]) for part in parts),
        "margin": max(abs(part["margin"][-1] - part["margin_theory"]) for part in parts),
    }
    settings = {"K": K, "n": n, "d": d, "lam_W": lam_W, "lam_H": lam_H, "lam_b": lam_b, "rate": rate, "key": key}
    return Data({"": stacked(parts)}, settings | {"gamma": GAMMA, "smoothing": SMOOTHING, "floor": FLOOR}, checks)


def _measured(problem: Problem, trajectory: Trajectory) -> dict[str, Any]:
    W, H, b = trajectory.params
    found = [collapse(h, problem.labels, w, c) for w, h, c in zip(W, H, b, strict=True)]
    return {
        "step": trajectory.steps,
        "f": trajectory.value,
        "gradient": trajectory.grad_norm,
        **{name: np.array([getattr(at, name) for at in found]) for name, *_ in METRICS},
        "margin": np.array([at.margin_min for at in found]),
        "W_sq": np.sum(W**2, axis=(1, 2)),
        "H_sq": np.sum(H**2, axis=(1, 2)),
    }


def _stated(known: Known, problem: Problem, rate: float) -> dict[str, float]:
    stated = known.minimum(problem).quantities
    mu = conditioning.gradient_descent(known.at_minimum(problem)).mu
    named = {"f_theory": stated["value"], "margin_theory": stated["margin"]}
    return named | {"W_sq_theory": stated["W_sq"], "H_sq_theory": stated["H_sq"], "slope": 2 * np.log1p(-rate * mu)}


def figure(data: Data) -> Figure:
    """Three panels a loss, below each other."""
    losses = levels(data.table, "loss")
    with paper():
        figure = Figure(figsize=(PAGE, 4.6), layout="constrained")
        panels = figure.subplots(3, len(losses), sharex="col", sharey="row", squeeze=False)
        for name, (top, middle, bottom) in zip(losses, panels.T, strict=True):
            run = rows(data.table, "loss", name)
            top.set_title(name)
            _draw_excess(top, run)
            for metric, label, colour, line in METRICS:
                middle.plot(run["step"], np.maximum(run[metric], FLOOR), color=colour, linestyle=line, label=label)
            _log(middle)
            for size, label, colour in SIZES:
                bottom.plot(run["step"], run[size], color=colour, label=label)
                bottom.axhline(run[f"{size}_theory"][0], color=INK, linestyle=(0, (4, 3)), linewidth=0.6, zorder=3)
            bottom.set_xlabel("step")
            bottom.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        for axes in panels[:, -1]:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        panels[0, 0].set_ylabel(r"$f-f^\ast$")
        panels[1, 0].set_ylabel("collapse")
        panels[2, 0].set_ylabel("sizes (dashed: theory)")
        figure.align_ylabels(panels[:, 0])
    return figure


def _draw_excess(axes: Axes, run: Table) -> None:
    """f - f*, and the slope of theory through its last point that is clear of rounding."""
    excess = run["f"] - run["f_theory"]
    axes.plot(run["step"], np.maximum(excess, FLOOR), color=BLUE, label=r"$f-f^\ast$")
    clear = np.flatnonzero(excess > 1e-13)
    if clear.size:
        line = excess[clear[-1]] * np.exp(run["slope"] * (run["step"] - run["step"][clear[-1]]))
        shown = (line < 10.0 * excess[0]) & (line > FLOOR)
        axes.plot(run["step"][shown], 3.0 * line[shown], color=GREY, linestyle=(0, (4, 2)), label="slope by theory")
    _log(axes)


def _log(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=7))
    axes.yaxis.set_minor_locator(NullLocator())
