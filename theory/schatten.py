"""L1: factors of a product with the least decay, and what they cost."""

from collections.abc import Sequence

import numpy as np

from theory.arguments import check_count, check_decay, check_matrix
from theory.depth import Decays, check_decays, geometric_mean


def balanced_factors(
    Z: np.ndarray, dims: Sequence[int], lam_W: Decays, lam_H: float
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """((W_1, ..., W_M), H) with W_M ... W_1 H = Z and the least decay, (q/2) g sum_j sigma_j(Z)^(2/q) (L1).

    Every factor is sqrt(g/lam) U_l S^(1/q) U_(l-1)^T of its own decay lam: W_M has the left, H the right singular
    vectors of Z, and between them the coordinates of every hidden space are the first ones.

    Args:
        Z: [K, N] logits without bias.
        dims: (d, d_2, ..., d_M) widths, at least the numerical rank of Z.
        lam_W, lam_H: decays > 0.
    Raises:
        ValueError: Z is not a finite matrix, a width is below its rank, or a decay is not positive.
    Source:
        L1: AM-GM and Horn's inequality; derived for this project.
    """
    where = "schatten.balanced_factors"
    Z = check_matrix(where, "Z", Z, (None, None))
    widths = [check_count(where, "a width", width, 1) for width in dims]
    lams = np.array([*check_decays(where, lam_W, len(widths)), check_decay(where, "lam_H", lam_H)])
    U, s, Vt = np.linalg.svd(Z, full_matrices=False)
    # Roots would turn a zero singular value of 1e-17 into features of 1e-6: cut before taking them.
    rank = int(np.sum(s > 8 * max(Z.shape) * np.finfo(float).eps * s[0]))
    if rank > min(widths):
        raise ValueError(f"{where}: a width {min(widths)} is below rank Z = {rank}. Pass widths >= {rank}.")
    roots = s[:rank] ** (1.0 / len(lams))
    scales = np.sqrt(geometric_mean(lams) / lams)
    cores = []
    for scale, rows, columns in zip(scales[:-1], [*widths[1:], len(Z)], widths, strict=True):
        core = np.zeros((rows, columns))
        core[:rank, :rank] = np.diag(scale * roots[: min(rows, columns)])
        cores.append(core)
    cores[-1][:, :rank] = scales[-2] * U[:, :rank] * roots
    H = np.zeros((widths[0], Z.shape[1]))
    H[:rank] = scales[-1] * roots[:, None] * Vt[:rank]
    return tuple(cores), H


def factor_penalty(*, sigma: np.ndarray, lam_W: Decays, lam_H: float, M: int) -> float:
    """(q/2) g sum_j sigma_j^(2/q), q = M + 1: the least decay of M matrices and features with product Z (L1).

    Args:
        sigma: singular values of Z. M: number of matrices. lam_W, lam_H: decays > 0.
    Raises:
        ValueError: an argument is impossible.
    Assumes:
        Every hidden width is at least the rank of Z.
    Source:
        L1; derived for this project.
    """
    where = "schatten.factor_penalty"
    M = check_count(where, "M", M, 1)
    lams = np.array([*check_decays(where, lam_W, M), check_decay(where, "lam_H", lam_H)])
    return (M + 1) / 2 * geometric_mean(lams) * float(np.sum(np.asarray(sigma, np.float64) ** (2 / (M + 1))))
