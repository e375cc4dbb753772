"""What a phase diagram is, and the map that most of them draw."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ufm.figures.style import INK
from ufm.sweep.results import Results

PAPER = "#F4F4F4"  # where the quantity is zero, or undefined
MAP = "viridis"


@dataclass(frozen=True, eq=False)
class Diagram:
    """results: the sweep. figure: its picture. checks: what was set against theory, by name (counts or differences)."""

    results: Results
    figure: Figure
    checks: Mapping[str, float]


def draw_map(axes: Axes, x: np.ndarray, y: np.ndarray, values: np.ndarray, norm: Normalize) -> Any:
    """Cells of `values` [y, x] around the points of two logarithmic axes; what is not finite is left as paper."""
    axes.set_facecolor(PAPER)
    shown = np.ma.masked_invalid(values)
    mesh = axes.pcolormesh(edges(x), edges(y), shown, norm=norm, cmap=MAP, rasterized=True, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(edges(x)[[0, -1]])
    axes.set_ylim(edges(y)[[0, -1]])
    return mesh


def draw_line(axes: Axes, x: Any, y: Any, label: str) -> None:
    """A boundary of theory: dark on a light rim, so that it is seen on every colour."""
    axes.plot(x, y, color="white", linewidth=3.2)
    axes.plot(x, y, color=INK, linewidth=1.4, label=label)


def edges(points: np.ndarray) -> np.ndarray:
    """Borders halfway, on the logarithmic scale, between ascending points."""
    log = np.log(np.asarray(points, float))
    if log.size == 1:
        return np.exp(log[0] + np.array([-0.5, 0.5]))
    inner = (log[1:] + log[:-1]) / 2
    return np.exp(np.concatenate([[2 * log[0] - inner[0]], inner, [2 * log[-1] - inner[-1]]]))
