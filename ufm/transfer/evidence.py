"""LogME: how probable the labels are under a Bayesian linear model of the features."""

from typing import Any

import numpy as np

from ufm.metrics.arrays import read_matrix, read_samples

JITTER = 1e-5  # of the published code, in two denominators: a fit without residual stays finite
STEPS = 1000  # the fixed point contracts; some 10 steps are usual


def logme(H: Any, y: Any) -> float:
    """mean_c max_{alpha, beta} (1/N) log p(e_c | H, alpha, beta): log evidence of ridge regression on one-hot labels.

    p(e_c | H) = integral N(e_c; H w, I/beta) N(w; 0, I/alpha) dw, with no bias, at the fixed point of
    alpha = g/|w|^2, beta = (N - g)/|e_c - H w|^2, g = sum_j s_j^2/(s_j^2 + alpha/beta), s the singular values of H.

    Args:
        H: [N, d] features, samples are rows. y: [N] any integers, of two classes or more.
    Returns:
        Any real number; HIGHER is better. Free of rotations and (but for 1e-5 in two denominators) of scales, not of
        shifts or other linear maps. Right where labels are plenty; of few samples per class it says less than NC1.
    Raises:
        TypeError, ValueError: as `ufm.transfer.scores`.
    Source:
        You, Liu, Wang and Long (ICML 2021, arXiv 2102.11005); with (d - N) log alpha where d > N, which the published
        code leaves out.
    """
    samples = read_samples("logme", H, y)
    X = read_matrix("logme", "features", samples.features, "[N, d]")
    classes = np.unique(samples.labels)
    if len(classes) < 2:
        raise ValueError(f"logme: all labels are {classes[0]}, need two classes. Pass samples of K >= 2.")
    Y = (samples.labels[:, None] == classes).astype(np.float64)
    U, s, _ = np.linalg.svd(X, full_matrices=False)
    return float(np.mean(_evidence(s**2, U.T @ Y, np.sum(Y**2, axis=0), len(X)))) if s[0] > 0.0 else np.nan


def _evidence(squares: np.ndarray, Q: np.ndarray, norms: np.ndarray, N: int) -> np.ndarray:
    """[K] log evidence / N of each column Y_c: squares [r] of H's singular values, Q = U^T Y [r, K], norms |Y_c|^2."""
    outside = np.maximum(norms - np.sum(Q**2, axis=0), 0.0)
    alpha = beta = np.ones(Q.shape[1])
    weights = residual = outside
    for _ in range(STEPS):
        t = alpha / beta
        shrunk = squares[:, None] + t
        effective = np.sum(squares[:, None] / shrunk, axis=0)
        weights = np.sum(squares[:, None] * (Q / shrunk) ** 2, axis=0)
        residual = np.sum((Q * t / shrunk) ** 2, axis=0) + outside
        alpha, beta = effective / (weights + JITTER), (N - effective) / (residual + JITTER)
        if np.all(np.abs(alpha / beta - t) <= 1e-12 * t):
            break
    # of the d eigenvalues of alpha + beta H^T H, those that are alpha cancel against d/2 log alpha
    determinant = np.sum(np.log1p(beta / alpha * squares[:, None]), axis=0)
    fit = N * np.log(beta / (2.0 * np.pi)) - beta * residual - alpha * weights
    return 0.5 * (fit - determinant) / N
