"""Only the features are free: a classifier frozen as simplex ETF, its margins, and when it is the nearest-mean rule.

W = sqrt(E_W) times a simplex ETF, so |w_k|^2 = E_W; no bias. Class sizes may be anything: the samples share nothing
that moves. E_H is the budget of one feature, |h|^2 <= E_H.
"""

import math

import numpy as np

from theory.arguments import Sizes, check_count, check_decay, check_matrix, check_positive, check_sizes, nu
from theory.frames import centering
from theory.prediction import NotApplicable, Prediction, Quantity
from theory.roots import margin_root
from theory.seli import nuclear_norm

SOURCE = "Yang et al. (NeurIPS 2022, arXiv 2203.09081); values derived for this project"


def applies(*, K: int, n: Sizes, d: int) -> tuple[str, ...]:
    """Reasons why the functions of this module do not apply; empty if they do.

    Raises:
        ValueError: an argument is impossible.
    """
    check_sizes("fixed_classifier.applies", K, n)
    return _few_features(K, check_count("fixed_classifier.applies", "d", d, 1))


def norm_ball_minimum(*, K: int, n: Sizes, d: int, E_W: float, E_H: float) -> Prediction:
    """log(1 + (K-1) exp(-K/(K-1) sqrt(E_W E_H))), cross-entropy over |h_i|^2 <= E_H: h = sqrt(E_H/E_W) w_y.

    Args:
        K, d: classes and features.
        n: samples a class, an int or K sizes; any, the minimum does not depend on them.
        E_W, E_H: squared norms > 0 of a classifier and (at most) of a feature.
    Returns:
        Prediction of every quantity but b and nullity; value = data_loss.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: d < K-1.
    Assumes:
        W a fixed simplex ETF, d >= K-1, no bias, no decay.
    Source:
        8: Yang et al. (arXiv 2203.09081); value derived for this project.
    """
    _, N, product = _check("fixed_classifier.norm_ball_minimum", K, n, d, E_W, E_H)
    x = K / (K - 1) * product
    loss = math.log1p((K - 1) * math.exp(-x))
    statement = "Every feature is its classifier, scaled to the boundary of the ball, whatever the class sizes."
    return Prediction("8", statement, SOURCE, {"value": loss, "data_loss": loss, **_aligned(K, n, N, E_W, x)})


def dot_regression_minimum(*, K: int, n: Sizes, d: int, E_W: float, E_H: float) -> Prediction:
    """0, the minimum of the mean of (w_y . h - r)^2/(2r) with r = sqrt(E_W E_H), over |h_i|^2 <= E_H.

    Attained only at h = sqrt(E_H/E_W) w_y. On the sphere the loss is flat there, of fourth order in the angle: a
    gradient of 1e-14 leaves angles of 1e-4.

    Args, Returns, Raises, Assumes:
        As `norm_ball_minimum`, with this loss in place of cross-entropy.
    Source:
        8: Yang et al. (arXiv 2203.09081).
    """
    _, N, product = _check("fixed_classifier.dot_regression_minimum", K, n, d, E_W, E_H)
    aligned = _aligned(K, n, N, E_W, K / (K - 1) * product)
    statement = "Every feature is its classifier, scaled to the boundary of the ball: the loss vanishes."
    return Prediction("8", statement, SOURCE, {"value": 0.0, "data_loss": 0.0, **aligned})


def feature_decay_minimum(*, K: int, n: Sizes, d: int, E_W: float, lam_H: float) -> Prediction:
    """log(1 + (K-1) e^-x) + N lam_H |h|^2/2 with N lam_H x (K-1+e^x) = K^2 E_W/(K-1), |h| = x (K-1)/(K sqrt(E_W)).

    Cross-entropy with lam_H/2 |H|^2 over H alone; in terms of one sample its decay is N lam_H/2 |h|^2. Every feature
    points along its classifier and has a margin x > 0, at any decay.

    Args:
        K, d: classes and features.
        n: samples a class, an int or K sizes; only N counts.
        E_W: squared norm > 0 of a classifier.
        lam_H: decay > 0.
    Returns:
        Prediction of every quantity but b and nullity; value has no share of lam_W.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: d < K-1.
    Assumes:
        W a fixed simplex ETF, d >= K-1, no bias.
    Source:
        8; derived for this project (the objective is strictly convex in H).
    """
    where = "fixed_classifier.feature_decay_minimum"
    _, N, _ = _check(where, K, n, d, E_W, 1.0)
    log_pull = 2.0 * math.log(K) - math.log(K - 1) + math.log(E_W) - math.log(N)
    x = margin_root(log_pull - math.log(check_decay(where, "lam_H", lam_H)), 1, K - 1)
    aligned = _aligned(K, n, N, E_W, x)
    loss = math.log1p((K - 1) * math.exp(-x))
    statement = "Every feature points along its classifier, at the margin where the pull of the loss equals the decay."
    value = loss + lam_H / 2 * aligned["H_sq"]
    return Prediction("8", statement, SOURCE, {"value": value, "data_loss": loss, **aligned})


def margin(*, K: int, E_W: float, E_H: float) -> float:
    """K/(K-1) sqrt(E_W E_H) = min_j (w_k - w_j) . h_k of simplex ETFs with |w|^2 = E_W, |h|^2 = E_H.

    Raises:
        ValueError: an argument is impossible.
    Source:
        8; elementary.
    """
    return check_count("fixed_classifier.margin", "K", K, 2) / (K - 1) * _product("fixed_classifier.margin", E_W, E_H)


def boundary_distance(*, K: int, E_H: float) -> float:
    """sqrt(K/(2(K-1)) E_H), the Euclidean distance of a feature from the nearest decision boundary of the same frames.

    Raises:
        ValueError: an argument is impossible.
    Source:
        8; elementary.
    """
    where = "fixed_classifier.boundary_distance"
    K = check_count(where, "K", K, 2)
    return math.sqrt(K / (2 * (K - 1)) * check_positive(where, "E_H", E_H))


def largest_margin(*, K: int, n: Sizes, E_W: float, E_H: float) -> float:
    """sqrt(K E_W N E_H)/|P Y|_*, the largest min-margin with |W|^2 <= K E_W, |H|^2 <= N E_H, W free too.

    Attained by the SELI geometry (`theory.seli`); balanced it is K/(K-1) sqrt(E_W E_H).

    Raises:
        ValueError: an argument is impossible.
    Assumes:
        d >= K-1; any class sizes.
    Source:
        8, 3.1; derived for this project (homogeneity of the hard-margin problem).
    """
    where = "fixed_classifier.largest_margin"
    N = int(np.sum(check_sizes(where, K, n)))
    return math.sqrt(K * N) * _product(where, E_W, E_H) / nuclear_norm(K=K, n=n)


def is_nearest_mean_rule(*, W: np.ndarray, M: np.ndarray, b: np.ndarray | None = None, tolerance: float = 1e-9) -> bool:
    """Whether argmax_k (w_k . h + b_k) = argmin_k |h - mu_k| for every h, since scores and distances agree (NC4).

    True iff for one s > 0 the rows of W - s M^T are all equal, and so are b_k + s |mu_k|^2/2. With means of equal norm
    and w_k = s mu_k no or a constant bias does; with different norms (imbalance) it takes b_k = -s |mu_k|^2/2.

    Args:
        W: [K, d] classifiers.
        M: [d, K] class means.
        b: [K] bias, or None.
        tolerance: largest deviation, relative to |W| and to the scores of the means.
    Returns:
        The answer. For two classes whose boundaries coincide, and whenever every pair of classes shares a boundary, the
        condition is also necessary.
    Raises:
        ValueError: shapes disagree, or an entry is not finite.
    Source:
        8: Papyan et al. (PNAS 2020, arXiv 2008.08186) for NC4; the condition derived for this project.
    """
    where = "fixed_classifier.is_nearest_mean_rule"
    W = check_matrix(where, "W", W, (None, None))
    M = check_matrix(where, "M", M, W.shape[::-1])
    b = np.zeros(len(W)) if b is None else check_matrix(where, "b", b, (len(W),))
    classifiers, means = W - W.mean(axis=0), (M - M.mean(axis=1, keepdims=True)).T
    size = float(np.sum(means**2))
    s = float(np.sum(classifiers * means)) / size if size > 0.0 else 0.0
    if s <= 0.0:
        return False
    offsets = b + s / 2 * np.sum(M**2, axis=0)
    parallel = np.linalg.norm(classifiers - s * means) <= tolerance * np.linalg.norm(classifiers)
    return bool(parallel and np.ptp(offsets) <= tolerance * s * size)


def _aligned(K: int, n: Sizes, N: int, E_W: float, x: float) -> dict[str, Quantity]:
    """The geometry of features along their classifiers with margin x."""
    radius_sq = (x * (K - 1) / K / math.sqrt(E_W)) ** 2
    P, sizes = centering(K), np.broadcast_to(np.asarray(n, dtype=np.float64), (K,))
    return {
        "W_sq": K * E_W,
        "H_sq": N * radius_sq,
        "gram_W": K / (K - 1) * E_W * P,
        "gram_M": K / (K - 1) * radius_sq * P,
        "logits": x * P,
        "sigma_Z": np.linalg.svd(x * P * np.sqrt(sizes), compute_uv=False),
        "margin": x,
    }


def _check(where, K, n, d, E_W, E_H) -> tuple[np.ndarray, int, float]:
    """Class sizes, N and sqrt(E_W E_H) after the checks that are shared by all."""
    sizes = check_sizes(where, K, n)
    if reasons := _few_features(K, check_count(where, "d", d, 1)):
        raise NotApplicable(where, reasons)
    return sizes, int(np.sum(sizes)), _product(where, E_W, E_H)


def _product(where: str, E_W: float, E_H: float) -> float:
    return nu(check_positive(where, "E_W", E_W), check_positive(where, "E_H", E_H))


def _few_features(K: int, d: int) -> tuple[str, ...]:
    return () if d >= K - 1 else (f"d={d} < K-1={K - 1}: no simplex ETF of K classifiers fits.",)
