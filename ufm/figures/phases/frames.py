"""Squared error over the decay of the bias: simplex ETF, what lies between, orthogonal frame."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from theory import mse
from ufm.certify.certificate import Certificate
from ufm.figures.data import Data, kept, levels, on_axes, swept
from ufm.figures.style import BLUE, COLUMN, GREEN, GREY, ORANGE, paper
from ufm.losses.squared import MSE
from ufm.problem import Problem
from ufm.solve import Solution
from ufm.sweep.grid import grid

CAPTION = (
    "From simplex to orthogonal frame. Squared error over the decay of the bias: cosine between rows of W at the "
    "global minimum, {points} values of lam_b for each kappa = K sqrt(n lam_W lam_H) of {kappas} (lam_W = lam_H), K = "
    "{K}, n = {n}, d = {d}, solved from seed 0. Dots, solved; lines, theory (T8); dashes, lam_b = kappa/(1-kappa), "
    "from where on the simplex ETF opens into an orthogonal frame. The largest difference is {difference:.1e}."
)
COLOURS = (BLUE, ORANGE, GREEN)


def class_cosine(problem: Problem, solution: Solution, certificate: Certificate) -> Mapping[str, float]:
    """`cosine`: the mean cosine between rows of W; NaN where W = 0."""
    W = solution.params.W
    norms = np.linalg.norm(W, axis=1)
    if np.min(norms) <= 1e-8:
        return {"cosine": np.nan}
    gram = W @ W.T / np.outer(norms, norms)
    return {"cosine": float(np.mean(gram[~np.eye(problem.K, dtype=bool)]))}


def frames_of_squared_error(
    lam_b: Sequence[float] | None = None,
    *,
    kappas: Sequence[float] = (0.1, 0.3, 0.6),
    K: int = 4,
    n: int = 5,
    d: int = 6,
    **options: Any,
) -> Data:
    """Cosine between classifiers over lam_b: -1/(K-1) up to kappa/(1-kappa), rising to 0 as lam_b grows.

    Args:
        lam_b: ascending, > 0; default 31 points from 1e-2 to 1e3.
        kappas: at most three strengths K sqrt(n lam_W lam_H) < 1.
        K, n, d: sizes, d >= K.
        options: of `ufm.sweep`, such as store or executor.
    Returns:
        Data. checks: "difference", the largest from the cosine of theory.
    Source:
        T8: structure Zhou et al. (ICML 2022), Tirer and Bruna (ICML 2022); the threshold is derived for this project.
    """
    x = np.logspace(-2, 3, 31) if lam_b is None else np.asarray(lam_b, float)
    lam = [kappa / (K * np.sqrt(n)) for kappa in kappas]
    base = Problem(K=K, n=n, d=d, lam_W=1.0, lam_H=1.0, lam_b=1.0, loss=MSE())
    points = [{"lam_W": value, "lam_H": value} for value in lam]
    results = swept(grid(base, points, lam_b=x), columns=class_cosine, **options)
    found = results.on_grid("cosine")
    expected = np.array([[_cosine(K, n, d, value, decay) for decay in x] for value in lam])
    fine = np.geomspace(x[0], x[-1], 400)
    theory = {
        "kappa": np.repeat(kappas, fine.size),
        "lam_b": np.tile(fine, len(lam)),
        "cosine": np.array([_cosine(K, n, d, value, decay) for value in lam for decay in fine]),
    }
    table = {"kappa": np.repeat(kappas, x.size), **kept(results, "lam_W", "lam_b", "cosine", "value", "gap")}
    settings = {"K": K, "n": n, "d": d, "kappas": ", ".join(f"{kappa:g}" for kappa in kappas), "points": x.size}
    checks = {"difference": float(np.max(np.abs(found - expected)))}
    return Data({"": table, "theory": theory}, settings, checks)


def frames_figure(data: Data) -> Figure:
    """Dots for what is solved, lines for theory, dashes at kappa/(1-kappa)."""
    K, x, fine = data.settings["K"], levels(data.table, "lam_b"), levels(data.tables["theory"], "lam_b")
    found = on_axes(data.table, ("kappa", "lam_b"), "cosine")
    lines = on_axes(data.tables["theory"], ("kappa", "lam_b"), "cosine")
    with paper():
        figure = Figure(figsize=(COLUMN, 2.4), layout="constrained")
        axes = figure.subplots()
        for kappa, line, dots, colour in zip(levels(data.table, "kappa"), lines, found, COLOURS, strict=False):
            axes.plot(fine, line, color=colour, zorder=1)
            axes.plot(x, dots, "o", color=colour, label=rf"$\kappa={kappa:g}$")
            axes.axvline(kappa / (1.0 - kappa), color=colour, linewidth=0.7, linestyle=(0, (3, 3)), zorder=0)
        for height, name, side in ((0.0, "orthogonal frame", "bottom"), (-1.0 / (K - 1), "simplex ETF", "top")):
            axes.axhline(height, color=GREY, linewidth=0.6, zorder=0)
            away = {"textcoords": "offset points", "xytext": (0, 2 if side == "bottom" else -2)}
            axes.annotate(name, (x[-1], height), color=GREY, ha="right", va=side, **away)
        axes.set_xscale("log")
        axes.set_ylim(-1.0 / (K - 1) - 0.05, 0.05)
        axes.set_xlabel(r"$\lambda_b$")
        axes.set_ylabel("cosine between rows of $W$")
        axes.legend(loc="center left")
    return figure


def _cosine(K: int, n: int, d: int, lam: float, lam_b: float) -> float:
    gram = mse.global_minimum(K=K, n=n, d=d, lam_W=lam, lam_H=lam, lam_b=lam_b).quantities["gram_W"]
    return float(gram[0, 1] / gram[0, 0])
