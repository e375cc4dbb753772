"""T10: the mean squared error by soft-thresholded singular values, for any targets, without or with a free bias."""

import math

import numpy as np

from theory.arguments import Sizes, check_bias_decay, check_count, check_decay, check_sizes, nu, root_ratio
from theory.prediction import NotApplicable, Prediction, Quantity

T10_SOURCE = "derived for this project (Eckart-Young and soft thresholding of singular values)"
ONLY_FREE_OR_NO_BIAS = (
    "lam_b={lam_b} > 0 with {what}: the penalised bias mixes with the singular vectors. Closed forms exist for "
    "lam_b=None and lam_b=0.0."
)


def soft_threshold(*, Y: np.ndarray, d: int, lam_W: float, lam_H: float, lam_b: float | None = None) -> Prediction:
    """f* = (1/N) sum_i [s_i^2/2 - ((s_i - N nu)_+)^2/2 for i <= d], s the singular values of the (centred) targets.

    Z* = W H is the truncated SVD of Y (lam_b=None) or of Y - Y 11^T/N (lam_b=0, b = Y 1/N) with s -> (s - N nu)_+.

    Args:
        Y: [K, N] real targets.
        d: number of features, any.
        lam_W, lam_H: decays > 0; nu = sqrt(lam_W lam_H).
        lam_b: None (no bias) or 0.0 (free bias).
    Returns:
        Prediction of value, data_loss, W_sq, H_sq, sigma_Z; b with a bias; gram_W if it is unique; nullity unless a
        singular value sits at the threshold.
    Raises:
        ValueError: Y is not a finite, non-empty matrix, or another argument is impossible.
        NotApplicable: lam_b > 0.
    Assumes:
        Loss 1/2 |W h_i + b - y_i|^2 averaged over the N columns.
    Source:
        T10; derived for this project.
    """
    where = "mse.soft_threshold"
    Y = np.asarray(Y, dtype=np.float64)
    if Y.ndim != 2 or Y.size == 0 or not np.all(np.isfinite(Y)):
        raise ValueError(f"{where}: Y has shape {Y.shape} or is not finite. Pass finite targets [K, N].")
    check_count(where, "d", d, 1)
    check_decay(where, "lam_W", lam_W)
    check_decay(where, "lam_H", lam_H)
    if check_bias_decay(where, lam_b):
        raise NotApplicable(where, [ONLY_FREE_OR_NO_BIAS.format(lam_b=lam_b, what="general targets")])
    mean = np.mean(Y, axis=1)
    U, sigma, _, quantities = _shrink(Y if lam_b is None else Y - mean[:, None], Y.shape[1], d, lam_W, lam_H)
    if U is not None:
        quantities["gram_W"] = root_ratio(lam_W, lam_H) * (U * sigma) @ U.T
    if lam_b is not None:
        quantities["b"] = mean
    return Prediction("T10", "W H is the soft-thresholded SVD of the targets.", T10_SOURCE, quantities)


def class_sigmas(*, K: int, n: Sizes, lam_W: float, lam_H: float) -> np.ndarray:
    """[K] (sqrt(n_c) - N nu)_+, the singular value of W H that belongs to class c, in the order of the classes.

    W W^T = sqrt(lam_H/lam_W) diag(sigma); the class means are orthogonal of squared norm sqrt(lam_W/lam_H) sigma_c/n_c,
    the own logit of class c is sigma_c/sqrt(n_c), every other one 0.

    Raises:
        ValueError: bad arguments.
    Assumes:
        One-hot targets of any class sizes, no bias, d >= K (d < K: the d largest ones stay, if no tie cuts them).
    Source:
        3.5 (general orthogonal frame), T10; derived for this project.
    """
    where = "mse.class_sigmas"
    sizes = check_sizes(where, K, n)
    strength = nu(check_decay(where, "lam_W", lam_W), check_decay(where, "lam_H", lam_H))
    return np.maximum(np.sqrt(sizes) - int(np.sum(sizes)) * strength, 0.0)


def class_thresholds(*, K: int, n: Sizes) -> np.ndarray:
    """[K] sqrt(n_c)/N: from this nu = sqrt(lam_W lam_H) on class c is lost, w_c = h_c = 0.

    For STEP sizes the same number at which the classes of a group coincide under cross-entropy (3.4).

    Raises:
        ValueError: bad arguments.
    Assumes:
        One-hot targets of any class sizes, no bias, d >= K.
    Source:
        3.5, T10; derived for this project.
    """
    sizes = check_sizes("mse.class_thresholds", K, n)
    return np.sqrt(sizes) / int(np.sum(sizes))


def imbalanced_minimum(sizes: np.ndarray, d: int, lam_W: float, lam_H: float, lam_b: float | None) -> Prediction:
    """T10 for one-hot targets of the given class sizes [K], in the K x K coordinates sqrt(n_k) x class mean."""
    N = int(np.sum(sizes))
    roots = np.sqrt(sizes)
    bias = np.zeros(len(sizes)) if lam_b is None else sizes / N
    U, sigma, V, quantities = _shrink((np.eye(len(sizes)) - bias[:, None]) * roots, N, d, lam_W, lam_H)
    if U is not None and V is not None:
        features = V / roots[:, None]
        logits = (U * sigma) @ features.T
        scores = logits + bias[:, None]
        quantities["gram_W"] = root_ratio(lam_W, lam_H) * (U * sigma) @ U.T
        quantities["gram_M"] = (features * sigma) @ features.T / root_ratio(lam_W, lam_H)
        quantities["logits"] = logits
        lead = np.diag(scores) - scores + np.diag(np.full(len(sizes), np.inf))
        quantities["margin"] = float(np.min(lead))
    if lam_b is not None:
        quantities["b"] = bias
    kind = "the targets" if lam_b is None else "the centred targets"
    statement = (
        f"W H is the SVD of {kind}, singular values shrunk by N sqrt(lam_W lam_H); small classes are lost first."
    )
    return Prediction("T10", statement, T10_SOURCE, quantities)


def _shrink(
    targets: np.ndarray, N: int, d: int, lam_W: float, lam_H: float
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray | None, dict[str, Quantity]]:
    """Left vectors, shrunk singular values, right vectors, and what they alone determine.

    The vectors are None if a tie at the cut d leaves the minimiser free: then only the singular values are known.
    """
    eps = np.finfo(float).eps
    U, s, Vt = np.linalg.svd(targets, full_matrices=False)
    s[s <= 8 * max(targets.shape) * eps * s[0]] = 0.0  # exact zeros that rounding has filled
    threshold = N * nu(lam_W, lam_H)
    rank = int(np.sum(s[:d] > threshold))
    sigma = np.where(np.arange(len(s)) < rank, s - threshold, 0.0)
    kept, lost = s[:rank], s[rank:]
    padded = np.zeros(len(targets))
    padded[: len(s)] = sigma
    loss_of_lost = float(np.sum((lost / math.sqrt(N)) ** 2)) / 2
    quantities: dict[str, Quantity] = {
        "value": float(np.sum((threshold / N) * (2 * kept - threshold))) / 2 + loss_of_lost,
        "data_loss": rank * (threshold / math.sqrt(N)) ** 2 / 2 + loss_of_lost if rank else loss_of_lost,
        "W_sq": root_ratio(lam_W, lam_H) * float(np.sum(sigma)),
        "H_sq": float(np.sum(sigma)) / root_ratio(lam_W, lam_H),
        "sigma_Z": padded,
    }
    # A tie at the cut: any subspace of the tied vectors is as good, a Grassmannian of minimisers.
    cut_ties = (
        (lambda values: int(np.sum(np.abs(values - s[rank - 1]) <= 1e-12 * s[0]))) if rank == d else (lambda _: 0)
    )
    free = cut_ties(kept) * cut_ties(lost)
    if not np.any(np.abs(s - threshold) <= 1e-13 * s[0]):
        quantities["nullity"] = rank * (2 * d - rank - 1) // 2 + free
    return (None, sigma, None, quantities) if free else (U, sigma, Vt.T, quantities)
