"""A sweep from a TOML file: the same words as in Python, with every key that is not known named."""

import inspect
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import optax

from ufm import models
from ufm.losses.contrastive import SupCon
from ufm.losses.cross_entropy import CrossEntropy, Focal
from ufm.losses.multilabel import PickAllLabel
from ufm.losses.squared import MSE, DotRegression, RescaledMSE
from ufm.problem import Problem
from ufm.solvers.first_order import FirstOrder, annealed
from ufm.solvers.lbfgs import LBFGS
from ufm.solvers.newton import TrustRegion
from ufm.sweep.case import Case, ETFStart, RandomStart
from ufm.sweep.grid import Grid, grid, hint, zipped

TABLES = ("problem", "options", "axes")
FIRST = ("store", "chunk")
NAMES = (*TABLES, "solver", "start", "joint", *FIRST)
OPTIONS = ("key", "gtol", "max_steps", "dtype")
RANGES: dict[str, Callable[..., Any]] = {"range": range, "linspace": np.linspace, "logspace": np.logspace}


@dataclass(frozen=True, eq=False)
class Spec:
    """What a file asks for. store: as written there, or None. chunk: cases at once, or None for the default."""

    grid: Grid
    store: str | None
    chunk: int | None


def sgd(rate: float = 1.0, momentum: float = 0.0) -> FirstOrder:
    """Gradient descent, with momentum."""
    return FirstOrder(optax.sgd(1.0, momentum=momentum or None), rate=rate)


def adam(rate: float = 1e-2) -> FirstOrder:
    """Adam."""
    return FirstOrder(optax.adam(1.0), rate=rate)


PARTS: dict[str, dict[str, Callable[..., Any]]] = {
    "loss": {
        make.__name__: make
        for make in (CrossEntropy, MSE, RescaledMSE, Focal, PickAllLabel, DotRegression, SupCon)
    },
    "model": {
        make.__name__: make
        for make in (
            models.Bilinear,
            models.normalized,
            models.normalized_features,
            models.fixed_classifier,
            models.layer_peeled,
            models.relu_features,
            models.contrastive,
            models.DeepLinear,
            models.DeepReLU,
        )
    },
    "solver": {make.__name__: make for make in (TrustRegion, LBFGS, sgd, adam, annealed)},
    "start": {make.__name__: make for make in (RandomStart, ETFStart)},
}  # fmt: skip


def read_spec(path: str | os.PathLike[str]) -> Spec:
    """The grid that a TOML file describes; its format is in `ufm sweep --help`.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not TOML, or has a key that is not known.
        TypeError, ValueError: what `ufm.grid` refuses.
    """
    with open(path, "rb") as file:
        try:
            return parse_spec(tomllib.load(file))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"spec: {path} is not TOML: {error}.") from error


def parse_spec(document: Mapping[str, Any]) -> Spec:
    """As `read_spec`, from what a TOML file holds."""
    _known("", document, NAMES)
    for name in TABLES:
        if not isinstance(document.get(name, {}), Mapping):
            raise TypeError(f"spec: {name}={document[name]!r} is not a table. Write [{name}].")
    store = document.get("store")
    if store is not None and not isinstance(store, str):
        raise TypeError(f'spec: store={store!r} is not a path. Write store = "runs/name.sqlite".')
    stated = document.get("problem", {})
    _known("problem.", stated, [field.name for field in fields(Problem)])
    if missing := [name for name in ("K", "n", "d") if name not in stated]:
        raise ValueError(f"spec: problem.{missing[0]} is missing. Write it in [problem]; an axis may then vary it.")
    options = document.get("options", {})
    _known("options.", options, OPTIONS)
    parts = {name: _value(name, document[name]) for name in ("solver", "start") if name in document}
    base = Case(Problem(**{name: _value(name, value) for name, value in stated.items()}), **parts, **options)
    joint = document.get("joint", [])
    if not isinstance(joint, list) or not all(isinstance(axis, Mapping) for axis in joint):
        raise TypeError("spec: joint is not a list of tables. Write [[joint]].")
    together = [zipped(**{name: _axis(name, values) for name, values in axis.items()}) for axis in joint]
    axes = {name: _axis(name, values) for name, values in document.get("axes", {}).items()}
    return Spec(grid(base, *together, **axes), store, document.get("chunk"))


def _axis(name: str, values: Any) -> Any:
    if isinstance(values, Mapping):
        _known(f"{name}.", values, RANGES)
        if len(values) != 1:
            raise ValueError(f"spec: the axis {name} has {len(values)} ranges. Write one, such as {{range = [0, 20]}}.")
        ((kind, arguments),) = values.items()
        if not isinstance(arguments, list):
            raise TypeError(f"spec: {name}.{kind} = {arguments!r} is no list. Write e.g. {{{kind} = [0, 20]}}.")
        try:
            return [value.item() if isinstance(value, np.generic) else value for value in RANGES[kind](*arguments)]
        except (TypeError, ValueError) as error:
            raise ValueError(f"spec: {name}.{kind} = {arguments!r} is no range: {error}.") from error
    return [_value(name, value) for value in values] if isinstance(values, list) else values


def _value(name: str, value: Any) -> Any:
    """What Python would be given: "none" is None, lists are tuples, names of losses and models are built."""
    if name in PARTS:
        return _built(name, value)
    if isinstance(value, str) and value.lower() == "none":
        return None
    if name == "targets":
        return np.array(value, float)
    return tuple(value) if isinstance(value, list) else value


def _built(name: str, value: Any) -> Any:
    stated = {"type": value} if isinstance(value, str) else dict(value) if isinstance(value, Mapping) else {}
    kind = stated.pop("type", None)
    if kind not in PARTS[name]:
        raise ValueError(f"spec: {name} = {value!r} has no known type.{hint(str(kind), PARTS[name])}")
    make = PARTS[name][kind]
    _known(f"{name}.", stated, inspect.signature(make).parameters)
    try:
        return make(**{key: _argument(entry) for key, entry in stated.items()})
    except TypeError as error:
        raise TypeError(f"spec: {name} = {value!r}: {error}.") from error


def _argument(value: Any) -> Any:
    """Lists of numbers are tuples, such as widths; lists of lists are matrices, such as a fixed classifier."""
    if not isinstance(value, list):
        return value
    return np.array(value, float) if any(isinstance(row, list) for row in value) else tuple(value)


def _known(where: str, table: Mapping[str, Any], known: Any) -> None:
    for name in table:
        if name not in known:
            told = hint(name, known)
            if where and name in NAMES:  # in TOML a key belongs to the table above it
                told = " Write it above the first [table]." if name in FIRST else f" Write it as a table, [{name}]."
            raise ValueError(f"spec: unknown key {where}{name}.{told}")
