"""2.1 - 2.6 and T6: named codes, one-vs-rest distances, softmax codes, symmetric values, orthoplex partitions."""

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
from dense_oracle import Dense
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sphere_oracle import descend, gradient_norm, loss, riemannian_hessian

from theory import NotApplicable, code_values, codes, cross_entropy, frames, min_norm, orthoplex, softmax_codes

GOLDEN = (1 + math.sqrt(5)) / 2
NAMED = {  # name: (code, K, d, s, neighbours at s)
    "icosahedron": (codes.icosahedron(), 12, 3, 1 / math.sqrt(5), 5),
    "cell_24": (codes.cell_24(), 24, 4, 0.5, 8),
    "cell_600": (codes.cell_600(), 120, 4, (1 + math.sqrt(5)) / 4, 12),
    "clebsch": (codes.clebsch(), 16, 5, 0.2, 10),
    "schlaefli": (codes.schlaefli(), 27, 6, 0.25, 16),
    "code_7_56": (codes.code_7_56(), 56, 7, 1 / 3, 27),
    "e8_roots": (codes.e8_roots(), 240, 8, 0.5, 56),
    "polygon": (codes.polygon(7), 7, 2, math.cos(2 * math.pi / 7), 2),
    "simplex": (codes.simplex(5), 5, 4, -0.25, 4),
    "cross_polytope": (codes.cross_polytope(4), 8, 4, 0.0, 6),
}


@pytest.mark.parametrize("name", NAMED)
def test_named_codes(name):
    W, K, d, s, neighbours = NAMED[name]
    assert W.shape == (K, d)
    np.testing.assert_allclose(np.linalg.norm(W, axis=1), 1.0, atol=4e-16)
    assert codes.coherence(W) == pytest.approx(s, abs=2e-15)
    assert codes.tammes_margin(W) == pytest.approx(1 - s, abs=2e-15)
    np.testing.assert_allclose(codes.separations(W), 1 - s, atol=2e-15)
    gram = W @ W.T
    assert np.all(np.sum(np.abs(gram - s) <= 1e-12, axis=1) == neighbours)
    np.testing.assert_allclose(np.sort(gram, axis=1), np.sort(gram, axis=1)[[0] * K], atol=1e-14)  # distance-invariant
    np.testing.assert_allclose(W.T @ W, K / d * np.eye(d), atol=2e-14 * K)  # a tight frame of zero mean
    np.testing.assert_allclose(W.sum(axis=0), 0.0, atol=1e-13)


@pytest.mark.parametrize("name", NAMED)
def test_one_vs_rest_distances_of_named_codes(name):
    """rho = 1 - s with h = w: 2.3, the hull of the neighbours contains s w."""
    W, _, _, s, _ = NAMED[name]
    rho, H = softmax_codes.one_vs_rest_distance(W)
    np.testing.assert_allclose(rho, 1 - s, atol=2e-15)
    np.testing.assert_allclose(H, W.T, atol=5e-15)
    assert softmax_codes.hardmax_value(W) == np.min(rho)


def test_separations_count_repeated_rows():
    W = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_array_equal(codes.separations(W), [0.0, 0.0, 2.0])
    assert codes.tammes_margin(W) == 0.0


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


@pytest.mark.parametrize(("K", "d"), [(2, 2), (5, 3), (9, 3), (20, 4), (7, 1)])
def test_one_vs_rest_distance_of_random_codes(K, d):
    W = np.random.default_rng(K).normal(size=(K, d))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    rho, H = softmax_codes.one_vs_rest_distance(W)
    assert np.all(rho >= codes.separations(W) - 1e-14)
    for k in range(K):
        gaps = W[k] - np.delete(W, k, axis=0)
        assert rho[k] <= np.min(np.linalg.norm(gaps, axis=1)) + 1e-14
        if rho[k] > 0.0:  # duality: h_k reaches rho_k, and no distance to the hull is larger
            assert np.min(gaps @ H[:, k]) == pytest.approx(rho[k], abs=1e-13)
            assert np.linalg.norm(H[:, k]) == pytest.approx(1.0, abs=1e-14)
        else:
            assert np.all(np.isnan(H[:, k]))
    lower, upper = softmax_codes.bounds(K=K, d=d) if d > 1 else (0.0, 2.0)
    assert np.min(rho) <= upper
    assert lower >= 0.0


def test_a_row_inside_the_hull_has_no_direction():
    W = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    rho, H = softmax_codes.one_vs_rest_distance(W)
    np.testing.assert_allclose(rho, [0.0, 0.0, math.sqrt(2)], atol=1e-15)
    assert rho[0] == 0.0
    assert np.all(np.isnan(H[:, :2]))
    np.testing.assert_allclose(H[:, 2], [-math.sqrt(0.5), math.sqrt(0.5)], atol=1e-15)
    W[1] = math.cos(1e-13), math.sin(1e-13)  # nearer than float64 can tell the direction
    np.testing.assert_array_equal(softmax_codes.one_vs_rest_distance(W).rho[:2], 0.0)


@pytest.mark.parametrize("d", range(1, 7))
def test_optimal_codes_attain_the_optimum_within_the_bounds(d):
    for K in range(2, 15):
        if softmax_codes.applies(K=K, d=d):
            assert 2 * d < K
            continue
        W, rho = softmax_codes.optimal_code(K=K, d=d), softmax_codes.optimum(K=K, d=d)
        assert W.shape == (K, d)
        assert softmax_codes.hardmax_value(W) == pytest.approx(rho, abs=1e-14)
        if d > 1:
            lower, upper = softmax_codes.bounds(K=K, d=d)
            assert lower <= rho <= upper
    assert softmax_codes.optimum(K=5, d=2) == pytest.approx(1 - math.cos(2 * math.pi / 5), abs=1e-15)
    assert softmax_codes.optimum(K=100000, d=2) == pytest.approx(2 * (math.pi / 1e5) ** 2, rel=1e-8, abs=0)


@pytest.mark.parametrize(
    "name", ["icosahedron", "cell_24", "cell_600", "clebsch", "schlaefli", "code_7_56", "e8_roots"]
)
def test_bounds_hold_for_named_codes(name):
    _, K, d, s, _ = NAMED[name]
    lower, upper = softmax_codes.bounds(K=K, d=d)
    direct = 2 * (2 * math.sqrt(math.pi) / K * math.gamma((d + 1) / 2) / math.gamma(d / 2)) ** (1 / (d - 1))
    assert upper == pytest.approx(direct, rel=1e-13, abs=0)
    direct = (math.sqrt(math.pi) / K * math.gamma((d + 1) / 2) / math.gamma(d / 2 + 1)) ** (2 / (d - 1)) / 2
    assert lower == pytest.approx(direct, rel=1e-13, abs=0)
    assert lower <= 1 - s <= upper


def test_random_codes_are_never_above_the_optimum():
    rng = np.random.default_rng(0)
    for K, d in ((4, 2), (5, 2), (8, 2), (4, 3), (5, 3), (6, 3), (7, 4), (3, 4)):
        best = softmax_codes.optimal_code(K=K, d=d)
        for size in 10.0 ** rng.uniform(-3, 1, size=25):
            W = best + size * rng.normal(size=(K, d))
            W /= np.linalg.norm(W, axis=1, keepdims=True)
            assert softmax_codes.hardmax_value(W) <= softmax_codes.optimum(K=K, d=d) + 1e-14


@pytest.mark.parametrize(("K", "d"), [(5, 2), (7, 2), (5, 3), (6, 4)])
def test_optimum_against_direct_maximisation(K, d):
    """2.2: max t subject to <w_k - w_j, h_k> >= t on spheres, by SLSQP from random starts."""
    pairs = [(k, j) for k in range(K) for j in range(K) if j != k]
    rows, columns = np.array(pairs).T

    def parts(x):
        return x[: K * d].reshape(K, d), x[K * d : 2 * K * d].reshape(K, d)

    def margins(x):
        W, H = parts(x)
        return np.sum((W[rows] - W[columns]) * H[rows], axis=1) - x[-1]

    def margins_slope(x):
        W, H = parts(x)
        jac = np.zeros((len(pairs), len(x)))
        for row, (k, j) in enumerate(pairs):
            jac[row, k * d : (k + 1) * d] += H[k]
            jac[row, j * d : (j + 1) * d] -= H[k]
            jac[row, (K + k) * d : (K + k + 1) * d] = W[k] - W[j]
        jac[:, -1] = -1.0
        return jac

    def norms_slope(x):
        jac = np.zeros((2 * K, len(x)))
        for row in range(2 * K):
            jac[row, row * d : (row + 1) * d] = -2 * x[row * d : (row + 1) * d]
        return jac

    found = -math.inf
    for seed in range(3):
        W = np.random.default_rng(seed).normal(size=(K, d))
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        result = minimize(
            lambda x: -x[-1],
            np.concatenate([W.ravel(), W.ravel(), [0.0]]),
            jac=lambda x: np.append(np.zeros(len(x) - 1), -1.0),
            method="SLSQP",
            constraints=[
                {"type": "ineq", "fun": margins, "jac": margins_slope},
                {
                    "type": "ineq",  # the ball: the optimum is on the sphere
                    "fun": lambda x: 1 - np.sum(x[:-1].reshape(2 * K, d) ** 2, axis=1),
                    "jac": norms_slope,
                },
            ],
            options={"ftol": 1e-14, "maxiter": 200},
        )
        found = max(found, -result.fun)
    assert found == pytest.approx(softmax_codes.optimum(K=K, d=d), abs=1e-9)


def test_the_square_antiprism_beats_the_cube():
    """2.4, 2.5: the Tammes code of K=8, d=3 has cosine (2 sqrt 2 - 1)/7; rho equals its margin."""
    s = (2 * math.sqrt(2) - 1) / 7
    height = math.sqrt(s)  # then neighbours within a square, and across, have the cosine s
    radius = math.sqrt(1 - height**2)
    turns = np.pi / 4 * np.arange(8)
    antiprism = np.column_stack(
        [radius * np.cos(turns), radius * np.sin(turns), height * np.where(np.arange(8) % 2, -1.0, 1.0)]
    )
    assert codes.coherence(antiprism) == pytest.approx(s, abs=1e-14)
    np.testing.assert_allclose(softmax_codes.one_vs_rest_distance(antiprism).rho, 1 - s, atol=1e-14)
    cube = np.array(list(itertools.product((1.0, -1.0), repeat=3))) / math.sqrt(3)
    assert code_values.self_dual_value(cube, 3.0) == pytest.approx(0.38078, abs=5e-6)
    W, H = descend((1,) * 8, 3, 3.0, 0, start=(antiprism, antiprism.T))
    assert loss(W, H, (1,) * 8, 3.0) == pytest.approx(0.36959, abs=5e-6)
    with pytest.raises(NotApplicable, match="K=8 > 2d=6 with d=3 >= 3"):
        softmax_codes.optimum(K=8, d=3)


def tammes_code(K, seed):
    """A local maximum of the least separation of K points in R^3, by SLSQP."""
    i, j = np.triu_indices(K, 1)
    r, own = np.arange(len(i)), np.arange(K)

    def rows(x):
        return x[:-1].reshape(K, 3)

    def separation_slope(x):
        jac = np.zeros((len(i), K, 3))
        jac[r, i], jac[r, j] = -rows(x)[j], -rows(x)[i]
        return np.hstack([jac.reshape(len(i), -1), -np.ones((len(i), 1))])

    def norm_slope(x):
        jac = np.zeros((K, K, 3))
        jac[own, own] = 2 * rows(x)
        return np.hstack([jac.reshape(K, -1), np.zeros((K, 1))])

    W = np.random.default_rng(seed).normal(size=(K, 3))
    found = minimize(
        lambda x: -x[-1],
        np.append(W / np.linalg.norm(W, axis=1, keepdims=True), 0.0),
        jac=lambda x: np.append(np.zeros(3 * K), -1.0),
        method="SLSQP",
        constraints=[
            {"type": "ineq", "fun": lambda x: 1 - np.sum(rows(x)[i] * rows(x)[j], 1) - x[-1], "jac": separation_slope},
            {"type": "eq", "fun": lambda x: np.sum(rows(x) ** 2, axis=1) - 1, "jac": norm_slope},
        ],
        options={"ftol": 1e-15, "maxiter": 300},
    )
    return rows(found.x) / np.linalg.norm(rows(found.x), axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("K", "angle"), [(7, 77.8695), (9, 70.5288), (10, 66.1468), (11, 63.4349), (13, 57.1367), (14, 55.6706)]
)
def test_one_vs_rest_distance_of_tammes_codes_is_their_margin(K, angle):
    """2.4: the known angles in R^3; the least rho is the margin, and h = w where the neighbours hold a point fast."""
    W = max((tammes_code(K, seed) for seed in range(8)), key=codes.tammes_margin)
    margin = codes.tammes_margin(W)
    assert margin == pytest.approx(1 - math.cos(math.radians(angle)), abs=1e-6)
    rho, H = softmax_codes.one_vs_rest_distance(W)
    assert np.min(rho) == pytest.approx(margin, abs=1e-12)
    np.testing.assert_allclose(H[:, rho <= margin + 1e-9], W[rho <= margin + 1e-9].T, atol=1e-6)


@pytest.mark.parametrize("tau", [0.1, 1.0, 6.0, 30.0, 400.0])
def test_symmetric_values_are_those_of_the_code(tau):
    for K in range(2, 9):
        W = codes.polygon(K)
        value = code_values.polygon_value(K=K, tau=tau)
        assert value == pytest.approx(code_values.self_dual_value(W, tau), rel=1e-12, abs=0)
        if tau < 200:
            assert value == pytest.approx(loss(W, W.T, (1,) * K, tau), rel=1e-13 * tau + 1e-13, abs=0)
            assert gradient_norm(W, W.T, (1,) * K, tau) <= 1e-15 * tau
    for d in range(1, 5):
        W = codes.cross_polytope(d)
        assert code_values.cross_polytope_value(d=d, tau=tau) == pytest.approx(
            loss(W, W.T, (1,) * 2 * d, tau), rel=1e-13, abs=0
        )
        assert gradient_norm(W, W.T, (1,) * 2 * d, tau) <= 1e-15 * tau


@pytest.mark.parametrize(
    ("name", "tau", "starts"),
    [
        ("polygon", 0.5, 2),
        ("polygon", 40.0, 3),
        ("icosahedron", 3.0, 3),
        ("clebsch", 4.0, 1),
        ("cross_polytope", 6.0, 3),
    ],
)
def test_no_descent_passes_a_symmetric_value(name, tau, starts):
    """2.5, numerical: random starts reach the code's value and nothing lower."""
    W, K, d, _, _ = NAMED[name]
    value = code_values.self_dual_value(W, tau)
    found = [loss(*descend((1,) * K, d, tau, seed), (1,) * K, tau) for seed in range(starts)]
    assert min(found) == pytest.approx(value, rel=1e-10, abs=0)


@pytest.mark.parametrize("name", ["polygon", "icosahedron", "cell_24", "clebsch", "schlaefli", "e8_roots"])
def test_expansion_at_high_temperature_factor(name):
    """2.1: -log(f)/tau = rho - log(neighbours)/tau + o(1/tau)."""
    W, _, _, s, neighbours = NAMED[name]
    tau = 300.0
    rest = tau * (1 - s) + math.log(code_values.self_dual_value(W, tau))
    assert rest == pytest.approx(math.log(neighbours), abs=1e-9)


# T6: candidates with decay.


def test_candidates_against_the_reference_values():
    pentagon = code_values.polygon_candidate(K=5, n=1, lam_W=0.05, lam_H=0.05)
    assert pentagon.value == pytest.approx(0.938473085202, abs=5e-13)
    assert code_values.polygon_candidate(K=6, n=1, lam_W=0.03, lam_H=0.03).value == pytest.approx(
        0.925882765705, abs=5e-13
    )


@pytest.mark.parametrize(("lam_W", "lam_H"), [(0.03, 0.01), (1e-4, 1e-3), (0.06, 0.06)])
def test_candidates_are_critical_points(lam_W, lam_H):
    n = 2
    cases = [(codes.polygon(K), code_values.polygon_candidate(K=K, n=n, lam_W=lam_W, lam_H=lam_H)) for K in range(2, 8)]
    cases += [
        (codes.cross_polytope(d), code_values.cross_polytope_candidate(d=d, n=n, lam_W=lam_W, lam_H=lam_H))
        for d in range(1, 5)
    ]
    for C, candidate in cases:
        K, d = C.shape
        r = math.sqrt(candidate.scale * math.sqrt(n * lam_H / lam_W))
        W, M = r * C, (candidate.scale / r if r else 0.0) * C.T
        for lam_b in (None, 0.1):
            dense, b = Dense("ce", (n,) * K, lam_W, lam_H, lam_b), None if lam_b is None else np.zeros(K)
            H = np.repeat(M, n, axis=1)
            assert dense.value(W, H, b) == pytest.approx(candidate.value, rel=1e-14, abs=0)
            assert np.max(np.abs(dense.gradient(W, H, b))) <= 1e-15
        kappa = K * math.sqrt(n * lam_W * lam_H)
        assert (candidate.scale == 0.0) == (kappa >= 1.0)
        if d >= K - 1:
            exact = cross_entropy.global_minimum(K=K, n=n, d=d, lam_W=lam_W, lam_H=lam_H)
            assert candidate.value == pytest.approx(exact.value, rel=1e-14, abs=0)


def test_candidates_from_no_decay_to_the_threshold():
    for kappa in (1e-150, 1e-9, 0.3, 0.499999, 0.500001, 0.9, 1 - 1e-6, 1 - 1e-10):
        setting = {"n": 1, "lam_W": kappa / 3, "lam_H": kappa / 3}
        triangle = code_values.polygon_candidate(K=3, **setting)
        exact = cross_entropy.global_minimum(K=3, d=2, **setting)
        assert triangle.value == pytest.approx(exact.value, rel=1e-14, abs=0)
        assert 1.5 * triangle.scale == pytest.approx(exact.quantities["margin"], rel=1e-9, abs=0)
        square = code_values.polygon_candidate(K=4, n=1, lam_W=kappa / 4, lam_H=kappa / 4)
        cross = code_values.cross_polytope_candidate(d=2, n=1, lam_W=kappa / 4, lam_H=kappa / 4)
        assert square.value == pytest.approx(cross.value, rel=1e-14, abs=0)
    for K in (2, 5, 60):
        gone = code_values.polygon_candidate(K=K, n=1, lam_W=1.5 / K, lam_H=1.5 / K)
        assert gone == (math.log(K), 0.0)


# 2.6: orthoplex partitions.

PARTITIONS = [(2, 3), (2, 4), (3, 3), (2, 5), (3, 4), (2, 2, 3), (4, 4), (2, 2, 4), (2, 3, 3), (2, 3, 4), (3, 3, 3)]


@pytest.mark.parametrize("partition", [(4,), (2, 2), (2, 2, 2), *PARTITIONS])
def test_partitions_are_critical_with_unit_distances(partition):
    W = orthoplex.partition_code(partition)
    K = sum(partition)
    assert W.shape == (K, K - len(partition))
    if len(partition) > 1:
        np.testing.assert_allclose(softmax_codes.one_vs_rest_distance(W).rho, 1.0, atol=1e-14)
    for tau in (0.3, 5.0, 20.0):
        value = orthoplex.partition_value(partition, tau)
        assert value == pytest.approx(loss(W, W.T, (1,) * K, tau), rel=1e-12, abs=0)
        assert gradient_norm(W, W.T, (1,) * K, tau) <= 1e-15 * tau
    if partition == (2, 2, 2):
        assert value == pytest.approx(code_values.cross_polytope_value(d=3, tau=20.0), rel=1e-14, abs=0)


@pytest.mark.parametrize("partition", PARTITIONS)
def test_least_curvature_decides_the_dense_hessian(partition):
    """An eigenvalue of the Hessian, and the only one that may be negative."""
    W = orthoplex.partition_code(partition)
    K, d = W.shape
    for tau in (0.1, 0.4, 1.0, 3.0, 5.0, 7.0, 9.0, 12.0, 20.0):
        least = orthoplex.least_curvature(partition, tau)
        for n in (1, 2) if tau == 5.0 else (1,):
            H = np.repeat(W.T, n, axis=1)
            eigenvalues = np.linalg.eigvalsh(riemannian_hessian(W, H, (n,) * K, tau)[0])
            scale = eigenvalues[-1]
            if n == 1:
                assert np.min(np.abs(eigenvalues - least)) <= 1e-14 * scale
            zeros = d * (d - 1) // 2
            order = np.argsort(np.abs(eigenvalues))
            assert np.all(np.abs(eigenvalues[order[:zeros]]) <= 1e-13 * scale)
            assert np.any(eigenvalues[order[zeros:]] < 0) == (least < 0)
            assert np.abs(eigenvalues[order[zeros]]) > 1e-9 * scale


@pytest.mark.parametrize(
    ("partition", "lower", "upper", "digits"),
    [
        ((2, 3), 0.0, 9.2898, 5e-5),
        ((2, 4), 0.0, 13.499, 5e-4),
        ((3, 3), 0.0, 7.828, 5e-4),
        ((2, 2, 3), 0.595788, 7.319, 5e-4),
    ],
)
def test_critical_temperatures(partition, lower, upper, digits):
    tau_0, tau_c = orthoplex.stability_interval(partition)
    assert tau_0 == pytest.approx(lower, abs=1e-6)
    assert tau_c == pytest.approx(upper, abs=digits)
    for root in (tau_0, tau_c):
        if root:
            signs = [orthoplex.least_curvature(partition, root * factor) > 0 for factor in (1 - 1e-9, 1 + 1e-9)]
            assert signs == [root == tau_0, root == tau_c][::-1]


def test_partitions_without_such_a_mode_are_always_stable():
    for partition in ((5,), (2, 2), (2, 2, 2)):
        assert orthoplex.stability_interval(partition) == (0.0, math.inf)
        assert math.isnan(orthoplex.least_curvature(partition, 3.0))
    assert orthoplex.stability_interval((2, 100))[1] > 800.0  # e^-tau alone would have underflown


def test_best_partition_depends_on_the_temperature():
    assert orthoplex.best_partition(K=6, d=4, tau=1.0) == (3, 3)
    assert orthoplex.best_partition(K=6, d=4, tau=6.0) == (2, 4)
    assert orthoplex.best_partition(K=5, d=4, tau=6.0) == (5,)
    assert orthoplex.best_partition(K=8, d=4, tau=6.0) == (2, 2, 2, 2)
    for K, d in ((8, 5), (9, 6), (11, 8), (12, 7)):
        every = [
            p for p in itertools.combinations_with_replacement(range(2, K), K - d) if sum(p) == K
        ]  # brute force over ascending groups
        for tau in (0.3, 2.0, 4.0, 15.0):
            best = min(every, key=lambda p, tau=tau: orthoplex.partition_value(p, tau))
            found = orthoplex.best_partition(K=K, d=d, tau=tau)
            assert orthoplex.partition_value(found, tau) == pytest.approx(
                orthoplex.partition_value(best, tau), rel=1e-14, abs=0
            )
            assert found == tuple(sorted(found))


def test_better_points_exist_outside_the_stability_interval():
    """Above tau_c (reference: 6.778e-7 against 7.344e-7), and below tau_0 too: new."""
    assert orthoplex.partition_value((2, 3), 15.0) == pytest.approx(7.344e-7, abs=5e-11)
    W = orthoplex.partition_code((2, 3))
    nudged = W + 0.05 * np.random.default_rng(0).normal(size=W.shape)
    nudged /= np.linalg.norm(nudged, axis=1, keepdims=True)
    W, H = descend((1,) * 5, 3, 15.0, 0, start=(nudged, nudged.T))
    assert loss(W, H, (1,) * 5, 15.0) == pytest.approx(6.778e-7, abs=5e-11)
    assert softmax_codes.hardmax_value(W) < 1.0 - 1e-3

    values = {tau: orthoplex.partition_value(orthoplex.best_partition(K=7, d=4, tau=tau), tau) for tau in (0.3, 3.0)}
    found = {tau: min(loss(*descend((1,) * 7, 4, tau, seed), (1,) * 7, tau) for seed in range(4)) for tau in values}
    assert found[3.0] == pytest.approx(values[3.0], rel=1e-10, abs=0)
    assert found[0.3] < values[0.3] * (1 - 1e-8)


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_partitions_are_the_best_found_at_moderate_temperature(tau):
    for K, d in ((5, 3), (6, 4)):
        value = orthoplex.partition_value(orthoplex.best_partition(K=K, d=d, tau=tau), tau)
        found = min(loss(*descend((1,) * K, d, tau, seed), (1,) * K, tau) for seed in range(3))
        assert found == pytest.approx(value, rel=1e-10, abs=0)


CALLS: list[tuple[Any, dict[str, Any], str]] = [
    (codes.polygon, {"K": 1}, "polygon: K=1 is not an integer >= 2"),
    (codes.simplex, {"K": 1}, "simplex: K=1 is not an integer >= 2"),
    (codes.cross_polytope, {"d": 0}, "cross_polytope: d=0 is not an integer >= 1"),
    (codes.separations, {"W": np.ones((1, 1))}, "separations: number of rows of W=1 is not an integer >= 2"),
    (codes.coherence, {"W": np.ones((2, 2))}, "a vector of W is off unit length"),
    (softmax_codes.one_vs_rest_distance, {"W": np.ones((2, 2))}, "one_vs_rest_distance: a vector of W is off"),
    (softmax_codes.one_vs_rest_distance, {"W": np.ones(2)}, "W has shape (2,)"),
    (softmax_codes.applies, {"K": 2, "d": 0}, "softmax_codes.applies: d=0"),
    (softmax_codes.optimum, {"K": 1, "d": 1}, "softmax_codes.optimum: K=1"),
    (softmax_codes.optimal_code, {"K": 30, "d": 3}, "softmax_codes.optimal_code: no closed form here. K=30 > 2d=6"),
    (softmax_codes.bounds, {"K": 3, "d": 1}, "softmax_codes.bounds: d=1 is not an integer >= 2"),
    (code_values.self_dual_value, {"W": np.ones((1, 1)), "tau": 1.0}, "number of rows of W=1"),
    (code_values.self_dual_value, {"W": np.eye(2), "tau": 0.0}, "self_dual_value: tau=0.0 is not a positive"),
    (code_values.polygon_value, {"K": 1, "tau": 1.0}, "polygon_value: K=1"),
    (code_values.cross_polytope_value, {"d": 2, "tau": -1}, "cross_polytope_value: tau=-1 is not"),
    (code_values.polygon_candidate, {"K": 5, "n": 1, "lam_W": 0, "lam_H": 1}, "polygon_candidate: lam_W=0"),
    (code_values.polygon_candidate, {"K": 2, "n": (1, 2), "lam_W": 1, "lam_H": 1}, "is imbalanced"),
    (code_values.cross_polytope_candidate, {"d": 0, "n": 1, "lam_W": 1, "lam_H": 1}, "cross_polytope_candidate: d=0"),
    (orthoplex.partition_code, {"partition": (2, 1)}, "partition_code: group size=1 is not an integer >= 2"),
    (orthoplex.partition_value, {"partition": (), "tau": 1.0}, "partition_value: partition=() is not a sequence"),
    (orthoplex.partition_value, {"partition": (2, 3), "tau": 0}, "partition_value: tau=0 is not a positive"),
    (orthoplex.least_curvature, {"partition": 5, "tau": 1.0}, "least_curvature: partition=5 is not a sequence"),
    (orthoplex.stability_interval, {"partition": (2, 2.5)}, "stability_interval: group size=2.5"),
    (orthoplex.best_partition, {"K": 9, "d": 4, "tau": 1.0}, "K=9 is outside [d+1, 2d] for d=4. Pass K in [5, 8]"),
]


@pytest.mark.parametrize(("function", "arguments", "message"), CALLS)
def test_errors_say_what_is_wrong(function, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        function(**arguments)


def test_applies_of_softmax_codes():
    assert softmax_codes.applies(K=6, d=3) == ()
    assert softmax_codes.applies(K=60, d=2) == ()
    (reason,) = softmax_codes.applies(K=7, d=3)
    assert "K=7 > 2d=6 with d=3 >= 3" in reason
    assert frames.simplex_etf(4, 3) == pytest.approx(softmax_codes.optimal_code(K=4, d=3))
