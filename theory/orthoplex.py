"""Simplices in orthogonal subspaces: critical points on spheres for d+1 <= K <= 2d, and where they are stable (2.6).

A partition (g_1 .. g_m) of K = g_1 + .. + g_m, every g_i >= 2, is a code of d = K - m dimensions: W is block diagonal
with a regular simplex of g_i rows in each block, H = W^T. Every one-vs-rest distance is at least 1, and 1 if m >= 2.
m = 1 is the simplex, all g_i = 2 the cross-polytope. For d+2 <= K < 2d no partition is a minimum at every temperature,
and a strict minimum need not be the lowest point.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.linalg import block_diag

from theory.arguments import check_count, check_positive
from theory.codes import simplex
from theory.roots import bracketed_root


def partition_code(partition: Sequence[int]) -> np.ndarray:
    """Block-diagonal simplices; [K, K - m] unit rows for m groups.

    Args:
        partition: group sizes, each >= 2.
    Raises:
        ValueError: no group, or one of fewer than 2 classes.
    """
    return np.asarray(block_diag(*(simplex(g) for g in _groups("partition_code", partition))))


def partition_value(partition: Sequence[int], tau: float) -> float:
    """(1/K) sum_i g_i log(1 + (K-g_i) e^-tau + (g_i-1) e^(-tau g_i/(g_i-1))), f of `partition_code` with H = W^T.

    Args:
        partition: group sizes, each >= 2.
        tau: temperature that multiplies the logits, > 0.
    Returns:
        f at a critical point, an upper bound on the minimum for d = K - m; the minimum itself if m = 1 (1.1).
    Raises:
        ValueError: an impossible partition, or tau <= 0.
    Source:
        2.6; derived for this project.
    """
    where = "partition_value"
    groups, tau = _groups(where, partition), check_positive(where, "tau", tau)
    K = sum(groups)
    return sum(g * _class_loss(K, g, tau) for g in groups) / K


def best_partition(*, K: int, d: int, tau: float) -> tuple[int, ...]:
    """The partition of K into K - d groups with the least `partition_value` at tau, ascending.

    Args:
        K, d: d+1 <= K <= 2d.
        tau: temperature that multiplies the logits, > 0.
    Returns:
        Group sizes. Best among partitions only: see `stability_interval`.
    Raises:
        ValueError: K outside [d+1, 2d], or tau <= 0.
    Source:
        2.6; derived for this project. The value is a sum over groups, so dynamic programming is exact.
    """
    where = "best_partition"
    K, d, tau = check_count(where, "K", K, 2), check_count(where, "d", d, 1), check_positive(where, "tau", tau)
    if not d + 1 <= K <= 2 * d:
        raise ValueError(f"{where}: K={K} is outside [d+1, 2d] for d={d}. Pass K in [{d + 1}, {2 * d}].")
    cost = {g: g * _class_loss(K, g, tau) for g in range(2, K + 1)}
    best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}  # classes placed -> (cost, groups)
    for _ in range(K - d):
        longer: dict[int, tuple[float, tuple[int, ...]]] = {}
        for placed, (total, groups) in best.items():
            for g in range(2, K - placed + 1):
                if placed + g not in longer or total + cost[g] < longer[placed + g][0]:
                    longer[placed + g] = (total + cost[g], (*groups, g))
        best = longer
    return tuple(sorted(best[K][1]))


def least_curvature(partition: Sequence[int], tau: float) -> float:
    """Least eigenvalue of the Riemannian Hessian, n = 1, over the modes in which one class leaves its group's symmetry.

    In such a mode a group j of g >= 3 classes deforms like one class against the others, in W (x) and in H (y), and
    every other group i shifts towards it, in W (u_i) and in H (v_i). Its sign decides: the partition is a saddle where
    it is negative, and its Hessian has no other negative eigenvalue (checked densely for every partition of K <= 9).

    Args:
        partition: group sizes, each >= 2.
        tau: temperature that multiplies the logits, > 0.
    Returns:
        Float; NaN if there is no such mode (one group, or all groups of 2).
    Raises:
        ValueError: an impossible partition, or tau <= 0.
    Source:
        Derived for this project. The sign is the same for every n: within a class the Hessian is positive.
    """
    where = "least_curvature"
    groups, tau = _groups(where, partition), check_positive(where, "tau", tau)
    if not _can_break(groups):
        return math.nan
    return _scaled_curvature(groups, tau) * tau / sum(groups) * math.exp(-tau)


def stability_interval(partition: Sequence[int]) -> tuple[float, float]:
    """(tau_0, tau_c): `least_curvature` is positive between these temperatures; outside the partition is a saddle.

    tau_c = 9.2898 for (2, 3), 13.499 for (2, 4), 7.828 for (3, 3), 7.319 for (2, 2, 3), where tau_0 = 0.5958. tau_0 = 0
    only if the groups are of similar size: (2, 3), (2, 4), (3, 3), (3, 4), ... (0, inf) for one group and for groups of
    2 only. Stable is not lowest: points with one-vs-rest distances below 1 are lower well before tau_c; for (2, 3) a
    square pyramid, from tau = 6.88507 on.

    Args:
        partition: group sizes, each >= 2.
    Returns:
        (tau_0, tau_c), roots to rounding; (NaN, NaN) if no stable temperature is found in [1e-3, 1e5], on a grid of
        ratio 1.03.
    Raises:
        ValueError: an impossible partition.
    Source:
        2.6, derived for this project.
    """
    groups = _groups("stability_interval", partition)
    if not _can_break(groups):
        return 0.0, math.inf
    grid, lower, before = np.geomspace(1e-3, 1e5, 624), math.nan, 0.0
    for tau in grid:
        stable = _scaled_curvature(groups, tau) > 0.0
        if stable and math.isnan(lower):
            lower = _root(groups, before, tau) if before else 0.0
        elif not stable and not math.isnan(lower):
            return lower, _root(groups, before, tau)
        before = float(tau)
    return math.nan, math.nan


def _root(groups: tuple[int, ...], below: float, above: float) -> float:
    """The temperature in between at which the least curvature changes its sign."""
    return bracketed_root(lambda tau: _scaled_curvature(groups, tau), below, above)


def _scaled_curvature(groups: tuple[int, ...], tau: float) -> float:
    """Least eigenvalue of the blocks of all group sizes >= 3, over tau e^-tau/K."""
    sizes = [g for g in sorted(set(groups)) if g >= 3]
    return min(float(np.linalg.eigvalsh(_block(groups, groups.index(g), tau))[0]) for g in sizes)


def _block(groups: tuple[int, ...], j: int, tau: float) -> np.ndarray:
    """The form in (x, y, u_i.., v_i..) for the group j, over tau e^-tau/K, in variables of unit length.

    x stands for the rows a_k + (g-1) a_l, k != l, of one centred a with |a| = 1: of squared norm g (g-1)(g-2) = `size`
    and column sums g (g-2) a = `pull` a; u_i moves every row of group i by u_i a. Softmax masses over e^-tau: same[i]
    of another class of group i, other[i] of one outside, both seen from group i.
    """
    all_sizes, K = np.array(groups), sum(groups)
    partition_sum = np.array([math.exp(_class_loss(K, g, tau)) for g in groups])
    same, other = np.exp(-tau / (all_sizes - 1.0)) / partition_sum, 1.0 / partition_sum
    stiff = all_sizes * same + (K - all_sizes) * other  # minus the multipliers of the unit norms
    g, rest = groups[j], np.delete(np.arange(len(groups)), j)
    size, pull, t = g * (g - 1) * (g - 2), g * (g - 2), tau * g / (g - 1)
    counts, seen = all_sizes[rest], other[rest]

    unit = np.eye(2 * len(groups))
    x, y, u, v = unit[0], unit[1], unit[2 : 2 + len(rest)], unit[2 + len(rest) :]
    form = np.diag(np.concatenate([[stiff[j] * size] * 2, stiff[rest] * counts, stiff[rest] * counts]))
    # The softmax variance: mean of squares, less the square of the mean.
    own, back = x + (g - 1) * y, (g - 1) * x + y
    mean = same[j] * ((g - 1) * back - own) + other[j] * counts @ u
    form += t * same[j] * ((g - 1) * (np.outer(own, own) + np.outer(back, back)) - 2 * _sym(np.outer(own, back)))
    form += t * (other[j] * (u.T * counts) @ u + (v.T * (counts * seen)) @ v - math.exp(-tau) * np.outer(mean, mean))
    # 2 tau <G, D_W D_H>: within group j, between it and the others, among the others.
    form += 2 * (same[j] * pull**2 - stiff[j] * size) * _sym(np.outer(x, y))
    form += 2 * pull * _sym(other[j] * np.outer(y, counts @ u) + np.outer(x, (counts * seen) @ v))
    form += 2 * _sym(u.T @ (np.outer(counts, counts * seen) - np.diag(counts * seen * K)) @ v)
    length = 1.0 / np.sqrt(np.concatenate([[size, size], counts, counts]))
    return form * length[:, None] * length


def _sym(A: np.ndarray) -> np.ndarray:
    """The symmetric matrix of the form <z, A z>."""
    return (A + A.T) / 2


def _class_loss(K: int, g: int, tau: float) -> float:
    """Cross-entropy of a class in a group of g: K-g classes at cosine 0, g-1 at -1/(g-1)."""
    return math.log1p((K - g) * math.exp(-tau) + (g - 1) * math.exp(-tau * g / (g - 1)))


def _can_break(groups: tuple[int, ...]) -> bool:
    return len(groups) > 1 and max(groups) > 2


def _groups(where: str, partition: Sequence[int]) -> tuple[int, ...]:
    """The partition as a tuple of ints >= 2, or a ValueError."""
    if np.ndim(partition) != 1 or len(partition) == 0:
        raise ValueError(f"{where}: partition={partition!r} is not a sequence of group sizes. Pass such as (2, 3).")
    return tuple(check_count(where, "group size", g, 2) for g in partition)
