"""The pages of docs/: their Python runs, their links lead somewhere, and the theorems are those of the claims."""

import ast
import contextlib
import importlib
import pathlib
import re
import textwrap

import pytest

import ufm
from ufm import networks, transfer

ROOT = pathlib.Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("**/*.md"))
PAGES = [*DOCS, ROOT / "README.md", *sorted(ROOT.glob("*/README.md"))]
ELSEWHERE = {"contributing.md"}  # run by tests/test_contributing.py
WITH_CODE = [path for path in DOCS if "```python" in path.read_text() and path.name not in ELSEWHERE]


def _name(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", WITH_CODE, ids=_name)
def test_python_of_the_pages_runs(path, capsys):
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", path.read_text(), flags=re.DOTALL):
        exec(compile(code, path.name, "exec"), names)
    assert capsys.readouterr().out


def test_names_in_the_blocks_that_are_too_long_to_run_are_there():
    """Those that are indented: trainings, several devices. What is no Python is a command."""
    modules = {"ufm": ufm, "networks": networks, "transfer": transfer}
    called = []
    for page in PAGES:
        for block in re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", page.read_text(), re.MULTILINE):
            with contextlib.suppress(SyntaxError):
                tree = ast.parse(textwrap.dedent(block))
                called += [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    named = [(node.value.id, node.attr) for node in called if isinstance(node.value, ast.Name)]
    ours = [(module, name) for module, name in named if module in modules]
    assert {("networks", "last_layer"), ("transfer", "finetune"), ("ufm", "SpawnPool")} <= set(ours)
    assert [name for name in ours if not hasattr(modules[name[0]], name[1])] == []


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if re.match(r"\w+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.is_relative_to(ROOT), target
        if not (ROOT / linked.relative_to(ROOT).parts[0]).exists():
            continue  # a source distribution has no benchmarks
        assert linked.exists(), target
        assert not anchor or anchor in _anchors(linked.read_text()), target


def _anchors(text: str) -> set[str]:
    """Of the headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.fixture
def theorems(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("make_theorems")


def test_the_theorems_are_those_of_the_claims(theorems):
    pages = theorems.pages()
    told = "Run: python docs/make_theorems.py"
    assert {path for path in DOCS if path.parent == theorems.FOLDER} == set(pages), told
    for path, text in pages.items():
        assert path.read_text() == text, told
    assert "strict local minima that are not global" in pages[theorems.FOLDER / "landscape.md"]


def test_a_family_without_an_introduction_is_named(theorems, monkeypatch, tmp_path):
    monkeypatch.setattr(theorems, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"README\.md: no introduction\. Write the file"):
        theorems.pages()
    (tmp_path / "README.md").write_text(f"# Title\n\n{theorems.MARK}\n")
    with pytest.raises(ValueError, match=r"README\.md: no introduction"):
        theorems.pages()
