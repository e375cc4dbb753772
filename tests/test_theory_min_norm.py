"""Wolfe's method: the point of least norm in a convex hull."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from named_codes import NAMED
from scipy.optimize import minimize

from theory import codes, min_norm


def check_min_norm(points, tolerance=1e-14):
    """The defining inequality for every point, and weights that make the point."""
    x, weights = min_norm.min_norm_point(points)
    reach = np.max(np.linalg.norm(points, axis=1))
    assert np.min(weights) >= 0.0
    assert np.sum(weights) == pytest.approx(1.0, abs=1e-13)
    assert np.max(np.abs(weights @ points - x)) <= tolerance * reach
    assert np.sum(weights > 0) <= points.shape[1] + 1
    assert np.min(points @ x) - x @ x >= -tolerance * reach**2
    return x


@settings(deadline=None, max_examples=200)
@given(
    m=st.integers(1, 25),
    d=st.integers(1, 6),
    kind=st.sampled_from(["general", "lattice", "flat", "repeated", "far", "sphere", "nearly"]),
    seed=st.integers(0, 2**31),
)
def test_min_norm_point_of_any_points(m, d, kind, seed):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(m, d))
    if kind == "lattice":  # many ties, many points in one facet
        points = rng.integers(-1, 3, size=(m, d)).astype(float)
        points[:, 0] += 2.0
    elif kind == "flat":
        points[:, 0] = 1.0
    elif kind == "repeated":
        points = points[rng.integers(0, m, size=m)]
    elif kind == "far":
        points += 100.0
    elif kind == "nearly":  # degenerate up to what a solver leaves: the norm stalls long before the certificate
        points = rng.integers(-1, 3, size=(m, d)) + 10.0 ** rng.uniform(-16, -4) * points
        points[:, 0] += 2.0
    elif kind == "sphere":
        points = points / np.linalg.norm(points, axis=1, keepdims=True)
    x = check_min_norm(points)
    assert np.linalg.norm(x) <= np.min(np.linalg.norm(points, axis=1)) * (1 + 1e-15)


def test_min_norm_point_against_quadratic_programming():
    rng = np.random.default_rng(4)
    for m, d, shift in ((6, 3, 1.0), (12, 4, 0.5), (9, 2, 2.0)):
        points = rng.normal(size=(m, d)) + shift
        x = check_min_norm(points)
        found = minimize(
            lambda t, P=points: np.sum((t @ P) ** 2) / 2,
            np.full(m, 1 / m),
            jac=lambda t, P=points: P @ (t @ P),
            method="SLSQP",
            bounds=[(0, 1)] * m,
            constraints={"type": "eq", "fun": lambda t: np.sum(t) - 1, "jac": np.ones_like},
            options={"ftol": 1e-16, "maxiter": 500},
        )
        assert math.sqrt(2 * found.fun) == pytest.approx(np.linalg.norm(x), abs=1e-7)


def test_min_norm_point_of_special_positions():
    np.testing.assert_array_equal(min_norm.min_norm_point(np.array([[3.0, 4.0]])).point, [3.0, 4.0])
    np.testing.assert_array_equal(min_norm.min_norm_point(np.zeros((3, 2))).point, [0.0, 0.0])
    inside = min_norm.min_norm_point(codes.cell_24())
    np.testing.assert_array_equal(inside.point, np.zeros(4))
    assert np.max(np.abs(inside.weights @ codes.cell_24())) <= 1e-15
    wall = np.array([[1.0, y, z] for y in (-1.0, 0.0, 1.0) for z in (-1.0, 1.0)])
    np.testing.assert_allclose(min_norm.min_norm_point(wall).point, [1.0, 0.0, 0.0], atol=1e-15)
    for scale in (1e-300, 1e200):  # squares of these underflow, overflow
        np.testing.assert_allclose(min_norm.min_norm_point(scale * wall).point / scale, [1.0, 0.0, 0.0], atol=1e-15)
    with pytest.raises(ValueError, match=r"min_norm_point: points has shape \(3,\)"):
        min_norm.min_norm_point(np.ones(3))


def test_the_24_cell_vertex_on_which_nnls_has_failed():
    """Section 9: the augmented least-squares form of vertex 5 has the optimum 1/sqrt 5 = (1/2)/sqrt(1 + 1/4)."""
    gaps = codes.cell_24()[5] - np.delete(codes.cell_24(), 5, axis=0)
    rho = np.linalg.norm(check_min_norm(gaps))
    assert rho / math.sqrt(1 + rho**2) == pytest.approx(1 / math.sqrt(5), abs=1e-15)


@pytest.mark.parametrize("size", 10.0 ** np.arange(-14.0, -3.0))
def test_min_norm_point_near_a_degenerate_code(size):
    """What a solver leaves of a code: the norm is right to size^2 long before the certificate is."""
    rng = np.random.default_rng(7)
    for name in ("cell_24", "icosahedron", "schlaefli", "cell_600"):
        W = NAMED[name][0]
        for k in (0, 5):
            gaps = W[k] - np.delete(W, k, axis=0)
            x = check_min_norm(gaps + size * rng.normal(size=gaps.shape))
            assert np.linalg.norm(x) == pytest.approx(1 - NAMED[name][3], abs=10 * size + 1e-14)
