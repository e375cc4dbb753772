"""When the classifier is the nearest-mean rule: NC4 under imbalance (8)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.collapse import collapse
from ufm.solve import solve
from ufm.verify.claim import Claim, Measurement
from ufm.verify.sizes import STAY, with_sizes


class Rule(NamedTuple):
    """A classifier with class means: a minimum of cross-entropy, or w_k = s mu_k with or without b = -s |mu|^2/2."""

    n: tuple[int, ...] | None
    seed: int = 0
    bias: bool = False

    @property
    def drawn(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """(W, M, b) of unequal norms, drawn from the seed."""
        M = np.random.default_rng(self.seed).standard_normal((4, 4))
        return 1.7 * M.T + 0.3, M, -0.85 * np.sum(M**2, axis=0) if self.bias else None


DECAYS = {"lam_W": 0.02, "lam_H": 0.01}


def measure_rule(rule: Rule) -> Measurement:
    """Whether the classifier and the nearest mean agree on 4000 features around the means."""
    W, M, b = rule.drawn
    if rule.n is not None:
        params = solve(with_sizes(rule.n, 4, **DECAYS), solver=STAY).params
        W, M, b = params.W, params.H / np.sqrt(rule.n), None
    away = np.random.default_rng(1).standard_normal((4, 2000)) * 3.0 * np.linalg.norm(M)
    labels = np.arange(2000) % 4
    H = np.hstack([M[:, labels] + away, M[:, labels] - away])  # so that the class means are M
    return Measurement({"nearest mean": str(collapse(H, np.tile(labels, 2), W, b).nc4 == 0.0)})


def predict_rule(rule: Rule) -> Mapping[str, Any]:
    """The algebraic condition."""
    W, M, b = rule.drawn
    if rule.n is not None:
        Z = theory.imbalance.global_minimum(K=4, d=4, **DECAYS, n=rule.n).quantities["logits"]
        W, H = theory.frames.balanced_factors(np.repeat(Z, rule.n, axis=1), 4, **DECAYS)
        M, b = H[:, np.cumsum(rule.n) - 1], None
    return {"nearest mean": str(theory.fixed_classifier.is_nearest_mean_rule(W=W, M=M, b=b))}


CLAIMS = (
    Claim(
        "8-NC4",
        "w_k = s mu_k makes the classifier the nearest-mean rule only at equal norms or with the bias -s |mu_k|^2/2.",
        "Papyan et al. (PNAS 2020) for NC4; the condition derived for this project",
        "none",
        "exact: agreement on 4000 features, or not",
        lambda full: [Rule((2, 2, 2, 2)), Rule((4, 4, 1, 1)), Rule(None, 0, True), Rule(None, 0, False)],
        measure_rule,
        predict_rule,
        boundary=True,
    ),
)
