"""NRC1-3: neural collapse in regression with targets Y [N, q].

Features are centred and scaled to length 1, u_i = (h_i - m)/|h_i - m|. All are free of rotations and scales, 0 at
collapse, and NaN if a feature equals the mean m, which has no direction.
"""

from typing import Any

import numpy as np
from numpy.linalg import norm

from ufm.metrics.arrays import ROUNDING, read_matrix


def nrc1(features: Any, q: int) -> float:
    """(1/N) sum_i |u_i - proj(u_i | top q principal directions of h)|^2, in [0, 1].

    Args:
        features: [N, d], samples are rows.
        q: dimension of the targets, 1 <= q.
    Raises:
        TypeError, ValueError: not a finite real matrix; q < 1.
    Source:
        Andriopoulos et al. (arXiv 2409.04180), NRC1.
    """
    if isinstance(q, bool) or not isinstance(q, int | np.integer) or q < 1:
        raise ValueError(f"nrc1: q={q!r} is not a dimension. Pass the number of targets, an int >= 1.")
    C = _centred("nrc1", features)
    triangle = np.asarray(np.linalg.qr(C, mode="r"))  # the same directions as C, without an N x d U
    _, _, Vt = np.linalg.svd(triangle)
    return _outside(C, Vt[:q])


def nrc2(features: Any, W: Any) -> float:
    """(1/N) sum_i |u_i - proj(u_i | row space of W)|^2, in [0, 1].

    Args:
        features: [N, d].
        W: [q, d]. Directions below 8 eps of its largest singular value do not count.
    Raises:
        TypeError, ValueError: not finite real matrices, or d differs.
    Source:
        Andriopoulos et al. (arXiv 2409.04180), NRC2.
    """
    C, W = _centred("nrc2", features), read_matrix("nrc2", "W", W, "[q, d]")
    if W.shape[1] != C.shape[1]:
        raise ValueError(f"nrc2: W has shape {W.shape}, but features have d={C.shape[1]} columns. Pass W [q, d].")
    _, s, Vt = np.linalg.svd(W, full_matrices=False)
    return _outside(C, Vt[s > ROUNDING * s[0]])


def nrc3(W: Any, targets: Any) -> float:
    """min_gamma | W W^T/|W W^T|_F - S/|S|_F |_F^2, S = Sigma^(1/2) - gamma^(1/2) I, 0 <= gamma <= lambda_min(Sigma).

    Sigma is the covariance of the targets. The square is 2 - 2 cos, and the cosine of W W^T with S has one stationary
    point in gamma^(1/2), so the minimum is taken over it and the two ends.

    Args:
        W: [q, d].
        targets: [N, q].
    Returns:
        In [0, 4]. NaN: W = 0, or S = 0 for every gamma (constant targets).
    Raises:
        TypeError, ValueError: not finite real matrices, or q differs.
    Source:
        Andriopoulos et al. (arXiv 2409.04180), NRC3; closed form of the minimum derived for this project.
    """
    W, Y = read_matrix("nrc3", "W", W, "[q, d]"), read_matrix("nrc3", "targets", targets, "[N, q]")
    if W.shape[0] != Y.shape[1]:
        raise ValueError(f"nrc3: W has shape {W.shape}, but targets have q={Y.shape[1]} columns. Pass W [q, d].")
    _, s, Vt = np.linalg.svd((Y - np.mean(Y, axis=0)) / np.sqrt(len(Y)))
    roots = np.pad(s, (0, Y.shape[1] - s.size))  # of the eigenvalues of Sigma, whose eigenvectors are the rows of Vt
    A = Vt @ W @ (Vt @ W).T
    if not np.any(A) or roots[0] <= ROUNDING * norm(Y) / np.sqrt(len(Y)):
        return np.nan
    along, trace = np.diag(A) @ roots, np.trace(A)
    below = trace * np.sum(roots) - along * len(roots)
    stationary = (trace * (roots @ roots) - along * np.sum(roots)) / below if below != 0.0 else 0.0
    candidates = {0.0, float(np.clip(stationary, 0.0, roots[-1])), float(roots[-1])}
    values = [_distance_squared(A, np.diag(roots - c)) for c in candidates if norm(roots - c) > ROUNDING * roots[0]]
    return min(values)


def _distance_squared(A: np.ndarray, S: np.ndarray) -> float:
    return float(norm(A / norm(A) - S / norm(S))) ** 2


def _centred(where: str, features: Any) -> np.ndarray:
    H = read_matrix(where, "features", features, "[N, d]")
    C = H - np.mean(H, axis=0)
    return C - np.mean(C, axis=0)


def _outside(C: np.ndarray, directions: np.ndarray) -> float:
    lengths = norm(C, axis=1)
    if np.min(lengths) <= ROUNDING * np.max(lengths):
        return np.nan
    U = C / lengths[:, None]
    return float(np.mean(np.sum((U - U @ directions.T @ directions) ** 2, axis=1)))
