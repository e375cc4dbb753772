"""2.5, T6: values of symmetric codes at finite temperature and with decay."""

import math

import numpy as np
import pytest
from dense_oracle import Dense
from named_codes import NAMED
from sphere_oracle import descend, gradient_norm, loss

from theory import code_values, codes, cross_entropy


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
