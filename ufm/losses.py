"""Losses: per-sample values on logits, and the convex conjugates that certificates need.

A loss is a frozen dataclass registered as a pytree, with

    loss(Z, Y) -> [N]            per-sample values of logits Z [K, N] at targets Y [K, N] (jax)
    convex: bool                 convex in Z and >= 0, so that a lower bound exists
    shift_invariant: bool        loss(Z + c 1^T) = loss(Z) for every constant c per sample
    conjugate: a method or None  conjugate(G, Y) -> [C], sup_z <g, z> - loss(z, y); +inf outside its domain (NumPy)
    rank_bound: method or None   rank_bound(Y, sizes, nu, lam_b, d): a lower bound on f that uses rank(W H) <= d (NumPy)
    repair(G, Y, sizes)          a point of the conjugate's domain near G that keeps 1^T G and, when it is 0, G sizes
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import xlogy


class Loss(Protocol):
    """What Problem, solvers and certificates ask of a loss."""

    @property
    def convex(self) -> bool: ...
    @property
    def shift_invariant(self) -> bool: ...
    @property
    def conjugate(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray] | None: ...
    @property
    def rank_bound(self) -> Callable[[np.ndarray, np.ndarray, float, float | None, int], float] | None: ...
    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray: ...
    def __call__(self, Z: Any, Y: Any) -> Any: ...


@jax.tree_util.register_dataclass
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
    rank_bound: ClassVar[None] = None

    def __call__(self, Z: jax.Array, Y: jax.Array) -> jax.Array:
        margin = Z - jnp.sum(Y * Z, axis=0)  # <= 0 where the sample is classified correctly
        # Constant in the derivative: the value does not depend on the shift.
        shift = jax.lax.stop_gradient(jnp.maximum(jnp.max(margin, axis=0), 0.0))
        others = jnp.sum((1.0 - Y) * jnp.exp(margin - shift), axis=0)
        return shift + jnp.log1p(jnp.expm1(-shift) + others) - self.smoothing * jnp.mean(margin, axis=0)

    def conjugate(self, G: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """sum_j q_j log q_j for q = g + t in the simplex, +inf elsewhere; [C]."""
        Q = G + self._targets(Y)
        value = np.sum(xlogy(Q, np.maximum(Q, 0.0)), axis=0)
        return np.where(np.all(Q >= 0.0, axis=0), value, np.inf)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Mix Q = G + T with the marginal target, just enough to make every entry >= 0.

        The mixture keeps the linear constraints 1^T G = 0 and G sizes = 0: both hold for the marginal as well.
        """
        T = self._targets(Y)
        Q = G + T
        marginal = (T @ sizes / np.sum(sizes))[:, None]
        deficit = np.where(Q < 0.0, -Q / (marginal - np.minimum(Q, 0.0)), 0.0)
        share = np.minimum(1.0, 1.0000001 * np.max(deficit))
        return np.maximum((1.0 - share) * Q + share * marginal, 0.0) - T if share > 0.0 else G

    def _targets(self, Y: np.ndarray) -> np.ndarray:
        return (1.0 - self.smoothing) * Y + self.smoothing / Y.shape[0]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class MSE:
    """Half the squared error, 1/2 |z - y|^2 per sample (targets may be any real vectors)."""

    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = False

    def __call__(self, Z: jax.Array, Y: jax.Array) -> jax.Array:
        return 0.5 * jnp.sum((Z - Y) ** 2, axis=0)

    def conjugate(self, G: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """1/2 |g|^2 + <g, y>; [C]."""
        return np.sum(G * (0.5 * G + Y), axis=0)

    def rank_bound(self, Y: np.ndarray, sizes: np.ndarray, nu: float, lam_b: float | None, d: int) -> float:
        """t E(Y) + (1 - t) E(Y centred), t = lam_b / (1 + lam_b), E the minimum without bias over rank(Z) <= d.

        Minimising over b splits the data term exactly into these shares of its bias-free and free-bias forms; for
        each, Mirsky's inequality on the singular values s of the targets leaves E = (1/2N) sum s^2 - sum_{j <= d}
        (s_j - N nu)_+^2.

        Source:
            T9 and T10, derived for this project.
        """
        N = np.sum(sizes)
        root = np.sqrt(sizes)

        def least(targets: np.ndarray) -> float:
            s = np.linalg.svd(targets, compute_uv=False)
            kept = np.maximum(s[:d] - N * nu, 0.0)
            return float(np.sum(s**2) - np.sum(kept**2)) / (2 * N)

        weighted = Y * root
        share = 1.0 if lam_b is None else lam_b / (1.0 + lam_b)
        return share * least(weighted) + (1.0 - share) * least(weighted - np.outer(weighted @ root, root) / N)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """G itself: the conjugate is finite everywhere."""
        return G


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class UserLoss:
    """Any differentiable `function(Z, Y) -> [N]`; `Problem(loss=function)` wraps it with nothing asserted.

    What is asserted here is taken as a fact by the certificate: assert only what you can prove.

    Args:
        function: jax-traceable; Z and Y are [K, N], the result is one value per sample.
        convex: the loss is convex in each column of Z and never negative; the certificate then has a lower bound.
        shift_invariant: adding a constant to a sample's logits changes nothing.
    """

    function: Callable[[Any, Any], Any] = field(metadata={"static": True})
    convex: bool = field(default=False, metadata={"static": True})
    shift_invariant: bool = field(default=False, metadata={"static": True})
    conjugate: ClassVar[None] = None
    rank_bound: ClassVar[None] = None

    def __call__(self, Z: jax.Array, Y: jax.Array) -> jax.Array:
        return self.function(Z, Y)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """G itself: no conjugate is known, so no domain either."""
        return G
