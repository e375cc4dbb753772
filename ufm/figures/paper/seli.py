"""Imbalanced classes: Gram matrices over the decays, from minority collapse to the max-margin geometry (SELI)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from theory import imbalance, seli
from ufm.certify.certificate import Certificate
from ufm.figures.data import Data, Source, kept, levels, on_axes, rows, stacked, swept
from ufm.figures.grams import cosines
from ufm.figures.style import BLUE, COSINES, GREY, INK, ORANGE, PAGE, paper
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.sweep.case import Case
from ufm.sweep.grid import grid

CAPTION = (
    "Gram matrices of imbalanced classes. Cross-entropy, K = {K}: {k_A} of {n_A} samples, then {k_B} of {n_B}; d = "
    "{d}, no bias, {points} values of lam_W = lam_H = nu, solved from seed 0 and certified ({proven} global minima). "
    "Left: cosines between rows of W and between class means at three decays, and in the limit nu -> 0 (SELI, theory "
    "3.1; Thrampoulidis et al., NeurIPS 2022). Right: distance |G/|G| - S/|S|| of the Gram matrices from those of "
    "SELI, dots measured, lines theory at the same decay (3.4); they differ by at most {difference:.1e}. Dashed: nu = "
    "sqrt(n_B)/N, above which the minority's classifiers are one vector. The approach to SELI is logarithmic only."
)
SHOWN = (3e-2, 1e-3, 1e-6)  # decays whose matrices are drawn


def grams(problem: Problem, solution: Solution, certificate: Certificate) -> Mapping[str, Any]:
    """`gram_W` [K, K] W W^T; `gram_M` [K, K] of the class means, of a merged problem."""
    W, H, _ = solution.params
    means = H / np.sqrt(problem.sizes)
    return {"gram_W": W @ W.T, "gram_M": means.T @ means}


def data(
    source: Source, *, k_A: int = 3, k_B: int = 3, n_A: int = 20, n_B: int = 2, d: int = 6, points: int = 15
) -> Data:
    """A sweep. checks: "proven" minima, and "difference" of the distances from those of theory."""
    K, sizes = k_A + k_B, (n_A,) * k_A + (n_B,) * k_B
    nu = np.sort(np.append(np.geomspace(SHOWN[0], SHOWN[-1], points - 1), SHOWN[1]))[::-1]
    base = Case(Problem(K, sizes, d, 1.0, 1.0, merged=True), gtol=1e-13)
    results = swept(grid(base, [{"lam_W": x, "lam_H": x} for x in nu]), columns=grams, store=source.store)
    limit = seli.global_minimum(K=K, n=sizes, d=d).quantities
    fine = np.geomspace(nu[0], nu[-1], 100)
    table, line, difference = kept(results, "lam_W", "value", "gap", "verdict"), {"nu": fine}, 0.0
    for name in ("gram_W", "gram_M"):
        table[f"distance_{name}"] = np.array([_distance(gram, limit[name]) for gram in results[name]])
        stated, line[f"distance_{name}"] = (
            np.array([_distance(_stated(K, sizes, d, x)[name], limit[name]) for x in decays]) for decays in (nu, fine)
        )
        difference = max(difference, float(np.max(np.abs(table[f"distance_{name}"] - stated))))
    i, j = (place.ravel() for place in np.indices((K, K)))
    matrices = [
        {"nu": x, "i": i, "j": j, **{name: cosines(results[name][at]).ravel() for name in ("gram_W", "gram_M")}}
        for x, at in ((x, int(np.argmin(np.abs(np.log(nu / x))))) for x in SHOWN)
    ]
    matrices.append(
        {"nu": 0.0, "i": i, "j": j, **{name: cosines(limit[name]).ravel() for name in ("gram_W", "gram_M")}}
    )
    settings = {"K": K, "k_A": k_A, "k_B": k_B, "n_A": n_A, "n_B": n_B, "d": d, "points": points}
    checks = {"proven": int(np.sum(results["verdict"] == "GLOBAL_MINIMUM")), "difference": difference}
    return Data({"": table, "theory": line, "cosines": stacked(matrices)}, settings, checks)


def _stated(K: int, sizes: tuple[int, ...], d: int, nu: float) -> Mapping[str, Any]:
    return imbalance.global_minimum(K=K, n=sizes, d=d, lam_W=nu, lam_H=nu).quantities


def _distance(gram: np.ndarray, limit: np.ndarray) -> float:
    return float(np.linalg.norm(gram / np.linalg.norm(gram) - limit / np.linalg.norm(limit)))


def figure(data: Data) -> Figure:
    """Matrices on the left, distances on the right."""
    nus = levels(data.tables["cosines"], "nu")
    with paper():
        figure = Figure(figsize=(PAGE, 2.2), layout="constrained")
        left, right = figure.add_gridspec(1, 2, width_ratios=(2.1, 1.0))
        grid = left.subgridspec(2, len(nus))
        panels = np.array([[figure.add_subplot(grid[i, j]) for j in range(len(nus))] for i in range(2)])
        for column, nu in zip(panels.T, nus, strict=True):
            part = rows(data.tables["cosines"], "nu", nu)
            column[0].set_title(rf"$\nu={_power(nu)}$" if nu else "SELI", pad=3)
            for axes, name in zip(column, ("gram_W", "gram_M"), strict=True):
                image = _draw_matrix(axes, on_axes(part, ("i", "j"), name), data.settings["k_A"])
        for axes, label in zip(panels[:, 0], ("rows of $W$", "class means"), strict=True):
            axes.set_ylabel(label)
        figure.colorbar(image, ax=panels, label="cosine", ticks=[-1, -0.5, 0, 0.5, 1], shrink=0.9, pad=0.02)
        _draw_distances(figure.add_subplot(right), data)
    return figure


def _draw_matrix(axes: Axes, matrix: np.ndarray, k_A: int) -> Any:
    image = axes.imshow(matrix, cmap=COSINES, norm=Normalize(-1.0, 1.0), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)
    for draw in (axes.axhline, axes.axvline):
        draw(k_A - 0.5, color=INK, linewidth=0.5)
    return image


def _draw_distances(axes: Axes, data: Data) -> None:
    table, theory, settings = data.table, data.tables["theory"], data.settings
    for name, label, colour in (("gram_W", "rows of $W$", BLUE), ("gram_M", "class means", ORANGE)):
        axes.plot(theory["nu"], theory[f"distance_{name}"], color=colour, linewidth=0.9, zorder=1)
        axes.plot(table["lam_W"], table[f"distance_{name}"], "o", color=colour, label=label)
    N = settings["k_A"] * settings["n_A"] + settings["k_B"] * settings["n_B"]
    axes.axvline(np.sqrt(settings["n_B"]) / N, color=GREY, linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    axes.set(xscale="log", xlabel=r"$\nu=\sqrt{\lambda_W\lambda_H}$", ylabel="distance from SELI", ylim=(0.0, None))
    axes.xaxis.set_major_locator(LogLocator(numticks=5))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.legend(loc="upper left")


def _power(x: float) -> str:
    mantissa, exponent = f"{x:.0e}".split("e")
    return ("" if mantissa == "1" else rf"{mantissa}\cdot") + rf"10^{{{int(exponent)}}}"
