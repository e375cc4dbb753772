"""What a sweep found: NumPy columns, one entry a case, with the coordinates of the grid."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.sweep.grid import Axis
from ufm.sweep.rows import BLANK

NOT_RUN = "NOT_RUN"  # status of a case that an interrupted sweep did not reach


@dataclass(frozen=True, eq=False)
class Results:
    """Columns of a sweep, in the order of its cases.

    Attributes:
        axes: of the grid; their labels are columns too, under the names that are varied.
        columns: [R] each, or [R, ...] for arrays; a number that a row does not have is NaN, a text is "".
            status: of the solver (CONVERGED, ...), or FAILED, OUT_OF_MEMORY, WORKER_DIED, MISNAMED, NOT_RUN, with
            message. value, grad_norm, steps, evaluations, escapes: of the solution. verdict, gap, lower_bound,
            smallest_eigenvalue, index, nullity, symmetry, dual_ratio: of the certificate. largest_logit, W_sq, H_sq,
            nc1 ... accuracy: metrics, as `ufm.collapse` names them. Of a deep model W_sq is the sum over its matrices,
            and logits and metrics are those of the last matrix and of what it sees. seconds, seed, chunk, code, jax,
            numpy: how it was made; chunk is what it was padded to, smaller where memory was short. Small problems are
            solved in one call for the chunk (the same bits as alone on a CPU), and seconds has each one's share of it.
        notes: what was damaged, repaired or halved, one sentence each.
        computed: how many rows this run computed; the others were there.
        interrupted: the sweep was stopped before its end.
    """

    axes: tuple[Axis, ...]
    columns: Mapping[str, np.ndarray]
    notes: tuple[str, ...] = ()
    computed: int = 0
    interrupted: bool = False

    def __len__(self) -> int:
        return len(self.columns["status"])

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.columns:
            raise KeyError(f"results: no column {name!r}. There are: {', '.join(self.columns)}.")
        return self.columns[name]

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(len(axis) for axis in self.axes)

    def on_grid(self, name: str) -> np.ndarray:
        """A column with one dimension for each axis."""
        column = self[name]
        return column.reshape((*self.shape, *column.shape[1:]))

    def flat(self) -> dict[str, np.ndarray]:
        """The columns with one number or text a row."""
        return {name: column for name, column in self.columns.items() if column.ndim == 1 and column.dtype != object}

    def to_pandas(self) -> Any:
        """A pandas DataFrame, one row a case; columns of arrays are left out.

        Raises:
            ImportError: pandas is not installed.
        """
        return library("pandas").DataFrame(self.flat())

    def to_xarray(self) -> Any:
        """An xarray Dataset, one dimension an axis of the grid.

        A dimension has the name of what is varied along it, or of all that is varied joined by "_"; its labels are
        coordinates. Columns of arrays get dimensions of their own.

        Raises:
            ImportError: xarray is not installed.
        """
        dims = ["_".join(axis.names) for axis in self.axes]
        pairs = list(zip(self.axes, dims, strict=True))
        coordinates = {
            name: (dim, label) for axis, dim in pairs for name, label in zip(axis.names, axis.labels, strict=True)
        }
        variables = {}
        for name in self.columns:
            if name not in coordinates and self[name].dtype != object:
                column = self.on_grid(name)
                extra = [f"{name}_{i}" for i in range(column.ndim - len(dims))]
                variables[name] = ([*dims, *extra], column)
        return library("xarray").Dataset(variables, coordinates)

    def __str__(self) -> str:
        counts = {status: int(np.sum(self["status"] == status)) for status in dict.fromkeys(self["status"].tolist())}
        told = ", ".join(f"{count} {status}" for status, count in counts.items())
        axes = " x ".join(f"{'/'.join(axis.names)}[{len(axis)}]" for axis in self.axes)
        rows = f"{len(self)} row" + ("" if len(self) == 1 else "s") + (f" over {axes}" if axes else "")
        return "\n".join([f"{rows}: {told}; {self.computed} computed now", *self.notes])


def library(name: str) -> Any:
    """An optional library, or an ImportError that names the extra."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"results: {name} is not installed. Install the extra: pip install 'ufm[data]'.") from error


def collected(
    axes: Sequence[Axis],
    coordinates: Mapping[str, np.ndarray],
    rows: Sequence[Mapping[str, Any] | None],
    notes: Sequence[str] = (),
    computed: int = 0,
    interrupted: bool = False,
) -> Results:
    """Rows, None where there is none, to columns."""
    found = {name for row in rows if row is not None for name in row}
    extra = sorted(found - set(BLANK))
    columns = {**coordinates, "status": np.array([NOT_RUN if row is None else row["status"] for row in rows])}
    for name in [*BLANK, *extra]:
        if name in found and name not in columns:
            columns[name] = _column([None if row is None else row.get(name) for row in rows])
    if hidden := [name for name in [*BLANK, *extra] if name in found and name in coordinates]:  # of an older store
        notes = [*notes, f"the columns {', '.join(hidden)} are left out: axes have their names"]
    return Results(tuple(axes), columns, tuple(notes), computed, interrupted)


def _column(values: Sequence[Any]) -> np.ndarray:
    """One column; arrays of several shapes become a column of objects."""
    there = [value for value in values if value is not None]
    if all(isinstance(value, str) for value in there):
        return np.array(["" if value is None else value for value in values])
    shapes = {np.shape(value) for value in there if isinstance(value, np.ndarray)}
    if not shapes:
        exact = len(there) == len(values) and all(isinstance(value, int) for value in there)
        return np.array(values) if exact else np.array([_real(value) for value in values])
    if len(shapes) == 1 and all(isinstance(value, np.ndarray) for value in there):
        (shape,) = shapes
        return np.stack([np.full(shape, np.nan) if value is None else value for value in values])
    column = np.empty(len(values), object)
    column[:] = values
    return column


def _real(value: Any) -> float:
    return np.nan if value is None else float(value)
