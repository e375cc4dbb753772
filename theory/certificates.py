"""A bound of f - f* from one gradient, to check by hand what a solver claims: T14."""

import numpy as np

from theory.arguments import check_bias_decay, check_decay, check_matrix, check_nonnegative, nu
from theory.prediction import NotApplicable


def gap_bound(
    *,
    W: np.ndarray,
    H: np.ndarray,
    G: np.ndarray,
    value: float,
    lam_W: float,
    lam_H: float,
    b: np.ndarray | None = None,
    lam_b: float | None = None,
) -> float:
    """f - f* <= <G, W H> + lam_W/2 |W|^2 + lam_H/2 |H|^2 + |G 1 + lam_b b|^2/(2 lam_b) + (|G|_2 - nu)_+ f/nu.

    The first three terms are half of <W, grad_W> + <H, grad_H>, so that at a critical point only the last is left,
    which vanishes iff the point is a global minimiser; away from one the bound is of first order in the distance.

    Args:
        W: [K, d].
        H: [d, N].
        G: [K, N] gradient of the mean loss in the logits W H + b 1^T.
        value: f at (W, H, b), or any smaller number that is at least f*.
        lam_W, lam_H: decays > 0; nu = sqrt(lam_W lam_H).
        b: [K] or None.
        lam_b: None without bias, or > 0.
    Returns:
        The bound, up to rounding of the size 1e-16 f.
    Raises:
        ValueError: shapes disagree, entries are not finite, a decay is impossible, or b and lam_b disagree.
        NotApplicable: lam_b = 0, where the term of the bias has no bound.
    Assumes:
        Loss convex in the logits and >= 0; any class sizes, any d.
    Source:
        T14; derived for this project (convexity at the point, duality of spectral and nuclear norm).
    """
    where = "certificates.gap_bound"
    W = check_matrix(where, "W", W, (None, None))
    H = check_matrix(where, "H", H, (W.shape[1], None))
    G = check_matrix(where, "G", G, (W.shape[0], H.shape[1]))
    lam_W, lam_H = check_decay(where, "lam_W", lam_W), check_decay(where, "lam_H", lam_H)
    lam_b, value = check_bias_decay(where, lam_b), check_nonnegative(where, "value", value)
    if lam_b == 0.0:
        raise NotApplicable(where, ["lam_b = 0: nothing bounds how far a free bias may be from its optimum."])
    by_bias = 0.0
    if b is not None and lam_b is not None:
        by_bias = np.sum((G.sum(axis=1) + lam_b * check_matrix(where, "b", b, (W.shape[0],))) ** 2) / (2 * lam_b)
    elif b is not None or lam_b is not None:
        raise ValueError(f"{where}: only one of b and lam_b={lam_b!r} is None. Pass both, or neither.")
    pull = (np.sum(W * (G @ H.T + lam_W * W)) + np.sum(H * (W.T @ G + lam_H * H))) / 2
    spare = nu(lam_W, lam_H)
    return float(pull + by_bias + max(np.linalg.norm(G, 2) - spare, 0.0) / spare * value)
