"""The unconstrained feature model: what is minimised, in the one normalisation of this package."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ufm.losses import CrossEntropy, UserLoss


class Params(NamedTuple):
    """A point of the one-layer model: W [K, d] classifier, H [d, N] features (columns are samples), b [K] or None."""

    W: Any
    H: Any
    b: Any


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Problem:
    """f(W, H, b) = (1/N) sum_i loss(W h_i + b, y_i) + lam_W/2 |W|^2 + lam_H/2 |H|^2 + lam_b/2 |b|^2.

    Samples are ordered by class. A pytree: the decays and the loss's numbers are leaves, so that one compilation
    serves every value of them; sizes, bias mode (None or a number) and the loss's type are static.

    Args:
        K: classes, >= 2.
        n: samples per class, an int (balanced) or a sequence of K class sizes.
        d: feature dimension.
        lam_W, lam_H: weight decays, > 0.
        lam_b: None for a model without bias, 0.0 for a free bias, > 0 for a regularised one.
        loss: CrossEntropy(smoothing), MSE(), UserLoss(...) or any function (Z [K, N], Y [K, N]) -> [N].
        merged: the samples of a class are one column, sqrt(n_k) times their common feature, in isometric
            coordinates (exact at collapse: T21); `ufm.reduction.merge` makes it.
    """

    K: int = field(metadata={"static": True})
    n: Any = field(metadata={"static": True})
    d: int = field(metadata={"static": True})
    lam_W: Any
    lam_H: Any
    lam_b: Any = None
    loss: Any = field(default_factory=CrossEntropy)
    merged: bool = field(default=False, metadata={"static": True})

    def __post_init__(self) -> None:
        # A bare function cannot be a leaf of a pytree; nothing is checked here, because unflattening runs it too.
        if callable(self.loss) and not dataclasses.is_dataclass(self.loss):
            object.__setattr__(self, "loss", UserLoss(self.loss))
        if isinstance(self.n, np.ndarray):
            object.__setattr__(self, "n", self.n.tolist())
        if isinstance(self.n, list):
            object.__setattr__(self, "n", tuple(self.n))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Class sizes n_1, ..., n_K."""
        return self.n if isinstance(self.n, tuple) else (self.n,) * self.K

    @property
    def N(self) -> int:
        """Number of samples."""
        return sum(self.sizes)

    @property
    def labels(self) -> np.ndarray:
        """[columns of H] class of each column."""
        return np.repeat(np.arange(self.K), 1 if self.merged else self.sizes)

    @property
    def nu(self) -> Any:
        """sqrt(lam_W lam_H), the weight of the nuclear norm |WH|_* in the convex form (T2)."""
        return self.lam_W**0.5 * self.lam_H**0.5

    def one_hot(self, dtype: Any) -> jax.Array:
        """[K, columns of H] targets."""
        return (jnp.asarray(self.labels)[None, :] == jnp.arange(self.K)[:, None]).astype(dtype)

    def logits(self, params: Params) -> jax.Array:
        """Z = W H + b 1^T, [K, columns of H]."""
        Z = params.W @ params.H
        if self.merged:
            Z = Z / jnp.sqrt(jnp.asarray(self.sizes, Z.dtype))
        return Z if params.b is None else Z + params.b[:, None]

    def data_loss(self, Z: jax.Array) -> jax.Array:
        """(1/N) sum_i loss(z_i, y_i) of logits Z that include the bias."""
        losses = self.loss(Z, self.one_hot(Z.dtype))
        return jnp.sum(losses * jnp.asarray(self.sizes, Z.dtype) if self.merged else losses) / self.N

    def objective(self, params: Params) -> jax.Array:
        """f(W, H, b)."""
        return self.data_loss(self.logits(params)) + self.decay(params)

    def decay(self, params: Params) -> jax.Array:
        """lam_W/2 |W|^2 + lam_H/2 |H|^2 + lam_b/2 |b|^2."""
        total = self.lam_W * jnp.sum(params.W**2) + self.lam_H * jnp.sum(params.H**2)
        return (total if params.b is None else total + self.lam_b * jnp.sum(params.b**2)) / 2

    def metric(self) -> Params:
        """One positive weight per block, in which the Hessian is well conditioned (T19: sqrt(lam) scaled variables)."""
        bias = None if self.lam_b is None else self.lam_b + jnp.minimum(self.nu * (self.N / self.K) ** 0.5, 1 / self.K)
        return Params(self.lam_W, self.lam_H, bias)

    def shapes(self) -> Params:
        """The shape of each block of the parameters."""
        columns = self.K if self.merged else self.N
        return Params((self.K, self.d), (self.d, columns), None if self.lam_b is None else (self.K,))

    def astype(self, dtype: Any) -> "Problem":
        """The same problem with every leaf a NumPy scalar array of this dtype."""
        return jax.tree.map(lambda leaf: np.asarray(leaf, dtype), self)
