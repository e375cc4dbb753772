"""2.6: simplices in orthogonal subspaces."""

import itertools
import math

import numpy as np
import pytest
from sphere_oracle import descend, gradient_norm, loss, riemannian_hessian

from theory import code_values, orthoplex, softmax_codes

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
