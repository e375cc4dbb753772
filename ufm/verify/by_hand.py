"""Points drawn at random, with the objective and its gradients written out in NumPy: what predictions at a point need.

`theory` states bounds and identities at any point in terms of its gradient. A claim's `measure` takes that gradient
from `ufm`, its `predict` from here, so that the two stay apart.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from ufm.losses.cross_entropy import CrossEntropy
from ufm.losses.squared import MSE
from ufm.problem import Params, Problem


class Draw(NamedTuple):
    """A problem with decays, and a point of it: Gaussian entries of size `scale`, the same for the same `key`.

    smoothing: of cross-entropy; None: squares. collapsed: the features of a class differ only in directions that W does
    not see (d > K), scaled by `spread`.
    """

    K: int
    n: int | tuple[int, ...]
    d: int
    lam_W: float
    lam_H: float
    lam_b: float | None = None
    smoothing: float | None = 0.0
    key: int = 0
    scale: float = 1.0
    collapsed: bool = False
    spread: float = 0.0

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of Problem and of theory alike."""
        names = ("K", "n", "d", "lam_W", "lam_H", "lam_b")
        return {name: getattr(self, name) for name in names}

    @property
    def sizes(self) -> np.ndarray:
        """[K] class sizes."""
        return np.full(self.K, self.n) if isinstance(self.n, int) else np.array(self.n)

    @property
    def labels(self) -> np.ndarray:
        """[N] class of each sample."""
        return np.repeat(np.arange(self.K), self.sizes)

    @property
    def problem(self) -> Problem:
        """What `ufm` sees of it."""
        return Problem(**self.arguments, loss=MSE() if self.smoothing is None else CrossEntropy(self.smoothing))

    def point(self) -> Params:
        """W [K, d], H [d, N], b [K] or None."""
        rng = np.random.default_rng((self.key, self.K, self.d))
        W = self.scale * rng.standard_normal((self.K, self.d))
        b = None if self.lam_b is None else self.scale * rng.standard_normal(self.K)
        if not self.collapsed:
            return Params(W, self.scale * rng.standard_normal((self.d, len(self.labels))), b)
        means = self.scale * rng.standard_normal((self.d, self.K))
        unseen = np.linalg.svd(W)[2][self.K :]
        apart = unseen.T @ rng.standard_normal((len(unseen), len(self.labels)))
        return Params(W, means[:, self.labels] + self.spread * apart, b)

    def targets(self) -> np.ndarray:
        """[K, N] what the loss compares with."""
        smoothing = self.smoothing or 0.0
        return (1.0 - smoothing) * np.eye(self.K)[:, self.labels] + smoothing / self.K


def data_loss(draw: Draw, point: Params) -> float:
    """(1/N) sum of the losses."""
    return float(np.mean(losses(draw, scores(point), draw.targets())))


def losses(draw: Draw, Z: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Loss of each column of the logits Z, bias included."""
    if draw.smoothing is None:
        return np.sum((Z - targets) ** 2, axis=0) / 2
    return logsumexp(Z, axis=0) - np.sum(targets * Z, axis=0)


def scores(point: Params) -> np.ndarray:
    """W H + b 1^T."""
    Z = point.W @ point.H
    return Z if point.b is None else Z + point.b[:, None]


def decay(point: Params, lam_W: float, lam_H: float, lam_b: float | None) -> float:
    """lam_W/2 |W|^2 + lam_H/2 |H|^2 + lam_b/2 |b|^2."""
    total = lam_W * np.sum(point.W**2) + lam_H * np.sum(point.H**2)
    return float(total if point.b is None or lam_b is None else total + lam_b * np.sum(point.b**2)) / 2


def value(draw: Draw, point: Params) -> float:
    """f."""
    return data_loss(draw, point) + decay(point, draw.lam_W, draw.lam_H, draw.lam_b)


def logit_gradient(draw: Draw, point: Params) -> np.ndarray:
    """[K, N] gradient of the mean loss in the logits."""
    Z = scores(point)
    guess = Z if draw.smoothing is None else np.exp(Z - logsumexp(Z, axis=0))
    return (guess - draw.targets()) / len(draw.labels)


def gradient(draw: Draw, point: Params) -> Params:
    """Of f."""
    G = logit_gradient(draw, point)
    by_b = None if point.b is None or draw.lam_b is None else G.sum(axis=1) + draw.lam_b * point.b
    return Params(G @ point.H.T + draw.lam_W * point.W, point.W.T @ G + draw.lam_H * point.H, by_b)


def size(point: Params) -> float:
    """1 + |W|^2 + |H|^2 + |b|: what the rounding of f and of its gradients is proportional to."""
    by_b = 0.0 if point.b is None else float(np.linalg.norm(point.b))
    return 1.0 + float(np.sum(point.W**2) + np.sum(point.H**2)) + by_b
