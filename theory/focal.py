"""Focal loss (1-p_y)^gamma (-log p_y), balanced classes: global minimum (T13), Hessian spectra (T16, T18), thresholds.

Every function takes the same keywords: K classes, n samples a class (an int, or K sizes), d features, the decays lam_W,
lam_H > 0, lam_b (None: no bias, 0.0: free bias, > 0), and the exponent gamma >= 0; gamma = 0 is cross-entropy. On the
rays of simplex ETFs of margin m, f = phi(m) + C m with C = (K-1) sqrt(n lam_W lam_H) (see `theory.focal_rate`).

For K >= least_bistable_K and kappa inside bistable_range the landscape is not benign: zero and an ETF are both local
minima, and between them lie partially collapsed ones (some classes at h = 0).
"""

import math

import numpy as np

from theory.arguments import Sizes, check_bias_decay, check_count, check_decay, check_nonnegative, check_sizes, nu
from theory.arguments import kappa as _kappa
from theory.contrastive_losses import etf_obstacles
from theory.etf import Curvature, etf_nullity, etf_quantities, etf_spectrum, origin_blocks
from theory.focal_rate import (
    EPS,
    Stationary,
    best_margin,
    bistable_range,
    collapse_threshold,
    curvature,
    least_bistable_K,
    margin_loss,
    peak_margin,
    peak_probability,
    peak_rate,
    rate,
    rate_at_zero,
    stationary_margins,
    tie,
)
from theory.prediction import NotApplicable, Prediction, Quantity, Spectrum

__all__ = [
    "Stationary",
    "applies",
    "bistable_range",
    "collapse_threshold",
    "curvature",
    "global_minimum",
    "kappa",
    "least_bistable_K",
    "logit_curvature",
    "margin_loss",
    "minimum_spectrum",
    "origin_spectrum",
    "peak_margin",
    "peak_probability",
    "peak_rate",
    "rate",
    "stationary_margins",
]

T13_SOURCE = "derived for this project (T12 without convexity: every stationary margin is found and compared)"


def kappa(*, K: int, n: Sizes, lam_W: float, lam_H: float) -> float:
    """kappa = K sqrt(n lam_W lam_H), the strength of the decay; C = (K-1)/K kappa.

    Raises:
        ValueError: bad arguments, or imbalanced n.
    """
    return _kappa("focal.kappa", K, n, lam_W, lam_H)


def applies(
    *, K: int, n: Sizes, d: int, lam_W: float, lam_H: float, lam_b: float | None = None, gamma: float
) -> tuple[str, ...]:
    """Reasons why T13 does not determine the global minimiser; empty if it does.

    Raises:
        ValueError: an argument is impossible (K < 2, a decay that is not positive, ...).
    """
    sizes, lam_b = _check("focal.applies", K, n, d, lam_W, lam_H, lam_b, gamma)
    return _obstacles(sizes, d, _price(K, sizes, lam_W, lam_H), lam_b, gamma)


def global_minimum(
    *, K: int, n: Sizes, d: int, lam_W: float, lam_H: float, lam_b: float | None = None, gamma: float
) -> Prediction:
    """f* = min over a >= 0 of phi(a) + C a, C = (K-1) sqrt(n lam_W lam_H): the lowest stationary margin's simplex ETF.

    Args:
        K, n, d, lam_W, lam_H, lam_b, gamma: see the module.
    Returns:
        Prediction with every quantity; "b" is absent if lam_b is None, "nullity" within rounding of a threshold at
        which the margin goes to zero continuously.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: imbalanced classes; d < K-1; a bias with C > 1 and rate > 1 at zero; or a tie of zero with an ETF
            (then f* = phi(0) and both are global minimisers).
    Assumes:
        Equal class sizes; d >= K-1; no bias, or C <= 1, or the rate at zero (p = 1/K) <= 1.
    Source:
        T13; derived for this project.
    """
    where = "focal.global_minimum"
    lam_b, size, a = _require(where, K, n, d, lam_W, lam_H, lam_b, gamma)
    C = _price(K, np.array([size]), lam_W, lam_H)
    data_loss = float(margin_loss(a, K=K, gamma=gamma))
    quantities: dict[str, Quantity] = {
        "value": data_loss + C * a,
        "data_loss": data_loss,
        **etf_quantities(K, size, lam_W, lam_H, lam_b, a),
    }
    at_zero = rate_at_zero(K, gamma)
    if peak_margin(K=K, gamma=gamma) > 0.0 or abs(C - at_zero) > 16 * EPS * at_zero:
        quantities["nullity"] = etf_nullity(K, d, lam_b) if a > 0.0 else int(lam_b == 0.0)
    statement = (
        "The class means and classifiers form one simplex ETF, unique up to rotation, at the lowest stationary margin."
        if a > 0.0
        else "The decay is above its threshold: W = H = 0 is the only global minimiser."
    )
    return Prediction("T13", statement, T13_SOURCE, quantities)


def logit_curvature(*, K: int, n: Sizes, lam_W: float, lam_H: float, gamma: float) -> Curvature:
    """j1 = rate/(K-1), j2 = K phi''/(K-1): one sample's Hessian in its logits, across and along its class.

    Returns:
        Curvature at the global minimiser without bias; margin 0.0 where that is W = H = 0.
    Raises:
        ValueError: an argument is impossible, or imbalanced n.
        NotApplicable: zero and an ETF tie.
    Assumes:
        d >= K-1, equal class sizes.
    Source:
        T16; derived for this project.
    """
    where = "focal.logit_curvature"
    c = _kappa(where, K, n, lam_W, lam_H) / K
    check_nonnegative(where, "gamma", gamma)
    if reasons := tie((K - 1) * c, K, gamma):
        raise NotApplicable(where, reasons)
    return _logit_curvature(best_margin((K - 1) * c, K, gamma), c, K, gamma)


def minimum_spectrum(
    *, K: int, n: Sizes, d: int, lam_W: float, lam_H: float, lam_b: float | None = None, gamma: float
) -> Spectrum:
    """Every eigenvalue of the Hessian over (W, H, b) at the global minimiser of `global_minimum`.

    Args:
        K, n, d, lam_W, lam_H, lam_b, gamma: see the module.
    Returns:
        Spectrum, zero modes exact; that at W = H = 0 where it is the minimiser.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: as `global_minimum`.
    Assumes:
        As `global_minimum`.
    Source:
        T16; derived for this project.
    """
    where = "focal.minimum_spectrum"
    lam_b, size, a = _require(where, K, n, d, lam_W, lam_H, lam_b, gamma)
    if a == 0.0:
        return origin_spectrum(K=K, n=n, d=d, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b, gamma=gamma)
    c = math.sqrt(size) * nu(lam_W, lam_H)
    return etf_spectrum(K, size, d, lam_W, lam_H, lam_b, _logit_curvature(a, c, K, gamma))


def origin_spectrum(
    *, K: int, n: Sizes, d: int, lam_W: float, lam_H: float, lam_b: float | None = None, gamma: float
) -> Spectrum:
    """Every eigenvalue of the Hessian at zero: (lam_W+lam_H)/2 +- sqrt(((lam_W-lam_H)/2)^2 + g^2) and the decays.

    g = rate/((K-1) sqrt n) at p = 1/K, K-1 times, are the singular values of the gradient in the logits: the least
    eigenvalue is negative iff C < rate. Above, zero is a local minimum, but not therefore a global one.

    Args:
        K, n, d, lam_W, lam_H, lam_b, gamma: see the module; d is any.
    Returns:
        Spectrum.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: imbalanced classes.
    Assumes:
        Equal class sizes; b = 0.
    Source:
        T18; derived for this project.
    """
    where = "focal.origin_spectrum"
    sizes, lam_b = _check(where, K, n, d, lam_W, lam_H, lam_b, gamma)
    if reasons := etf_obstacles(sizes, K):
        raise NotApplicable(where, reasons)
    size = int(sizes[0])
    c, pull = math.sqrt(size) * nu(lam_W, lam_H), K / (K - 1) * rate_at_zero(K, gamma)
    _, _, j1, j2, _ = _logit_curvature(0.0, c, K, gamma)
    return origin_blocks(K, size, d, lam_W, lam_H, lam_b, pull, K * c - pull, (j2 + (K - 2) * j1) / (K - 1))


def _logit_curvature(a: float, c: float, K: int, gamma: float) -> Curvature:
    j1 = c if a > 0.0 else rate_at_zero(K, gamma) / (K - 1)
    j2 = K / (K - 1) * float(curvature(a, K=K, gamma=gamma))
    return Curvature(a, c, j1, j2, (j2 - j1) / (K - 1))


def _price(K: int, sizes: np.ndarray, lam_W: float, lam_H: float) -> float:
    """C = (K-1) sqrt(n lam_W lam_H), the decay that a unit of margin costs."""
    return (K - 1) * (math.sqrt(sizes[0]) * nu(lam_W, lam_H))


def _obstacles(sizes: np.ndarray, d: int, C: float, lam_b: float | None, gamma: float) -> tuple[str, ...]:
    """Every reason against T13; C is the price of a unit of margin."""
    K = len(sizes)
    reasons = etf_obstacles(sizes, d)
    # With a bias the proof needs a tangent of phi that stays below it, hence no steeper than phi at m = -inf: slope 1.
    if lam_b is not None and C > 1.0 and (at_zero := rate_at_zero(K, gamma)) > 1.0:
        reasons += (
            f"A bias with (K-1) sqrt(n lam_W lam_H) = {C:.6g} > 1 and a rate at zero of {at_zero:.6g} > 1: dropping "
            "some classes by their bias can be better than any ETF. Known is the minimum without bias.",
        )
    return reasons + tie(C, K, gamma)


def _check(where, K, n, d, lam_W, lam_H, lam_b, gamma) -> tuple[np.ndarray, float | None]:
    """Class sizes and bias decay after the checks that are shared by all."""
    sizes = check_sizes(where, K, n)
    check_count(where, "d", d, 1)
    check_decay(where, "lam_W", lam_W)
    check_decay(where, "lam_H", lam_H)
    check_nonnegative(where, "gamma", gamma)
    return sizes, check_bias_decay(where, lam_b)


def _require(where, K, n, d, lam_W, lam_H, lam_b, gamma) -> tuple[float | None, int, float]:
    """Bias decay, the one class size and the best margin; NotApplicable where T13 does not hold."""
    sizes, lam_b = _check(where, K, n, d, lam_W, lam_H, lam_b, gamma)
    C = _price(K, sizes, lam_W, lam_H)
    if reasons := _obstacles(sizes, d, C, lam_b, gamma):
        raise NotApplicable(where, reasons)
    return lam_b, int(sizes[0]), best_margin(C, K, gamma)
