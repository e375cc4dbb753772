"""Sweeps without their execution: names and grids, configurations as text, results, files that describe a sweep."""

import csv
import functools
import importlib.util
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import optax
import pytest

import ufm
from ufm.solve import default_solver
from ufm.sweep.case import explicit
from ufm.sweep.describe import canonical, describe, parse
from ufm.sweep.export import export
from ufm.sweep.grid import Axis, coordinates, labels
from ufm.sweep.results import NOT_RUN, collected
from ufm.sweep.spec import PARTS, parse_spec, read_spec
from ufm.sweep.version import source_digest

BASE = ufm.Problem(K=3, n=4, d=4, lam_W=1e-2, lam_H=1e-2, lam_b=1e-2)


def test_a_product_has_every_combination_the_last_axis_fastest():
    grid = ufm.grid(BASE, lam_W=[1e-3, 1e-2], d=[3, 4, 5], key=range(2))
    assert grid.shape == (2, 3, 2)
    expected = [(w, d, k) for w in (1e-3, 1e-2) for d in (3, 4, 5) for k in (0, 1)]
    assert [(c.problem.lam_W, c.problem.d, c.key) for c in grid.cases] == expected
    found = grid.coordinates()
    assert list(zip(found["lam_W"], found["d"], found["key"], strict=True)) == expected
    assert all(c.problem.lam_H == 1e-2 for c in grid.cases)


def test_zipped_axes_move_together():
    grid = ufm.grid(BASE, ufm.zipped(lam_W=[1e-3, 1e-2], lam_H=[1e-1, 1.0]), key=[5, 6])
    assert [(c.problem.lam_W, c.problem.lam_H, c.key) for c in grid.cases] == [
        (1e-3, 1e-1, 5), (1e-3, 1e-1, 6), (1e-2, 1.0, 5), (1e-2, 1.0, 6)
    ]  # fmt: skip
    assert grid.axes[0].names == ("lam_W", "lam_H")


def test_an_explicit_list_of_points():
    points = [{"K": 3, "d": 4}, {"K": 4, "d": 3}, {"K": 5, "d": 9}]
    assert [(c.problem.K, c.problem.d) for c in ufm.grid(BASE, points).cases] == [(3, 4), (4, 3), (5, 9)]


@pytest.mark.parametrize(
    ("base", "name", "value", "read"),
    [
        (BASE, "smoothing", 0.25, lambda c: c.problem.loss.smoothing),
        (BASE, "loss.smoothing", 0.25, lambda c: c.problem.loss.smoothing),
        (BASE, "n", (5, 3, 2), lambda c: c.problem.n),
        (BASE, "lam_b", None, lambda c: c.problem.lam_b),
        (BASE, "scale", 2.0, lambda c: c.start.scale),
        (BASE, "gtol", 1e-9, lambda c: c.gtol),
        (BASE, "max_steps", 7, lambda c: c.max_steps),
        (BASE, "radius", 2.0, lambda c: c.solver.radius),
        (BASE, "dtype", "float32", lambda c: c.dtype),
        (ufm.Case(BASE, solver=ufm.FirstOrder(optax.sgd(1.0))), "rate", 0.5, lambda c: c.solver.rate),
        (ufm.Problem(3, 4, 3, model=ufm.normalized(1.0)), "tau", 5.0, lambda c: c.problem.model.tau),
        (
            ufm.Problem(3, 4, 3, model=ufm.layer_peeled(1.0, 2.0)),
            "model.H.mean_square",
            5.0,
            lambda c: c.problem.model.H.mean_square,
        ),
    ],
)
def test_a_name_reaches_what_a_problem_a_solver_or_a_start_takes(base, name, value, read):
    (case,) = ufm.grid(base, [{name: value}]).cases
    assert read(case) == value


def test_a_default_solver_is_that_of_solve_and_follows_the_problem():
    """Until something inside of it is named; written out it is the same configuration."""
    relu = replace(BASE, loss=ufm.MSE(), model=ufm.DeepReLU((3,)), lam_b=None)
    cases = ufm.grid(BASE, problem=[BASE, relu]).cases
    assert [case.solver for case in cases] == [None, None]
    assert [type(explicit(case).solver) for case in cases] == [ufm.TrustRegion, ufm.LBFGS]
    assert [type(default_solver(case.problem)) for case in cases] == [ufm.TrustRegion, ufm.LBFGS]
    assert canonical(explicit(cases[0])) == canonical(ufm.Case(BASE, solver=ufm.TrustRegion()))
    (named,) = ufm.grid(relu, memory=[7]).cases
    assert isinstance(named.solver, ufm.LBFGS)
    assert named.solver.memory == 7


def test_a_whole_part_is_set_before_what_is_inside():
    grid = ufm.grid(BASE, smoothing=[0.0, 0.1], loss=[ufm.CrossEntropy()])
    assert [c.problem.loss.smoothing for c in grid.cases] == [0.0, 0.1]
    other = ufm.Problem(K=5, n=2, d=6, lam_W=1.0, lam_H=1.0)
    assert [c.problem.d for c in ufm.grid(BASE, d=[7], problem=[other]).cases] == [7]


# Untyped, for what their types forbid.
grid: Any = ufm.grid
sweep: Any = ufm.sweep


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (lambda: grid(BASE, lam_w=[1.0]), ValueError, "'lam_w' is nothing that this case has. Did you mean lam_W?"),
        (lambda: grid(BASE, smothing=[0.1]), ValueError, "Did you mean smoothing?"),
        (lambda: grid(BASE, quux=[0.1]), ValueError, "Known: H, K, W, d, "),
        (lambda: grid(BASE, gamma=[1.0]), ValueError, "'gamma' is nothing"),
        (
            lambda: grid(ufm.Problem(3, 4, 3, model=ufm.layer_peeled(1.0, 2.0)), mean_square=[1.0]),
            ValueError,
            "could be 'model.W.mean_square' and 'model.H.mean_square'",
        ),
        (lambda: grid(BASE, lam_W=0.1), TypeError, "lam_W=0.1 is not a sequence"),
        (lambda: grid(BASE, dtype="float32"), TypeError, "dtype='float32' is not a sequence"),
        (lambda: grid(BASE, lam_W=[]), ValueError, "the axis lam_W is empty"),
        (lambda: grid(BASE, [{"d": 3}], d=[4]), ValueError, "d is varied by two axes"),
        (lambda: grid(BASE, [{"d": 3}, {"K": 4}]), ValueError, "do not all have the same names"),
        (lambda: grid(BASE, []), ValueError, "needs at least one point"),
        (lambda: grid(BASE, {"d": 3}), TypeError, "a joint axis is a dict"),
        (lambda: ufm.zipped(lam_W=[1.0], lam_H=[1.0, 2.0]), ValueError, "lam_W has 1, lam_H has 2"),
        (lambda: ufm.zipped(), ValueError, "there are none"),
        (lambda: grid(BASE, lam_W=[-1.0]), ValueError, "lam_W=-1.0 is not a finite positive decay"),
        (lambda: grid(BASE, key=[-1]), ValueError, "key=-1 is not a seed"),
        (lambda: grid(BASE, gtol=[0.0]), ValueError, "gtol=0.0"),
        (lambda: grid(BASE, max_steps=[0]), ValueError, "max_steps=0"),
        (lambda: grid(BASE, solver=[optax.sgd(0.1)]), TypeError, "is not a solver"),
        (lambda: grid(BASE, start=[3]), TypeError, "start=3 is not a function"),
        (lambda: grid(BASE, dtype=["float16"]), ValueError, "float16"),
        (lambda: grid(3), TypeError, "base is a int"),
        (lambda: sweep([BASE]), TypeError, "expected a ufm.Case, got Problem"),
        (lambda: sweep([]), TypeError, "is no grid"),
        (lambda: sweep(grid(BASE), chunk=0), ValueError, "chunk=0"),
        (lambda: sweep(grid(BASE), store=4), TypeError, "store=4 is not a path. Pass e.g. 'runs/ce.sqlite', or None."),
        (lambda: sweep(grid(BASE), executor=4), TypeError, "executor=4 has no submit"),
        (lambda: sweep(grid(BASE), columns=4), TypeError, "columns=4 is not callable"),
        (lambda: sweep(grid(BASE), progress=4), TypeError, "progress=4 is not callable"),
        (lambda: ufm.SpawnPool(0), ValueError, "workers=0"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(make, kind, said):
    with pytest.raises(kind) as caught:
        make()
    assert said in str(caught.value)


def test_labels_are_numbers_or_short_text():
    assert labels([1, 2]).dtype.kind == "i"
    assert labels([0.1, 1]).dtype.kind == "f"
    losses = labels([ufm.CrossEntropy(0.1), ufm.MSE(), None, (5, 3), np.eye(2)])
    assert losses.tolist() == ["CrossEntropy(smoothing=0.1)", "MSE()", "none", "(5, 3)", "array(2, 2)"]


def squared(Z, Y):
    return ((Z - SHIFT * Y) ** 2).sum(0)


SHIFT = 2.0


def scaled(factor):
    return lambda Z, Y: factor * ((Z - Y) ** 2).sum(0)


def test_equal_content_is_equal_text_and_other_content_is_not():
    same = ufm.Problem(K=3, n=4, d=4, lam_W=0.01, lam_H=np.float64(0.01), lam_b=np.float32(1e-2).astype(float))
    assert canonical(ufm.Case(BASE)) == canonical(
        ufm.Case(ufm.Problem(K=3, n=4, d=int(np.int64(4)), lam_W=0.01, lam_H=np.float64(0.01), lam_b=1e-2))
    )
    assert canonical(BASE) != canonical(same)  # 1e-2 in float32 is another number
    assert describe(ufm.CrossEntropy(0)) == describe(ufm.CrossEntropy(0.0))
    texts = [
        canonical(entry)
        for entry in (
            ufm.Problem(K=3, n=(4, 4, 4), d=4), ufm.Problem(K=3, n=4, d=4), ufm.MSE(), ufm.CrossEntropy(), 1, 1.5, "1",
            None, True, np.ones(3), np.ones((3, 1)), np.arange(1000.0), np.arange(1000.0) + 1e-12, np.inf, -np.inf,
            ufm.UserLoss(squared), ufm.UserLoss(scaled(1.0)), ufm.UserLoss(scaled(2.0)), optax.sgd(0.1),
            optax.sgd(0.2), optax.adam(0.1), functools.partial(squared, Y=1), functools.partial(squared, Y=2), np.tanh,
            {"a", "b"}, {"a"}, ufm.normalized(1.0), ufm.normalized(2.0), {"a": 1},
        )
    ]  # fmt: skip
    assert len(set(texts)) == len(texts)
    assert canonical(optax.sgd(0.1)) == canonical(optax.sgd(0.1))


def test_a_function_is_named_by_what_it_reads_in_its_module(monkeypatch):
    before = canonical(squared)
    monkeypatch.setitem(globals(), "SHIFT", 3.0)
    assert canonical(squared) != before


def test_the_text_is_the_same_in_another_process_and_comes_back():
    code = (
        "import ufm, optax; from ufm.sweep.describe import canonical; "
        "print(canonical([ufm.Problem(K=3, n=4, d=4, lam_W=.1), optax.adam(.1), {'x', 'y', 'z'}, float('nan')]))"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=sys.path[0])
    value = [ufm.Problem(K=3, n=4, d=4, lam_W=0.1), optax.adam(0.1), {"x", "y", "z"}, float("nan")]
    assert told.stdout.strip() == canonical(value)
    back = parse('[{"float":"-inf"},{"float":"nan"},1.25]')
    assert back[0] == -np.inf
    assert np.isnan(back[1])
    assert back[2] == 1.25


@pytest.mark.parametrize("value", [object(), np.array(["a"]), iter([])])
def test_what_cannot_be_named_is_refused(value):
    with pytest.raises(TypeError, match=r"cannot be named|no canonical form"):
        describe(value)


def test_the_version_of_the_code_changes_with_a_source(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    one = source_digest([tmp_path / "a.py"], tmp_path)
    (tmp_path / "a.py").write_text("x = 2\n")
    assert source_digest([tmp_path / "a.py"], tmp_path) != one


def made_up():
    axes = (Axis(("lam_W", "lam_H"), (np.array([1.0, 2.0]), np.array([3.0, 4.0]))), Axis(("key",), (np.arange(3),)))
    rows = [
        {"status": "CONVERGED", "value": 0.1 * i, "steps": i, "extra": float(i), "word": f"w{i}", "V": np.eye(2) * i}
        for i in range(5)
    ]
    return collected(axes, coordinates(axes), [*rows, None])


def test_rows_become_columns_and_what_is_missing_is_nan():
    results = made_up()
    assert len(results) == 6
    assert results.shape == (2, 3)
    assert results["lam_H"].tolist() == [3.0, 3.0, 3.0, 4.0, 4.0, 4.0]
    assert results["status"].tolist() == ["CONVERGED"] * 5 + [NOT_RUN]
    assert np.isnan(results["value"][5])
    assert results["word"].tolist()[-2:] == ["w4", ""]
    assert results["V"].shape == (6, 2, 2)
    assert np.all(np.isnan(results["V"][5]))
    np.testing.assert_array_equal(results.on_grid("value")[1, :2], [0.1 * 3, 0.1 * 4])
    assert results.on_grid("V").shape == (2, 3, 2, 2)
    assert str(results).startswith("6 rows over lam_W/lam_H[2] x key[3]: 5 CONVERGED, 1 NOT_RUN")
    with pytest.raises(KeyError, match="no column 'vaule'"):
        results["vaule"]


def test_columns_of_whole_numbers_stay_so_and_arrays_of_several_shapes_are_kept():
    axes = (Axis(("case",), (np.arange(2),)),)
    rows = [{"status": "a", "steps": 1, "V": np.ones(2)}, {"status": "a", "steps": 2, "V": np.ones(3)}]
    results = collected(axes, coordinates(axes), rows)
    assert results["steps"].dtype.kind == "i"
    assert [v.shape for v in results["V"]] == [(2,), (3,)]


def test_a_column_that_an_axis_hides_is_said():
    axes = (Axis(("d", "value"), (np.arange(2), np.arange(2))),)
    results = collected(axes, coordinates(axes), [{"status": "a", "value": 0.5, "d": 7.0, "x": 1.0}] * 2)
    assert results["value"].tolist() == results["d"].tolist() == [0, 1]
    assert results.notes == ("the columns value, d are left out: axes have their names",)


def test_csv_gives_back_the_same_floats(tmp_path):
    results = made_up()
    export(results, tmp_path / "x.csv")
    with open(tmp_path / "x.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert "V" not in rows[0]
    assert [float(row["value"]) for row in rows[:5]] == results["value"][:5].tolist()
    assert rows[5]["value"] == "nan"
    with pytest.raises(ValueError, match="no known suffix"):
        export(results, tmp_path / "x.txt")


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pandas is not installed. Install the extra: pip install 'ufm\[data\]'"):
        made_up().to_pandas()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="the extra ufm[data] is not installed")
def test_pandas_and_parquet(tmp_path):
    results = made_up()
    frame = results.to_pandas()
    assert frame["value"].tolist()[:5] == results["value"].tolist()[:5]
    export(results, tmp_path / "x.parquet")
    back = importlib.import_module("pandas").read_parquet(tmp_path / "x.parquet")
    assert back["key"].tolist() == [0, 1, 2, 0, 1, 2]
    np.testing.assert_array_equal(back["value"], results["value"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.skipif(importlib.util.find_spec("xarray") is None, reason="the extra ufm[data] is not installed")
def test_xarray_and_netcdf(tmp_path):
    results = made_up()
    data = results.to_xarray()
    assert data["value"].dims == ("lam_W_lam_H", "key")
    assert data["lam_H"].dims == ("lam_W_lam_H",)
    assert data["V"].shape == (2, 3, 2, 2)
    assert float(data["value"].sel(key=1)[0]) == results["value"][1]
    export(results, tmp_path / "x.nc")
    with importlib.import_module("xarray").open_dataset(tmp_path / "x.nc", engine="scipy") as back:
        np.testing.assert_array_equal(back["value"].values, results.on_grid("value"))


SPEC = """
store = "here.sqlite"
chunk = 8
[problem]
K = 3
n = [5, 3, 2]
d = 4
lam_W = 1e-2
lam_H = 1e-2
lam_b = "none"
loss = { type = "CrossEntropy", smoothing = 0.1 }
[solver]
type = "TrustRegion"
forcing = 0.05
[start]
type = "RandomStart"
scale = 2.0
[options]
gtol = 1e-10
[axes]
key = { range = [1, 4] }
loss = ["MSE", { type = "RescaledMSE", k = 2.0 }]
[[joint]]
lam_W = { logspace = [-3, -1, 2] }
lam_H = [0.5, 0.25]
"""


def test_a_file_says_what_python_would(tmp_path):
    (tmp_path / "s.toml").write_text(SPEC)
    spec = read_spec(tmp_path / "s.toml")
    case = ufm.Case(
        ufm.Problem(3, (5, 3, 2), 4, 1e-2, 1e-2, None, ufm.CrossEntropy(0.1)),
        start=ufm.RandomStart(2.0),
        solver=ufm.TrustRegion(forcing=0.05),
        gtol=1e-10,
    )
    joint = ufm.zipped(lam_W=[1e-3, 1e-1], lam_H=[0.5, 0.25])
    expected = ufm.grid(case, joint, key=[1, 2, 3], loss=[ufm.MSE(), ufm.RescaledMSE(2.0)])
    assert [canonical(c) for c in spec.grid.cases] == [canonical(c) for c in expected.cases]
    assert (spec.store, spec.chunk) == ("here.sqlite", 8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"problm": {}}, "unknown key problm. Did you mean problem?"),
        ({"problem": {"K": 3, "n": 4, "d": 4, "lam_w": 1.0}}, "unknown key problem.lam_w. Did you mean lam_W?"),
        ({"problem": {"K": 3, "n": 4}}, "problem.d is missing"),
        ({"problem": 3}, "problem=3 is not a table"),
        ({"options": {"gtoll": 1.0}}, "unknown key options.gtoll. Did you mean gtol?"),
        ({"solver": "Newton"}, "solver = 'Newton' has no known type"),
        ({"solver": {"type": "TrustRegion", "radus": 1.0}}, "unknown key solver.radus. Did you mean radius?"),
        ({"solver": 3}, "solver = 3 has no known type"),
        ({"axes": {"lam_w": [1.0]}}, "Did you mean lam_W?"),
        ({"axes": {"lam_W": 1.0}}, "lam_W=1.0 is not a sequence"),
        ({"axes": {"lam_W": ["x"]}}, "lam_W='x' is not a real scalar"),
        ({"axes": {"key": {"rang": [1]}}}, "unknown key key.rang. Did you mean range?"),
        ({"axes": {"key": {"range": [1], "linspace": [0, 1]}}}, "has 2 ranges"),
        ({"axes": {"key": {"range": ["x"]}}}, "key.range = ['x'] is no range"),
        ({"axes": {"loss": ["MSA"]}}, "has no known type. Did you mean MSE?"),
        ({"axes": {"model": [{"type": "normalized"}]}}, "missing 1 required positional argument"),
        ({"joint": {"lam_W": [1.0]}}, "joint is not a list of tables"),
        ({"joint": [{"lam_W": [1.0], "lam_H": [1.0, 2.0]}]}, "lam_H has 2"),
        ({"store": 3}, "store=3 is not a path"),
        ({"axes": {"key": {"range": 3}}}, "key.range = 3 is no list. Write e.g. {range = [0, 20]}."),
        (
            {"problem": {"K": 3, "n": 4, "d": 4, "start": "ETFStart"}},
            "unknown key problem.start. Write it as a table, [start].",
        ),
        ({"options": {"chunk": 3}}, "unknown key options.chunk. Write it above the first [table]."),
        ({"start": {"type": "RandomStart", "scale": "a"}}, "scale='a' is not a finite positive number"),
    ],
)
def test_a_bad_file_is_named_where_it_is_bad(change, said):
    document = {"problem": {"K": 3, "n": 4, "d": 4, "lam_W": 1.0, "lam_H": 1.0}, **change}
    with pytest.raises((TypeError, ValueError)) as caught:
        parse_spec(document)
    assert said in str(caught.value)


def test_a_file_that_is_not_toml(tmp_path):
    (tmp_path / "s.toml").write_text("K = ")
    with pytest.raises(ValueError, match=r"s.toml is not TOML"):
        read_spec(tmp_path / "s.toml")


def test_every_part_that_a_file_can_name_is_public_or_a_first_order_method():
    names = {name for parts in PARTS.values() for name in parts}
    assert {name for name in names if not hasattr(ufm, name)} == {"sgd", "adam"}
    deep = {"type": "DeepReLU", "widths": [4, 5]}
    base = {"K": 3, "n": 4, "d": 4, "lam_W": 1.0, "lam_H": 1.0, "model": deep, "loss": "MSE"}
    (case,) = parse_spec({"problem": base, "solver": {"type": "annealed", "steps": 9}}).grid.cases
    assert case.problem.model.widths == (4, 5)
    assert canonical(case.solver) == canonical(ufm.annealed(steps=9))
    fixed = {"type": "fixed_classifier", "W": [[1.0, 0.0], [-1.0, 0.0]]}
    (case,) = parse_spec({"problem": {"K": 2, "n": 4, "d": 2, "lam_H": 1.0, "model": fixed}}).grid.cases
    np.testing.assert_array_equal(case.problem.model.W.value, [[1.0, 0.0], [-1.0, 0.0]])
    base = {"K": 3, "n": 4, "d": 4, "lam_W": 1.0, "lam_H": 1.0}
    for solver in ({"type": "sgd", "rate": 0.1, "momentum": 0.9}, {"type": "adam"}):
        (case,) = parse_spec({"problem": base, "solver": solver}).grid.cases
        assert isinstance(case.solver, ufm.FirstOrder)
