"""The whole landscape, found blind: critical points of every index, none of them spurious where theory says so (T4)."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

import theory
from ufm.landscape import Atlas, atlas
from ufm.verify.claim import AtLeast, Claim, Measurement
from ufm.verify.claims.landscape.cases import Case
from ufm.verify.experiment import ROUNDING

SEARCHES = 200
BENIGN = Case(4, 1, 5, 0.02, 0.02, 0.05)
SQUARES = Case(3, 1, 3, 0.05, 0.05, None, None)


@functools.cache
def found(case: Case) -> Atlas:
    """The atlas of a problem."""
    return atlas(case.problem, SEARCHES)


def measure_atlas(case: Case) -> Measurement:
    """How many minima, the least index above the lowest value, the verdicts, the lowest value and every value."""
    seen = found(case)
    lowest, *others = [point.certificate for point in seen.points]
    if any(c.index is None for c in others):
        return Measurement(failure="an index is not known")
    values = {
        "lowest": lowest.value,
        "verdict": lowest.verdict.name,
        "least index": min(c.index for c in others if c.index is not None),
        "spurious": len(seen.spurious),
        "searches that ended": seen.converged,
        "values": np.array([c.value for c in (lowest, *others)]),
    }
    tolerance = 10.0 * ROUNDING * (1.0 + lowest.value)
    return Measurement(values, {"lowest": tolerance, "values": tolerance})


def predict_atlas(case: Case) -> Mapping[str, Any]:
    """One minimum, the global one; squares: one value for each rank."""
    predicted: dict[str, Any] = {
        "verdict": "GLOBAL_MINIMUM",
        "least index": AtLeast(1),
        "spurious": 0,
        "searches that ended": AtLeast(SEARCHES // 2),
    }
    if case.smoothing is not None:
        return {**predicted, "lowest": theory.cross_entropy.global_minimum(**case.arguments).value}
    ranks = [
        theory.mse.global_minimum(**{**case.arguments, "d": rank}).value if rank else 0.5
        for rank in range(case.K, -1, -1)
    ]
    return {**predicted, "lowest": ranks[0], "values": np.array(ranks)}


CLAIMS = (
    Claim(
        "T4-atlas",
        "Two hundred searches for critical points of any kind find no minimum but the global one.",
        "Zhu et al. (NeurIPS 2021) for d > K; measured, and for squares each rank's value derived for this project",
        "cross-entropy with d >= K-1, or squares",
        "320 eps (1 + f): values are flat at critical points",
        lambda full: [SQUARES, *([BENIGN] if full else [])],
        measure_atlas,
        predict_atlas,
    ),
)
