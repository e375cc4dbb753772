"""The limit of large tau: one-vs-rest distances and the HardMax optimum (2.1, 2.2)."""

import functools
import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import theory
from ufm.certify.point import examine, length
from ufm.losses.user import UserLoss
from ufm.models import Bilinear, normalized
from ufm.problem import Params, Problem
from ufm.solve import solve
from ufm.spaces import Fixed, Spheres
from ufm.verify.claim import AtLeast, AtMost, Claim, Measurement
from ufm.verify.compare import measure
from ufm.verify.tangent import Critical, settle

WARM = (50.0, 200.0)  # on the way
TEMPERATURES = tuple(800.0 * 2.0**k for k in range(7))


def soft_margin(Z: Any, Y: Any) -> Any:
    """log sum_{j != y} exp(z_j - z_y), of which cross-entropy is log(1 + exp(.)): the same minimisers, any tau."""
    lead = Z - jnp.sum(Y * Z, axis=0)
    return jax.scipy.special.logsumexp(jnp.where(Y > 0, -jnp.inf, lead), axis=0)


class Classifier(NamedTuple):
    """Seven unit rows in three dimensions: random for a seed; None: a pentagon and its poles, whose hulls have ties."""

    seed: int | None

    def rows(self) -> np.ndarray:
        """W [7, 3]."""
        if self.seed is None:
            turns = 2 * math.pi * np.arange(5) / 5
            pentagon = np.column_stack([np.cos(turns), np.sin(turns), np.zeros(5)])
            return np.vstack([pentagon, [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]])
        W = np.random.default_rng(self.seed).standard_normal((7, 3))
        return W / np.linalg.norm(W, axis=1, keepdims=True)


def measure_one_vs_rest(case: Classifier) -> Measurement:
    """Features that minimise cross-entropy for the fixed classifier, followed to tau = 51200 and extrapolated."""
    W = case.rows()
    margins, directions, params, reach = [], [], Params(W, W.T, None), 0.0
    for tau in (*WARM, *TEMPERATURES):
        problem = Problem(7, 1, 3, loss=UserLoss(soft_margin), model=Bilinear(Fixed(W), Spheres(), tau))
        params = solve(problem, start=params).params
        point = examine(problem, params)
        lead = np.where(np.eye(7, dtype=bool), -np.inf, point.Z - np.diag(point.Z))
        margins.append(-np.logaddexp.reduce(lead, axis=0) / tau)
        directions.append(params.H)
        # The loss is convex, so that the sphere's own curvature, tau rho_k/N, bounds the Hessian from below.
        reach = max(reach, 2.0 * length(point.grad) * 7 / (tau * float(np.min(margins[-1]))))
    rho, rho_error = limit(margins[len(WARM) :])
    H, H_error = limit(directions[len(WARM) :])
    values = {"rho": rho, "H": H, "least": float(np.min(rho))}
    return Measurement(values, {"rho": rho_error, "H": H_error + 8.0 * reach, "least": rho_error})


def limit(values: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """The limit of a series in powers of 1/tau at doubled tau, by Richardson's table, and its last correction."""
    column, last = values, values
    for order in range(1, len(values)):
        last, column = column, [(2**order * b - a) / (2**order - 1) for a, b in itertools.pairwise(column)]
    return column[0], float(np.max(np.abs(column[0] - last[-1]))) + 1e-12


def predict_one_vs_rest(case: Classifier) -> Mapping[str, Any]:
    """Distances of each row from the hull of the others."""
    found = theory.softmax_codes.one_vs_rest_distance(case.rows())
    return {"rho": found.rho, "H": found.H, "least": theory.softmax_codes.hardmax_value(case.rows())}


class Code(NamedTuple):
    """K classes of n in d dimensions, at a temperature where the best code found attains the HardMax optimum."""

    K: int
    n: int
    d: int
    tau: float

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return Problem(self.K, self.n, self.d, model=normalized(self.tau))


@functools.cache
def best(case: Code) -> Critical:
    """The lowest of four starts."""
    return min((settle(case.problem, key) for key in range(4)), key=lambda found: found.point.value)


def best_codes(full: bool) -> Iterable[Code]:
    """A polygon, and d+2 <= K <= 2d; K = d+1 is claim 1.1."""
    yield Code(5, 2, 2, 10.0)
    yield Code(6, 1, 4, 6.0)
    if full:
        yield from (Code(K, 1, d, tau) for K, d, tau in [(7, 2, 6.0), (6, 3, 6.0), (8, 4, 6.0), (7, 4, 3.0)])


def measure_best(case: Code) -> Measurement:
    """min over k, j of (w_k - w_j).h_k, and the cosines of the classifiers, each row sorted."""
    found = best(case)
    if found.failure:
        return Measurement(failure=found.failure)
    rho = measure(case.problem, found.point.params)["margin"] / case.tau
    W = found.point.params.W
    values = {"rho": rho, "rho of its code": rho, "above": rho, "below": rho, "cosines": np.sort(W @ W.T, axis=1)}
    return Measurement(values, dict.fromkeys(values, found.allowance(1.0) / case.tau + found.distance))


def predict_best(case: Code) -> Mapping[str, Any]:
    """rho*(K, d), the code that attains it, and the bounds for any K and d."""
    code = theory.softmax_codes.optimal_code(K=case.K, d=case.d)
    lower, upper = theory.softmax_codes.bounds(K=case.K, d=case.d)
    predicted = {
        "rho": theory.softmax_codes.optimum(K=case.K, d=case.d),
        "rho of its code": theory.softmax_codes.hardmax_value(code),
        "above": AtLeast(lower),
        "below": AtMost(upper),
    }
    return predicted | ({"cosines": np.sort(code @ code.T, axis=1)} if case.d == 2 else {})


def measure_caps(case: tuple[int, int]) -> Measurement:
    """Both bounds with the area of the sphere in units of flat unit caps integrated: (d-1) int sin^(d-2)."""
    K, d = case
    nodes, weights = np.polynomial.legendre.leggauss(60)
    area = (d - 1) * math.pi / 2 * float(weights @ np.sin(math.pi * (nodes + 1) / 2) ** (d - 2))
    radius = (area / K) ** (1 / (d - 1))  # K flat caps of this radius have the area of the sphere
    covering = radius * d ** (-1 / (d - 1))
    values = {"upper": 2 * radius, "lower": covering**2 / 2}
    return Measurement(values, dict.fromkeys(values, 1e-12))


def predict_caps(case: tuple[int, int]) -> Mapping[str, Any]:
    """In terms of the gamma function."""
    lower, upper = theory.softmax_codes.bounds(K=case[0], d=case[1])
    return {"upper": upper, "lower": lower}


CLAIMS = (
    Claim(
        "2.1",
        "As tau grows, features of a fixed classifier turn to h_k with margin rho_k = dist(w_k, conv of the others).",
        "Jiang et al. (2023, arXiv 2310.05351), as recalled; minimax derived for this project",
        "unit rows of W and columns of H, rho_k > 0",
        "the last correction of Richardson's table in 1/tau and 1e-12; for h 8 times |gradient| / curvature too",
        lambda full: [Classifier(seed) for seed in ((None, 1, 2, 4, 5) if full else (None, 1, 2))],
        measure_one_vs_rest,
        predict_one_vs_rest,
    ),
    Claim(
        "2.2",
        "The best code found has the HardMax optimum rho*(K, d): a polygon for d = 2, 1 for d+2 <= K <= 2d.",
        "Jiang et al. (2023, arXiv 2310.05351), as recalled; proofs derived for this project",
        "a temperature where the best code is a polygon, or simplices in orthogonal subspaces (2.6)",
        "the Lipschitz constant times the distance to the exact point",
        best_codes,
        measure_best,
        predict_best,
    ),
    Claim(
        "2.2-bounds",
        "The bounds on rho* count flat caps: the area of the sphere in their units is a quotient of gamma functions.",
        "Jiang et al. (2023, arXiv 2310.05351), as recalled",
        "d >= 2",
        "1e-12: rounding of the quadrature",
        lambda full: [(5, 2), (12, 3), (24, 4), (240, 8)],
        measure_caps,
        predict_caps,
    ),
)
