"""Class means, features and rows of W of a small problem, in the plane or space that they span."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from mpl_toolkits.mplot3d import proj3d

from ufm.figures.style import CLASSES, GREY, INK
from ufm.problem import Problem
from ufm.solution import Trajectory
from ufm.verify.compare import feature_means

SHOWN = 60  # features of a class; more would only darken the cloud
REACH = 1.3  # half width of the axes, in units of the longest vector


def draw_geometry(figure: Figure, spec: SubplotSpec, problem: Problem, trajectory: Trajectory, vanished: bool) -> None:
    """The last recorded point in the span of its class means and rows of W, each set scaled to length one.

    A plane unless three directions are needed; in the plane the paths of the class means are drawn as well.
    """
    W, H = trajectory.params.W[-1], trajectory.params.H[-1]
    if vanished:
        axes = figure.add_subplot(spec)
        axes.set_title("Geometry")
        axes.set_axis_off()
        axes.text(0.5, 0.5, "$W=H=0$: collapsed to zero", transform=axes.transAxes, ha="center", color=GREY)
        return
    means = feature_means(problem, H)
    width, height = _length(W.T), _length(means)
    path = np.stack([feature_means(problem, at).T for at in trajectory.params.H]) / height  # [T, K, d]
    basis = _span(np.vstack([W / width, means.T / height]), path.reshape(-1, problem.d))
    features = H / (height * (np.sqrt(problem.sizes) if problem.merged else 1.0))
    solid = basis.shape[1] == 3
    axes = figure.add_subplot(spec, projection="3d" if solid else None)
    axes.set_title("Geometry")
    for k in range(problem.K):
        cloud = features[:, problem.labels == k][:, :SHOWN].T @ basis
        _draw_class(axes, k, W[k] / width @ basis, path[:, k] @ basis, cloud)
    _frame(axes, means.T / height @ basis)


def _length(columns: np.ndarray) -> float:
    """The largest norm of a column (1 if all are zero)."""
    return float(np.max(np.linalg.norm(columns, axis=0))) or 1.0


def _span(final: np.ndarray, path: np.ndarray) -> np.ndarray:
    """[d, 2 or 3] orthonormal principal directions of `final`; where it has too few, of `path`."""
    values, vectors = np.linalg.svd(final)[1:]
    dimension = 3 if np.sum(values > 1e-3 * values[0]) >= 3 else 2
    # So light that it only decides directions that `final` leaves open.
    vectors = np.linalg.svd(np.vstack([final, 1e-6 * path]))[2][:dimension]
    largest = (final @ vectors.T)[np.argmax(np.abs(final @ vectors.T), axis=0), np.arange(len(vectors))]
    basis = (vectors * np.where(largest < 0.0, -1.0, 1.0)[:, None]).T
    return np.pad(basis, ((0, 0), (0, dimension - basis.shape[1])))


def _draw_class(axes: Any, k: int, row: np.ndarray, path: np.ndarray, cloud: np.ndarray) -> None:
    colour = CLASSES[k]
    mean = path[-1]
    if len(row) == 2:
        axes.plot(*path.T, color=colour, linewidth=0.6, alpha=0.6)
    axes.plot(*np.stack([0 * row, row], axis=1), color=colour, linewidth=2.0, solid_capstyle="round")
    axes.plot(*cloud.T, linestyle="", marker=".", markersize=4, color=colour, alpha=0.5, markeredgewidth=0)
    axes.plot(*mean[:, None], linestyle="", marker="o", markersize=7, markerfacecolor="none", markeredgecolor=colour)


def _label(axes: Any, means: np.ndarray) -> None:
    """The class numbers, a little outwards of the means as they appear on the page."""
    seen = np.vstack([means, np.zeros(means.shape[1])])
    if means.shape[1] == 3:
        x, y, z = seen.T
        seen = np.column_stack(proj3d.proj_transform(x, y, z, axes.get_proj())[:2])
    for k, (end, way) in enumerate(zip(seen[:-1], seen[:-1] - seen[-1], strict=True)):
        outwards = 11.0 * way / (np.linalg.norm(way) or 1.0)
        style = {"ha": "center", "va": "center", "textcoords": "offset points", "color": CLASSES[k]}
        halo = [withStroke(linewidth=2.5, foreground="w")]
        axes.annotate(f"{k}", tuple(end), tuple(outwards), path_effects=halo, zorder=10, **style)


def _frame(axes: Any, means: np.ndarray) -> None:
    """The simplex through the means, the origin, equal scales and the legend."""
    K, dimension = means.shape
    for i, j in zip(*np.triu_indices(K, 1), strict=True):
        axes.plot(*means[[i, j]].T, color=GREY, linewidth=0.5, linestyle=(0, (4, 3)), zorder=0)
    axes.plot(*[[0.0]] * dimension, linestyle="", marker="+", color=INK, markersize=6)
    limits = (-REACH, REACH)
    axes.set(xlim=limits, ylim=limits)
    if dimension == 3:
        axes.set_zlim(limits)
        axes.set_box_aspect((1, 1, 1), zoom=1.5)
    else:
        axes.set_aspect("equal")
    axes.set_axis_off()
    _label(axes, means)
    proxies = [
        Line2D([], [], color=GREY, linewidth=2.0, solid_capstyle="butt", label="row of $W$"),
        Line2D([], [], linestyle="", marker="o", markersize=7, markerfacecolor="none", color=GREY, label="class mean"),
        Line2D([], [], linestyle="", marker=".", markersize=5, color=GREY, label="feature"),
    ]
    axes.legend(
        handles=proxies, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=3, handletextpad=0.5, columnspacing=0.8
    )
