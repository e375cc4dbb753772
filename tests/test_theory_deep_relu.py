"""D1-D3, section 3 and section 5: explicit points through the network, descent, and the tables of the reference."""

import itertools
import math
import re

import numpy as np
import pytest
from deep_oracle import Deep

from theory import NotApplicable, deep_cross_entropy, deep_linear, deep_relu, schatten, srg

# K, L, lam, then neural collapse, SRG with its best mixture, SRG with m = 2, lower bound; n = 1, one decay.
SRG_TABLE = [
    (6, 3, 0.001, 0.011981945673, 0.012086508764, 0.012653104258, 0.004895975802),
    (6, 4, 0.001, 0.014981934755, 0.013912941538, 0.014432255569, 0.005117082215),
    (6, 5, 0.001, 0.017981927467, 0.015802402397, 0.016292387619, 0.005449708810),
    (10, 3, 0.001, 0.019949747467, 0.018408367757, 0.020833679124, 0.006319547390),
    (10, 4, 0.001, 0.024949696549, 0.020372930770, 0.022493034708, 0.006276556524),
    (10, 4, 0.004, 0.099179874636, 0.080911332199, 0.089470894922, 0.025068079911),
    (10, 5, 0.001, 0.029949662527, 0.022539453351, 0.024477543057, 0.006460979934),
    (15, 3, 0.001, 0.029886643339, 0.025803063159, 0.030978397811, 0.007738452112),
    (15, 4, 0.001, 0.037386469898, 0.027687377642, 0.032050204502, 0.007381071006),
    (15, 5, 0.001, 0.044886353874, 0.030005094220, 0.033897513361, 0.007395590107),
    (21, 4, 0.001, 0.052276653459, 0.035789683646, 0.043041755643, 0.008443713049),
    (45, 4, 0.001, 0.111458668313, 0.062524470939, 0.084118419420, 0.011450528479),
]
# K, M, lam: simplex ETF, the better of polygon and cross-polytope, n = 1.
ENTROPY_TABLE = [
    (4, 2, 0.001, 0.018894865071, 0.019241456446),
    (4, 3, 0.001, 0.017974848253, 0.016595176010),
    (3, 3, 0.001, 0.011983358140, 0.011983358140),
    (6, 2, 0.001, 0.031490144372, 0.029568473181),
    (8, 2, 0.001, 0.044084384335, 0.039805868883),
    (10, 2, 0.0005, 0.029904984517, 0.026388698471),
    (6, 3, 0.001, 0.029957450296, 0.025331251561),
    (8, 3, 0.0005, 0.021812238167, 0.017683519966),
]
RATIOS = {3: (1.0367, 0.7272, 0.5561, 0.4502), 4: (0.6911, 0.3636, 0.2224, 0.1501), 5: (0.4607, 0.1818, 0.0890, 0.0500)}


@pytest.mark.parametrize(("K", "L", "lam", "dnc", "best", "pairs", "bound"), SRG_TABLE)
def test_the_reference_table(K, L, lam, dnc, best, pairs, bound):
    setting = {"n": 1, "lam_W": lam, "lam_H": lam, "L": L}
    r = srg.vertices(K=K)
    assert r is not None
    found = (
        deep_relu.value_of_cost(G=deep_relu.collapse_cost(K=K, L=L), **setting),
        srg.value(r=r, **setting),
        srg.value(r=r, mixture={2: 1.0}, **setting),
        deep_relu.value_of_cost(G=deep_relu.bounding_cost(K=K), **setting),
    )
    assert np.max(np.abs(np.subtract(found, (dnc, best, pairs, bound)))) <= 6e-13
    # Neural collapse is the linear minimum.
    linear = deep_linear.global_minimum(K=K, n=1, d=K, widths=(K,) * (L - 1), lam_W=lam, lam_H=lam)
    assert found[0] == pytest.approx(linear.value, rel=1e-14)


@pytest.mark.parametrize(("r", "L", "n"), [(4, 3, 1), (4, 4, 2), (5, 3, 3), (5, 4, 1), (6, 4, 1), (7, 3, 1), (5, 6, 1)])
@pytest.mark.parametrize("mixture", [None, {2: 1.0}, {2: 1.0, 3: 0.5}])
def test_the_explicit_weights_have_the_stated_value(r, L, n, mixture):
    lam_W = tuple(1e-3 * np.linspace(0.7, 1.9, L))
    setting = {"n": n, "lam_W": lam_W, "lam_H": 5e-4, "L": L, "mixture": mixture}
    point = srg.point(r=r, **setting)
    dims = (len(point.H), *[len(w) for w in point.W[:-1]])
    deep = Deep((n,) * (r * (r - 1) // 2), dims, (*lam_W, 5e-4), relu=True)
    assert abs(deep.value(point.W, point.H, None) - point.value) <= 1e-15
    costs = [lam * np.sum(x**2) for lam, x in zip(deep.lams, [*point.W, point.H], strict=True)]
    assert np.ptp(costs) <= 1e-14
    signals = np.maximum(point.W[0] @ point.H, 0.0)
    assert np.linalg.matrix_rank(signals) == r


def test_the_weights_follow_the_order_of_the_pairs():
    point = srg.point(r=4, n=1, lam_W=1e-3, lam_H=1e-3, L=3)
    seen = point.W[0] @ point.H > 1e-9
    assert [tuple(np.flatnonzero(column)) for column in seen.T] == list(itertools.combinations(range(4), 2))


@pytest.mark.parametrize("r", [4, 5, 6])
@pytest.mark.parametrize("mixture", [{2: 1.0}, {3: 1.0}, {2: 0.75, 3: 0.25}])
def test_gram_eigenvalues_by_counting(r, mixture):
    edges = list(itertools.combinations(range(r), 2))
    Q = np.zeros((len(edges), len(edges)))
    for m, share in mixture.items():
        for subset in itertools.combinations(range(r), m):
            inside = np.array([set(edge) <= set(subset) for edge in edges], float)
            Q += share / math.comb(r, m) * np.outer(inside, inside)
    q, multiplicities = srg.gram_eigenvalues(r=r, mixture=mixture)
    np.testing.assert_allclose(np.sort(np.repeat(q, multiplicities)), np.linalg.eigvalsh(Q), atol=1e-14)


def test_the_best_mixture_is_not_beaten_by_others():
    """tr Q^-1 of the reference, and of every other mixture of two sizes."""
    traces = {}
    for r in range(4, 9):
        q, multiplicities = srg.gram_eigenvalues(r=r, mixture=srg.best_mixture(r=r))
        traces[r] = float(np.sum(multiplicities / q))
        for m, other in itertools.combinations(range(2, r), 2):
            for share in np.linspace(0.01, 0.99, 25):
                q, _ = srg.gram_eigenvalues(r=r, mixture={m: share, other: 1 - share})
                assert traces[r] <= np.sum(multiplicities / np.maximum(q, 1e-300)) * (1 + 1e-12)
    assert traces == pytest.approx({4: 30.0, 5: 61.111, 6: 108.333, 7: 175.583, 8: 250.444}, abs=6e-4)


def test_when_the_srg_solution_beats_collapse():
    for L, ratios in RATIOS.items():
        for r, ratio in zip((4, 5, 6, 7), ratios, strict=True):
            assert srg.cost(r=r, L=L) / deep_relu.collapse_cost(K=r * (r - 1) // 2, L=L) == pytest.approx(
                ratio, abs=6e-5
            )
    for L in (3, 4, 5, 6):
        for r in range(4, 40):
            assert srg.beats_collapse(K=r * (r - 1) // 2, L=L) is (r >= (5 if L == 3 else 4))
    assert not srg.beats_collapse(K=11, L=5)
    pairs = [srg.cost(r=r, L=3, mixture={2: 1.0}) / deep_relu.collapse_cost(K=r * (r - 1) // 2, L=3) for r in (4, 5, 6)]
    assert pairs == pytest.approx([1.244, 1.190, 1.155], abs=6e-4)
    assert [srg.vertices(K=K) for K in (3, 5, 6, 10, 11)] == [None, None, 4, 5, None]


def test_value_of_cost_is_the_least_over_scales():
    for G, n, L in ((16.0, 3, 2), (1e5, 2, 4), (9.0, 1, 1), (1e9, 5, 4)):
        f = deep_relu.value_of_cost(G=G, n=n, lam_W=2e-3, lam_H=1e-3, L=L)
        s = np.linspace(0.0, 1.0, 100_001)
        lam = (2e-3**L * 1e-3) ** (1 / (L + 1))
        values = (1 - s) ** 2 / 2 + (L + 1) / 2 * lam * (n * G * s**2) ** (1 / (L + 1))
        assert 0.0 <= np.min(values) - f <= 1e-9
        assert f <= deep_relu.value_of_cost(G=1.01 * G, n=n, lam_W=2e-3, lam_H=1e-3, L=L)


@pytest.mark.parametrize("L", [2, 3, 4])
def test_two_classes(L):
    """D2: the value of the reference, its threshold, and descent from random starts."""
    value = {2: 0.008981963831, 3: 0.011981945673, 4: 0.014981934755}[L]
    setting = {"K": 2, "n": 1, "d": 4, "widths": (4,) * (L - 1), "lam_W": 3e-3, "lam_H": 3e-3}
    f = deep_relu.global_minimum(**setting)
    assert abs(f.value - value) <= 6e-13
    assert f.theorem == "D2"
    found, _ = Deep((1, 1), (4,) * L, (3e-3,) * (L + 1), relu=True).descend(seed=L, starts=12)
    assert -1e-14 <= found - f.value <= 1e-7
    lam = deep_relu.collapse_threshold(K=2, n=3, L=L) ** (1 / (L + 1))
    below, above = (
        deep_relu.global_minimum(**{**setting, "n": 3, "lam_W": lam, "lam_H": lam * factor}).quantities
        for factor in (0.98, 1.02)
    )
    assert below["value"] < 0.5
    assert below["margin"] > 0.0
    assert above["value"] == 0.5
    assert above["margin"] == 0.0
    at = deep_relu.global_minimum(**{**setting, "n": 3, "lam_W": lam, "lam_H": lam})
    assert set(at.quantities) == {"value"}


def test_two_layers_have_the_linear_minimum_at_points_that_differ_before_the_relu():
    """Section 3: value of the reference; W_1 H = I - t (J - I) for every 0 <= t <= 1/(K-1) is worth the same."""
    K, n, lam_W, lam_H = 4, 3, (4e-3, 6e-3), 3e-3
    f = deep_relu.global_minimum(K=K, n=n, d=5, widths=(6,), lam_W=lam_W, lam_H=lam_H)
    assert abs(f.value - 0.03570965187773) <= 1e-14
    q, g = f.quantities, (lam_W[0] * lam_W[1] * lam_H) ** (1 / 3)
    deep = Deep((n,) * K, (K, K), (*lam_W, lam_H), relu=True)
    s = q["sigma_Z"][0]
    for t in (0.0, 0.5 / (K - 1), 1 / (K - 1)):
        hidden = np.eye(K) - t * (np.ones((K, K)) - np.eye(K))
        (W1,), H = schatten.balanced_factors(np.repeat(hidden, n, axis=1), (K,), 1.0, 1.0)
        # Costs lam |x|^2 = K g s^(2/3) each; the product of the three scales is fixed.
        W1 = W1 * math.sqrt(q["W_sq"][0]) / np.linalg.norm(W1)
        H = H * math.sqrt(q["H_sq"]) / np.linalg.norm(H)
        W2 = math.sqrt(q["W_sq"][1] / K) * np.eye(K)
        assert abs(deep.value([W1, W2], H, None) - f.value) <= 1e-15
        np.testing.assert_allclose((W2 @ np.maximum(W1 @ H, 0.0))[:, ::n], q["logits"], atol=1e-14)
        np.testing.assert_allclose(W2 @ W2.T, q["gram_W"], atol=1e-14)
        assert deep.lams[1] * np.sum(W2**2) == pytest.approx(K * g * s ** (2 / 3), rel=1e-13)
    decays = (lam_W @ q["W_sq"] + lam_H * q["H_sq"]) / 2
    assert q["data_loss"] + decays == pytest.approx(f.value, rel=1e-14)
    found, _ = deep.descend(seed=0, starts=8)
    assert -1e-14 <= found - f.value <= 1e-6


def test_relu_minima_of_unequal_classes_and_narrow_layers_are_not_claimed():
    base = {"K": 4, "n": 2, "d": 4, "widths": (4,), "lam_W": 1e-3, "lam_H": 1e-3}
    assert deep_relu.applies(**base) == ()
    for change, reason in (
        ({"widths": (4, 4)}, "not optimal in general"),
        ({"n": (2, 2, 2, 1)}, "differ"),
        ({"d": 3}, "width 3 < K=4"),
    ):
        assert len(deep_relu.applies(**{**base, **change})) == 1
        with pytest.raises(NotApplicable, match=reason):
            deep_relu.global_minimum(**{**base, **change})


@pytest.mark.parametrize(("K", "M", "lam", "simplex", "low_rank"), ENTROPY_TABLE)
def test_the_cross_entropy_table(K, M, lam, simplex, low_rank):
    setting = {"K": K, "n": 1, "lam_W": lam, "lam_H": lam, "M": M}
    etf, polygon = deep_cross_entropy.etf(**setting), deep_cross_entropy.polygon(**setting)
    others = [polygon] if K % 2 else [polygon, deep_cross_entropy.cross_polytope(**setting)]
    assert abs(etf.value - simplex) <= 6e-13
    assert abs(min(others).value - low_rank) <= 6e-13
    assert deep_cross_entropy.lower_bound(**setting) < min(etf, *others).value
    if K > 3:
        assert deep_cross_entropy.low_rank_wins(K=K, M=M) is (low_rank < simplex)


@pytest.mark.parametrize(("K", "M", "n"), [(4, 2, 2), (6, 3, 1), (5, 1, 2)])
def test_the_symmetric_candidates_through_the_network(K, M, n):
    """Balanced factors of a * Gram give the stated values, at points where the gradient vanishes."""
    lam_W, lam_H = tuple(1e-3 * np.linspace(0.5, 1.5, M)), 2e-3
    setting = {"K": K, "n": n, "lam_W": lam_W, "lam_H": lam_H, "M": M}
    angles = 2 * math.pi * np.arange(K) / K
    grams = {
        "etf": np.eye(K) - 1 / K,
        "polygon": np.cos(angles[:, None] - angles),
        "cross_polytope": np.kron(np.eye(K // 2), [[1.0, -1.0], [-1.0, 1.0]]) if K % 2 == 0 else None,
    }
    deep = Deep((n,) * K, (K,) * M, (*lam_W, lam_H), loss="ce")
    for name, gram in grams.items():
        if gram is None:
            continue
        value, a = getattr(deep_cross_entropy, name)(**setting)
        W, H = schatten.balanced_factors(np.repeat(a * gram, n, axis=1), deep.dims, lam_W, lam_H)
        assert abs(deep.value(W, H, None) - value) <= 1e-14
        assert np.max(np.abs(deep.gradient(W, H, None))) <= 1e-12


def test_cross_entropy_at_one_matrix_is_the_simplex_and_the_bound_is_tight():
    for lam in (1e-4, 3e-3, 0.1, 1.0):
        setting = {"K": 5, "n": 2, "lam_W": lam, "lam_H": lam / 2, "M": 1}
        etf, bound = deep_cross_entropy.etf(**setting), deep_cross_entropy.lower_bound(**setting)
        assert etf.value == pytest.approx(bound, rel=1e-14)
    assert etf == (pytest.approx(math.log(5)), 0.0)
    tiny = {"K": 4, "n": 1, "lam_W": 1e-40, "lam_H": 1e-40, "M": 2}
    assert deep_cross_entropy.etf(**tiny).a == pytest.approx(90, rel=0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: deep_relu.collapse_cost(K=1, L=2), "K=1 is not an integer >= 2"),
        (lambda: deep_relu.collapse_cost(K=2, L=0), "L=0 is not an integer >= 1"),
        (lambda: deep_relu.value_of_cost(G=0.0, n=1, lam_W=1.0, lam_H=1.0, L=2), "G=0.0 is not a positive"),
        (lambda: srg.cost(r=3, L=3), "r=3 is not an integer >= 4"),
        (lambda: srg.cost(r=4, L=2), "L=2 is not an integer >= 3"),
        (lambda: srg.cost(r=4, L=3, mixture={4: 1.0}), "needs sizes m from 2 to r-1=3"),
        (lambda: srg.cost(r=4, L=3, mixture={2: -1.0}), "a share=-1.0 is not a positive"),
        (lambda: srg.point(r=4, n=1, lam_W=(1.0, 1.0), lam_H=1.0, L=3), "lam_W has 2 decays for 3 matrices"),
        (lambda: deep_cross_entropy.polygon(K=2, n=1, lam_W=1.0, lam_H=1.0, M=2), "K=2 is not an integer >= 3"),
        (lambda: deep_cross_entropy.cross_polytope(K=5, n=1, lam_W=1.0, lam_H=1.0, M=2), "K=5 is odd"),
        (lambda: deep_cross_entropy.etf(K=5, n=1, lam_W=0.0, lam_H=1.0, M=2), "lam_W=0.0 is not a positive"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
