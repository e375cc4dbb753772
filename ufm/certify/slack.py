"""The slack matrix: bounds where the spaces fix norms, and the exact direction down from a saddle in a spare dimension.

At a point with columns x_1, ..., x_m (the rows of W, then the features), logit gradient G and multipliers a, b of the
spaces,

    Q = [[diag(lam_W - a), tau G], [tau G^T, diag(lam_H - b)]]        features alone: tau (G + G^T) + diag(lam_H - b)

(i) Bound. An affine minorant of the data term (ufm.certify.minorant) leaves <B, X^T X>/2 to be bounded, B what couples
the columns. Every diagonal q with B + diag(q) >= 0 gives <B, X^T X> >= -sum_j q_j |x_j|^2, and the spaces fix the sum:
q_j is lam where the block decays, anything where |x_j| is fixed, anything proportional to the budget's weights where a
weighted sum of |x_j|^2 is. This is the dual of the semidefinite relaxation, which is the problem itself for large d.
(ii) Escape. For a unit e orthogonal to every x_j the Hessian maps the direction (u e^T, e v^T) to Q (u, v), exactly, at
every point: a negative eigenvalue of Q is one of the Hessian. With decay on both blocks this is T5.

Source:
    1.2 and 1.3 of the theory reference for spheres, derived for this project; T5 for decays.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy

from ufm.certify.lanczos import smallest_eigenpair
from ufm.certify.minorant import EPS, LowerBound, merged_params, supporting
from ufm.certify.point import Point, sample_gradient
from ufm.problem import Problem
from ufm.reduction import merge
from ufm.spaces import Columns, Space

DENSE = 1200  # rows of the slack matrix of a point up to which it is diagonalised
LARGEST = 3000  # rows beyond which no bound is computed


class Lowest(NamedTuple):
    """The unit vector of the smallest eigenvalue of Q, cut into the rows of W (None without) and the features."""

    u: np.ndarray | None
    v: np.ndarray
    value: float


class _Block(NamedTuple):
    """Columns whose norms are fixed: roots sqrt(v_j), v the space's shell, and q_j / v_j of the point."""

    roots: np.ndarray
    ratios: np.ndarray


def slack_bound(problem: Problem, point: Point) -> LowerBound:
    """A lower bound on f* for a convex loss, from the slack matrix at the point."""
    minorant = supporting(problem, point)
    if minorant is None:
        return LowerBound(-np.inf, "none: a free bias needs the conjugate of the loss")
    if sum(minorant.A.shape) > LARGEST:
        return LowerBound(-np.inf, f"none: the slack matrix has more than {LARGEST} rows")
    with np.errstate(all="ignore"):
        least = (_least_alone if problem.model.W is None else _least)(problem, point, minorant.A)
    if least is None:
        # Norms are free: a multiple s <= 1 of the minorant is one too, because the loss is not negative.
        value, method = _multiple(problem, minorant.A) * minorant.constant, "multiple of the gradient"
    else:
        value, method = minorant.constant + least, "slack matrix (1.3)"
    return LowerBound(value - minorant.noise if np.isfinite(value) else -np.inf, method)


def _least(problem: Problem, point: Point, A: np.ndarray) -> float | None:
    """A lower bound on <A, tau W H> plus the decays; None where both blocks decay."""
    A = float(problem.tau) * A
    W, H, _ = merged_params(problem, point.params)
    rows, columns = merge(problem).columns()
    left = _block(problem.model.W, W.T, H @ A.T, rows)
    right = _block(problem.model.H, H, W.T @ A, columns)
    if left is not None and right is not None:
        scaled = A / left.roots[:, None] / right.roots
        if problem.alike:
            return _shifted_alike(float(np.mean(left.ratios)), float(np.mean(right.ratios)), scaled)
        return _shifted(np.concatenate([left.ratios, right.ratios]), _bordered(scaled))
    if right is not None:  # W = -A H^T / lam_W is best
        scaled = A / right.roots
        return _shifted(right.ratios, -scaled.T @ scaled / float(problem.lam_W))
    if left is not None:
        scaled = A / left.roots[:, None]
        return _shifted(left.ratios, -scaled @ scaled.T / float(problem.lam_H))
    return None


def _least_alone(problem: Problem, point: Point, A: np.ndarray) -> float | None:
    """The same of <A, tau H^T H>."""
    H, B = point.params.H, float(problem.tau) * (A + A.T)
    block = _block(problem.model.H, H, H @ B, problem.columns()[1])
    return None if block is None else _shifted(block.ratios, B / block.roots[:, None] / block.roots)


def _multiple(problem: Problem, A: np.ndarray) -> float:
    """The largest s <= 1 for which the infimum of s <A, Z> plus the decays is zero; every block decays."""
    tau = float(problem.tau)
    if problem.model.W is None:
        steepest, limit = -float(np.linalg.eigvalsh(tau * (A + A.T))[0]), float(problem.lam_H)
    else:
        steepest, limit = float(np.linalg.norm(A, 2)), float(problem.nu)
    steepest *= 1.0 + 4 * EPS * np.sqrt(sum(A.shape))
    return 1.0 if steepest <= limit else limit / steepest


def _block(space: Space, x: np.ndarray, pull: np.ndarray, columns: Columns) -> _Block | None:
    """pull [d, m]: the gradient of the coupling term in the columns x."""
    shell = space.shell(columns)
    if shell is None:
        return None
    ratios = -np.asarray(space.multiplier(x, pull, columns)) / shell
    return _Block(np.sqrt(shell), np.where(np.isfinite(ratios), ratios, 0.0))  # NaN: a mean of features that is zero


def _shifted(ratios: np.ndarray, B: np.ndarray) -> float:
    """-sum_j (ratios_j + t) / 2, t the least shift with B + diag(ratios + t) >= 0; B of columns scaled to the shell."""
    values = np.linalg.eigvalsh(B + np.diag(ratios))
    return _bound(float(np.sum(ratios)), values.size, float(values[0]), float(values[-1]))


def _shifted_alike(left: float, right: float, C: np.ndarray) -> float:
    """The same of [[0, C'], [C'^T, 0]], C' the mean of P C P^T over the permutations P of the classes.

    All P C P^T belong to minorants with one constant, if the classes are alike, so that C' does too. The bound is
    concave in ratios and C: it is at least as good there, and near a symmetric minimum its error is of second order.
    """
    K = len(C)
    same = float(np.trace(C)) / K
    other = (float(np.sum(C)) - K * same) / (K * (K - 1))
    half = float(np.hypot((left - right) / 2, max(abs(same - other), abs(same + (K - 1) * other))))
    middle = (left + right) / 2
    return _bound(K * (left + right), 2 * K, middle - half, middle + half)


def _bound(ratios: float, size: int, lowest: float, highest: float) -> float:
    """-(the sum of the ratios + size t) / 2, t = -lowest and the rounding of eigenvalues of a matrix of this size."""
    rounding = 4 * EPS * np.sqrt(size) * max(abs(lowest), abs(highest))
    return -(ratios + size * (rounding - lowest)) / 2


def _bordered(C: np.ndarray) -> np.ndarray:
    """[[0, C], [C^T, 0]]."""
    K, N = C.shape
    return np.block([[np.zeros((K, K)), C], [C.T, np.zeros((N, N))]])


def slack_matrix(problem: Problem, point: Point) -> np.ndarray:
    """Q at the point itself, sample by sample: rows of W if they move, then features."""
    diagonal, coupling = _entries(problem, point)
    if coupling is None:
        return np.diag(diagonal)
    return np.diag(diagonal) + (coupling if problem.model.W is None else _bordered(coupling))


def lowest_slack(problem: Problem, point: Point) -> Lowest:
    """The smallest eigenpair of Q; over the features alone where W is fixed."""
    diagonal, coupling = _entries(problem, point)
    if coupling is None:
        j = int(np.argmin(diagonal))
        return Lowest(np.zeros(problem.K), np.eye(1, len(diagonal), j)[0], float(diagonal[j]))
    rows = len(diagonal) - coupling.shape[1]
    if len(diagonal) <= DENSE or not rows:
        values, vectors = scipy.linalg.eigh(slack_matrix(problem, point), subset_by_index=[0, 0])
        value, vector = float(values[0]), vectors[:, 0]
    else:
        pair = smallest_eigenpair(lambda x: _product(diagonal, coupling, x), len(diagonal), steps=100)
        value, vector = pair.value, pair.vector
    return Lowest(vector[:rows] if rows else None, vector[rows:], value)


def slack_exceeds(problem: Problem, point: Point, bound: float) -> bool:
    """Whether no eigenvalue of Q is below `bound`, by a Cholesky factor; False where Q is too large for one."""
    if sum(problem.logit_shape()) > DENSE:
        return False
    Q = slack_matrix(problem, point)
    try:
        np.linalg.cholesky(Q - bound * np.eye(len(Q)))
    except np.linalg.LinAlgError:
        return False
    return True


def multipliers(problem: Problem, point: Point) -> tuple[np.ndarray, np.ndarray]:
    """lam - a of the rows of W (none where W does not move or is not there), and lam - b of the features."""
    model, (rows, columns) = problem.model, problem.columns()
    W, H, _ = point.params
    right = _diagonal(model.H, problem.lam_H, H, point.ambient.H, columns)
    if W is None or (not model.W.decays and model.W.shell(rows) is None):  # features alone, or W is fixed
        return np.empty(0), right
    return _diagonal(model.W, problem.lam_W, W.T, point.ambient.W.T, rows), right


def _entries(problem: Problem, point: Point) -> tuple[np.ndarray, np.ndarray | None]:
    """The diagonal of Q, and what is off it: [K, N] from W to features, [N, N] among features, None with a fixed W."""
    left, right = multipliers(problem, point)
    if point.params.W is None:
        coupling = float(problem.tau) * sample_gradient(problem, point)
        return right, coupling + coupling.T
    if not left.size:
        return right, None
    return np.concatenate([left, right]), float(problem.tau) * sample_gradient(problem, point)


def _diagonal(space: Space, lam: Any, x: np.ndarray, g: np.ndarray, columns: Columns) -> np.ndarray:
    """[m] lam - a of a block."""
    return (float(lam) if space.decays else 0.0) - np.asarray(space.multiplier(x, g, columns))


def _product(diagonal: np.ndarray, coupling: np.ndarray, x: np.ndarray) -> np.ndarray:
    u, v = x[: len(coupling)], x[len(coupling) :]
    return diagonal * x + np.concatenate([coupling @ v, coupling.T @ u])
