"""Losses of -log p_y, p = softmax(z): cross-entropy with label smoothing, and focal loss."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ufm import tree
from ufm.checks import as_real, untraced
from ufm.losses.protocol import mixed, need_classes
from ufm.softmax import surprise


@tree.register
@dataclass(frozen=True, eq=False)
class CrossEntropy:
    """Cross entropy with label smoothing: logsumexp(z) - <t, z> + const, t = (1 - smoothing) y + smoothing / K.

    The constant is zero, so the value is the cross entropy between t and softmax(z); its minimum over z is the
    entropy of t. Losses of 1e-10 keep their relative accuracy (log1p of the negative margins, no cancellation).

    Args:
        smoothing: alpha in [0, 1); a leaf of the pytree, sweepable without recompiling.
    Source:
        Szegedy et al. (CVPR 2016) for the smoothing; Guo et al. (arXiv 2402.03979) for its Neural Collapse.
    """

    smoothing: Any = 0.0
    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = True
    exchangeable: ClassVar[bool] = True
    rank_bound: ClassVar[None] = None
    margin_bound: ClassVar[None] = None  # the dual is at least as strong

    def check(self, problem: Any, who: str) -> None:
        """Raise unless the smoothing lies in [0, 1) and the targets are classes."""
        need_classes(problem, who, "CrossEntropy", "For label sets use ufm.PickAllLabel().")
        untraced(self.smoothing, "smoothing", who)
        number = as_real(self.smoothing)
        if number is None:
            raise TypeError(f"{who}: smoothing={self.smoothing!r} is not a real scalar. Pass a float in [0, 1).")
        if not 0.0 <= number < 1.0:
            raise ValueError(f"{who}: smoothing={number} is outside [0, 1). At 1 the targets carry no label.")

    def __call__(self, Z: jax.Array, Y: jax.Array, classes: Any = 1.0) -> jax.Array:
        margin = classes * (Z - jnp.sum(Y * Z, axis=0))
        mean = jnp.sum(margin, axis=0) / jnp.sum(classes * jnp.ones_like(Z), axis=0)
        return surprise(Z, Y, classes) - self.smoothing * mean

    def conjugate(self, G: Any, Y: Any, classes: Any = 1.0) -> Any:
        """sum_j q_j log q_j for q = g + t in the simplex, +inf elsewhere; [C]."""
        xp = G.__array_namespace__()
        Q = G + self.soft_targets(Y, classes)
        value = (classes * Q * xp.log(xp.where(Q > 0.0, Q, 1.0))).sum(axis=0)
        return xp.where(Q.min(axis=0) >= 0.0, value, xp.inf)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Mix Q = G + T with the marginal target, just enough to make every entry >= 0.

        The mixture keeps the linear constraints 1^T G = 0 and G sizes = 0: both hold for the marginal as well.
        """
        T = self.soft_targets(Y)
        return mixed(G + T, np.outer(T @ sizes, np.ones(T.shape[1])) / np.sum(sizes), G, T)

    def soft_targets(self, Y: Any, classes: Any = 1.0) -> Any:
        """t = (1 - smoothing) y + smoothing / K."""
        K = Y.shape[0] if isinstance(classes, float) else (classes * np.ones_like(Y)).sum(axis=0)
        return (1.0 - self.smoothing) * Y + self.smoothing / K


@tree.register
@dataclass(frozen=True, eq=False)
class Focal:
    """-(1 - p_y)^gamma log p_y with p = softmax(z); gamma = 0 is cross-entropy. Not convex for gamma > 0.

    Args:
        gamma: >= 0; a leaf.
    Source:
        Lin et al. (ICCV 2017); Zhou et al. (NeurIPS 2022, arXiv 2210.02192) for its Neural Collapse.
    """

    gamma: Any = 2.0
    convex: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = True
    exchangeable: ClassVar[bool] = False
    conjugate: ClassVar[None] = None
    rank_bound: ClassVar[None] = None

    def check(self, problem: Any, who: str) -> None:
        """Raise unless gamma >= 0 is finite and the targets are classes."""
        need_classes(problem, who, "Focal", "Use a ufm.UserLoss for other targets.")
        untraced(self.gamma, "gamma", who)
        number = as_real(self.gamma)
        if number is None or not 0.0 <= number < np.inf:
            raise ValueError(f"{who}: gamma={self.gamma!r} is not a finite number >= 0. Pass e.g. gamma=2.0.")

    def __call__(self, Z: jax.Array, Y: jax.Array) -> jax.Array:
        nats = surprise(Z, Y, 1.0)
        return (-jnp.expm1(-nats)) ** self.gamma * nats

    def margin_bound(self, m: np.ndarray, K: int) -> np.ndarray:
        """phi(m) = s^gamma log(1 + e^t), t = log(K-1) - m, s = 1/(1 + e^-t): the loss at m = z_y - mean of the others.

        It is attained where the other logits are equal, and no logits of this m have a smaller loss.
        """
        nats = np.logaddexp(0.0, np.log(K - 1.0) - np.asarray(m, float))
        return (-np.expm1(-nats)) ** float(self.gamma) * nats

    def margin_slope(self, m: np.ndarray, K: int) -> np.ndarray:
        """phi'(m) = -(1 - p)^gamma [(1 - p) - gamma p log p], p = 1 / (1 + (K-1) e^-m) (T13).

        It has one least value: its derivative in p has the sign of 1 + 2 gamma - gamma L (1 - gamma p / (1 - p)) with
        L = -log p, which changes once, as the product of L and the bracket falls for as long as it is positive.
        """
        nats = np.logaddexp(0.0, np.log(K - 1.0) - np.asarray(m, float))
        p, rest = np.exp(-nats), -np.expm1(-nats)
        return -(rest ** float(self.gamma)) * (rest + float(self.gamma) * p * nats)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """G itself: there is no conjugate, so no domain either."""
        return G
