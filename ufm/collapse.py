"""Neural Collapse measured: NC1-NC4 and margins of features and a classifier. NumPy float64 only.

Notation: class means m_k, their mean m, C = [m_1 - m, ..., m_K - m] = U diag(s) V^T, residuals r_i = h_i - m_{y_i},
Sigma_W = (1/N) sum_i r_i r_i^T, Sigma_B = (1/K) C C^T. Nothing of size d x d is formed, no pseudo-inverse is taken,
means and residuals are differences (never E|h|^2 - |E h|^2), and H and W are first scaled by exact powers of two.

`ufm.metrics.measure` says the same from streams of rows: its two passes and its variants cost 1.4 to 1.8 times as much,
too much for every row of a sweep, and it refuses features beyond 1e70, which diverging solves have. What needs W alone
is shared, and the rest kept apart as two codes that the tests hold against each other.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.linalg import norm

from ufm.metrics.arrays import ROUNDING
from ufm.metrics.simplex import (
    equiangular,
    equinorm,
    nc2_equiangular_W,
    nc2_equinorm_W,
    nc2_gram_W,
    nc2_gram_Wc,
    simplex_distance,
)

NAN = float("nan")
NO_DECISIONS: dict[str, float] = dict.fromkeys(("nc4", "margin_min", "margin_mean", "accuracy"), NAN)


@dataclass(frozen=True, eq=False)
class Collapse:
    """The collapse of features H [d, N] with labels and of a classifier (W, b): every nc* is 0 at perfect collapse.

    Undefined is NaN: what needs W when W is None, what needs C when the class means are equal (spectrum[0] <= cut).
    Suffix _H: class means centred by m; _W: rows of W; _Wc: rows of W less their mean. E = (I - J/K) / sqrt(K-1) is
    the Gram matrix, of norm 1, of a simplex ETF. K = 2: centred pairs are opposite, nc2_*_H = nc2_gram_Wc = 0 always.
    No field changes under relabelling of samples or classes or a rotation of H and W; all but spectrum, cut, margins
    and (with a bias) nc4, accuracy are free of the scales of H and W; those of H alone and NC3 of a shift of H.

    Attributes:
        nc1: tr(Sigma_W Sigma_B^+) / K = sum_{j <= rank} mean_i (u_j^T r_i)^2 / s_j^2, >= 0. NaN: rank 0, or
            s_rank = 0. Read it with `rank`: directions below the cut do not count, those just above dominate.
            Papyan, Han, Donoho (PNAS 2020) without 1/K; Zhu et al. (NeurIPS 2021) with it, centred by sample mean.
        nc1_trace: tr Sigma_W / tr Sigma_B, >= 0. Tirer, Bruna (ICML 2022); Wang et al., C_l. NaN: equal means.
        rank: rank of Sigma_B used by nc1: the s_j > cut, at most min(d, K-1); or what the caller gave.
        spectrum: [K] singular values s of C, decreasing, padded by zeros; Sigma_B has the eigenvalues s^2 / K.
        cut: max(8 eps, eps of H's dtype) * sqrt(|[m_1, ..., m_K]|_F^2 + K tr Sigma_W), uncentred: rounding of this
            size is in C even when its columns are equal. Stored float32 knows its means no better than its eps.
        nc2_equinorm_H, nc2_equinorm_W: std_k / mean_k (ddof 0) of |m_k - m|, of |w_k|, in [0, sqrt(K-1)]. Papyan.
            NaN: equal means; W = 0.
        nc2_equiangular_H, nc2_equiangular_W: mean_{k != l} |cos + 1/(K-1)| of the m_k - m, of the w_k, in
            [0, K/(K-1)]. Papyan. NaN: some |m_k - m| <= cut; some w_k = 0.
        nc2_gram_H, nc2_gram_W, nc2_gram_Wc: | G/|G|_F - E |_F, G = C^T C, W W^T, or that of W centred, in [0, 2].
            Zhu for _W, Zhou et al. (ICML 2022) for _Wc. NaN: equal means; W = 0; equal rows of W.
        nc3: | W/|W|_F - C^T/|C|_F |_F, in [0, 2]. Papyan. NaN: W = 0 or equal means.
        nc3_gram: | W C/|W C|_F - E |_F, in [0, 2]. Zhu, class-mean centred; ~0 for any interpolator. NaN: W C = 0.
        nc4: rate of DISAGREEMENT, in [0, 1]: samples whose set of maximal logits W h + b differs from the set of
            nearest class means (Papyan, as sets). Ties up to rounding belong to the sets; so relabelling classes
            changes nothing, and merged classes with merged w_k agree. NaN: equal means or overflow.
        margin_min, margin_mean: over samples, z_{y_i} - max_{j != y_i} z_j of z = W h_i + b. NaN: b / |W H| overflows.
        accuracy: samples whose label alone has the largest logit, in [0, 1]; a tie is an error, as in nc4's sets.
    """

    nc1: float
    nc1_trace: float
    rank: int
    spectrum: np.ndarray
    cut: float
    nc2_equinorm_H: float
    nc2_equinorm_W: float
    nc2_equiangular_H: float
    nc2_equiangular_W: float
    nc2_gram_H: float
    nc2_gram_W: float
    nc2_gram_Wc: float
    nc3: float
    nc3_gram: float
    nc4: float
    margin_min: float
    margin_mean: float
    accuracy: float


def collapse(H: Any, labels: Any, W: Any = None, b: Any = None, *, rank: int | np.integer | None = None) -> Collapse:
    """NC1-NC4 and margins of features H with labels, and of the classifier z = W h + b if there is one.

    Args:
        H: [d, N] features, columns are samples, any real dtype and scale; computed in float64.
        labels: [N] integers 0 .. K-1, every class present.
        W: [K, d] or None (then K = max label + 1).
        b: [K] or None (zero).
        rank: rank of Sigma_B from theory; None cuts the spectrum (see Collapse.cut).
    Returns:
        Collapse: data only, one documented field per quantity.
    Raises:
        TypeError: complex or non-numeric arrays, non-integer labels or rank.
        ValueError: shapes that disagree, empty or non-finite arrays, K = 1, absent class, labels or rank out of range.
    """
    H, labels, W, b, resolution = _checked(H, labels, W, b, rank)
    (d, N), K = H.shape, int(labels.max()) + 1
    X, exponent = _scaled(H)
    M = _means(X, labels, K)
    C = M - np.mean(M, axis=1, keepdims=True)
    R = X - M[:, labels]
    U, s, Vt = np.linalg.svd(C, full_matrices=False)
    A, Q = U.T @ R, s[:, None] * Vt  # residuals and centred means in the coordinates of U
    within = float(np.vdot(R, R)) / N
    scale = float(np.sqrt(np.vdot(M, M) + K * within))
    cut = max(ROUNDING, resolution) * scale
    rank = min(int(np.sum(s > cut)), K - 1) if rank is None else int(rank)
    apart = bool(s[0] > cut)
    C = C if apart else np.zeros_like(C)  # equal up to rounding is equal
    V, exponent_W = (np.zeros((K, d)), 0) if W is None else _scaled(W)  # no classifier has no direction either: NaN
    size = float(norm(V))
    nearest = _nearest(labels, A, Q, scale) if apart else None
    decisions = NO_DECISIONS if W is None else _decisions(V, X, b, exponent_W + exponent, labels, nearest)
    with np.errstate(over="ignore"):
        spectrum, cut_H = np.ldexp(np.pad(s, (0, K - s.size)), exponent), float(np.ldexp(cut, exponent))
    return Collapse(
        nc1=_nc1(A, s, rank),
        nc1_trace=within / (float(np.vdot(C, C)) / K) if apart else NAN,
        rank=rank,
        spectrum=spectrum,
        cut=cut_H,
        nc2_equinorm_H=equinorm(C.T),
        nc2_equinorm_W=nc2_equinorm_W(V),
        nc2_equiangular_H=equiangular(C.T, cut),
        nc2_equiangular_W=nc2_equiangular_W(V),
        nc2_gram_H=simplex_distance(C.T @ C, 0.0),
        nc2_gram_W=nc2_gram_W(V),
        nc2_gram_Wc=nc2_gram_Wc(V),
        nc3=float(norm(V / size - C.T / norm(C))) if apart and V.any() else NAN,
        nc3_gram=simplex_distance(V @ C, cut * size),
        **decisions,
    )


def class_means(H: Any, labels: Any, K: int) -> np.ndarray:
    """[d, K] float64 means m_k of the columns of H [d, N] by label; every class 0 .. K-1 must be present."""
    X, exponent = _scaled(_real("H", H, "[d, N]"))
    return np.ldexp(_means(X, _check_labels(labels, X.shape[1], K), K), exponent)


def _means(X: np.ndarray, labels: np.ndarray, K: int) -> np.ndarray:
    M = np.empty((X.shape[0], K))
    for k in range(K):
        members = X[:, labels == k]
        mean = np.mean(members, axis=1)
        M[:, k] = mean + np.mean(members - mean[:, None], axis=1)  # the second pass leaves one rounding of m_k
    return M


def _nc1(A: np.ndarray, s: np.ndarray, rank: int) -> float:
    if rank == 0 or s[rank - 1] == 0.0:
        return NAN
    with np.errstate(over="ignore"):
        return float(np.sum((A[:rank] / s[:rank, None]) ** 2) / A.shape[1])


@np.errstate(over="ignore")
def _decisions(V: Any, X: Any, b: Any, exponent: int, labels: np.ndarray, nearest: Any) -> dict[str, float]:
    """nc4, margins and accuracy of the logits 2^exponent V X + b, compared in units of 2^exponent."""
    b = np.zeros(V.shape[0]) if b is None else np.ldexp(b, -exponent)
    if not np.all(np.isfinite(b)):
        return NO_DECISIONS
    Z = V @ X + b[:, None]
    maximal = np.max(Z, axis=0) - Z <= ROUNDING * (np.max(norm(V, axis=1)) * norm(X, axis=0) + np.max(np.abs(b)))
    own = labels, np.arange(labels.size)
    correct = maximal[own] & (np.sum(maximal, axis=0) == 1)
    margin = Z[own]
    Z[own] = -np.inf
    margin -= np.max(Z, axis=0)
    nc4 = NAN if nearest is None else np.mean(np.any(maximal != nearest, axis=0))
    values = nc4, *np.ldexp([np.min(margin), np.mean(margin)], exponent), np.mean(correct)
    return {name: float(value) for name, value in zip(NO_DECISIONS, values, strict=True)}


def _nearest(labels: np.ndarray, A: np.ndarray, Q: np.ndarray, scale: float) -> np.ndarray:
    """[K, N] whether m_k is a nearest class mean of h_i, from |h - m_k|^2 / 2 less what does not depend on k."""
    X = A + Q[:, labels]
    excess = 0.5 * np.sum(Q**2, axis=0)[:, None] - Q.T @ X
    reach = norm(X, axis=0) + np.max(norm(Q, axis=0))
    return excess - np.min(excess, axis=0) <= ROUNDING * scale * reach


def _scaled(A: np.ndarray) -> tuple[np.ndarray, int]:
    """A / 2^e and e, with largest entry about 1: exact, so that no square overflows or vanishes."""
    exponent = int(np.clip(np.frexp(np.max(np.abs(A)))[1], -1022, 1022))
    return A * 2.0**-exponent, exponent


def _checked(H: Any, labels: Any, W: Any, b: Any, rank: Any) -> tuple[np.ndarray, np.ndarray, Any, Any, float]:
    """The arrays in float64, labels in int64, and the eps of the dtype in which H is stored."""
    dtype = np.asarray(H).dtype
    H = _real("H", H, "[d, N]")
    W = None if W is None else _real("W", W, "[K, d]")
    b = None if b is None else _real("b", b, "[K]")
    if W is not None and W.shape[1] != H.shape[0]:
        raise ValueError(f"collapse: W has shape {W.shape}, but H has d={H.shape[0]} rows. Pass W [K, d] and H [d, N].")
    if b is not None and (W is None or b.shape != W.shape[:1]):
        raise ValueError(f"collapse: b has shape {b.shape}, W {W if W is None else W.shape}. Pass W [K, d] and b [K].")
    labels = _check_labels(labels, H.shape[1], None if W is None else W.shape[0])
    largest = min(H.shape[0], int(labels.max()))
    if rank is not None and (isinstance(rank, bool) or not isinstance(rank, int | np.integer)):
        raise TypeError(f"collapse: rank={rank!r} is not an integer. Pass the rank of Sigma_B, or None.")
    if rank is not None and not 0 <= rank <= largest:
        raise ValueError(f"collapse: rank={rank} is not in 0 .. {largest} = min(d, K-1). Pass Sigma_B's, or None.")
    return H, labels, W, b, float(np.finfo(dtype).eps) if dtype.kind == "f" else 2.0**-7 * (dtype.kind == "V")


def _real(name: str, value: Any, shape: str) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
        raise TypeError(f"collapse: {name} has dtype {array.dtype}, expected real numbers. Pass a float array {shape}.")
    if array.ndim != shape.count(",") + 1 or array.size == 0:
        raise ValueError(f"collapse: {name} has shape {array.shape}. Pass a non-empty {shape}; samples are columns.")
    with np.errstate(over="ignore"):
        array = array.astype(np.float64, copy=False)
    if not np.all(np.isfinite(array)):
        raise ValueError(f"collapse: {name} has {np.sum(~np.isfinite(array))} non-finite entries. Pass finite arrays.")
    return array


def _check_labels(labels: Any, N: int, K: int | None) -> np.ndarray:
    array = np.asarray(labels)
    if array.dtype.kind not in "iu":
        raise TypeError(f"collapse: labels have dtype {array.dtype}, expected integers. Pass class numbers 0 .. K-1.")
    if array.shape != (N,):
        raise ValueError(f"collapse: labels have shape {array.shape}, but H has N={N} columns. Pass H as [d, N].")
    low, high = int(array.min()), int(array.max())
    K = high + 1 if K is None else K
    if low < 0 or high >= K:
        raise ValueError(f"collapse: labels span {low} .. {high}, expected 0 .. {K - 1}. Number the classes from 0.")
    if K < 2:
        raise ValueError(f"collapse: got K={K} class, need two to compare. Pass samples of K >= 2 classes.")
    present = np.unique(array)
    if present.size < K:
        absent = np.setdiff1d(np.arange(present.size + 1), present)[0]
        raise ValueError(f"collapse: class {absent} of K={K} has no samples, so no mean. Pass some, or renumber.")
    return array.astype(np.int64)
