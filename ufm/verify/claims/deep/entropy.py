"""Cross-entropy through deep linear layers: the simplex ETF is a local minimum, and not the global one (5)."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.problem import Params
from ufm.verify.claim import AtLeast, Claim, Measurement
from ufm.verify.claims.deep.cases import Case, settled_from
from ufm.verify.experiment import Settled


class Symmetric(NamedTuple):
    """K classes of one sample, M matrices, one decay; K features in every layer."""

    K: int
    M: int
    lam: float

    @property
    def case(self) -> Case:
        """No bias."""
        return Case(self.K, 1, self.K, (self.K,) * (self.M - 1), (self.lam,) * self.M, self.lam, entropy=True)

    def start(self, gram: np.ndarray) -> Params:
        """Equal factors: the (M+1)-th root of 6 times the Gram matrix, a margin near the best one."""
        values, vectors = np.linalg.eigh(6.0 * gram)
        root = (vectors * np.maximum(values, 0.0) ** (1.0 / (self.M + 1))) @ vectors.T
        return Params((root,) * self.M, root, None)


@functools.cache
def ends(setting: Symmetric) -> tuple[Settled, Settled]:
    """The critical points next to a simplex ETF and to a cross-polytope."""
    simplex = np.eye(setting.K) - 1.0 / setting.K
    pairs = np.kron(np.eye(setting.K // 2), np.array([[1.0, -1.0], [-1.0, 1.0]]))
    return settled_from(setting.case, setting.start(simplex)), settled_from(setting.case, setting.start(pairs))


def measure_symmetric(setting: Symmetric) -> Measurement:
    """Values and verdicts of both, and the bound that ufm has for every point."""
    simplex, pairs = ends(setting)
    if simplex.failure or pairs.failure:
        return Measurement(failure=simplex.failure or pairs.failure)
    values = {
        "simplex": simplex.value,
        "cross-polytope": pairs.value,
        "simplex verdict": simplex.certificate.verdict.name,
        "smallest curvature": simplex.certificate.smallest_eigenvalue,
        "bound": simplex.certificate.lower_bound,
        "lower": "cross-polytope" if pairs.value < simplex.value else "simplex",
    }
    # The bound is lowered by 32 eps (1 + f) for rounding.
    tolerances = {"simplex": simplex.value_allowance(), "cross-polytope": pairs.value_allowance(), "bound": 1e-13}
    return Measurement(values, {**tolerances, "smallest curvature": simplex.certificate.curvature_tolerance})


def predict_symmetric(setting: Symmetric) -> Mapping[str, Any]:
    """Two scalar problems, and which of them is lower."""
    common = {"K": setting.K, "n": 1, "lam_W": setting.lam, "lam_H": setting.lam, "M": setting.M}
    wins = theory.deep_cross_entropy.low_rank_wins(K=setting.K, M=setting.M)
    return {
        "simplex": theory.deep_cross_entropy.etf(**common).value,
        "cross-polytope": theory.deep_cross_entropy.cross_polytope(**common).value,
        "smallest curvature": AtLeast(0.0),
        "bound": theory.deep_cross_entropy.lower_bound(**common),
        "lower": "cross-polytope" if wins else "simplex",
    }


CLAIMS = (
    Claim(
        "D5",
        "Deep linear layers with cross-entropy: a simplex ETF has no way down, and a cross-polytope lies below it.",
        "derived for this project; in kind Garrod and Keating (arXiv 2410.23169)",
        "equal classes, no bias, small decay; M = 2 and K >= 6, or M >= 3 and K >= 4, for the second part",
        "32 eps (1 + f) and |gradient| times the distance",
        lambda full: [Symmetric(6, 2, 0.001), Symmetric(6, 2, 0.0003), *([Symmetric(4, 3, 0.001)] if full else [])],
        measure_symmetric,
        predict_symmetric,
        boundary=True,
    ),
)
