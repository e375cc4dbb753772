"""Supervised contrastive loss on a sphere: minimum for the full batch and for the sum over all batches (Graf et al.).

Features z_i in R^d with |z_i|^2 = rho2; K classes of n samples. On a sphere of radius 1 with a temperature T that
divides inner products, rho2 = 1/T. Within a batch B an anchor i with positives P(i), the others of its class, has

    l_i = (1/|P(i)|) sum_{p in P(i)} -log( e^<z_i, z_p> / sum_{a in B, a != i} e^<z_i, z_a> )

(the anchor itself is left out of both sums, the mean over positives is outside the logarithm), and l_i = 0 without
positives. A batch may be a multiset: positives are told apart by position, so a repeated sample is its own positive.
"""

import math
from collections.abc import Callable

import numpy as np

from theory.arguments import Sizes, check_count, check_positive, check_sizes
from theory.frames import centering
from theory.prediction import NotApplicable, Prediction, Quantity

SOURCE = "Graf et al. (ICML 2021, arXiv 2102.08817), as recalled; full batch derived for this project"


def applies(*, K: int, n: Sizes, d: int, rho2: float) -> tuple[str, ...]:
    """Reasons why the theorems do not apply; empty if they do.

    Raises:
        ValueError: an argument is impossible (K < 2, rho2 <= 0, ...).
    """
    sizes, _ = _check("contrastive.applies", K, n, d, rho2)
    return _reasons(sizes, d)


def full_batch_minimum(*, K: int, n: Sizes, d: int, rho2: float) -> Prediction:
    """(1/N) sum_i l_i >= log(n-1 + (K-1) n e^(-K rho2/(K-1))), one batch of all N = K n samples.

    Args:
        K: number of classes, >= 2.
        n: samples a class.
        d: number of features.
        rho2: squared radius of the sphere, > 0.
    Returns:
        Prediction of value, data_loss (the mean over anchors), H_sq and gram_M, the Gram matrix of the class means.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: imbalanced classes, n = 1, or d < K-1.
    Assumes:
        Equal class sizes n >= 2; d >= K-1.
    Source:
        Section 5: Graf et al. (arXiv 2102.08817); proof derived for this project: Jensen over the anchors of
        log(n-1 + (K-1) n e^(s_i)), s_i the mean inner product with negatives less that with positives, and
        sum_i z_i = 0 at best. Attained iff each class is one point and the classes form a regular simplex.
    """
    sizes, rho2 = _require("contrastive.full_batch_minimum", K, n, d, rho2)
    value = _anchor_loss(K, int(sizes[0]), K * int(sizes[0]), rho2)
    statement = "Each class collapses to one point, and the classes form a regular simplex on the sphere."
    return Prediction("5", statement, SOURCE, _geometry(K, int(sizes[0]), rho2) | {"value": value, "data_loss": value})


def subset_batches_minimum(*, K: int, n: Sizes, d: int, rho2: float, b: int) -> Prediction:
    """Minimum of the mean, over all C(N, b) batches of b distinct samples, of the batch's sum_i l_i.

    That is (1/C(N, b)) sum_{l=2}^b l M_l log(l-1 + (b-l) e^(-K rho2/(K-1))), M_l = `subset_counts`. Multiply by
    C(N, b) for the sum over batches of Graf et al.

    Args:
        K, n, d, rho2: as `full_batch_minimum`.
        b: batch size, 2 <= b <= K n.
    Returns:
        Prediction of value, data_loss (this mean), H_sq, and gram_M for b >= 3; for b = 2 every point has the loss 0.
    Raises:
        ValueError, NotApplicable: as `full_batch_minimum`, or b out of range.
    Assumes:
        Equal class sizes n >= 2; d >= K-1.
    Source:
        Section 5: Graf et al. (arXiv 2102.08817), as recalled; proof as for the full batch, for each l apart.
    """
    where = "contrastive.subset_batches_minimum"
    sizes, rho2 = _require(where, K, n, d, rho2)
    counts = subset_counts(K=K, n=int(sizes[0]), b=b)
    return _batches(K, int(sizes[0]), rho2, counts, math.comb(K * int(sizes[0]), b))


def multiset_batches_minimum(*, K: int, n: Sizes, d: int, rho2: float, b: int) -> Prediction:
    """Minimum of the mean, over all C(N+b-1, b) batches drawn with repetition, of the batch's sum_i l_i.

    As `subset_batches_minimum` with M_l = `multiset_counts`.

    Args:
        K, n, d, rho2: as `full_batch_minimum`.
        b: batch size, >= 2.
    Returns:
        Prediction of value, data_loss (this mean), H_sq, and gram_M for b >= 3.
    Raises:
        ValueError, NotApplicable: as `full_batch_minimum`, or b < 2.
    Assumes:
        Equal class sizes n >= 2; d >= K-1; every multiset counts once.
    Source:
        Section 5: Graf et al. (arXiv 2102.08817), as recalled; proof as for the full batch, for each l apart.
    """
    where = "contrastive.multiset_batches_minimum"
    sizes, rho2 = _require(where, K, n, d, rho2)
    counts = multiset_counts(K=K, n=int(sizes[0]), b=b)
    return _batches(K, int(sizes[0]), rho2, counts, math.comb(K * int(sizes[0]) + b - 1, b))


def subset_counts(*, K: int, n: int, b: int) -> tuple[int, ...]:
    """M_l = #{(B, y): |B_y| = l} = K C(n, l) C(N-n, b-l) over the subsets B of size b, l = 0 .. b; exact ints.

    Raises:
        ValueError: K < 2, n < 1, or b outside [2, K n].
    """
    where = "contrastive.subset_counts"
    K, n = check_count(where, "K", K, 2), check_count(where, "n", n, 1)
    if check_count(where, "b", b, 2) > K * n:
        raise ValueError(f"{where}: b={b} is above N={K * n}, the number of samples. Pass b <= {K * n}.")
    return _counts(K, b, lambda most: math.comb(n, most), lambda rest: math.comb((K - 1) * n, rest))


def multiset_counts(*, K: int, n: int, b: int) -> tuple[int, ...]:
    """M_l = K C(n+l-1, l) C(N-n+b-l-1, b-l), as `subset_counts` over the multisets B of size b; exact ints.

    Raises:
        ValueError: K < 2, n < 1, or b < 2.
    """
    where = "contrastive.multiset_counts"
    K, n, b = check_count(where, "K", K, 2), check_count(where, "n", n, 1), check_count(where, "b", b, 2)
    return _counts(
        K, b, lambda most: math.comb(n + most - 1, most), lambda rest: math.comb((K - 1) * n + rest - 1, rest)
    )


def _counts(K: int, b: int, inside: Callable[[int], int], outside: Callable[[int], int]) -> tuple[int, ...]:
    return tuple(K * inside(many) * outside(b - many) for many in range(b + 1))


def _batches(K: int, n: int, rho2: float, counts: tuple[int, ...], batches: int) -> Prediction:
    """The mean over batches; ratios of exact integers, which may exceed the largest float."""
    b = len(counts) - 1
    value = math.fsum(many * (counts[many] / batches) * _anchor_loss(K, many, b, rho2) for many in range(2, b + 1))
    quantities = _geometry(K, n, rho2) | {"value": value, "data_loss": value}
    if b == 2:
        del quantities["gram_M"]
        return Prediction(
            "5", "A pair is its own positive or has none: every point has the loss 0.", SOURCE, quantities
        )
    statement = "Each class collapses to one point, and the classes form a regular simplex on the sphere."
    return Prediction("5", statement, SOURCE, quantities)


def _anchor_loss(K: int, members: int, b: int, rho2: float) -> float:
    """log(members-1 + (b-members) e^(-K rho2/(K-1))), members >= 2 of the anchor's class among b."""
    negatives = (b - members) * math.exp(-rho2 * K / (K - 1))
    return math.log(members - 1) + math.log1p(negatives / (members - 1))


def _geometry(K: int, n: int, rho2: float) -> dict[str, Quantity]:
    return {"H_sq": K * n * rho2, "gram_M": rho2 * K / (K - 1) * centering(K)}


def _check(where: str, K: int, n: Sizes, d: int, rho2: float) -> tuple[np.ndarray, float]:
    """Class sizes and squared radius after the checks that are shared by all."""
    sizes = check_sizes(where, K, n)
    check_count(where, "d", d, 1)
    return sizes, check_positive(where, "rho2", rho2)


def _require(where: str, K: int, n: Sizes, d: int, rho2: float) -> tuple[np.ndarray, float]:
    """As `_check`; NotApplicable where the theorem does not hold."""
    sizes, rho2 = _check(where, K, n, d, rho2)
    if reasons := _reasons(sizes, d):
        raise NotApplicable(where, reasons)
    return sizes, rho2


def _reasons(sizes: np.ndarray, d: int) -> tuple[str, ...]:
    K, reasons = len(sizes), []
    if np.any(sizes != sizes[0]):
        reasons.append(
            f"The class sizes {tuple(sizes.tolist())} differ: classes still collapse in experiments, but to no regular "
            "simplex."
        )
    if np.min(sizes) < 2:
        reasons.append("A class has one sample: its anchor has no positive.")
    if d < K - 1:
        reasons.append(f"d={d} < K-1={K - 1}: no regular simplex of {K} points fits.")
    return tuple(reasons)
