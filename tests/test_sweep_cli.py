"""`ufm sweep`, `ufm runs` and `ufm merge`: from a file to a table, refusals in one line, exit statuses."""

import io
import json
import signal
import sys
from types import SimpleNamespace

import pytest

from ufm.cli import main
from ufm.face import line as line_module
from ufm.face import sweep as face
from ufm.face.line import Line
from ufm.sweep import rows as rows_module
from ufm.sweep.describe import canonical
from ufm.sweep.driver import SweepProgress
from ufm.sweep.rows import FAILED, failed_row
from ufm.sweep.store import opened, read_rows, write_rows

FILE = """
[problem]
K = 2
n = 2
d = 2
lam_W = 2e-2
lam_H = 1e-2
[axes]
lam_W = [1e-2, 2e-2]
key = { range = [0, 3] }
"""


def run(capsys, *argv):
    status = main([str(part) for part in argv])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_command_line_from_a_file_to_a_table(tmp_path, capsys):
    spec, store = tmp_path / "s.toml", tmp_path / "s.sqlite"
    spec.write_text(FILE)
    status, out, err = run(capsys, "sweep", spec, "--export", tmp_path / "s.csv")
    assert status == 0
    assert "6 rows over lam_W[2] x key[3]: 6 CONVERGED; 6 computed now" in out
    assert "verdict: 6 GLOBAL_MINIMUM" in out
    assert "theorem: 6 T7" in out
    assert "6/6 rows" in err
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 7
    status, out, _ = run(capsys, "sweep", spec, "--json")
    record = json.loads(out)
    assert (record["computed"], record["columns"]["lam_W"]) == (0, [1e-2] * 3 + [2e-2] * 3)
    _, out, _ = run(capsys, "runs", "list", store)
    identity = out.split()[0]
    assert out.split("  ")[2:] == ["6/6 rows", "lam_W[2] x key[3]\n"]
    shown = run(capsys, "runs", "show", store, identity[:4])[1]
    assert shown.startswith("6 rows over lam_W[2] x key[3]: 6 CONVERGED")
    assert "in all rows: dtype=float64, problem.K=2, problem.d=2, problem.lam_H=0.01" in shown
    assert "problem.lam_W" not in shown
    assert run(capsys, "runs", "export", store, "--out", tmp_path / "t.csv")[0] == 0
    assert (tmp_path / "t.csv").read_text() == (tmp_path / "s.csv").read_text()
    status, out, _ = run(capsys, "merge", tmp_path / "all.sqlite", store)
    assert out == "6 rows added, 0 known already, 0 damaged ones left behind\n"
    status, out, _ = run(capsys, "runs", "compare", store, f"{tmp_path / 'all.sqlite'}:{identity}")
    assert status == 0
    assert out.startswith("6 common rows, 0 only in")
    with opened(store) as held:
        entries = read_rows(held, [key for (key,) in held.connection.execute("SELECT key FROM rows")])[0]
        held.connection.execute("DELETE FROM rows")
        write_rows(held, [(canonical(e.configuration), e.record | {"value": 1.0}) for e in entries.values()])
    status, out, _ = run(capsys, "runs", "compare", store, tmp_path / "all.sqlite")
    assert status == 1
    assert "value" in out
    assert "6 rows differ" in out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["sweep", "none.toml"], "none.toml: No such file"),
        (["sweep", "bad.toml"], "unknown key problem.lam_w. Did you mean lam_W?"),
        (["sweep", "s.toml", "--jobs", "0"], "--jobs 0 runs nothing"),
        (["sweep", "s.toml", "--jobs", "2", "--devices"], "--devices runs in one process. Pass it or --jobs."),
        (["sweep", "s.toml", "--export", "s.txt"], "s.txt: no known suffix. Use one of .csv, .parquet, .nc."),
        (["sweep", "s.toml", "--export", "no/s.csv"], "there is no directory no"),
        (["sweep", "s.toml", "--store", "s.toml"], "s.toml is no store of ufm"),
        (["runs", "list", "none.sqlite"], "there is no file none.sqlite"),
        (["runs", "show", "empty.sqlite"], "has no sweep"),
        (["runs", "export", "empty.sqlite", "--out", "x.csv"], "has no sweep"),
        (["runs", "compare", "empty.sqlite", "none.sqlite:ab"], "has no sweep"),
        (["merge", "a.sqlite", "none.sqlite"], "there is no file none.sqlite"),
    ],
)
def test_the_command_line_refuses_in_one_line(tmp_path, capsys, monkeypatch, argv, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.toml").write_text(FILE)
    (tmp_path / "bad.toml").write_text(FILE.replace("lam_W = 2e-2", "lam_w = 2e-2"))
    with opened(tmp_path / "empty.sqlite"):
        pass
    status, out, err = run(capsys, *argv)
    assert (status, out) == (2, "")
    assert said in err
    assert err.startswith(f"ufm {argv[0]}: ")
    assert err.count("\n") == 1


def test_the_exit_status_tells_of_faults_and_interrupts(tmp_path, capsys, monkeypatch):
    (tmp_path / "s.toml").write_text(FILE)

    def broken(cases, size, columns):
        return [failed_row(case, size, FAILED, f"no {case.key}") for case in cases]

    monkeypatch.setattr(rows_module, "_rows", broken)
    monkeypatch.setattr("ufm.face.runs.SHOWN", 2)
    status, out, _ = run(capsys, "sweep", tmp_path / "s.toml")
    assert status == 1
    assert out.splitlines()[1:4] == ["2 rows failed: no 0", "2 rows failed: no 1", "and 1 other messages"]
    status, again, _ = run(capsys, "sweep", tmp_path / "s.toml", "--devices")
    assert (status, again) == (1, out)

    def interrupted(cases, size, columns):
        signal.raise_signal(signal.SIGINT)
        return [failed_row(case, size, "CONVERGED", "") for case in cases]

    monkeypatch.setattr(rows_module, "_rows", interrupted)
    (tmp_path / "t.toml").write_text("chunk = 1\n" + FILE)
    status, out, _ = run(capsys, "sweep", tmp_path / "t.toml")
    assert status == 130
    assert "1 CONVERGED, 5 NOT_RUN" in out


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_progress_is_a_bar_of_tqdm_where_it_is_installed_and_a_line_elsewhere(monkeypatch):
    made = []

    def bar(**options):
        made.append(SimpleNamespace(n=0, options=options, closed=False, failed=None))
        made[-1].update = lambda more: setattr(made[-1], "n", made[-1].n + more)
        made[-1].set_postfix = lambda failed, refresh: setattr(made[-1], "failed", failed)
        made[-1].close = lambda: setattr(made[-1], "closed", True)
        return made[-1]

    monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace(tqdm=bar))
    stream = Terminal()
    line = face._reporter(stream)
    line.end()  # nothing was shown
    for done, failed in ((2, 0), (5, 1)):
        line.show(SweepProgress(done, failed, 5, 1.0))
    line.end()
    assert [(b.n, b.failed, b.closed, b.options["total"], b.options["file"]) for b in made] == [(5, 1, True, 5, stream)]
    assert isinstance(face._reporter(io.StringIO()), Line)  # no terminal
    monkeypatch.setitem(sys.modules, "tqdm", None)
    line = face._reporter(stream)
    line.show(SweepProgress(5, 1, 5, 2.5))
    line.end()
    assert "5/5 rows, 1 failed, 2.5/s, 0:00 left" in stream.getvalue()
    assert stream.getvalue().endswith("\r")


def test_a_file_gets_the_first_line_the_last_one_and_one_every_ten_seconds(monkeypatch):
    clock = iter([50.0, 59.0, 60.0, 61.0, 62.0])
    monkeypatch.setattr(line_module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    stream, screen = io.StringIO(), Terminal()
    line = Line(stream, lambda done: (f"{done} of 5", done == 5))
    for done in range(1, 6):
        line.show(done)
    line.end()
    assert stream.getvalue() == "1 of 5\n3 of 5\n5 of 5\n"
    monkeypatch.undo()
    line = Line(screen, lambda done: ("x" * done, False))
    line.show(1)
    line.show(100)
    line.end()
    assert screen.getvalue() == f"\rx{'':78}\r{'x' * 79}\r{'':79}\r"
