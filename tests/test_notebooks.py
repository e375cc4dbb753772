"""The notebooks: the scripts run and their checks hold, and the executed notebooks are those of the scripts."""

import ast
import importlib
import json
import pathlib
import re
import types

import matplotlib.pyplot as plt
import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "notebooks"
SCRIPTS = sorted(FOLDER.glob("[0-9]*.py"))
LONG = {"03_landscape", "09_trained_network", "10_transfer"}  # run by .ci/run


def _stem(path: pathlib.Path) -> str:
    return path.stem


@pytest.fixture(scope="module")
def percent():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        return importlib.import_module("percent")


def test_there_are_all_of_them():
    assert [path.stem[:2] for path in SCRIPTS] == [f"{i:02d}" for i in range(1, 12)]
    linked = re.findall(r"\((\S+\.ipynb)\)", (FOLDER / "README.md").read_text())
    assert linked == [f"{path.stem}.ipynb" for path in SCRIPTS]


def test_those_that_are_not_run_here_are_run_by_ci():
    script = FOLDER.parent / ".ci" / "run"
    if not script.exists():
        pytest.skip("a source distribution has no .ci")
    (listed,) = re.findall(r"for name in (.*); do\n.*cd notebooks .*python", script.read_text())
    assert set(listed.split()) == LONG


@pytest.mark.parametrize("path", [path for path in SCRIPTS if path.stem not in LONG], ids=_stem)
def test_the_script_runs_and_its_check_holds(path, monkeypatch, capsys):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    plt.switch_backend("agg")
    monkeypatch.setattr(plt, "show", lambda: None)  # it warns where there is a screen
    try:
        exec(compile(path.read_text(), path.name, "exec"), vars(types.ModuleType(path.stem)))
    finally:
        plt.close("all")
    assert capsys.readouterr().out


@pytest.mark.parametrize("path", SCRIPTS, ids=_stem)
def test_a_script_asks_one_question_defines_nothing_and_ends_with_a_check(path, percent):
    cells = percent.cells(path.read_text())
    assert len(cells) <= 10
    assert cells[0].kind == "markdown"
    assert re.match(r"# [^\n]+\?\n", cells[0].source)
    code = [ast.parse(cell.source) for cell in cells if cell.kind == "code"]
    kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef, ast.Lambda)
    assert not [node for tree in code for node in ast.walk(tree) if isinstance(node, kinds)]
    assert cells[-1].kind == "code"
    assert isinstance(code[-1].body[-1], ast.Assert)


@pytest.mark.parametrize("path", SCRIPTS, ids=_stem)
def test_the_notebook_is_the_script_executed_and_clean(path, percent):
    text = path.with_suffix(".ipynb").read_text()
    cells = json.loads(text)["cells"]
    told = f"Run: python notebooks/make.py {path.stem[:2]}"
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in cells] == percent.cells(path.read_text()), told
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), told
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert {output["name"] for output in outputs if output["output_type"] == "stream"} == {"stdout"}
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not re.search(r"/(home|root|tmp|work|usr|Users)/|Warning|\d\d:\d\d:\d\d", text)
    assert len(text) < 400_000


def test_a_script_that_is_no_notebook_is_refused(percent):
    with pytest.raises(ValueError, match="line 1: stands before the first cell"):
        percent.cells("import ufm\n")
    with pytest.raises(ValueError, match="line 2: '# %%% x' is no cell"):
        percent.cells("# %%\n# %%% x\n")
    with pytest.raises(ValueError, match="line 2: Markdown without the sign"):
        percent.cells("# %% [markdown]\ntext\n")
    assert percent.cells("# %% [markdown]\n# a\n#\n# b\n\n# %%\nx = 1\n\n") == [
        ("markdown", "a\n\nb"),
        ("code", "x = 1"),
    ]
