"""Grids of cases: products of axes over anything that a problem, a solver or a start takes."""

import dataclasses
import difflib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.problem import Problem
from ufm.sweep.case import Case, check_case, explicit

# Where a name is looked for that is no field of a case or a problem.
MODEL = ("problem", "model")
HOMES = (("problem", "loss"), MODEL, (*MODEL, "W"), (*MODEL, "H"), ("solver",), ("start",))


@dataclass(frozen=True, eq=False)
class Axis:
    """One direction of a grid: several names are varied together.

    Attributes:
        names: of what is varied. labels: one column for each name, numbers where they are numbers, else text.
    """

    names: tuple[str, ...]
    labels: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.labels[0])


@dataclass(frozen=True, eq=False)
class Grid:
    """Cases in the order of the product of their axes, the last axis fastest."""

    cases: tuple[Case, ...]
    axes: tuple[Axis, ...]

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(len(axis) for axis in self.axes)

    def coordinates(self) -> dict[str, np.ndarray]:
        """[cases] label of every case on every axis."""
        return coordinates(self.axes)


def coordinates(axes: Sequence[Axis]) -> dict[str, np.ndarray]:
    """[cases] label of every case of the product of `axes`, by the name that is varied."""
    places = [place.ravel() for place in np.indices([len(axis) for axis in axes])]
    return {
        name: column[place]
        for axis, place in zip(axes, places, strict=True)
        for name, column in zip(axis.names, axis.labels, strict=True)
    }


def grid(base: Problem | Case, *joint: Sequence[Mapping[str, Any]], **axes: Iterable[Any]) -> Grid:
    """The product of axes: grid(problem, lam_W=[1e-3, 1e-2], d=[5, 9], key=range(20)).

    A name is a field of Case or Problem (`lam_W`, `K`, `n`, `loss`, `key`, `solver`, `dtype`, ...), or a number inside
    the loss, the model, its spaces, the solver or the start (`smoothing`, `tau`, `rate`, `scale`, ...); where several
    parts have it, the path tells them apart: {"model.W.mean_square": 2.0} in a joint axis.

    Args:
        base: what is not varied; a Case if solver, start or tolerances differ from the defaults.
        joint: axes along which several names vary together, each a sequence of {name: value}: an explicit list, or
            `zipped(lam_W=..., lam_H=...)`. They come first, the keyword axes follow.
        axes: a sequence of values each.
    Raises:
        TypeError: a base that is neither, or an axis that is not a sequence.
        ValueError: an unknown or ambiguous name, a name that is varied twice, an empty axis, or a case that
            `ufm.solve` would refuse.
    """
    case = Case(base) if isinstance(base, Problem) else base
    if not isinstance(case, Case):
        raise TypeError(f"grid: base is a {type(base).__name__}. Pass a ufm.Problem, or a ufm.Case(problem, ...).")
    directions = [_joint(points) for points in joint]
    directions += [[{name: value} for value in _values(name, values)] for name, values in axes.items()]
    names = [name for points in directions for name in points[0]]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"grid: {', '.join(sorted(twice))} is varied by two axes. Name it once.")
    order = sorted(names, key=_depth)  # whole parts before what is inside of them
    cases = []
    for choice in itertools.product(*directions):
        values = {name: value for point in choice for name, value in point.items()}
        made = case
        for name in order:
            made = replaced(made, name, values[name])
        check_case(made, "grid")
        cases.append(made)
    return Grid(tuple(cases), tuple(_axis(points) for points in directions))


def zipped(**axes: Iterable[Any]) -> tuple[dict[str, Any], ...]:
    """One joint axis along which every name moves at once: zipped(lam_W=[a, b], lam_H=[c, d]) has two points.

    Raises:
        TypeError: an axis that is not a sequence.
        ValueError: no axes, or axes of different lengths.
    """
    columns = {name: _values(name, values) for name, values in axes.items()}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{name} has {length}" for name, length in lengths.items()) or "there are none"
        raise ValueError(f"zipped: axes must have one length, but {told}. Pass sequences of equal length.")
    return tuple(dict(zip(columns, point, strict=True)) for point in zip(*columns.values(), strict=True))


def replaced(case: Case, name: str, value: Any) -> Case:
    """`case` with one named thing changed; see `grid` for names.

    Raises:
        ValueError: nothing in the case has this name, or more than one thing has.
    """
    path = _path(explicit(case), name)
    inside = path[0] == "solver" and len(path) > 1  # a default solver follows the problem until a part of it is named
    return _put(explicit(case) if inside else case, path, value)


def _put(part: Any, path: tuple[str, ...], value: Any) -> Any:
    inner = value if len(path) == 1 else _put(getattr(part, path[0]), path[1:], value)
    return dataclasses.replace(part, **{path[0]: inner})


def _path(case: Case, name: str) -> tuple[str, ...]:
    known = _paths(case)
    found = known.get(name, [])
    if len(found) == 1:
        return found[0]
    if found:
        told = " and ".join(repr(".".join(path).removeprefix("problem.")) for path in found)
        raise ValueError(f"grid: {name!r} could be {told}. Name one by its path, in a joint axis: [{{path: value}}].")
    raise ValueError(f"grid: {name!r} is nothing that this case has.{hint(name, [n for n in known if '.' not in n])}")


def hint(name: str, known: Iterable[str]) -> str:
    """The nearest known name as a question; all of them, if none is near."""
    folded = {other.lower(): other for other in known}
    near = difflib.get_close_matches(name.lower(), folded, 1, 0.6)
    return f" Did you mean {folded[near[0]]}?" if near else f" Known: {', '.join(sorted(folded.values()))}."


def _paths(case: Case) -> dict[str, list[tuple[str, ...]]]:
    """Every name and dotted path, with where it leads; a field of the case or the problem needs no path."""
    fields = {field: [(*home, field)] for home in (("problem",), ()) for field in _fields(case, home)}
    dotted, inside = {}, {}
    for home in HOMES:
        for field in _fields(case, home):
            path = (*home, field)
            dotted[".".join(path).removeprefix("problem.")] = [path]
            inside.setdefault(field, []).append(path)
    return {**inside, **dotted, **fields}


def _fields(case: Case, home: tuple[str, ...]) -> list[str]:
    part: Any = case
    for step in home:
        part = getattr(part, step, None)
    named = dataclasses.is_dataclass(part) and not isinstance(part, type)
    return [field.name for field in dataclasses.fields(part)] if named else []


def _depth(name: str) -> int:
    if name == "problem":
        return 0
    fields = {field.name for kind in (Case, Problem) for field in dataclasses.fields(kind)}
    return 1 if name in fields else 2 + name.count(".")


def _values(name: str, values: Any) -> list[Any]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TypeError(
            f"grid: {name}={values!r} is not a sequence of values. Pass {name}=[...], or set it in the base."
        )
    found = [value.item() if isinstance(value, np.generic) else value for value in values]
    if not found:
        raise ValueError(f"grid: the axis {name} is empty. Pass at least one value.")
    return found


def _joint(points: Any) -> list[dict[str, Any]]:
    help = "Pass zipped(lam_W=[...], lam_H=[...]), or a list of {name: value}."
    if isinstance(points, str | bytes | Mapping) or not isinstance(points, Iterable):
        raise TypeError(f"grid: a joint axis is a {type(points).__name__}. {help}")
    found = list(points)
    if not found or not all(isinstance(point, Mapping) and point for point in found):
        raise ValueError(f"grid: a joint axis needs at least one point, and a name in each. {help}")
    if len({tuple(sorted(point)) for point in found}) > 1:
        raise ValueError(f"grid: the points of a joint axis do not all have the same names. {help}")
    return [dict(point) for point in found]


def _axis(points: Sequence[Mapping[str, Any]]) -> Axis:
    names = tuple(points[0])
    return Axis(names, tuple(labels([point[name] for point in points]) for name in names))


def labels(values: Sequence[Any]) -> np.ndarray:
    """Numbers as they are; anything else, such as sizes, losses or None, as short text."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return np.array(values)
    return np.array([_label(value) for value in values])


def _label(value: Any) -> str:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        told = [f"{name}={_label(entry)}" for name, entry in inner if entry is not None]
        return f"{type(value).__name__}({', '.join(told)})"
    if isinstance(value, tuple | list):
        return "(" + ", ".join(_label(entry) for entry in value) + ")"
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    if isinstance(value, float):
        return f"{value:g}"
    return getattr(value, "__name__", None) or str(value).lower()
