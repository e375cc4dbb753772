"""The picture of `ufm measure`: the spectrum and cosines of the class means, spread by class, the curve over layers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from ufm.figures.grams import cosines, draw_matrix
from ufm.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, style
from ufm.metrics.measure import Measurement

NOTE: dict[str, Any] = {"color": GREY, "size": 8.5}
CURVES = (
    ("nc1", r"NC1  $\mathrm{tr}(\Sigma_W\Sigma_B^{+})/K$", GREEN, "-"),
    ("trace_ratio", r"$\mathrm{tr}\,\Sigma_W/\mathrm{tr}\,\Sigma_B$", BLUE, "-"),
    ("separation_fuzziness", r"separation fuzziness", ORANGE, "-"),
    ("cdnv", "CDNV", PURPLE, "-"),
    ("nc2_gram_H", "NC2  means to simplex", RED, (0, (2, 2))),
    ("ncc_error", "nearest-mean error", SKY, (0, (1, 1.5))),
)


def measure_figure(
    names: Sequence[str], curves: Mapping[str, np.ndarray], last: Measurement, W: np.ndarray | None = None
) -> Figure:
    """Spectrum, spread by class and cosines of the last layer; with several layers their curve as well.

    Args:
        names: of the layers, in order.
        curves: metric -> [L] values, those of `CURVES`.
        last: the measurement of the last layer.
        W: [K, d] its classifier, or None.
    """
    several = len(names) > 1
    with style():
        figure = Figure(figsize=(8.4, 6.2) if several else (8.4, 5.6), layout="constrained")
        figure.suptitle(_title(names, last), x=0.012, ha="left", size=10.5)
        top, bottom = figure.add_gridspec(2, 1, height_ratios=(0.9, 1.0))
        upper = top.subgridspec(1, 2, width_ratios=(1.25, 1.0) if several else (1.0, 1.0))
        if several:
            _draw_curve(figure.add_subplot(upper[0]), names, curves)
            _draw_spectrum(figure.add_subplot(upper[1]), last)
        else:
            _draw_spectrum(figure.add_subplot(upper[0]), last)
            _draw_classes(figure.add_subplot(upper[1]), last)
        _draw_cosines(figure, bottom, last, W)
    return figure


def _title(names: Sequence[str], last: Measurement) -> str:
    K, d = last.frame.moments.means.shape
    several = f"{len(names)} layers; last: {names[-1]}" if len(names) > 1 else names[-1]
    found = "undefined" if np.isnan(last.values["nc1"]) else f"{last.values['nc1']:.3g}"
    return rf"{several}, $K={K},\ N={last.spread.counts.sum()},\ d={d}$: NC1 = {found}, rank {last.frame.rank}"


def _draw_curve(axes: Axes, names: Sequence[str], curves: Mapping[str, np.ndarray]) -> None:
    axes.set_title("Layers")
    x = np.arange(1, len(names) + 1)
    for name, label, colour, line in CURVES:
        visible = np.isfinite(curves[name]) & (curves[name] > 0.0)
        if np.sum(visible) > 1:
            axes.plot(x[visible], curves[name][visible], color=colour, linestyle=line, marker="o", label=label)
    _log(axes)
    few = len(names) <= 8 and max(map(len, names)) <= 8
    axes.set_xticks(x if few else [], names if few else [])
    if not few:
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlabel("layer")
    if axes.lines:
        axes.legend(loc="best", handlelength=1.6, labelspacing=0.25, borderaxespad=0.2)


def _draw_spectrum(axes: Axes, last: Measurement) -> None:
    """Singular values of the centred class means, the largest as unit; those that the rank leaves out are hollow."""
    frame = last.frame
    s = frame.spectrum[: min(frame.centred.shape[1], len(frame.spectrum) - 1)]
    axes.set_title(f"Spectrum of the class means (rank {frame.rank} of {len(s)})")
    if not frame.apart:
        _nothing(axes, "equal means")
        return
    j, floor = np.arange(1, len(s) + 1), frame.cut / s[0]
    relative, kept = np.maximum(s / s[0], floor), j <= frame.rank
    axes.plot(j, relative, color=BLUE, linewidth=0.8, zorder=1)
    axes.plot(j[kept], relative[kept], "o", color=BLUE)
    axes.plot(j[~kept], relative[~kept], "o", color=BLUE, markerfacecolor="w")
    axes.set_xlabel("$j$")
    axes.set_ylabel("$s_j/s_1$")
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    if relative[-1] > 0.05:
        axes.set_ylim(0.0, 1.08)
        return
    axes.axhline(floor, color=GREY, linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    axes.text(0.01, floor, "rounding of the means", transform=axes.get_yaxis_transform(), va="bottom", **NOTE)
    _log(axes)


def _draw_classes(axes: Axes, last: Measurement) -> None:
    """NC1 of every class alone: its mean squared residual in the span of the means, against Sigma_B."""
    frame, K = last.frame, len(last.spread.counts)
    axes.set_title("Spread within each class")
    own = last.spread.projected[0] / last.spread.counts / K
    total = frame.moments.squares / frame.moments.counts
    between = np.mean(np.einsum("kd,kd->k", frame.centred, frame.centred))
    k = np.arange(K)
    for values, label, colour in ((own, "NC1 of the class", GREEN), (total / between, "trace ratio", BLUE)):
        visible = np.isfinite(values) & (values > 0.0)
        if np.any(visible):
            axes.plot(k[visible], values[visible], "o", color=colour, label=label)
    if not axes.lines:
        _nothing(axes, "no spread, or equal means")
        return
    _log(axes)
    shown = k if K <= 10 else np.array([0, K - 1])
    axes.set_xticks(shown, [str(frame.moments.classes[i]) for i in shown])
    axes.set_xlabel("class")
    axes.legend(loc="best", handlelength=0.8, labelspacing=0.25, borderaxespad=0.2)


def _draw_cosines(figure: Figure, spec: Any, last: Measurement, W: np.ndarray | None) -> None:
    """Cosines of the centred means beside those with W; without a classifier, beside raw means and a simplex."""
    C, M, K = last.frame.centred, last.frame.moments.means, len(last.spread.counts)
    panels = [figure.add_subplot(grid) for grid in spec.subgridspec(1, 3)]
    image = draw_matrix(panels[0], cosines(C @ C.T), "class means, centred", "equal means")
    if W is None:
        draw_matrix(panels[1], cosines(M @ M.T), "class means, uncentred", "zero means")
        draw_matrix(panels[2], cosines(np.eye(K) - 1.0 / K), "simplex ETF, for reference")
    else:
        draw_matrix(panels[1], cosines(W @ W.T), "rows of $W$", "$W=0$")
        draw_matrix(panels[2], _cross(W, C), "$W$ against centred means", "undefined")
    beside = panels[2].inset_axes((1.06, 0.0, 0.05, 1.0))  # as tall as the matrices
    figure.colorbar(image, cax=beside, label="cosine", ticks=[-1, -0.5, 0, 0.5, 1])


def _cross(W: np.ndarray, C: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return W @ C.T / np.outer(np.linalg.norm(W, axis=1), np.linalg.norm(C, axis=1))


def _nothing(axes: Axes, why: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", **NOTE)


def _log(axes: Axes) -> None:
    """A logarithmic axis between whole decades, so that two ticks are there at least."""
    axes.set_yscale("log")
    drawn = np.concatenate([np.asarray(line.get_ydata(), np.float64) for line in axes.lines] or [np.ones(1)])
    axes.set_ylim(10.0 ** np.floor(np.log10(np.min(drawn))), 10.0 ** np.ceil(np.log10(1.01 * np.max(drawn))))
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_locator(NullLocator())
