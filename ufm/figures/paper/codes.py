"""Softmax codes: where K classifiers go on the sphere in three dimensions, for K = 4 .. 20."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from scipy.spatial import ConvexHull

from theory import softmax_codes
from ufm.certify.certificate import Certificate
from ufm.figures.data import Data, Source, levels, rows, stacked, swept
from ufm.figures.style import BLUE, GREY, PAGE, RED, SKY, paper
from ufm.models import normalized
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.sweep.case import Case
from ufm.sweep.grid import grid

CAPTION = (
    "Softmax codes in three dimensions. Unit classifiers (dots) of K = {first} .. {last} classes, n = {n}, d = {d}, "
    "features and classifiers on unit spheres, no decay and no bias, cross-entropy of logits tau W H with tau = "
    "{growth:g} K, and the edges of their convex hull; what is behind is pale. The lowest of {starts} random starts "
    "(seeds 0 .. {end}). rho is the least distance of a classifier from the hull of the others, which the limit tau "
    "-> infinity maximises (Jiang et al., arXiv 2310.05351). Last panel: rho (dots) and its maximum where it is "
    "known, K <= 6 (circles); it is missed by at most {difference:.1e} at these tau."
)
D = 3
GROWTH = (
    4.0  # tau / K: the loss at the minimum is then near 1e-11 for every K, and far above the rounding of its gradient
)
TURN = (0.45, 0.35)  # of the view, in radians: no edge of a symmetric code is seen from its end


def cross_entropy_of_some(Z: Any, Y: Any) -> Any:
    """Cross-entropy among the rows where Y >= 0; 0 for a sample that has none. Rows marked -1 are no classes."""
    own = Y == 1.0
    return jnp.log1p(jnp.sum(jnp.where(Y == 0.0, jnp.exp(Z - jnp.sum(own * Z, axis=0)), 0.0), axis=0))


def rows_of_w(problem: Problem, solution: Solution, certificate: Certificate) -> Mapping[str, Any]:
    """`rows_of_w`: W [K, 3]."""
    return {"rows_of_w": solution.params.W}


def data(source: Source, *, classes: Sequence[int] = tuple(range(4, 21)), starts: int = 6) -> Data:
    """A sweep over K. checks: "difference" of rho from its maximum where theory has it."""
    most = max(classes)  # every K is a problem of this size, so that one compiled program serves all
    points = [{"targets": some_classes(K, most), "tau": GROWTH * K} for K in classes]
    base = Problem(most, 1, D, model=normalized(1.0), loss=cross_entropy_of_some, targets=np.eye(most))
    results = swept(grid(Case(base, gtol=3e-16), points, key=range(starts)), columns=rows_of_w, store=source.store)
    parts, errors = [], [0.0]
    for K, f, found in zip(classes, results.on_grid("value"), results.on_grid("rows_of_w"), strict=True):
        best = int(np.argmin(f))
        W = _turned(found[best][:K])
        rho = softmax_codes.one_vs_rest_distance(W).rho
        part = {"K": K, "tau": GROWTH * K, "seed": best, "k": np.arange(K), "x": W[:, 0], "y": W[:, 1], "z": W[:, 2]}
        known = np.nan if softmax_codes.applies(K=K, d=D) else softmax_codes.optimum(K=K, d=D)
        parts.append(part | {"rho": rho, "rho_theory": known, "value": f[best] * most / K})
        errors.append(abs(float(np.min(rho)) - known))
    settings = {"first": classes[0], "last": classes[-1], "n": 1, "d": D, "growth": GROWTH}
    settings |= {"starts": starts, "end": starts - 1}
    return Data({"": stacked(parts)}, settings, {"difference": float(np.nanmax(errors))})


def some_classes(K: int, most: int) -> np.ndarray:
    """Targets [most, most] of K classes, one sample each; the rows and samples of the others are marked -1."""
    targets = np.full((most, most), -1.0)
    targets[:K, :K] = np.eye(K)
    return targets


def _turned(W: np.ndarray) -> np.ndarray:
    """The first row to the north, the second to the front, then the view."""
    basis = np.linalg.qr(W[:2].T @ np.array([[1.0, 0.0], [0.0, 1.0]]))[0]
    north, front = (axis * np.sign(axis @ row) for axis, row in zip(basis.T, W[:2], strict=True))
    W = W @ np.column_stack([np.cross(front, north), north, front])
    for angle, (i, j) in zip(TURN, ((0, 2), (1, 2)), strict=True):
        turn = np.eye(D)
        turn[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        W = W @ turn
    return W


def figure(data: Data) -> Figure:
    """One sphere for each K, seen from the front, and rho over K."""
    classes = levels(data.table, "K")
    across = min(6, len(classes) + 1)
    down = -(-(len(classes) + 1) // across)
    with paper():
        figure = Figure(figsize=(PAGE, 1.28 * down), layout="constrained")
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for axes, K in zip(panels, classes, strict=False):
            part = rows(data.table, "K", K)
            _draw_code(axes, np.column_stack([part["x"], part["y"], part["z"]]))
            axes.set_title(rf"$K={K}$, $\rho={np.min(part['rho']):.3f}$", pad=2)
        for axes in panels[len(classes) + 1 :]:
            axes.set_axis_off()
        _draw_distances(panels[len(classes)], data)
    return figure


def _draw_distances(axes: Axes, data: Data) -> None:
    parts = [rows(data.table, "K", K) for K in levels(data.table, "K")]
    for part in parts:
        axes.plot(part["K"][0], part["rho_theory"][0], "o", color=GREY, markersize=5, markerfacecolor="none")
        axes.plot(part["K"][0], np.min(part["rho"]), ".", color=RED, markersize=4)
    axes.set_ylim(bottom=0.0)
    axes.set_xticks(np.unique([part["K"][0] for part in (parts[0], parts[len(parts) // 2], parts[-1])]))
    axes.set_title(r"$\rho$ over $K$", pad=2)
    axes.set_box_aspect(1.0)


def _draw_code(axes: Axes, W: np.ndarray) -> None:
    axes.add_patch(Circle((0.0, 0.0), 1.0, facecolor="#F4F4F4", edgecolor=GREY, linewidth=0.5, zorder=0))
    for i, j, front in _edges(W):
        style: Any = {"color": BLUE, "linewidth": 0.9, "zorder": 3} if front else {"color": SKY, "linewidth": 0.4}
        axes.plot(*W[[i, j], :2].T, alpha=1.0 if front else 0.6, solid_capstyle="round", **style)
    near = W[:, 2] >= 0.0
    axes.plot(*W[~near, :2].T, "o", color=RED, markersize=2.2, alpha=0.5, zorder=2, markeredgewidth=0.0)
    axes.plot(*W[near, :2].T, "o", color=RED, markersize=3.2, zorder=4, markeredgewidth=0.0)
    axes.set(xlim=(-1.08, 1.08), ylim=(-1.08, 1.08), aspect="equal")
    axes.set_axis_off()


def _edges(W: np.ndarray) -> list[tuple[int, int, bool]]:
    """(i, j, visible) for the edges of the convex hull; those between faces of one plane are left out."""
    hull = ConvexHull(W)
    faces: dict[tuple[int, int], list[np.ndarray]] = {}
    for corners, plane in zip(hull.simplices, hull.equations, strict=True):
        for i, j in ((0, 1), (0, 2), (1, 2)):
            pair = sorted((int(corners[i]), int(corners[j])))
            faces.setdefault((pair[0], pair[1]), []).append(plane[:3])
    seen = []
    for (i, j), (one, other) in sorted(faces.items()):
        if one @ other < 1.0 - 1e-6:
            seen.append((i, j, bool(max(one[2], other[2]) > 0.0)))
    return seen
