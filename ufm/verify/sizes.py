"""Class sizes as real numbers: cross-entropy with one column a class, so that an imbalance can be varied like a decay.

The features of a class coincide at every critical point (T21), sqrt(n_c) times their common value is one column, and
n_c enters as a weight of the loss and as that root. Both are targets here, hence leaves of the problem: one compilation
serves all sizes, and a threshold in a ratio of sizes is a root in a real variable.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

from ufm.certify.point import hessian_operator, packing
from ufm.losses.cross_entropy import CrossEntropy
from ufm.losses.user import UserLoss
from ufm.problem import Params, Problem
from ufm.solve import solve
from ufm.solvers.newton import TrustRegion
from ufm.start import random_start
from ufm.verify.claim import Measurement
from ufm.verify.experiment import EPS


def _weighted_cross_entropy(Z: jax.Array, Y: jax.Array) -> jax.Array:
    """weight CE(z/root, own) of each column; y has -weight at its own class and root everywhere else."""
    own = Y < 0.0
    weights, roots = -jnp.sum(jnp.where(own, Y, 0.0), axis=0), jnp.max(Y, axis=0)
    return weights * CrossEntropy()(Z / roots, own.astype(Z.dtype))


# Without its way out of saddles the solver keeps the symmetry of its start but for rounding, and one compilation serves
# minima and branches of saddles alike.
STAY = TrustRegion(escapes=False)
ROOT = 2.0**12 * EPS  # of a threshold, relative
CROSSING = "4096 eps relative: rounding of the determinant over its slope; Newton follows the branch to rounding"
WEIGHTED = UserLoss(_weighted_cross_entropy, convex=True, shift_invariant=True)


def weighted(weights: Any, roots: Any) -> np.ndarray:
    """Targets [K, K] of WEIGHTED for sum_c weight_c CE(z_c/root_c, c)."""
    K = len(weights)
    return np.where(np.eye(K, dtype=bool), -K * np.asarray(weights, float), np.asarray(roots, float))


def with_sizes(sizes: Any, d: int, lam_W: float, lam_H: float, scale: float = 1.0) -> Problem:
    """scale/N sum_c n_c CE(W m_c, c) + decays, for real class sizes n_c; column c of H is sqrt(n_c) m_c; no bias."""
    sizes = np.asarray(sizes, float)
    targets = weighted(scale * sizes / np.sum(sizes), np.sqrt(sizes))
    return Problem(len(sizes), 1, d, lam_W, lam_H, loss=WEIGHTED, targets=targets)


def per_sample(found: Measurement, sizes: Any) -> Measurement:
    """Quantities measured on the problem of `with_sizes` as those of the samples: columns divided by their roots."""
    roots = np.sqrt(np.asarray(sizes, float))
    values = dict(found.values)
    values["gram_M"] = values["gram_M"] / np.outer(roots, roots)
    values["logits"] = values["logits"] / roots
    scores = values["logits"] + np.reshape(values.get("b", 0.0), (-1, 1))
    values["margin"] = float(np.min((np.diag(scores) - scores)[~np.eye(len(roots), dtype=bool)]))
    return Measurement(values, {**found.tolerances, "margin": found.tolerances["logits"]})


def peeled(sizes: Any, d: int, model: Any) -> Problem:
    """The layer-peeled model for real class sizes: column c of H is m_c, of which every class has a like share."""
    sizes = np.asarray(sizes, float)
    return Problem(
        len(sizes), 1, d, loss=WEIGHTED, targets=weighted(sizes / np.sum(sizes), np.ones(len(sizes))), model=model
    )


def collapsed_branch(problem: Problem, group: tuple[int, ...], start: Params) -> Params:
    """The critical point near `start` at which the classes of `group` coincide, whether it is a minimum or not."""
    rows, columns = list(group), np.isin(problem.labels, group)

    def level(params: Params) -> Params:
        W, H, b = (None if x is None else np.array(x) for x in params)
        for x in (W, b):
            if x is not None:
                x[rows] = np.mean(x[rows], axis=0)
        H[:, columns] = np.mean(H[:, columns], axis=1, keepdims=True)  # pyright: ignore[reportOptionalSubscript]
        return problem.project(Params(W, H, b))

    found = solve(problem, start=level(start), solver=STAY, gtol=1e-10).params
    return level(solve(problem, start=level(found), solver=STAY, gtol=EPS).params)


def crossing(problem_at: Callable[[float], Problem], group: tuple[int, ...], low: float, high: float) -> float:
    """The root in x of `leaving` on the collapsed branch of problem_at(e^x), as e^x."""
    last: Params | None = None

    def height(x: float) -> float:
        nonlocal last
        problem = problem_at(math.exp(x))
        last = collapsed_branch(problem, group, random_start(problem) if last is None else last)
        return leaving(problem, last, *group[:2])

    return math.exp(brentq(height, math.log(low), math.log(high), xtol=4 * EPS, rtol=4 * EPS))  # pyright: ignore


def leaving(problem: Problem, params: Params, i: int, j: int) -> float:
    """Determinant of the Hessian on the plane in which classes i and j part, outside the span of W and H.

    Its two directions move W alone and H alone. It is positive where the plane is one of growth, negative at a saddle.
    """
    apart = np.zeros(problem.K)
    apart[[i, j]] = math.sqrt(0.5), -math.sqrt(0.5)
    samples = (apart / np.sqrt(problem.sizes))[problem.labels]
    outside = np.linalg.eigh(params.W.T @ params.W + params.H @ params.H.T)[1][:, 0]
    flat = Params(*[None if x is None else np.zeros_like(x) for x in params])
    in_W, in_H = flat._replace(W=np.outer(apart, outside)), flat._replace(H=np.outer(outside, samples))
    return determinant(problem, params, in_W, in_H)


def determinant(problem: Problem, params: Params, *directions: Params) -> float:
    """Determinant of the Hessian's quadratic form on the span of these directions."""
    product, _ = hessian_operator(problem, params)
    pack = packing(params)[0]
    basis = np.array([pack(direction) for direction in directions])
    return float(np.linalg.det(basis @ np.array([product(x) for x in basis]).T))
