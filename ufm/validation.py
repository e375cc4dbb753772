"""Problems and parameters checked at the door, before anything is compiled."""

from typing import Any

import jax
import numpy as np

from ufm.checks import as_real, untraced, whole
from ufm.losses import MSE, CrossEntropy, UserLoss
from ufm.problem import Params, Problem

# Beyond these the squares and products of ordinary numbers with a decay leave float64's range.
SMALLEST, LARGEST = 1e-100, 1e100


def check_problem(problem: Any, who: str, dtype: Any = np.float64) -> None:
    """Raise before anything is compiled if `problem` does not state a UFM with a minimiser, in this dtype.

    Raises:
        TypeError: not a Problem, or a field of the wrong type.
        ValueError: a field out of range, or a loss that does not map [K, N] to [N].
    """
    if not isinstance(problem, Problem):
        raise TypeError(
            f"{who}: expected a ufm.Problem, got {type(problem).__name__}. Build one with ufm.Problem(...)."
        )
    _check_sizes(problem, who)
    _check_decay("lam_W", problem.lam_W, who, dtype)
    _check_decay("lam_H", problem.lam_H, who, dtype)
    if problem.lam_b is not None:
        _check_decay("lam_b", problem.lam_b, who, dtype, zero=True)
    _check_loss(problem, who)


def _check_sizes(problem: Problem, who: str) -> None:
    if not isinstance(problem.merged, bool):
        raise TypeError(f"{who}: merged={problem.merged!r} is not a bool. Use ufm.reduction.merge(problem).")
    whole(problem.K, "K", who, 2, "one class has nothing to separate")
    whole(problem.d, "d", who, 1, "features need a dimension")
    sizes = problem.n if isinstance(problem.n, tuple) else (problem.n,)
    if isinstance(problem.n, tuple) and len(sizes) != problem.K:
        raise ValueError(
            f"{who}: n has {len(sizes)} class sizes, but K={problem.K}. Pass an int, or one size per class."
        )
    for size in sizes:
        whole(size, "class size n", who, 1, "every class needs a sample; drop empty classes from K")


def _check_decay(name: str, value: Any, who: str, dtype: Any, zero: bool = False) -> None:
    untraced(value, name, who)
    number = as_real(value)
    if number is None:
        raise TypeError(f"{who}: {name}={value!r} is not a real scalar. Pass one float; sweep by calling again.")
    if zero and number == 0.0:
        return
    if number == 0.0:
        raise ValueError(
            f"{who}: {name}=0 has no minimiser: the infimum is reached only as the norms diverge. "
            f"Pass {name} > 0; to study the limit, let {name} go to 0."
        )
    kind = "non-negative" if zero else "positive"
    if not np.isfinite(number) or number < 0.0:
        raise ValueError(f"{who}: {name}={number} is not a finite {kind} decay. Pass e.g. {name}=5e-3.")
    if not SMALLEST <= number <= LARGEST:
        raise ValueError(
            f"{who}: {name}={number:g} is outside [{SMALLEST:g}, {LARGEST:g}], where its digits survive. Rescale."
        )
    limits = np.finfo(dtype)
    if not float(limits.tiny) <= number <= float(limits.max):
        raise ValueError(f"{who}: {name}={number:g} is outside the range of {limits.dtype}. Use dtype='float64'.")


def _check_loss(problem: Problem, who: str) -> None:
    loss = problem.loss
    if isinstance(loss, type) or not callable(loss):
        raise TypeError(
            f"{who}: loss={loss!r} is not callable on (Z, Y). "
            "Pass ufm.CrossEntropy(), ufm.MSE(), ufm.UserLoss(function) or a function (Z, Y) -> [N]."
        )
    names = ("convex", "shift_invariant", "conjugate", "rank_bound", "repair")
    missing = [name for name in names if not hasattr(loss, name)]
    if missing:
        raise TypeError(
            f"{who}: loss {type(loss).__name__} lacks {', '.join(missing)}. Wrap a function in ufm.UserLoss(function)."
        )
    if isinstance(loss, CrossEntropy):
        _check_smoothing(loss.smoothing, who)
    if isinstance(loss, UserLoss) and (isinstance(loss.function, type) or not callable(loss.function)):
        raise TypeError(
            f"{who}: UserLoss({loss.function!r}) does not hold a callable. Pass a function (Z, Y) -> [N], or "
            "ufm.CrossEntropy() or ufm.MSE(), with the parentheses."
        )
    if not isinstance(loss, CrossEntropy | MSE):
        columns = problem.shapes().H[1]
        # A loss along the wrong axis fits when K = N, but not both times.
        for count in (columns, columns + 1):
            _check_shapes(loss, (problem.K, count), who)


def _check_smoothing(smoothing: Any, who: str) -> None:
    untraced(smoothing, "smoothing", who)
    number = as_real(smoothing)
    if number is None:
        raise TypeError(f"{who}: smoothing={smoothing!r} is not a real scalar. Pass a float in [0, 1).")
    if not 0.0 <= number < 1.0:
        raise ValueError(f"{who}: smoothing={number} is outside [0, 1). At 1 the targets carry no label.")


def _check_shapes(loss: Any, shape: tuple[int, int], who: str) -> None:
    like = jax.ShapeDtypeStruct(shape, np.float32)
    try:
        out = jax.eval_shape(lambda Z, Y: loss(Z, Y), like, like)
    except Exception as error:
        raise ValueError(
            f"{who}: the loss could not be traced on Z and Y of shape {shape}: {error}. "
            "Write it with jax.numpy, on columns of logits."
        ) from error
    if getattr(out, "shape", None) != shape[1:] or not np.issubdtype(out.dtype, np.floating):
        got = f"shape {out.shape} of {out.dtype}" if hasattr(out, "shape") else type(out).__name__
        raise ValueError(
            f"{who}: the loss returned {got} for {shape[1]} samples, expected one real value per sample, "
            f"shape ({shape[1]},). Sum over axis 0, the classes."
        )


def check_params(problem: Problem, params: Any, who: str, dtype: Any = np.float64) -> Params:
    """`params` as NumPy float64 arrays of the problem's shapes, finite in `dtype`.

    Raises:
        TypeError: no W, H, b, or not real numbers.
        ValueError: wrong shapes, a bias where there is none (or none where there is one), non-finite entries.
    """
    if isinstance(params, type) or not all(hasattr(params, name) for name in Params._fields):
        raise TypeError(
            f"{who}: expected parameters with W, H and b, got {type(params).__name__}. Pass ufm.Params(W, H, b)."
        )
    blocks = []
    for name, shape in problem.shapes()._asdict().items():
        value = getattr(params, name)
        if (value is None) != (shape is None):
            need = "None: this problem has no bias (lam_b=None)" if shape is None else f"an array of shape {shape}"
            raise ValueError(f"{who}: {name} must be {need}, got {'None' if value is None else 'an array'}.")
        blocks.append(None if shape is None else _checked_block(value, name, shape, who, dtype))
    return Params(*blocks)


def _checked_block(value: Any, name: str, shape: tuple[int, ...], who: str, dtype: Any) -> np.ndarray:
    untraced(value, name, who)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{who}: {name} is not an array: {error}. Pass shape {shape}.") from error
    if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
        raise TypeError(f"{who}: {name} has dtype {array.dtype}. Pass real numbers, shape {shape}.")
    if array.shape != shape:
        raise ValueError(
            f"{who}: {name} has shape {array.shape}, expected {shape}. Columns of H are samples, by class."
        )
    with np.errstate(over="ignore"):
        bad = int(np.sum(~np.isfinite(array.astype(dtype))))
        array = array.astype(np.float64)
    if bad:
        raise ValueError(f"{who}: {name} has {bad} non-finite entries in {np.dtype(dtype).name}. Pass finite arrays.")
    return array
