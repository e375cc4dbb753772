"""Phase diagrams on rows that theory makes up, on rows that are wrong, and on some that are solved."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import ufm
from theory import NotApplicable, softmax_codes
from ufm.figures.data import Source, on_axes
from ufm.figures.paper.codes import some_classes
from ufm.figures.phases import graphs
from ufm.figures.phases.collapse import collapse_figure, collapse_to_zero
from ufm.figures.phases.diagram import edges
from ufm.figures.phases.frames import class_cosine, frames_figure, frames_of_squared_error
from ufm.figures.phases.margins import margin, margins_figure, softmax_margins
from ufm.figures.phases.minority import (
    layer_peeled_collapse,
    layer_peeled_figure,
    minority_collapse,
    minority_distance,
    minority_figure,
)
from ufm.figures.phases.spheres import sphere_minima, spheres_figure
from ufm.figures.phases.spurious import spurious_figure, spurious_minima
from ufm.sweep import rows as rows_module
from ufm.sweep.rows import failed_row
from ufm.verify.predict import predict

NOTHING: Any = None


def made_up(scale):
    """Rows as theory has them, of the problem with `scale` times its decays or budgets."""

    def row(case, size, columns):
        problem = case.problem
        found = failed_row(case, size, "CONVERGED", "")
        try:
            stated = predict(problem if scale == 1.0 else _scaled(case, scale)).quantities
        except NotApplicable:
            tau = 5.0 if problem.model.tau is None else problem.model.tau
            return found | {
                "value": np.log1p((problem.K - 1) * np.exp(-0.9 * tau)) + case.key % 3,
                "verdict": "LOCAL_MINIMUM",
            }
        values, vectors = np.linalg.eigh(stated["gram_W"]) if "gram_W" in stated else (np.ones(1), np.ones((1, 1)))
        W = vectors * np.sqrt(np.maximum(values, 0.0))
        found |= {"value": stated["value"], "verdict": "GLOBAL_MINIMUM"}
        found["largest_logit"] = float(np.max(np.abs(stated.get("logits", stated["sigma_Z"]))))
        if columns is not None:
            point: Any = SimpleNamespace(params=ufm.Params(W, W.T, None))
            found |= columns(problem, point, NOTHING)
        return found

    return lambda cases, size, columns: [row(case, size, columns) for case in cases]


def _scaled(case, scale):
    names = ["lam_W", "lam_H"] if case.problem.euclidean else ["model.W.mean_square", "model.H.mean_square"]
    values = {"lam_W": case.problem.lam_W, "lam_H": case.problem.lam_H}
    if not case.problem.euclidean:
        values = dict.fromkeys(names, case.problem.model.W.mean_square)
    return ufm.grid(case, [{name: values[name] * scale for name in names}]).cases[0].problem


def drawn(figure):
    """Labels of the colour bars and titles, once everything has been drawn."""
    FigureCanvasAgg(figure).draw()
    return [axes.get_title() for axes in figure.axes]


DIAGRAMS = [
    (lambda: collapse_to_zero([1e-3, 1e-2, 1e-1, 0.5]), {"cells": 48, "wrong": 0}, collapse_figure, 4),
    (lambda: minority_collapse([0.02, 0.1, 0.2], ratios=(1, 3, 8)), {"cells": 8, "wrong": 0}, minority_figure, 2),
    (
        lambda: layer_peeled_collapse([0.4, 1.5, 4.0], ratios=(1, 3, 8)),
        {"cells": 9, "wrong": 0},
        layer_peeled_figure,
        2,
    ),
]


@pytest.mark.parametrize(("make", "checks", "draw", "panels"), DIAGRAMS)
def test_what_theory_says_agrees_with_its_boundaries(monkeypatch, make, checks, draw, panels):
    monkeypatch.setattr(rows_module, "_rows", made_up(1.0))
    data = make()
    assert data.checks == checks
    assert len(drawn(draw(data))) == panels


@pytest.mark.parametrize("make", [make for make, *_ in DIAGRAMS])
def test_another_strength_is_noticed(monkeypatch, make):
    monkeypatch.setattr(rows_module, "_rows", made_up(4.0))
    assert make().checks["wrong"] > 0


def test_frames_between_the_simplex_and_the_orthogonal_one(monkeypatch):
    monkeypatch.setattr(rows_module, "_rows", made_up(1.0))
    data = frames_of_squared_error([0.01, 0.5, 100.0])
    assert data.checks["difference"] < 1e-12
    cosines = on_axes(data.table, ("kappa", "lam_b"), "cosine")
    np.testing.assert_allclose(cosines[:, 0], -1 / 3, rtol=1e-12)
    assert np.all(np.diff(cosines, axis=1) >= -1e-12)
    assert np.all(cosines[:, -1] > -0.01)
    drawn(frames_figure(data))
    monkeypatch.setattr(rows_module, "_rows", made_up(1.5))
    assert frames_of_squared_error([0.01, 0.5, 100.0]).checks["difference"] > 0.01


def test_minima_on_spheres(monkeypatch):
    monkeypatch.setattr(rows_module, "_rows", made_up(1.0))
    data = sphere_minima([1.0, 4.0], K=4, starts=3)
    assert abs(data.checks["excess"]) < 1e-12
    assert abs(data.checks["shortfall"]) < 1e-12
    drawn(spheres_figure(data))


def test_margins_of_codes_are_set_against_the_known_ones(monkeypatch):
    def rows(factor):
        def row(case, size):
            K, d = int(np.sum(np.asarray(case.problem.targets) == 1.0)), case.problem.d
            known = 0.6 if softmax_codes.applies(K=K, d=d) else softmax_codes.optimum(K=K, d=d)
            return failed_row(case, size, "CONVERGED", "") | {"rho": known * (factor if case.key else 0.5)}

        return lambda cases, size, columns: [row(case, size) for case in cases]

    for factor, excess, shortfall in ((1.0, 0.0, 0.0), (0.9, -0.05, 0.15), (1.2, 0.3, -0.1)):
        monkeypatch.setattr(rows_module, "_rows", rows(factor))
        data = softmax_margins([3, 4, 7], dimensions=[2, 3], starts=2)
        assert data.checks["excess"] == pytest.approx(excess, abs=0.06)
        assert data.checks["shortfall"] == pytest.approx(shortfall, abs=0.06)
    assert np.isnan(data.table["rho_theory"]).tolist() == [False] * 5 + [True]  # seven in three dimensions
    drawn(margins_figure(data))


def test_a_margin_is_that_of_the_classes_alone():
    problem = ufm.Problem(6, 1, 2, model=ufm.normalized(1.0), targets=some_classes(4, 6))
    square = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    point: Any = SimpleNamespace(params=ufm.Params(np.vstack([square, square[:2]]), np.eye(2, 6), None))
    assert margin(problem, point, NOTHING)["rho"] == pytest.approx(1.0, abs=1e-14)


def test_graphs_beat_collapse_where_their_cost_says(monkeypatch):
    """Signs of what random starts and the explicit weights find, each relative to the lower of the two."""
    ends = {(3, 4): (1.0, 1.1), (4, 5): (0.9, 1.0), (4, 4): (1.3, 1.2), (3, 5): (1.07, 1.0)}

    def low(L, r):
        return min(graphs._cell(L, r)[name] for name in ("DNC", "SRG"))

    monkeypatch.setattr(graphs, "_lowest", lambda L, r, *rest: ends[L, r][0] * low(L, r))
    monkeypatch.setattr(graphs, "_descended", lambda L, r: ends[L, r][1] * low(L, r))
    data = graphs.data(Source(), depths=(3, 4), orders=(4, 5), searched=tuple(ends))
    assert data.checks == {"cells": 4, "wrong": 0, "below": 1, "above": 1, "explicit": 2}
    assert data.settings["missed"] == pytest.approx(0.1 / 1.2)
    assert data.table["K"].tolist() == [6, 10, 6, 10]
    assert data.table["cheaper"].tolist() == [False, True, True, True]
    figure = graphs.figure(data)
    drawn(figure)
    assert [text.get_text() for text in figure.axes[0].texts] == ["=", "\N{MINUS SIGN}", "(+)", "(=)"]
    lines = [np.column_stack(line.get_data()).tolist() for line in figure.axes[0].lines]
    assert lines == [[[1.0, 0.0], [1.0, 1.0]], [[0.0, 1.0], [1.0, 1.0]]]  # around the one cell of collapse


def test_a_descent_from_the_explicit_weights_stays_near_their_value():
    """Theory's point is evaluated by ufm's objective on the way."""
    assert graphs._descended(3, 4) == pytest.approx(graphs._cell(3, 4)["SRG"], rel=1e-4)


def test_spurious_minima_are_counted(monkeypatch):
    monkeypatch.setattr(rows_module, "_rows", made_up(1.0))
    data = spurious_minima([1e-2], K=4, starts=6)
    assert data.checks == {"spurious": 0, "higher": 8}  # two of three starts, in d = 1 and 2
    assert "$\\lambda_W=\\lambda_H=0.01$" in drawn(spurious_figure(data))


def test_columns_of_the_diagrams():
    problem = ufm.Problem(K=4, n=1, d=4, lam_W=1.0, lam_H=1.0)
    W = np.array([[2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 1.0, 0], [0, 0, 1.0, 0]])

    def at(W, H):
        point: Any = SimpleNamespace(params=ufm.Params(W, H, None))
        return point

    assert minority_distance(problem, at(W, np.eye(4)), NOTHING) == {"minority": 0.0}
    W[3] = [0, 0, 0, 1.0]
    assert minority_distance(problem, at(W, np.eye(4)), NOTHING)["minority"] == pytest.approx(0.5)
    assert np.isnan(minority_distance(problem, at(W, 0 * W), NOTHING)["minority"])
    assert class_cosine(problem, at(W, np.eye(4)), NOTHING) == {"cosine": 0.0}
    assert np.isnan(class_cosine(problem, at(0 * W, np.eye(4)), NOTHING)["cosine"])


def test_edges_are_halfway_on_the_logarithmic_scale():
    np.testing.assert_allclose(edges(np.array([1.0, 100.0])), [0.1, 10.0, 1000.0])
    np.testing.assert_allclose(edges(np.array([1.0])), np.exp([-0.5, 0.5]))


def test_minority_collapse_is_where_theory_puts_it():
    data = minority_collapse([0.05, 0.12, 0.13, 0.2], ratios=(3,))  # the boundary is 1/8
    assert data.checks == {"cells": 4, "wrong": 0}
    assert (data.table["minority"] > 1e-5).tolist() == [True, True, False, False]
    assert set(data.table["verdict"].tolist()) == {"GLOBAL_MINIMUM"}
