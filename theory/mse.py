"""Mean squared error: global minimum (T8, T9, T10), Hessian spectra (T17, T18), thresholds.

Every function takes the same keywords: K classes, n samples a class (an int, or K sizes), d features, the decays lam_W,
lam_H > 0 and lam_b (None: no bias, 0.0: free bias, > 0). The loss is 1/2 |z - e_y|^2 per sample, averaged over samples.
"""

import math

import numpy as np

from theory.arguments import Sizes, check_bias_decay, check_count, check_decay, check_sizes, nu, root_ratio
from theory.arguments import kappa as _kappa
from theory.frames import centering
from theory.mse_spectrum import spectrum_with_bias, spectrum_without_bias
from theory.prediction import NotApplicable, Prediction, Quantity, Spectrum, collect
from theory.shrinkage import (
    ONLY_FREE_OR_NO_BIAS,
    class_sigmas,
    class_thresholds,
    imbalanced_minimum,
    soft_threshold,
)
from theory.spectra import coupled_pair

__all__ = [
    "applies",
    "class_sigmas",
    "class_thresholds",
    "collapse_threshold",
    "global_minimum",
    "kappa",
    "mean_threshold",
    "minimum_spectrum",
    "origin_spectrum",
    "soft_threshold",
]

T8_SOURCE = (
    "Structure: Zhou et al. (ICML 2022, arXiv 2203.01238), Tirer and Bruna (ICML 2022, arXiv 2202.08087); "
    "unified form with any bias decay derived for this project"
)
T9_SOURCE = "derived for this project (Eckart-Young on the parts with no and with a free bias)"
ORIGIN = "kappa >= 1: W = H = 0 is the only global minimiser."
EDGE = 8 * float(np.finfo(np.float64).eps)  # within rounding of a threshold the rank is not decided


def kappa(*, K: int, n: Sizes, lam_W: float, lam_H: float) -> float:
    """kappa = K sqrt(n lam_W lam_H), the strength of the decay: the centred logits shrink to 1 - kappa.

    Raises:
        ValueError: bad arguments, or imbalanced n.
    """
    return _kappa("mse.kappa", K, n, lam_W, lam_H)


def collapse_threshold() -> float:
    """1, the kappa from which on W = H = 0 is the only global minimiser (balanced classes, any d, any bias)."""
    return 1.0


def mean_threshold(*, K: int, n: Sizes, lam_W: float, lam_H: float) -> float:
    """kappa/(1 - kappa): up to this lam_b the frame is a simplex ETF (d >= K); above, it keeps the mean direction too.

    Returns:
        The threshold; inf once kappa >= 1, where W = H = 0.
    Raises:
        ValueError: bad arguments, or imbalanced n.
    Source:
        T8; derived for this project.
    """
    strength = _kappa("mse.mean_threshold", K, n, lam_W, lam_H)
    return strength / (1.0 - strength) if strength < 1.0 else math.inf


def applies(*, K: int, n: Sizes, d: int, lam_W: float, lam_H: float, lam_b: float | None = None) -> tuple[str, ...]:
    """Reasons why none of T8, T9, T10 gives the global minimum; empty if one does.

    Raises:
        ValueError: an argument is impossible (K < 2, a decay that is not positive, ...).
    """
    sizes, lam_b = _check("mse.applies", K, n, d, lam_W, lam_H, lam_b)
    return _penalised_imbalance(sizes, lam_b)


def global_minimum(*, K: int, n: Sizes, d: int, lam_W: float, lam_H: float, lam_b: float | None = None) -> Prediction:
    """f* = (1/2K) [r kappa (2 - kappa) + (K-1-r) + mean part], W M = zc P + zm J/K, zc = 1 - kappa, r = min(d, K-1).

    The mean direction is kept, zm = 1 - kappa/t, only if d >= K and kappa < t = lam_b/(1 + lam_b). Without bias t = 1
    and any min(d, K) of the K directions may be the kept ones. kappa >= 1: W = H = 0 and f* = (K-1 + t)/(2K).

    Args:
        K, n, d, lam_W, lam_H, lam_b: see the module.
    Returns:
        Prediction. "b" is absent if lam_b is None. gram_W, gram_M, logits and margin are absent where the minimiser is
        not unique up to rotation: balanced with d < K-1 (no bias: d < K), or a tie of class sizes at the cut d.
        "nullity" is absent within rounding of a threshold.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: imbalanced classes with lam_b > 0.
    Assumes:
        Equal class sizes (T8: d >= K; T9: d < K), or any class sizes and lam_b None or 0 (T10, any d).
    Source:
        T8: structure Zhou et al. (arXiv 2203.01238), Tirer and Bruna (arXiv 2202.08087), form derived for this project.
        T9, T10: derived for this project.
    """
    where = "mse.global_minimum"
    sizes, lam_b = _check(where, K, n, d, lam_W, lam_H, lam_b)
    if reasons := _penalised_imbalance(sizes, lam_b):
        raise NotApplicable(where, reasons)
    if np.any(sizes != sizes[0]):
        return imbalanced_minimum(sizes, d, lam_W, lam_H, lam_b)
    return _balanced_minimum(K, int(sizes[0]), d, lam_W, lam_H, lam_b)


def minimum_spectrum(*, K: int, n: Sizes, d: int, lam_W: float, lam_H: float, lam_b: float | None = None) -> Spectrum:
    """Every eigenvalue of the Hessian over (W, H, b) at the global minimiser; at d < K the same for all minimisers.

    Args:
        K, n, d, lam_W, lam_H, lam_b: see the module.
    Returns:
        Spectrum. The zero modes are exact zeros; eigenvalues of the blocks that the mean direction forms with the bias
        are accurate to rounding of the largest one in their block.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: imbalanced classes.
    Assumes:
        Equal class sizes.
    Source:
        T17; derived for this project.
    """
    where = "mse.minimum_spectrum"
    sizes, lam_b = _check(where, K, n, d, lam_W, lam_H, lam_b)
    if np.any(sizes != sizes[0]):
        raise NotApplicable(where, [f"Class sizes {tuple(sizes.tolist())} differ: the spectrum is not derived there."])
    size = int(sizes[0])
    centred, zm = _kept(K, d, K * math.sqrt(size) * nu(lam_W, lam_H), lam_b)
    if lam_b is None:
        return spectrum_without_bias(K, size, d, lam_W, lam_H, centred + int(zm > 0.0))
    return spectrum_with_bias(K, size, d, lam_W, lam_H, lam_b, centred, zm)


def origin_spectrum(*, K: int, n: Sizes, d: int, lam_W: float, lam_H: float, lam_b: float | None = None) -> Spectrum:
    """Every eigenvalue of the Hessian at W = H = 0: (lam_W+lam_H)/2 +- sqrt(((lam_W-lam_H)/2)^2 + g^2) and decays.

    g are the K singular values of the gradient in the logits, (Y - b 1^T)/N, b = Y1/(N (1 + lam_b)). Balanced:
    1/(K sqrt n), K-1 times, and t/(K sqrt n); the smallest eigenvalue is negative iff kappa < 1.

    Args:
        K, n, d, lam_W, lam_H, lam_b: see the module; any class sizes, any d.
    Returns:
        Spectrum.
    Raises:
        ValueError: an argument is impossible.
    Assumes:
        b is optimal for W = H = 0.
    Source:
        T18; derived for this project.
    """
    sizes, lam_b = _check("mse.origin_spectrum", K, n, d, lam_W, lam_H, lam_b)
    if np.all(sizes == sizes[0]):
        if lam_b is None:
            return spectrum_without_bias(K, int(sizes[0]), d, lam_W, lam_H, 0)
        return spectrum_with_bias(K, int(sizes[0]), d, lam_W, lam_H, lam_b, 0, 0.0)
    N, root = int(np.sum(sizes)), nu(lam_W, lam_H)
    bias = 0.0 if lam_b is None else sizes[:, None] / (N * (1.0 + lam_b))
    pulls = np.linalg.svd((np.eye(K) - bias) * np.sqrt(sizes) / N, compute_uv=False)
    return collect(
        [
            *((coupled_pair(lam_W, lam_H, g, root - g), d) for g in pulls.tolist()),
            ([lam_H], d * (N - K)),
            ([] if lam_b is None else [1.0 + lam_b], K),
        ]
    )


def _balanced_minimum(K: int, n: int, d: int, lam_W: float, lam_H: float, lam_b: float | None) -> Prediction:
    """T8 (d >= K) and T9 (d < K)."""
    strength = K * math.sqrt(n) * nu(lam_W, lam_H)
    centred, zm = _kept(K, d, strength, lam_b)
    zc = max(0.0, 1.0 - strength)
    t = _mean_share(lam_b)
    lost = K - 1 - centred
    kept_cost, kept_loss = (centred * strength * (2.0 - strength), centred * strength**2) if centred else (0.0, 0.0)
    mean_cost, mean_loss = (strength * (2.0 - strength / t), strength**2) if zm > 0.0 else (t, t * t)
    scale = math.sqrt(n) * root_ratio(lam_W, lam_H)  # W W^T = scale * W M, and M^T M = W M / scale
    trace = centred * zc + zm
    quantities: dict[str, Quantity] = {
        "value": (kept_cost + lost + mean_cost) / (2 * K),
        "data_loss": (kept_loss + lost + mean_loss) / (2 * K),
        "W_sq": scale * trace,
        "H_sq": n * trace / scale,
        "sigma_Z": math.sqrt(n) * np.array([zc] * centred + [zm] + [0.0] * lost),
    }
    if lam_b is not None:
        quantities["b"] = np.full(K, (strength / lam_b if zm > 0.0 else 1.0 / (1.0 + lam_b)) / K)
    if zc == 0.0 or d >= (K if lam_b is None else K - 1):
        Z = zc * centering(K) + zm / K
        quantities |= {"gram_W": scale * Z, "gram_M": Z / scale, "logits": Z, "margin": zc}
    if abs(strength - 1.0) > EDGE and not (d >= K and abs(strength - t) <= EDGE * t):
        quantities["nullity"] = _nullity(K, d, lam_b, centred, zm)
    if d >= K:
        return Prediction("T8", _frame_statement(zc, zm, lam_b), T8_SOURCE, quantities)
    statement = (
        f"{centred} of the {K if lam_b is None else K - 1} possible directions are kept, at 1 - kappa; any choice."
    )
    return Prediction("T9", statement if zc > 0.0 else ORIGIN, T9_SOURCE, quantities)


def _frame_statement(zc: float, zm: float, lam_b: float | None) -> str:
    """T8 in one sentence, for the regime at hand."""
    if zc == 0.0:
        return ORIGIN
    if lam_b is None:
        return "The class means and classifiers form one orthogonal frame, logits (1 - kappa) I."
    if zm == 0.0:
        return "The class means and classifiers form one simplex ETF, logits (1 - kappa) (I - J/K)."
    return "The class means and classifiers form one equiangular frame between the simplex and the orthogonal one."


def _kept(K: int, d: int, strength: float, lam_b: float | None) -> tuple[int, float]:
    """(number of centred directions kept at 1 - kappa, zm of the mean direction)."""
    if strength >= 1.0:
        return 0, 0.0
    if d < K or lam_b == 0.0:
        return min(d, K - 1), 0.0
    shrink = strength if lam_b is None else strength + strength / lam_b  # kappa/t without the rounding of t
    return K - 1, max(0.0, 1.0 - shrink)


def _mean_share(lam_b: float | None) -> float:
    """t = lam_b/(1 + lam_b), what the bias leaves of the mean direction; 1 without bias."""
    return 1.0 if lam_b is None else lam_b / (1.0 + lam_b)


def _nullity(K: int, d: int, lam_b: float | None, centred: int, zm: float) -> int:
    """Orbit of O(d), r (2d - r - 1)/2 for rank r, plus the Grassmannian of kept directions, r x (lost alike)."""
    rank = centred + int(zm > 0.0)
    alike = (K if lam_b is None else K - 1) - centred - (int(zm > 0.0) if lam_b is None else 0)
    return rank * (2 * d - rank - 1) // 2 + centred * alike


def _check(where, K, n, d, lam_W, lam_H, lam_b) -> tuple[np.ndarray, float | None]:
    """Class sizes and bias decay after the checks that are shared by all."""
    sizes = check_sizes(where, K, n)
    check_count(where, "d", d, 1)
    check_decay(where, "lam_W", lam_W)
    check_decay(where, "lam_H", lam_H)
    return sizes, check_bias_decay(where, lam_b)


def _penalised_imbalance(sizes: np.ndarray, lam_b: float | None) -> tuple[str, ...]:
    """The one setting without a closed form."""
    if np.all(sizes == sizes[0]) or not lam_b:
        return ()
    what = f"different class sizes {tuple(sizes.tolist())}"
    return (ONLY_FREE_OR_NO_BIAS.format(lam_b=lam_b, what=what),)
