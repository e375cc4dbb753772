"""Scripts in the percent format, as jupytext reads it: `# %% [markdown]` or `# %%`, then the lines of one cell."""

from typing import NamedTuple

MARKDOWN, CODE = "# %% [markdown]", "# %%"


class Cell(NamedTuple):
    """kind: "markdown" or "code"; source: without the comment signs of Markdown."""

    kind: str
    source: str


def cells(script: str) -> list[Cell]:
    """The cells of a script.

    Raises:
        ValueError: lines before the first cell, a cell that is marked otherwise, Markdown that is no comment.
    """
    found: list[tuple[str, list[str]]] = []
    for number, line in enumerate(script.splitlines(), 1):
        if line.startswith(CODE):
            if line not in (MARKDOWN, CODE):
                raise ValueError(f"line {number}: {line!r} is no cell. Write {MARKDOWN!r} or {CODE!r}.")
            found.append(("markdown" if line == MARKDOWN else "code", []))
        elif not found:
            raise ValueError(f"line {number}: stands before the first cell. Write {MARKDOWN!r} or {CODE!r} above it.")
        elif found[-1][0] == "markdown" and line and not line.startswith("#"):
            raise ValueError(f"line {number}: Markdown without the sign of a comment. Put '# ' before it.")
        else:
            found[-1][1].append(line)
    return [Cell(kind, _source(kind, lines)) for kind, lines in found]


def _source(kind: str, lines: list[str]) -> str:
    text = [line.removeprefix("#").removeprefix(" ") for line in lines] if kind == "markdown" else lines
    return "\n".join(text).strip("\n")
