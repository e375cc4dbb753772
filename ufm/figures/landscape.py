"""Landscapes in one picture: an atlas of critical points, minima by dimension, and a path over a pass."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from ufm.certify.certificate import Verdict
from ufm.dimensions import AtDimension
from ufm.energy_path import EnergyPath
from ufm.figures.style import BLUE, GREEN, GREY, RED, style
from ufm.landscape import Atlas

COLOURS = {
    Verdict.GLOBAL_MINIMUM: GREEN,
    Verdict.LOCAL_MINIMUM: RED,
    Verdict.STRICT_SADDLE: BLUE,
    Verdict.DEGENERATE: GREY,
    Verdict.NOT_CRITICAL: GREY,
}


def atlas_figure(atlas: Atlas) -> Figure:
    """Each orbit at (index, value), its area the share of the searches that ended there.

    In a benign landscape everything above the lowest value has an index > 0.

    Raises:
        ValueError: an atlas without a point whose index is known.
    """
    known = [point for point in atlas.points if point.certificate.index is not None]
    if not known:
        raise ValueError("atlas_figure: no point of the atlas has a known index. Make more searches.")
    with style():
        figure = Figure(figsize=(5.0, 3.8), layout="constrained")
        axes = figure.add_subplot()
        for verdict in dict.fromkeys(point.certificate.verdict for point in known):
            points = [point for point in known if point.certificate.verdict is verdict]
            axes.scatter(
                [index for point in points if (index := point.certificate.index) is not None],
                [point.certificate.value for point in points],
                s=20.0 + 400.0 * np.array([point.hits for point in points]) / atlas.converged,
                color=COLOURS[verdict],
                alpha=0.7,
                linewidths=0.0,
                label=verdict.name.replace("_", " ").lower(),
            )
        axes.set_xlabel("index (negative eigenvalues of the Hessian)")
        axes.set_ylabel("$f$")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(f"{len(atlas.points)} orbits from {atlas.converged} of {atlas.searches} searches", loc="left")
        axes.legend(markerscale=0.6)
    return figure


def dimensions_figure(seen: Sequence[AtDimension]) -> Figure:
    """Every distinct minimum at (d, value), its area the share of the random starts that ended there.

    Raises:
        ValueError: nothing was seen.
    """
    if not seen:
        raise ValueError("dimensions_figure: no dimension was looked at. Pass what ufm.dimensions.by_dimension found.")
    with style():
        figure = Figure(figsize=(5.0, 3.8), layout="constrained")
        axes = figure.add_subplot()
        draw_dimensions(axes, dimension_table(seen), 200.0)
        axes.set_title(f"{seen[0].found.starts} random starts at each $d$", loc="left")
        axes.legend(markerscale=0.6)
    return figure


def dimension_table(seen: Sequence[AtDimension]) -> dict[str, np.ndarray]:
    """One row for each distinct minimum: d, value, share of the starts, verdict."""
    pairs = [(at, i) for at in seen for i in range(len(at.found.values))]
    return {
        "d": np.array([at.d for at, _ in pairs]),
        "value": np.array([at.found.values[i] for at, i in pairs]),
        "share": np.array([at.found.shares[i] for at, i in pairs]),
        "verdict": np.array([at.certificates[i].verdict.name for at, i in pairs]),
    }


def draw_dimensions(axes: Axes, table: Mapping[str, np.ndarray], size: float) -> None:
    """The rows of `dimension_table`; size: area of a point that all starts reach, in points^2."""
    for verdict in dict.fromkeys(table["verdict"].tolist()):
        own = table["verdict"] == verdict
        axes.scatter(
            table["d"][own],
            table["value"][own],
            s=0.1 * size + size * table["share"][own],
            color=COLOURS[Verdict[verdict]],
            alpha=0.7,
            linewidths=0.0,
            label=verdict.replace("_", " ").lower(),
        )
    axes.set_xlabel("$d$")
    axes.set_ylabel("$f$")
    axes.set_yscale("log")
    narrow = np.max(table["value"]) < 4.0 * np.min(table["value"])  # powers of ten may all lie outside
    axes.yaxis.set_major_locator(MaxNLocator(5) if narrow else LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def path_figure(path: EnergyPath) -> Figure:
    """f along a minimum-energy path, and the height of its top."""
    with style():
        figure = Figure(figsize=(5.0, 3.2), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(path.t, path.values, "o-", color=BLUE)
        top = path.certificate
        axes.axhline(top.value, color=COLOURS[top.verdict], linewidth=0.8)
        name = top.verdict.name.replace("_", " ").lower()
        axes.set_title(f"top: {name} of index {top.index}, $f$ = {top.value:.10g}", loc="left")
        axes.set_xlabel("share of the path's length")
        axes.set_ylabel("$f$")
    return figure
