"""Cross-entropy with decay under class imbalance: global minimum for STEP sizes, minority collapse, zero thresholds.

STEP: k_A classes of n_A samples and k_B of n_B < n_A, in any order. Every function takes the keywords of
`theory.cross_entropy`: K classes, n samples a class (an int, or K sizes), d features, decays lam_W, lam_H > 0, lam_b
(None: no bias, 0.0: free bias, > 0). nu = sqrt(lam_W lam_H).
"""

import math

import numpy as np
from scipy.linalg import null_space

from theory.arguments import Sizes, check_bias_decay, check_count, check_decay, check_sizes, nu, root_ratio
from theory.prediction import NotApplicable, Prediction, Quantity
from theory.seli import centred_svd
from theory.step import Group, StepMinimum, geometry, large_classes, singular_values, solve_step

SOURCE = (
    "Setting: Hong and Ling (JMLR 2024, arXiv 2309.09725); minimum, bias and exact thresholds derived for this project"
)


def applies(*, K: int, n: Sizes, d: int, lam_W: float, lam_H: float, lam_b: float | None = None) -> tuple[str, ...]:
    """Reasons why the minimum is not known to `global_minimum`; empty if it is.

    Raises:
        ValueError: an argument is impossible (K < 2, a decay that is not positive, ...).
    """
    sizes, _, _ = _check("imbalance.applies", K, n, d, lam_W, lam_H, lam_b)
    return _many_sizes(sizes) + _few_features(K, d)


def global_minimum(*, K: int, n: Sizes, d: int, lam_W: float, lam_H: float, lam_b: float | None = None) -> Prediction:
    """W M = a P_A (+) f P_B + u [x_A 1_A; -x_B 1_B]^T: four numbers (a fifth for b) that solve a convex problem.

    P_A, P_B center within the groups and u = sqrt(k_A k_B/K) [1_A/k_A; -1_B/k_B]; see theory/step.py for the equations,
    which are solved to rounding, and checked against the value of the dual problem. f = 0 iff nu >= sqrt(n_B)/N: then
    the classifiers of group B are one vector, and its features too.

    Args:
        K, n, d, lam_W, lam_H, lam_b: see the module; equal sizes are allowed.
    Returns:
        Prediction with every quantity; "b" is absent if lam_b is None, "nullity" within rounding of a threshold.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: more than two different class sizes, or d < K-1.
    Assumes:
        At most two different class sizes; d >= K-1; lam_W, lam_H > 0; no label smoothing.
    Source:
        3.4; derived for this project. Setting: Hong and Ling (arXiv 2309.09725).
    """
    where = "imbalance.global_minimum"
    sizes, strength, lam_b = _check(where, K, n, d, lam_W, lam_H, lam_b)
    if reasons := _many_sizes(sizes) + _few_features(K, d):
        raise NotApplicable(where, reasons)
    in_A, N, ratio = large_classes(sizes), int(np.sum(sizes)), root_ratio(lam_W, lam_H)
    A, B = (Group(len(group), float(group[0]) / N, math.sqrt(group[0])) for group in (sizes[in_A], sizes[~in_A]))
    found = solve_step(A, B, strength, lam_b)
    sigma = singular_values(A, B, found.within, found.lift)
    quantities: dict[str, Quantity] = {
        "value": found.value,
        "data_loss": found.data_loss,
        "W_sq": ratio * sum(sigma),
        "H_sq": sum(sigma) / ratio,
        "sigma_Z": np.append(np.sort(sigma)[::-1], 0.0),
        **geometry(found, A, B, in_A, ratio),
    }
    if lam_b is not None:
        quantities["b"] = found.shift * np.where(in_A, B.k / K, -A.k / K)
    if not found.edge:
        rank = int(np.sum(np.array(sigma) > 0.0))
        quantities["nullity"] = rank * (2 * d - rank - 1) // 2 + int(lam_b == 0.0)
    return Prediction("3.4", _statement(found, B), SOURCE, quantities)


def minority_collapse_threshold(*, K: int, n: Sizes) -> float:
    """sqrt(n_B)/N: from this nu = sqrt(lam_W lam_H) on all classifiers of the minority are one vector, features too.

    The same for every lam_b. At sqrt(n_A)/N group A collapses too; if it has two classes or more, everything vanishes
    there.

    Args:
        K, n: see the module.
    Returns:
        The threshold; NaN if the minority is a single class, which cannot collapse in this sense. Balanced:
        1/(K sqrt n), where everything vanishes.
    Raises:
        ValueError: bad arguments.
        NotApplicable: more than two different class sizes. Minority classes of different sizes do not coincide: their
            vectors become collinear with different norms.
    Assumes:
        At most two different class sizes; d >= K-1; cross-entropy.
    Source:
        3.4; derived for this project.
    """
    where = "imbalance.minority_collapse_threshold"
    sizes = check_sizes(where, K, n)
    if reasons := _many_sizes(sizes):
        raise NotApplicable(where, reasons)
    smallest = int(np.min(sizes))
    return math.sqrt(smallest) / int(np.sum(sizes)) if np.sum(sizes == smallest) > 1 else math.nan


def minority_collapse_ratio(*, k_A: int, k_B: int, n_B: int, lam_W: float, lam_H: float) -> float:
    """R = (1/(nu sqrt(n_B)) - k_B)/k_A: minority collapse iff n_A/n_B is at least this, at fixed n_B and decays.

    Returns:
        The ratio; below 1 it is reached by every imbalance.
    Raises:
        ValueError: a count or decay is impossible; k_B < 2, where there is nothing to collapse.
    Assumes:
        STEP sizes; d >= K-1; cross-entropy, any bias.
    Source:
        3.4; derived for this project.
    """
    where = "imbalance.minority_collapse_ratio"
    k_A, k_B = check_count(where, "k_A", k_A, 1), check_count(where, "k_B", k_B, 2)
    root = math.sqrt(check_count(where, "n_B", n_B, 1))
    return (1.0 / root / nu(check_decay(where, "lam_W", lam_W), check_decay(where, "lam_H", lam_H)) - k_B) / k_A


def zero_threshold(*, K: int, n: Sizes, lam_b: float | None = None) -> float:
    """sqrt(lambda_max(P D P))/N without bias, sqrt(lambda_max(D - n n^T/N))/N with a free one; D = diag(n).

    From this nu = sqrt(lam_W lam_H) on W = H = 0 (with b = log(n/N)) is a global minimum, at every d; below, at none.

    Args:
        K, n: see the module; any class sizes.
        lam_b: None (no bias) or 0.0 (free bias).
    Returns:
        The threshold > 0. Balanced: 1/(K sqrt n).
    Raises:
        ValueError: bad arguments.
        NotApplicable: lam_b > 0.
    Assumes:
        Cross-entropy; b optimal.
    Source:
        3.4; derived for this project: the spectral norm of the gradient in the logits at W = H = 0.
    """
    where = "imbalance.zero_threshold"
    sizes = check_sizes(where, K, n)
    N = int(np.sum(sizes))
    if check_bias_decay(where, lam_b):
        raise NotApplicable(where, [f"lam_b={lam_b} > 0: the best bias at W = H = 0 has no closed form."])
    if lam_b is None:
        return float(centred_svd(sizes)[1][0]) / N
    # D - n n^T/N = R (I - v v^T) R with R = sqrt(D) and v = sqrt(n/N): R times a basis of what is orthogonal to v
    roots = np.sqrt(sizes)[:, None]
    return float(np.linalg.norm(roots * null_space(roots.T), 2)) / N


def _statement(found: StepMinimum, B: Group) -> str:
    """3.4 in one sentence, for the regime at hand."""
    if not any(found.within) and not any(found.lift):
        return "W = H = 0 is the only global minimum."
    if B.k > 1 and found.within[1] == 0.0:
        return "Minority collapse: nu >= sqrt(n_B)/N, the classifiers of the small classes are one vector."
    return "Two simplex ETFs of different size, one a group, and one direction between the groups."


def _check(where, K, n, d, lam_W, lam_H, lam_b) -> tuple[np.ndarray, float, float | None]:
    """Class sizes, nu and the bias decay after the checks that are shared by all."""
    sizes = check_sizes(where, K, n)
    check_count(where, "d", d, 1)
    strength = nu(check_decay(where, "lam_W", lam_W), check_decay(where, "lam_H", lam_H))
    return sizes, strength, check_bias_decay(where, lam_b)


def _many_sizes(sizes: np.ndarray) -> tuple[str, ...]:
    different = len(set(sizes.tolist()))
    if different <= 2:
        return ()
    return (
        f"The class sizes {tuple(sizes.tolist())} are {different} different ones; only two are solved (STEP). Known is "
        "when W = H = 0 (zero_threshold), and for any logits a lower bound of f* (theory.residual).",
    )


def _few_features(K: int, d: int) -> tuple[str, ...]:
    if d >= K - 1:
        return ()
    return (f"d={d} < K-1={K - 1}: the convex problem in the logits is then only a lower bound.",)
