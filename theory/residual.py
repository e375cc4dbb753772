"""G1, G2: what the residual (softmax - targets)/N of cross-entropy proves, for any class sizes, at any logits.

    f* >= (1/N) sum_i entropy(q_i) - |Gamma 1|^2/(2 lam_b)   for every Gamma = (Q - Y)/N with |Gamma|_2 <= nu

(free bias: Gamma 1 = 0; no bias: neither), nu = sqrt(lam_W lam_H). A critical point is a global minimum iff its own
residual satisfies |Gamma|_2 <= nu, and there all singular values of Gamma that belong to Z = W H are equal to nu.
"""

import numpy as np
from scipy.special import entr, log_softmax

from theory.arguments import Sizes, check_bias_decay, check_decay, check_matrix, check_sizes, nu


def residual_spectrum(*, logits: np.ndarray, n: Sizes) -> np.ndarray:
    """Singular values of (softmax(A) - Y)/N, descending; at a global minimum rank(W H) of them are nu, the rest <= nu.

    Args:
        logits: [K, K] A, column k for the samples of class k, bias included.
        n: samples a class, an int or K sizes.
    Returns:
        [K] >= 0, the last one 0 up to rounding.
    Raises:
        ValueError: bad class sizes, or logits that are not finite [K, K].
    Assumes:
        Cross-entropy; all samples of a class have the same logits (true at every minimum).
    Source:
        G2, T3; derived for this project (optimality conditions of the convex form in Z; known from Haeffele and Vidal,
        CVPR 2017).
    """
    A, sizes = _checked("residual_spectrum", logits, n)
    return np.linalg.svd(_scaled_residual(_softmax(A), sizes), compute_uv=False)


def lower_bound(*, logits: np.ndarray, n: Sizes, lam_W: float, lam_H: float, lam_b: float | None = None) -> float:
    """(1/N) sum_k n_k entropy(e_k + s (softmax(A_k) - e_k)) - ..., s = min(1, nu/|Gamma|_2): f* is not below it.

    Any logits give a bound; those of the global minimum give f* itself. Valid up to rounding, about 1e-15 (1 + bound).

    Args:
        logits: [K, K] A, column k for the samples of class k, bias included.
        n: samples a class, an int or K sizes.
        lam_W, lam_H: decays > 0.
        lam_b: None (no bias), 0.0 (free bias: the row sums of the residual are first made zero) or > 0.
    Returns:
        The bound, in (-inf, log K].
    Raises:
        ValueError: bad class sizes or decays, or logits that are not finite [K, K].
    Assumes:
        Cross-entropy; any d.
    Source:
        G1, T15; derived for this project (weak duality of min_Z loss + nu |Z|_*).
    """
    where = "lower_bound"
    A, sizes = _checked(where, logits, n)
    radius = nu(check_decay(where, "lam_W", lam_W), check_decay(where, "lam_H", lam_H))
    lam_b = check_bias_decay(where, lam_b)
    Q, prior = _softmax(A), sizes / np.sum(sizes)
    if lam_b == 0.0:
        Q = _without_row_sums(Q, prior)
    gamma = _scaled_residual(Q, sizes)
    s = min(1.0, radius / max(float(np.linalg.norm(gamma, 2)), radius))
    misses = s * (1.0 - np.eye(len(A))) * Q
    missing = np.sum(misses, axis=0)
    own = np.where(missing < 0.5, (missing - 1.0) * np.log1p(-np.minimum(missing, 0.5)), entr(1.0 - missing))
    bound = float(prior @ (np.sum(entr(misses), axis=0) + own))
    if lam_b:
        bound -= float(np.sum((s * (gamma @ np.sqrt(sizes))) ** 2)) / (2.0 * lam_b)
    return bound


def _checked(where: str, logits: np.ndarray, n: Sizes) -> tuple[np.ndarray, np.ndarray]:
    A = check_matrix(where, "logits", logits, (None, None))
    if A.shape[0] != A.shape[1]:
        raise ValueError(f"{where}: logits have shape {A.shape}. Pass the logits of the classes, [K, K].")
    return A, check_sizes(where, len(A), n)


def _softmax(A: np.ndarray) -> np.ndarray:
    return np.exp(log_softmax(A, axis=0))


def _scaled_residual(Q: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """[K, K] with the singular values of (Q - Y)/N: columns sqrt(n_k) (q_k - e_k)/N, without cancellation in q_kk."""
    misses = (1.0 - np.eye(len(Q))) * Q
    return (misses - np.diag(np.sum(misses, axis=0))) * (np.sqrt(sizes) / np.sum(sizes))


def _without_row_sums(Q: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Near Q, in the simplex, with sum_k n_k (q_k - e_k) = 0; mixing with the prior keeps both."""
    shifted = Q - (Q @ prior - prior)[:, None]
    least = np.min(shifted / prior[:, None])
    mix = -least / (1.0 - least) if least < 0.0 else 0.0
    return np.maximum((1.0 - mix) * shifted + mix * prior[:, None], 0.0)
