"""The landscape of a small problem: its critical points by index, and slices through them."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ufm.certify.certificate import Verdict
from ufm.figures.data import Data, Source, levels, on_axes, rows, stacked
from ufm.figures.style import BLUE, GREEN, GREY, ORANGE, PAGE, PURPLE, RED, SKY, paper
from ufm.landscape import atlas, plane, segment
from ufm.problem import Params, Problem
from ufm.solve import solve

CAPTION = (
    "The landscape of cross-entropy. K = {K}, n = {n}, d = {d}, lam_W = lam_H = {lam:g}, no bias. Left: orbits of "
    "critical points, found by {searches} searches (seed {key}; {converged} ended at a critical point), by the number "
    "of negative eigenvalues of the Hessian, coloured by the rank of W H; the area grows with the hits. Above the "
    "global minimum there are {spurious} points that are not strict saddles. Middle: f along straight lines, `saddle` "
    "being the lowest one, from t = 0 to 1. Right: f on the plane through zero (cross), the global minimum (star) and "
    "that saddle (dot)."
)
RANKS = (GREY, SKY, ORANGE, BLUE, GREEN, PURPLE, RED)
MARKS = {"STRICT_SADDLE": "o", "GLOBAL_MINIMUM": "*", "LOCAL_MINIMUM": "D", "DEGENERATE": "s", "NOT_CRITICAL": "X"}
LINES = (
    ("zero to minimum", BLUE, "-"),
    ("minimum to its opposite", ORANGE, (0, (4, 2))),
    ("saddle to minimum", GREEN, (0, (1, 1))),
)


def data(
    source: Source, *, K: int = 4, n: int = 1, d: int = 4, lam: float = 2e-2, searches: int = 200, key: int = 0
) -> Data:
    """Atlas, segments and a plane. checks: "spurious" points of the atlas."""
    problem = Problem(K, n, d, lam, lam)
    found = atlas(problem, searches, key)
    minimum = solve(problem, key, reduce=False).params
    zero = Params(0.0 * minimum.W, 0.0 * minimum.H, None)
    saddle = next(point.params for point in found.points if point.certificate.verdict is Verdict.STRICT_SADDLE)
    ends = ((zero, minimum), (minimum, Params(-minimum.W, -minimum.H, None)), (saddle, minimum))
    lines = []
    for (name, *_), (start, end) in zip(LINES, ends, strict=True):
        t, f = segment(problem, start, end)
        lines.append({"line": name, "t": t, "f": f})
    t, f = plane(problem, zero, minimum, saddle, reach=1.5, points=61)
    section = {"x": np.repeat(t, t.size), "y": np.tile(t, t.size), "f": f.ravel()}
    points = {
        "value": np.array([point.certificate.value for point in found.points]),
        "index": np.array([point.certificate.index for point in found.points], float),
        "rank": np.array([point.rank for point in found.points]),
        "hits": np.array([point.hits for point in found.points]),
        "verdict": np.array([point.certificate.verdict.name for point in found.points]),
    }
    settings = {"K": K, "n": n, "d": d, "lam": lam, "searches": searches, "key": key, "converged": found.converged}
    tables = {"": points, "lines": stacked(lines), "plane": section}
    return Data(tables, settings, {"spurious": len(found.spurious)})


def figure(data: Data) -> Figure:
    """Atlas, segments, plane."""
    with paper():
        figure = Figure(figsize=(PAGE, 2.5), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        for axes, title in ((left, "Critical points"), (middle, "Straight lines"), (right, "A plane")):
            axes.set_title(title)
        _draw_atlas(left, data)
        for name, colour, line in LINES:
            part = rows(data.tables["lines"], "line", name)
            middle.plot(part["t"], part["f"], color=colour, linestyle=line, label=name)
        middle.set(xlabel="$t$", ylabel="$f$")
        middle.set_ylim(top=1.4 * np.max(data.tables["lines"]["f"]))
        middle.legend(loc="upper right")
        x = levels(data.tables["plane"], "x")
        f = on_axes(data.tables["plane"], ("x", "y"), "f")
        shade = right.contourf(x, x, f.T, levels=14, cmap="viridis")
        right.contour(x, x, f.T, levels=14, colors="white", linewidths=0.3)
        for place, mark in (((0.0, 0.0), "x"), ((1.0, 0.0), "*"), ((0.0, 1.0), "o")):
            right.plot(*place, mark, color="white", markersize=5)
        right.set(aspect="equal", xlabel="to the minimum", ylabel="to the saddle")
        figure.colorbar(shade, ax=right, label="$f$", shrink=0.8)
    return figure


def _draw_atlas(axes: Axes, data: Data) -> None:
    """Ranks by colour, verdicts by shape."""
    for rank, colour in zip(np.unique(data.table["rank"]), RANKS, strict=False):
        part = rows(data.table, "rank", rank)
        area = 15.0 + 250.0 * part["hits"] / data.settings["converged"]
        for verdict, mark in MARKS.items():
            at = part["verdict"] == verdict
            axes.scatter(
                part["index"][at], part["value"][at], area[at], colour, marker=mark, alpha=0.75, linewidths=0.0
            )
        axes.plot([], [], "s", color=colour, alpha=0.75, markersize=4, label=f"rank {rank}")
    for verdict, mark in MARKS.items():
        if verdict in data.table["verdict"]:
            axes.plot([], [], mark, color=GREY, markersize=5, label=verdict.replace("_", " ").lower())
    axes.set(xlabel="negative eigenvalues (index)", ylabel="$f$")
    low, high = np.min(data.table["value"]), np.max(data.table["value"])
    axes.set_ylim(low - 0.1 * (high - low), high + 0.5 * (high - low))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.margins(x=0.12)
    axes.legend(loc="upper left", ncols=2)
