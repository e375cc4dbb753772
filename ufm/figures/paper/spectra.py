"""Every eigenvalue of the Hessian, at the global minimum and at the saddle W = H = 0, beside theory."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from theory import expand
from ufm.certify.curvature import hessian_spectrum
from ufm.figures.data import Data, Source, levels, rows, stacked
from ufm.figures.paper.losses import GAMMA, LOSSES, SMOOTHING
from ufm.figures.style import BLUE, GREY, ORANGE, PAGE, paper
from ufm.problem import Params, Problem
from ufm.solve import solve

CAPTION = (
    "Hessian spectra at the minimum and at the saddle. Every eigenvalue of the Hessian over (W, H), ascending, at the "
    "global minimum (top; solved from seed 0) and at the saddle W = H = 0 (bottom), for four losses (focal: gamma = "
    "{gamma:g}; label smoothing {smoothing:g}): K = {K}, n = {n}, d = {d}, lam_W = {lam_W:g}, lam_H = {lam_H:g}, no "
    "bias. Dots, measured from the compiled objective; line, theory with its multiplicities (T16, T17, T18). The "
    "scale is linear below {linear:g} in size. The zeros at the minimum are the orbit of O(d): (K-1)(2d-K)/2, or "
    "d(d-1)/2 - (d-K)(d-K-1)/2 for the squared error. Measured and predicted eigenvalues differ by at most "
    "{difference:.1e}."
)
LINEAR = 1e-3
POINTS = ("minimum", "zero")


def data(source: Source, *, K: int = 4, n: int = 3, d: int = 6, lam_W: float = 1e-2, lam_H: float = 4e-3) -> Data:
    """Two spectra for each loss. checks: "difference", the largest between measured and predicted."""
    parts = []
    for name, known in LOSSES.items():
        problem = Problem(K, n, d, lam_W, lam_H, loss=known.loss)
        zero = Params(np.zeros((K, d)), np.zeros((d, K * n)), None)
        for at, params, spectrum in (
            ("minimum", solve(problem).params, known.at_minimum(problem)),
            ("zero", zero, known.at_zero(problem)),
        ):
            measured, predicted = hessian_spectrum(problem, params), expand(spectrum)
            rank = np.arange(1, measured.size + 1)
            parts.append({"loss": name, "point": at, "rank": rank, "measured": measured, "predicted": predicted})
    table = stacked(parts)
    settings = {"K": K, "n": n, "d": d, "lam_W": lam_W, "lam_H": lam_H, "linear": LINEAR}
    checks = {"difference": float(np.max(np.abs(table["measured"] - table["predicted"])))}
    return Data({"": table}, settings | {"gamma": GAMMA, "smoothing": SMOOTHING}, checks)


def figure(data: Data) -> Figure:
    """Two panels a loss."""
    losses = levels(data.table, "loss")
    with paper():
        figure = Figure(figsize=(PAGE, 3.6), layout="constrained")
        panels = figure.subplots(2, len(losses), sharex=True, sharey="row", squeeze=False)
        for name, column in zip(losses, panels.T, strict=True):
            column[0].set_title(name)
            for at, axes in zip(POINTS, column, strict=True):
                part = rows(rows(data.table, "loss", name), "point", at)
                axes.axhline(0.0, color=GREY, linewidth=0.5, zorder=0)
                broad = {"color": ORANGE, "linewidth": 2.2, "zorder": 1}  # seen under the dots
                axes.step(part["rank"], part["predicted"], where="mid", label="theory", **broad)
                axes.plot(part["rank"], part["measured"], ".", color=BLUE, markersize=1.6, label="measured")
                axes.set_yscale("symlog", linthresh=LINEAR, linscale=0.5)
                axes.yaxis.set_major_locator(FixedLocator([-0.1, -0.01, 0.0, 0.001, 0.01, 0.1]))
                axes.yaxis.set_minor_locator(NullLocator())
        for axes, at in zip(panels[:, 0], ("minimum", "saddle $W=H=0$"), strict=True):
            axes.set_ylabel(f"eigenvalue, {at}")
        for axes in panels[-1]:
            axes.set_xlabel("rank")
        panels[0, 0].legend(loc="upper left")
    return figure
