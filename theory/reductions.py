"""Exact reductions: collapse within classes bounded by gradients (T20), n samples as one (T21), H eliminated (T22)."""

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import pdist

from theory.arguments import check_bias_decay, check_count, check_decay, check_matrix


class ReducedGradient(NamedTuple):
    """Gradient of the objective that is left after eliminating H."""

    W: np.ndarray  # [K, d]
    b: np.ndarray | None  # [K], None without a bias


def spread_bound(*, grad_H: np.ndarray, labels: np.ndarray, lam_H: float) -> np.ndarray:
    """max |g_i - g_j|/lam_H over the pairs of each class: at any point |h_i - h_j| is at most this.

    f is lam_H-strongly convex in each h_i, and the same function for all samples of a class.

    Args:
        grad_H: [d, N] gradient of f in H.
        labels: [N] ints in 0..K-1; K is one more than the largest.
        lam_H: decay of H, > 0.
    Returns:
        [K]; 0 for a class of one sample, NaN for a class of none.
    Raises:
        ValueError: shapes disagree, labels are no class indices, or lam_H <= 0.
    Assumes:
        Loss convex in the logits (focal is not).
    Source:
        T20; derived for this project.
    """
    where = "reductions.spread_bound"
    groups = _groups(where, grad_H, labels)
    lam_H = check_decay(where, "lam_H", lam_H)
    widest = [np.max(pdist(g.T), initial=0.0) if g.shape[1] else np.nan for g in groups]
    return np.array(widest) / lam_H


def scatter_bound(*, grad_H: np.ndarray, labels: np.ndarray, lam_H: float) -> float:
    """(1/N) sum |g_i - mean of its class|^2 / lam_H^2: at any point trace Sigma_W is at most this.

    Sum of the squared bound of `spread_bound` over all pairs of each class, divided by 2 n_k.

    Args:
        grad_H, labels, lam_H: see `spread_bound`.
    Returns:
        A bound of (1/N) sum |h_i - mean of its class|^2, >= 0.
    Raises:
        ValueError: shapes disagree, labels are no class indices, or lam_H <= 0.
    Assumes:
        Loss convex in the logits (focal is not).
    Source:
        T20; derived for this project.
    """
    where = "reductions.scatter_bound"
    groups = _groups(where, grad_H, labels)
    lam_H = check_decay(where, "lam_H", lam_H)
    within = [np.sum(((g - np.mean(g, axis=1, keepdims=True)) / lam_H) ** 2) for g in groups if g.shape[1]]
    return float(np.sum(within)) / sum(g.shape[1] for g in groups)


def class_problem(*, sizes: tuple[int, ...], lam_H: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights n_k/N of the loss and decays n_k lam_H of |h_k|^2/2 with which one feature a class is the whole problem.

    f(W, repeat(Hbar), b) = sum_k n_k/N loss(W h_k + b, k) + lam_W/2 |W|^2 + sum_k n_k lam_H/2 |h_k|^2 + lam_b/2 |b|^2.
    Equal sizes: the balanced problem with n = 1 and n lam_H, see `conversions.to_one_sample`.

    Args:
        sizes: K class sizes >= 1.
        lam_H: decay of H, > 0.
    Returns:
        weights [K], decays [K].
    Raises:
        ValueError: a size below 1, no size, or lam_H <= 0.
    Assumes:
        All features of a class coincide, as they do at critical points of convex losses (T20).
    Source:
        T21; derived for this project.
    """
    where = "reductions.class_problem"
    counts = _sizes(where, sizes)
    return counts / np.sum(counts), counts * check_decay(where, "lam_H", lam_H)


def repeat_classes(*, Hbar: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """H [d, N] = Hbar [d, K] with column k repeated n_k times, ordered by class.

    Raises:
        ValueError: Hbar is not finite or has not one column a class.
    Source:
        T21.
    """
    where = "reductions.repeat_classes"
    counts = _sizes(where, sizes)
    return np.repeat(check_matrix(where, "Hbar", Hbar, (None, len(counts))), counts, axis=1)


def class_gradient(*, grad_H: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """[d, K] sums of grad_H [d, N] over each class: the gradient in Hbar; those in W and b stay what they are.

    Raises:
        ValueError: grad_H is not finite or has not one column a sample.
    Source:
        T21.
    """
    where = "reductions.class_gradient"
    counts = _sizes(where, sizes)
    grad_H = check_matrix(where, "grad_H", grad_H, (None, int(np.sum(counts))))
    return np.add.reduceat(grad_H, np.cumsum([0, *counts[:-1]]), axis=1)


def optimal_features(*, W: np.ndarray, Y: np.ndarray, lam_H: float, b: np.ndarray | None = None) -> np.ndarray:
    """H = (W^T W/N + lam_H I)^-1 W^T (Y - b 1^T)/N, the minimiser in H of the mean squared error; [d, N].

    Args:
        W: [K, d].
        Y: [K, N] any targets.
        lam_H: decay of H, > 0.
        b: [K] or None.
    Raises:
        ValueError: shapes disagree, entries are not finite, or lam_H <= 0.
    Assumes:
        Loss 1/2 |W h_i + b - y_i|^2, averaged over the N columns.
    Source:
        T22; ridge regression.
    """
    where = "reductions.optimal_features"
    W, targets, lam_H = _targets(where, W, Y, b, lam_H)
    return _eliminate(W, targets, lam_H)[0]


def reduced_mse(
    *, W: np.ndarray, Y: np.ndarray, lam_W: float, lam_H: float, b: np.ndarray | None = None, lam_b: float | None = None
) -> float:
    """min over H of f = tr[(Y-b1^T)^T (I + W W^T/(N lam_H))^-1 (Y-b1^T)]/(2N) + lam_W/2 |W|^2 + lam_b/2 |b|^2.

    Args:
        W, Y, lam_H, b: see `optimal_features`.
        lam_W: decay of W, > 0.
        lam_b: decay of b; None without one.
    Raises:
        ValueError: shapes disagree, entries are not finite, a decay is impossible, or only one of b and lam_b is None.
    Assumes:
        As `optimal_features`.
    Source:
        T22; derived for this project (push-through identity).
    """
    where = "reductions.reduced_mse"
    lam_W, lam_b = _decays(where, lam_W, b, lam_b)
    W, targets, lam_H = _targets(where, W, Y, b, lam_H)
    decays = lam_W * np.sum(W**2) + (0.0 if b is None or lam_b is None else lam_b * np.sum(np.square(b)))
    _, R = _eliminate(W, targets, lam_H)
    return float(np.sum(targets * R) / targets.shape[1] + decays) / 2


def reduced_mse_gradient(
    *, W: np.ndarray, Y: np.ndarray, lam_W: float, lam_H: float, b: np.ndarray | None = None, lam_b: float | None = None
) -> ReducedGradient:
    """Gradient of `reduced_mse`: lam_W W - R H^T/N and lam_b b - R 1/N, R = (I + W W^T/(N lam_H))^-1 (Y - b 1^T).

    R is the residual Y - b 1^T - W H at the optimal H, so that this is f's own gradient there.

    Args:
        W, Y, lam_W, lam_H, b, lam_b: see `reduced_mse`.
    Raises:
        ValueError: as `reduced_mse`.
    Assumes:
        As `optimal_features`.
    Source:
        T22; derived for this project.
    """
    where = "reductions.reduced_mse_gradient"
    lam_W, lam_b = _decays(where, lam_W, b, lam_b)
    W, targets, lam_H = _targets(where, W, Y, b, lam_H)
    N = targets.shape[1]
    H, R = _eliminate(W, targets, lam_H)
    by_b = None if b is None or lam_b is None else lam_b * np.asarray(b, dtype=np.float64) - np.sum(R, axis=1) / N
    return ReducedGradient(lam_W * W - R @ H.T / N, by_b)


def _eliminate(W: np.ndarray, targets: np.ndarray, lam_H: float) -> tuple[np.ndarray, np.ndarray]:
    """Optimal H, and what it leaves of the targets, (I + W W^T/(N lam_H))^-1 targets = targets - W H."""
    U, s, Vt = np.linalg.svd(W, full_matrices=True)
    rank, free = len(s), targets.shape[1] * lam_H
    padded = np.zeros(len(U))
    padded[:rank] = s
    seen = U.T @ targets
    # From the residual, W^T R/(N lam_H) would lose the digits that the fit has cancelled.
    H = Vt[:rank].T @ ((s / (free + s**2))[:, None] * seen[:rank])
    return H, U @ ((free / (free + padded**2))[:, None] * seen)


def _targets(where: str, W, Y, b, lam_H: float) -> tuple[np.ndarray, np.ndarray, float]:
    """W, Y - b 1^T and lam_H after their checks."""
    W = check_matrix(where, "W", W, (None, None))
    Y = check_matrix(where, "Y", Y, (W.shape[0], None))
    b = np.zeros(W.shape[0]) if b is None else check_matrix(where, "b", b, (W.shape[0],))
    return W, Y - b[:, None], check_decay(where, "lam_H", lam_H)


def _decays(where: str, lam_W: float, b, lam_b: float | None) -> tuple[float, float | None]:
    lam_W, lam_b = check_decay(where, "lam_W", lam_W), check_bias_decay(where, lam_b)
    if (b is None) != (lam_b is None):
        raise ValueError(
            f"{where}: b is {'absent' if b is None else 'given'} but lam_b={lam_b!r}. Pass both, or neither for a "
            "model without bias."
        )
    return lam_W, lam_b


def _sizes(where: str, sizes) -> np.ndarray:
    counts = [check_count(where, "sizes", size, 1) for size in sizes]
    if not counts:
        raise ValueError(f"{where}: sizes is empty. Pass one size for every class.")
    return np.array(counts)


def _groups(where: str, grad_H, labels) -> list[np.ndarray]:
    """The columns of grad_H, class by class."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or labels.size == 0 or labels.min() < 0:
        got = f"shape {labels.shape}, type {labels.dtype}"
        raise ValueError(f"{where}: labels are no class indices, got {got}. Pass ints >= 0 of shape [N].")
    grad_H = check_matrix(where, "grad_H", grad_H, (None, labels.size))
    return [grad_H[:, labels == k] for k in range(int(labels.max()) + 1)]
