"""The picture of a solve: its parts in every kind of case, on points made here, and bytes that do not change."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import ufm
from ufm.figures.grams import cosines
from ufm.figures.solve import solve_figure
from ufm.figures.style import save
from ufm.reduction import Full
from ufm.solution import Solution, Trajectory
from ufm.status import Status
from ufm.verify.predict import NotApplicable, predict


def problem(K: int = 3, n: Any = 4, d: int = 5, **changes: Any) -> ufm.Problem:
    return ufm.Problem(**{"K": K, "n": n, "d": d, "lam_W": 1e-2, "lam_H": 1e-2, "lam_b": 1e-2, **changes})


def solution(of: ufm.Problem, steps: Iterable[int] = range(6), shrink: float = 0.0) -> Solution:
    """A made-up solve: the features fall onto their class means, then (shrink > 0) everything onto zero."""
    rng = np.random.default_rng(0)
    steps = np.array(list(steps))
    means = rng.standard_normal((of.d, of.K))
    noise = rng.standard_normal((of.d, of.N))
    size = np.exp(-shrink * steps)[:, None, None]
    W = size * means.T
    H = size * (means[:, of.labels] + np.exp(-3.0 * np.arange(len(steps)))[:, None, None] * noise)
    params = ufm.Params(W, H, None if of.lam_b is None else np.zeros((len(steps), of.K)))
    value = 0.1 + np.exp(-2.0 * np.arange(len(steps)))
    trajectory = Trajectory(steps, value, np.exp(-1.0 * np.arange(len(steps))), params)
    last = ufm.Params(W[-1], H[-1], None if params.b is None else params.b[-1])
    return Solution(
        value=float(value[-1]),
        grad_norm=1e-3,
        gtol=1e-2,
        status=Status.CONVERGED,
        message="",
        steps=int(steps[-1]),
        evaluations=1,
        escapes=0,
        compile_seconds=0.0,
        seconds=0.0,
        trajectory=trajectory,
        reduction=Full(of, "made up"),
        lower_bound=-np.inf,
        point=last,
    )


class Known:
    """The parts of a certificate that a picture reads."""

    verdict = ufm.Verdict.GLOBAL_MINIMUM
    gap = 1e-15
    lower_bound = 0.09


def picture(of: ufm.Problem, made: Solution | None = None, certificate: Any = Known) -> Any:
    try:
        prediction = predict(of)
    except NotApplicable:
        prediction = None
    return solve_figure(of, made or solution(of), certificate, prediction)


def titles(figure):
    return [axes.get_title() for axes in figure.axes]


CASES = {
    "default": (problem(10, 50, 20), 5),
    "mse": (problem(10, 5, 20, loss=ufm.MSE()), 5),
    "two classes": (problem(2, 10, 3), 6),
    "one feature": (problem(2, 10, 1), 6),
    "three classes": (problem(3, 20, 5), 6),
    "four classes": (problem(4, 10, 6), 6),
    "four classes in a plane": (problem(4, 10, 2), 6),
    "a hundred classes": (problem(100, 2, 110), 5),
    "imbalanced": (problem(3, (50, 20, 5), 20), 6),
    "imbalanced mse": (problem(3, (50, 20, 5), 20, loss=ufm.MSE(), lam_b=0.0), 6),
    "no bias": (problem(5, 2, 7, lam_b=None), 5),
    "predicted zero": (problem(5, 2, 7, lam_W=1.0, lam_H=1.0), 5),
    "a user's loss": (problem(3, 2, 3, loss=lambda Z, Y: 0.0 * Z[0]), 6),
}


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_problem_is_drawn(name):
    of, axes = CASES[name]
    figure = picture(of)
    FigureCanvasAgg(figure).draw()  # no warning may escape
    assert len(figure.axes) == axes, titles(figure)
    assert titles(figure)[:2] == ["Descent", "Collapse"]
    for panel in figure.axes[:2]:
        assert panel.get_yscale() == "log"
        assert len(panel.get_lines()) >= 3
        for line in panel.get_lines():
            assert np.all(np.isfinite(line.get_ydata()))
            assert np.all(np.asarray(line.get_ydata()) > 0.0)


def test_the_geometry_is_solid_only_where_three_directions_are_needed():
    assert picture(problem(4, 3, 6)).axes[2].name == "3d"
    assert picture(problem(4, 3, 2)).axes[2].name == "rectilinear"
    assert picture(problem(3, 3, 2)).axes[2].name == "rectilinear"


def test_what_is_subtracted_from_f_is_named():
    unknown = problem(3, (5, 2, 1), 4)
    assert picture(problem()).axes[0].get_legend().get_texts()[0].get_text() == r"$f-f^\ast$ (T7)"
    assert "lower bound" in picture(unknown).axes[0].get_legend().get_texts()[0].get_text()

    class Unbounded(Known):
        lower_bound, gap = -np.inf, np.inf

    figure = picture(unknown, certificate=Unbounded)
    assert "end" in figure.axes[0].get_legend().get_texts()[0].get_text()
    assert "gap" not in figure.get_suptitle()


def test_a_solve_that_collapses_to_zero_says_so():
    figure = picture(problem(), solution(problem(), steps=range(0, 60, 10), shrink=1.0))
    assert "undefined once $W=H=0$" in figure.axes[1].get_title()
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts.count("$W=H=0$") == 2
    assert "$W=H=0$: collapsed to zero" in texts
    assert len(figure.axes[1].get_lines()[0].get_xdata()) < 6
    start = picture(problem(), solution(problem(), steps=[30], shrink=1.0))
    assert "$W=H=0$: nothing to measure" in [text.get_text() for text in start.axes[1].texts]


def test_the_prediction_of_zero_says_so():
    panel = picture(problem(5, 2, 7, lam_W=1.0, lam_H=1.0)).axes[4]
    assert [text.get_text() for text in panel.texts] == ["$W=H=0$"]


@pytest.mark.parametrize("steps", [[0], [7], [0, 1], [0, 1, 10, 100, 1000, 10000]])
def test_trajectories_of_any_length(steps):
    figure = picture(problem(), solution(problem(), steps=steps))
    FigureCanvasAgg(figure).draw()
    assert figure.axes[0].get_xscale() == ("symlog" if steps[-1] > 300 else "linear")
    low, high = figure.axes[0].get_xlim()
    assert low <= 0 <= steps[-1] <= high


def test_no_trajectory_is_refused():
    with pytest.raises(ValueError, match="Pass record="):
        picture(problem(), dataclasses.replace(solution(problem()), trajectory=None))


def test_the_grams_are_cosines_and_the_prediction_is_a_simplex():
    figure = picture(problem(10, 5, 20))
    rows, means, predicted = (axes.images[0].get_array() for axes in figure.axes[2:5])
    np.testing.assert_allclose(np.diag(rows), 1.0)
    np.testing.assert_allclose(rows, means, atol=1e-5)
    np.testing.assert_allclose(predicted[~np.eye(10, dtype=bool)], -1 / 9)
    assert figure.axes[4].get_title() == "predicted (T7)"
    assert {axes.images[0].get_clim() for axes in figure.axes[2:5]} == {(-1.0, 1.0)}


def test_without_prediction_the_simplex_is_for_reference():
    assert "simplex ETF, for reference" in titles(picture(problem(3, (5, 2, 1), 4)))
    assert "simplex ETF, for reference" in titles(picture(problem(5, 3, 2, loss=ufm.MSE())))


def test_where_two_grams_are_predicted_both_are_shown():
    of = problem(3, (50, 20, 5), 20, loss=ufm.MSE(), lam_b=0.0)
    panel = picture(of).axes[5]
    assert panel.get_title() == "predicted (T10): $W$ above, means below"
    stated, shown = predict(of).quantities, np.asarray(panel.images[0].get_array())
    assert shown[0, 2] == pytest.approx(cosines(np.asarray(stated["gram_W"]))[0, 2])
    assert shown[2, 0] == pytest.approx(cosines(np.asarray(stated["gram_M"]))[2, 0])


def test_the_cosine_of_a_zero_vector_is_undefined():
    found = cosines(np.diag([4.0, 1.0, 1e-40]))
    np.testing.assert_array_equal(np.isnan(found), [[0, 0, 1], [0, 0, 1], [1, 1, 1]])
    assert np.all(np.isnan(cosines(np.zeros((2, 2)))))


def test_ticks_stay_readable():
    assert len(picture(problem(40, 1, 40)).axes[2].get_xticks()) == 2
    assert len(picture(problem(10, 2, 11)).axes[2].get_xticks()) == 10


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    files = []
    for name in ("first", "second.x"):
        (tmp_path / name).mkdir()
        files.append(save(picture(problem(4, 2, 12)), tmp_path / name / "ufm.solve"))
    for first, second in zip(*files, strict=True):
        assert first.name in ("ufm.solve.png", "ufm.solve.pdf")
        assert first.read_bytes() == second.read_bytes()
        assert b"CreationDate" not in first.read_bytes()
        assert len(first.read_bytes()) > 10_000


def test_no_global_setting_changes(tmp_path):
    before = dict(matplotlib.rcParams)
    save(picture(problem()), tmp_path / "x")
    assert dict(matplotlib.rcParams) == before
