"""Classes of equal size are exchangeable: the problem on logits that commute with their permutations.

With G distinct class sizes, a [K, K] matrix (rows: classes; columns: group means, in the isometric coordinates of
`ufm.reduction.merge`) that commutes with every permutation of classes of equal size is

    Z = sum_g s_g P_g + E T E^T,   P_g the projection on vectors of group g with sum 0, E [K, G] = (1_g / sqrt(m_g))_g,

so that its singular values are |s_g| (m_g - 1 times each) and those of T [G, G]. W and H are taken of the same form:
s_g = w_g h_g, T = W_t H_t, 2 G + 2 G^2 + G unknowns with the bias, whatever K, n and d. A convex loss that treats the
classes alike has a global minimiser of this form, because the mean over the group of a minimiser (Z, b) is one.

Coordinates are isometric (w_g is multiplied by sqrt(m_g - 1), b_g by sqrt(m_g)): value, gradient norm and Hessian are
those of the full problem on these points.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ufm import tree
from ufm.losses.cross_entropy import CrossEntropy
from ufm.problem import Params, Problem
from ufm.reduction import lift_params, thin_steps

FLOOR = (
    0.05  # share of the largest singular value that every direction of the spectral start gets, so that none is lost
)
SCALES = 2.0 ** np.arange(-8.0, 10.0)  # tried along the ray of the spectral start
NOTHING = 1e-12  # a singular value of the logits, relative to the largest, that is a zero which was not reached exactly


class Spectrum(NamedTuple):
    """A matrix of the module's form: standard [G], the s_g, trivial [G, G], T."""

    standard: Any
    trivial: Any


@tree.register
@dataclass(frozen=True, eq=False)
class Exchangeable:
    """f of the module's form; a solver's problem. Params are W [G, 1 + G] = [w, W_t], H [1 + G, G] = [h; H_t], b [G].

    Args:
        m: [G] classes of each size. n: [G] the sizes.
        nu, lam_b, loss: of the full problem; both decays are nu.
    """

    m: Any
    n: Any
    nu: Any
    lam_b: Any
    loss: Any = field(default_factory=CrossEntropy)
    coercive: bool = field(default=True, metadata={"static": True})

    def spectrum(self, params: Params) -> Spectrum:
        """Of the logits W H."""
        several = self.m > 1
        standard = jnp.where(several, params.W[:, 0] * params.H[0] / jnp.where(several, self.m - 1, 1), 0.0)
        return Spectrum(standard, params.W[:, 1:] @ params.H[1:])

    def logits(self, Z: Spectrum, b: Any) -> jax.Array:
        """[1 + G, G] logits of a sample of each size: of its own class, then of another class of each size."""
        eye, root = np.eye(self.m.size, dtype=self.m.dtype), self.m**0.5
        own = (jnp.sum(Z.trivial * eye, axis=0) / self.m + Z.standard * (1 - 1 / self.m)) / self.n**0.5
        others = (Z.trivial / (root[:, None] * root) - eye * (Z.standard / self.m)) / self.n**0.5
        if b is not None:
            own, others = own + b / root, others + (b / root)[:, None]
        alone = (eye > 0) & (self.m == 1)  # no other class has this size; the row counts for nothing
        return jnp.concatenate([own[None], jnp.where(alone, own, others)])

    def classes(self) -> jax.Array:
        """[1 + G, G] how many classes each row of `logits` stands for."""
        others = self.m[:, None] - np.eye(self.m.size, dtype=self.m.dtype)
        return jnp.concatenate([jnp.ones((1, self.m.size), dtype=self.m.dtype), others])

    def targets(self) -> np.ndarray:
        """[1 + G, G] one-hot."""
        return np.eye(1, 1 + self.m.size, dtype=self.m.dtype).T.repeat(self.m.size, axis=1)

    def data_loss(self, Z: Spectrum, b: Any) -> jax.Array:
        """The mean of the losses."""
        losses = self.loss(self.logits(Z, b), self.targets(), self.classes())
        return jnp.sum(losses * self.m * self.n) / jnp.sum(self.m * self.n)

    def decay(self, params: Params) -> jax.Array:
        """The weight decay of the full point."""
        half = self.nu * (jnp.sum(params.W**2) + jnp.sum(params.H**2)) / 2
        return half if params.b is None else half + self.lam_b * jnp.sum(params.b**2) / 2

    def objective(self, params: Params) -> jax.Array:
        """f of the full point."""
        return self.data_loss(self.spectrum(params), params.b) + self.decay(params)

    def value_and_gradient(self, params: Params) -> tuple[jax.Array, Params]:
        """f and its gradient."""
        return jax.value_and_grad(self.objective)(params)

    def gradient(self, params: Params) -> Params:
        """The gradient of f."""
        return jax.grad(self.objective)(params)

    def logit_shape(self) -> tuple[int, int]:
        """Of `logits`."""
        return 1 + len(self.m), len(self.m)

    def metric(self) -> Params:
        """Weights as `Problem.metric` has them."""
        K, N = jnp.sum(self.m), jnp.sum(self.m * self.n)
        bias = None if self.lam_b is None else self.lam_b + jnp.minimum(self.nu * jnp.sqrt(N / K), 1 / K)
        return Params(self.nu, self.nu, bias)

    def tangent(self, params: Params, grad: Params, direction: Params) -> Params:
        """The space is flat."""
        return direction

    def bend(self, params: Params, grad: Params, direction: Params) -> Params:
        """The space is flat."""
        return jax.tree.map(jnp.zeros_like, direction)

    def retract(self, params: Params, step: Params, length: Any = 1.0) -> Params:
        """params + length * step."""
        return jax.tree.map(lambda x, v: x + length * v, params, step)

    def spectral_start(self) -> Params:
        """W and H along the singular vectors of the gradient in the logits at 0, scaled to the lowest value of f."""
        G = self.m.size
        zero = Spectrum(jnp.zeros_like(self.m), jnp.zeros((G, G), self.m.dtype))
        b = None if self.lam_b is None else jnp.zeros_like(self.m)
        down = self.dual(zero, b)
        trivial = -down.trivial
        if b is not None:  # the row sums are the bias's to reduce
            v = jnp.sqrt(self.m * self.n / jnp.sum(self.m * self.n))
            trivial = trivial - jnp.outer(trivial @ v, v)
        standard = jnp.where(self.m > 1, -down.standard, 0.0)
        U, sizes, Vt = jnp.linalg.svd(trivial)
        top = jnp.maximum(jnp.max(jnp.abs(standard)), jnp.max(sizes))

        def length(size: jax.Array) -> jax.Array:
            return jnp.sqrt(jnp.maximum(size - self.nu, FLOOR * top) / top)

        several = jnp.sqrt(jnp.maximum(self.m - 1, 0)) * length(jnp.abs(standard))
        W = jnp.concatenate([several[:, None], U * length(sizes)], axis=1)
        H = jnp.concatenate([(several * jnp.sign(standard))[None], length(sizes)[:, None] * Vt])
        scales = jnp.asarray(SCALES, self.m.dtype)
        values = jax.vmap(lambda t: self.objective(Params(t * W, t * H, b)))(scales)
        best = scales[jnp.nanargmin(values)]
        return Params(best * W, best * H, b)

    def dual(self, Z: Spectrum, b: Any) -> Spectrum:
        """The gradient of the data loss in the logits, of the same form."""
        grad = jax.grad(self.data_loss)(Z, b)
        several = self.m > 1
        return Spectrum(jnp.where(several, grad.standard / jnp.where(several, self.m - 1, 1), 0.0), grad.trivial)

    def numbers(self) -> tuple[Any, Any, Any]:
        """What differs between problems of the same class sizes: nu, lam_b, loss."""
        return self.nu, self.lam_b, self.loss

    def with_numbers(self, numbers: tuple[Any, Any, Any]) -> "Exchangeable":
        """The problem of the same class sizes with these numbers."""
        nu, lam_b, loss = numbers
        return dataclasses.replace(self, nu=nu, lam_b=lam_b, loss=loss)

    def astype(self, dtype: Any) -> "Exchangeable":
        """The same problem with every leaf a NumPy array of this dtype."""
        return jax.tree.map(lambda leaf: np.asarray(leaf, dtype), self)


def exchangeable(problem: Problem) -> Exchangeable:
    """The problem on logits that commute with permutations of classes of equal size; see `why_not` first."""
    sizes, counts = size_groups(problem)
    return Exchangeable(
        m=counts.astype(float), n=sizes.astype(float), nu=problem.nu, lam_b=problem.lam_b, loss=problem.loss
    )


def size_groups(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """(distinct class sizes, ascending; how many classes have each)."""
    if not isinstance(problem.n, tuple):
        return np.array([problem.n]), np.array([problem.K])
    return np.unique(np.array(problem.n), return_counts=True)


def why_not(problem: Problem) -> str:
    """Why a global minimiser of the module's form is not known to exist, or "" where it does (for d large enough)."""
    if not problem.loss.convex:
        return "the loss is not known to be convex"
    if problem.targets is not None or not problem.loss.exchangeable:
        return "the loss and its targets do not treat the classes alike"
    if not problem.euclidean:
        return "W and H do not both range over all matrices with decay"
    return ""


@dataclass(frozen=True, eq=False)
class Exchanged:
    """The reduction to classes of equal size.

    Attributes:
        problem: the problem that was asked for. refused: "".
    """

    problem: Problem
    refused: str = ""

    @property
    def steps(self) -> tuple[str, ...]:
        """What was reduced."""
        sizes, _ = size_groups(self.problem)
        classes = f"classes ({len(sizes)} size{'s' if len(sizes) > 1 else ''})"
        return (*[name for name in thin_steps(self.problem) if name != "dimension"], classes, "dimension")

    def lift(self, point: Params) -> Params:
        """The full (W [K, d], H [d, N], b [K]) of a point of `exchangeable(problem)`; NumPy."""
        problem = self.problem
        sizes, counts = size_groups(problem)
        groups = np.searchsorted(sizes, problem.sizes)
        w, h, W_t, H_t = _within_rank(point, counts, problem.d)
        W, H = np.zeros((problem.K, problem.d)), np.zeros((problem.d, problem.K))
        used = W_t.shape[1]
        W[:, :used] = (W_t / np.sqrt(counts)[:, None])[groups]
        H[:used] = (H_t / np.sqrt(counts))[:, groups]
        for g in np.flatnonzero(w * h != 0.0):
            rows, columns = np.flatnonzero(groups == g), np.arange(used, used + counts[g] - 1)
            basis = sum_zero_basis(int(counts[g]))
            W[np.ix_(rows, columns)], H[np.ix_(columns, rows)] = w[g] * basis, h[g] * basis.T
            used += counts[g] - 1
        b = None if point.b is None else (point.b / np.sqrt(counts))[groups]
        # Both decays are nu there, and the logits have no factor.
        merged = Params(W * float(problem.nu / problem.lam_W) ** 0.5, H * float(problem.nu / problem.lam_H) ** 0.5, b)
        return merged if problem.merged else lift_params(problem, merged)


def rank(problem: Problem, point: Params) -> int:
    """Dimensions that the lift of a point of `exchangeable(problem)` takes; d or less if it can be lifted."""
    _, counts = size_groups(problem)
    w, h, W_t, _ = _within_rank(point, counts, problem.d)
    return int(np.sum((counts - 1)[w * h != 0.0])) + W_t.shape[1]


def _within_rank(point: Params, counts: np.ndarray, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """w, h, W_t and H_t; where d < K, without the directions that vanish at the minimum up to rounding."""
    W_t, H_t = point.W[:, 1:], point.H[1:]
    spread = np.sqrt(np.maximum(counts - 1, 1))
    w, h = np.where(counts > 1, point.W[:, 0] / spread, 0.0), np.where(counts > 1, point.H[0] / spread, 0.0)
    if d >= np.sum(counts):
        return w, h, W_t, H_t
    U, s, Vt = np.linalg.svd(W_t @ H_t)
    top = max(float(np.max(np.abs(w * h))), float(s[0]))
    kept = np.abs(w * h) > NOTHING * top
    r = int(np.sum(s > NOTHING * top))
    root = np.sqrt(s[:r])
    return np.where(kept, w, 0.0), np.where(kept, h, 0.0), U[:, :r] * root, root[:, None] * Vt[:r]


def sum_zero_basis(m: int) -> np.ndarray:
    """[m, m - 1] orthonormal columns of sum 0 (a reflection that takes e_1 to the ones vector, without its first)."""
    v = np.full(m, 1.0 / np.sqrt(m))
    v[0] -= 1.0
    return np.eye(m)[:, 1:] - np.outer(v, v[1:]) / (-v[0])
