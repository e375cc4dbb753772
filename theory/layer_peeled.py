"""The layer-peeled model, cross-entropy with norm budgets instead of decays: minority collapse at a finite ratio.

    min (1/N) sum_i CE(W h_i)   s.t.   (1/K) |W|^2 <= E_W,   (1/K) sum_c (1/n_c) sum_i |h_ci|^2 <= E_H

The second budget averages over each class first, so that a class counts by its mean feature, not by its size. Hence the
problem is min over Theta = W M of sum_c (n_c/N) CE(theta_c, c) with |Theta|_* <= K sqrt(E_W E_H); with a multiplier for
the budget it is the problem of theory/step.py at weights n_c/N and roots 1. No bias.
"""

import math

import numpy as np

from theory.arguments import Sizes, check_count, check_positive, check_sizes, nu, root_ratio
from theory.prediction import NotApplicable, Prediction, Quantity
from theory.roots import decreasing_root
from theory.step import Group, StepMinimum, geometry, large_classes, singular_values, solve_step

SOURCE = "Model: Fang et al. (PNAS 2021, arXiv 2101.12699); minimum and finite threshold derived for this project"
LARGEST_LOG = 690.0  # e^690 and e^-690 are still normal floats
UNRESOLVED = 1e-6  # relative error of the budget from which the multiplier is too close to its threshold


def applies(*, K: int, n: Sizes, d: int, E_W: float, E_H: float) -> tuple[str, ...]:
    """Reasons why the minimum is not known to `global_minimum`; empty if it is.

    Raises:
        ValueError: an argument is impossible (K < 2, a budget that is not positive, ...).
    """
    sizes, _ = _check("layer_peeled.applies", K, n, d, E_W, E_H)
    return _reasons(sizes, d)


def global_minimum(*, K: int, n: Sizes, d: int, E_W: float, E_H: float) -> Prediction:
    """The least data loss within the budgets; balanced log(1 + (K-1) exp(-K/(K-1) sqrt(E_W E_H))).

    Args:
        K: classes.
        n: samples a class, an int or K sizes.
        d: features.
        E_W, E_H: budgets > 0, the mean squared norms of a classifier and of a class's features.
    Returns:
        Prediction of every quantity but b and nullity; value = data_loss. Both budgets are used up: W_sq = K E_W and
        the squared norms of the class means sum to K E_H.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: more than two different class sizes, or d < K-1.
    Assumes:
        At most two different class sizes (STEP); d >= K-1; no bias; plain cross-entropy.
    Source:
        3.6: model Fang et al. (arXiv 2101.12699), balanced value theirs; STEP derived for this project.
    """
    where = "layer_peeled.global_minimum"
    sizes, budget = _check(where, K, n, d, E_W, E_H)
    if reasons := _reasons(sizes, d):
        raise NotApplicable(where, reasons)
    in_A, N = large_classes(sizes), int(np.sum(sizes))
    A, B = (Group(len(group), float(group[0]) / N, 1.0) for group in (sizes[in_A], sizes[~in_A]))
    found = _within_budget(where, A, B, budget)
    quantities: dict[str, Quantity] = {
        "value": found.data_loss,
        "data_loss": found.data_loss,
        "W_sq": K * float(E_W),
    }
    quantities |= geometry(found, A, B, in_A, root_ratio(E_H, E_W))
    A, B = (group._replace(root=math.sqrt(group.weight * N)) for group in (A, B))  # Z = W H has n_c equal columns
    sigma = singular_values(A, B, found.within, found.lift)
    quantities["H_sq"] = float(sizes @ np.diag(quantities["gram_M"]))
    quantities["sigma_Z"] = np.append(np.sort(sigma)[::-1], 0.0)
    return Prediction("3.6", _statement(found, B), SOURCE, quantities)


def balanced_value(*, K: int, E_W: float, E_H: float) -> float:
    """log(1 + (K-1) exp(-K/(K-1) sqrt(E_W E_H))), the least data loss for equal class sizes.

    Raises:
        ValueError: K < 2, or a budget that is not positive.
    Assumes:
        Equal class sizes; d >= K-1.
    Source:
        3.6, T7: Fang et al. (arXiv 2101.12699).
    """
    where = "layer_peeled.balanced_value"
    K = check_count(where, "K", K, 2)
    root = nu(check_positive(where, "E_W", E_W), check_positive(where, "E_H", E_H))
    return math.log1p((K - 1) * math.exp(-K / (K - 1) * root))


def minority_collapse_ratio(*, k_A: int, k_B: int, E_W: float, E_H: float) -> float:
    """R_0: the classifiers of the k_B small classes are one vector, and their features too, iff n_A/n_B >= R_0.

    At R_0 the multiplier of the budget |Theta|_* <= K sqrt(E_W E_H) equals n_B/N = 1/(k_A R + k_B), from which on the
    small classes coincide: the root of a function of R, to a few eps relative.

    Args:
        k_A, k_B: numbers of large and of small classes, k_B >= 2.
        E_W, E_H: budgets > 0.
    Returns:
        R_0 > 1, a real number.
    Raises:
        ValueError: an argument is impossible, or R_0 exceeds 1e299.
    Assumes:
        STEP sizes; d >= K-1.
    Source:
        3.6; derived for this project. Fang et al. (arXiv 2101.12699) show the collapse as R -> infinity.
    """
    where = "layer_peeled.minority_collapse_ratio"
    k_A, k_B = check_count(where, "k_A", k_A, 1), check_count(where, "k_B", k_B, 2)
    budget = (k_A + k_B) * nu(check_positive(where, "E_W", E_W), check_positive(where, "E_H", E_H))

    def unspent(log_ratio: float) -> float:
        """Budget left when the multiplier sits at the threshold of the small classes; all in units of n_B/N."""
        A, B = Group(k_A, math.exp(log_ratio), 1.0), Group(k_B, 1.0, 1.0)
        return 1.0 - _norm(A, B, solve_step(A, B, 1.0, None)) / budget

    if unspent(LARGEST_LOG) > 0.0:
        raise ValueError(
            f"{where}: R_0 exceeds e^{LARGEST_LOG:.0f} for E_W={E_W!r}, E_H={E_H!r}. Pass smaller budgets."
        )
    return math.exp(decreasing_root(unspent, reach=LARGEST_LOG))


def _within_budget(where: str, A: Group, B: Group, budget: float) -> StepMinimum:
    """The minimum whose nuclear norm is the budget: the root in the logarithm of the multiplier."""

    def unspent(log_price: float) -> float:
        """Negative of the relative budget left."""
        return _norm(A, B, solve_step(A, B, math.exp(log_price), None)) / budget - 1.0

    if unspent(-LARGEST_LOG) < 0.0:
        raise ValueError(f"{where}: the budgets ask for margins beyond {LARGEST_LOG:.0f}. Pass smaller budgets.")
    log_price = decreasing_root(unspent, reach=LARGEST_LOG)
    if abs(unspent(log_price)) > UNRESOLVED:
        raise ValueError(
            f"{where}: K sqrt(E_W E_H)={budget!r} is so small that rounding of its multiplier decides the minimum. "
            "Pass larger budgets."
        )
    return solve_step(A, B, math.exp(log_price), None)


def _norm(A: Group, B: Group, found: StepMinimum) -> float:
    """|Theta|_*."""
    return sum(singular_values(A, B, found.within, found.lift))


def _statement(found: StepMinimum, B: Group) -> str:
    if B.k > 1 and found.within[1] == 0.0:
        return "Minority collapse: n_A/n_B is at least R_0, the classifiers of the small classes are one vector."
    return "Two simplex ETFs, one a group, and one direction between the groups; both budgets are used up."


def _check(where, K, n, d, E_W, E_H) -> tuple[np.ndarray, float]:
    """Class sizes and the budget of |Theta|_* after the checks that are shared by all."""
    sizes = check_sizes(where, K, n)
    check_count(where, "d", d, 1)
    return sizes, K * nu(check_positive(where, "E_W", E_W), check_positive(where, "E_H", E_H))


def _reasons(sizes: np.ndarray, d: int) -> tuple[str, ...]:
    """Why the minimum is not known, if so."""
    K, different = len(sizes), len(set(sizes.tolist()))
    many = (f"The class sizes {tuple(sizes.tolist())} are {different} different ones; only two are solved (STEP).",)
    few = (f"d={d} < K-1={K - 1}: the convex problem in the logits is then only a lower bound.",)
    return (many if different > 2 else ()) + (few if d < K - 1 else ())
