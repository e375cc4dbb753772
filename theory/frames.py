"""The frames that minimisers form: K unit vectors with one common cosine, and factors (W, H) of given logits."""

import math

import numpy as np
from scipy.linalg import helmert

from theory.arguments import check_count, check_decay, root_ratio


def centering(K: int) -> np.ndarray:
    """P = I - J/K, the projector that removes the mean over classes; [K, K].

    Raises:
        ValueError: K < 1.
    """
    K = check_count("centering", "K", K, 1)
    return np.eye(K) - 1.0 / K


def centred_basis(K: int) -> np.ndarray:
    """E [K, K-1] with E^T E = I, E^T 1 = 0 and hence E E^T = I - J/K (Helmert's columns).

    Raises:
        ValueError: K < 2.
    """
    return helmert(check_count("centred_basis", "K", K, 2)).T


def equiangular_frame(K: int, d: int, cosine: float) -> np.ndarray:
    """K unit rows in R^d, every two at the same cosine; Gram matrix (1 - cosine) I + cosine J.

    Args:
        K: number of rows, >= 2.
        d: dimension, at least the rank of the frame: K-1 for the simplex, 1 for cosine = 1, otherwise K.
        cosine: in [-1/(K-1), 1]: the simplex, orthogonal vectors at 0, one vector at 1. A mean squared error minimiser
            (T8) has ((zm - zc) / ((K-1) zc + zm)).
    Returns:
        [K, d].
    Raises:
        ValueError: the cosine is impossible for K rows, or d is too small for the frame.
    """
    where = "equiangular_frame"
    K, d = check_count(where, "K", K, 2), check_count(where, "d", d, 1)
    along_ones = 1.0 + (K - 1) * cosine  # eigenvalues of the Gram matrix: this one, and 1 - cosine
    if abs(along_ones) <= 4 * K * np.finfo(float).eps:
        along_ones = 0.0
    if not (along_ones >= 0.0 and cosine <= 1.0):
        raise ValueError(f"{where}: cosine={cosine!r} is outside [-1/(K-1), 1] for K={K}. Pass a cosine in this range.")
    ones = np.full((K, 1), math.sqrt(along_ones / K)) if along_ones > 0.0 else np.empty((K, 0))
    centred = math.sqrt(1.0 - cosine) * centred_basis(K) if cosine < 1.0 else np.empty((K, 0))
    rows = np.hstack([centred, ones])
    if d < rows.shape[1]:
        raise ValueError(f"{where}: d={d} is too small for a frame of rank {rows.shape[1]}. Pass d >= {rows.shape[1]}.")
    return np.pad(rows, ((0, 0), (0, d - rows.shape[1])))


def simplex_etf(K: int, d: int) -> np.ndarray:
    """The simplex equiangular tight frame: K unit rows in R^d, cosines -1/(K-1), rows sum to zero; [K, d].

    Raises:
        ValueError: K < 2 or d < K-1.
    """
    return equiangular_frame(K, d, -1.0 / (check_count("simplex_etf", "K", K, 2) - 1))


def orthogonal_frame(K: int, d: int) -> np.ndarray:
    """K orthonormal rows in R^d; [K, d].

    Raises:
        ValueError: K < 2 or d < K.
    """
    return equiangular_frame(K, d, 0.0)


def balanced_factors(Z: np.ndarray, d: int, lam_W: float, lam_H: float) -> tuple[np.ndarray, np.ndarray]:
    """(W, H) with W H = Z and the least lam_W/2 |W|^2 + lam_H/2 |H|^2, which is sqrt(lam_W lam_H) |Z|_*.

    With Z = U S V^T: W = (lam_H/lam_W)^(1/4) U S^(1/2), H = (lam_W/lam_H)^(1/4) S^(1/2) V^T, zero-padded to d.
    Any other pair of the same Z and value is (W Q, Q^T H) for an orthogonal Q.

    Args:
        Z: [K, N] logits without bias; repeat the class columns for N samples.
        d: number of features, at least the numerical rank of Z.
        lam_W, lam_H: decays > 0.
    Returns:
        W [K, d] and H [d, N].
    Raises:
        ValueError: Z is not a finite matrix, d < rank Z, or a decay is not positive.
    Source:
        T1, T2 of the theory reference (variational form of the nuclear norm).
    """
    where = "balanced_factors"
    d = check_count(where, "d", d, 1)
    ratio = root_ratio(check_decay(where, "lam_W", lam_W), check_decay(where, "lam_H", lam_H))
    Z = np.asarray(Z, dtype=np.float64)
    if Z.ndim != 2 or not np.all(np.isfinite(Z)):
        raise ValueError(f"{where}: Z has shape {Z.shape} or is not finite. Pass finite logits [K, N].")
    U, s, Vt = np.linalg.svd(Z, full_matrices=False)
    # Roots would turn a zero singular value of 1e-17 into features of 1e-9: cut before taking them.
    rank = int(np.sum(s > 8 * max(Z.shape) * np.finfo(float).eps * s[0]))
    if rank > d:
        raise ValueError(f"{where}: d={d} is below rank Z = {rank}. Pass d >= {rank}.")
    root = np.sqrt(s[:rank])
    W = math.sqrt(ratio) * U[:, :rank] * root
    H = root[:, None] * Vt[:rank] / math.sqrt(ratio)
    return np.pad(W, ((0, 0), (0, d - rank))), np.pad(H, ((0, d - rank), (0, 0)))
