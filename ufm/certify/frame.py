"""A point in as few numbers as it needs: equal features as one, and only the dimensions that it spans.

Of models whose W and H may be rotated in R^d. At a point whose features are equal within each group, with the rows of W
and the features in an r-dimensional subspace, the Hessian splits exactly (no criticality is needed) into

    the core: the merged problem with d = r;
    directions outside the subspace, e (u, v) for e orthogonal to it: the slack matrix of the core (ufm.certify.slack),
        d - r times. With decay on both blocks its eigenvalues are (lam_W + lam_H)/2 +- sqrt(((lam_W - lam_H)/2)^2 +
        g^2) for each singular value g of the logit gradient, and lam_W or lam_H where K and C differ (T5);
    deviations within a group of n_c samples, n_c - 1 times: W^T J_c W tau^2 / N + lam_H - b_c, J_c the loss's Hessian
        at group c and b_c the multiplier of its space, on what is tangent; outside the subspace lam_H - b_c.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from ufm.certify.point import Point, examine, length
from ufm.problem import Params, Problem
from ufm.reduction import deviation, merge, merge_params

COLLAPSED = 1e-6  # relative distance up to which a point is read as the collapsed point beside it
FLOOR = 1e-6  # relative size of a dimension that counts


class Frame(NamedTuple):
    """A point in the subspace that the rows of W and the group means span.

    problem: merged, with d = max(rank, 1). point: the same point there. means: W [K, d], the group means in merged
    coordinates [d, C], and b. basis: [d, max(rank, 1)] of the subspace. spare: a unit vector of R^d that is orthogonal
    to W and the features, or that they use least. rank: of W and the features (0 at zero).
    scale: the smallest singular value of them that counts. deviation: distance of the features from their means.
    dropped: distance of the point from its image in the subspace. size: of the point, not below a visible one.
    """

    problem: Problem
    point: Point
    means: Params
    basis: np.ndarray
    spare: np.ndarray
    rank: int
    scale: float
    deviation: float
    dropped: float
    size: float

    @property
    def collapsed(self) -> bool:
        """Whether the point is the image up to what is read as rounding."""
        return self.dropped <= COLLAPSED * self.size


def frame_of(problem: Problem, point: Point) -> Frame | None:
    """The point in its subspace; None where W and H do not rotate together."""
    if not problem.rotates:
        return None
    params = point.params
    means = params if problem.merged else merge_params(problem, params)
    apart = 0.0 if problem.merged else deviation(problem, params.H, means.H)
    # Every minimiser lies within sqrt(2 f / lam) of the origin; a thousandth of that is still a visible point.
    unit = 1e-3 * float(np.sqrt(2 * abs(point.value) / (problem.lam_W + problem.lam_H))) if problem.euclidean else 0.0
    size = max(length(params), unit)

    columns = np.hstack([params.W.T, means.H if apart <= COLLAPSED * size else params.H])
    # Fewer columns than dimensions lie in a space of their own number, which spares a d x d matrix.
    Q, R = np.linalg.qr(columns) if columns.shape[1] < problem.d else (None, columns)
    values, vectors = np.linalg.eigh(R @ R.T)
    scales = np.sqrt(np.maximum(values[::-1], 0.0))
    rank = int(np.sum(scales > FLOOR * max(scales[0], unit)))
    inside = vectors[:, ::-1][:, : max(rank, 1)]
    basis = inside if Q is None else Q @ inside

    image = Params(means.W @ basis, basis.T @ means.H, means.b)
    core = dataclasses.replace(merge(problem), d=max(rank, 1))
    outside = [means.W - image.W @ basis.T, means.H - basis @ image.H]
    return Frame(
        problem=core,
        point=examine(core, image),
        means=means,
        basis=basis,
        spare=_least_used(problem, columns, vectors[:, 0]) if Q is None else _orthogonal(Q),
        rank=rank,
        scale=float(scales[rank - 1]) if rank else np.inf,
        deviation=apart,
        dropped=float(np.sqrt(apart**2 + sum(float(np.sum(x**2)) for x in outside))),
        size=size,
    )


def _orthogonal(Q: np.ndarray) -> np.ndarray:
    """A unit vector orthogonal to the columns of Q [d, m], m < d: of a coordinate vector that they reach least."""
    e = np.eye(1, len(Q), int(np.argmin(np.sum(Q**2, axis=1))))[0]
    for _ in range(2):  # once more, for what rounding left
        e = e - Q @ (Q.T @ e)
        e = e / np.linalg.norm(e)
    return e


def _least_used(problem: Problem, columns: np.ndarray, lowest: np.ndarray) -> np.ndarray:
    """`lowest`, an eigenvector of the columns' spread; with decays that of blocks balanced by them."""
    if problem.lam_W is None and problem.lam_H is None:
        return lowest
    weights = np.ones(columns.shape[1])
    for block, lam in ((slice(None, problem.K), problem.lam_W), (slice(problem.K, None), problem.lam_H)):
        weights[block] = 1.0 if lam is None else float(lam)
    return np.linalg.eigh((columns * weights) @ columns.T)[1][:, 0]
