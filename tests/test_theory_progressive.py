"""P2: the curves over the layers against weights built to their assumption."""

import re

import numpy as np
import pytest

from theory import progressive


def near_orthogonal(K, n, d, theta, seed=0):
    """X [d, N] with X^T X = I + (theta/N) [labels differ], and labels."""
    labels = np.repeat(np.arange(K), n)
    gram = np.eye(K * n) + theta / (K * n) * (labels[:, None] != labels)
    values, vectors = np.linalg.eigh(gram)
    frame = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, K * n)))[0]
    return frame @ (vectors * np.sqrt(values)) @ vectors.T, labels


def features(X, labels, eps, L, seed=1):
    """The features of the layers 0, ..., L-1 of weights that satisfy the assumption, and the output."""
    d, K = len(X), int(np.max(labels)) + 1
    Y = np.eye(K)[:, labels]
    U, s, Vt = np.linalg.svd(Y @ np.linalg.pinv(X))
    rng = np.random.default_rng(seed)
    inner = np.concatenate([s ** (1 / L), np.full(d - K, eps)])
    layers, basis = [X], Vt.T
    for _ in range(L - 1):
        turned = np.linalg.qr(rng.normal(size=(d, d)))[0]
        layers.append((turned * inner) @ basis.T @ layers[-1])
        basis = turned
    return layers, U @ (s[:, None] ** (1 / L) * basis[:, :K].T) @ layers[-1]


@pytest.mark.parametrize(
    ("K", "n", "d", "theta", "eps", "L"), [(3, 4, 15, 0.0, 0.2, 4), (3, 10, 40, 0.75, 0.3, 6), (4, 3, 14, 2.0, 0.5, 3)]
)
def test_curves_against_built_weights(K, n, d, theta, eps, L):
    X, labels = near_orthogonal(K, n, d, theta)
    layers, output = features(X, labels, eps, L)
    np.testing.assert_allclose(output, np.eye(K)[:, labels], atol=1e-12)
    curves = progressive.layer_curves(X=X, labels=labels, eps=eps, L=L)
    C = [progressive.within_over_between(H, labels) for H in layers]
    D = [progressive.separation(H, labels) for H in layers]
    np.testing.assert_allclose(curves.C, C, rtol=1e-11)
    np.testing.assert_allclose(curves.D, D, atol=1e-13)
    np.testing.assert_allclose(
        curves.C[1:] / curves.C[:-1], progressive.rate(K=K, n=n, eps=eps, L=L, theta=theta), rtol=1e-12
    )
    np.testing.assert_allclose(curves.D, progressive.separations(K=K, L=L, theta=theta), atol=1e-13)
    assert curves.C[0] == pytest.approx((n - 1) * K / ((K - 1) * (1 - theta / K)), rel=1e-12)


@pytest.mark.parametrize("sizes", [(3, 3), (4, 2, 1)])
def test_general_data_and_unequal_classes(sizes):
    """Any independent columns: the within-class part is eps^(2l), the means follow G."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    X = np.random.default_rng(0).normal(size=(12, len(labels)))
    layers, _ = features(X, labels, 0.1, 4)
    curves = progressive.layer_curves(X=X, labels=labels, eps=0.1, L=4)
    np.testing.assert_allclose(curves.C, [progressive.within_over_between(H, labels) for H in layers], rtol=1e-9)
    np.testing.assert_allclose(curves.D, [progressive.separation(H, labels) for H in layers], atol=1e-12)


def test_metrics_by_loops_and_their_invariances():
    labels = np.array([0, 0, 1, 2, 1, 2, 2])
    H = np.random.default_rng(0).normal(size=(3, 7))
    mu, within, between = H.mean(axis=1), 0.0, 0.0
    means = [H[:, labels == k].mean(axis=1) for k in range(3)]
    for i, k in enumerate(labels):
        within += np.sum((H[:, i] - means[k]) ** 2) / 7
        between += np.sum((means[k] - mu) ** 2) / 7
    cosines = [
        a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(means, [*means[1:], means[0]], strict=True)
    ]
    assert progressive.within_over_between(H, labels) == pytest.approx(within / between, rel=1e-13)
    assert progressive.separation(H, labels) == pytest.approx(1 - max(cosines), rel=1e-13)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    assert progressive.within_over_between(7 * turn @ H, labels) == pytest.approx(within / between, rel=1e-12)
    assert progressive.separation(7 * turn @ H, labels) == pytest.approx(1 - max(cosines), rel=1e-12)


def test_the_reference_rows_and_the_bracket():
    rows = [(3, 10, 6, 0.1, 0.5, 0.0066090), (3, 40, 6, 0.2, 0.75, 0.0206171), (4, 25, 7, 0.3, 1.0, 0.0545366)]
    for K, n, L, eps, theta, found in rows:
        assert progressive.rate(K=K, n=n, eps=eps, L=L, theta=theta) == pytest.approx(found, abs=6e-8)
    D = progressive.separations(K=3, L=6, theta=0.75)
    np.testing.assert_allclose(D, [0.75, 0.79327, 0.83626, 0.87868, 0.92027, 0.96078], atol=6e-6)
    assert progressive.rate_bracket(K=3, N=30) == (24 / 27, 27 / 24)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: progressive.rate(K=3, n=2, eps=0.0, L=2), "eps=0.0 is not a positive"),
        (lambda: progressive.rate(K=3, n=2, eps=0.1, L=2, theta=3.0), "theta=3.0 is not below K=3"),
        (lambda: progressive.separations(K=3, L=0, theta=0.0), "L=0 is not an integer >= 1"),
        (lambda: progressive.rate_bracket(K=3, N=6), "N=6 is not an integer >= 7"),
        (lambda: progressive.separation(np.ones((2, 3)), np.array([0, 1])), "labels are not 3 class numbers"),
        (lambda: progressive.separation(np.ones((2, 3)), np.array([0, 2, 2])), "leave none out"),
        (lambda: progressive.within_over_between(np.full((2, 3), np.nan), np.array([0, 1, 1])), "H has shape"),
        (
            lambda: progressive.layer_curves(X=np.ones((2, 3)), labels=np.array([0, 1, 1]), eps=0.1, L=2),
            "columns of X are dependent",
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
