"""Cross-entropy with non-negative features (H >= 0, a ReLU before the last layer), no bias, any class sizes.

The class means are orthogonal instead of a simplex; each class has its own margin and its own collapse threshold.
nu = sqrt(lam_W lam_H).
"""

import math

import numpy as np

from theory.arguments import Sizes, check_count, check_decay, check_sizes, nu, root_ratio
from theory.frames import centering
from theory.prediction import NotApplicable, Prediction, Quantity

SOURCE = "Dang et al. (ICML 2024, arXiv 2401.02058); closed form re-derived for this project"


def applies(*, K: int, n: Sizes, d: int, lam_W: float, lam_H: float) -> tuple[str, ...]:
    """Reasons why `global_minimum` does not apply; empty if it does.

    Raises:
        ValueError: an argument is impossible (K < 2, a decay that is not positive, ...).
    """
    _check("relu_features.applies", K, n, d, lam_W, lam_H)
    return _few_features(K, d)


def global_minimum(*, K: int, n: Sizes, d: int, lam_W: float, lam_H: float) -> Prediction:
    """f* = sum_c [(n_c/N) log(1 + (K-1) e^-x_c) + nu sqrt(n_c) m_c], m_c = x_c sqrt((K-1)/K): orthogonal class means.

    x_c = log(1 + K (g_c - 1)) with g_c = sqrt(n_c (K-1)/K)/(N nu) is the margin of class c; 0 where g_c <= 1, and then
    its features are zero. Class logits x_c (e_c - 1/K); W W^T = sum_c omega_c^2 K/(K-1) (e_c - 1/K)(e_c - 1/K)^T with
    omega_c^2 = m_c sqrt(n_c lam_H/lam_W); features of squared norm m_c sqrt(lam_W/(lam_H n_c)).

    Args:
        K: classes.
        n: samples a class, an int or K sizes; any.
        d: features, all constrained to be >= 0.
        lam_W, lam_H: decays > 0.
    Returns:
        Prediction of every quantity but b and nullity.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: d < K.
    Assumes:
        H >= 0 entrywise; no bias; d >= K; no label smoothing.
    Source:
        3.7: Dang et al. (arXiv 2401.02058); re-derived for this project (tangents of the loss, W eliminated, and
        <h_i, h_j> >= 0). The landscape is not benign: local minima exist.
    """
    where = "relu_features.global_minimum"
    sizes, strength = _check(where, K, n, d, lam_W, lam_H)
    if reasons := _few_features(K, d):
        raise NotApplicable(where, reasons)
    x = _margins(sizes, strength)
    m, roots, ratio = x * math.sqrt((K - 1) / K), np.sqrt(sizes), root_ratio(lam_W, lam_H)
    omega_sq, features_sq = m * roots * ratio, m / roots / ratio
    data_loss = float(sizes @ np.log1p((K - 1) * np.exp(-x))) / float(np.sum(sizes))
    P = centering(K)
    quantities: dict[str, Quantity] = {
        "value": data_loss + strength * float(roots @ m),
        "data_loss": data_loss,
        "W_sq": float(np.sum(omega_sq)),
        "H_sq": float(sizes @ features_sq),
        "gram_W": (P * (omega_sq * K / (K - 1))) @ P,
        "gram_M": np.diag(features_sq),
        "logits": P * x,
        "sigma_Z": np.linalg.svd(P * (x * roots), compute_uv=False),
        "margin": float(np.min(x)),
    }
    lost = int(np.sum(x == 0.0))
    statement = f"Orthogonal class means, each classifier along its own; {lost} of {K} classes have zero features."
    return Prediction("3.7", statement, SOURCE, quantities)


def collapse_thresholds(*, K: int, n: Sizes) -> np.ndarray:
    """[K] sqrt(n_c (K-1)/K)/N: from this nu = sqrt(lam_W lam_H) on the features of class c are zero.

    Raises:
        ValueError: bad arguments.
    Assumes:
        H >= 0; no bias; d >= K; cross-entropy.
    Source:
        3.7: Dang et al. (arXiv 2401.02058); re-derived for this project.
    """
    sizes = check_sizes("relu_features.collapse_thresholds", K, n)
    return np.sqrt(sizes * ((K - 1) / K)) / np.sum(sizes)


def _margins(sizes: np.ndarray, strength: float) -> np.ndarray:
    """x_c [K] >= 0."""
    K = len(sizes)
    g = np.sqrt(sizes * ((K - 1) / K)) / np.sum(sizes) / strength
    # log(1 + K (g - 1)) keeps x near the threshold; K g may overflow where the decays vanish
    near = np.log1p(K * np.clip(g - 1.0, 0.0, 1.0))
    far = math.log(K) + np.log(g) + np.log1p(-(K - 1) / (K * np.maximum(g, 1.0)))
    return np.where(g <= 2.0, near, far)


def _check(where, K, n, d, lam_W, lam_H) -> tuple[np.ndarray, float]:
    """Class sizes and nu after the checks that are shared by all."""
    sizes = check_sizes(where, K, n)
    check_count(where, "d", d, 1)
    return sizes, nu(check_decay(where, "lam_W", lam_W), check_decay(where, "lam_H", lam_H))


def _few_features(K: int, d: int) -> tuple[str, ...]:
    return () if d >= K else (f"d={d} < K={K}: K orthogonal non-negative class means do not fit.",)
