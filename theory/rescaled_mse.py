"""Mean squared error with rescaled targets, 1/2 [k (z_y - M)^2 + sum_{j != y} z_j^2], balanced classes: T11.

Every function takes the same keywords: K classes, n samples a class (an int, or K sizes), d features, the decays lam_W,
lam_H > 0, lam_b (None: no bias, 0.0: free bias, > 0), the weight k > 0 and the target M > 0 of the true logit. With
k = M = 1 it is the mean squared error of `theory.mse`.
"""

import math
from typing import NamedTuple

import numpy as np

from theory.arguments import (
    Sizes,
    check_bias_decay,
    check_count,
    check_decay,
    check_positive,
    check_sizes,
    nu,
    root_ratio,
)
from theory.arguments import kappa as _kappa
from theory.frames import centering
from theory.prediction import NotApplicable, Prediction, Quantity

T11_SOURCE = "derived for this project (convex lower model of T2, symmetry in the classes)"
EDGE = 16 * float(np.finfo(np.float64).eps)  # within rounding of a threshold the rank is not decided


class _Minimiser(NamedTuple):
    """Logits a P + e J/K + beta J of the class means, and what would cancel if formed from them."""

    a: float
    e: float
    beta: float
    miss: float  # true logit - M
    wrong: float  # every wrong logit
    bias_cost: float  # lam_b beta^2
    decided: bool  # no threshold within rounding


def kappa(*, K: int, n: Sizes, lam_W: float, lam_H: float) -> float:
    """kappa = K sqrt(n lam_W lam_H), the strength of the decay.

    Raises:
        ValueError: bad arguments, or imbalanced n.
    """
    return _kappa("rescaled_mse.kappa", K, n, lam_W, lam_H)


def collapse_threshold(*, K: int, k: float, M: float, lam_b: float | None = None) -> float:
    """k M / (1 + (k-1)/(K (1 + lam_b))), the kappa from which on W = H = 0 is optimal (any d); k M without bias.

    Raises:
        ValueError: an argument is impossible.
    Source:
        T11; derived for this project.
    """
    where = "rescaled_mse.collapse_threshold"
    check_count(where, "K", K, 2)
    check_positive(where, "k", k)
    check_positive(where, "M", M)
    return k * M / (1.0 + (k - 1.0) * _bias_freedom(check_bias_decay(where, lam_b)) / K)


def mean_threshold(*, K: int, n: Sizes, lam_W: float, lam_H: float, k: float, M: float) -> float:
    """k kappa/(k M - kappa): up to this lam_b the frame is a simplex ETF; above, it keeps the mean direction too.

    Returns:
        The threshold; inf once kappa >= k M.
    Raises:
        ValueError: bad arguments, or imbalanced n.
    Source:
        T11; derived for this project.
    """
    where = "rescaled_mse.mean_threshold"
    strength = _kappa(where, K, n, lam_W, lam_H)
    room = check_positive(where, "k", k) * check_positive(where, "M", M) - strength
    return k * (strength / room) if room > 0.0 else math.inf


def applies(
    *, K: int, n: Sizes, d: int, lam_W: float, lam_H: float, lam_b: float | None = None, k: float, M: float
) -> tuple[str, ...]:
    """Reasons why T11 does not give the global minimum; empty if it does.

    Raises:
        ValueError: an argument is impossible (K < 2, a decay that is not positive, ...).
    """
    sizes, lam_b = _check("rescaled_mse.applies", K, n, d, lam_W, lam_H, lam_b, k, M)
    if np.any(sizes != sizes[0]):
        return (f"The class sizes {tuple(sizes.tolist())} differ: T11 needs the symmetry of equal classes.",)
    rank = _rank(K, _minimiser(K, K * math.sqrt(sizes[0]) * nu(lam_W, lam_H), lam_b, k, M))
    if d >= rank:
        return ()
    return (f"d={d} is below the rank {rank} of the minimiser at d >= K: known is only that f* >= the value there.",)


def global_minimum(
    *, K: int, n: Sizes, d: int, lam_W: float, lam_H: float, lam_b: float | None = None, k: float, M: float
) -> Prediction:
    """f* = 1/2 [k (u-M)^2 + (K-1) v^2] + c ((K-1) a + e) + K lam_b beta^2/2, u = v + a, logits a (I - J/K) + e J/K.

    With c = sqrt(n lam_W lam_H), kappa = K c, w = 1/(1+lam_b) (0 without bias) and b = beta 1, one of
      kappa < k M, lam_b > mean_threshold:  a = M - kappa/k, e = a - kappa/lam_b, beta = c/lam_b, v = 0;
                                            without bias e = a, beta = 0 (orthogonal frame);
      kappa < collapse_threshold, the rest: a = (k M - kappa - (k-1) c w) / (k - (k-1)(1-w)/K), e = 0 (simplex ETF),
                                            beta = w (c + a/K), v = beta - a/K;
      else:                                 a = e = 0, beta = v = k M w/(K + (k-1) w).

    Args:
        K, n, d, lam_W, lam_H, lam_b, k, M: see the module.
    Returns:
        Prediction with every quantity; "b" is absent if lam_b is None, "nullity" within rounding of a threshold.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: imbalanced classes, or d below the rank of the minimiser (K, K-1 or 0 in the three cases).
    Assumes:
        Equal class sizes; d >= K, or d >= K-1 in the second case, or any d in the third; k, M > 0.
    Source:
        T11; derived for this project.
    """
    where = "rescaled_mse.global_minimum"
    sizes, lam_b = _check(where, K, n, d, lam_W, lam_H, lam_b, k, M)
    if reasons := applies(K=K, n=n, d=d, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b, k=k, M=M):
        raise NotApplicable(where, reasons)
    size = int(sizes[0])
    c = math.sqrt(size) * nu(lam_W, lam_H)
    found = _minimiser(K, K * c, lam_b, k, M)
    data_loss = (k * found.miss**2 + (K - 1) * found.wrong**2) / 2
    scale = math.sqrt(size) * root_ratio(lam_W, lam_H)  # W W^T = scale * W M, and M^T M = W M / scale
    trace = (K - 1) * found.a + found.e
    Z = found.a * centering(K) + found.e / K
    quantities: dict[str, Quantity] = {
        "value": data_loss + c * trace + K * found.bias_cost / 2,
        "data_loss": data_loss,
        "W_sq": scale * trace,
        "H_sq": size * trace / scale,
        "gram_W": scale * Z,
        "gram_M": Z / scale,
        "logits": Z,
        "sigma_Z": math.sqrt(size) * np.sort([found.e, *[found.a] * (K - 1)])[::-1],
        "margin": found.a,
    }
    if lam_b is not None:
        quantities["b"] = np.full(K, found.beta)
    if found.decided:
        rank = _rank(K, found)
        quantities["nullity"] = rank * (2 * d - rank - 1) // 2
    return Prediction("T11", _statement(found), T11_SOURCE, quantities)


def _minimiser(K: int, strength: float, lam_b: float | None, k: float, M: float) -> _Minimiser:
    """T11's three cases; strength = kappa."""
    c = strength / K
    w, t = _bias_freedom(lam_b), 1.0 if lam_b is None else lam_b / (1.0 + lam_b)  # t = 1 - w without cancellation
    a = M - strength / k
    beta = 0.0 if lam_b is None else c / lam_b if lam_b > 0.0 else math.inf
    e = a - K * beta
    decided = not math.isclose(a, K * beta, rel_tol=EDGE, abs_tol=EDGE * M)
    if a > 0.0 and e > 0.0:
        return _Minimiser(a, e, beta, -strength / k, 0.0, c * beta, decided)
    pull, slope = k * M - strength - (k - 1.0) * c * w, k - (k - 1.0) * t / K
    decided = decided and abs(pull) > EDGE * (k * M + strength)
    if pull > 0.0:
        a = pull / slope
        beta = w * (c + a / K)
        v = w * c - t * a / K
        return _Minimiser(a, 0.0, beta, (v - strength) / k, v, t * (c + a / K) * beta, decided)
    share = M / (K + (k - 1.0) * w)
    beta = k * share * w
    return _Minimiser(0.0, 0.0, beta, -share * (K - w), beta, t * k * share * beta, decided)


def _bias_freedom(lam_b: float | None) -> float:
    """1/(1 + lam_b): 1 for a free bias, 0 without one."""
    return 0.0 if lam_b is None else 1.0 / (1.0 + lam_b)


def _rank(K: int, found: _Minimiser) -> int:
    return (K - 1) * int(found.a > 0.0) + int(found.e > 0.0)


def _statement(found: _Minimiser) -> str:
    if found.a == 0.0:
        return "The decay is above its threshold: W = H = 0 is the only global minimiser."
    if found.e == 0.0:
        return "The class means and classifiers form one simplex ETF."
    if found.e == found.a:
        return "The class means and classifiers form one orthogonal frame; the wrong logits are zero."
    return "The class means and classifiers form one equiangular frame; with the bias the wrong logits are zero."


def _check(where, K, n, d, lam_W, lam_H, lam_b, k, M) -> tuple[np.ndarray, float | None]:
    """Class sizes and bias decay after the checks that are shared by all."""
    sizes = check_sizes(where, K, n)
    check_count(where, "d", d, 1)
    check_decay(where, "lam_W", lam_W)
    check_decay(where, "lam_H", lam_H)
    check_positive(where, "k", k)
    check_positive(where, "M", M)
    return sizes, check_bias_decay(where, lam_b)
