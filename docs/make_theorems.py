"""Writes docs/theorems/ from the claims: `python docs/make_theorems.py`, after any change of a claim.

What stands in a page between its title and MARK is written by hand and kept; all else follows from the claims.
"""

from itertools import groupby
from pathlib import Path

from ufm.face.pages.claims import family_title, reading_order
from ufm.face.pages.html import maths
from ufm.verify.claim import Claim
from ufm.verify.runner import all_claims

FOLDER = Path(__file__).parent / "theorems"
INDEX = "README"
MARK = "<!-- What follows is written by docs/make_theorems.py. -->"


def families() -> dict[str, tuple[Claim, ...]]:
    """topic -> its claims, in the order of reading."""
    found = {
        topic: tuple(claim for _, claim in pairs) for topic, pairs in groupby(all_claims(), key=lambda pair: pair[0])
    }
    return dict(sorted(found.items(), key=lambda family: reading_order(family[1][0].id)))


def pages() -> dict[Path, str]:
    """Every page as it should be: file -> text.

    Raises:
        ValueError: a page has no introduction.
    """
    found = families()
    written = {INDEX: _index(found)} | {topic: _family(topic, claims) for topic, claims in found.items()}
    return {FOLDER / f"{name}.md": _page(FOLDER / f"{name}.md", *parts) for name, parts in written.items()}


def _page(path: Path, title: str, body: str) -> str:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    introduction = text.partition(MARK)[0].partition("\n")[2].strip()
    if not introduction:
        raise ValueError(f"{path.name}: no introduction. Write the file: a title, then two to six sentences.")
    return f"# {title}\n\n{introduction}\n\n{MARK}\n\n{body}"


def _family(topic: str, claims: tuple[Claim, ...]) -> tuple[str, str]:
    """Title and body of the page of one family."""
    parts = []
    for heading, boundary in (("Verified", False), ("Where statements stop", True)):
        chosen = [claim for claim in claims if claim.boundary is boundary]
        parts += [f"## {heading}\n", *map(_claim, chosen)] if chosen else []
    ids = ",".join(claim.id for claim in claims)
    parts.append(f"## Run them\n\n    ufm verify --only {ids}\n")
    return _markdown(family_title(topic)), "\n".join(parts)


def _claim(claim: Claim) -> str:
    named = {"Source": claim.source, "Assumes": claim.assumptions, "Allowed difference": claim.tolerance}
    lines = [f"- *{name}:* {_markdown(maths(text))}" for name, text in named.items()]
    return "\n".join([f"### {claim.id}\n", _markdown(maths(claim.statement)), "", *lines, ""])


def _index(found: dict[str, tuple[Claim, ...]]) -> tuple[str, str]:
    """Title and body of the list of all families."""
    lines = ["| family | verified | where statements stop |", "|---|---|---|"]
    for topic, claims in found.items():
        links = [", ".join(_link(topic, c.id) for c in claims if c.boundary is boundary) for boundary in (False, True)]
        lines.append(f"| [{_markdown(family_title(topic))}]({topic}.md) | {' | '.join(links)} |")
    claims = [claim for family in found.values() for claim in family]
    boundary = sum(claim.boundary for claim in claims)
    total = f"{len(claims)} claims in {len(found)} families, {boundary} of them on where a statement stops."
    return "Theorems", "\n".join([total, "", *lines, ""])


def _link(topic: str, id: str) -> str:
    return f"[{id}]({topic}.md#{id.lower().replace('.', '')})"


def _markdown(html: str) -> str:
    """HTML as it is, with the signs escaped that Markdown would read as its own."""
    return html.replace("*", r"\*").replace("_", r"\_").replace("|", r"\|")


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path.name)
