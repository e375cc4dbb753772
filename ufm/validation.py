"""Problems and parameters checked at the door, before anything is compiled."""

import functools
import math
from typing import Any

import jax
import numpy as np

from ufm.checks import as_real, untraced, whole
from ufm.losses.user import UserLoss
from ufm.models import Bilinear, DeepLinear, DeepReLU, Gram
from ufm.problem import Params, Problem
from ufm.spaces import Budget, Fixed, Space, Spheres

INSIDE = 1e-6  # relative distance from its space up to which a start is taken, and moved there
SPACE_METHODS = (
    "tangent",
    "multiplier",
    "retract",
    "project",
    "weight",
    "shell",
    "least",
    "decays",
    "rotates",
    "separable",
)
# Beyond these the squares and products of ordinary numbers with a decay leave float64's range.
SMALLEST, LARGEST = 1e-100, 1e100


def check_problem(problem: Any, who: str, dtype: Any = np.float64, *, minimiser: bool = True) -> None:
    """Raise before anything is compiled if `problem` does not state a UFM (with a minimiser, unless told not to).

    Raises:
        TypeError: not a Problem, or a field of the wrong type.
        ValueError: a field out of range, or a loss that does not map [K, N] to [N].
    """
    if not isinstance(problem, Problem):
        raise TypeError(
            f"{who}: expected a ufm.Problem, got {type(problem).__name__}. Build one with ufm.Problem(...)."
        )
    _check_sizes(problem, who)
    _check_model(problem, who)
    for name, space in (("lam_W", problem.model.W), ("lam_H", problem.model.H)):
        value = getattr(problem, name)
        if space is not None and space.decays:
            for number in _decays(problem, name, who):
                _check_decay(name, number, who, dtype, zero=not minimiser)
        elif value is not None:
            home = "no block" if space is None else f"a block in {type(space).__name__}"
            raise ValueError(
                f"{who}: {name}={value!r} has no effect on {home}, which does not decay. Pass {name}=None."
            )
    if problem.lam_b is not None:
        _check_decay("lam_b", problem.lam_b, who, dtype, zero=True)
    _check_targets(problem, who)
    _check_loss(problem, who)


def _decays(problem: Problem, name: str, who: str) -> tuple[Any, ...]:
    """The decays that `name` holds: one, or of a deep model's W one for each matrix."""
    value = getattr(problem, name)
    if not isinstance(value, tuple) or name != "lam_W" or not problem.model.deep:
        return (value,)
    M = len(problem.model.matrices(problem.K, problem.d))
    if len(value) != M:
        raise ValueError(f"{who}: lam_W has {len(value)} decays for {M} matrices. Pass one float, or one for each.")
    return value


def _check_sizes(problem: Problem, who: str) -> None:
    if not isinstance(problem.merged, bool):
        raise TypeError(f"{who}: merged={problem.merged!r} is not a bool. Use ufm.reduction.merge(problem).")
    least = 2 if problem.targets is None else 1
    whole(problem.K, "K", who, least, "one class has nothing to separate")
    whole(problem.d, "d", who, 1, "features need a dimension")
    if problem.targets is not None and np.ndim(problem.targets) != 2:
        raise ValueError(
            f"{who}: targets have shape {np.shape(problem.targets)}, expected [K, C], one column for each group."
        )
    sizes = problem.n if isinstance(problem.n, tuple) else (problem.n,)
    if isinstance(problem.n, tuple) and len(sizes) != problem.C:
        groups = f"K={problem.K}" if problem.targets is None else f"there are {problem.C} columns of targets"
        raise ValueError(f"{who}: n has {len(sizes)} class sizes, but {groups}. Pass an int, or one size per class.")
    for size in sizes:
        whole(size, "class size n", who, 1, "every class needs a sample; drop empty classes from K")


def _check_targets(problem: Problem, who: str) -> None:
    if problem.targets is None:
        return
    untraced(problem.targets, "targets", who)
    array = np.asarray(problem.targets)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{who}: targets have dtype {array.dtype}. Pass real numbers [K, C].")
    if array.shape[0] != problem.K or array.shape[1] == 0:
        raise ValueError(f"{who}: targets have shape {array.shape}, expected ({problem.K}, C) with C >= 1 columns.")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{who}: targets have {np.sum(~np.isfinite(array))} non-finite entries. Pass finite targets.")


def _check_model(problem: Problem, who: str) -> None:
    model = problem.model
    if not isinstance(model, Bilinear | Gram | DeepLinear | DeepReLU):
        raise TypeError(
            f"{who}: model={model!r} is not a model. Pass ufm.normalized(tau), ufm.relu_features(), ..., called, or "
            "ufm.Bilinear(W=..., H=..., tau=...) with spaces of ufm.spaces."
        )
    if isinstance(model, DeepLinear | DeepReLU):
        if not isinstance(model.widths, tuple):
            raise TypeError(f"{who}: widths={model.widths!r} is not a tuple of widths. Pass e.g. (20, 20).")
        for width in model.widths:
            whole(width, "a width", who, 1, "a layer needs a neuron")
    tau = 1.0 if model.tau is None else as_real(model.tau)
    if tau is None or not (math.isfinite(tau) and tau > 0):
        raise ValueError(f"{who}: tau={model.tau!r} is not a finite positive number. Pass e.g. tau=10.0.")
    for name, space in (("W", model.W), ("H", model.H)):
        if space is None:
            continue
        if isinstance(space, type) or not all(hasattr(space, method) for method in SPACE_METHODS):
            raise TypeError(f"{who}: model.{name}={space!r} is not a space. Pass e.g. ufm.spaces.Spheres().")
        _check_space(problem, name, space, who)
    if isinstance(model, Gram) and (problem.merged or problem.lam_b is not None):
        raise ValueError(f"{who}: features alone have no bias and do not merge. Pass lam_b=None, and do not merge.")


def _check_space(problem: Problem, name: str, space: Space, who: str) -> None:
    for field, space_type in (("radius", Spheres), ("mean_square", Budget)):
        if isinstance(space, space_type):
            number = as_real(getattr(space, field))
            if number is None or not SMALLEST <= number <= LARGEST:
                raise ValueError(
                    f"{who}: {field}={getattr(space, field)!r} of model.{name} is not a positive number. "
                    f"Pass a float > 0."
                )
    if isinstance(space, Fixed):
        shape = getattr(problem.shapes(), name)
        value = np.asarray(space.value)
        if name != "W":
            raise ValueError(f"{who}: model.{name} is fixed; only the classifier W can be. Optimise the features.")
        if value.shape != shape or value.dtype.kind not in "fiu" or not np.all(np.isfinite(value)):
            raise ValueError(f"{who}: the fixed W has shape {value.shape}, expected finite reals of shape {shape}.")


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
    if not math.isfinite(number) or number < 0.0:
        raise ValueError(f"{who}: {name}={number} is not a finite {kind} decay. Pass e.g. {name}=5e-3.")
    if not SMALLEST <= number <= LARGEST:
        raise ValueError(
            f"{who}: {name}={number:g} is outside [{SMALLEST:g}, {LARGEST:g}], where its digits survive. Rescale."
        )
    least, most = _range(dtype)
    if not least <= number <= most:
        raise ValueError(f"{who}: {name}={number:g} is outside the range of {np.dtype(dtype)}. Use dtype='float64'.")


@functools.cache
def _range(dtype: Any) -> tuple[float, float]:
    """The smallest normal and the largest number; `np.finfo` takes longer for them than all other checks."""
    limits = np.finfo(dtype)
    return float(limits.tiny), float(limits.max)


def _check_loss(problem: Problem, who: str) -> None:
    loss = problem.loss
    if isinstance(loss, type) or not callable(loss):
        raise TypeError(
            f"{who}: loss={loss!r} is not callable on (Z, Y). "
            "Pass ufm.CrossEntropy(), ufm.MSE(), ufm.UserLoss(function) or a function (Z, Y) -> [N]."
        )
    names = ("convex", "shift_invariant", "exchangeable", "conjugate", "rank_bound", "margin_bound", "check", "repair")
    missing = [name for name in names if not hasattr(loss, name)]
    if missing:
        raise TypeError(
            f"{who}: loss {type(loss).__name__} lacks {', '.join(missing)}. Wrap a function in ufm.UserLoss(function)."
        )
    loss.check(problem, who)
    if isinstance(loss, UserLoss):
        rows, columns = problem.logit_shape()
        # A loss along the wrong axis fits when K = N, but not both times.
        for more in (0, 1):
            wide = columns + more
            _check_shapes(loss, (rows if problem.model.classifier else wide, wide), (problem.K, wide), who)


def _check_shapes(loss: Any, shape: tuple[int, int], targets: tuple[int, int], who: str) -> None:
    Z, Y = (jax.ShapeDtypeStruct(size, np.float32) for size in (shape, targets))
    try:
        out = jax.eval_shape(lambda Z, Y: loss(Z, Y), Z, Y)
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
            absent = "this problem has no bias (lam_b=None)" if name == "b" else "this model has features alone"
            need = f"None: {absent}" if shape is None else f"an array of shape {shape}"
            raise ValueError(f"{who}: {name} must be {need}, got {'None' if value is None else 'an array'}.")
        blocks.append(_checked_blocks(value, name, shape, who, dtype))
    return _inside(problem, Params(*blocks), who)


def _inside(problem: Problem, params: Params, who: str) -> Params:
    """`params` moved onto the model's spaces by what is rounding, or a ValueError."""
    if problem.flat:
        return params
    with np.errstate(all="ignore"):
        there = problem.project(params)
    for name, block, moved in zip(Params._fields, params, there, strict=True):
        for x, y in zip(jax.tree.leaves(block), jax.tree.leaves(moved), strict=True):
            if not np.array_equal(x, y) and not np.max(np.abs(x - y)) <= INSIDE * np.max(np.abs(y)):
                space = type(getattr(problem.model, name)).__name__
                raise ValueError(f"{who}: {name} is not in its space, {space}. Pass problem.project(params).")
    return there


def _checked_blocks(value: Any, name: str, shape: Any, who: str, dtype: Any) -> Any:
    """One array, None, or the tuple of a deep model's matrices."""
    if shape is None:
        return None
    if isinstance(shape[0], int):
        return _checked_block(value, name, shape, who, dtype)
    if not isinstance(value, tuple | list) or len(value) != len(shape):
        got = f"{len(value)} of them" if isinstance(value, tuple | list) else type(value).__name__
        raise ValueError(f"{who}: {name} must be a tuple of {len(shape)} matrices, W_1 first, got {got}.")
    pairs = enumerate(zip(value, shape, strict=True), start=1)
    return tuple(_checked_block(x, f"{name}_{layer}", size, who, dtype) for layer, (x, size) in pairs)


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
        finite = np.isfinite(array.astype(dtype, copy=False))
        array = array.astype(np.float64, copy=False)
    if not np.all(finite):
        bad = int(np.sum(~finite))
        raise ValueError(f"{who}: {name} has {bad} non-finite entries in {np.dtype(dtype).name}. Pass finite arrays.")
    return array
