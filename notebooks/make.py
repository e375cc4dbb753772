"""Runs the notebooks: `python notebooks/make.py [NN ...]` writes NN_name.ipynb from NN_name.py (extra: ufm[notebooks]).

What is written depends on the scripts and on the numbers alone: no times, no paths, no versions.
"""

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from percent import cells

FOLDER = Path(__file__).parent
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
MADE = {"markdown": new_markdown_cell, "code": new_code_cell}


def make(script: Path) -> Path:
    """The executed notebook beside a script.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised.
    """
    made = [MADE[cell.kind](cell.source, id=f"cell-{i}") for i, cell in enumerate(cells(script.read_text("utf-8")), 1)]
    notebook = new_notebook(cells=made, metadata=METADATA)
    resources = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, record_timing=False, coalesce_streams=True, resources=resources).execute()
    notebook.metadata = nbformat.from_dict(METADATA)
    target = script.with_suffix(".ipynb")
    nbformat.validate(notebook)
    target.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    return target


if __name__ == "__main__":
    for script in sorted(FOLDER.glob("[0-9]*.py")):
        if not sys.argv[1:] or script.name.startswith(tuple(sys.argv[1:])):
            clock = time.perf_counter()
            print(f"{make(script).name}: {time.perf_counter() - clock:.1f} s")
