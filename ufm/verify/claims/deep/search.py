"""ReLU layers searched blind: what a batch of random starts reaches, and that nothing lower is found (D3)."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import theory
from ufm.batch import solve_batch
from ufm.certify.deep import deep_bound
from ufm.multistart import best_found
from ufm.solve import solve
from ufm.solvers.first_order import annealed
from ufm.solvers.lbfgs import LBFGS
from ufm.verify.claim import AtLeast, AtMost, Claim, Measurement
from ufm.verify.claims.deep.cases import Case
from ufm.verify.claims.deep.groups import SIX


class Search(NamedTuple):
    """Four matrices of decay 0.004 and one width, K = r(r-1)/2 classes; random starts of one scale, annealed.

    known: the lowest value known, None for the SRG solution's. above, below: how far from it the search may end.
    """

    r: int
    width: int
    scale: float
    starts: int
    steps: int
    known: float | None
    above: float
    below: float

    @property
    def case(self) -> Case:
        """One sample a class."""
        K = self.r * (self.r - 1) // 2
        return Case(K, 1, self.width, (self.width,) * 3, (0.004,) * 4, 0.004, relu=True)


def searches(full: bool) -> Iterable[Search]:
    """A short one; or a hundred starts with ten classes, and with six."""
    yield Search(4, 12, 0.5, 24, 3000, SIX, 1.3e-3, 1e-7)
    if full:
        yield Search(5, 30, 0.8, 100, 6000, None, 1e-8, 1e-9)
        yield Search(4, 18, 0.5, 100, 6000, SIX, 1e-5, 1e-7)


def measure_search(search: Search) -> Measurement:
    """The lowest value of one batch, and how many minima it found."""
    solver = annealed(steps=search.steps)
    best = best_found(search.case.problem, search.starts, scales=(search.scale,), solver=solver)
    value = best.solution.value
    names = ("reached", "lowest", "graph")
    values = {**dict.fromkeys(names, value), "bound": best.certificate.lower_bound, "minima": len(best.values)}
    tolerances = {"reached": search.above, "lowest": search.below, "graph": search.above, "bound": 1e-13}
    return Measurement(values, tolerances)


def predict_search(search: Search) -> Mapping[str, Any]:
    """The lowest value known; the SRG solution, which six classes go below."""
    common = {"n": 1, "lam_W": 0.004, "lam_H": 0.004, "L": 4}
    graph = theory.srg.value(r=search.r, **common)
    known = graph if search.known is None else search.known
    return {
        "reached": AtMost(known),
        "lowest": AtLeast(known),
        "graph": AtMost(graph),
        "bound": theory.deep_relu.value_of_cost(G=theory.deep_relu.bounding_cost(K=search.case.K), **common),
        "minima": AtLeast(2),
    }


UNEVEN = {L: Case(3, (6, 3, 1), 3, (3,) * (L - 1), (0.002,) * L, 0.002, relu=True) for L in (2, 3)}


def measure_uneven(case: Case) -> Measurement:
    """The lowest of 24 annealed starts, followed by L-BFGS to the last digits."""
    ends = solve_batch(case.problem, range(24), solver=annealed(steps=1500), reduce=False)
    best = min(ends, key=lambda solution: solution.value)
    value = solve(case.problem, start=best.params, solver=LBFGS()).value
    values = {"value": value, "digits": value, "bound": deep_bound(case.problem).value}
    return Measurement(values, {"value": 1e-12, "digits": 6e-13})


def predict_uneven(case: Case) -> Mapping[str, Any]:
    """The minimum of linear layers, to the digits of the reference; it lies above the bound."""
    value = theory.deep_linear.global_minimum(**case.arguments).value
    digits = {2: 0.012733034280, 3: 0.015484645777}[len(case.lam_W)]
    return {"value": value, "digits": digits, "bound": AtMost(value)}


CLAIMS = (
    Claim(
        "D3-search",
        "Some of a hundred random starts end at the SRG solution of ten classes, none below; with six, well below it.",
        "Sukenik, Lampert and Mondelli (2024, arXiv 2405.14468) for the solution; the search is this project's",
        "K = 10 and K = 6, L = 4, lam = 0.004, n = 1; measured, not proved",
        "1e-8 above and 1e-9 below; six classes, on flat ground: 1e-5 (a short search: 1.3e-3) and 1e-7",
        searches,
        measure_search,
        predict_search,
        boundary=True,
    ),
    Claim(
        "D4",
        "ReLU layers with unequal classes: the best of 24 starts has the value of the linear layers' minimum.",
        "derived for this project; best found, no theorem is known",
        "squared loss, no bias, L = 2 and 3, classes of 6, 3 and 1 samples, lam = 0.002",
        "1e-12, what L-BFGS leaves over beside a kink; 6e-13 for twelve digits",
        lambda full: [UNEVEN[2], UNEVEN[3]] if full else [UNEVEN[3]],
        measure_uneven,
        predict_uneven,
    ),
)
