"""Minimum-energy paths of deep linear models over the passes of theory, and the passes by their own equation."""

import re
from typing import Any

import numpy as np
import pytest

import ufm
from theory import NotApplicable, deep_landscape, depth
from ufm.certify.point import examine
from ufm.energy_path import energy_path
from ufm.landscape import atlas

SETTING: dict[str, Any] = {"K": 2, "n": (4, 2), "d": 3, "lam_W": (0.04, 0.03), "lam_H": 0.03, "widths": (3,)}
PROBLEM = ufm.Problem(K=2, n=(4, 2), d=3, lam_W=(0.04, 0.03), lam_H=0.03, loss=ufm.MSE(), model=ufm.DeepLinear((3,)))


def minimum(rank):
    return ufm.Params(*deep_landscape.critical_point(**SETTING, kept=range(rank)))


@pytest.fixture(scope="module")
def path():
    return energy_path(PROBLEM, minimum(0), minimum(1))


def test_the_top_is_the_pass_of_theory(path):
    expected = deep_landscape.passes(**SETTING)[0]
    assert path.converged
    assert path.certificate.value == pytest.approx(expected, abs=1e-14)
    assert path.barrier == pytest.approx(expected - 0.5, abs=1e-14)
    assert path.certificate.verdict is ufm.Verdict.STRICT_SADDLE
    assert path.certificate.index == 1
    assert np.max(path.values) <= path.certificate.value + 1e-12


def test_images_are_evenly_spread_and_the_gradient_is_along_the_path(path):
    x = np.array(
        [np.concatenate([w.ravel() for w in (*(W[i] for W in path.points.W), path.points.H[i])]) for i in range(24)]
    )
    steps = np.linalg.norm(np.diff(x, axis=0), axis=1)
    np.testing.assert_allclose(steps, np.mean(steps), rtol=0.1)  # a bend is cut
    for i in range(1, 21):  # the path turns into the valley of the end after that
        point = ufm.Params(tuple(W[i] for W in path.points.W), path.points.H[i], None)
        found = examine(PROBLEM, point)
        assert path.values[i] == pytest.approx(found.value, rel=1e-14)
        slope = np.concatenate([g.ravel() for g in (*found.grad.W, found.grad.H)])
        along = (x[i + 1] - x[i - 1]) / np.linalg.norm(x[i + 1] - x[i - 1])
        assert np.linalg.norm(slope - (slope @ along) * along) <= 0.05 * np.linalg.norm(slope)


def test_the_second_pass_and_a_pass_that_no_image_is_on():
    second = energy_path(PROBLEM, minimum(1), minimum(2))
    expected = deep_landscape.passes(**SETTING)
    assert second.certificate.value == pytest.approx(expected[1], abs=1e-14)
    # Both passes on one path: the higher one is its top. Downhill from a pass there is none higher than the pass.
    assert energy_path(PROBLEM, minimum(0), minimum(2)).certificate.value == pytest.approx(max(expected), abs=1e-13)
    down = energy_path(PROBLEM, second.top, minimum(2))
    assert down.certificate.value == pytest.approx(expected[1], abs=1e-13)
    assert down.barrier == pytest.approx(0.0, abs=1e-13)


def test_an_atlas_goes_on_from_the_points_of_a_theorem(path):
    """Zero, the two others of F5, and the pass itself: each stays where it is."""
    found = atlas(PROBLEM, 1, starts=[minimum(0), minimum(1), minimum(2), path.top])
    assert found.searches == 5
    values = [point.certificate.value for point in found.points]
    for expected in (*deep_landscape.local_minima(**SETTING), path.certificate.value):
        assert np.min(np.abs(np.array(values) - expected)) <= 1e-13


@pytest.mark.parametrize("M", [2, 3])
def test_passes_are_maxima_of_the_scalar_problem(M):
    """On a grid: the value rises up to the pass and falls after it; at the spinodal both stationary points meet."""
    lam, n = 0.02, 4
    value = deep_landscape.passes(K=2, n=n, d=2, widths=(2,) * (M - 1), lam_W=lam, lam_H=lam)[0]
    z = np.linspace(0.0, 2.0, 400_001)
    q = M + 1
    f = (z - 2.0) ** 2 / (2 * 8) + q / 2 * lam * z ** (2 / q) + 4 / 16  # the other class at zero
    peak = int(np.argmax(f[: int(np.argmin(f[1:])) + 1]))
    assert peak > 0
    assert value == pytest.approx(f[peak], abs=1e-9)
    edge = depth.spinodal_strength(M)
    assert depth.pass_shrinkage(edge * (1 - 1e-12), M) == pytest.approx(
        depth.shrinkage(edge * (1 - 1e-12), M), abs=1e-5
    )
    assert np.isnan(depth.pass_shrinkage(edge, M))
    assert np.isnan(deep_landscape.passes(K=2, n=n, d=2, widths=(2,) * (M - 1), lam_W=1.0, lam_H=1.0)).all()


def test_one_matrix_has_no_pass():
    with pytest.raises(NotApplicable, match="M = 1"):
        deep_landscape.passes(K=2, n=2, d=2, lam_W=0.1, lam_H=0.1)
    assert np.isnan(depth.pass_shrinkage(0.1, 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: energy_path(PROBLEM, minimum(0), minimum(0)), "start and end are one point"),
        (lambda: energy_path(PROBLEM, minimum(0), minimum(1), images=2), "images=2 (a path has an inside)"),
        (
            lambda: energy_path(ufm.Problem(2, 2, 2, loss=ufm.MSE(), model=ufm.normalized(1.0)), None, None),
            "energy_path: W and H must range over all matrices",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
