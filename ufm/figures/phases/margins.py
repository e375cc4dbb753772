"""Softmax codes over dimension and classes: the largest margin found, and the optimum where it is known."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from theory import softmax_codes
from ufm.certify.certificate import Certificate
from ufm.figures.data import Data, levels, on_axes, stacked, swept
from ufm.figures.paper.codes import cross_entropy_of_some, some_classes
from ufm.figures.phases.diagram import MAP
from ufm.figures.style import COLUMN, INK, paper
from ufm.models import normalized
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.sweep.case import Case
from ufm.sweep.grid import grid

CAPTION = (
    "Margins of softmax codes over dimension and classes. rho, the least distance of a unit classifier from the hull "
    "of the others, which the limit tau -> infinity maximises (Jiang et al., arXiv 2310.05351): the largest found by "
    "cross-entropy of logits tau W H on spheres, K = {first} .. {last} classes, n = {n}, d = {d}, tau = {strength:g} "
    "max(1, K/2d)^(2/(d-1)) (two thirds of it for K <= d+1), {starts} random starts (seeds 0 .. {end}) each. Upright "
    "numbers: the maximum is known (2.2; simplex for K <= d+1, 1 for K <= 2d: left of the lines; polygon for d = 2); "
    "differences from it lie between -{shortfall:.1e} and {excess:.1e} at these tau. Slanted: the best found, a lower "
    "bound."
)


STRENGTH = 25.0


def margin(problem: Problem, solution: Solution, certificate: Certificate) -> Mapping[str, float]:
    """`rho`: the least distance of a row of W from the hull of the others, over the rows that are classes."""
    classes = np.any(np.asarray(problem.targets) == 1.0, axis=1)
    return {"rho": softmax_codes.hardmax_value(solution.params.W[classes])}


def softmax_margins(
    classes: Sequence[int] = tuple(range(3, 13)),
    *,
    dimensions: Sequence[int] = (2, 3, 4, 5),
    starts: int = 10,
    **options: Any,
) -> Data:
    """The largest rho of many starts over (d, K), beside rho*(K, d) where it has a closed form.

    Args:
        classes: ascending K, >= 2. dimensions: ascending d, >= 2.
        starts: random starts for each (d, K).
        options: of `ufm.sweep`, such as store or executor.
    Returns:
        Data. checks: "excess", how far rho is above rho* at most (rounding), and "shortfall", how far below, where
        rho* is known.
    Source:
        2.2: Jiang et al. (arXiv 2310.05351).
    """
    most = max(classes)  # every K is a problem of this size, so that one program serves all at a dimension
    cells = [(d, K) for d in dimensions for K in classes]
    points = [{"d": d, "targets": some_classes(K, most), "tau": _sharpness(K, d)} for d, K in cells]
    base = Problem(most, 1, 2, model=normalized(1.0), loss=cross_entropy_of_some, targets=np.eye(most))
    results = swept(grid(Case(base, gtol=3e-16), points, key=range(starts)), columns=margin, **options)
    found = np.max(results.on_grid("rho"), axis=1)
    table = stacked(
        [
            {"d": d, "K": K, "tau": point["tau"], "rho": rho, "rho_theory": _known(K, d)}
            for (d, K), point, rho in zip(cells, points, found, strict=True)
        ]
    )
    over = table["rho"] - table["rho_theory"]
    checks = {"excess": float(np.nanmax(over)), "shortfall": float(np.nanmax(-over))}
    settings = {"first": classes[0], "last": most, "n": 1, "d": f"{dimensions[0]} .. {dimensions[-1]}"}
    settings |= {"strength": STRENGTH, "starts": starts, "end": starts - 1}
    return Data({"": table}, settings, checks)


def _sharpness(K: int, d: int) -> float:
    """tau, large, but f = e^(-tau rho) is to be far above the rounding of its gradient.

    rho is 1.5 at most for K <= d+1, 1 up to K = 2d, and falls like K^(-2/(d-1)) from there.
    """
    largest = 1.5 if d + 1 >= K else 1.0
    return STRENGTH * max(1.0, K / (2 * d)) ** (2 / (d - 1)) / largest


def _known(K: int, d: int) -> float:
    return np.nan if softmax_codes.applies(K=K, d=d) else softmax_codes.optimum(K=K, d=d)


def margins_figure(data: Data) -> Figure:
    """A cell with its number for each d and K."""
    table = data.table
    d, K = levels(table, "d"), levels(table, "K")
    rho = on_axes(table, ("d", "K"), "rho")
    with paper():
        figure = Figure(figsize=(COLUMN, 2.3), layout="constrained")
        axes = figure.subplots()
        x, y = (np.append(points, points[-1] + 1) - 0.5 for points in (K, d))
        mesh = axes.pcolormesh(x, y, rho, norm=Normalize(0.0, 1.5), cmap=MAP, rasterized=True)
        for at, classes, value, known in zip(*(table[name] for name in ("d", "K", "rho", "rho_theory")), strict=True):
            axes.annotate(
                f"{value:.2f}",
                (classes, at),
                ha="center",
                va="center",
                size=5.5,
                color="white" if value < 0.7 else INK,
                style="normal" if np.isfinite(known) else "italic",
            )
        for last in (d + 1, 2 * d):  # the last K of a region, in each row
            axes.step(np.append(last, last[-1]) + 0.5, y, where="pre", color="white", linewidth=1.2)
        axes.set_xlim(x[0], x[-1])
        axes.set_ylim(y[0], y[-1])
        axes.set_xticks(K)
        axes.set_yticks(d)
        axes.set_xlabel("classes $K$")
        axes.set_ylabel("$d$")
        figure.colorbar(mesh, label=r"margin $\rho$")
    return figure
