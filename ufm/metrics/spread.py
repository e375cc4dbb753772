"""The second pass: what needs the class means of all samples before it can look at one.

NC1 needs the residuals in the span of the final means, NC4 and the margins the nearest of them. (A single pass can have
NC1 only by keeping the d x d within-class scatter: `ufm.metrics.scatter`.)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.linalg import norm

from ufm.metrics.arrays import ROUNDING, Samples, pieces, read_classifier, read_samples
from ufm.metrics.frame import Frame

DECISIONS = ("disagree", "disagree_no_bias", "astray", "correct", "margin_sum")  # fields of Spread, NaN if undefined


@dataclass(frozen=True, eq=False)
class Spread:
    """Sums over the samples of each class, additive over batches (`merge_spreads`).

    What needs a classifier is NaN without one, what needs distinct class means NaN without them.

    Attributes:
        classes: [K] labels.
        counts: [K] samples seen in this pass.
        projected: [3, K] sum_{i in k} r_i^T Sigma_B^+ r_i, r_i = h_i - m_k, for the Sigma_B of Frame.whitening.
        disagree: [K] samples whose set of largest logits W h + b is not the set of their nearest class means; ties up
            to rounding belong to the sets, so no order of the classes matters.
        disagree_no_bias: [K] the same for W h.
        astray: [K] samples that are not nearest to their own class mean alone.
        correct: [K] samples whose label alone has the largest logit.
        margin_sum, margin_min: [K] of z_y - max_{j != y} z_j.
    """

    classes: np.ndarray
    counts: np.ndarray
    projected: np.ndarray
    disagree: np.ndarray
    disagree_no_bias: np.ndarray
    astray: np.ndarray
    correct: np.ndarray
    margin_sum: np.ndarray
    margin_min: np.ndarray


def spread(frame: Frame, features: Any, labels: Any, W: Any = None, b: Any = None) -> Spread:
    """Residuals and decisions of one batch against the class means of all samples.

    Args:
        frame: from the moments of all samples.
        features: [N, d] as in `moments`.
        labels: [N] labels that the first pass has seen.
        W: [K, d] classifier, rows in increasing order of the labels, or None.
        b: [K] bias or None (zero).
    Returns:
        Spread of these samples.
    Raises:
        TypeError: as `moments`; W or b that are not real arrays.
        ValueError: as `moments`; shapes of W, b that do not fit; a label or d that the first pass has not seen.
    """
    K, d = frame.moments.means.shape
    return spread_of("spread", frame, read_samples("spread", features, labels), *read_classifier("spread", W, b, K, d))


def spread_of(where: str, frame: Frame, samples: Samples, W: np.ndarray | None, b: np.ndarray | None) -> Spread:
    """`spread` of checked arrays; `where` begins the message of an error."""
    M, classes = frame.moments.means, frame.moments.classes
    if samples.features.shape[1] != M.shape[1]:
        raise ValueError(
            f"{where}: d={samples.features.shape[1]} features, but the first pass had d={M.shape[1]}. Pass one layer."
        )
    unknown = np.setdiff1d(samples.labels, classes)
    if unknown.size:
        raise ValueError(f"{where}: label {unknown[0]} is new in the second pass. Pass the same samples twice.")
    total = None
    for X, y in pieces(where, samples):
        index = np.searchsorted(classes, y)
        A = (X - M[index]) @ frame.basis
        nearest = _nearest(frame, index, A) if frame.apart else None
        decisions: dict[str, np.ndarray] = dict.fromkeys(DECISIONS, np.full(len(index), np.nan))
        if nearest is not None:
            decisions["astray"] = ~_alone(nearest, index)
        if W is not None:
            unit = np.max(norm(W, axis=1)) * norm(X, axis=1)  # >= |w_k h|
            decisions |= _decisions(index, X @ W.T, b, unit, nearest)
        part = _summed(frame, index, A[:, : frame.rank], decisions)
        total = part if total is None else merge_spreads(total, part)
    assert total is not None  # samples are never empty
    return total


def merge_spreads(a: Spread, b: Spread) -> Spread:
    """The sums over the samples of both, which were measured against the same frame.

    Raises:
        ValueError: they differ in their classes.
    """
    if not np.array_equal(a.classes, b.classes):
        raise ValueError("merge_spreads: the classes differ. Measure both against the frame of all samples.")
    sums = {name: value + getattr(b, name) for name, value in vars(a).items() if name not in ("classes", "margin_min")}
    return Spread(classes=a.classes, margin_min=np.minimum(a.margin_min, b.margin_min), **sums)


def _summed(frame: Frame, index: np.ndarray, A: np.ndarray, decisions: dict[str, np.ndarray]) -> Spread:
    """Sums by class of what is known per sample; A [B, rank] are residuals in the frame's basis."""
    K = len(frame.moments.classes)
    quadratic = [np.bincount(index, np.einsum("ij,ij->i", B, B), K) for B in (A @ T for T in frame.whitening)]
    lowest = np.full(K, np.inf)
    with np.errstate(invalid="ignore"):  # NaN without a classifier, and NaN stays
        np.minimum.at(lowest, index, decisions["margin_sum"])
    return Spread(
        classes=frame.moments.classes,
        counts=np.bincount(index, minlength=K),
        projected=np.stack(quadratic) if frame.rank else np.full((3, K), np.nan),
        margin_min=lowest,
        **{name: np.bincount(index, values, K) for name, values in decisions.items()},
    )


def _decisions(index: np.ndarray, Z: np.ndarray, b: Any, unit: np.ndarray, nearest: Any) -> dict[str, np.ndarray]:
    """What the logits Z [B, K] and Z + b decide; `unit` [B] bounds the size of Z, `nearest` [B, K] or None."""
    found = {}
    if nearest is not None:
        found["disagree_no_bias"] = np.any(_largest(Z, unit) != nearest, axis=1)
    Z, unit = (Z, unit) if b is None else (Z + b, unit + np.max(np.abs(b)))
    tops = _largest(Z, unit)
    if nearest is not None:
        found["disagree"] = np.any(tops != nearest, axis=1)
    return found | {"correct": _alone(tops, index), "margin_sum": _margins(Z, index)}


def _nearest(frame: Frame, index: np.ndarray, A: np.ndarray) -> np.ndarray:
    """[B, K] whether m_k is a nearest class mean, from |h - m_k|^2 / 2 less what does not depend on k."""
    Q = frame.coordinates
    X = A + Q[index]
    excess = 0.5 * np.sum(Q**2, axis=1) - X @ Q.T
    scale = frame.cut / max(ROUNDING, frame.moments.resolution)
    reach = norm(X, axis=1) + np.max(norm(Q, axis=1))
    return excess - np.min(excess, axis=1, keepdims=True) <= (ROUNDING * scale * reach)[:, None]


def _largest(Z: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """[B, K] whether a logit is a largest one, up to the rounding of numbers of size `unit`."""
    return np.max(Z, axis=1, keepdims=True) - Z <= (ROUNDING * unit)[:, None]


def _alone(sets: np.ndarray, index: np.ndarray) -> np.ndarray:
    """[B] whether the set of a sample holds its own class and no other."""
    return sets[np.arange(len(index)), index] & (np.sum(sets, axis=1) == 1)


def _margins(Z: np.ndarray, index: np.ndarray) -> np.ndarray:
    own = np.arange(len(index)), index
    others = Z.copy()
    others[own] = -np.inf
    return Z[own] - np.max(others, axis=1)
