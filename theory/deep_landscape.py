"""The landscape of deep linear (and ReLU) features models with decay, squared loss: zero, its basin, other minima.

Keywords as in `theory.deep_linear`. With decay and M >= 2 matrices zero is always a strict local minimum (F2), whatever
the layers do; nothing that starts near it learns (F4).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from theory.arguments import Sizes, check_count, check_decay, check_sizes
from theory.deep_modes import bias_of, stationary_shrinkage, target_modes, total_value
from theory.depth import Decays, check_decays, check_depth, geometric_mean, pass_shrinkage, strength
from theory.prediction import NotApplicable, Spectrum, collect
from theory.schatten import balanced_factors


class Factors(NamedTuple):
    """A point: W = (W_1, ..., W_M), H [d, N], b [K] or None."""

    W: tuple[np.ndarray, ...]
    H: np.ndarray
    b: np.ndarray | None


def local_minima(
    *,
    K: int,
    n: Sizes,
    d: int,
    lam_W: Decays,
    lam_H: float,
    widths: Sequence[int] = (),
    lam_b: float | None = None,
) -> np.ndarray:
    """[R + 1] f_r: the r largest targets at their non-zero local minimiser, the others at zero; r = 0, ..., R.

    Returns:
        Values of local minima of f (M >= 2); NaN where some of these targets is beyond its spinodal and has no such
        minimiser. R = min(K, d, widths).
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: different class sizes with lam_b > 0.
    Assumes:
        M >= 2 for local minima that are not global: with M = 1 every f_r but the last is a saddle's value.
    Source:
        F5; derived for this project, by Hessians and returns from perturbations; not proved in general.
    """
    where = "deep_landscape.local_minima"
    deep = check_depth(where, K, n, d, widths, lam_W, lam_H, lam_b)
    modes, cut = target_modes(where, deep), min(*deep.dims, K)
    w = np.array([stationary_shrinkage(deep, modes, j) for j in range(K)])
    ranks = np.arange(cut + 1)
    values = [total_value(deep, modes, np.where(np.arange(K) < r, w, 1.0)) for r in ranks]
    return np.where([np.all(w[:r] < 1.0) for r in ranks], values, math.nan)


def passes(
    *,
    K: int,
    n: Sizes,
    d: int,
    lam_W: Decays,
    lam_H: float,
    widths: Sequence[int] = (),
    lam_b: float | None = None,
) -> np.ndarray:
    """[R] the r largest targets at their local minimiser, the next at its maximiser: the pass from f_r to f_(r+1).

    Returns:
        Values of critical points, saddles along the singular value of target r; NaN where f_(r+1) of `local_minima`
        does not exist. R = min(K, d, widths).
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: M = 1, where zero is no minimum that a pass could leave; class sizes that differ with lam_b > 0.
    Source:
        L2 (the smaller positive root), F5; derived for this project. That no path between the two minima stays lower is
        measured by `ufm.energy_path`, not proved.
    """
    where = "deep_landscape.passes"
    deep = check_depth(where, K, n, d, widths, lam_W, lam_H, lam_b)
    _two_layers(where, deep.M)
    modes, cut = target_modes(where, deep), min(*deep.dims, K)
    kept = np.array([stationary_shrinkage(deep, modes, j) for j in range(K)])
    values = np.full(cut, math.nan)
    for r in range(cut):
        strong = strength(float(modes.y[r]), float(modes.c[r]), deep.g, deep.M)
        if np.all(kept[: r + 1] < 1.0):
            at_pass = np.where(np.arange(K) < r, kept, 1.0)
            at_pass[r] = pass_shrinkage(strong, deep.M)
            values[r] = total_value(deep, modes, at_pass)
    return values


def critical_point(
    *,
    K: int,
    n: Sizes,
    d: int,
    lam_W: Decays,
    lam_H: float,
    kept: Sequence[int],
    widths: Sequence[int] = (),
    lam_b: float | None = None,
) -> Factors:
    """The balanced factors in which the targets numbered in `kept` are at their non-zero local minimiser, others at 0.

    Args:
        K, n, d, lam_W, lam_H, widths, lam_b: see the module.
        kept: numbers 0, ..., K-1 of singular values of the targets, largest first (without a bias these are
            the classes by size). 0, ..., r-1 gives f_r of `local_minima`; one that skips a larger target for a smaller
            one is a strict saddle (F5).
    Returns:
        Factors W = (W_1, ..., W_M), H [d, N], b.
    Raises:
        ValueError: an argument is impossible; more kept than the widths allow; a target beyond its spinodal.
        NotApplicable: different class sizes with lam_b > 0.
    Source:
        F5 with the factors of L1; derived for this project.
    """
    where = "deep_landscape.critical_point"
    deep = check_depth(where, K, n, d, widths, lam_W, lam_H, lam_b)
    chosen = sorted({check_count(where, "kept", j, 0) for j in kept})
    if chosen and chosen[-1] >= K:
        raise ValueError(f"{where}: kept={tuple(kept)} for K={K} singular values. Pass numbers below K.")
    if len(chosen) > min(deep.dims):
        raise ValueError(f"{where}: {len(chosen)} kept, but a layer has width {min(deep.dims)}. Keep fewer.")
    modes = target_modes(where, deep)
    w = np.ones(K)
    for j in chosen:
        w[j] = stationary_shrinkage(deep, modes, j)
        if w[j] == 1.0:
            raise ValueError(f"{where}: target {j} has no local minimiser but 0 at these decays. Keep others.")
    classes = (modes.U * (modes.y * (1.0 - w))) @ modes.V.T
    Z = np.repeat(classes / np.sqrt(deep.sizes), deep.sizes, axis=1)
    W, H = balanced_factors(Z, deep.dims, deep.lams[:-1].tolist(), float(deep.lams[-1]))
    return Factors(W, H, bias_of(deep, modes, w))


def zero_spectrum(
    *,
    K: int,
    n: Sizes,
    d: int,
    lam_W: Decays,
    lam_H: float,
    widths: Sequence[int] = (),
    lam_b: float | None = None,
) -> Spectrum:
    """Every eigenvalue of the Hessian at zero: the decays, each as often as its factor has entries; 1 + lam_b, K times.

    Returns:
        Spectrum, all positive: a strict local minimum, however small the decays are. (Without decay it is all zero.)
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: M = 1, where zero can be a saddle: `theory.mse.origin_spectrum`.
    Assumes:
        M >= 2; b is optimal for zero factors. The squared loss enters in the bias only.
    Source:
        F1, F2; derived for this project: the data term is of order q >= 3 in the factors.
    """
    where = "deep_landscape.zero_spectrum"
    deep = check_depth(where, K, n, d, widths, lam_W, lam_H, lam_b)
    _two_layers(where, deep.M)
    entries = [rows * columns for rows, columns in zip([*deep.dims[1:], K], deep.dims, strict=True)]
    blocks = [([lam], count) for lam, count in zip(deep.lams.tolist(), [*entries, d * deep.N], strict=True)]
    return collect([*blocks, ([] if deep.lam_b is None else [1.0 + deep.lam_b], K)])


def zero_radius(*, K: int, n: Sizes, lam_W: Decays, lam_H: float, M: int) -> float:
    """r0 = ((min lam) N q^(q/2)/(2 sqrt(n_max)))^(1/(q-2)): f > f(0) for every point with 0 < |(W, H)| < r0.

    Raises:
        ValueError: an argument is impossible.
        NotApplicable: M = 1.
    Assumes:
        Linear or ReLU layers, squared loss, no bias, M >= 2; any widths.
    Source:
        F3; derived for this project.
    """
    where = "deep_landscape.zero_radius"
    sizes, lams = _sizes_and_decays(where, K, n, lam_W, lam_H, M)
    q, pull = M + 1, math.sqrt(int(np.max(sizes))) / int(np.sum(sizes))
    return (float(np.min(lams)) * q ** (q / 2) / (2 * pull)) ** (1 / (q - 2))


def trap_radius(*, K: int, n: Sizes, lam_W: Decays, lam_H: float, M: int) -> float:
    """r = sqrt(q) (g N/sqrt(n_max))^(1/(q-2)): gradient flow from |(W, H)| < r ends at zero.

    It is attained to leading order in the decay: aligned factors of one length on the largest class leave zero once
    P^(1-2/q) (1 - P/sqrt(n_max)) = g N/sqrt(n_max), P the product of their norms. A line search can jump out of the
    basin; gradient descent with small steps cannot.

    Raises:
        ValueError: an argument is impossible.
        NotApplicable: M = 1.
    Assumes:
        Linear or ReLU layers, squared loss, no bias, M >= 2; any widths.
    Source:
        F4; derived for this project: |(W, H)| decreases as long as the product of the factors' norms is below
        `trap_product`.
    """
    where = "deep_landscape.trap_radius"
    product = trap_product(K=K, n=n, lam_W=lam_W, lam_H=lam_H, M=M)
    return math.sqrt(check_count(where, "M", M, 1) + 1) * product ** (1 / (M + 1))


def trap_product(*, K: int, n: Sizes, lam_W: Decays, lam_H: float, M: int) -> float:
    """(g N/sqrt(n_max))^(q/(q-2)): at every critical point |H| |W_1| ... |W_M| is 0 or at least this.

    Raises:
        ValueError: an argument is impossible.
        NotApplicable: M = 1.
    Assumes:
        Linear or ReLU layers, squared loss, no bias, M >= 2; any widths.
    Source:
        F4; derived for this project.
    """
    sizes, lams = _sizes_and_decays("deep_landscape.trap_product", K, n, lam_W, lam_H, M)
    reach = geometric_mean(lams) * int(np.sum(sizes)) / math.sqrt(int(np.max(sizes)))
    return reach ** ((M + 1) / (M - 1))


def _sizes_and_decays(
    where: str, K: int, n: Sizes, lam_W: Decays, lam_H: float, M: int
) -> tuple[np.ndarray, np.ndarray]:
    """Class sizes [K] and the q decays, after the checks."""
    sizes = check_sizes(where, K, n)
    lams = [*check_decays(where, lam_W, check_count(where, "M", M, 1)), check_decay(where, "lam_H", lam_H)]
    _two_layers(where, M)
    return sizes, np.array(lams)


def _two_layers(where: str, M: int) -> None:
    if M == 1:
        raise NotApplicable(where, ["M = 1 matrix: zero can be a saddle there (`theory.mse.origin_spectrum`)."])
