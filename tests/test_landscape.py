"""The explorer: atlases against theory and Hessians, escape, segments and planes against direct evaluation."""

import re

import numpy as np
import pytest

import theory
import ufm
from ufm.certify.point import examine
from ufm.dimensions import by_dimension
from ufm.energy_path import EnergyPath
from ufm.figures.landscape import atlas_figure, dimensions_figure, path_figure
from ufm.landscape import Atlas, atlas, escape, plane, segment

BENIGN = ufm.Problem(3, 1, 3, 0.05, 0.05, loss=ufm.MSE())


@pytest.fixture(scope="module")
def benign():
    return atlas(BENIGN, 80, key=1)


def test_squares_have_one_orbit_of_critical_points_for_each_rank(benign):
    """Every critical point keeps r of the K singular values: values, indices and zero modes in closed form."""
    kappa = 3 * 0.05
    expected = [(r * kappa * (2 - kappa) + 3 - r) / 6 for r in range(3, -1, -1)]
    assert [point.rank for point in benign.points] == [3, 2, 1, 0]
    np.testing.assert_allclose([point.certificate.value for point in benign.points], expected, atol=1e-13)
    for point in benign.points:
        c, r = point.certificate, point.rank
        assert c.grad_norm <= 1e-11
        assert c.index == (3 - r) * (3 - r)  # g > nu on (K - r) directions, each in d - r free dimensions
        assert c.nullity == r * (6 - r - 1) // 2 + r * (3 - r)
    assert benign.points[0].certificate.verdict is ufm.Verdict.GLOBAL_MINIMUM
    assert benign.spurious == ()
    assert sum(point.hits for point in benign.points) == benign.converged <= benign.searches


def test_the_same_key_gives_the_same_atlas(benign):
    again = atlas(BENIGN, 80, key=1)
    assert [p.hits for p in again.points] == [p.hits for p in benign.points]
    assert [p.certificate.value for p in again.points] == [p.certificate.value for p in benign.points]


def test_a_spurious_minimum_is_found_blind():
    """T6: five classes in two features have two strict local minima."""
    found = atlas(ufm.Problem(5, 2, 2, 0.05, 0.025, 0.1), 30)
    minima = [p.certificate.value for p in found.points if p.certificate.verdict is ufm.Verdict.LOCAL_MINIMUM]
    np.testing.assert_allclose(minima, [0.938473085202, 0.969106050566], atol=6e-13)
    assert [p.certificate.value for p in found.spurious] == minima[1:]
    polygon = theory.code_values.polygon_candidate(K=5, n=2, lam_W=0.05, lam_H=0.025)
    assert minima[0] == pytest.approx(polygon.value, abs=1e-12)
    text = str(found)
    assert text.count("LOCAL_MINIMUM") == 2
    assert "of 30 searches" in text


def test_minima_by_dimension_are_classified_and_shown(benign):
    """T6 in two features again; its picture has both minima at d = 2."""
    (at,) = by_dimension(ufm.Problem(5, 1, 2, 0.05, 0.05, 0.1), [2], 6, key=4)
    assert (at.d, at.benign, at.spurious) == (2, False, 1)
    assert [c.verdict.name for c in at.certificates] == ["LOCAL_MINIMUM", "LOCAL_MINIMUM"]
    np.testing.assert_array_equal([c.value for c in at.certificates], at.found.values)
    (points,) = dimensions_figure([at]).axes[0].collections
    np.testing.assert_array_equal(np.asarray(points.get_offsets()), [[2, value] for value in at.found.values])
    with pytest.raises(ValueError, match="no dimension was looked at"):
        dimensions_figure([])
    top = benign.points[1]
    path = EnergyPath(np.array([0.0, 1.0]), np.array([0.2, 0.1]), top.params, top.params, top.certificate, True)
    axes = path_figure(path).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), path.values)
    assert "strict saddle of index 1" in axes.get_title(loc="left")


def test_escape_leaves_a_saddle_and_not_a_minimum(benign):
    saddle, lowest = benign.points[1], benign.points[0]
    solution = escape(BENIGN, saddle.params)
    assert solution is not None
    assert solution.value == pytest.approx(lowest.certificate.value, abs=1e-13)
    assert escape(BENIGN, lowest.params) is None


def test_segments_and_planes_by_direct_evaluation(benign):
    a, b, c = (point.params for point in benign.points[:3])
    t, values = segment(BENIGN, a, b, points=5)
    for s, value in zip(t, values, strict=True):
        between = ufm.Params((1 - s) * a.W + s * b.W, (1 - s) * a.H + s * b.H, None)
        assert value == pytest.approx(examine(BENIGN, between).value, rel=1e-14)
    t, grid = plane(BENIGN, a, b, c, reach=0.5, points=3)
    for i, j in np.ndindex(3, 3):
        W, H = (x + t[i] * (y - x) + t[j] * (z - x) for x, y, z in ((a.W, b.W, c.W), (a.H, b.H, c.H)))
        assert grid[i, j] == pytest.approx(examine(BENIGN, ufm.Params(W, H, None)).value, rel=1e-14)


def test_the_picture_shows_every_orbit(benign):
    axes = atlas_figure(benign).axes[0]
    shown = np.vstack([np.asarray(collection.get_offsets()) for collection in axes.collections])
    expected = [(p.certificate.index, p.certificate.value) for p in benign.points]
    np.testing.assert_allclose(shown[np.argsort(shown[:, 1])], expected)
    with pytest.raises(ValueError, match="no point of the atlas"):
        atlas_figure(Atlas((), 1, 0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: atlas(BENIGN, 0), "searches=0"),
        (lambda: by_dimension(BENIGN, [0]), "by_dimension: a dimension=0 (features need a dimension)"),
        (lambda: atlas(BENIGN, 1, scale=0.0), "scale=0.0 is not a finite positive number"),
        (lambda: atlas(ufm.Problem(3, 1, 3, model=ufm.normalized(1.0)), 1), "must range over all matrices"),
        (
            lambda: atlas(ufm.Problem(3, 1, 3, 0.1, 0.1, loss=ufm.MSE(), model=ufm.DeepReLU((3,))), 1),
            "f must be smooth",
        ),
        (lambda: atlas(ufm.Problem(3, 200, 3, 0.1, 0.1), 1), "1809 variables"),
        (lambda: segment(BENIGN, ufm.random_start(BENIGN), ufm.random_start(BENIGN), points=1), "points=1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
