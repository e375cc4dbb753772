"""Results as files (extra `data` for all but CSV)."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ufm.sweep.results import Results, library


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
    write_csv(results.flat(), path)


def _to_parquet(results: Results, path: Path) -> None:
    library("pyarrow")
    results.to_pandas().to_parquet(path, engine="pyarrow")


def _to_netcdf(results: Results, path: Path) -> None:
    results.to_xarray().to_netcdf(path, engine="scipy")


WRITERS: dict[str, Callable[[Results, Path], None]] = {".csv": _to_csv, ".parquet": _to_parquet, ".nc": _to_netcdf}
