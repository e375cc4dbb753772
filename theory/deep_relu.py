"""Deep ReLU features model, squared loss, balanced, no bias: neural collapse (DNC), its cost, where it is optimal.

    f = 1/(2N) |W_L relu(W_(L-1) ... relu(W_1 H)) - Y|^2 + sum_l lam_l/2 |W_l|^2 + lam_H/2 |H|^2

with no ReLU on H and none on the output. A point with Z = s Y whose factors of unit length product have squared norms
rho_i is, after the best scaling, worth f(G) with G = prod rho_i, increasing: so comparing solutions is comparing G,
whatever the decays and n. Keywords as in `theory.deep_linear`; L is the number of matrices.
"""

import math
from collections.abc import Sequence

import numpy as np

from theory.arguments import Sizes, check_count, check_decay, check_positive
from theory.depth import EDGE, Decays, Deep, check_decays, check_depth, collapse_strength, geometric_mean, least
from theory.prediction import NotApplicable, Prediction, Quantity

BINARY = "Sukenik, Mondelli and Lampert (NeurIPS 2023, arXiv 2305.13165); value derived for this project"
TWO_LAYERS = "Tirer and Bruna (ICML 2022, arXiv 2202.08087); value derived for this project"


def applies(*, K: int, n: Sizes, d: int, lam_W: Decays, lam_H: float, widths: Sequence[int] = ()) -> tuple[str, ...]:
    """Reasons why no theorem gives the global minimum; empty if one does.

    Raises:
        ValueError: an argument is impossible (K < 2, a decay that is not positive, ...).
    """
    return _reasons(check_depth("deep_relu.applies", K, n, d, widths, lam_W, lam_H))


def global_minimum(*, K: int, n: Sizes, d: int, lam_W: Decays, lam_H: float, widths: Sequence[int] = ()) -> Prediction:
    """f* = f(K^(L+1)), the value of deep neural collapse and of the deep linear model: Z = s I on the class means.

    The features after the last ReLU collapse to an orthogonal frame, W_L to its transpose. Before it nothing is unique:
    W_1 H on the class means may be any multiple of I - t (J - I), 0 <= t <= 1/(K-1).

    Args:
        K, n, d, lam_W, lam_H, widths: see the module.
    Returns:
        Prediction of value, data_loss, W_sq [L], H_sq, gram_W (of W_L), logits, sigma_Z and margin; only the value at
        the tie with zero.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: L >= 3 with K >= 3, different class sizes, or a layer narrower than K.
    Assumes:
        Equal class sizes, every width >= K, and L <= 2 or K = 2.
    Source:
        3: Tirer and Bruna (arXiv 2202.08087); D2: Sukenik et al. (arXiv 2305.13165); values derived for this project.
    """
    where = "deep_relu.global_minimum"
    deep = check_depth(where, K, n, d, widths, lam_W, lam_H)
    if reasons := _reasons(deep):
        raise NotApplicable(where, reasons)
    size, L = int(deep.sizes[0]), deep.M
    s = _strength(deep, K ** (L + 1))
    w, value = least(1.0, 1.0, s, L)
    quantities: dict[str, Quantity] = {"value": value}
    if L == 1 or abs(s / collapse_strength(L) - 1.0) > EDGE:
        z = math.sqrt(size) * (1.0 - w)
        cost = deep.g * z ** (2 / (L + 1))
        quantities |= {
            "data_loss": w**2 / 2,
            "W_sq": K * cost / deep.lams[:-1],
            "H_sq": K * cost / float(deep.lams[-1]),
            "gram_W": cost / float(deep.lams[-2]) * np.eye(K),
            "logits": (1.0 - w) * np.eye(K),
            "sigma_Z": np.full(K, z),
            "margin": 1.0 - w,
        }
    statement = f"Deep neural collapse: logits {1.0 - w:.6g} I on the class means; the value of the linear model."
    return Prediction("D2" if K == 2 else "3", statement, BINARY if K == 2 else TWO_LAYERS, quantities)


def collapse_cost(*, K: int, L: int) -> float:
    """G = K^(L+1) of deep neural collapse: every one of the L + 1 factors has squared norm K.

    Raises:
        ValueError: bad arguments.
    Source:
        D1; derived for this project.
    """
    return float(_classes("deep_relu.collapse_cost", K)) ** (check_count("deep_relu.collapse_cost", "L", L, 1) + 1)


def bounding_cost(*, K: int) -> float:
    """G = K^2: no point of a network with |sigma(x)| <= |x| is below f(K^2), since |Z|_* <= prod |W_l| |H|.

    Raises:
        ValueError: bad arguments.
    Source:
        D1; derived for this project. Attained for L = 1; loose for L >= 2.
    """
    return float(_classes("deep_relu.bounding_cost", K)) ** 2


def value_of_cost(*, G: float, n: int, lam_W: Decays, lam_H: float, L: int) -> float:
    """f(G) = min over s of (1 - s)^2/2 + (q/2) (n lam_H lam_1 ... lam_L G s^2)^(1/q), q = L + 1; at most 1/2.

    Args:
        G: product of the squared norms of the factors of Y, n = 1; see the module.
        n: samples a class. lam_W, lam_H: decays > 0. L: number of matrices.
    Raises:
        ValueError: an argument is impossible.
    Assumes:
        Equal class sizes.
    Source:
        D1; derived for this project.
    """
    where = "deep_relu.value_of_cost"
    n, L, G = check_count(where, "n", n, 1), check_count(where, "L", L, 1), check_positive(where, "G", G)
    lams = np.array([*check_decays(where, lam_W, L), check_decay(where, "lam_H", lam_H)])
    return least(1.0, 1.0, geometric_mean(lams) * (n * G) ** (1 / (L + 1)), L)[1]


def collapse_threshold(*, K: int, n: int, L: int) -> float:
    """(L-1)^(L-1)/(n K^(L+1) L^(2L)): from this product of the decays on, deep neural collapse is zero.

    Raises:
        ValueError: bad arguments.
    Assumes:
        Equal class sizes. The threshold of f* itself where `global_minimum` applies.
    Source:
        D1, D2 (Sukenik et al., arXiv 2305.13165, for K = 2).
    """
    where = "deep_relu.collapse_threshold"
    n, L = check_count(where, "n", n, 1), check_count(where, "L", L, 1)
    return (collapse_strength(L) / _classes(where, K)) ** (L + 1) / n


def _strength(deep: Deep, G: float) -> float:
    return deep.g * (int(deep.sizes[0]) * G) ** (1 / (deep.M + 1))


def _classes(where: str, K: int) -> int:
    return check_count(where, "K", K, 2)


def _reasons(deep: Deep) -> tuple[str, ...]:
    reasons = []
    if deep.M > 2 and deep.K > 2:
        reasons.append(f"L={deep.M} matrices and K={deep.K} classes: neural collapse is not optimal in general (D3).")
    if not deep.balanced:
        reasons.append(f"Class sizes {tuple(deep.sizes.tolist())} differ: no theorem is known.")
    if min(deep.dims) < deep.K:
        reasons.append(f"A layer has width {min(deep.dims)} < K={deep.K}: no theorem is known.")
    return tuple(reasons)
