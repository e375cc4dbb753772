"""Exact reductions of a problem, with their lifts."""

import dataclasses
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ufm.models import Bilinear
from ufm.problem import Params, Problem

IN_CACHE = 2**15  # numbers of an array that is used at once


class Reduction(Protocol):
    """How the problem that was solved follows from the one that was asked for.

    steps: the reductions used, in words; refused: why the classes were not reduced, or "".
    """

    @property
    def steps(self) -> tuple[str, ...]: ...
    @property
    def refused(self) -> str: ...
    def lift(self, point: Params) -> Params: ...


@dataclass(frozen=True, eq=False)
class Full:
    """No reduction: the problem as it was asked for.

    Attributes:
        problem: the problem. steps: none. refused: why there is none.
    """

    problem: Problem
    refused: str
    steps: tuple[str, ...] = ()

    def lift(self, point: Params) -> Params:
        """The point itself."""
        return point


@dataclass(frozen=True, eq=False)
class Thin:
    """Equal decays, one column a group, no more dimensions than the logits have rank: what `thin` does.

    Attributes:
        problem: the problem that was asked for. steps: what was reduced. refused: why the classes were not.
    """

    problem: Problem
    steps: tuple[str, ...]
    refused: str

    def lift(self, point: Params) -> Params:
        """The full point: decays restored, features repeated, dimensions filled with zeros."""
        problem, reduced = self.problem, thin(self.problem)
        W, H, b = point
        more = problem.d - reduced.d
        if more:
            W, H = np.pad(W, ((0, 0), (0, more))), np.pad(H, ((0, more), (0, 0)))
        if problem.euclidean:
            W = W * float(reduced.lam_W / problem.lam_W) ** 0.5
            H = H * float(reduced.lam_H / problem.lam_H) ** 0.5
        merged = Params(W, H, b)
        return merged if problem.merged or not reduced.merged else lift_params(problem, merged)


@dataclass(frozen=True, eq=False)
class RowSpace:
    """Coordinates in the space of the rows of W, K dimensions out of d: `row_space` of a start.

    Given W, the part of H outside that space enters f through its decay alone: 0 is its exact minimum, and taken as
    the first step of a solve. From there gradients and Newton steps stay in the space; the rest is the free features
    themselves, in other coordinates.

    Attributes:
        Q: [d, K], orthonormal columns. steps: the same in words. refused: why there is no reduction of the problem.
    Source:
        Derived for this project.
    """

    Q: np.ndarray
    refused: str
    steps: tuple[str, ...] = ("row space of W",)

    def start(self, params: Params) -> Params:
        """The first step from `params`, in these coordinates; NumPy."""
        return Params(np.asarray(params.W) @ self.Q, self.Q.T @ np.asarray(params.H), params.b)

    def lift(self, point: Params) -> Params:
        """W and H in d dimensions."""
        return Params(point.W @ self.Q.T, self.Q @ point.H, point.b)


def row_space(problem: Problem, params: Params, refused: str) -> RowSpace | None:
    """Coordinates for a solve from `params`; None if they are no fewer, or if the rows of W are dependent."""
    if not problem.euclidean or problem.d <= problem.K:
        return None
    Q, R = np.linalg.qr(np.asarray(params.W, np.float64).T)
    pivots = np.linalg.svd(R, compute_uv=False)
    # From dependent rows W may grow into any direction of H: a saddle, as a rule, that the start was chosen for.
    return RowSpace(Q, refused) if pivots[-1] > 1e-8 * pivots[0] else None


def thin(problem: Problem) -> Problem:
    """The smaller problem with the same global minimum: decays made equal, samples merged, dimensions cut.

    decays       lam_W = lam_H = sqrt(lam_W lam_H), where W and H range over all matrices: W H and f stay what they are
    samples      one column a group, where each feature is constrained for itself: given W and b every sample of a group
                 has the same problem, so that a best feature is best for all of them, whatever the loss. A point whose
                 Hessian is >= 0 among equal features has it >= 0 among all
    dimensions   d <= rank of the logits of any minimiser, for convex losses with decay on all W and H (T9)

    Source:
        T21 and section 0 of its reference for the decays; derived for this project.
    """
    changes = {}
    if problem.euclidean:
        changes["lam_W"] = changes["lam_H"] = (problem.lam_W**0.5) * (problem.lam_H**0.5)
    bilinear = isinstance(problem.model, Bilinear)
    if bilinear and problem.model.H.separable and not problem.merged and problem.N > problem.C:
        changes["merged"] = True
    if problem.euclidean and problem.loss.convex:
        changes["d"] = max(1, min(problem.d, problem.C, problem.K - 1 if problem.loss.shift_invariant else problem.K))
    return dataclasses.replace(problem, **changes)


def thin_steps(problem: Problem) -> tuple[str, ...]:
    """What `thin` changes, in words."""
    reduced = thin(problem)
    pairs = (
        ("decays", problem.euclidean and float(problem.lam_W) != float(problem.lam_H)),
        ("samples", reduced.merged and not problem.merged),
        ("dimension", reduced.d != problem.d),
    )
    return tuple(name for name, changed in pairs if changed)


def merge(problem: Problem) -> Problem:
    """The problem whose class k has one column, sqrt(n_k) h_k, of weight n_k / N.

    On collapsed features (equal columns within a class) value, gradient norm and Hessian on the class means are
    those of the full problem, because the coordinates are isometric.

    Source:
        T21, derived for this project: holds for every loss.
    """
    return dataclasses.replace(problem, merged=True)


def merge_params(problem: Problem, params: Params) -> Params:
    """Class means of the features, in the coordinates of `merge(problem)`; NumPy."""
    sizes = np.asarray(problem.sizes)
    means = np.add.reduceat(params.H, np.concatenate([[0], np.cumsum(sizes)[:-1]]), axis=1) / sizes
    return Params(params.W, means * np.sqrt(sizes), params.b)


def deviation(problem: Problem, H: np.ndarray, means: np.ndarray) -> float:
    """|H - H'|_F, H' [d, N] the features that are equal within groups at `means`, in the coordinates of `merge`."""
    sizes = np.asarray(problem.sizes)
    means, rows = means / np.sqrt(sizes), max(1, IN_CACHE // H.shape[1])
    total = 0.0
    for i in range(0, len(H), rows):
        rest = H[i : i + rows] - np.repeat(means[i : i + rows], sizes, axis=1)
        total += float(np.vdot(rest, rest))
    return total**0.5


def lift_params(problem: Problem, merged: Params) -> Params:
    """The collapsed point of the full `problem` that a point of `merge(problem)` stands for; NumPy."""
    sizes = np.asarray(problem.sizes)
    return Params(merged.W, np.repeat(merged.H / np.sqrt(sizes), sizes, axis=1), merged.b)
