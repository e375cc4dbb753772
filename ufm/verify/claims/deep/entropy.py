"""Cross-entropy through deep linear layers: the simplex ETF is a local minimum, and not the global one (5)."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.batch import solve_batch
from ufm.certify.deep import deep_bound
from ufm.problem import Params
from ufm.verify.claim import AtLeast, AtMost, Claim, Measurement
from ufm.verify.claims.deep.cases import Case, settled_from
from ufm.verify.experiment import ROUNDING, Settled

DIGITS = 6e-13  # half of the last of twelve digits, and rounding


class Symmetric(NamedTuple):
    """K classes of n samples, M matrices, one decay; K features in every layer."""

    K: int
    M: int
    lam: float
    n: int = 1

    @property
    def case(self) -> Case:
        """No bias."""
        return Case(self.K, self.n, self.K, (self.K,) * (self.M - 1), (self.lam,) * self.M, self.lam, entropy=True)

    def start(self, gram: np.ndarray) -> Params:
        """Equal factors: the (M+1)-th root of 6 times the Gram matrix, a margin near the best one."""
        values, vectors = np.linalg.eigh(6.0 * gram)
        root = (vectors * np.maximum(values, 0.0) ** (1.0 / (self.M + 1))) @ vectors.T
        return Params((root,) * self.M, np.repeat(root, self.n, axis=1), None)

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of theory."""
        return {"K": self.K, "n": self.n, "lam_W": self.lam, "lam_H": self.lam, "M": self.M}


@functools.cache
def simplex_end(setting: Symmetric) -> Settled:
    """The critical point next to a simplex ETF."""
    return settled_from(setting.case, setting.start(np.eye(setting.K) - 1.0 / setting.K))


@functools.cache
def pairs_end(setting: Symmetric) -> Settled:
    """The critical point next to a cross-polytope."""
    pairs = np.kron(np.eye(setting.K // 2), np.array([[1.0, -1.0], [-1.0, 1.0]]))
    return settled_from(setting.case, setting.start(pairs))


def measure_symmetric(setting: Symmetric) -> Measurement:
    """Values and verdicts of both, and the bound that ufm has for every point."""
    simplex, pairs = simplex_end(setting), pairs_end(setting)
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
    common = setting.arguments
    wins = theory.deep_cross_entropy.low_rank_wins(K=setting.K, M=setting.M)
    return {
        "simplex": theory.deep_cross_entropy.etf(**common).value,
        "cross-polytope": theory.deep_cross_entropy.cross_polytope(**common).value,
        "smallest curvature": AtLeast(0.0),
        "bound": theory.deep_cross_entropy.lower_bound(**common),
        "lower": "cross-polytope" if wins else "simplex",
    }


class Simplex(NamedTuple):
    """A setting in which nothing lies below the simplex ETF, and its tabulated value."""

    setting: Symmetric
    digits: float


SIMPLEX = (
    Simplex(Symmetric(6, 1, 0.005), 0.157142796948),
    Simplex(Symmetric(3, 1, 0.005, 2), 0.084069892915),
    Simplex(Symmetric(3, 3, 0.001), 0.011983358140),
)


def measure_simplex(entry: Simplex) -> Measurement:
    """The best of eight random starts, and the bound for every point."""
    problem = entry.setting.case.problem
    best = min(solution.value for solution in solve_batch(problem, range(8), reduce=False))
    values = dict.fromkeys(("simplex", "polygon", "digits"), best)
    tolerances = {"simplex": 2 * ROUNDING, "polygon": 2 * ROUNDING, "digits": DIGITS, "bound": 1e-13}
    return Measurement({**values, "bound": deep_bound(problem).value}, tolerances)


def predict_simplex(entry: Simplex) -> Mapping[str, Any]:
    """The simplex ETF's value, which is the bound for one matrix, and the polygon's for three classes."""
    common, M = entry.setting.arguments, entry.setting.M
    value, bound = theory.deep_cross_entropy.etf(**common).value, theory.deep_cross_entropy.lower_bound(**common)
    polygon = theory.deep_cross_entropy.polygon(**common).value
    return {
        "simplex": value,
        "polygon": polygon if entry.setting.K == 3 else AtMost(polygon),
        "digits": entry.digits,
        "bound": value if M == 1 else bound,
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
    Claim(
        "D5-simplex",
        "Cross-entropy through one matrix, or of three classes through three: no start ends below the simplex ETF.",
        "Zhu et al. (NeurIPS 2021) for one matrix (T7); three classes: best found, no theorem is known",
        "equal classes, no bias; K = 3 and 6 for M = 1, K = 3 for M = 3",
        "64 eps, f being flat at a minimum; 6e-13 for twelve digits",
        lambda full: SIMPLEX if full else SIMPLEX[1:2],
        measure_simplex,
        predict_simplex,
    ),
)
