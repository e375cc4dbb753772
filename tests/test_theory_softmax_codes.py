"""2.1, 2.2, 2.4: one-vs-rest distances, softmax codes, Tammes codes."""

import itertools
import math

import numpy as np
import pytest
from named_codes import NAMED
from scipy.optimize import minimize
from sphere_oracle import descend, loss

from theory import NotApplicable, code_values, codes, frames, softmax_codes


@pytest.mark.parametrize("name", NAMED)
def test_one_vs_rest_distances_of_named_codes(name):
    """rho = 1 - s with h = w: 2.3, the hull of the neighbours contains s w."""
    W, _, _, s, _ = NAMED[name]
    rho, H = softmax_codes.one_vs_rest_distance(W)
    np.testing.assert_allclose(rho, 1 - s, atol=2e-15)
    np.testing.assert_allclose(H, W.T, atol=5e-15)
    assert softmax_codes.hardmax_value(W) == np.min(rho)


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


def test_applies_of_softmax_codes():
    assert softmax_codes.applies(K=6, d=3) == ()
    assert softmax_codes.applies(K=60, d=2) == ()
    (reason,) = softmax_codes.applies(K=7, d=3)
    assert "K=7 > 2d=6 with d=3 >= 3" in reason
    assert frames.simplex_etf(4, 3) == pytest.approx(softmax_codes.optimal_code(K=4, d=3))
