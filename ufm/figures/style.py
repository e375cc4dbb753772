"""How figures look: fonts, colours, and files whose bytes depend on the data alone."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

# Okabe and Ito's colours, told apart by colour-blind readers.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
INK, GREY = "#222222", "#8A8A8A"
CLASSES = (BLUE, RED, GREEN, ORANGE)
COSINES = "RdBu_r"  # diverging, so that the sign of a cosine is visible; safe for colour-blind readers

RC: dict[Any, Any] = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 10.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 10.0,
    "legend.fontsize": 9.0,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "legend.frameon": False,
    "figure.dpi": 100.0,
    "savefig.dpi": 200.0,
    "pdf.fonttype": 42,
    "svg.hashsalt": "ufm",
}

COLUMN, PAGE = 3.25, 6.75  # inches: the width of one column and of both, at most venues
PAPER: dict[Any, Any] = RC | {
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "figure.titlesize": 8.5,
    "legend.fontsize": 7.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 2.8,
    "legend.handlelength": 1.5,
    "legend.labelspacing": 0.25,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.3,
}


def style() -> AbstractContextManager[Any]:
    """The style, for as long as the context lasts; nothing global stays changed."""
    return matplotlib.rc_context(RC)


def paper() -> AbstractContextManager[Any]:
    """The style of figures that are printed at the width that they have: see COLUMN and PAGE."""
    return matplotlib.rc_context(PAPER)


def save(figure: Figure, target: Path) -> tuple[Path, Path]:
    """Write target.png and target.pdf, without dates or versions: equal figures give equal bytes.

    Returns:
        The two paths.
    """
    png, pdf = (target.with_name(target.name + suffix) for suffix in (".png", ".pdf"))
    with style():
        figure.savefig(png, metadata={"Software": None})
        figure.set_layout_engine("none")  # the same layout in both, found once
        figure.savefig(pdf, metadata={"Creator": None, "Producer": None, "CreationDate": None})
    return png, pdf


def log_ticks(axis: Axis) -> None:
    """Ticks of a logarithmic axis, with some between powers of ten where those alone would be one or two."""
    low, high = axis.get_view_interval()
    if high < 200.0 * low:
        subs = (1.0, 2.0, 5.0) if high > 8.0 * low else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
        axis.set_major_locator(LogLocator(subs=subs, numticks=12))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axis.set_major_locator(LogLocator(numticks=6))
    axis.set_minor_locator(NullLocator())
