"""Results as files and as the tables of other libraries (extra `data`)."""

import csv
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ufm.sweep.results import Results


def to_pandas(results: Results) -> Any:
    """A pandas DataFrame, one row a case; columns of arrays are left out.

    Raises:
        ImportError: pandas is not installed.
    """
    return _library("pandas").DataFrame(_flat(results))


def to_xarray(results: Results) -> Any:
    """An xarray Dataset, one dimension an axis of the grid.

    A dimension has the name of what is varied along it, or of all that is varied joined by "_"; its labels are
    coordinates. Columns of arrays get dimensions of their own.

    Raises:
        ImportError: xarray is not installed.
    """
    dims = ["_".join(axis.names) for axis in results.axes]
    pairs = list(zip(results.axes, dims, strict=True))
    coordinates = {
        name: (dim, label) for axis, dim in pairs for name, label in zip(axis.names, axis.labels, strict=True)
    }
    variables = {}
    for name in results.columns:
        if name not in coordinates and results[name].dtype != object:
            column = results.on_grid(name)
            extra = [f"{name}_{i}" for i in range(column.ndim - len(dims))]
            variables[name] = ([*dims, *extra], column)
    return _library("xarray").Dataset(variables, coordinates)


def export(results: Results, path: str | Path) -> Path:
    """Write `results` to path.csv, path.parquet or path.nc; the suffix decides. Arrays go into .nc only.

    Numbers in CSV have the digits that give back the same float.

    Raises:
        ValueError: another suffix.
        ImportError: what a suffix needs (pandas and pyarrow, xarray) is not installed.
    """
    path = Path(path)
    writer = WRITERS.get(path.suffix)
    if writer is None:
        raise ValueError(f"export: {path.name} has no known suffix. Use one of {', '.join(WRITERS)}.")
    writer(results, path)
    return path


def write_csv(columns: Mapping[str, np.ndarray], path: Path) -> None:
    """Columns of one length as CSV, numbers with the digits that give back the same float."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def _to_csv(results: Results, path: Path) -> None:
    write_csv(_flat(results), path)


def _to_parquet(results: Results, path: Path) -> None:
    _library("pyarrow")
    to_pandas(results).to_parquet(path, engine="pyarrow")


def _to_netcdf(results: Results, path: Path) -> None:
    to_xarray(results).to_netcdf(path, engine="scipy")


WRITERS: dict[str, Callable[[Results, Path], None]] = {".csv": _to_csv, ".parquet": _to_parquet, ".nc": _to_netcdf}


def _flat(results: Results) -> dict[str, np.ndarray]:
    return {name: column for name, column in results.columns.items() if column.ndim == 1 and column.dtype != object}


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"export: {name} is not installed. Install the extra: pip install 'ufm[data]'.") from error
