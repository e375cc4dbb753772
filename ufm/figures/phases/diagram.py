"""The map that most phase diagrams draw."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from ufm.figures.style import INK

PAPER = "#F4F4F4"  # where the quantity is zero, or undefined
MAP = "viridis"


def draw_map(axes: Axes, x: np.ndarray, y: np.ndarray, values: np.ndarray, norm: Normalize) -> Any:
    """Cells of `values` [y, x] around the points of two logarithmic axes; what is not finite is left as paper."""
    axes.set_facecolor(PAPER)
    shown = np.ma.masked_invalid(values)
    mesh = axes.pcolormesh(edges(x), edges(y), shown, norm=norm, cmap=MAP, rasterized=True, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*ends(x))
    axes.set_ylim(*ends(y))
    return mesh


def draw_rows(axes: Axes, x: np.ndarray, rows: np.ndarray, values: np.ndarray, norm: Normalize) -> Any:
    """As `draw_map`, with a row of equal height for each entry of `rows`."""
    axes.set_facecolor(PAPER)
    border = np.arange(len(rows) + 1) - 0.5
    mesh = axes.pcolormesh(edges(x), border, np.ma.masked_invalid(values), norm=norm, cmap=MAP, rasterized=True)
    axes.set_xscale("log")
    axes.set_xlim(*ends(x))
    axes.set_yticks(np.arange(len(rows)), [str(row) for row in rows])
    return mesh


def draw_legend(axes: Axes, where: Any) -> None:
    """A legend on a light ground, to be read on every colour."""
    legend = axes.legend(loc=where, frameon=True, framealpha=0.85, edgecolor="none", borderpad=0.3, handlelength=1.3)
    legend.get_frame().set_linewidth(0.0)


def draw_line(axes: Axes, x: Any, y: Any, label: str) -> None:
    """A boundary of theory: dark on a light rim, so that it is seen on every colour."""
    axes.plot(x, y, color="white", linewidth=2.6)
    axes.plot(x, y, color=INK, linewidth=1.1, label=label)


def edges(points: np.ndarray) -> np.ndarray:
    """Borders halfway, on the logarithmic scale, between ascending points."""
    log = np.log(np.asarray(points, float))
    if log.size == 1:
        return np.exp(log[0] + np.array([-0.5, 0.5]))
    inner = (log[1:] + log[:-1]) / 2
    return np.exp(np.concatenate([[2 * log[0] - inner[0]], inner, [2 * log[-1] - inner[-1]]]))


def ends(points: np.ndarray) -> tuple[float, float]:
    """The first and the last of the borders."""
    border = edges(points)
    return float(border[0]), float(border[-1])
