"""Affine functions below the data term, the first half of every bound for a convex loss.

    g(Z + b 1^T) + lam_b/2 |b|^2  >=  constant + <A, Z>      for all Z and b, g the mean of the losses.

Such an A is a point of the conjugate's domain, or the gradient of g at any logits. Averaging its columns inside a group
of samples with one target never lowers the constant: it is -g*(A), g* is convex, and the samples of a group can be
exchanged. So A is [K, C], in the merged isometric coordinates of `ufm.reduction.merge`: the column of group c is
sqrt(n_c) times the average. The second half of a bound is the infimum of <A, tau W H> over the model's spaces.
"""

from typing import NamedTuple

import numpy as np

from ufm.certify.point import Point
from ufm.problem import Params, Problem
from ufm.reduction import merge_params

EPS = float(np.finfo(np.float64).eps)


class LowerBound(NamedTuple):
    """A number that f* cannot be below, and how it was found; -inf where nothing is proved."""

    value: float
    method: str


class Minorant(NamedTuple):
    """constant and A of the module's text; noise: the rounding in the constant."""

    constant: float
    A: np.ndarray
    noise: float


def supporting(problem: Problem, point: Point) -> Minorant | None:
    """The tangent of the data term at the point's logits, made feasible for the bias; None where it cannot be.

    With a conjugate a free bias is repaired (A sqrt(n) = 0, back in the domain); without one, only lam_b > 0 or no bias
    leave the tangent a bound.
    """
    if not problem.model.classifier:
        inner = float(np.sum(point.G * point.Z))
        return Minorant(data_value(problem, point) - inner, point.G, 8 * EPS * (1.0 + abs(point.value) + abs(inner)))
    A = class_gradient(problem, point.G)
    if problem.loss.conjugate is not None:
        dual = Dual(problem)
        A = dual.feasible(A)
        return Minorant(dual.value(A), A, 8 * EPS * (1.0 + abs(point.value))) if np.all(np.isfinite(A)) else None
    free = problem.lam_b is not None and float(problem.lam_b) == 0.0
    if free:
        return None
    Z = point.Z if point.params.b is None else point.Z + point.params.b[:, None]
    inner = float(np.sum(point.G * Z))
    constant = data_value(problem, point) - inner
    if problem.lam_b is not None:
        constant -= float(np.sum((A @ np.sqrt(problem.sizes)) ** 2)) / (2 * float(problem.lam_b))
    return Minorant(constant, A, 8 * EPS * (1.0 + abs(point.value) + abs(inner)))


def data_value(problem: Problem, point: Point) -> float:
    """The mean of the losses at the point: f without the decays."""
    decay = 0.0
    for x, lam, space in (
        (point.params.W, problem.lam_W, problem.model.W),
        (point.params.H, problem.lam_H, problem.model.H),
    ):
        if space is not None and space.decays:
            decay += float(lam) * float(np.sum(x**2))
    if point.params.b is not None:
        decay += float(problem.lam_b) * float(np.sum(point.params.b**2))
    return point.value - decay / 2


def class_gradient(problem: Problem, G: np.ndarray) -> np.ndarray:
    """[K, C] A = sqrt(n_c) times the average of the logit gradient G [K, N] over group c."""
    sizes = np.asarray(problem.sizes)
    if problem.merged:
        return G / np.sqrt(sizes)
    return class_sums(problem, G) / np.sqrt(sizes)


def class_sums(problem: Problem, X: np.ndarray) -> np.ndarray:
    """[K, C] sums of the columns of X over each group."""
    starts = np.concatenate([[0], np.cumsum(problem.sizes)[:-1]])
    return np.add.reduceat(X, starts, axis=1)


def merged_params(problem: Problem, params: Params) -> Params:
    """The group means in the coordinates of A."""
    return params if problem.merged else merge_params(problem, params)


class Dual:
    """The constant as a concave function of A, with the constraints that make it finite; of a loss with a conjugate."""

    def __init__(self, problem: Problem) -> None:
        self.loss = problem.loss
        self.sizes = np.asarray(problem.sizes, float)
        self.N = float(problem.N)
        self.targets = problem.group_targets()
        self.lam_b = None if problem.lam_b is None else float(problem.lam_b)

    def value(self, A: np.ndarray) -> float:
        """-g*(Gamma) - |Gamma 1|^2 / (2 lam_b) of the group-constant Gamma that A stands for (T15)."""
        G = self.N * A / np.sqrt(self.sizes)
        bound = -float(np.sum(self.sizes * self.loss.conjugate(G, self.targets))) / self.N
        if self.lam_b:
            bound -= float(np.sum((A @ np.sqrt(self.sizes)) ** 2)) / (2 * self.lam_b)
        return bound

    def feasible(self, A: np.ndarray) -> np.ndarray:
        """Near A, with the sums that the problem demands, in the conjugate's domain; NaN or inf if there is none."""
        G = self.loss.repair(self.N * self.centred(A) / np.sqrt(self.sizes), self.targets, self.sizes)
        return G * np.sqrt(self.sizes) / self.N

    def centred(self, A: np.ndarray) -> np.ndarray:
        """Column sums zero for shift-invariant losses, row sums zero for a free bias."""
        if self.loss.shift_invariant:
            A = A - np.mean(A, axis=0)
        return without_sums(A, self.sizes) if self.lam_b == 0.0 else A


def without_sums(A: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """A (I - v v^T), v = sqrt(sizes / N): the sum over all samples removed. Never raises the spectral norm."""
    v = np.sqrt(sizes / np.sum(sizes))
    return A - np.outer(A @ v, v)
