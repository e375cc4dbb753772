"""`ufm solve` from its options to its output: every flag, every refusal, the report, the JSON, the files."""

import io
import json
import math
import sys

import numpy as np
import pytest

import ufm.face.solve
from ufm.cli import main
from ufm.face.record import _plain
from ufm.face.text import WIDTH

SMALL = ["solve", "--K", "3", "--n", "4", "--d", "4"]
QUICK = [*SMALL, "--no-figure"]


def run(capsys, *argv):
    """(exit status, stdout, stderr) of one command."""
    try:
        status = main(list(argv))
    except SystemExit as stop:
        status = stop.code
    out, err = capsys.readouterr()
    return status, out, err


def solved(capsys, *argv):
    """The record that a command prints as JSON."""
    status, out, err = run(capsys, *argv, "--no-figure", "--json")
    assert err == ""
    return status, json.loads(out)


def test_alone_it_prints_help(capsys):
    status, out, _ = run(capsys)
    assert status == 0
    assert "ufm [-h] [--version] command" in out


def test_version_and_help(capsys):
    status, out, _ = run(capsys, "--version")
    assert (status, out.split()[0]) == (0, "ufm")
    status, out, _ = run(capsys, "solve", "--help")
    assert status == 0
    assert "exit status: 0 the solve converged" in out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--K", "1"], "K=1 (one class has nothing to separate)"),
        (["--K", "0"], "K=0"),
        (["--K", "x"], "argument --K: invalid int value: 'x'"),
        (["--n", "0"], "class size n=0"),
        (["--n", "5,0"], "class size n=0"),
        (["--n", "5,x"], "'5,x' is neither an integer nor integers with commas"),
        (["--n", "5,"], "'5,' is neither"),
        (["--n", "5,4", "--K", "3"], "n has 2 class sizes, but K=3"),
        (["--d", "0"], "d=0"),
        (["--lam-W", "0"], "lam_W=0 has no minimiser"),
        (["--lam-W=-1"], "lam_W=-1.0 is not a finite positive decay"),
        (["--lam-H", "nan"], "lam_H=nan"),
        (["--lam-H", "1e-310"], "is outside [1e-100, 1e+100]"),
        (["--lam-b=-1"], "lam_b=-1.0 is not a finite non-negative decay"),
        (["--lam-b", "x"], "'x' is neither a number nor none"),
        (["--loss", "hinge"], "argument --loss: invalid choice: 'hinge'"),
        (["--smoothing", "1"], "smoothing=1.0 is outside [0, 1)"),
        (["--smoothing", "0.1", "--loss", "mse"], "--smoothing would have no effect: it belongs to --loss ce."),
        (["--solver", "magic"], "argument --solver: invalid choice: 'magic'"),
        (["--lr", "1"], "--lr would have no effect"),
        (["--lr", "1", "--solver", "lbfgs"], "--lr would have no effect"),
        (["--momentum", "0.5", "--solver", "adam"], "--momentum would have no effect"),
        (["--lr=-1", "--solver", "sgd"], "--lr -1 is not a finite number >= 0."),
        (["--momentum", "nan", "--solver", "sgd"], "--momentum nan is not a finite number >= 0."),
        (["--start", "zero"], "argument --start: invalid choice: 'zero'"),
        (["--start", "etf", "--d", "3"], "d=3 has no simplex ETF of K=10 classes"),
        (["--start", "etf", "--key", "0"], "--key would have no effect"),
        (["--start", "etf", "--scale", "inf"], "scale=inf is not a finite positive number"),
        (["--key=-1"], "key=-1 is not a seed"),
        (["--scale", "0"], "scale=0.0 is not a finite positive number"),
        (["--gtol", "0"], "gtol=0.0 is not a finite positive number"),
        (["--gtol", "1e-30"], "gtol=1e-30 is below float64 resolution"),
        (["--gtol", "1e-9", "--dtype", "float32"], "gtol=1e-09 is below float32 resolution"),
        (["--max-steps", "0"], "max_steps=0 (that allows no step)"),
        (["--max-steps=-3"], "max_steps=-3 (that allows no step)"),
        (["--dtype", "float16"], "argument --dtype: invalid choice: 'float16'"),
        (["--out", "nowhere/at/all"], "--out nowhere/at/all: there is no directory nowhere/at"),
        (["--verbose"], "unrecognized arguments: --verbose"),
    ],
)
def test_bad_input_is_refused_in_one_line(capsys, argv, said):
    status, out, err = run(capsys, "solve", *argv)
    assert status == 2
    assert out == ""
    assert said in err
    assert err.startswith("ufm")
    assert err.count("\n") == 1


def test_an_unknown_command_is_refused(capsys):
    status, _, err = run(capsys, "dissolve")
    assert status == 2
    assert "invalid choice: 'dissolve'" in err


def test_a_directory_without_permission_is_refused(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(ufm.face.solve.os, "access", lambda path, mode: False)
    status, _, err = run(capsys, "solve", "--out", str(tmp_path / "x"))
    assert status == 2
    assert "no permission to write" in err


def test_a_fault_of_ours_is_not_called_bad_input(monkeypatch):
    def broken(*args, **options):
        raise ValueError("while_loop: body function carry")

    monkeypatch.setattr(ufm.face.solve, "solve", broken)
    with pytest.raises(ValueError, match="body function carry"):
        main(QUICK)


def test_an_interrupt_ends_quietly(capsys, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(ufm.face.solve, "solve", interrupted)
    status, out, err = run(capsys, *QUICK)
    assert (status, out, err) == (130, "", "ufm solve: interrupted.\n")


def test_the_report_and_the_picture(capsys, tmp_path):
    status, out, err = run(capsys, *SMALL, "--out", str(tmp_path))
    assert (status, err) == (0, "")
    lines = out.splitlines()
    titles = [line.split()[0] for line in lines if line and line[0] != " "]
    assert titles == ["problem", "solve", "point", "Hessian", "collapse", "theory", "picture"]
    assert len(lines) <= 50
    assert max(len(line) for line in lines if "picture" not in line) <= WIDTH
    assert not [line for line in lines if line != line.rstrip()]
    for said in (
        "K=3 classes, 4 samples each (N=12), d=4 features",
        "trust-region Newton, random start (key 0, scale 1), float64",
        "CONVERGED: gradient",
        "GLOBAL MINIMUM: no point is lower by more than",
        "symmetry 5, theory 5",
        "T7: The class means",
        "0 of 12 samples differ",
    ):
        assert said in out
    for suffix, magic in ((".png", b"\x89PNG"), (".pdf", b"%PDF")):
        assert (tmp_path / f"ufm-solve{suffix}").read_bytes().startswith(magic)


@pytest.mark.parametrize(
    ("out", "target"),
    [("x", "x"), ("x.png", "x"), ("x.pdf", "x"), ("x.y", "x.y"), (".", "ufm-solve"), ("sub/", "sub/ufm-solve")],
)
def test_the_picture_goes_where_it_is_told(tmp_path, monkeypatch, out, target):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    assert str(ufm.face.solve.target_path(out, "ufm-solve")) == target


def test_the_json_names_the_pictures(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = run(capsys, *SMALL, "--out", "x.y", "--json")
    assert status == 0
    assert json.loads(out)["pictures"] == ["x.y.png", "x.y.pdf"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.y.pdf", "x.y.png"]


def test_without_figure_no_file_is_written(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = run(capsys, *QUICK)
    assert status == 0
    assert "picture" not in out
    assert not list(tmp_path.iterdir())


def test_the_json_is_strict_and_says_what_the_report_says(capsys):
    status, record = solved(capsys, *SMALL)
    assert status == 0
    assert list(record) == [
        "schema", "software", "problem", "solution", "certificate", "collapse", "theory", "seconds", "pictures"
    ]  # fmt: skip
    assert record["schema"] == "ufm-solve/1"
    assert record["problem"] == {
        "loss": "cross-entropy", "smoothing": 0.0, "K": 3, "sizes": [4, 4, 4], "N": 12, "d": 4,
        "lam_W": 5e-3, "lam_H": 5e-3, "lam_b": 1e-2,
    }  # fmt: skip
    assert record["solution"]["status"] == "CONVERGED"
    assert record["certificate"]["verdict"] == "GLOBAL_MINIMUM"
    assert record["certificate"]["nullity"] == record["certificate"]["symmetry"] == 5
    assert record["theory"]["theorem"] == "T7"
    assert len(record["theory"]["rows"]) == 14
    assert all(row["difference"] < 1e-9 for row in record["theory"]["rows"])
    assert record["collapse"]["metrics"]["nc1"] < 1e-15
    assert len(record["collapse"]["metrics"]["spectrum"]) == 3
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_what_json_does_not_know_is_null():
    values = {"a": math.nan, "b": [math.inf, 1.0], "c": np.float64("nan"), "d": np.arange(3), "e": np.zeros(1000)}
    plain = {"a": None, "b": [None, 1.0], "c": None, "d": [0, 1, 2], "e": None}
    assert _plain({**values, "f": ufm.Status.STALLED, "g": (True, None, "x", np.int64(4))}) == {
        **plain,
        "f": "STALLED",
        "g": [True, None, "x", 4],
    }


def test_options_of_the_problem_and_the_start(capsys):
    # Everything that is a leaf of the problem or of the start: one compilation serves all of these.
    base = solved(capsys, *SMALL)[1]
    assert solved(capsys, *SMALL, "--key", "0", "--scale", "1")[1]["solution"]["value"] == base["solution"]["value"]
    assert solved(capsys, *SMALL, "--key", "1")[1]["solution"]["evaluations"] != base["solution"]["evaluations"]
    other = solved(capsys, *SMALL, "--scale", "0.1")[1]["solution"]
    assert other["value"] == pytest.approx(base["solution"]["value"])
    assert other["method"] == "trust-region Newton, random start (key 0, scale 0.1), float64"
    record = solved(capsys, *SMALL, "--smoothing", "0.1", "--lam-W", "1e-2", "--lam-H", "2e-2", "--lam-b", "3e-2")[1]
    assert [record["problem"][name] for name in ("smoothing", "lam_W", "lam_H", "lam_b")] == [0.1, 1e-2, 2e-2, 3e-2]
    assert record["problem"]["loss"] == "cross-entropy, smoothing 0.1"
    assert max(row["difference"] for row in record["theory"]["rows"]) < 1e-9


def test_a_solve_that_does_not_converge_exits_with_1(capsys):
    status, out, _ = run(capsys, *QUICK, "--max-steps", "2")
    assert status == 1
    assert "MAX_STEPS: gradient" in out
    assert "NOT A CRITICAL POINT" in out


def test_a_looser_gtol_is_enough_for_the_certificate(capsys):
    status, record = solved(capsys, *SMALL, "--gtol", "1e-3")
    assert status == 0
    assert record["solution"]["grad_norm"] > 1e-8
    assert record["certificate"]["verdict"] != "NOT_CRITICAL"


def test_a_collapse_to_zero_is_told(capsys, tmp_path):
    strong = [*SMALL, "--lam-W", "0.5", "--lam-H", "0.5"]
    status, out, _ = run(capsys, *strong, "--out", str(tmp_path))
    assert status == 0
    assert "W H = 0 (largest logit" in out
    assert "NC1-NC4 are undefined" in out
    assert solved(capsys, *strong)[1]["collapse"]["metrics"] is None


def test_class_sizes_set_K_and_theory_says_why_it_is_silent(capsys):
    status, out, _ = run(capsys, "solve", "--n", "6,3,2", "--d", "4", "--no-figure")
    assert status == 0
    assert "K=3 classes, sizes 6, 3, 2 (N=11)" in out
    assert "No closed form here: the certificate alone decides." in out
    assert "sizes (6, 3, 2) are 3 different ones" in " ".join(out.split())
    status, record = solved(capsys, "solve", "--n", "6,3,2", "--d", "4")
    assert record["theory"]["theorem"] is None
    assert "(6, 3, 2)" in record["theory"]["reasons"][0]


def test_mean_squared_error_without_bias(capsys):
    status, record = solved(capsys, *SMALL, "--loss", "mse", "--lam-b", "none", "--lam-W", "0.02", "--lam-H", "0.02")
    assert status == 0
    assert record["problem"]["loss"] == "mean squared error"
    assert record["problem"]["lam_b"] is None
    assert record["certificate"]["grad_b"] is None
    assert record["theory"]["theorem"] == "T8"
    assert max(row["difference"] for row in record["theory"]["rows"]) < 1e-9


def test_lbfgs_with_a_free_bias(capsys):
    status, record = solved(capsys, *SMALL, "--solver", "lbfgs", "--lam-b", "0")
    assert status == 0
    assert record["problem"]["lam_b"] == 0.0
    assert record["solution"]["method"].startswith("L-BFGS, ")


def test_gradient_descent_from_the_simplex(capsys, tmp_path):
    argv = [
        *SMALL,
        "--solver",
        "sgd",
        "--lr",
        "2",
        "--momentum",
        "0.5",
        "--start",
        "etf",
        "--scale",
        "2",
        "--gtol",
        "1e-6",
    ]
    status, out, _ = run(capsys, *argv, "--out", str(tmp_path))
    assert status == 0
    assert "gradient descent (lr 2, momentum 0.5), simplex ETF start (scale 2), float64" in out


def test_a_solve_that_diverges_is_reported_without_a_certificate(capsys, tmp_path):
    argv = [*SMALL, "--solver", "sgd", "--lr", "1e9", "--out", str(tmp_path)]
    status, out, err = run(capsys, *argv)
    assert (status, err) == (1, "")
    assert "NONFINITE" in out
    assert "point" not in out.split()
    assert not list(tmp_path.iterdir())
    record = json.loads(run(capsys, *argv, "--json")[1])
    assert record["certificate"] is None
    assert record["solution"]["value"] is None


def test_adam_in_float32(capsys):
    status, record = solved(capsys, *SMALL, "--solver", "adam", "--dtype", "float32", "--max-steps", "50")
    assert status == 1
    assert record["solution"]["method"] == "Adam (lr 0.01), random start (key 0, scale 1), float32"
    assert record["solution"]["steps"] == 50


def test_progress_is_one_line_on_a_terminal(capsys, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(QUICK) == 0
    shown = terminal.getvalue()
    assert "\n" not in shown
    assert "compiling ..." in shown
    assert "certifying ..." in shown
    assert shown.endswith(f"\r{'':79}\r")
    assert "\r" not in capsys.readouterr().out
