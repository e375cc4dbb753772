"""The parts of the page of `ufm view` as HTML: stage and controls, curves, numbers, certificate, what is shown."""

import math
import re
from collections.abc import Mapping
from html import escape

import numpy as np

from ufm.face.pages.curves import Curve, chart
from ufm.face.pages.html import maths
from ufm.face.pages.scene import Scene
from ufm.face.report import Report
from ufm.face.text import PLAIN, describe
from ufm.solution import Trajectory

EPS = float(np.finfo(np.float64).eps)


def panels(
    report: Report, trajectory: Trajectory, shown: Scene, series: Mapping[str, np.ndarray], reference: tuple[float, str]
) -> str:
    """The body of the page.

    Args:
        trajectory: what is shown of the recorded one. series: its values by the names of `run`.
        reference: what is subtracted from f in series["above"], and the name of the difference.
    """
    what = "<br>".join(maths(re.sub(r" {2,}", ", ", line)) for line in describe(report.problem))
    return f"""<header>
<h1>Neural Collapse along a solve</h1>
<p>{what}</p>
<p class="soft">{escape(report.method)}</p>
</header>
<main>
{_stage(len(trajectory.steps) - 1)}
<section class="curves" aria-label="Curves">
{_curves(trajectory, series, reference)}
</section>
<section class="numbers" aria-labelledby="numbers">
<h2 id="numbers">At this step</h2>
<table>
{_rows(reference[1])}
</table>
</section>
{_certificate(report)}
{_projection(report, len(trajectory.steps), shown)}
</main>"""


def _stage(last: int) -> str:
    """The picture and what moves it; `last` is the number of the last step that is shown, from 0."""
    return f"""<section class="stage" aria-label="Geometry">
<canvas id="space" width="640" height="520" tabindex="0" role="img" aria-label="Features, class means and classifiers"
aria-describedby="how">This picture needs a browser with canvas.</canvas>
<div class="controls">
<button id="play" type="button">Play</button>
<label for="time">step <output id="step" for="time"></output></label>
<input id="time" type="range" min="0" max="{last}" value="{last}" step="1">
</div>
<div class="controls">
<label><input type="checkbox" id="show-features" checked> features</label>
<label><input type="checkbox" id="show-means" checked> class means</label>
<label><input type="checkbox" id="show-rows" checked> rows of W</label>
<label><input type="checkbox" id="show-paths" checked> paths</label>
<label><input type="checkbox" id="loop" checked> loop</label>
<button id="closer" type="button" aria-label="closer">+</button>
<button id="farther" type="button" aria-label="farther">−</button>
<button id="reset" type="button">Reset view</button>
</div>
<p id="how" class="soft">Dots are features, rings class means, lines from the origin rows of W; a colour is a class.
Drag to turn. Arrow keys turn it where it has the focus, + and − change the distance, Home resets; where the slider has
it, they go from one recorded step to the next. A click on a curve goes to that step.</p>
</section>"""


def _curves(trajectory: Trajectory, series: Mapping[str, np.ndarray], reference: tuple[float, str]) -> str:
    """The charts over the steps, with the rounding below which a curve says nothing."""
    subtracted, above = reference
    rounding = EPS * (1.0 + abs(subtracted))
    descent = chart(
        "Descent",
        trajectory.steps,
        [
            Curve(above, "one", series["above"], rounding),
            Curve("largest entry of the gradient", "two", series["gradient"], EPS**2),
        ],
    )
    metrics = chart(
        "Collapse",
        trajectory.steps,
        [
            Curve("NC1 within / between", "three", series["nc1"], EPS**2),
            Curve("NC2 rows of W to simplex", "four", series["nc2_gram_W"], EPS),
            Curve("NC2 class means to simplex", "five dashed", series["nc2_gram_H"], EPS),
            Curve("NC3 rows of W to class means", "one", series["nc3"], EPS),
        ],
    )
    return f"{descent}\n{metrics}"


def _rows(above: str) -> str:
    lines = [
        ("f", "f", "objective"),
        ("above", above, ""),
        ("gradient", "gradient", "largest entry"),
        ("nc1", "NC1", "within / between"),
        ("nc2_gram_W", "NC2, W", "distance of rows to simplex"),
        ("nc2_gram_H", "NC2, means", "distance of class means to simplex"),
        ("nc3", "NC3", "W against class means"),
        ("nc4", "NC4", "share decided unlike the nearest mean"),
        ("margin_min", "margin", "smallest"),
        ("share-W", "W shown", "share of |W|² in the picture"),
        ("share-means", "means shown", "share of their squared norm"),
        ("share-features", "features shown", "share of |H|² in the picture"),
    ]
    return "\n".join(
        f'<tr><th scope="row">{escape(name)}</th><td id="at-{id}"></td><td class="soft">{escape(note)}</td></tr>'
        for id, name, note in lines
    )


def _certificate(report: Report) -> str:
    found = report.certificate
    assert found is not None, "finite, by now"
    lines = [("value f", f"{found.value:.15g}", "")]
    if math.isfinite(found.lower_bound):
        lines += [("lower bound", f"{found.lower_bound:.15g}", "")]
        lines += [("duality gap", f"{found.gap:.1e}", "f − f* is at most this")]
    else:
        lines += [("lower bound", "none", found.bound_method)]
    lines += [
        ("gradient", f"{found.grad_norm:.1e}", "largest entry"),
        ("curvature", f"{found.smallest_eigenvalue:.3e}", "smallest Hessian eigenvalue"),
        ("index", _counted(found.index), "negative eigenvalues"),
        ("nullity", _counted(found.nullity), f"zero eigenvalues; symmetry: {found.symmetry}"),
    ]
    theory = f"No closed form: {' '.join(report.reasons)}"
    if report.comparison is not None:
        worst = np.nanmax([row.difference for row in report.comparison.rows])
        stated, count = report.comparison, len(report.comparison.rows)
        theory = (
            f"{stated.theorem}: {stated.statement} Of the {count} quantities that it states none differs here by more "
            f"than {worst:.1e}. {stated.source}."
        )
    body = "\n".join(
        f'<tr><th scope="row">{name}</th><td>{value.replace("-", "−")}</td><td class="soft">{maths(note)}</td></tr>'
        for name, value, note in lines
    )
    return f"""<section class="certificate" aria-labelledby="certificate">
<h2 id="certificate">The last point: {PLAIN[found.verdict]}</h2>
<p>{maths(found.reason)}</p>
<table>
{body}
</table>
<p>{maths(theory)}</p>
</section>"""


def _counted(count: int | None) -> str:
    return "not counted" if count is None else str(count)


def _projection(report: Report, frames: int, shown: Scene) -> str:
    problem, recorded = report.problem, report.solution.trajectory
    assert recorded is not None, "checked at the door"
    drawn, classes, total = len(shown.labels), shown.means.shape[1], problem.K if problem.merged else problem.N
    features = "All features are drawn" if drawn == total else f"{drawn} of the {total} features are drawn"
    some = "" if classes == problem.K else f", and the first {classes} of the {problem.K} classes"
    share = {name: f"{100.0 * values[-1]:.3g} %" for name, values in shown.shares.items()}
    return f"""<section class="about" aria-labelledby="about">
<h2 id="about">What the picture shows</h2>
<p>R<sup>{problem.d}</sup> seen along three orthonormal directions that stay the same at every step: the principal
directions of the last class means and rows of W, and what these leave open, of the path. At the last step they hold
{share["means"]} of the squared norm of the class means, {share["W"]} of W and {share["features"]} of the features; the
table has these shares for every step. Angles and lengths are those of the projection. Rows of W are drawn in units of
their longest on the way, class means and features in units of the longest class mean. {features}{some}. Nothing is
interpolated: the slider goes through {frames} of the {len(recorded.steps)} recorded points.</p>
</section>"""
