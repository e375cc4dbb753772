"""The unconstrained feature model: what is minimised, in the one normalisation of this package."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ufm import tree
from ufm.losses.cross_entropy import CrossEntropy
from ufm.losses.user import UserLoss
from ufm.models import Bilinear
from ufm.spaces import Columns, Space


class Params(NamedTuple):
    """A point: W [K, d] classifier (None without one), H [d, N] features (columns are samples), b [K] or None.

    Of a deep model W is the tuple of its matrices (W_1, ..., W_M), W_1 next to the features.
    """

    W: Any
    H: Any
    b: Any


@tree.register
@dataclass(frozen=True, eq=False)
class Problem:
    """f(W, H, b) = (1/N) sum_i loss(W h_i + b, y_i) + lam_W/2 |W|^2 + lam_H/2 |H|^2 + lam_b/2 |b|^2.

    Samples are ordered by group: those of one group share a target, and the groups are the classes unless `targets`
    says otherwise. A pytree: decays, targets and the numbers of loss and model are leaves, so that one compilation
    serves every value of them; sizes, bias mode (None or a number) and the types of loss and model are static.

    Args:
        K: classes (rows of the logits), >= 2; with real targets >= 1.
        n: samples per group, an int (balanced) or a sequence with one size for each group.
        d: feature dimension.
        lam_W, lam_H: weight decays, > 0; None for a block whose space has no decay (see `model`). Of a deep model
            lam_W is one decay for all matrices, or a tuple with one for each.
        lam_b: None for a model without bias, 0.0 for a free bias, > 0 for a regularised one.
        loss: CrossEntropy(smoothing), MSE(), ..., UserLoss(...) or any function (Z [K, N], Y [K, N]) -> [N].
        model: where W and H live and how they make logits: Bilinear() for the model above, or one of
            normalized(tau), normalized_features(tau), fixed_classifier(W), layer_peeled(E_W, E_H), relu_features(),
            contrastive(temperature), DeepLinear(widths), DeepReLU(widths).
        targets: [K, C] one column for each of C groups; None for the K classes themselves (one-hot columns).
            Label sets: `ufm.label_sets`. Regression: targets Y [K, N] and n=1.
        merged: the samples of a group are one column, sqrt(n_c) times their common feature, in isometric
            coordinates (exact at collapse: T21); `ufm.reduction.merge` makes it.
    """

    K: int = field(metadata={"static": True})
    n: Any = field(metadata={"static": True})
    d: int = field(metadata={"static": True})
    lam_W: Any = None
    lam_H: Any = None
    lam_b: Any = None
    loss: Any = field(default_factory=CrossEntropy)
    model: Any = field(default_factory=Bilinear)
    targets: Any = None
    merged: bool = field(default=False, metadata={"static": True})

    def __post_init__(self) -> None:
        # A bare function cannot be a leaf of a pytree; nothing is checked here, because unflattening runs it too.
        if callable(self.loss) and not dataclasses.is_dataclass(self.loss):
            object.__setattr__(self, "loss", UserLoss(self.loss))
        if isinstance(self.n, np.ndarray):
            object.__setattr__(self, "n", self.n.tolist())
        if isinstance(self.n, list):
            object.__setattr__(self, "n", tuple(self.n))
        if isinstance(self.lam_W, list):
            object.__setattr__(self, "lam_W", tuple(self.lam_W))

    @property
    def C(self) -> int:
        """Number of groups: K classes, or the columns of `targets`."""
        return self.K if self.targets is None else np.shape(self.targets)[1]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Group sizes n_1, ..., n_C."""
        return self.n if isinstance(self.n, tuple) else (self.n,) * self.C

    @property
    def N(self) -> int:
        """Number of samples."""
        return sum(self.n) if isinstance(self.n, tuple) else self.n * self.C

    @property
    def labels(self) -> np.ndarray:
        """[columns of H] group of each column."""
        return np.repeat(np.arange(self.C), 1 if self.merged else self.sizes)

    @property
    def nu(self) -> Any:
        """sqrt(lam_W lam_H) / tau, the weight of the nuclear norm of the logits tau W H in the convex form (T2)."""
        return self.lam_W**0.5 * self.lam_H**0.5 / self.tau

    def group_targets(self) -> np.ndarray:
        """[K, C] target of each group; NumPy."""
        return np.eye(self.K) if self.targets is None else np.asarray(self.targets, np.float64)

    def one_hot(self, dtype: Any) -> jax.Array:
        """[K, columns of H] targets."""
        if self.targets is None:
            return (jnp.asarray(self.labels)[None, :] == jnp.arange(self.K)[:, None]).astype(dtype)
        return jnp.asarray(self.targets, dtype)[:, self.labels]

    def logits(self, params: Params) -> jax.Array:
        """Z = W H + b 1^T of the bilinear model, [K, columns of H]; tau H^T H of features alone; W_M ... W_1 H."""
        Z = self.model.logits(params.W, params.H)
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

    def value_and_gradient(self, params: Params) -> tuple[jax.Array, Params]:
        """f and its Euclidean gradient.

        Written out along the logits: what automatic differentiation makes of W H has its gradient in H transposed, and
        to turn it back costs as much as the product at few classes.
        """
        value, G = jax.value_and_grad(self.data_loss)(self.logits(params))
        b = None if params.b is None else jnp.sum(G, axis=1)
        if self.merged:
            G = G / jnp.sqrt(jnp.asarray(self.sizes, G.dtype))
        W, H = self._pulled_back(params.W, params.H, G)
        decay, own = jax.value_and_grad(self.decay)(params)
        return value + decay, jax.tree.map(jnp.add, Params(W, H, b), own)

    def _pulled_back(self, W: Any, H: Any, G: jax.Array) -> tuple[Any, Any]:
        """The gradient in W and H of <G, logits>, with G held fixed."""
        if isinstance(self.model, Bilinear):
            return self.tau * (G @ H.T), self.tau * (W.T @ G)
        return jax.vjp(self.model.logits, W, H)[1](G)

    def gradient(self, params: Params) -> Params:
        """The Euclidean gradient of f."""
        return self.value_and_gradient(params)[1]

    def decay(self, params: Params) -> Any:
        """lam_W/2 |W|^2 + lam_H/2 |H|^2 + lam_b/2 |b|^2, of the blocks that decay."""
        terms = [
            lam * jnp.sum(x**2)
            for block, decays, space in (
                (params.W, self.lam_Ws, self.model.W),
                (params.H, (self.lam_H,), self.model.H),
            )
            if space is not None and space.decays
            for x, lam in zip(jax.tree.leaves(block), decays, strict=True)
        ]
        if params.b is not None:
            terms.append(self.lam_b * jnp.sum(params.b**2))
        return sum(terms[1:], terms[0]) / 2 if terms else jnp.zeros((), params.H.dtype)

    @property
    def tau(self) -> Any:
        """The factor of the logits, 1 unless the model has one."""
        return 1.0 if self.model.tau is None else self.model.tau

    @property
    def lam_Ws(self) -> tuple[Any, ...]:
        """The decay of each matrix of W, W_1 first."""
        if isinstance(self.lam_W, tuple):
            return self.lam_W
        return (self.lam_W,) * (len(self.model.matrices(self.K, self.d)) if self.model.deep else 1)

    @property
    def flat(self) -> bool:
        """W and H range over all matrices, with weight decay on both."""
        return all(space is not None and space.decays and space.rotates for space in (self.model.W, self.model.H))

    @property
    def euclidean(self) -> bool:
        """The same with logits tau W H: the model of the duality and of the spectra."""
        return self.flat and not self.model.deep

    @property
    def rotates(self) -> bool:
        """One W and H, both in spaces that every rotation of R^d maps onto themselves."""
        return not self.model.deep and all(
            space is not None and space.rotates for space in (self.model.W, self.model.H)
        )

    @property
    def alike(self) -> bool:
        """Loss and targets treat all classes alike, and these are of one size."""
        return self.targets is None and self.loss.exchangeable and len(set(self.sizes)) == 1

    @property
    def coercive(self) -> bool:
        """Every block decays, so that f bounds the size of W, H and (up to shifts) b."""
        return all(space is None or space.decays for space in (self.model.W, self.model.H))

    def tangent(self, params: Params, grad: Params, direction: Params) -> Params:
        """`direction` projected on the tangent space at `params`; grad is the Euclidean gradient of f there."""
        return self._blockwise(lambda s, c, x, g, v: s.tangent(x, g, v, c), params, grad, direction)

    def bend(self, params: Params, grad: Params, direction: Params) -> Params:
        """What the Riemannian Hessian times `direction` has less than the Euclidean one, before projection."""
        flat = None if params.b is None else jnp.zeros_like(params.b)
        bent = self._blockwise(lambda s, c, x, g, v: v * s.multiplier(x, g, c), params, grad, direction)
        return bent._replace(b=flat)

    def retract(self, params: Params, step: Params, length: Any = 1.0) -> Params:
        """The point of the model that is reached from `params` along the tangent vector length * step."""
        moved = self._blockwise(lambda s, c, x, v: s.retract(x, length * v, c), params, step)
        return moved._replace(b=None if params.b is None else params.b + length * step.b)

    def project(self, params: Params) -> Params:
        """A point of the model near `params`; NumPy or jax."""
        return self._blockwise(lambda s, c, x: s.project(x, c), params)

    def metric(self) -> Params:
        """One positive weight per block, in which the Hessian is well conditioned (T19: sqrt(lam) scaled variables)."""
        W, H = self._weights()
        if self.lam_b is None:
            return Params(W, H, None)
        floor = self.nu * (self.N / self.C) ** 0.5 if self.euclidean else 1 / self.K
        return Params(W, H, self.lam_b + jnp.minimum(floor, 1 / self.K))

    def stiffness(self) -> float:
        """The scale of the Hessian's eigenvalues: nu with decay on both blocks, the metric's geometric mean else."""
        W, H = self._weights()
        weights = [*jax.tree.leaves(W), H]
        return float(math.prod(float(weight) ** (1 / len(weights)) for weight in weights))

    def _weights(self) -> tuple[Any, Any]:
        """The metric's weights of W and H; nothing of jax, so that numbers keep their precision on the host."""
        W, H = self.columns()
        if self.model.deep:  # at critical points every factor has the same share of the decay (L6)
            return self.lam_Ws, self.model.H.weight(self.lam_H, H)
        own = None if self.model.W is None else self.model.W.weight(self.lam_W, W)
        return own, self.model.H.weight(self.lam_H, H)

    def columns(self) -> tuple[Columns, Columns]:
        """What the rows of W and the columns of H stand for."""
        sizes = np.asarray(self.sizes, float)
        if self.merged:
            return Columns(np.ones(self.K), np.ones(self.K), self.K), Columns(sizes, sizes, self.N)
        share = np.repeat(sizes, self.sizes)
        return Columns(np.ones(self.K), np.ones(self.K), self.K), Columns(np.ones(self.N), share, self.N)

    def shapes(self) -> Params:
        """The shape of each block of the parameters; of a deep model W is the tuple of the shapes of its matrices."""
        columns = self.C if self.merged else self.N
        return Params(
            self.model.matrices(self.K, self.d),
            (self.d, columns),
            None if self.lam_b is None else (self.K,),
        )

    def logit_shape(self) -> tuple[int, int]:
        """[K, columns of H], or [N, N] of features alone."""
        columns = self.shapes().H[1]
        return (self.K if self.model.classifier else columns), columns

    def dimension(self) -> int:
        """Number of variables in W, H and b together."""
        return sum(jax.tree.leaves(tree.map_shapes(math.prod, self.shapes())))

    def astype(self, dtype: Any) -> "Problem":
        """The same problem with every leaf a NumPy array of this dtype."""
        return jax.tree.map(lambda leaf: np.asarray(leaf, dtype), self)

    def _blockwise(self, act: Callable[..., Any], *points: Params) -> Params:
        """`act(space, columns, blocks...)` on the rows of W and the columns of H; b of the last point unchanged."""
        _, H = self.columns()
        dtype = points[0].H.dtype

        def on(space: Space, columns: Columns, *blocks: Any) -> Any:
            typed = Columns(columns.multiplicity.astype(dtype), columns.share.astype(dtype), columns.mass)
            return act(space, typed, *blocks)

        def on_rows(*matrices: Any) -> Any:
            ones = np.ones(len(matrices[0]))
            return on(self.model.W, Columns(ones, ones, len(ones)), *[matrix.T for matrix in matrices]).T

        return Params(
            jax.tree.map(on_rows, *[p.W for p in points]),
            on(self.model.H, H, *[p.H for p in points]),
            points[-1].b,
        )
