"""The page of `ufm view`: features, class means and classifiers along a solve, its metrics and its certificate."""

import json
import math

import numpy as np

from ufm.collapse import collapse
from ufm.face.pages.curves import places
from ufm.face.pages.html import document
from ufm.face.pages.panels import panels
from ufm.face.pages.scene import scene
from ufm.face.report import Report, make_report
from ufm.face.text import describe
from ufm.problem import Params, Problem
from ufm.solution import Solution, Trajectory
from ufm.verify.compare import ZERO

SCALE = 10_000  # coordinates are integers: units of their set's longest vector times this
FRAMES = 200  # of more recorded points, every so many
MEASURED = ("nc1", "nc2_gram_W", "nc2_gram_H", "nc3", "nc4", "margin_min")


def view_page(problem: Problem, solution: Solution, *, method: str = "", gtol: float = 1e-8) -> str:
    """One self-contained HTML document: the recorded trajectory of `solution`, to be turned and played.

    Args:
        problem: with class labels and a classifier W [K, d].
        solution: of `ufm.solve(..., record=...)`, finite.
        method: solver and start in words. gtol: gradient up to which the certificate calls the last point critical.
    Raises:
        ValueError: the solution has no trajectory or is not finite; a problem without labels or a classifier matrix.
    """
    if solution.trajectory is None:
        raise ValueError("view_page: the solution has no trajectory. Pass record=range(1000) to ufm.solve.")
    if problem.model.deep or solution.trajectory.params.W is None or problem.targets is not None:
        raise ValueError(
            "view_page: the picture is of class means and a classifier W [K, d]; deep models, models of features alone "
            "and targets have none. Pass a problem with class labels and one matrix W."
        )
    if not all(np.all(np.isfinite(x)) for x in solution.trajectory.params if x is not None):
        raise ValueError("view_page: the trajectory is not finite. Solve again, for instance with a smaller rate.")
    report = make_report(problem, solution, method=method, gtol=gtol)
    trajectory = _thinned(solution.trajectory)
    shown, reference = scene(problem, trajectory), _reference(report)
    series = _series(problem, trajectory, reference[0])
    data = {
        "x": [round(float(x), 1) for x in places(trajectory.steps)],
        "steps": trajectory.steps.tolist(),
        "labels": shown.labels.tolist(),
        **{name: _integers(getattr(shown, name)) for name in ("rows", "means", "features")},
        "series": {name: [_short(float(x)) for x in values] for name, values in series.items()},
        "shares": {name: [_short(float(x)) for x in values] for name, values in shown.shares.items()},
    }
    embedded = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    run = f'<script type="application/json" id="run">{embedded}</script>'
    body = f"{panels(report, trajectory, shown, series, reference)}\n{run}"
    return document(f"Neural Collapse: {describe(problem)[0]}", body, "run.css", "run.js")


def _thinned(trajectory: Trajectory) -> Trajectory:
    """At most FRAMES of its points, the first and the last among them."""
    count = len(trajectory.steps)
    if count <= FRAMES:
        return trajectory
    kept = np.rint(np.linspace(0, count - 1, FRAMES)).astype(int)
    W, H, b = trajectory.params
    params = Params(W[kept], H[kept], None if b is None else b[kept])
    return Trajectory(trajectory.steps[kept], trajectory.value[kept], trajectory.grad_norm[kept], params)


def _series(problem: Problem, trajectory: Trajectory, subtracted: float) -> dict[str, np.ndarray]:
    """What is shown of every recorded point."""
    W, H, b = trajectory.params
    found = [_measured(problem, Params(W[t], H[t], None if b is None else b[t])) for t in range(len(W))]
    return {
        "f": trajectory.value,
        "above": trajectory.value - subtracted,
        "gradient": trajectory.grad_norm,
        **{name: np.array([at[name] for at in found]) for name in MEASURED},
    }


def _measured(problem: Problem, params: Params) -> dict[str, float]:
    W, H, b = params
    H = H / np.sqrt(problem.sizes) if problem.merged else H
    if np.max(np.abs(W @ H)) <= ZERO:
        return dict.fromkeys(MEASURED, math.nan)
    found = collapse(H, problem.labels, W, b)
    return {name: getattr(found, name) for name in MEASURED}


def _reference(report: Report) -> tuple[float, str]:
    """What is subtracted from f, and the name of the difference."""
    if report.prediction is not None and "value" in report.prediction.quantities:
        return float(report.prediction.quantities["value"]), f"f − f* ({report.prediction.theorem})"
    if report.certificate is not None and math.isfinite(report.certificate.lower_bound):
        return report.certificate.lower_bound, "f − lower bound"
    return report.solution.value, "f − its last value"


def _integers(points: np.ndarray) -> list[list[int]]:
    """[T, points * 3] in units of 1 / SCALE."""
    return np.rint(points * SCALE).astype(int).reshape(len(points), -1).tolist()


def _short(x: float) -> float | None:
    """Ten digits, as a JSON number; None where undefined."""
    return float(f"{x:.10g}") if math.isfinite(x) else None
