"""The README's Python runs as printed, and says what it promises."""

import pathlib
import re


def test_the_readme_runs(capsys):
    text = (pathlib.Path(__file__).parents[1] / "README.md").read_text()
    code, *others = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("CONVERGED GLOBAL_MINIMUM")
    assert any("margin" in line for line in lines)
    assert 0 <= float(lines[-1]) < 1e-20
    for other in others:
        exec(compile(other, "README.md", "exec"), {})
    assert "rank 9 of the class means" in capsys.readouterr().out
