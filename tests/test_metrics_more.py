"""Metrics of regression, of label sets and over layers: closed forms, theory's minimisers, invariances, refusals."""

import math

import numpy as np
import pytest
from collapse_oracle import etf, rotation

from theory import multilabel, regression
from ufm import metrics

# ---------------------------------------------------------------------------------------------- regression


def targets(seed=0, N=40, q=3):
    g = np.random.default_rng(seed)
    return g.standard_normal((N, q)) @ g.standard_normal((q, q)) + 2.0


def test_the_regression_minimum_is_collapsed():
    Y = targets()
    W, H, _ = regression.minimiser(Y=Y.T, d=8, lam_W=1e-3, lam_H=1e-4)
    assert metrics.nrc1(H.T, 3) <= 1e-28
    assert metrics.nrc2(H.T, W) <= 1e-28
    assert metrics.nrc3(W, Y) <= 1e-26
    noisy = H.T + 0.1 * np.random.default_rng(1).standard_normal(H.T.shape)
    assert metrics.nrc1(noisy, 3) > 1e-4
    assert metrics.nrc2(noisy, W) > metrics.nrc1(
        noisy, 3
    )  # principal directions leave the least, in the mean of squares
    assert metrics.nrc3(W + 0.1, Y) > 1e-6


def test_nrc_from_their_definitions():
    g = np.random.default_rng(2)
    H, W, Y = g.standard_normal((30, 6)) + 5.0, g.standard_normal((3, 6)), targets(2)
    C = H - H.mean(axis=0)
    U = C / np.linalg.norm(C, axis=1, keepdims=True)
    for q in (1, 3, 6, 9):
        P = np.linalg.eigh(C.T @ C)[1][:, ::-1][:, :q]
        expected = np.mean(np.sum((U - U @ P @ P.T) ** 2, axis=1))
        assert metrics.nrc1(H, q) == pytest.approx(expected, rel=1e-12, abs=1e-14)
    expected = np.mean(np.sum((U - U @ np.linalg.pinv(W) @ W) ** 2, axis=1))
    assert metrics.nrc2(H, W) == pytest.approx(expected, rel=1e-12)
    sigma = np.cov(Y.T, bias=True)
    eigenvalues, V = np.linalg.eigh(sigma)
    root = V * np.sqrt(eigenvalues) @ V.T
    A = W @ W.T
    found = metrics.nrc3(W, Y)
    values = []
    for gamma in np.linspace(0.0, 1.0, 4001) ** 2 * eigenvalues[0]:
        S = root - math.sqrt(gamma) * np.eye(3)
        values.append(np.linalg.norm(A / np.linalg.norm(A) - S / np.linalg.norm(S)) ** 2)
    assert found <= min(values) + 1e-14
    assert found == pytest.approx(min(values), abs=1e-6)


def test_nrc_invariances():
    g = np.random.default_rng(3)
    H, W, Y, Q = g.standard_normal((30, 6)), g.standard_normal((3, 6)), targets(3), rotation(3, 6)
    assert metrics.nrc1(7.0 * H @ Q + 3.0, 3) == pytest.approx(metrics.nrc1(H, 3), rel=1e-10)
    assert metrics.nrc2(7.0 * H @ Q + 3.0, 2.0 * W @ Q) == pytest.approx(metrics.nrc2(H, W), rel=1e-10)
    T = rotation(4, 3)
    assert metrics.nrc3(5.0 * T @ W, 2.0 * Y @ T.T + 1.0) == pytest.approx(metrics.nrc3(W, Y), rel=1e-10)


def test_nrc_undefined_and_refused():
    H = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    assert math.isnan(metrics.nrc1(H, 1))  # the third feature is the mean
    assert math.isnan(metrics.nrc3(np.zeros((2, 3)), targets(q=2)))
    assert math.isnan(metrics.nrc3(np.ones((2, 3)), np.ones((5, 2))))
    assert 0.0 <= metrics.nrc3(np.eye(2), np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])) <= 1e-30
    for q in (0, 1.5, True):
        with pytest.raises(ValueError, match=r"nrc1: q=.* is not a dimension"):
            metrics.nrc1(H, q)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"nrc2: W has shape \(1, 3\), but features have d=2"):
        metrics.nrc2(H, np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"nrc3: W has shape \(2, 3\), but targets have q=3"):
        metrics.nrc3(np.ones((2, 3)), targets())
    with pytest.raises(ValueError, match="nrc1: features has 1 non-finite"):
        metrics.nrc1(np.array([[np.nan, 1.0]]), 1)


# ---------------------------------------------------------------------------------------------- label sets


def label_sets(K=4, d=6, noise=0.0, seed=0):
    """Features at theory's pick-all-label optimum: those of a set are along the sum of its labels' simplex vectors."""
    sets = multilabel.label_sets(K=K, counts={1: 2, 2: 2})
    targets = np.array([[float(k in labels) for k in range(K)] for labels in sets for _ in range(2)])
    g = np.random.default_rng(seed)
    scale = np.where(targets.sum(axis=1) == 1, 1.0, 0.7)[:, None]
    return scale * (targets @ etf(K, d)) + noise * g.standard_normal((len(targets), d)), targets


def test_tag_averages_at_collapse_and_away_from_it():
    H, T = label_sets()
    found = metrics.tag_average_angles(H + 3.0, T)
    assert found.sets == ((2, 3), (1, 3), (1, 2), (0, 3), (0, 2), (0, 1))
    np.testing.assert_array_equal(found.counts, 2)
    assert found.mean == np.mean(found.angles) <= 1e-14
    noisy = metrics.tag_average_angles(*label_sets(noise=0.3))
    assert 0.05 < noisy.mean < math.pi


def test_tag_angles_by_hand_and_their_invariances():
    H = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    T = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]])
    centre = np.array([0.0, 2 / 3])
    u, v = H[3] - centre, H[0] + H[2] - 2 * centre
    angle = math.acos(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
    assert metrics.tag_average_angles(H, T).mean == pytest.approx(angle, rel=1e-14)
    H, T = label_sets(noise=0.3)
    base, g = metrics.tag_average_angles(H, T).mean, np.random.default_rng(0)
    order, to = g.permutation(len(H)), g.permutation(4)
    moved = metrics.tag_average_angles(5.0 * (H @ rotation(1, 6))[order] - 2.0, T[order][:, to] > 0)
    assert moved.mean == pytest.approx(base, rel=1e-12)


def test_tag_angles_refusals():
    H, T = label_sets()
    for targets, text in (
        (2 * T, "are not 0 and 1"),
        (T[:, 0], "are not 0 and 1"),
        (0 * T, "a sample has no label"),
        (np.ones_like(T), "label 0 has no sample of its own"),
        (np.where(T.sum(axis=1, keepdims=True) > 1, np.eye(4)[0], T), "every sample has one label"),
    ):
        with pytest.raises(ValueError, match=f"tag_average_angles: .*{text}"):
            metrics.tag_average_angles(H, targets)
    with pytest.raises(ValueError, match="tag_average_angles: labels have shape"):
        metrics.tag_average_angles(H[:-1], T)


# ---------------------------------------------------------------------------------------------- layers


def test_log_linear_fits():
    fit = metrics.log_linear([3.0 * 0.4**layer for layer in range(6)])
    assert (fit.rate, fit.r_squared, fit.first) == pytest.approx((0.4, 1.0, 3.0), rel=1e-13)
    assert fit.layers == 6
    y = np.array([1.0, 0.5, 0.4, 0.05])
    slope, level = np.polyfit(np.arange(4), np.log(y), 1)
    fit = metrics.log_linear(list(y))
    assert (fit.rate, fit.first) == pytest.approx((math.exp(slope), math.exp(level)), rel=1e-12)
    assert fit.r_squared == pytest.approx(np.corrcoef(np.arange(4), np.log(y))[0, 1] ** 2, rel=1e-12)
    for values in ([1.0, 0.5], [1.0, 0.0, 0.1], [1.0, -1.0, 0.1], [1.0, math.nan, 0.1], []):
        assert math.isnan(metrics.log_linear(values).rate)
    flat = metrics.log_linear([2.0, 2.0, 2.0])
    assert flat.rate == 1.0
    assert math.isnan(flat.r_squared)


def test_effective_depth():
    errors = [0.5, 0.1, 0.02, 0.0, 0.01]
    assert metrics.effective_depth(errors) == 4
    assert metrics.effective_depth(errors, 0.1) == 2
    assert metrics.effective_depth([0.5, 0.1]) == 2
    for bad in ([], [0.5, math.nan], [1.5], [-0.1], 0.5):
        with pytest.raises(ValueError, match="effective_depth: errors are not rates"):
            metrics.effective_depth(bad)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"effective_depth: tolerance=1\.0 is not in"):
        metrics.effective_depth(errors, 1.0)


def test_numerical_rank():
    g = np.random.default_rng(0)
    y = np.repeat([3, -1], 5)
    lines = g.standard_normal((10, 1)) * np.eye(6)[y + 1]
    assert metrics.numerical_rank(lines, y) == pytest.approx(1.0, rel=1e-14)
    assert metrics.numerical_rank(np.vstack([np.eye(5, 6), np.eye(5, 6)]), y) == pytest.approx(5.0, rel=1e-14)
    H = g.standard_normal((10, 6))
    expected = np.mean([(np.linalg.norm(H[y == k], "nuc") / np.linalg.norm(H[y == k])) ** 2 for k in (3, -1)])
    assert metrics.numerical_rank(H, y) == pytest.approx(expected, rel=1e-12)
    assert metrics.numerical_rank(9.0 * H[::-1] @ rotation(0, 6), y[::-1]) == pytest.approx(expected, rel=1e-12)
    assert math.isnan(metrics.numerical_rank(np.where(y[:, None] == 3, 0.0, H), y))
