"""How fast gradient descent can converge at a minimiser, from its Hessian spectrum: T19.

The zero modes of a minimiser are directions along which it is not isolated (rotations, a free bias); they do not slow
gradient descent down, which converges to one of the minimisers at the rate of the other eigenvalues.
"""

import math
from typing import NamedTuple

from theory.arguments import check_bias_decay, check_count, check_positive
from theory.etf import Curvature, etf_spectrum
from theory.prediction import NotApplicable, Spectrum


class Conditioning(NamedTuple):
    """Gradient descent with the best constant step near a minimiser: |error| falls by `rate` a step."""

    mu: float  # least positive eigenvalue
    L: float  # largest eigenvalue
    condition: float  # L/mu
    step: float  # 2/(L + mu)
    rate: float  # (L - mu)/(L + mu)


def gradient_descent(spectrum: Spectrum) -> Conditioning:
    """step = 2/(L + mu), rate = (L - mu)/(L + mu), with mu and L the extreme nonzero eigenvalues.

    Args:
        spectrum: of the Hessian at a minimiser, zero modes exactly 0.0, such as `minimum_spectrum` gives.
    Returns:
        Conditioning.
    Raises:
        NotApplicable: an eigenvalue is negative (a saddle), or none is positive.
    Assumes:
        The zero modes are those of a manifold of minimisers (T16: away from the thresholds they are).
    Source:
        T19; classical for quadratics (Polyak), the manifold by its Morse-Bott form.
    """
    where = "conditioning.gradient_descent"
    values = spectrum.values
    if values.size and values[0] < 0.0:
        raise NotApplicable(where, [f"The least eigenvalue is {float(values[0])!r} < 0: the point is a saddle."])
    positive = values[values > 0.0]
    if not positive.size:
        raise NotApplicable(where, ["No eigenvalue is positive: nothing contracts."])
    mu, L = float(positive[0]), float(positive[-1])
    ratio = mu / L
    return Conditioning(mu, L, L / mu, 2.0 / (L * (1.0 + ratio)), (1.0 - ratio) / (1.0 + ratio))


def scaled_etf_spectrum(*, K: int, n: int, d: int, lam_b: float | None = None, curvature: Curvature) -> Spectrum:
    """Hessian spectrum at an ETF minimiser over (sqrt(lam_W) W, sqrt(lam_H) H, sqrt(lam_b + j1) b).

    Without a bias it is {0, 2, 1, 2 t, 1 + t, 2 (1 + t1)} and one block, with t in {t1, t2} = margin j/(K c): the
    decays enter through the margin only, so that the condition number grows with log(1/(lam_W lam_H)) at any
    lam_W/lam_H. A bias adds lam_b/(lam_b + j1), along the ones vector, which is the least positive one if lam_b << j1.

    Args:
        K, n, d: classes, samples a class, features.
        lam_b: decay of the bias, None without one.
        curvature: of the loss at the minimiser, from `cross_entropy.logit_curvature` or `focal.logit_curvature`.
    Returns:
        Spectrum, zero modes exact; multiplicities add up to K d + d K n (+ K with a bias).
    Raises:
        ValueError: an argument is impossible, or d < K-1.
        NotApplicable: the margin is zero; at W = H = 0 the decays are the curvature, and no scaling mixes them.
    Assumes:
        Equal class sizes, d >= K-1, and that the curvature belongs to the same problem.
    Source:
        T19; derived for this project.
    """
    where = "conditioning.scaled_etf_spectrum"
    K, n = check_count(where, "K", K, 2), check_count(where, "n", n, 1)
    d, lam_b = check_count(where, "d", d, K - 1), check_bias_decay(where, lam_b)
    if curvature.margin == 0.0:
        raise NotApplicable(where, ["The margin is zero: the minimiser is W = H = 0, no simplex ETF."])
    check_positive(where, "curvature.margin", curvature.margin)
    if lam_b is None:
        return etf_spectrum(K, n, d, 1.0, 1.0, None, curvature)
    total = lam_b + curvature.j1
    return etf_spectrum(K, n, d, 1.0, 1.0, lam_b / total, curvature, unit_b=1.0 / math.sqrt(total))
