"""One solve in one picture: the dynamics, the Gram matrices beside the prediction and, for K <= 4, the geometry."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpecFromSubplotSpec
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from ufm.certify.certificate import Certificate
from ufm.collapse import collapse
from ufm.figures.geometry import draw_geometry
from ufm.figures.grams import draw_grams
from ufm.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, style
from ufm.losses.cross_entropy import CrossEntropy
from ufm.losses.squared import MSE
from ufm.problem import Params, Problem
from ufm.solution import Solution, Trajectory
from ufm.verify.compare import ZERO, Prediction, feature_means

EPS = float(np.finfo(np.float64).eps)
NOTE: dict[str, Any] = {"color": GREY, "size": 8.5}
LOSSES = {CrossEntropy: "Cross-entropy", MSE: "Mean squared error"}


class _Metric(NamedTuple):
    """A field of Collapse and how it is drawn; below `rounding` its value says nothing."""

    name: str
    label: str
    colour: str
    line: Any
    rounding: float


DASHED = (0, (2, 2))  # over what it coincides with at collapse
METRICS = (
    _Metric("nc1", r"NC1  $\mathrm{tr}(\Sigma_W\Sigma_B^{+})/K$", GREEN, "-", EPS**2),  # a square
    _Metric("nc2_gram_W", r"NC2  $W$ to simplex", ORANGE, "-", EPS),
    _Metric("nc2_gram_H", "NC2  means to simplex", PURPLE, DASHED, EPS),
    _Metric("nc3", r"NC3  $W$ to means", BLUE, "-", EPS),
)


def solve_figure(
    problem: Problem, solution: Solution, certificate: Certificate, prediction: Prediction | None = None
) -> Figure:
    """The picture of `ufm solve`.

    Args:
        solution: with a recorded trajectory of one point or more.
        certificate: of the solution; its lower bound stands in for f* where there is no prediction.
        prediction: of the global minimum, or None.
    Raises:
        ValueError: the solution has no trajectory.
    """
    trajectory = solution.trajectory
    if trajectory is None:
        raise ValueError("solve_figure: the solution has no trajectory. Pass record=range(1000) to ufm.solve.")
    W, H, _ = solution.params
    vanished = bool(np.max(np.abs(W @ H)) <= ZERO)
    small = problem.K <= 4
    with style():
        figure = Figure(figsize=(10.0, 6.4) if small else (8.0, 5.9), layout="constrained")
        figure.suptitle(_title(problem, certificate), x=0.012, ha="left", size=10.5)
        outer = figure.add_gridspec(2, 1, height_ratios=(0.92, 1.0))
        top = GridSpecFromSubplotSpec(1, 3 if small else 2, outer[0])
        _draw_descent(figure.add_subplot(top[0]), trajectory, *_reference(solution, certificate, prediction))
        _draw_metrics(figure.add_subplot(top[1]), problem, trajectory)
        if small:
            draw_geometry(figure, top[2], problem, trajectory, vanished)
        draw_grams(figure, outer[1], W, feature_means(problem, H), prediction, vanished)
    return figure


def _title(problem: Problem, certificate: Certificate) -> str:
    sizes = problem.sizes
    several = f"({', '.join(map(str, sizes))})" if len(sizes) <= 5 else rf"{min(sizes)}\,\mathrm{{to}}\,{max(sizes)}"
    n = str(min(sizes)) if len(set(sizes)) == 1 else several
    decays = [rf"\lambda_W={float(problem.lam_W):g},\ \lambda_H={float(problem.lam_H):g}"]
    decays += [] if problem.lam_b is None else [rf"\lambda_b={float(problem.lam_b):g}"]
    verdict = certificate.verdict.name.replace("_", " ").lower()
    gap = f", gap {certificate.gap:.0e}" if np.isfinite(certificate.gap) else ""
    numbers = rf"$K={problem.K},\ n={n},\ d={problem.d},\ " + r",\ ".join(decays) + "$"
    return f"{LOSSES.get(type(problem.loss), 'User loss')}, {numbers}: {verdict}{gap}"


def _reference(solution: Solution, certificate: Certificate, prediction: Prediction | None) -> tuple[float, str]:
    """What is subtracted from f, and the name of the difference."""
    if prediction is not None and "value" in prediction.quantities:
        return float(prediction.quantities["value"]), rf"$f-f^\ast$ ({prediction.theorem})"
    if np.isfinite(certificate.lower_bound):
        return certificate.lower_bound, r"$f-{}$lower bound"
    return solution.value, r"$f-f_{\mathrm{end}}$"


def _draw_descent(axes: Axes, trajectory: Trajectory, reference: float, label: str) -> None:
    rounding = EPS * (1.0 + abs(reference))
    axes.set_title("Descent")
    _draw_series(axes, trajectory.steps, trajectory.value - reference, label, BLUE, "-", rounding)
    _draw_series(axes, trajectory.steps, trajectory.grad_norm, r"$|\nabla f|_\infty$", RED, "-", EPS**2)
    axes.axhline(rounding, color=GREY, linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    axes.text(0.01, rounding, "rounding of $f$", transform=axes.get_yaxis_transform(), va="bottom", **NOTE)
    _finish(axes, trajectory.steps)


def _draw_metrics(axes: Axes, problem: Problem, trajectory: Trajectory) -> None:
    measured = [_metrics(problem, *point) for point in _points(trajectory)]
    axes.set_title("Collapse")
    drawn = [
        _draw_series(
            axes, trajectory.steps, np.array([at[m.name] for at in measured]), m.label, m.colour, m.line, m.rounding
        )
        for m in METRICS
    ]
    if not any(drawn):
        axes.set_axis_off()
        axes.text(0.5, 0.5, "$W=H=0$: nothing to measure", transform=axes.transAxes, ha="center", **NOTE)
        return
    _finish(axes, trajectory.steps)
    if np.isnan(measured[-1]["nc1"]):
        axes.set_title("Collapse (undefined once $W=H=0$)")


def _points(trajectory: Trajectory) -> list[Params]:
    W, H, b = trajectory.params
    return [Params(W[t], H[t], None if b is None else b[t]) for t in range(len(trajectory.steps))]


def _metrics(problem: Problem, W: np.ndarray, H: np.ndarray, b: np.ndarray | None) -> dict[str, float]:
    names = [metric.name for metric in METRICS]
    if np.max(np.abs(W @ H)) <= ZERO:
        return dict.fromkeys(names, np.nan)
    found = collapse(H, problem.labels, W, b)
    return {name: getattr(found, name) for name in names}


def _draw_series(
    axes: Axes, steps: np.ndarray, values: np.ndarray, label: str, colour: str, line: Any, rounding: float
) -> bool:
    """Draw what is finite, at `rounding` where it is below; False if there is nothing."""
    visible = np.isfinite(values)
    if not np.any(visible):
        return False
    marker = "o" if len(steps) <= 40 and line == "-" else ""
    axes.plot(
        steps[visible],
        np.maximum(values[visible], rounding),
        color=colour,
        marker=marker,
        linestyle=line,
        label=label,
        clip_on=False,
    )
    return True


def _finish(axes: Axes, steps: np.ndarray) -> None:
    """Scales, ticks and the legend of a panel over steps."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_locator(NullLocator())
    last = max(int(steps[-1]), 1)
    if last > 300:
        axes.set_xscale("symlog", linthresh=1)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(-0.15, last * 1.3)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
        axes.set_xlim(-0.03 * last, 1.03 * last)
    axes.set_xlabel("step")
    axes.legend(loc="best", handlelength=1.6, labelspacing=0.25, borderaxespad=0.2)
