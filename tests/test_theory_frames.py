"""Frames by their defining Gram matrices; factors by their product, balance and minimal norm."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory import Prediction, Spectrum, expand, frames


@pytest.mark.parametrize("K", [2, 3, 4, 7, 30])
@pytest.mark.parametrize("extra", [0, 1, 5])
def test_simplex_etf_has_unit_rows_and_equal_cosines(K, extra):
    rows = frames.simplex_etf(K, K - 1 + extra)
    assert rows.shape == (K, K - 1 + extra)
    np.testing.assert_allclose(rows @ rows.T, K / (K - 1) * frames.centering(K), atol=1e-14)
    np.testing.assert_allclose(rows.sum(axis=0), 0.0, atol=1e-14)


@settings(deadline=None, max_examples=100)
@given(K=st.integers(2, 12), extra=st.integers(0, 3), share=st.floats(0.0, 1.0))
def test_equiangular_frame_has_the_gram_matrix_it_promises(K, extra, share):
    cosine = -1 / (K - 1) + share * (1 + 1 / (K - 1))
    rows = frames.equiangular_frame(K, K + extra, min(cosine, 1.0))
    np.testing.assert_allclose(rows @ rows.T, (1 - cosine) * np.eye(K) + cosine, atol=1e-13)


def test_special_frames():
    np.testing.assert_allclose(frames.orthogonal_frame(4, 6) @ frames.orthogonal_frame(4, 6).T, np.eye(4), atol=1e-15)
    np.testing.assert_allclose(np.abs(frames.equiangular_frame(3, 1, 1.0)), 1.0, atol=1e-15)
    assert np.array_equal(frames.simplex_etf(5, 7), frames.simplex_etf(5, 7))
    P = frames.centering(5)
    np.testing.assert_allclose(P @ P, P, atol=1e-15)
    E = frames.centred_basis(5)
    np.testing.assert_allclose(E @ E.T, P, atol=1e-15)
    np.testing.assert_allclose(E.T @ E, np.eye(4), atol=1e-15)


@pytest.mark.parametrize(("lam_W", "lam_H"), [(1.0, 1.0), (5e-2, 5e-4), (1e-6, 3.0)])
def test_balanced_factors_reach_the_nuclear_norm(lam_W, lam_H):
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(4, 2)) @ rng.normal(size=(2, 9))
    W, H = frames.balanced_factors(Z, 3, lam_W, lam_H)
    np.testing.assert_allclose(W @ H, Z, atol=1e-13)
    np.testing.assert_allclose(lam_W * W.T @ W, lam_H * H @ H.T, atol=1e-13)
    cost = lam_W / 2 * np.sum(W**2) + lam_H / 2 * np.sum(H**2)
    np.testing.assert_allclose(cost, np.sqrt(lam_W * lam_H) * np.linalg.norm(Z, "nuc"), rtol=1e-13)
    assert np.all(W[:, 2] == 0.0)  # a rounded zero singular value leaves no trace
    assert not np.any(frames.balanced_factors(np.zeros((3, 6)), 2, lam_W, lam_H)[0])


def test_expand_repeats_eigenvalues():
    spectrum = Spectrum(np.array([-1.0, 0.0, 2.0]), np.array([1, 3, 2]))
    assert expand(spectrum).tolist() == [-1.0, 0.0, 0.0, 0.0, 2.0, 2.0]
    assert Prediction("T", "s", "here", {"value": 2}).value == 2.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frames.simplex_etf(1, 3), "simplex_etf: K=1 is not an integer >= 2"),
        (lambda: frames.simplex_etf(4, 2), "equiangular_frame: d=2 is too small for a frame of rank 3. Pass d >= 3."),
        (lambda: frames.orthogonal_frame(4, 3), "too small for a frame of rank 4"),
        (lambda: frames.equiangular_frame(3, 3, -0.6), "cosine=-0.6 is outside [-1/(K-1), 1] for K=3"),
        (lambda: frames.equiangular_frame(3, 3, 1.1), "cosine=1.1 is outside"),
        (lambda: frames.equiangular_frame(3, 3, float("nan")), "cosine=nan is outside"),
        (lambda: frames.centering(0), "centering: K=0 is not an integer >= 1"),
        (lambda: frames.centred_basis(True), "centred_basis: K=True is not an integer"),
        (lambda: frames.balanced_factors(np.eye(3), 2, 1.0, 1.0), "d=2 is below rank Z = 3. Pass d >= 3."),
        (lambda: frames.balanced_factors(np.full((2, 2), np.nan), 2, 1.0, 1.0), "or is not finite"),
        (lambda: frames.balanced_factors(np.ones(3), 2, 1.0, 1.0), "Z has shape (3,)"),
        (lambda: frames.balanced_factors(np.eye(2), 2, 0.0, 1.0), "lam_W=0.0 is not a positive"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
