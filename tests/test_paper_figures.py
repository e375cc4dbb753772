"""`ufm figures`: every figure drawn from made data, captions, files and their bytes, the command and its refusals."""

import csv
import json
import string
import sys
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pytest
from made_figures import made
from matplotlib.backends.backend_agg import FigureCanvasAgg

import ufm
from theory import cross_entropy
from ufm.cli import main
from ufm.dimensions import AtDimension
from ufm.figures import data as data_module
from ufm.figures.data import Data, NoDataError, Source, levels, on_axes, rows, stacked, swept
from ufm.figures.paper import codes, depth, dimensions, layers, losses, performance, progressive, rank, seli, transfer
from ufm.figures.registry import FIGURES
from ufm.figures.style import COLUMN, PAGE
from ufm.figures.write import caption, write
from ufm.sweep import rows as rows_module
from ufm.sweep.results import Results
from ufm.sweep.version import installed
from ufm.transfer import SCORES, experiments
from ufm.transfer.experiments import Found
from ufm.verify.predict import predict

NOTHING: Any = None
BY_NAME = {entry.name: entry for entry in FIGURES}


def run(capsys, *argv):
    """(exit status, stdout, stderr) of one command."""
    try:
        status = main(["figures", *argv])
    except SystemExit as stop:
        status = stop.code
    out, err = capsys.readouterr()
    return status, out, err


@pytest.mark.parametrize("name", BY_NAME)
def test_every_figure_is_drawn_at_a_column_width_from_its_tables_alone(name):
    before = dict(matplotlib.rcParams)
    figure = BY_NAME[name].figure(made(name))
    FigureCanvasAgg(figure).draw()  # no warning may escape
    assert figure.get_figwidth() in (COLUMN, PAGE)
    assert figure.get_figheight() < 9.0
    assert dict(matplotlib.rcParams) == before
    shown = [axes for axes in (*figure.axes, *(a for sub in figure.subfigs for a in sub.axes)) if axes.axison]
    assert any(axes.get_xlabel() for axes in shown) or name == "codes"
    sizes = [text.get_fontsize() for axes in shown for text in (axes.xaxis.label, axes.title, *axes.get_xticklabels())]
    assert min(sizes) >= 6.5


@pytest.mark.parametrize("name", BY_NAME)
def test_every_caption_states_its_settings(name):
    entry = BY_NAME[name]
    named = {field for _, field, _, _ in string.Formatter().parse(entry.caption) if field}
    assert "{" not in entry.title
    text = " ".join(caption(entry, made(name)).split())
    assert f"ufm {installed('ufm')}, jax {installed('jax')}, numpy" in text
    assert f"{name}.csv" in text
    if name != "performance":
        assert named & {"K", "first"}
        assert named & {"n", "n_A"} or "n_B = 1" in text
        assert "d" in named or name in ("spurious", "transfer") or "d and tau" in text or "width" in named
        assert "seed" in text or name == "spectra"


def test_files_have_the_same_bytes_twice_and_the_csv_the_same_numbers(tmp_path):
    for name in ("frames", "performance"):
        folders = [tmp_path / name / str(i) for i in range(2)]
        for folder in folders:
            folder.mkdir(parents=True)
            files = [path.name for path in write(BY_NAME[name], made(name), folder)]
        assert {f"{name}.pdf", f"{name}.png", f"{name}.csv", f"{name}.txt"} <= set(files)
        assert sorted(files) == sorted(path.name for path in folders[0].iterdir())
        for file in files:
            assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes()
        with open(folders[0] / f"{name}.csv", newline="", encoding="utf-8") as file:
            found = list(csv.DictReader(file))
        table = made(name).table
        for column, values in table.items():
            read = [row[column] for row in found]
            assert [type(values[0].item())(entry) for entry in read] == values.tolist()


def test_seli_from_its_sweep_and_again_from_the_store(tmp_path, monkeypatch):
    sizes = {"k_A": 2, "k_B": 1, "n_A": 8, "n_B": 1, "d": 3, "points": 4}
    data = seli.data(Source(tmp_path / "store.sqlite"), **sizes)
    assert data.checks["proven"] == 4
    assert data.checks["difference"] < 1e-6
    assert levels(data.tables["cosines"], "nu").tolist() == [*seli.SHOWN, 0.0]
    monkeypatch.setattr(rows_module, "_rows", None)  # nothing may be computed now
    again = seli.data(Source(tmp_path / "store.sqlite"), **sizes)
    for name, table in data.tables.items():
        for column in table:
            np.testing.assert_array_equal(table[column], again.tables[name][column])


def test_a_sweep_that_failed_or_was_stopped_is_no_figure(monkeypatch):
    def of(**changes):
        columns = {"status": np.array(["CONVERGED", "FAILED"]), "message": np.array(["", "no room"])}
        monkeypatch.setattr(data_module, "sweep", lambda cases: Results((), columns, **changes))

    of()
    with pytest.raises(NoDataError, match=r"1 of 2 rows of its sweep failed \(no room\)"):
        swept(NOTHING)
    of(interrupted=True)
    with pytest.raises(KeyboardInterrupt):
        swept(NOTHING)


def test_times_come_from_the_folder_that_is_named(tmp_path):
    row = {"method": "ufm.solve", "cold": 2.0, "warm": 0.1, "steps": 3, "gradient": 1e-11, "gap": 1e-15}
    (tmp_path / "else.json").write_text("[1]")
    (tmp_path / "mine.json").write_text(json.dumps({"device": "cpu:0", "S1": [row], "other": 1}))
    data = performance.data(Source(results=tmp_path))
    assert data.table["method"].tolist() == ["ufm.solve"]
    assert data.settings["files"] == "mine.json"
    assert "K=10, n=10" in data.settings["cases"]
    with pytest.raises(NoDataError, match="no times of benchmarks"):
        performance.data(Source(results=tmp_path / "nowhere"))
    assert "ufm.solve" in performance.data(Source()).table["method"]  # those that the repository ships


@pytest.mark.parametrize("module", [layers, rank, transfer])
def test_without_the_extra_figures_of_networks_are_left_out(module, monkeypatch):
    for name in ("networks", "transfer"):
        monkeypatch.setitem(sys.modules, f"ufm.{name}", None)
        monkeypatch.delattr(ufm, name, raising=False)
    with pytest.raises(NoDataError, match=r"ufm\.(networks|transfer)"):
        module.data(Source())


def test_ranks_are_those_of_the_networks_and_of_the_models(monkeypatch):
    def course(*spectrum):
        at = SimpleNamespace(spectrum=np.array(spectrum), nc1=0.5, nc2_gram_H=0.25)
        return SimpleNamespace(epochs=np.array([0]), train=(at,))

    def model(K, decay, matrices, **options):
        solution = SimpleNamespace(value=0.0 if matrices == 2 else 1.0)
        rank = 7 if options.get("relu") else 9 // matrices
        return SimpleNamespace(
            found=SimpleNamespace(solution=solution), spectrum=np.where(np.arange(10) < rank, 3.0, 0.1)
        )

    pair = course(4, 3, 2, 2, 2, 1, 1, 1, 1, 0), course(2, 2, 2, 2, 2, 2, 2, 2, 1.8, 0)
    monkeypatch.setattr("ufm.networks.low_rank", lambda *args, **options: pair)
    monkeypatch.setattr("ufm.networks.deep_model", model)
    data = rank.data(NOTHING, matrices=(1, 2), depth=3)
    assert data.checks == {"sixth_plain": 0.25, "sixth_normed": 1.0, "below": 1}
    assert data.settings["ranks"] == "9 (linear, M=1), 4 (linear, M=2), 7 (ReLU, M=3)"
    assert rows(data.table, "source", "plain")["singular_value"].tolist() == [1, 0.75, 0.5, 0.5, 0.5, *[0.25] * 4]
    assert levels(data.table, "source").tolist() == [
        "plain",
        "batch norm",
        "linear, $M=1$",
        "linear, $M=2$",
        "ReLU, $M=3$",
    ]
    assert data.tables["epochs"]["nc2"].tolist() == [0.25, 0.25]


def test_transfer_takes_the_block_of_the_lowest_frozen_nc1_and_names_the_controls(monkeypatch):
    names = [*SCORES, "few_nc1", "few_cdnv", "few_logme", "ncti_1", "ncti_2", "ncti_3", "source_nc1"]
    pool = [
        {"model": f"{'un' * (i == 3)}trained {i}", "probe_5": 1.0 - 0.1 * i, **dict.fromkeys(names, 2.0**i)}
        for i in range(4)
    ]
    frozen = [[0.3, 0.2], [0.1, 0.4]]  # of the two draws
    ends = [
        {"method": method, "layer": layer, "n": 3, "draw": draw, "accuracy": accuracy + 0.1 * layer, "share": 0.5}
        | {"frozen": frozen[draw]}
        for draw in range(2)
        for method, accuracy in (("probe", 0.5), ("full", 0.6), ("scratch", 0.9), ("raw", 0.4), ("random", 0.3))
        for layer in (0,)
    ]
    ends += [
        {"method": method, "layer": layer, "n": 3, "draw": draw, "accuracy": 0.1 * layer, "share": 0.1 * layer}
        | {"frozen": frozen[draw]}
        for draw in range(2)
        for method in ("layer", "scl", "skip")
        for layer in (1, 2)
    ]
    raw = {"probe_5": 0.95}
    setting: Any = SimpleNamespace(name="S0", title="ours to yours", shots={5: 2}, steps=7, rates=(0.1,))
    setting.target = lambda: SimpleNamespace(K=3)
    monkeypatch.setattr(experiments, "run_scores", lambda *args: Found(setting, tuple(pool), (raw,)))
    monkeypatch.setattr(experiments, "run_finetune", lambda *args: Found(setting, tuple(ends)))
    data = transfer.data(Source(), setting=setting)
    assert data.checks["pearson"] == pytest.approx(-1.0, rel=1e-12)
    assert data.table["trained"].tolist() == [True, True, True, False]
    assert rows(data.tables["finetune"], "method", "layer")["layer"].tolist() == [2, 1]
    assert rows(data.tables["finetune"], "method", "scl")["accuracy"].tolist() == [0.2, 0.1]
    told = " ".join(caption(BY_NAME["transfer"], data).split())
    assert "network: full fine-tuning (0.600); at least as good without it: from scratch (0.900). This" in told


def test_theory_of_the_losses_is_the_one_that_covers_the_problem():
    for known in losses.LOSSES.values():
        problem = ufm.Problem(4, 3, 5, 0.01, 0.02, 0.1, known.loss)
        assert known.minimum(problem).value == predict(problem).value
        assert np.all(known.at_minimum(problem).values >= -1e-15)
        assert known.at_zero(problem).values[0] < 0.0


def test_aligned_factors_have_a_product_along_the_targets():
    problem = ufm.Problem(4, 2, 4, 0.01, 0.01, model=ufm.DeepLinear((4, 4)), loss=ufm.MSE())
    W, H, _ = depth.Aligned(0.5)(problem, 0)
    Y = np.eye(4)[:, problem.labels]
    np.testing.assert_allclose(W[2] @ W[1] @ W[0] @ H, 0.5**4 * Y / np.sqrt(2.0), atol=1e-15)
    for factor in W:
        np.testing.assert_allclose(factor.T @ factor, 0.25 * np.eye(4), atol=1e-15)


def test_minima_by_dimension_are_counted_on_either_side_of_the_boundary(monkeypatch):
    value = cross_entropy.global_minimum(K=4, n=1, d=4, lam_W=0.02, lam_H=0.02, lam_b=dimensions.LAM_B).value
    local: Any = SimpleNamespace(verdict=ufm.Verdict.LOCAL_MINIMUM)

    def seen(problem, chosen, starts):
        found = [[value + 0.2 / d, value + 0.3 / d] if d < 3 else [value] for d in chosen]
        found[-1] = [value - 1e-3, value, value + 1e-3]  # what theory excludes
        points: Any = [SimpleNamespace(values=np.array(f), shares=np.ones(len(f)) / len(f)) for f in found]
        return [AtDimension(d, p, (local,) * len(p.values)) for d, p in zip(chosen, points, strict=True)]

    monkeypatch.setattr(dimensions, "by_dimension", seen)
    data = dimensions.data(NOTHING, decays=(0.02,), K=4, extra=0)
    assert data.checks == {"difference": pytest.approx(1e-3, rel=1e-9), "spurious": 2, "higher": 2}
    assert data.table["d"].tolist() == [1, 1, 2, 2, 3, 4, 4, 4]


def test_layers_of_a_small_trained_network_lie_on_the_exact_curves():
    data = progressive.data(NOTHING, eps=(0.05,), K=2, n=4, d=9, L=3)
    assert data.checks["ended"] == 1
    assert data.checks["difference"] < 1.0 / 3.0  # (N-K)/(N-2K) a layer bounds it
    assert data.checks["angle"] < 0.1 * 0.05**2
    assert np.all(np.diff(data.table["C"]) < 0)


def test_cross_entropy_of_some_classes_leaves_the_others_out():
    Z = np.random.default_rng(0).standard_normal((5, 5))
    some = np.asarray(codes.cross_entropy_of_some(Z, codes.some_classes(3, 5)))
    loss: Any = ufm.CrossEntropy()
    np.testing.assert_allclose(some[:3], loss(Z[:3, :3], np.eye(3)), rtol=1e-6)
    assert some[3:].tolist() == [0.0, 0.0]


def test_the_code_of_four_classes_is_the_simplex():
    data = codes.data(Source(), classes=(4,), starts=1)
    np.testing.assert_allclose(data.table["rho"], 4 / 3, rtol=1e-8)
    assert data.checks["difference"] < 1e-9


def test_codes_are_turned_without_a_change_and_a_cube_has_twelve_edges():
    cube = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]) / np.sqrt(3.0)
    turned = codes._turned(cube)
    np.testing.assert_allclose(turned @ turned.T, cube @ cube.T, atol=1e-14)
    edges = codes._edges(turned)
    assert len(edges) == 12
    assert all(np.linalg.norm(turned[i] - turned[j]) == pytest.approx(2 / np.sqrt(3.0)) for i, j, _ in edges)
    assert sum(front for *_, front in edges) == 9  # three faces are seen


def test_tables_are_taken_apart_and_put_together():
    table = stacked([{"a": "x", "b": np.arange(2), "c": 1.5}, {"a": "y", "b": np.array([2]), "c": 2.5}])
    assert {name: column.tolist() for name, column in table.items()} == {
        "a": ["x", "x", "y"],
        "b": [0, 1, 2],
        "c": [1.5, 1.5, 2.5],
    }
    assert rows(table, "a", "x")["b"].tolist() == [0, 1]
    assert levels(table, "a").tolist() == ["x", "y"]
    square = {"i": np.repeat([3, 1], 2), "j": np.tile([5, 4], 2), "v": np.arange(4)}
    assert on_axes(square, ("i", "j"), "v").tolist() == [[0, 1], [2, 3]]


def test_the_list_names_every_figure(capsys):
    status, out, err = run(capsys, "--list")
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == list(BY_NAME)
    assert all(len(line.split()) > 1 for line in out.splitlines())


def test_the_command_names_the_files_and_says_what_is_left_out(capsys, tmp_path):
    folder = tmp_path / "new" / "figures"
    status, out, _ = run(capsys, "--only", " performance ", "--out", str(folder))
    assert status == 0
    names = [line.rpartition("/")[2] for line in out.splitlines()]
    assert names == ["performance.pdf", "performance.png", "performance.csv", "performance.txt"]
    assert all((folder / name).stat().st_size > 200 for name in names)
    status, out, err = run(capsys, "--only", "performance", "--out", str(folder), "--results", str(tmp_path))
    assert (status, out) == (1, "")
    assert "performance is left out" in err


def test_refusals(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    for argv, told in (
        (["--only", "trainig"], "--only: there is no figure 'trainig'. Did you mean training?"),
        (["--only", "qqqq"], "Known: budgets, codes"),
        (["--only", ","], "--only names no figure. Known: training"),
        (["--only", "training", "--out", str(tmp_path / "file" / "x")], "Not a directory"),
        (["--only", "values", "--out", str(tmp_path), "--store", str(tmp_path)], "unable to open"),
        (["--jobs", "0"], "--jobs 0 runs nothing"),
        (["--quick"], "unrecognized arguments: --quick"),
    ):
        status, out, err = run(capsys, *argv)
        assert (status, out) == (2, "")
        assert told in err


def test_a_caption_whose_setting_is_missing_is_noticed():
    with pytest.raises(KeyError):
        caption(BY_NAME["flow"], Data({"": {}}, {}))
