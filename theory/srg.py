"""D3: strongly regular graph (SRG) solutions of the deep ReLU model: K = r(r-1)/2 classes as the edges of K_r.

The features of class {i, j} excite the r neurons (vertices) i and j alone, so that every layer but the last hidden one
has rank r < K. T [r, K] is the incidence matrix, T T^T = (r-2) I + J, nuclear norm nu. W_1 H is T, split evenly;
W_2, ..., W_(L-2) are I_r. The last hidden layer has one neuron for each vertex set S of size m, with weights 1/2 on S
and -1/2 off it: after the ReLU the indicator of the edges inside S. W_L is a ridge regression on these. Several sizes m
can be mixed; a mixture is a mapping from m to its share of the neurons' mass. L >= 3 matrices, equal class sizes, no
bias.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from theory.arguments import check_count, check_decay, check_positive
from theory.deep_relu import collapse_cost, value_of_cost
from theory.depth import Decays, check_decays, geometric_mean

Mixture = Mapping[int, float]


class SRGPoint(NamedTuple):
    """W = (W_1, ..., W_L), H [r, N]; a layer has as many neurons as the construction needs. value: f there."""

    W: tuple[np.ndarray, ...]
    H: np.ndarray
    value: float


def vertices(*, K: int) -> int | None:
    """r with K = r(r-1)/2, r >= 4; None if K is not such a number (r = 2, 3 give K = 1, 3, where T is no shortcut).

    Raises:
        ValueError: K < 2.
    """
    r = (1 + math.isqrt(1 + 8 * check_count("srg.vertices", "K", K, 2))) // 2
    return r if r >= 4 and r * (r - 1) == 2 * K else None


def best_mixture(*, r: int) -> dict[int, float]:
    """The vertex sets whose neurons make W_L cheapest: m = ceil(r/2) for r >= 5; r = 4: 3/4 of m = 2, 1/4 of m = 3.

    Raises:
        ValueError: r < 4.
    Source:
        Derived for this project; optimal among all neuron directions given T (Kiefer-Wolfowitz, checked for r = 4..7).
    """
    return {2: 0.75, 3: 0.25} if _order("srg.best_mixture", r) == 4 else {-(-r // 2): 1.0}


def gram_eigenvalues(*, r: int, mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """(q [3], multiplicities [3]) of Q, the mean over neurons of 1_S 1_S^T on the edges inside S (Johnson scheme).

    Args:
        r: vertices, >= 4. mixture: shares of the sizes m, 2 <= m <= r - 1.
    Returns:
        Eigenvalues on the constants (once), on the vertex space (r - 1), on the rest (r (r-3)/2).
    Raises:
        ValueError: bad arguments.
    Source:
        Derived for this project.
    """
    shares, K = _shares("srg.gram_eigenvalues", r, mixture), r * (r - 1) // 2
    q = np.zeros(3)
    for m, share in shares.items():
        a = m * (m - 1) / (r * (r - 1))  # edges that are equal, that meet, that are apart: probability to be inside S
        b = a * (m - 2) / (r - 2)
        c = b * (m - 3) / (r - 3)
        q += share * np.array(
            [a + 2 * (r - 2) * b + (K - 1 - 2 * (r - 2)) * c, a + (r - 4) * b + (3 - r) * c, a - 2 * b + c]
        )
    return q, np.array([1, r - 1, r * (r - 3) // 2])


def cost(*, r: int, L: int, mixture: Mixture | None = None) -> float:
    """G = nu^2 r^(L-3) (r/4) tr Q^-1, nu = sqrt(2r-2) + (r-1) sqrt(r-2): compare with K^(L+1) of neural collapse.

    Args:
        r: vertices, >= 4. L: matrices, >= 3. mixture: None for the best one.
    Raises:
        ValueError: bad arguments.
    Source:
        D3; Sukenik, Lampert and Mondelli (arXiv 2405.14468) for the construction; cost derived for this project.
    """
    where = "srg.cost"
    q, multiplicities = gram_eigenvalues(r=_order(where, r), mixture=best_mixture(r=r) if mixture is None else mixture)
    return _nuclear_norm(r) ** 2 * float(r) ** (_depth(where, L) - 3) * (r / 4) * float(np.sum(multiplicities / q))


def beats_collapse(*, K: int, L: int) -> bool:
    """Whether the SRG solution is cheaper than deep neural collapse as Z -> Y: L = 3 and K >= 10, L >= 4 and K >= 6.

    Returns:
        False also where K is not r(r-1)/2 with r >= 4: there is no such solution.
    Raises:
        ValueError: bad arguments.
    Source:
        D3 (theorem of Sukenik, Lampert and Mondelli, arXiv 2405.14468), here by comparing the costs.
    """
    r = vertices(K=K)
    return r is not None and cost(r=r, L=L) < collapse_cost(K=K, L=L)


def value(*, r: int, n: int, lam_W: Decays, lam_H: float, L: int, mixture: Mixture | None = None) -> float:
    """min over tau of 1/(2K) sum_j (tau/(q_j + tau))^2 + (q/2) (n lam_H lam_1 ... lam_L G_tau)^(1/q), q = L + 1.

    G_tau is the cost with tr Q (Q + tau)^-2 for tr Q^-1: the ridge regression of the last layer. At most 1/2.

    Args:
        r: vertices; K = r (r-1)/2 classes of n samples. lam_W, lam_H: decays > 0. L: matrices, >= 3.
        mixture: None for the best one.
    Raises:
        ValueError: bad arguments.
    Source:
        D3; derived for this project, equal to f at `point` to rounding.
    """
    return _best_ridge("srg.value", r, n, lam_W, lam_H, L, mixture)[1]


def point(*, r: int, n: int, lam_W: Decays, lam_H: float, L: int, mixture: Mixture | None = None) -> SRGPoint:
    """The explicit weights: a start for solvers, with f = `value` at it.

    Args:
        r, n, lam_W, lam_H, L, mixture: as for `value`. Class c is the c-th pair (i, j), i < j, in lexicographic order.
    Returns:
        SRGPoint with hidden widths r, ..., r and sum of C(r, m) over the mixture, the fewest that the solution needs.
    Raises:
        ValueError: bad arguments.
    Source:
        D3; derived for this project after Sukenik, Lampert and Mondelli (arXiv 2405.14468).
    """
    where = "srg.point"
    tau, least_value = _best_ridge(where, r, n, lam_W, lam_H, L, mixture)
    shares = _shares(where, r, best_mixture(r=r) if mixture is None else mixture)
    T = np.array([[float(i in pair) for pair in itertools.combinations(range(r), 2)] for i in range(r)])
    U, s, Vt = np.linalg.svd(np.repeat(T, n, axis=1), full_matrices=False)
    rows = [
        math.sqrt(share / math.comb(r, m)) * np.where(np.isin(np.arange(r), subset), 0.5, -0.5)
        for m, share in shares.items()
        for subset in itertools.combinations(range(r), m)
    ]
    neurons = np.array(rows)
    seen = np.maximum(neurons @ T, 0.0)
    ridge = np.linalg.solve(seen.T @ seen + tau * np.eye(T.shape[1]), seen.T)
    W = [U * np.sqrt(s), *[np.eye(r)] * (L - 3), neurons, ridge]
    factors = [*W, np.sqrt(s)[:, None] * Vt]
    lams = np.array([*check_decays(where, lam_W, L), lam_H])
    # Every factor is to cost the same; the product of the scales is then 1, and the ReLU lets positive scales pass.
    costs = np.log(lams) + np.log([np.sum(factor**2) for factor in factors])
    scales = np.exp((np.mean(costs) - costs) / 2)
    scaled = [scale * factor for scale, factor in zip(scales, factors, strict=True)]
    return SRGPoint(tuple(scaled[:-1]), scaled[-1], least_value)


def collapse_value(*, r: int, n: int, lam_W: Decays, lam_H: float, L: int) -> float:
    """The value of deep neural collapse with the same K = r (r-1)/2 classes, for comparison."""
    K = _order("srg.collapse_value", r) * (r - 1) // 2
    return value_of_cost(G=collapse_cost(K=K, L=L), n=n, lam_W=lam_W, lam_H=lam_H, L=L)


def _best_ridge(
    where: str, r: int, n: int, lam_W: Decays, lam_H: float, L: int, mixture: Mixture | None
) -> tuple[float, float]:
    """(tau, value) of the best ridge; the trivial value 1/2 is its limit tau -> inf."""
    r, L, n = _order(where, r), _depth(where, L), check_count(where, "n", n, 1)
    lams = np.array([*check_decays(where, lam_W, L), check_decay(where, "lam_H", lam_H)])
    q, multiplicities = gram_eigenvalues(r=r, mixture=best_mixture(r=r) if mixture is None else mixture)
    order, K = L + 1, r * (r - 1) // 2
    unit = order / 2 * geometric_mean(lams) * (n * _nuclear_norm(r) ** 2 * float(r) ** (L - 3) * r / 4) ** (1 / order)

    def loss(log_tau: float) -> float:
        tau = math.exp(log_tau)
        fit = float(multiplicities @ (tau / (q + tau)) ** 2) / (2 * K)
        return fit + unit * float(multiplicities @ (q / (q + tau) ** 2)) ** (1 / order)

    grid = np.linspace(-40.0, 20.0, 241) + math.log(float(np.mean(q)))
    start = int(np.argmin([loss(x) for x in grid]))
    near = grid[max(start - 1, 0)], grid[min(start + 1, len(grid) - 1)]
    found: Any = minimize_scalar(loss, bounds=near, method="bounded", options={"xatol": 1e-12})
    return math.exp(float(found.x)), min(float(found.fun), 0.5)


def _nuclear_norm(r: int) -> float:
    """|T|_*."""
    return math.sqrt(2 * r - 2) + (r - 1) * math.sqrt(r - 2)


def _order(where: str, r: int) -> int:
    return check_count(where, "r", r, 4)


def _depth(where: str, L: int) -> int:
    return check_count(where, "L", L, 3)


def _shares(where: str, r: int, mixture: Mixture) -> dict[int, float]:
    """The mixture, normalised, after the checks."""
    r = _order(where, r)
    shares = {check_count(where, "m", m, 2): check_positive(where, "a share", share) for m, share in mixture.items()}
    if not shares or max(shares) >= r:
        raise ValueError(
            f"{where}: mixture={dict(mixture)!r} needs sizes m from 2 to r-1={r - 1}. Pass e.g. {{2: 1.0}}."
        )
    total = sum(shares.values())
    return {m: share / total for m, share in shares.items()}
