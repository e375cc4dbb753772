"""Cross-entropy with label smoothing, balanced classes: global minimum (T7), Hessian spectra (T16, T18), thresholds.

Every function takes the same keywords: K classes, n samples a class (an int, or K sizes), d features, the decays lam_W,
lam_H > 0, lam_b (None: no bias, 0.0: free bias, > 0), and smoothing in [0, 1), for the targets (1 - smoothing) e_y +
smoothing/K.
"""

import math

import numpy as np

from theory.arguments import Sizes, check_bias_decay, check_count, check_decay, check_sizes, check_smoothing, nu
from theory.arguments import kappa as _kappa
from theory.etf import Curvature, etf_nullity, etf_quantities, etf_spectrum, origin_blocks
from theory.prediction import NotApplicable, Prediction, Spectrum

T7_SOURCE = (
    "Structure: Zhu et al. (NeurIPS 2021, arXiv 2105.02375); margin with smoothing: Guo et al. (arXiv 2402.03979); "
    "values derived for this project"
)


def kappa(*, K: int, n: Sizes, lam_W: float, lam_H: float) -> float:
    """kappa = K sqrt(n lam_W lam_H), the strength of the decay: W = H = 0 is optimal iff kappa >= collapse_threshold.

    Raises:
        ValueError: bad arguments, or imbalanced n.
    """
    return _kappa("cross_entropy.kappa", K, n, lam_W, lam_H)


def collapse_threshold(*, smoothing: float = 0.0) -> float:
    """1 - smoothing, the kappa from which on W = H = 0 is the only global minimiser (any d).

    Raises:
        ValueError: smoothing outside [0, 1).
    Source:
        T7, T18; derived for this project.
    """
    return 1.0 - check_smoothing("cross_entropy.collapse_threshold", smoothing)


def applies(
    *, K: int, n: Sizes, d: int, lam_W: float, lam_H: float, lam_b: float | None = None, smoothing: float = 0.0
) -> tuple[str, ...]:
    """Reasons why T7 and T16 do not apply; empty if they do.

    Raises:
        ValueError: an argument is impossible (K < 2, a decay that is not positive, ...).
    """
    sizes, _, _ = _check("cross_entropy.applies", K, n, d, lam_W, lam_H, lam_b, smoothing)
    return _imbalance(sizes) + _few_features(K, d)


def global_minimum(
    *, K: int, n: Sizes, d: int, lam_W: float, lam_H: float, lam_b: float | None = None, smoothing: float = 0.0
) -> Prediction:
    """f* = -p log p - (K-1) q log q with q = (kappa + smoothing)/K, p = 1 - (K-1) q; log K once kappa >= 1 - smoothing.

    The class means form a simplex ETF of margin a = log(p/q): W M = a (I - J/K).

    Args:
        K, n, d, lam_W, lam_H, lam_b, smoothing: see the module.
    Returns:
        Prediction with every quantity; "b" is absent if lam_b is None, "nullity" within rounding of
        kappa = 1 - smoothing, where (K-1) d more zeros appear.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: imbalanced classes or d < K-1.
    Assumes:
        Equal class sizes; d >= K-1; lam_W, lam_H > 0; smoothing in [0, 1).
    Source:
        T7: structure Zhu et al. (arXiv 2105.02375), margin with smoothing Guo et al. (arXiv 2402.03979), values derived
        for this project (equal to the dual value of T15).
    """
    where = "cross_entropy.global_minimum"
    lam_b, smoothing, size = _require(where, K, n, d, lam_W, lam_H, lam_b, smoothing)
    q, excess, a = _margin(K, K * math.sqrt(size) * nu(lam_W, lam_H), smoothing)
    p = q + max(excess, 0.0)
    log_p = math.log1p(-(K - 1) * q) if p > 0.5 else math.log(p)  # whichever does not cancel
    quantities = {
        "value": -p * log_p - (K - 1) * q * math.log(q) if excess > 0.0 else math.log(K),
        "data_loss": -log_p + smoothing * (K - 1) * a / K,
        **etf_quantities(K, size, lam_W, lam_H, lam_b, a),
    }
    if abs(excess) > 8 * np.finfo(float).eps:  # nearer, rounding decides between the ETF and zero
        quantities["nullity"] = nullity(K=K, d=d, lam_b=lam_b) if excess > 0.0 else int(lam_b == 0.0)
    statement = (
        "The class means and classifiers form one simplex ETF of margin log(p/q), unique up to rotation."
        if excess > 0.0
        else "kappa >= 1 - smoothing: W = H = 0 is the only global minimiser."
    )
    return Prediction("T7", statement, T7_SOURCE, quantities)


def nullity(*, K: int, d: int, lam_b: float | None = None) -> int:
    """(K-1)(2d-K)/2 + [lam_b = 0], the dimension of the Hessian's null space at the ETF minimiser.

    The first term is the dimension of the orbit under O(d), the second the free shift of b along the ones vector.

    Raises:
        ValueError: an argument is impossible, or d < K-1.
    Assumes:
        d >= K-1, equal class sizes, kappa < 1 - smoothing.
    Source:
        T16; derived for this project.
    """
    where = "cross_entropy.nullity"
    K = check_count(where, "K", K, 2)
    d = check_count(where, "d", d, K - 1)
    return etf_nullity(K, d, check_bias_decay(where, lam_b))


def minimum_spectrum(
    *, K: int, n: Sizes, d: int, lam_W: float, lam_H: float, lam_b: float | None = None, smoothing: float = 0.0
) -> Spectrum:
    """Every eigenvalue of the Hessian over (W, H, b) at the global minimiser of `global_minimum`.

    The logits add stiffness t1 = a q/kappa or t2 = K a p q/kappa to the decays of a direction in W and one in H.

    Args:
        K, n, d, lam_W, lam_H, lam_b, smoothing: see the module.
    Returns:
        Spectrum. The zero modes are exact zeros; eigenvalues of the block that mixes W, H and b are accurate to
        rounding of the largest one in it. For kappa >= 1 - smoothing the spectrum at W = H = 0.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: imbalanced classes or d < K-1.
    Assumes:
        Equal class sizes; d >= K-1.
    Source:
        T16; derived for this project from the symmetry under permutations of the classes.
    """
    where = "cross_entropy.minimum_spectrum"
    lam_b, smoothing, size = _require(where, K, n, d, lam_W, lam_H, lam_b, smoothing)
    curvature = logit_curvature(K=K, n=size, lam_W=lam_W, lam_H=lam_H, smoothing=smoothing)
    if curvature.margin == 0.0:
        return origin_spectrum(K=K, n=n, d=d, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b, smoothing=smoothing)
    return etf_spectrum(K, size, d, lam_W, lam_H, lam_b, curvature)


def origin_spectrum(
    *, K: int, n: Sizes, d: int, lam_W: float, lam_H: float, lam_b: float | None = None, smoothing: float = 0.0
) -> Spectrum:
    """Every eigenvalue of the Hessian at the origin: (lam_W+lam_H)/2 +- sqrt(((lam_W-lam_H)/2)^2 + g^2) and the decays.

    b = 0 there, and g = (1 - smoothing)/(K sqrt(n)), K-1 times, are the singular values of the gradient in the logits.
    The least eigenvalue is negative iff kappa < 1 - smoothing: then the origin is a strict saddle.

    Args:
        K, n, d, lam_W, lam_H, lam_b, smoothing: see the module; d is any.
    Returns:
        Spectrum.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: imbalanced classes.
    Assumes:
        Equal class sizes.
    Source:
        T18; derived for this project.
    """
    where = "cross_entropy.origin_spectrum"
    sizes, lam_b, smoothing = _check(where, K, n, d, lam_W, lam_H, lam_b, smoothing)
    if reasons := _imbalance(sizes):
        raise NotApplicable(where, reasons)
    size, threshold = int(sizes[0]), 1.0 - smoothing
    slack = K * math.sqrt(size) * nu(lam_W, lam_H) - threshold
    return origin_blocks(K, size, d, lam_W, lam_H, lam_b, threshold, slack, 1.0 / K)


def logit_curvature(*, K: int, n: Sizes, lam_W: float, lam_H: float, smoothing: float = 0.0) -> Curvature:
    """j1 = q, j2 = K p q: one sample's Hessian in its logits at the minimiser, across and along its class.

    Returns:
        Curvature; margin 0.0 and p = q = 1/K once kappa >= 1 - smoothing.
    Raises:
        ValueError: bad arguments, or imbalanced n.
    Assumes:
        d >= K-1, equal class sizes.
    Source:
        T16; derived for this project.
    """
    where = "cross_entropy.logit_curvature"
    smoothing = check_smoothing(where, smoothing)
    strength = _kappa(where, K, n, lam_W, lam_H)
    q, excess, a = _margin(K, strength, smoothing)
    excess = max(excess, 0.0)
    return Curvature(a, strength / K, q, K * (q + excess) * q, q * excess)


def _margin(K: int, strength: float, smoothing: float) -> tuple[float, float, float]:
    """(q, p - q, a): softmax mass of a wrong class, excess of the right one, margin log(p/q); a = 0 if trivial."""
    excess = (1.0 - smoothing) - strength
    if excess <= 0.0:
        return 1.0 / K, min(excess, 0.0), 0.0
    q = (strength + smoothing) / K
    # log1p keeps a near the threshold; the difference of logarithms cannot overflow far from it.
    return q, excess, math.log1p(excess / q) if excess < q else math.log(q + excess) - math.log(q)


def _check(where, K, n, d, lam_W, lam_H, lam_b, smoothing) -> tuple[np.ndarray, float | None, float]:
    """Class sizes, bias decay and smoothing after the checks that are shared by all."""
    sizes = check_sizes(where, K, n)
    check_count(where, "d", d, 1)
    check_decay(where, "lam_W", lam_W)
    check_decay(where, "lam_H", lam_H)
    return sizes, check_bias_decay(where, lam_b), check_smoothing(where, smoothing)


def _require(where, K, n, d, lam_W, lam_H, lam_b, smoothing) -> tuple[float | None, float, int]:
    """Bias decay, smoothing and the one class size; NotApplicable where T7 does not hold."""
    sizes, lam_b, smoothing = _check(where, K, n, d, lam_W, lam_H, lam_b, smoothing)
    if reasons := _imbalance(sizes) + _few_features(K, d):
        raise NotApplicable(where, reasons)
    return lam_b, smoothing, int(sizes[0])


def _imbalance(sizes: np.ndarray) -> tuple[str, ...]:
    if np.all(sizes == sizes[0]):
        return ()
    return (
        f"The class sizes {tuple(sizes.tolist())} differ: the minimiser is no simplex ETF. Known exactly is only when "
        "it is zero: W = H = 0 with its best b is optimal iff the gradient in the logits there has spectral norm <= "
        "sqrt(lam_W lam_H).",
    )


def _few_features(K: int, d: int) -> tuple[str, ...]:
    if d >= K - 1:
        return ()
    return (
        f"d={d} < K-1={K - 1}: no simplex ETF fits, and spurious local minima exist (T6). Known is only that f* >= the "
        "value at d = K-1, with equality iff kappa >= 1 - smoothing, where W = H = 0 is optimal.",
    )
