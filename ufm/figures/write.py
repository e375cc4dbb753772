"""A figure to files: PDF, PNG, its tables as CSV and its caption as text, with the same bytes every time."""

import textwrap
from pathlib import Path

from ufm.figures.data import Data, Entry
from ufm.figures.style import save
from ufm.sweep.export import write_csv
from ufm.sweep.version import installed

WIDTH = 100
VERSIONS = ("ufm", "jax", "numpy", "scipy", "matplotlib")


def write(entry: Entry, data: Data, folder: Path) -> tuple[Path, ...]:
    """Draw `data`, and write name.png, name.pdf, name.csv (name-table.csv for further tables) and name.txt.

    Returns:
        The paths.
    """
    png, pdf = save(entry.figure(data), folder / entry.name)
    tables = []
    for name, table in data.tables.items():
        path = folder / f"{entry.name}{'-' * bool(name)}{name}.csv"
        write_csv(table, path)
        tables.append(path)
    text = folder / f"{entry.name}.txt"
    text.write_text(caption(entry, data) + "\n", encoding="utf-8")
    return pdf, png, *tables, text


def caption(entry: Entry, data: Data) -> str:
    """The caption with its settings, where its numbers are, and the versions that made them."""
    files = ", ".join(f"{entry.name}{'-' * bool(name)}{name}.csv" for name in data.tables)
    made = ", ".join(f"{name} {installed(name)}" for name in VERSIONS)
    told = entry.caption.format(**data.settings, **data.checks)
    return textwrap.fill(f"{told} Data: {files}. Made with {made}.", WIDTH, break_on_hyphens=False)
