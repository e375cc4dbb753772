"""Samples with several labels: the pick-all-labels loss, and the targets of all label sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import scipy

from ufm import tree
from ufm.checks import whole
from ufm.losses.protocol import mixed, need_classifier


@tree.register
@dataclass(frozen=True, eq=False)
class PickAllLabel:
    """sum_{c in S} CE(z, c) = |S| logsumexp(z) - sum_{c in S} z_c for a sample with the label set S.

    Needs `Problem(targets=...)` with 0/1 columns, one for each label set: see `ufm.label_sets`.

    Source:
        Li et al. (ICML 2024, arXiv 2310.15903).
    """

    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = True
    exchangeable: ClassVar[bool] = False
    rank_bound: ClassVar[None] = None
    margin_bound: ClassVar[None] = None

    def check(self, problem: Any, who: str) -> None:
        """Raise unless the targets are label sets."""
        need_classifier(problem, who, "PickAllLabel")
        Y = problem.group_targets()
        if not (np.all((Y == 0.0) | (Y == 1.0)) and np.all(Y.sum(axis=0) >= 1.0)):
            raise ValueError(
                f"{who}: PickAllLabel needs 0/1 targets with a label in every column. Pass targets of ufm.label_sets."
            )

    def __call__(self, Z: jax.Array, Y: jax.Array) -> jax.Array:
        count = jnp.sum(Y, axis=0)
        return count * jax.scipy.special.logsumexp(Z - jnp.sum(Y * Z, axis=0) / count, axis=0)

    def conjugate(self, G: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """sum_j q_j log(q_j / |S|) for q = g + 1_S >= 0 of mass |S|, +inf elsewhere; [C]."""
        Q = G + Y
        value = np.sum(scipy.special.xlogy(Q, np.maximum(Q, 0.0)), axis=0) - np.sum(Q, axis=0) * np.log(
            np.sum(Y, axis=0)
        )
        return np.where(np.all(Q >= 0.0, axis=0), value, np.inf)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Mix Q = G + Y with the product of its own column masses and the mean label, just enough to be >= 0."""
        marginal = Y @ sizes
        return mixed(G + Y, np.outer(marginal, Y.sum(axis=0)) / np.sum(marginal), G, Y)


def label_sets(K: int, counts: Mapping[int, int]) -> tuple[np.ndarray, tuple[int, ...]]:
    """(targets [K, C], n) of every label set of size m, `counts[m]` samples each, for Problem(targets=..., n=...).

    Columns are ordered by m, then as itertools.combinations of 0 .. K-1.

    Raises:
        ValueError: no set, m outside 1 .. K, or a count < 1.
    """
    K = whole(K, "K", "label_sets", 2, "one class has nothing to separate")
    if not counts:
        raise ValueError("label_sets: counts is empty. Pass e.g. {1: 10, 2: 5}, sets of one and of two labels.")
    columns, sizes = [], []
    for m in sorted(counts):
        whole(m, "set size m", "label_sets", 1, "a sample needs a label")
        whole(counts[m], f"counts[{m}]", "label_sets", 1, "leave out set sizes that do not occur")
        if m > K:
            raise ValueError(f"label_sets: m={m} labels of K={K} classes do not exist. Pass m <= K.")
        for chosen in combinations(range(K), m):
            columns.append(np.isin(np.arange(K), chosen).astype(float))
            sizes.append(int(counts[m]))
    return np.array(columns).T, tuple(sizes)
