"""Normalised features and classifiers: cross-entropy of tau W H, unit rows of W, unit columns of H, no bias, no decay.

    f(W, H) = (1/N) sum_i CE(tau W h_i, y_i),  |w_k| = |h_i| = 1;  tau MULTIPLIES the logits.

Where a paper divides by its temperature, tau is the inverse of that. Here: the global minimum (1.1), the Riemannian
Hessian there, and the spectrum of its certificate (1.3). Every function takes the same keywords: K classes, n samples a
class (an int, or K sizes), d features, tau > 0. Past tau K/(K-1) = 745 the loss and all curvatures are below the
smallest float64 and come out as 0.0.
"""

import math

import numpy as np

from theory.arguments import Sizes, check_count, check_positive, check_sizes
from theory.frames import centering
from theory.prediction import NotApplicable, Prediction, Spectrum, collect
from theory.spectra import pair_of, stiff_pair

SOURCE = "Model: Yaras et al. (NeurIPS 2022, arXiv 2209.09211); proof derived for this project"


def applies(*, K: int, n: Sizes, d: int, tau: float) -> tuple[str, ...]:
    """Reasons why 1.1 does not apply; empty if it does.

    Raises:
        ValueError: an argument is impossible (K < 2, tau <= 0, ...).
    """
    sizes, _ = _check("spheres.applies", K, n, d, tau)
    return _reasons(sizes, d)


def global_minimum(*, K: int, n: Sizes, d: int, tau: float) -> Prediction:
    """f* = log(1 + (K-1) exp(-tau K/(K-1))), attained iff h_ki = w_k and w_k.w_j = -1/(K-1).

    Args:
        K, n, d, tau: see the module.
    Returns:
        Prediction of every quantity but b; logits and margin include tau.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: imbalanced classes or d < K-1.
    Assumes:
        Equal class sizes; d >= K-1; plain cross-entropy.
    Source:
        1.1: model Yaras et al. (arXiv 2209.09211); proof derived for this project: Jensen on log(1 + (K-1) e^-m), and
        mean_k |w_k - wbar|^2 = 1 - |wbar|^2.
    """
    sizes, tau = _require("spheres.global_minimum", K, n, d, tau)
    P, stretch, N = centering(K), K / (K - 1), int(np.sum(sizes))
    value = math.log1p((K - 1) * math.exp(-tau * stretch))
    quantities = {
        "value": value,
        "data_loss": value,
        "W_sq": float(K),
        "H_sq": float(N),
        "gram_W": stretch * P,
        "gram_M": stretch * P,
        "logits": tau * stretch * P,
        "sigma_Z": np.append(np.full(K - 1, tau * stretch * math.sqrt(sizes[0])), 0.0),
        "margin": tau * stretch,
        "nullity": (K - 1) * (2 * d - K) // 2,
    }
    statement = "Features equal their classifiers, which form a simplex ETF, unique up to rotation."
    return Prediction("1.1", statement, SOURCE, quantities)


def lower_bound(*, K: int, n: Sizes, d: int, tau: float) -> float:
    """f* >= log(1 + (K-1) exp(-tau r K/(K-1))), r = min(sqrt(K sum_k (n_k/N)^2), 2 (K-1)/K); r = 1 if balanced.

    Holds for every d and every class sizes. Attained for balanced classes iff d >= K-1, and always for K = 2.

    Args:
        K, n, d, tau: see the module; d does not enter.
    Raises:
        ValueError: an argument is impossible.
    Source:
        1.1, derived for this project: with m_i = tau K/(K-1) (w_k - wbar).h_i Jensen gives the bound at the mean
        of m_i, which is at most tau K/(K-1) sum_k (n_k/N) |w_k - wbar|; then Cauchy-Schwarz, or
        |w_k - wbar| <= 2 (K-1)/K.
    """
    sizes, tau = _check("spheres.lower_bound", K, n, d, tau)
    spread = math.sqrt(K * np.sum((sizes / np.sum(sizes)) ** 2)) if np.any(sizes != sizes[0]) else 1.0
    return math.log1p((K - 1) * math.exp(-tau * min(spread * K / (K - 1), 2.0)))


def minimum_spectrum(*, K: int, n: Sizes, d: int, tau: float) -> Spectrum:
    """Every eigenvalue of the Riemannian Hessian at the global minimiser, all multiples of tau q.

    q = 1/(K-1 + e^(tau K/(K-1))) is the softmax mass of a wrong class. With t = tau/(K-1) and e = d-K+1:

        eigenvalue / (tau q)                                                    multiplicity
        (1+t)/n, 1/n                  features within a class                   K(n-1)(K-2), K(n-1) e
        0, 1 + 1/n                    rotation into unused dimensions           (K-1) e each
        1, 1/n                        all classes into an unused dimension      e each
        pair(t)                       symmetric deformations                    K(K-3)/2
        0, (1+t)(1 + 1/n)             rotations and their opposite              (K-1)(K-2)/2 each
        [[1+t-tqs, u], [u, (1+t)/n]]  one class against the others, K > 2       K-1
                                      s = K(K-2)/(K-1), u = (t-1)/((K-1) sqrt n)

    pair(t) are the eigenvalues of [[1+t, (t-1)/sqrt n], [(t-1)/sqrt n, (1+t)/n]].

    Args:
        K, n, d, tau: see the module.
    Returns:
        Spectrum over the K(d-1) + N(d-1) tangent dimensions; its zeros, (K-1)(2d-K)/2 of them, are exact.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: imbalanced classes or d < K-1.
    Assumes:
        Equal class sizes; d >= K-1; plain cross-entropy.
    Source:
        Derived for this project from the symmetry under permutations of the classes, as T16. The zeros are the orbit of
        O(d): the minimum is Morse-Bott, and strict modulo rotations.
    """
    sizes, tau = _require("spheres.minimum_spectrum", K, n, d, tau)
    size, unused = int(sizes[0]), d - K + 1
    q, t = _wrong_mass(K, tau), tau / (K - 1)
    blocks = [
        ([(1 + t) / size], K * (size - 1) * (K - 2)),
        ([1 / size], K * (size - 1) * unused),
        ([0.0, 1 + 1 / size], (K - 1) * unused),
        ([1.0, 1 / size], unused),
        (stiff_pair(1.0, 1 / size, t), K * (K - 3) // 2),
        ([0.0, (1 + t) * (1 + 1 / size)], (K - 1) * (K - 2) // 2),
        (_one_class_pair(K, size, t, q), K - 1 if K > 2 else 0),
    ]
    return collect([([tau * q * value for value in values], count) for values, count in blocks])


def slack_spectrum(*, K: int, n: Sizes, tau: float) -> Spectrum:
    """Eigenvalues of Q at the global minimiser: 0 and tau q (1 + 1/n), K-1 times each, tau q once, tau q/n N-K+1 times.

    Q >= 0 proves the minimum global (1.3 i); see `sphere_calculus.slack_matrix`.

    Args:
        K, n, tau: see the module; n must be one size.
    Returns:
        Spectrum over K + N dimensions.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: imbalanced classes.
    Assumes:
        Equal class sizes; the point of `global_minimum`, so d >= K-1.
    Source:
        1.3 (iv), derived for this project.
    """
    sizes, tau = _require("spheres.slack_spectrum", K, n, check_count("spheres.slack_spectrum", "K", K, 2), tau)
    size, unit = int(sizes[0]), tau * _wrong_mass(K, tau)
    return collect([([0.0, unit * (1 + 1 / size)], K - 1), ([unit], 1), ([unit / size], K * (size - 1) + 1)])


def yaras_temperature_bound(*, K: int, d: int) -> float:
    """2 (d-2)/(1 + (K mod 2)/K): below this tau Yaras et al. prove a benign landscape for d > K. It is not needed.

    For d > K, any class sizes and EVERY tau > 0, each critical point is a global minimum or a strict saddle (1.3 iii):
    b_i != 0 for all i puts H into the span of W, so that `sphere_calculus.escape_direction` exists, and b_i = 0 makes
    all rows of W equal, which is a strict saddle too. At d = K-1 spurious local minima do exist (K=3, n=3, tau=15).

    Raises:
        ValueError: K < 2 or d < 2.
    Source:
        Yaras et al. (NeurIPS 2022, arXiv 2209.09211), as recalled; that it is not needed is derived for this project.
    """
    where = "spheres.yaras_temperature_bound"
    K, d = check_count(where, "K", K, 2), check_count(where, "d", d, 2)
    return 2 * (d - 2) / (1 + (K % 2) / K)


def _wrong_mass(K: int, tau: float) -> float:
    """Softmax mass of each wrong class at the simplex."""
    odds = math.exp(-tau * K / (K - 1))
    return odds / (1.0 + (K - 1) * odds)


def _one_class_pair(K: int, n: int, t: float, q: float) -> list[float]:
    """Eigenvalues of the block in which one class moves against the others, in W and in H."""
    in_W, in_H = 1.0 + t * (1.0 - q * K * (K - 2) / (K - 1)), (1.0 + t) / n
    coupling = (t - 1.0) / (K - 1)
    gap = math.hypot((in_W - in_H) / 2, coupling / math.sqrt(n))
    return pair_of((in_W + in_H) / 2, gap, in_H * in_W - coupling**2 / n, 1.0)


def _check(where: str, K: int, n: Sizes, d: int, tau: float) -> tuple[np.ndarray, float]:
    """Class sizes and temperature after the checks that are shared by all."""
    sizes = check_sizes(where, K, n)
    check_count(where, "d", d, 1)
    return sizes, check_positive(where, "tau", tau)


def _require(where: str, K: int, n: Sizes, d: int, tau: float) -> tuple[np.ndarray, float]:
    """As `_check`; NotApplicable where 1.1 does not hold."""
    sizes, tau = _check(where, K, n, d, tau)
    if reasons := _reasons(sizes, d):
        raise NotApplicable(where, reasons)
    return sizes, tau


def _reasons(sizes: np.ndarray, d: int) -> tuple[str, ...]:
    K, reasons = len(sizes), []
    if np.any(sizes != sizes[0]):
        reasons.append(
            f"The class sizes {tuple(sizes.tolist())} differ: the minimiser is no simplex ETF. Known is lower_bound, "
            "and sphere_calculus.lower_bound at any point, which is exact at a global minimum of d >= K."
        )
    if d < K - 1:
        reasons.append(
            f"d={d} < K-1={K - 1}: no simplex ETF fits. Known is that f* > lower_bound, and the value of "
            "symmetric codes (code_values), which is an upper bound."
        )
    return tuple(reasons)
