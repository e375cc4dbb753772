"""The recipes of docs/contributing.md run as printed, and do what they promise."""

import pathlib
import re


def test_the_recipes_run(capsys):
    text = (pathlib.Path(__file__).parents[1] / "docs" / "contributing.md").read_text()
    names = {"__name__": "recipes"}
    for code in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(compile(code, "contributing.md", "exec"), names)
    loss, model, theorem = capsys.readouterr().out.splitlines()
    assert loss == "CONVERGED GLOBAL_MINIMUM"
    assert model.startswith("CONVERGED NC1 ")
    assert 0 <= float(model.split()[-1]) < 1e-15
    assert theorem == "HOLDS"
