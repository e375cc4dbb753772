"""Experiments on real networks in pictures: collapse over epochs and over layers, low rank, and the last layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpecFromSubplotSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from ufm.collapse import class_means
from ufm.figures.grams import draw_grams
from ufm.figures.rank import draw_rank, rank_tables
from ufm.figures.style import BLUE, GREEN, GREY, INK, ORANGE, RED, SKY, style
from ufm.metrics.layers import LogLinear
from ufm.networks.experiments import Course, LastLayer, Progressive
from ufm.networks.low_rank import DeepModel

METRICS = (
    ("nc1", r"NC1  $\mathrm{tr}(\Sigma_W\Sigma_B^{+})/K$", GREEN),
    ("nc2_gram_H", "NC2  means to simplex", ORANGE),
    ("nc3", "NC3  $W$ to means", BLUE),
    ("nc4", "NC4  not the nearest mean (if any)", RED),
)
NOTE: dict[str, Any] = {"color": GREY, "size": 8.5}
DASHED = (0, (3, 2))


@dataclass(frozen=True)
class _Optimum:
    """The solution of the unconstrained model, in the form in which a prediction is drawn."""

    quantities: Mapping[str, Any]
    theorem: str = "UFM"
    statement: str = ""
    source: str = ""


def epochs_figure(courses: Sequence[Course]) -> Figure:
    """NC1-NC4 over the epochs, one panel for each training; the test set dashed.

    Raises:
        ValueError: there is no course.
    """
    with style():
        figure, panels = _panels(len(courses), "epochs_figure")
        for axes, course in zip(panels, courses, strict=True):
            axes.set_title(f"{course.name}: test accuracy {course.test[-1].accuracy:.3f}")
            for name, label, colour in METRICS:
                for measured, line in ((course.train, "-"), (course.test, DASHED)):
                    values = np.array([getattr(at, name) for at in measured])
                    shown = np.isfinite(values) & (values > 0.0)
                    legend = label if line == "-" else None
                    axes.plot(course.epochs[shown], values[shown], color=colour, linestyle=line, label=legend)
            _over_epochs(axes, course.epochs)
        _legend(figure, panels[0], extra=("test set", DASHED))
    return figure


def layers_figure(found: Sequence[Progressive]) -> Figure:
    """C_l, the He-Su separation and the nearest-centre error in each layer, with the log-linear fits.

    Raises:
        ValueError: there is no network.
    """
    with style():
        figure, panels = _panels(len(found), "layers_figure")
        for axes, at in zip(panels, found, strict=True):
            layer = np.arange(1, len(at.train.names) + 1)
            axes.set_title(f"{at.name}: effective depth {at.depth}")
            _draw_fit(
                axes, layer, at.train.trace_ratio, at.trace_ratio, GREEN, r"$\mathrm{tr}\Sigma_W/\mathrm{tr}\Sigma_B$"
            )
            _draw_fit(axes, layer, at.train.separation, at.separation, BLUE, r"$\mathrm{tr}(\Sigma_W\Sigma_B^{+})$")
            axes.plot(layer, at.test.trace_ratio, color=GREEN, linestyle="", marker="x")
            axes.plot(layer, at.test.separation, color=BLUE, linestyle="", marker="x")
            missed = at.train.centre_error > 0.0
            axes.plot(layer[missed], at.train.centre_error[missed], color=RED, marker="s", label="nearest-centre error")
            axes.set_yscale("log")
            axes.set_xticks(layer, [name.removeprefix("layer").removeprefix("block") for name in at.train.names])
            axes.set_xlabel("layer")
            axes.yaxis.set_minor_locator(NullLocator())
            low, high = axes.get_ylim()
            axes.set_ylim(low * (low / high) ** 0.45, high)  # room for the legend
            axes.legend(loc="lower left", fontsize=8, handlelength=1.4, labelspacing=0.2)
        figure.text(0.995, 0.005, "crosses: test set", ha="right", **NOTE)
    return figure


def rank_figure(plain: Course, normed: Course, models: Mapping[str, DeepModel]) -> Figure:
    """Singular values of the centred class means without and with batch norm, those of deep models, and NC1 and NC2.

    Args:
        plain, normed: of `ufm.networks.low_rank`. models: name -> of `ufm.networks.deep_model`, at most five; may be
            empty.
    """
    with style():
        figure = Figure(figsize=(11.0 if models else 8.0, 3.4), layout="constrained")
        draw_rank(figure, rank_tables({"plain": plain, "batch norm": normed}, models))
    return figure


def last_layer_figure(found: LastLayer, name: str) -> Figure:
    """The trained last layer beside the global minimum: objectives, margins, norms, and the Gram matrices."""
    with style():
        figure = Figure(figsize=(8.0, 6.2), layout="constrained")
        decay = float(found.problem.lam_W)
        title = rf"{name}: $\lambda_W=\lambda_b={decay:g}$, $\lambda_H={decay:g}/N$, $N={found.problem.N}$"
        figure.suptitle(title, x=0.012, ha="left", size=10.5)
        outer = figure.add_gridspec(2, 1, height_ratios=(0.85, 1.0))
        top = GridSpecFromSubplotSpec(1, 3, outer[0], width_ratios=(1.25, 1.0, 1.0))
        _draw_objectives(figure.add_subplot(top[0]), found)
        _draw_margins(figure.add_subplot(top[1]), found)
        _draw_norms(figure.add_subplot(top[2]), found)
        W, H, _ = found.solution.params
        means = H / np.sqrt(found.problem.sizes)
        optimum = _Optimum({"gram_W": W @ W.T, "gram_M": means.T @ means})
        centres = class_means(found.params.H, found.problem.labels, found.problem.K)
        draw_grams(figure, outer[1], found.params.W, centres, optimum, vanished=False)
    return figure


def _draw_objectives(axes: Axes, found: LastLayer) -> None:
    rows = (
        ("network, all decays", found.objective, GREY),
        ("loss, head, norm", found.head_objective, SKY),
        ("$f(W,H,b)$", found.value, BLUE),
        ("$f^\\ast$, proved", found.certificate.lower_bound, GREEN),
    )
    axes.set_title("Objective")
    values = [value for _, value, _ in rows]
    axes.barh(range(len(rows)), values, color=[colour for *_, colour in rows], height=0.6)
    for i, value in enumerate(values):
        axes.text(value, i, f" {value:.5f}", va="center", size=8.5)
    axes.set_yticks(range(len(rows)), [label for label, *_ in rows])
    axes.set_xlim(0.0, 1.3 * max(values))
    axes.invert_yaxis()
    axes.tick_params(left=False)
    axes.xaxis.set_major_locator(MaxNLocator(3))


def _draw_margins(axes: Axes, found: LastLayer) -> None:
    axes.set_title("Margins of the samples")
    axes.hist(_margins(found), bins=40, color=SKY)
    axes.axvline(found.optimum.margin_min, color=GREEN)
    axes.set(xlabel="margin (line: UFM's optimum)", yticks=[])
    axes.spines["left"].set_visible(False)


def _margins(found: LastLayer) -> np.ndarray:
    """[N] logit of the sample's class less the largest of the others."""
    W, H, b = found.params
    Z = W @ H + b[:, None]
    own = found.problem.labels, np.arange(Z.shape[1])
    scores = Z[own]
    Z[own] = -np.inf
    return scores - np.max(Z, axis=0)


def _draw_norms(axes: Axes, found: LastLayer) -> None:
    """Row norms of W and norms of class means, each class a point, beside the optimum's."""
    W, H, _ = found.solution.params
    optimum = np.linalg.norm(W, axis=1), np.linalg.norm(H / np.sqrt(found.problem.sizes), axis=0)
    centres = class_means(found.params.H, found.problem.labels, found.problem.K)
    network = np.linalg.norm(found.params.W, axis=1), np.linalg.norm(centres, axis=0)
    for i, (points, levels) in enumerate(zip(network, optimum, strict=True)):
        spread = np.linspace(-0.25, 0.25, len(points))
        axes.plot(i + spread, points, linestyle="", marker="o", color=BLUE, label="network" if i == 0 else None)
        label = "UFM's optimum" if i == 0 else None
        axes.plot(i + spread, levels, color=GREEN, label=label)
    axes.set_title("Norms, each class a point")
    axes.set_xticks([0, 1], [r"$|w_k|$", r"$|m_k|$"])
    axes.set_xlim(-0.6, 1.6)
    top = max(float(np.max(part)) for part in (*network, *optimum))
    axes.set_ylim(0.0, 1.35 * top)
    axes.legend(loc="upper left")


def _draw_fit(axes: Axes, layer: np.ndarray, values: np.ndarray, fit: LogLinear, colour: str, label: str) -> None:
    """Values and their line; the fit may have left out the first layers."""
    axes.plot(layer, values, linestyle="", marker="o", color=colour, label=rf"{label}: $R^2={fit.r_squared:.3f}$")
    if np.isfinite(fit.rate):
        fitted = layer[len(layer) - fit.layers :]
        axes.plot(fitted, fit.first * fit.rate ** np.arange(fit.layers), color=colour, linewidth=1.0)


def _panels(count: int, who: str) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels, at most three side by side."""
    if count == 0:
        raise ValueError(f"{who}: there is nothing to draw. Pass at least one experiment.")
    columns = min(count, 3)
    rows = -(-count // columns)
    figure = Figure(figsize=(max(2.9 * columns, 4.5), 2.8 * rows + 0.4), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    return figure, [figure.add_subplot(grid[divmod(i, columns)]) for i in range(count)]


def _over_epochs(axes: Axes, epochs: np.ndarray) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0, max(int(epochs[-1]), 1) * 1.05)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("epoch")


def _legend(figure: Figure, axes: Axes, extra: tuple[str, Any]) -> None:
    """One legend below all panels, with a neutral entry for the second kind of line."""
    handles = [*axes.get_legend_handles_labels()[0], Line2D([], [], color=INK, linestyle=extra[1], label=extra[0])]
    columns = min(len(handles), 5 if figure.get_figwidth() > 6 else 2)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, columnspacing=1.0)
