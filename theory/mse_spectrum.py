"""T17, T18: the Hessian of the balanced mean squared error at its critical points, block by block.

In the singular bases of Z = W H = U S V^T the variables are A = U^T dW R and B = R^T dH V. The form

    (1/N) |A diag(h) + diag(w) B + sqrt(N) beta e_0^T|^2 - 2 sum_i g_i (A B)_ii
        + lam_W |A|^2 + lam_H |B|^2 + lam_b |beta|^2

couples only A_il, B_il, A_li, B_li and, for the mean direction l = 0, beta_i. g_i are the singular values of -G: nu for
a kept direction, 1/(K sqrt n) for an unused centred one, t/(K sqrt n) for the unused mean, t = lam_b/(1 + lam_b).
"""

import math
from collections.abc import Iterable

import numpy as np

from theory.arguments import nu
from theory.prediction import Spectrum, collect
from theory.spectra import coupled_pair, singular_block, stiff_pair, symmetric_block

Blocks = Iterable[tuple[Iterable[float], int]]


def spectrum_without_bias(K: int, n: int, d: int, lam_W: float, lam_H: float, rank: int) -> Spectrum:
    """Spectrum where `rank` directions (any) are kept at z = 1 - kappa; rank 0 is the origin."""
    unused, lost = d - rank, K - rank
    return collect(
        [
            *_kept_directions(K, n, lam_W, lam_H, rank, lost, unused),
            ([lam_H], unused * K * (n - 1)),
            (_lost_direction(K, n, lam_W, lam_H, 1.0), lost * unused),
        ]
    )


def spectrum_with_bias(
    K: int, n: int, d: int, lam_W: float, lam_H: float, lam_b: float, rank: int, zm: float
) -> Spectrum:
    """Spectrum where `rank` centred directions are kept at 1 - kappa, and the mean direction at zm if zm > 0."""
    mean = int(zm > 0.0)
    unused, lost = d - rank - mean, K - 1 - rank
    strength = K * math.sqrt(n) * nu(lam_W, lam_H)
    if mean:
        about_mean: Blocks = [
            ([lam_H * (1.0 + zm / strength)], K * (n - 1)),
            ([0.0, lam_W + lam_H], unused),
            (_mean_scale_block(lam_W, lam_H, lam_b, zm / strength), 1),
            (_mean_kept_block(lam_W, lam_H, lam_b, (1.0 - strength) / strength, zm / strength), rank),
        ]
    else:
        about_mean = [
            (_lost_direction(K, n, lam_W, lam_H, lam_b / (1.0 + lam_b)), unused),
            ([1.0 + lam_b], 1),
            (_mean_lost_block(lam_W, lam_H, lam_b, strength) if rank else [], rank),
        ]
    return collect(
        [
            *_kept_directions(K, n, lam_W, lam_H, rank, lost, unused),
            *about_mean,
            ([lam_H], unused * K * (n - 1)),
            (_lost_direction(K, n, lam_W, lam_H, 1.0), lost * unused),
            ([1.0 + lam_b], lost),
        ]
    )


def _kept_directions(K: int, n: int, lam_W: float, lam_H: float, rank: int, lost: int, unused: int) -> Blocks:
    """Blocks of `rank` directions kept at 1 - kappa: within classes, among themselves, with lost and unused ones."""
    if rank == 0:
        return []
    strength = K * math.sqrt(n) * nu(lam_W, lam_H)
    pairs = rank * (rank - 1) // 2
    return [
        ([lam_H / strength], rank * K * (n - 1)),
        ([0.0, lam_W + lam_H], rank * unused),
        (stiff_pair(lam_W, lam_H, (1.0 - strength) / strength), rank + pairs),  # own scale, and symmetric pairs
        # Rotations: among the kept (orbit of O(d)) and towards the lost (Grassmannian of minimisers).
        ([0.0, (lam_W + lam_H) / strength], pairs + rank * lost),
    ]


def _lost_direction(K: int, n: int, lam_W: float, lam_H: float, share: float) -> list[float]:
    """Pair of a lost direction with g = share/(K sqrt n) in an unused feature."""
    reach = K * math.sqrt(n)
    strength = reach * nu(lam_W, lam_H)
    return coupled_pair(lam_W, lam_H, share / reach, (strength - share) / reach)


def _mean_scale_block(lam_W: float, lam_H: float, lam_b: float, s0: float) -> list[float]:
    """(A_00, B_00, beta_0): the scale of the kept mean direction against the bias; s0 = zm/kappa."""
    w, h = math.sqrt(lam_W), math.sqrt(lam_H)
    return symmetric_block(
        [
            (1.0, np.array([w * math.sqrt(s0), h * math.sqrt(s0), 1.0])),
            (1.0, np.array([w, -h, 0.0])),
            (lam_b, np.array([0.0, 0.0, 1.0])),
        ]
    )


def _mean_kept_block(lam_W: float, lam_H: float, lam_b: float, s: float, s0: float) -> list[float]:
    """(A_i0, B_i0, A_0i, B_0i, beta_i): a kept centred direction (zc = s kappa) against the mean (zm = s0 kappa)."""
    w, h, root, root0 = math.sqrt(lam_W), math.sqrt(lam_H), math.sqrt(s), math.sqrt(s0)
    squares = [
        (1.0, np.array([w * root0, h * root, 0.0, 0.0, 1.0])),
        (1.0, np.array([0.0, 0.0, w * root, h * root0, 0.0])),
        (1.0, np.array([w, 0.0, 0.0, -h, 0.0])),
        (1.0, np.array([0.0, -h, w, 0.0, 0.0])),
        (lam_b, np.array([0.0, 0.0, 0.0, 0.0, 1.0])),
    ]
    return singular_block(squares)  # the rotation of the two directions into each other


def _mean_lost_block(lam_W: float, lam_H: float, lam_b: float, strength: float) -> list[float]:
    """(A_0i, B_i0, beta_i): a kept centred direction against the lost mean; strength = kappa."""
    w, h, s = math.sqrt(lam_W), math.sqrt(lam_H), (1.0 - strength) / strength
    t, rest = lam_b / (1.0 + lam_b), 1.0 / (1.0 + lam_b)
    return symmetric_block(
        [
            (t / strength, np.array([w, -h, 0.0])),
            (rest / strength, np.array([w, 0.0, 0.0])),
            ((strength - t) / strength, np.array([0.0, h, 0.0])),
            (1.0, np.array([0.0, h * math.sqrt(s), 1.0])),
            (lam_b, np.array([0.0, 0.0, 1.0])),
        ]
    )
