"""ReLU layers, squared loss: where neural collapse is optimal (D2, 3), and points of lower rank below it (D1, D3)."""

import functools
import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

import theory
from ufm.certify.certificate import certify
from ufm.certify.point import examine
from ufm.multistart import best_found
from ufm.problem import Params
from ufm.solve import solve
from ufm.solvers.lbfgs import LBFGS
from ufm.verify.claim import AtLeast, AtMost, Claim, Measurement
from ufm.verify.claims.deep.cases import Case
from ufm.verify.claims.deep.groups import composed
from ufm.verify.experiment import ROUNDING

ZIGZAG = 1e-6  # what a descent across kinks leaves over
FOUND = 0.055233731  # below the SRG solution of six classes: the reference's best of many random starts


def measure_collapse(case: Case) -> Measurement:
    """The best of ten random starts, its verdict, and how far it is below or above."""
    best = best_found(case.problem, 10, key=0, scales=(1.0, 1.5), solver=LBFGS(), max_steps=5000)
    values = {"value": best.solution.value, "lowest": best.solution.value, "bound": best.certificate.lower_bound}
    return Measurement(values, {"value": ZIGZAG, "lowest": ROUNDING, "bound": 1e-13})


def predict_collapse(case: Case) -> Mapping[str, Any]:
    """The value of neural collapse, which ufm has as its bound too."""
    arguments = {name: value for name, value in case.arguments.items() if name != "lam_b"}
    f = theory.deep_relu.global_minimum(**arguments).value
    return {"value": f, "lowest": AtLeast(f), "bound": f}


class Graph(NamedTuple):
    """Classes are the edges of the complete graph on r vertices; L matrices of one decay; a neuron: a set of vertices.

    mixture: sizes of the sets with their shares of the neurons' mass.
    """

    r: int
    L: int
    lam: float
    mixture: tuple[tuple[int, float], ...]
    n: int = 1

    @property
    def K(self) -> int:
        """Classes."""
        return self.r * (self.r - 1) // 2

    @property
    def case(self) -> Case:
        """The fewest neurons that the construction needs."""
        neurons = sum(math.comb(self.r, m) for m, _ in self.mixture)
        widths = (*(self.r,) * (self.L - 2), neurons)
        return Case(self.K, self.n, self.r, widths, (self.lam,) * self.L, self.lam, relu=True)

    def point(self, log_tau: float) -> Params:
        """Vertices as neurons, then vertex sets, then a ridge regression on the edges inside each set."""
        edges = list(itertools.combinations(range(self.r), 2))
        T = np.array([[float(vertex in edge) for edge in edges] for vertex in range(self.r)])
        sets = [chosen for m, _ in self.mixture for chosen in itertools.combinations(range(self.r), m)]
        mass = [share / math.comb(self.r, m) for m, share in self.mixture for _ in range(math.comb(self.r, m))]
        signs = np.array([[0.5 if vertex in chosen else -0.5 for vertex in range(self.r)] for chosen in sets])
        return composed(T, np.sqrt(mass)[:, None] * signs, math.exp(log_tau), self.L, self.n)


@functools.cache
def lowest(graph: Graph) -> tuple[Params, float]:
    """The best ridge, by ufm's objective alone."""
    problem = graph.case.problem

    def value(log_tau: float) -> float:
        return examine(problem, graph.point(log_tau)).value

    grid = np.linspace(-12.0, 2.0, 57)
    start = int(np.argmin([value(x) for x in grid]))
    found = minimize_scalar(value, bounds=(grid[start - 1], grid[start + 1]), method="bounded", options={"xatol": 1e-9})
    return graph.point(float(found.x)), float(found.fun)


def measure_graph(graph: Graph) -> Measurement:
    """The value of the explicit weights, and whether they are below neural collapse (as Z -> Y: at small decay)."""
    params, value = lowest(graph)
    rank = int(np.linalg.matrix_rank(np.maximum(params.W[0] @ params.H, 0.0)))
    return Measurement({"value": value, "rank": rank, "below": value, "bound": value}, {"value": ROUNDING})


def predict_graph(graph: Graph) -> Mapping[str, Any]:
    """D3's value, below D1's value of neural collapse exactly if its cost is lower; above the bound of D1."""
    common = {"n": graph.n, "lam_W": graph.lam, "lam_H": graph.lam, "L": graph.L}
    collapse = theory.srg.collapse_value(r=graph.r, **common)
    wins = theory.srg.beats_collapse(K=graph.K, L=graph.L)
    return {
        "value": theory.srg.value(r=graph.r, mixture=dict(graph.mixture), **common),
        "rank": graph.r,
        "below": AtMost(collapse) if wins else AtLeast(collapse),
        "bound": AtLeast(theory.deep_relu.value_of_cost(G=theory.deep_relu.bounding_cost(K=graph.K), **common)),
    }


def measure_local(graph: Graph) -> Measurement:
    """What the certificate makes of the explicit weights: descents from around it."""
    certificate = certify(graph.case.problem, lowest(graph)[0])
    values = {"verdict": certificate.verdict.name, "bound": certificate.lower_bound}
    return Measurement(values, {"bound": 1e-13})


def predict_local(graph: Graph) -> Mapping[str, Any]:
    """They come back; the bound is D1's."""
    common = {"n": graph.n, "lam_W": graph.lam, "lam_H": graph.lam, "L": graph.L}
    bound = theory.deep_relu.value_of_cost(G=theory.deep_relu.bounding_cost(K=graph.K), **common)
    return {"verdict": "LOCAL_MINIMUM", "bound": bound}


def measure_random(seed: int) -> Measurement:
    """Six classes, four matrices: the end of one random start."""
    problem = Case(6, 1, 4, (4, 4, 10), (0.004,) * 4, 0.004, relu=True).problem
    value = solve(problem, seed, solver=LBFGS()).value
    names = ("reference", "graph", "collapse", "bound")
    return Measurement(dict.fromkeys(names, value), dict.fromkeys(names, 0.0))


def predict_random(seed: int) -> Mapping[str, Any]:
    """Below the SRG solution, which is below neural collapse."""
    common = {"n": 1, "lam_W": 0.004, "lam_H": 0.004, "L": 4}
    bound = theory.deep_relu.value_of_cost(G=theory.deep_relu.bounding_cost(K=6), **common)
    return {
        "reference": AtMost(FOUND),
        "graph": AtMost(theory.srg.value(r=4, **common)),
        "collapse": AtMost(theory.srg.collapse_value(r=4, **common)),
        "bound": AtLeast(bound),
    }


BINARY = Case(2, 2, 4, (4, 4), (0.003, 0.003, 0.003), 0.003, relu=True)
SHALLOW = Case(3, 1, 4, (4,), (0.006, 0.008), 0.006, relu=True)
ALL2, ALL3 = ((2, 1.0),), ((3, 1.0),)
GRAPHS = (Graph(5, 4, 0.004, ALL3), Graph(5, 3, 0.001, ALL3), Graph(5, 4, 0.002, ALL2, 2), Graph(4, 3, 0.001, ALL2))
SRG = "Sukenik, Lampert and Mondelli (2024, arXiv 2405.14468); value derived for this project"

CLAIMS = (
    Claim(
        "D2",
        "ReLU layers with two classes of any depth, or with two matrices: no point is below deep neural collapse.",
        "Sukenik et al. (NeurIPS 2023, arXiv 2305.13165); Tirer and Bruna (ICML 2022, arXiv 2202.08087)",
        "squared loss, equal classes, no bias, every width >= K",
        "1e-6 for descents that zigzag along kinks; 32 eps for the bound",
        lambda full: [BINARY, SHALLOW],
        measure_collapse,
        predict_collapse,
    ),
    Claim(
        "D3",
        "ReLU layers with K = r(r-1)/2 classes have a solution of rank r < K, below neural collapse in deep networks.",
        SRG,
        "squared loss, equal classes, no bias; L = 3 and K >= 10, or L >= 4 and K >= 6",
        "32 eps",
        lambda full: GRAPHS,
        measure_graph,
        predict_graph,
        boundary=True,
    ),
    Claim(
        "D3-local",
        "The SRG solution is a local minimum on kinks of f, where the gradient does not vanish.",
        SRG,
        "as D3; measured by descents from perturbed weights, not proved",
        "1e-4 (1 + f) above, 1e-7 (1 + f) below; rounding for the bound",
        lambda full: GRAPHS[:1],
        measure_local,
        predict_local,
        boundary=True,
    ),
    Claim(
        "D3-random",
        "Nor is the SRG solution always the best: with six classes a random start ends below it.",
        "derived for this project",
        "K = 6, L = 4, lam = 0.004, n = 1",
        "none: inequalities",
        lambda full: [2],
        measure_random,
        predict_random,
        boundary=True,
    ),
)
