"""Depth: the jump to zero of deep linear models, and ReLU solutions of low rank below deep neural collapse."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from theory import deep_linear, srg
from ufm.certify.point import examine
from ufm.figures.data import Data, Source, kept, levels, rows, stacked, swept
from ufm.figures.style import BLUE, GREEN, GREY, ORANGE, PAGE, PURPLE, paper
from ufm.losses.squared import MSE
from ufm.models import DeepLinear, DeepReLU
from ufm.problem import Params, Problem
from ufm.solve import solve
from ufm.solvers.lbfgs import LBFGS
from ufm.sweep.case import RandomStart
from ufm.sweep.grid import grid
from ufm.verify.experiment import orthogonal

CAPTION = (
    "Depth: jumps to zero, and solutions below neural collapse. Squared loss, no bias. Left: deep linear models of M "
    "matrices, K = {K}, n = {n}, all widths {d}, one decay lam for every factor: singular value of the logits over "
    "that of the targets at the global minimum, over lam divided by its threshold by theory (L2; M = 1 continuous, M "
    ">= 2 a jump). Dots, the lower of a small random (seed 0) and an aligned start, {proven} of {cells} certified "
    "global minima; lines, theory (L3). Values of f differ from theory by at most {difference:.1e}. Right: ReLU "
    "layers, K = r(r-1)/2 classes (r = {r}), n = 1, lam = {strength:g}/K for every factor: value of the strongly "
    "regular graph (SRG) solution over that of deep neural collapse (DNC), L matrices. Lines, theory (D3; Sukenik et "
    "al., arXiv 2405.14468); dots, f of the explicit weights (theory differs by at most {explicit:.1e}); crosses, "
    "{random} random starts (seeds 0 .. {last}) for K = 6, L = 4, hidden widths 4, 4, 10, by L-BFGS, which zigzags on "
    "the kinks of f: {above} of them end above {highest:g} and are not drawn; {below} end below SRG."
)
COLOURS = (BLUE, ORANGE, GREEN)
STRENGTH = 0.024  # K lam
RELU = (3, 4, 6)
HIGHEST = 1.15  # times the value of DNC: what is drawn
EXPLICIT = ((4, 3), (5, 3), (6, 3), (4, 4), (5, 4))  # (r, L) at which the objective is evaluated


@dataclass(frozen=True)
class Aligned:
    """Every factor `scale` times an orthogonal matrix, and their product a multiple of the targets: widths d = K."""

    scale: float = 1.0

    def __call__(self, problem: Problem, key: int) -> Params:
        M, K = len(problem.lam_Ws), problem.K
        turns = [orthogonal(K, key + layer) for layer in range(M)] + [np.eye(K)]
        W = tuple(self.scale * after @ before.T for before, after in pairwise(turns))
        return Params(W, self.scale * turns[0][:, problem.labels] / math.sqrt(problem.sizes[0]), None)


STARTS = (RandomStart(0.05), Aligned())  # one inside the trap around zero, one beside the other minimum


def data(source: Source, *, K: int = 4, n: int = 2, points: int = 15, orders: int = 10, random: int = 10) -> Data:
    """A sweep, explicit weights and random starts.

    checks: "proven" minima; "difference" and "explicit", of values from theory; "above" and "below", random starts
    that end above the picture and below SRG.
    """
    ratios = np.linspace(0.1, 1.5, points)
    linear, fine = _linear(source, K, n, ratios)
    relu, explicit = _relu(orders, random)
    settings = {"K": K, "n": n, "d": K, "cells": len(linear["M"]), "strength": STRENGTH, "random": random}
    settings |= {"r": f"4 .. {orders}", "last": random - 1, "highest": HIGHEST}
    tables = {"": linear, "linear-theory": fine, "relu": relu}
    ends = rows(relu, "kind", "random")["f"]
    above = int(np.sum(ends > HIGHEST * _collapse(4, 4)))
    below = int(np.sum(ends < (1.0 - 1e-6) * srg.value(r=4, n=1, lam_W=_decay(4), lam_H=_decay(4), L=4)))
    checks = {
        "proven": int(np.sum(linear["verdict"] == "GLOBAL_MINIMUM")),
        "difference": float(np.max(np.abs(linear["value"] - linear["f_theory"]))),
        "explicit": explicit,
        "above": above,
        "below": below,
    }
    return Data(tables, settings, checks)


def _linear(source: Source, K: int, n: int, ratios: np.ndarray) -> tuple[dict, dict]:
    """The lower of the two starts for each depth and decay; theory's lines."""
    depths, points, fine, stated = (1, 2, 3), [], [], []
    for M in depths:
        threshold = float(deep_linear.collapse_thresholds(K=K, n=n, M=M)[0]) ** (1 / (M + 1))
        widths = (K,) * (M - 1)
        for ratio in np.linspace(ratios[0], ratios[-1], 281):
            fine.append({"M": M, "ratio": ratio, **_predicted(K, n, widths, ratio * threshold)})
        for ratio in ratios:
            lam = ratio * threshold
            points.append({"model": DeepLinear(widths), "lam_W": lam, "lam_H": lam})
            stated.append({"M": M, "ratio": ratio, **_predicted(K, n, widths, lam)})
    base = Problem(K, n, K, 1.0, 1.0, loss=MSE(), model=DeepLinear(()))
    results = swept(grid(base, points, start=STARTS), store=source.store)
    best = np.argmin(results.on_grid("value"), axis=1) + len(STARTS) * np.arange(len(points))
    names = ("lam_W", "start", "value", "largest_logit", "verdict", "gap")
    found = {name: column[best] for name, column in kept(results, *names).items()}
    theory = stacked(stated)
    named = {"M": theory["M"], "ratio": theory["ratio"], "f_theory": theory["f"], "logit_theory": theory["logit"]}
    return named | found, stacked(fine)


def _predicted(K: int, n: int, widths: tuple[int, ...], lam: float) -> dict[str, float]:
    stated = deep_linear.global_minimum(K=K, n=n, d=K, widths=widths, lam_W=lam, lam_H=lam).quantities
    # At the threshold itself two minima tie, and theory names neither.
    sigma = stated.get("sigma_Z")
    return {"f": stated["value"], "logit": math.nan if sigma is None else float(sigma[0]) / math.sqrt(n)}


def _relu(orders: int, random: int) -> tuple[dict[str, np.ndarray], float]:
    """Values over that of DNC: "theory", "explicit" weights and "random" starts; the largest error of the second."""
    parts, errors = [], []
    for L in RELU:
        for r in range(4, orders + 1):
            lam = _decay(r)
            value = srg.value(r=r, n=1, lam_W=lam, lam_H=lam, L=L)
            parts.append({"kind": "theory", "L": L, "K": r * (r - 1) // 2, "f": value, "DNC": _collapse(r, L)})
    for r, L in EXPLICIT:
        lam = _decay(r)
        point = srg.point(r=r, n=1, lam_W=lam, lam_H=lam, L=L)
        widths = tuple(len(matrix) for matrix in point.W[:-1])
        problem = Problem(r * (r - 1) // 2, 1, r, lam, lam, loss=MSE(), model=DeepReLU(widths))
        value = examine(problem, Params(point.W, point.H, None)).value
        parts.append({"kind": "explicit", "L": L, "K": problem.K, "f": value, "DNC": _collapse(r, L)})
        errors.append(abs(value - point.value))
    problem = Problem(6, 1, 4, _decay(4), _decay(4), loss=MSE(), model=DeepReLU((4, 4, 10)))
    values = [solve(problem, key, solver=LBFGS()).value for key in range(random)]
    parts.append({"kind": "random", "L": 4, "K": 6, "f": np.array(values), "DNC": _collapse(4, 4)})
    return stacked(parts), max(errors)


def _decay(r: int) -> float:
    return STRENGTH / (r * (r - 1) // 2)


def _collapse(r: int, L: int) -> float:
    return srg.collapse_value(r=r, n=1, lam_W=_decay(r), lam_H=_decay(r), L=L)


def figure(data: Data) -> Figure:
    """The jump, and the ratio."""
    with paper():
        figure = Figure(figsize=(PAGE, 2.5), layout="constrained")
        left, right = figure.subplots(1, 2)
        for M, colour in zip(levels(data.table, "M"), COLOURS, strict=False):
            line, dots = rows(data.tables["linear-theory"], "M", M), rows(data.table, "M", M)
            jumped = np.where(np.append(np.diff(line["logit"]) < -0.2, False), np.nan, line["logit"])
            left.plot(line["ratio"], jumped, color=colour, zorder=1)
            left.plot(dots["ratio"], dots["largest_logit"], "o", color=colour, label=f"$M={M}$")
        left.axvline(1.0, color=GREY, linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
        left.set(xlabel=r"$\lambda$ / threshold", ylabel=r"$\sigma(WH)/\sigma(Y)$", ylim=(-0.04, 1.04))
        left.legend(loc="upper right", title="linear")
        _draw_ratio(right, data)
    return figure


def _draw_ratio(axes: Axes, data: Data) -> None:
    table = data.tables["relu"]
    for L, colour in zip(levels(table, "L"), COLOURS, strict=False):
        part = rows(table, "L", L)
        line, dots = rows(part, "kind", "theory"), rows(part, "kind", "explicit")
        axes.plot(line["K"], line["f"] / line["DNC"], color=colour, zorder=1, label=f"$L={L}$")
        axes.plot(dots["K"], dots["f"] / dots["DNC"], "o", color=colour)
    found = rows(table, "kind", "random")
    axes.plot(found["K"], found["f"] / found["DNC"], "x", color=PURPLE, label="random starts")
    axes.axhline(1.0, color=GREY, linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    axes.text(0.99, 1.0, "DNC", transform=axes.get_yaxis_transform(), ha="right", va="bottom", color=GREY)
    axes.set(xscale="log", xlabel="classes $K$", ylabel=r"$f\,/\,f_{\mathrm{DNC}}$", ylim=(0.3, HIGHEST))
    ticks = levels(table, "K")
    axes.set_xticks(ticks, [str(K) for K in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.legend(loc="best", title="ReLU")
