"""ReLU layers that pass few groups of neurons on: points of low rank by hand, and one below the SRG solution (D3)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import theory
from ufm.problem import Params
from ufm.solve import solve
from ufm.solvers.first_order import annealed
from ufm.verify.claim import AtLeast, AtMost, Claim, Measurement
from ufm.verify.claims.deep.cases import Case

# The lowest value known of six classes, after a longer search. The ground is flat there.
SIX = 0.05382998
# What three groups of neurons have of the six classes. The classes: one in all groups; one in each group alone; two
# that share the middle group with one of the others.
GROUPS = np.array([[1.3, 1.5, 0.0, 0.0, 1.35, 0.0], [0.75, 0.0, 1.6, 0.0, 1.35, 1.35], [1.3, 0.0, 0.0, 1.5, 0.0, 1.35]])
# Squared norms and directions of the last hidden neurons, nearly all of them zero on some of the classes.
MIRRORED = (
    (0.5, (1.0, 0.0, -1.0)),
    (0.1, (-1.0, 1.0, 0.0)),
    (0.75, (1.0, -1.0, -0.43)),
    (0.45, (-1.0, 1.0, 0.43)),
)
NEURONS = (
    (0.4, (1.0, 1.0, 1.0)),
    (0.65, (1.0, -1.0, 1.0)),
    (0.65, (-1.0, 1.0, -1.0)),
    *MIRRORED,
    *((mass, u[::-1]) for mass, u in MIRRORED),
)


def composed(T: np.ndarray, neurons: np.ndarray, ridge: float, L: int, n: int = 1) -> Params:
    """L factors of one norm: T [r, K] >= 0 split evenly, kept by L - 3 identities, `neurons` [m, r], and their reader.

    Args:
        ridge: of the regression of the K targets on what the neurons have of them. n: samples a class.
    """
    K, seen = T.shape[1], np.maximum(neurons @ T, 0.0)
    reader = np.linalg.solve(seen.T @ seen + ridge * np.eye(K), seen.T)
    U, s, Vt = np.linalg.svd(np.repeat(T, n, axis=1), full_matrices=False)
    factors = [U * np.sqrt(s), *[np.eye(len(T))] * (L - 3), neurons, reader, np.sqrt(s)[:, None] * Vt]
    norms = np.array([np.linalg.norm(factor) for factor in factors])
    common = float(np.exp(np.mean(np.log(norms))))  # one decay: factors of one norm are the cheapest
    scaled = [common / norm * factor for norm, factor in zip(norms, factors, strict=True)]
    return Params(tuple(scaled[:-1]), scaled[-1], None)


def directed(neurons: Sequence[tuple[float, Sequence[float]]]) -> np.ndarray:
    """[m, r] rows of these squared norms and directions."""
    return np.array([np.sqrt(mass) * np.array(u) / np.linalg.norm(u) for mass, u in neurons])


def measure_groups(lam: float) -> Measurement:
    """The end of small annealed steps from rounded numbers, and the rank up to the last hidden layer."""
    problem = Case(6, 1, 3, (3, 3, len(NEURONS)), (lam,) * 4, lam, relu=True).problem
    end = solve(problem, start=composed(GROUPS, directed(NEURONS), 0.03, 4), solver=annealed(3e-3, 3000))
    rank = int(np.linalg.matrix_rank(np.maximum(end.params.W[0] @ end.params.H, 0.0)))
    names = ("value", "graph", "collapse", "bound")
    return Measurement({**dict.fromkeys(names, end.value), "rank": rank}, {"value": 1e-7})


def predict_groups(lam: float) -> Mapping[str, Any]:
    """The value that a search found; below the SRG solution, which has rank 4."""
    common = {"n": 1, "lam_W": lam, "lam_H": lam, "L": 4}
    return {
        "value": SIX,
        "graph": AtMost(theory.srg.value(r=4, **common)),
        "collapse": AtMost(theory.srg.collapse_value(r=4, **common)),
        "bound": AtLeast(theory.deep_relu.value_of_cost(G=theory.deep_relu.bounding_cost(K=6), **common)),
        "rank": 3,
    }


CLAIMS = (
    Claim(
        "D3-groups",
        "Six classes through four matrices have a point of rank 3, three groups of neurons, below the SRG solution.",
        "found by search and derived for this project; no theorem is known",
        "K = 6, L = 4, lam = 0.004, n = 1",
        "1e-7, what annealed steps leave over on flat ground; none for the inequalities",
        lambda full: [0.004],
        measure_groups,
        predict_groups,
        boundary=True,
    ),
)
