"""Many critical points that are not global, in d > K dimensions: strict saddles, each of them (1.3 iii).

What is critical in fewer dimensions is critical in more: vectors whose last coordinates are zero keep them, exactly,
through every step of the solver, so that one compilation serves all spans.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.models import normalized
from ufm.problem import Params, Problem
from ufm.solve import solve
from ufm.solvers.newton import TrustRegion
from ufm.start import random_start
from ufm.verify.claim import AtLeast, AtMost, Claim, Measurement
from ufm.verify.experiment import SPECTRUM
from ufm.verify.tangent import Critical, critical, polished, slack

STAY = TrustRegion(escapes=False)  # at the saddle that it reaches
GLOBAL = -1e-9  # of the largest entry of Q: the least eigenvalue above which a point is global


class Many(NamedTuple):
    """d = K + 1; starts at each temperature and span."""

    K: int
    n: int | tuple[int, ...]
    starts: int

    @property
    def temperatures(self) -> tuple[float, ...]:
        """Below the temperature where the paper's hypothesis ends, and far above it."""
        edge = theory.spheres.yaras_temperature_bound(K=self.K, d=self.K + 1)
        return (0.4 * edge, 2.0 * edge, 10.0 * edge)


def points(case: Many) -> Iterator[Critical]:
    """Critical points that vectors in the first `span` dimensions end at, span = 1 .. K-1."""
    for tau in case.temperatures:
        problem = Problem(case.K, case.n, case.K + 1, model=normalized(tau))
        for span in range(1, case.K):
            for key in range(case.starts):
                W, H, _ = random_start(problem, key)
                within = np.arange(problem.d) < span
                start = problem.project(Params(W * within, H * within[:, None], None))
                found = solve(problem, start=start, solver=STAY, reduce=False).params
                yield critical(problem, polished(problem, found))


def measure_saddles(case: Many) -> Measurement:
    """How many points are not global, for how many of them the least curvature is negative and at most lambda_min(Q).

    "excess" is the largest of curvature - lambda_min(Q), relative to the size of Q.
    """
    shares, excess, spans = [], [], set()
    for found in points(case):
        if found.failure:
            continue  # too flat to say anything
        Q = slack(found.problem, found.point).Q
        size, least = float(np.max(np.abs(Q))), float(np.linalg.eigvalsh(Q)[0])
        if least >= GLOBAL * size:
            continue
        spans.add(int(np.linalg.matrix_rank(np.vstack([found.point.params.W, found.point.params.H.T]), 1e-6)))
        shares.append(float(found.spectrum[0]) < GLOBAL * size)
        excess.append((float(found.spectrum[0]) - least) / size)
    values = {
        "points": len(shares),
        "share of saddles": float(np.mean(shares)),
        "excess": max(excess),
        "spans": np.array(sorted(spans)),
    }
    return Measurement(values, {"excess": 10.0 * SPECTRUM})


def predict_saddles(case: Many) -> Mapping[str, Any]:
    """All of them are saddles, and one direction has at most the curvature lambda_min(Q).

    Points in K-2 dimensions or fewer are not global; two temperatures of three leave them with enough digits.
    """
    return {
        "points": AtLeast(2 * case.starts * (case.K - 2)),
        "share of saddles": 1.0,
        "excess": AtMost(0.0),
    }


def settings(full: bool) -> Iterable[Many]:
    """Unequal classes; in full equal ones."""
    yield Many(3, (4, 2, 1), 8)
    if full:
        yield Many(4, 2, 5)
        yield Many(5, 1, 10)


CLAIMS = (
    Claim(
        "1.3-saddles",
        "For d > K every critical point is a global minimum or a strict saddle, at any temperature.",
        "Yaras et al. (NeurIPS 2022) below a temperature, as recalled; any temperature derived for this project",
        "d > K, any class sizes; points whose vectors span fewer dimensions, 1 to K-1",
        "1e-11 of the largest entry of Q: rounding of two eigenvalue problems",
        settings,
        measure_saddles,
        predict_saddles,
    ),
)
