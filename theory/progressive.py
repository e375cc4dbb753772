"""Progressive collapse in deep linear networks on near-orthogonal data: exact curves over the layers (P0-P2).

W_L ... W_1 X = Y, balanced, of minimal norm, and approximately of rank K: W_l = U_l diag(S^(1/L), eps I) U_(l-1)^T for
l < L, S the singular values of Y X^+. The features of layer l are W_l ... W_1 X; layer 0 is the data X [d, N].
"""

from typing import NamedTuple

import numpy as np

from theory.arguments import check_count, check_matrix, check_nonnegative, check_positive


class LayerCurves(NamedTuple):
    """C [L], D [L] of the layers 0, ..., L-1: see `within_over_between` and `separation`."""

    C: np.ndarray
    D: np.ndarray


def within_over_between(H: np.ndarray, labels: np.ndarray) -> float:
    """C = tr Sigma_W / tr Sigma_B of features H [d, N], Sigma_B = sum_k (n_k/N)(mu_k - mu)(mu_k - mu)^T.

    Raises:
        ValueError: H is not a finite matrix, or labels are not N ints 0, ..., K-1 that all occur.
    Source:
        P0; Wang et al. (arXiv 2311.02960), whose C_l this is for equal class sizes.
    """
    where = "progressive.within_over_between"
    H, means, sizes = _classes(where, H, labels)
    scatter = float(np.sum((H - means[:, labels]) ** 2)) / H.shape[1]
    centred = means - np.mean(H, axis=1, keepdims=True)
    return scatter / float(sizes @ np.sum(centred**2, axis=0) / H.shape[1])


def separation(H: np.ndarray, labels: np.ndarray) -> float:
    """D = 1 - max over k != k' of cos(mu_k, mu_k'), the class means not centred.

    Raises:
        ValueError: as `within_over_between`.
    Source:
        P0; Wang et al. (arXiv 2311.02960), D_l.
    """
    _, means, _ = _classes("progressive.separation", H, labels)
    return _separation(means.T @ means)


def layer_curves(*, X: np.ndarray, labels: np.ndarray, eps: float, L: int) -> LayerCurves:
    """tr Sigma_W^l = eps^(2l) tr Sigma_W^0, Gram_l = G^(l/L - 1) + eps^(2l) (M0^T M0 - G^-1), G = Y (X^T X)^-1 Y^T.

    Args:
        X: [d, N] data with independent columns; M0 its class means. labels: [N] ints; Y their one-hot columns.
        eps: the other singular values of every W_l. L: number of matrices.
    Returns:
        LayerCurves. C_l and D_l are exact under the module's assumption.
    Raises:
        ValueError: bad arguments, or dependent columns.
    Source:
        P2; derived for this project (Wang et al., arXiv 2311.02960, have the orders).
    """
    where = "progressive.layer_curves"
    X, means, sizes = _classes(where, X, labels)
    eps, L = check_positive(where, "eps", eps), check_count(where, "L", L, 1)
    N = X.shape[1]
    gram = X.T @ X
    if np.linalg.matrix_rank(gram, hermitian=True) < N:
        raise ValueError(f"{where}: the columns of X are dependent. Pass at most d independent samples.")
    Y = (labels[None, :] == np.arange(len(sizes))[:, None]).astype(float)
    values, vectors = np.linalg.eigh(Y @ np.linalg.solve(gram, Y.T))
    within = float(np.sum((X - means[:, labels]) ** 2)) / N
    beyond = means.T @ means - (vectors / values) @ vectors.T
    C, D = np.empty(L), np.empty(L)
    for layer in range(L):
        power = (vectors * values ** (layer / L - 1.0)) @ vectors.T + eps ** (2 * layer) * beyond
        mean = power @ sizes / N
        between = float(sizes @ np.diag(power) / N - sizes @ mean / N)
        C[layer], D[layer] = eps ** (2 * layer) * within / between, _separation(power)
    return LayerCurves(C, D)


def rate(*, K: int, n: int, eps: float, L: int, theta: float = 0.0) -> float:
    """C_(l+1)/C_l = eps^2 ((1 - theta/K)/n)^(1/L), for every l, of data with X^T X = I + (theta/N) [labels differ].

    Args:
        K classes of n samples. theta: in [0, K). eps, L: as for `layer_curves`.
    Raises:
        ValueError: bad arguments.
    Source:
        P2; derived for this project. Orthonormal data: eps^2/n^(1/L), the order in Wang et al. (arXiv 2311.02960).
    """
    where = "progressive.rate"
    K, n, L = check_count(where, "K", K, 2), check_count(where, "n", n, 1), check_count(where, "L", L, 1)
    theta = _correlation(where, theta, K)
    return check_positive(where, "eps", eps) ** 2 * ((1.0 - theta / K) / n) ** (1 / L)


def separations(*, K: int, L: int, theta: float) -> np.ndarray:
    """[L] D_l = 1 - (a - b)/(a + (K-1) b), a = (1 + theta (K-1)/K)^(1 - l/L), b = (1 - theta/K)^(1 - l/L).

    For data with X^T X = I + (theta/N) [labels differ]: D_0 = 1 - theta/K, then almost linear in l up to 1, where the
    small singular values contribute nothing to the class means.

    Args:
        K: classes. L: matrices. theta: in [0, K).
    Raises:
        ValueError: bad arguments.
    Source:
        P2; derived for this project.
    """
    where = "progressive.separations"
    K, L = check_count(where, "K", K, 2), check_count(where, "L", L, 1)
    theta = _correlation(where, theta, K)
    power = 1.0 - np.arange(L) / L
    a, b = (1.0 + theta * (K - 1) / K) ** power, (1.0 - theta / K) ** power
    return 1.0 - (a - b) / (a + (K - 1) * b)


def rate_bracket(*, K: int, N: int) -> tuple[float, float]:
    """((N-2K)/(N-K), (N-K)/(N-2K)): C_(l+1)/C_l over its exact value lies between, for orthonormal data after training.

    Args:
        K: classes. N: samples, > 2K.
    Raises:
        ValueError: bad arguments.
    Assumes:
        Orthogonal start of scale eps; the top K singular values balanced, K more in [0, eps], the others eps.
    Source:
        P2; derived for this project.
    """
    where = "progressive.rate_bracket"
    K = check_count(where, "K", K, 2)
    N = check_count(where, "N", N, 2 * K + 1)
    return (N - 2 * K) / (N - K), (N - K) / (N - 2 * K)


def _correlation(where: str, theta: float, K: int) -> float:
    theta = check_nonnegative(where, "theta", theta)
    if theta >= K:
        raise ValueError(f"{where}: theta={theta} is not below K={K}; the data would be dependent. Pass theta < K.")
    return theta


def _separation(gram: np.ndarray) -> float:
    norms = np.sqrt(np.diag(gram))
    return 1.0 - float(np.max((gram / norms / norms[:, None])[~np.eye(len(gram), dtype=bool)]))


def _classes(where: str, H: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """H, class means [d, K] and class sizes [K], after the checks."""
    H, labels = check_matrix(where, "H", H, (None, None)), np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.shape != (H.shape[1],) or np.min(labels) < 0:
        raise ValueError(
            f"{where}: labels are not {H.shape[1]} class numbers, one for each column of H. Pass ints >= 0."
        )
    sizes = np.bincount(labels)
    if len(sizes) < 2 or np.min(sizes) == 0:
        raise ValueError(f"{where}: labels must name K >= 2 classes and leave none out. Number them 0, ..., K-1.")
    onehot = (labels[:, None] == np.arange(len(sizes))) / sizes
    return H, H @ onehot, sizes
