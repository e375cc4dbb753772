"""What is known of a Hessian's spectrum, and what its certificates share."""

from typing import NamedTuple

import numpy as np

from ufm.certify.lanczos import Eigenpair, smallest_eigenpair
from ufm.certify.point import Point, hessian_operator, packing
from ufm.models import DeepLinear
from ufm.problem import Params, Problem
from ufm.spaces import Fixed, Nonnegative

DENSE = 2000  # the largest matrix that is diagonalised densely


class Curvature(NamedTuple):
    """What is known of the Hessian's spectrum, on the tangent space of the model.

    smallest: the smallest eigenvalue found, with its residual (some eigenvalue lies within it); NaN if no direction is
        free at all.
    index, nullity: numbers of eigenvalues < -tolerance and within it; None where the method cannot count them, and
        no nullity away from critical points, where zero modes have no meaning.
    symmetry: dimension of the orbit of the point under the problem's symmetries, a lower bound on the nullity at
        every critical point.
    tolerance: below it an eigenvalue is called zero: rounding, plus the share of the gradient that is not zero.
    spectrum: every eigenvalue, ascending, or None.
    method: how.
    weak: entries at the boundary of their space (a feature at 0) whose multiplier is zero: the second order on the
        face that they leave free does not decide.
    """

    smallest: float
    residual: float
    index: int | None
    nullity: int | None
    symmetry: int
    tolerance: float
    spectrum: np.ndarray | None
    method: str
    weak: int = 0


def free_shift(problem: Problem) -> int:
    """1 if b + c 1 leaves f unchanged for every c."""
    return int(problem.loss.shift_invariant and problem.lam_b is not None and float(problem.lam_b) == 0.0)


def rotations(rank: int, d: int) -> int:
    """Dimension of the orbit of `rank` independent vectors under the rotations of R^d."""
    return rank * (2 * d - rank - 1) // 2


def symmetry(problem: Problem, params: Params) -> int:
    """Dimension of the orbit of a point under the rotations of R^d that its spaces allow, and the free shift of b.

    With a fixed W these are the rotations that leave its rows in place. With entries >= 0 they are those among
    coordinates that vanish at the same features: there zeros stay zero, and what is positive stays positive nearby.
    Every hidden space of a deep linear model rotates; of one with ReLUs only the space of the features.
    """
    W, H, model = params.W, params.H, problem.model
    if model.deep:
        turned = [rotations(int(np.sum(scales(x) > 0.0)), len(x)) for x in hidden_columns(problem, params)]
        return sum(turned) + free_shift(problem)
    blocks = [(H, model.H)] if W is None else [(W.T, model.W), (H, model.H)]
    columns = np.hstack([x for x, _ in blocks])
    size = float(np.linalg.norm(columns))
    bounded = [x > 0.0 for x, space in blocks if isinstance(space, Nonnegative)]
    if W is not None and isinstance(model.W, Fixed):
        if bounded:
            return free_shift(problem)
        columns = _complement(W.T).T @ H
    groups = np.unique(np.hstack(bounded), axis=0, return_inverse=True)[1] if bounded else np.zeros(len(columns), int)
    orbit = 0
    for group in range(np.max(groups, initial=0) + 1):
        rows = columns[groups == group]
        orbit += rotations(int(np.sum(scales(rows, size) > 0.0)), len(rows))
    return orbit + free_shift(problem)


def hidden_columns(problem: Problem, params: Params) -> list[np.ndarray]:
    """[d_l, m] of each hidden space that rotates: what enters it beside the rows of the matrix that reads it."""
    W, H, _ = params
    if not problem.model.deep:
        return [H if W is None else np.hstack([W.T, H])]
    entering = (H, *W[:-1]) if isinstance(problem.model, DeepLinear) else (H,)
    return [np.hstack([reads.T, enters]) for reads, enters in zip(W, entering, strict=False)]


def _complement(columns: np.ndarray) -> np.ndarray:
    """[d, r] orthonormal basis of what is orthogonal to [d, m] columns."""
    U, s, _ = np.linalg.svd(columns, full_matrices=True)
    return U[:, int(np.sum(s > 1e-12 * s[0])) :] if s[0] > 0.0 else U


def scales(columns: np.ndarray, unit: float = 0.0) -> np.ndarray:
    """Singular values of [d, m] columns, largest first; zero below 1e-6 of the largest or of the length `unit`."""
    if not columns.size:
        return np.zeros(0)
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(columns @ columns.T)[::-1], 0.0))
    return np.where(values > 1e-6 * max(values[0], unit), values, 0.0)


def tolerance(
    point: Point, *, scale: float, largest: float, dimension: int, dropped: float, stiffness: float, critical: bool
) -> float:
    """What an eigenvalue must exceed not to be called zero.

    Differentiating f(W R, R^T H) = f(W, H) twice shows that a rotation's tangent t has |Hess t| <= |grad f|, and |t| is
    at least the smallest `scale` of the point; to that comes rounding, and the Hessian's change over what was dropped.
    """
    rounding = (4 * (dimension + 1) * np.finfo(np.float64).eps + dropped) * largest
    # Where the point itself is nearly zero the quotient says nothing, and must not swallow the spectrum.
    share = min(4 * point.grad_length / scale, 1e-2 * stiffness)
    return rounding + share if critical else rounding


def tangent_eigenpair(
    problem: Problem, point: Point, *, steps: int, sign: float = 1.0, tolerance: float = 1e-10
) -> Eigenpair | None:
    """The smallest eigenpair of sign * Hessian on the tangent space that Lanczos finds; None if the space is {0}."""
    product, dimension = hessian_operator(problem, point.params)
    pack, unpack = packing(point.params)

    def project(x: np.ndarray) -> np.ndarray:
        return pack(problem.tangent(point.params, point.ambient, unpack(x)))

    if np.linalg.norm(project(np.random.default_rng(0).standard_normal(dimension))) <= 1e-8:
        return None  # rounding: the point is isolated, such as spheres in one dimension
    return smallest_eigenpair(lambda x: sign * product(x), dimension, steps=steps, tolerance=tolerance, project=project)
