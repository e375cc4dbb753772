"""The unconstrained feature model: what is minimised, in the one normalisation of this package."""

import dataclasses
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ufm.losses import MSE, CrossEntropy, UserLoss


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
        if isinstance(self.n, list | np.ndarray):
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
        decay = self.lam_W * jnp.sum(params.W**2) + self.lam_H * jnp.sum(params.H**2)
        if params.b is not None:
            decay = decay + self.lam_b * jnp.sum(params.b**2)
        return self.data_loss(self.logits(params)) + decay / 2

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


def check_problem(problem: Any, who: str) -> None:
    """Raise before anything is compiled if `problem` does not state a UFM with a minimiser.

    Raises:
        TypeError: not a Problem, or a field of the wrong type.
        ValueError: a field out of range, or a loss that does not map [K, N] to [N].
    """
    if not isinstance(problem, Problem):
        raise TypeError(
            f"{who}: expected a ufm.Problem, got {type(problem).__name__}. Build one with ufm.Problem(...)."
        )
    _check_sizes(problem, who)
    _check_decay("lam_W", problem.lam_W, who)
    _check_decay("lam_H", problem.lam_H, who)
    if problem.lam_b is not None:
        _check_decay("lam_b", problem.lam_b, who, zero=True)
    _check_loss(problem, who)


def _check_sizes(problem: Problem, who: str) -> None:
    for name in ("K", "d"):
        value, least = getattr(problem, name), 2 if name == "K" else 1
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise TypeError(f"{who}: {name}={value!r} is not an integer. Pass an int >= {least}.")
        if value < least:
            reason = "one class has nothing to separate" if name == "K" else "features need a dimension"
            raise ValueError(f"{who}: {name}={value} ({reason}). Pass {name} >= {least}.")
    sizes = problem.n if isinstance(problem.n, tuple) else (problem.n,)
    if isinstance(problem.n, tuple) and len(sizes) != problem.K:
        raise ValueError(
            f"{who}: n has {len(sizes)} class sizes, but K={problem.K}. Pass an int, or one size per class."
        )
    for size in sizes:
        if not isinstance(size, Integral) or isinstance(size, bool):
            raise TypeError(f"{who}: class size {size!r} is not an integer. Pass n as an int or a tuple of ints.")
        if size < 1:
            raise ValueError(
                f"{who}: class size n={size}. Every class needs at least one sample; drop empty classes from K."
            )


def _check_decay(name: str, value: Any, who: str, zero: bool = False) -> None:
    if isinstance(value, bool) or not (isinstance(value, Real) or getattr(value, "shape", None) == ()):
        raise TypeError(f"{who}: {name}={value!r} is not a real scalar. Pass one float; sweep by calling again.")
    if np.iscomplexobj(np.asarray(value)):
        raise TypeError(f"{who}: {name}={value!r} is complex. Pass a real decay.")
    number = float(value)
    if zero and number == 0.0:
        return
    if not np.isfinite(number) or number < 0.0:
        raise ValueError(f"{who}: {name}={number} is not a finite {'non-negative' if zero else 'positive'} decay.")
    if number == 0.0:
        raise ValueError(
            f"{who}: {name}=0 has no minimiser: the infimum is reached only as the norms diverge. "
            f"Pass {name} > 0; to study the limit, let {name} go to 0."
        )
    if number < np.finfo(np.float64).tiny:
        raise ValueError(
            f"{who}: {name}={number} is subnormal, its digits are lost. Pass {name} >= 2.3e-308, or rescale."
        )


def _check_loss(problem: Problem, who: str) -> None:
    loss = problem.loss
    if not callable(loss):
        raise TypeError(
            f"{who}: loss={loss!r} is not callable. Pass ufm.CrossEntropy(), ufm.MSE() or a function (Z, Y) -> [N]."
        )
    missing = [
        name
        for name in ("convex", "shift_invariant", "conjugate", "rank_bound", "repair")
        if getattr(loss, name, loss) is loss
    ]
    if missing:
        raise TypeError(
            f"{who}: loss {type(loss).__name__} lacks {', '.join(missing)}. Wrap a function in ufm.UserLoss(function)."
        )
    if isinstance(loss, CrossEntropy):
        smoothing = loss.smoothing
        if isinstance(smoothing, bool) or not (isinstance(smoothing, Real) or getattr(smoothing, "shape", None) == ()):
            raise TypeError(f"{who}: smoothing={smoothing!r} is not a real scalar. Pass a float in [0, 1).")
        if not 0.0 <= float(smoothing) < 1.0:
            raise ValueError(f"{who}: smoothing={float(smoothing)} is outside [0, 1). At 1 the targets carry no label.")
    if isinstance(loss, CrossEntropy | MSE):
        return
    columns = problem.shapes().H[1]
    like = jax.ShapeDtypeStruct((problem.K, columns), np.float32)
    try:
        out = jax.eval_shape(lambda Z, Y: loss(Z, Y), like, like)
    except Exception as error:
        raise ValueError(
            f"{who}: the loss could not be traced on Z and Y of shape {like.shape}: {error}. "
            "Write it with jax.numpy, on columns of logits."
        ) from error
    if getattr(out, "shape", None) != (columns,) or not np.issubdtype(out.dtype, np.floating):
        got = f"shape {out.shape} of {out.dtype}" if hasattr(out, "shape") else type(out).__name__
        raise ValueError(f"{who}: the loss returned {got}, expected one real value per sample, shape ({columns},).")


def check_params(problem: Problem, params: Any, who: str) -> Params:
    """`params` as finite NumPy float64 arrays of the problem's shapes.

    Raises:
        TypeError: no W, H, b, or not real numbers.
        ValueError: wrong shapes, a bias where there is none (or none where there is one), non-finite entries.
    """
    if not all(hasattr(params, name) for name in Params._fields):
        raise TypeError(
            f"{who}: expected parameters with W, H and b, got {type(params).__name__}. Pass ufm.Params(W, H, b)."
        )
    blocks = []
    for name, shape in problem.shapes()._asdict().items():
        value = getattr(params, name)
        if (value is None) != (shape is None):
            need = "None: this problem has no bias (lam_b=None)" if shape is None else f"an array of shape {shape}"
            raise ValueError(f"{who}: {name} must be {need}, got {'None' if value is None else 'an array'}.")
        if value is None:
            blocks.append(None)
            continue
        array = np.asarray(value)
        if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
            raise TypeError(f"{who}: {name} has dtype {array.dtype}, expected real numbers.")
        if array.shape != shape:
            raise ValueError(
                f"{who}: {name} has shape {array.shape}, expected {shape}. Columns of H are samples, by class."
            )
        array = array.astype(np.float64)
        if not np.all(np.isfinite(array)):
            raise ValueError(f"{who}: {name} has {np.sum(~np.isfinite(array))} non-finite entries. Pass finite arrays.")
        blocks.append(array)
    return Params(*blocks)
