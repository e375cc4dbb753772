"""Deep linear features model, squared loss: global minimum (L3-L5), ranks, norms of every factor, thresholds (L2).

    f = 1/(2N) |W_M ... W_1 H + b 1^T - Y|^2 + sum_l lam_l/2 |W_l|^2 + lam_H/2 |H|^2 + lam_b/2 |b|^2

Every function takes the same keywords: K classes, n samples a class (an int, or K sizes), d features, the hidden
`widths` (d_2, ..., d_M) between the M matrices, so that () is the one-layer model, lam_W one decay for all matrices or
(lam_1, ..., lam_M), lam_H, and lam_b (None: no bias, 0.0: free bias, > 0). W_1 is next to the features.
"""

from collections.abc import Callable, Sequence

import numpy as np

from theory.arguments import Sizes, check_count, check_sizes
from theory.deep_modes import at_edge, no_closed_form, structure, target_modes, total_value
from theory.depth import Decays, check_depth, collapse_strength, least, spinodal_strength
from theory.prediction import Prediction, Quantity

SOURCE = (
    "Dang et al. (ICML 2023, arXiv 2301.00437) for the balanced structure; values and proof derived for this project"
)


def applies(
    *,
    K: int,
    n: Sizes,
    d: int,
    lam_W: Decays,
    lam_H: float,
    widths: Sequence[int] = (),
    lam_b: float | None = None,
) -> tuple[str, ...]:
    """Reasons why none of L3, L4, L5 gives the global minimum; empty if one does.

    Raises:
        ValueError: an argument is impossible (K < 2, a decay that is not positive, ...).
    """
    return no_closed_form(check_depth("deep_linear.applies", K, n, d, widths, lam_W, lam_H, lam_b))


def global_minimum(
    *,
    K: int,
    n: Sizes,
    d: int,
    lam_W: Decays,
    lam_H: float,
    widths: Sequence[int] = (),
    lam_b: float | None = None,
) -> Prediction:
    """f* = sum over the R largest targets of phi(y_j) + sum over the others of y_j^2/(2N), R = min(K, d, widths).

    y = sqrt(n_k) without a bias; with a free one the singular values of (Y - Y 11^T/N), sqrt(n) K-1 times if balanced.
    phi is the scalar problem of `theory.depth`: z_j = 0 or y_j shrunk. Z* = W_M ... W_1 H has the targets' singular
    vectors, and lam_l |W_l|^2 = lam_H |H|^2 = g sum_j z_j^(2/q) for every factor, g the geometric mean of the decays.

    Args:
        K, n, d, lam_W, lam_H, widths, lam_b: see the module.
    Returns:
        Prediction. W_sq is [M], gram_W is W_M W_M^T, "nullity" the dimension of the orbit of the rotations of every
        hidden space (with the kept directions where any R of tied ones may be). gram_W, gram_M, logits and margin are
        absent where ties at the cut R leave them free; at a tie between z_j = 0 and z_j > 0 only the value is there.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: different class sizes with lam_b > 0.
    Assumes:
        Linear layers, squared loss. L5 (lam_b > 0): equal class sizes.
    Source:
        L3-L5: Dang et al. (arXiv 2301.00437) for the balanced structure; Schatten identity (L1), Mirsky's inequality,
        class sizes, rank caps and biases derived for this project. L5 by Gelfand and Naimark: with the mean scaled by
        t^2 = lam_b/(1 + lam_b), sum_j sigma_j(Z)^p >= sum_(j<K) z_j^p + (z_K/t)^p, z the singular values that are left.
    """
    where = "deep_linear.global_minimum"
    deep = check_depth(where, K, n, d, widths, lam_W, lam_H, lam_b)
    modes = target_modes(where, deep)
    w = np.array([least(y, c, deep.g, deep.M)[0] for y, c in zip(modes.y.tolist(), modes.c.tolist(), strict=True)])
    w[min(deep.dims) :] = 1.0
    theorem = "L5" if deep.lam_b else "L3" if deep.lam_b is None else "L4"
    kept, layers = int(np.sum(w < 1.0)), f"{deep.M} matrices"
    statement = f"{kept} of {K} singular values of the targets are kept, shrunk through {layers} of equal cost."
    quantities: dict[str, Quantity] = {"value": total_value(deep, modes, w)}
    if deep.M == 1 or not at_edge(deep, modes):
        quantities |= structure(deep, modes, w)
    return Prediction(theorem, statement, SOURCE, quantities)


def collapse_thresholds(*, K: int, n: Sizes, M: int) -> np.ndarray:
    """[K] n_k^M/N^(M+1) (M-1)^(M-1)/M^(2M): from this product lam_H lam_1 ... lam_M on class k is lost (z_k = 0).

    At equality, for M >= 2, z_k = 0 and z_k = sqrt(n_k) (M-1)/M have one value: a jump. M = 1: n_k/N^2, continuous.

    Raises:
        ValueError: bad arguments.
    Assumes:
        No bias (balanced with a free bias: the same); widths >= K.
    Source:
        L2; Dang et al. (arXiv 2301.00437) for equal sizes; derived for this project.
    """
    return _thresholds("deep_linear.collapse_thresholds", K, n, M, collapse_strength)


def spinodal_thresholds(*, K: int, n: Sizes, M: int) -> np.ndarray:
    """[K] product of the decays from which on class k has no local minimiser z_k > 0 at all.

    The collapse threshold times a number of M alone: 1 (M = 1), 1.6875, 4, 12.207 (M = 4).

    Raises:
        ValueError: bad arguments.
    Source:
        L2; derived for this project.
    """
    return _thresholds("deep_linear.spinodal_thresholds", K, n, M, spinodal_strength)


def _thresholds(where: str, K: int, n: Sizes, M: int, strongest: Callable[[int], float]) -> np.ndarray:
    sizes, M = check_sizes(where, K, n), check_count(where, "M", M, 1)
    # s = g n_k^(-M/(M+1)) N at c = 1/N, and the product of the decays is g^(M+1).
    return sizes.astype(float) ** M * (strongest(M) / int(np.sum(sizes))) ** (M + 1)
