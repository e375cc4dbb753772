"""What the theorems on deep models share: their arguments, and the scalar problem of one singular value (L2).

M matrices W_1 [d_2, d], ..., W_M [K, d_M] and features H [d, N] are q = M + 1 factors of Z = W_M ... W_1 H. Each
singular value z of Z costs (q/2) g z^(2/q), g = (lam_H lam_1 ... lam_M)^(1/q) the geometric mean of the decays (L1), so
that a target y with weight c on its square leaves

    phi(y) = min over z >= 0 of c/2 (z - y)^2 + (q/2) g z^(2/q).

With z = y (1 - w) a stationary z > 0 solves w (1 - w)^(1 - 2/q) = s, s = g y^(2/q - 2)/c: this s decides everything.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from theory.arguments import Sizes, check_bias_decay, check_count, check_decay, check_sizes
from theory.roots import bracketed_root

EDGE = 16 * float(np.finfo(np.float64).eps)  # within rounding of a threshold the minimiser is not decided

Decays = float | Sequence[float]


class Deep(NamedTuple):
    """Checked arguments. sizes [K]; dims (d, d_2, ..., d_M); lams (lam_1, ..., lam_M, lam_H); lam_b None, 0 or > 0."""

    sizes: np.ndarray
    dims: tuple[int, ...]
    lams: np.ndarray
    lam_b: float | None

    @property
    def K(self) -> int:
        """Classes."""
        return len(self.sizes)

    @property
    def N(self) -> int:
        """Samples."""
        return int(np.sum(self.sizes))

    @property
    def M(self) -> int:
        """Weight matrices."""
        return len(self.dims)

    @property
    def g(self) -> float:
        """Geometric mean of the decays."""
        return geometric_mean(self.lams)

    @property
    def balanced(self) -> bool:
        """All classes of one size."""
        return bool(np.all(self.sizes == self.sizes[0]))


def check_depth(
    where: str,
    K: int,
    n: Sizes,
    d: int,
    widths: Sequence[int],
    lam_W: Decays,
    lam_H: float,
    lam_b: float | None = None,
) -> Deep:
    """The arguments as a Deep, or a ValueError."""
    sizes = check_sizes(where, K, n)
    dims = (check_count(where, "d", d, 1), *(check_count(where, "a width", width, 1) for width in widths))
    lams = [*check_decays(where, lam_W, len(dims)), check_decay(where, "lam_H", lam_H)]
    return Deep(sizes, dims, np.array(lams), check_bias_decay(where, lam_b))


def check_decays(where: str, lam_W: Decays, M: int) -> list[float]:
    """The decays of W_1, ..., W_M, from one for all of them or from M, or a ValueError."""
    if np.ndim(lam_W) == 0:
        return [check_decay(where, "lam_W", lam_W)] * M  # pyright: ignore[reportArgumentType]
    decays = [check_decay(where, "lam_W", lam) for lam in lam_W]  # pyright: ignore[reportGeneralTypeIssues]
    if len(decays) != M:
        raise ValueError(f"{where}: lam_W has {len(decays)} decays for {M} matrices. Pass one, or one for each matrix.")
    return decays


def geometric_mean(lams: np.ndarray) -> float:
    """(lam_1 ... lam_q)^(1/q); the mean of the logarithms cannot underflow."""
    return math.exp(float(np.mean(np.log(lams))))


def strength(y: float, c: float, g: float, M: int) -> float:
    """s = g y^(2/q - 2) / c, the decay in the units of the target y with weight c; inf for y = 0."""
    return g * y ** (-2 * M / (M + 1)) / c if y > 0.0 else math.inf


def collapse_strength(M: int) -> float:
    """The s from which on z = 0 is a global minimiser: (1/M) ((M-1)/M)^((M-1)/(M+1)); 1 for M = 1.

    There, for M >= 2, z = y (M-1)/M is one too.
    """
    return ((M - 1) / M) ** ((M - 1) / (M + 1)) / M


def spinodal_strength(M: int) -> float:
    """The s up to which a minimiser z > 0 exists at all: (M+1)/(2M) ((M-1)/(2M))^((M-1)/(M+1)); 1 for M = 1."""
    return (M + 1) / (2 * M) * ((M - 1) / (2 * M)) ** ((M - 1) / (M + 1))


def shrinkage(s: float, M: int) -> float:
    """w in [0, 1] with z = y (1 - w) the local minimiser of the scalar problem that is not 0; 1 where there is none.

    Relative accuracy of a few eps however small s is. For M >= 2 the smaller root of the equation is a maximiser.
    """
    if s >= spinodal_strength(M):
        return 1.0
    power = (M - 1) / (M + 1)
    return bracketed_root(lambda w: w * (1.0 - w) ** power - s, 0.0, (M + 1) / (2 * M))


def pass_shrinkage(s: float, M: int) -> float:
    """w in (0, 1) with z = y (1 - w) the maximiser of the scalar problem between 0 and its local minimiser.

    1 - w has the relative accuracy of a few eps. NaN where there is none: M = 1, or s beyond the spinodal.
    """
    if M == 1 or s >= spinodal_strength(M):
        return math.nan
    power = (M - 1) / (M + 1)
    return 1.0 - bracketed_root(lambda u: (1.0 - u) * u**power - s, 0.0, (M - 1) / (2 * M))


def scalar_value(y: float, c: float, w: float, M: int) -> float:
    """c/2 (z - y)^2 + (q/2) g z^(2/q) at a stationary z = y (1 - w), or at z = 0 (w = 1)."""
    # The equation of w turns the decay into (q/2) c z (y - z).
    return c * y**2 * w * (w + (M + 1) * (1.0 - w)) / 2


def least(y: float, c: float, g: float, M: int) -> tuple[float, float]:
    """(w, phi(y)) at the global minimiser of the scalar problem."""
    s = strength(y, c, g, M)
    w = shrinkage(s, M) if s < collapse_strength(M) else 1.0
    return w, scalar_value(y, c, w, M)
