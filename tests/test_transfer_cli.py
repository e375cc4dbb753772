"""`ufm transfer` on a setting of a moment: stored, resumed, refused; what the tables and the pictures say."""

import csv
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from ufm import transfer
from ufm.cli import main
from ufm.figures import style
from ufm.figures.transfer import causes_figure, scores_figure
from ufm.losses.cross_entropy import CrossEntropy
from ufm.networks import Recipe, from_arrays, mlp
from ufm.sweep.store import opened
from ufm.transfer import rows as rows_module
from ufm.transfer.backbones import features
from ufm.transfer.effects import along, effects, error
from ufm.transfer.experiments import Found, run_scores
from ufm.transfer.paired import mean_error
from ufm.transfer.pretraining import Backbone, as_arrays, from_stored, pretrain
from ufm.transfer.rows import remembered
from ufm.transfer.samples import noise
from ufm.transfer.settings import SETTINGS, Setting, quick, reseeded
from ufm.transfer.summary import correlations, pooled_profile, score_values, spearman
from ufm.transfer.tables import Method, findings, methods, paired

K, D = 3, 6


def blobs(seed, name):
    rng = np.random.default_rng(seed)
    y = np.arange(120) % K
    x = 1.5 * rng.standard_normal((K, D))[y] + rng.standard_normal((120, D))
    return from_arrays(x, y, n=30, name=name)


RECIPE = Recipe(epochs=1, batch=30, rate=0.02, loss=CrossEntropy())
BASE = Backbone("base", partial(mlp, depth=2, width=8), RECIPE)
TINY = Setting(
    "S1",
    "blobs to blobs",
    lambda: blobs(1, "source"),
    lambda: blobs(2, "target"),
    (
        BASE,
        replace(BASE, label="untrained", trained=False, cause="epochs", against="base"),
        replace(BASE, label="other seed", key=1),
    ),
    (BASE,),
    (replace(BASE, make=partial(mlp, depth=1, width=8)),),
    {4: 1},
    3,
    (1e-2,),
    draws=1,
    seeds=1,
    shots={5: 1, 20: 1},
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(SETTINGS, "S1", TINY)
    monkeypatch.setitem(style.RC, "savefig.dpi", 40.0)


def run(capsys, *argv):
    status = main(["transfer", *map(str, argv)])
    out, err = capsys.readouterr()
    return status, out, err


def forbid(monkeypatch):
    """From here on every row has to come from the store."""

    def never(*args, **options):
        raise AssertionError("computed again")

    for name in ("pretrain", "scores", "fit_probe", "layer_profile", "finetune"):
        monkeypatch.setattr(rows_module, name, never)


def test_the_experiments_from_a_command_to_a_table(tmp_path, capsys, monkeypatch):
    common = ("--setting", "S1", "--store", tmp_path / "rows.sqlite")
    outputs = {}
    for experiment in ("scores", "causes", "layers", "finetune"):
        status, outputs[experiment], err = run(capsys, experiment, *common, "--out", tmp_path / experiment)
        assert status == 0
        assert "rows" in err
        for suffix in (".png", ".pdf", ".csv"):
            assert (tmp_path / f"{experiment}{suffix}").stat().st_size > 0
    scores, causes, layers, tuned = outputs.values()
    assert scores.startswith("S1  blobs to blobs: 3 backbones")
    assert "backbones do better than raw samples with 5 samples a class" in scores
    for name in (*transfer.SCORES, "ncti", "source_nc1", "few_nc1"):
        assert f"\n{name} " in scores
    with open(tmp_path / "scores.csv") as file:
        table = list(csv.DictReader(file))
    assert [row["model"] for row in table] == ["base", "untrained", "other seed", "raw samples"]
    shown = next(line for line in scores.splitlines() if line.startswith("other seed"))
    assert f"{float(table[2]['probe_5']):.3f}" in shown
    changed = next(line for line in causes.splitlines() if line.startswith("untrained"))
    assert changed.split()[1] == "base"
    assert f"{float(table[1]['probe_5']) - float(table[0]['probe_5']):+.3f} (-)" in changed
    assert "layer1" in layers
    assert "raw samples" in layers
    assert "Pearson r over the layers of log NC1 with the probe of 5 samples a class" in layers
    with open(tmp_path / "layers.csv") as file:
        assert len(list(csv.DictReader(file))) == 2 * 2  # sizes, layers
    assert "4 samples a class, 1 draw for each backbone, 12 labels in all" in tuned
    assert "best without looking at the test set:" in tuned
    assert "\nlabels " not in tuned  # one rate: no labels chose it
    forbid(monkeypatch)
    monkeypatch.setattr(style, "save", lambda figure, target: (target.with_suffix(".png"), target.with_suffix(".pdf")))
    for experiment, before in outputs.items():
        assert run(capsys, experiment, *common, "--out", tmp_path / experiment)[1] == before
    (tmp_path / "taken.csv").mkdir()
    status, out, err = run(capsys, "causes", *common, "--out", tmp_path / "taken")
    assert (status, out) == (2, "")
    assert "taken: Is a directory. The rows are stored: run it again." in err


def test_a_key_moves_every_seed(tmp_path, capsys):
    store, target = tmp_path / "rows.sqlite", TINY.target()
    argv = ("finetune", "--setting", "S1", "--key", 7, "--store", store, "--out", tmp_path / "out")
    assert run(capsys, *argv)[0] == 0
    with open(tmp_path / "out.csv") as file:
        first, *_, last = csv.DictReader(file)
    seen = transfer.few(target, 4, 7)
    probe = transfer.fit_probe(seen.x, seen.y, key=7)
    assert (first["method"], first["backbone"], first["draw"]) == ("raw", "7", "7")
    assert float(first["accuracy"]) == transfer.probe_accuracy(probe, target.x_test, target.y_test)
    network = pretrain(replace(TINY.tuned[0], key=7), TINY.source())
    assert float(last["nc1_frozen"]) == pytest.approx(transfer.nc1(features(network, seen.x)[0], seen.y), rel=1e-6)
    moved = reseeded(replace(TINY, pool=TINY.pool[2:], shots={5: 1}), 7)
    with opened(store) as held:
        found = run_scores(moved, held, lambda done, total, what: None)
    seen = transfer.few(target, 5, 7)
    probe = transfer.fit_probe(seen.x, seen.y, key=7)
    assert found.controls[0]["probe_5"] == transfer.probe_accuracy(probe, target.x_test, target.y_test)
    assert found.rows[0]["seed"] == 8
    status, out, err = run(capsys, "scores", "--key", -1, "--store", store, "--out", tmp_path / "out")
    assert (status, out) == (2, "")
    assert "--key -1 is no seed. Pass 0 .." in err


def test_a_stopped_run_goes_on(tmp_path, capsys, monkeypatch):
    started = []

    def interrupted(backbone, source):
        started.append(backbone.label)
        if started == ["base", "untrained"]:
            raise KeyboardInterrupt
        return pretrain(backbone, source)

    monkeypatch.setattr(rows_module, "pretrain", interrupted)
    store = tmp_path / "rows.sqlite"
    status, out, err = run(capsys, "scores", "--setting", "S1", "--store", store, "--out", tmp_path / "out")
    assert (status, out) == (130, "")
    assert "interrupted" in err
    with opened(store) as held:
        found = run_scores(TINY, held, lambda done, total, what: None)
    assert started == ["base", "untrained", "untrained", "other seed"]
    assert [row["model"] for row in found.rows] == ["base", "untrained", "other seed"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["scores", "--out", "no/where"], "there is no directory no"),
        (["layers", "--store", "text"], "is no store of ufm"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(tmp_path, capsys, monkeypatch, argv, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("no store")
    status, out, err = run(capsys, *argv)
    assert (status, out) == (2, "")
    assert err.startswith("ufm transfer: ")
    assert said in err


def test_what_is_not_installed_is_named(tmp_path, capsys, monkeypatch):
    def absent():
        raise ImportError("No module named 'sklearn'")

    monkeypatch.setitem(SETTINGS, "S1", replace(TINY, source=absent))
    argv = ("scores", "--setting", "S1", "--store", tmp_path / "rows.sqlite", "--out", tmp_path / "out")
    status, _, err = run(capsys, *argv)
    assert status == 2
    assert "needs equinox and scikit-learn (No module named 'sklearn'): pip install 'ufm[networks]'." in err


@pytest.mark.parametrize("argv", [["scors"], ["scores", "--setting", "S5"], []])
def test_unknown_names_are_refused(capsys, argv):
    with pytest.raises(SystemExit) as caught:
        main(["transfer", *argv])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("ufm transfer: ")


def test_a_stored_backbone_has_the_same_digits():
    source, head = TINY.source(), replace(BASE, dropped=1, change=noise)
    network = pretrain(head, source)
    again = from_stored(as_arrays(network), head, source)
    assert network.names == again.names == ("layer1",)
    one, two = (list(net.taps(source.x).values())[-1] for net in (network, again))
    np.testing.assert_array_equal(one, two)


def test_a_row_is_computed_once_and_again_when_it_is_damaged():
    calls = []

    def compute():
        calls.append(1)
        return {"x": float("nan"), "array": np.arange(3.0)}

    with opened(None) as store:
        for _ in range(2):
            row = remembered(store, {"a": 1}, compute)
        assert len(calls) == 1
        assert np.isnan(row["x"])
        store.connection.execute("UPDATE rows SET record = ?", (b"{}",))
        assert remembered(store, {"a": 1}, compute)["array"].tolist() == [0.0, 1.0, 2.0]
        remembered(store, {"a": 2}, compute)
    assert len(calls) == 3


def made_up(accuracy):
    """Rows of a pool whose log NC1 is what `accuracy` is a function of."""
    base = dict.fromkeys(transfer.SCORES, 1.0) | {f"few_{name}": 1.0 for name in transfer.SCORES}
    nc1 = np.exp(np.linspace(-1.0, 1.0, 8))
    rows = [
        base | {"model": "m", "cause": "", "nc1": value, "source_nc1": 1 / value, "few_nc1": value**2}
        | {"probe_5": accuracy(np.log(value)), "probe_20": 0.5 + 0.1 * i}
        | {"ncti_1": i, "ncti_2": 2.0, "ncti_3": -i}
        for i, value in enumerate(nc1)
    ]  # fmt: skip
    return Found(TINY, tuple(rows), (rows[0] | {"model": "raw samples"},))


def test_correlations_over_a_pool():
    found = made_up(lambda x: 0.7 - 0.1 * x)
    by = {(entry.score, entry.n): entry for entry in correlations(found)}
    assert by["nc1", 5].pearson == pytest.approx(-1.0)
    assert by["source_nc1", 5].pearson == pytest.approx(1.0)
    assert by["few_nc1", 5].high == pytest.approx(-1.0)
    assert np.isnan(by["vci", 5].pearson)
    assert np.isnan(by["vci", 5].low)
    np.testing.assert_allclose(score_values(found.rows)["ncti"], 2 * np.linspace(0.0, 1.0, 8) - 1.0)
    bent = {(entry.score, entry.n): entry for entry in correlations(made_up(lambda x: 0.5 - 0.01 * np.exp(3 * x)))}
    assert bent["nc1", 5].spearman == pytest.approx(-1.0)
    assert -1.0 < bent["nc1", 5].pearson < -0.7
    assert bent["nc1", 5].low <= bent["nc1", 5].pearson <= bent["nc1", 5].high
    assert spearman(np.array([1.0, np.nan, 2.0]), np.arange(3.0)) is np.nan
    pool, *_, forest = scores_figure(found).axes
    np.testing.assert_allclose(np.asarray(pool.lines[0].get_xdata()), np.exp(np.linspace(-1.0, 1.0, 8)))
    assert "r=-1.00" in pool.get_title()
    low, high = pool.get_xlim()
    shown = [text.get_text() for text in pool.get_xticklabels() if low <= text.get_position()[0] <= high]
    assert shown == ["0.5", "1", "2"]  # from 0.37 to 2.7, where powers of ten are one tick
    assert len(forest.lines) == 2 * 4 + 1  # NC1 twice, NCTI and the source's are defined; and the line at zero


def test_rules_choose_by_training_samples():
    def row(draw, method, layer, accuracy, after):
        named = {"n": 4, "draw": draw, "method": method, "layer": layer, "accuracy": accuracy, "nc1_after": after}
        named |= {"backbone": 0, "validation_accuracy": 0.9 - 0.1 * layer}
        return named | {"frozen": np.array([0.5, 0.2]), "nc1_test": 1.0, "share": 0.1, "seconds": 1.0, "labels": 12}

    rows = [row(draw, "probe", 0, 0.5 + 0.1 * draw, 1.0) for draw in range(2)]
    rows += [
        row(draw, "scl", layer, 0.6 + 0.1 * draw**2, 0.1 * abs(layer - 1 - draw)) for draw in (0, 1) for layer in (1, 2)
    ]
    by = {method.name: method for method in methods(Found(TINY, tuple(rows[::-1])), 4)}
    assert by["scl nc1"].layers.tolist() == [[2, 2]]
    assert by["scl search"].layers.tolist() == [[1, 2]]
    assert by["scl validation"].layers.tolist() == [[1, 1]]
    assert set(by) == {"probe", "scl 1", "scl 2", "scl nc1", "scl search", "scl validation"}
    np.testing.assert_allclose(by["probe"].accuracy, [[0.5, 0.6]])
    mean, of = paired(by["scl 1"], by["probe"])
    assert (mean, of) == (pytest.approx(0.1), pytest.approx(0.0, abs=1e-12))
    rows[2]["validation_accuracy"] = np.nan
    assert "scl validation" not in {method.name for method in methods(Found(TINY, tuple(rows)), 4)}
    rows[2]["nc1_after"] = np.nan
    assert {method.name: method for method in methods(Found(TINY, tuple(rows)), 4)}["scl search"].layers[0, 0] == 2


def test_negatives_are_said():
    def table(**accuracy):
        ones = np.ones((1, 2))
        names = {name: name.replace("_", " ") for name in accuracy}
        return {
            names[name]: Method(names[name], 4, value * ones, ones, ones, 0.1, 1.0, 12, 0 * ones)
            for name, value in accuracy.items()
        }

    common = {"scl_1": 0.8, "layer_1": 0.7, "scl_2": 0.9, "layer_2": 0.1, "scl_nc1": 0.8, "raw": 0.84}
    told = "\n".join(findings(table(probe=0.6, full=0.9, scratch=0.95, **common)))
    assert "best without looking at the test set: full, 0.900" in told
    assert "NEGATIVE: training from scratch" in told
    assert "NEGATIVE: full fine-tuning does better" in told
    assert "(0.950, +0.050 (se 0.000) against it)" in told
    assert "raw" not in told
    assert "the skip adds +0.100 (0.000) to tuning one layer, mean over the layers but the last (+0.100)" in told
    assert "rank correlation" not in told  # every NC1 is 1
    methods = table(probe=0.6, full=0.9, scratch=0.95, **common)
    falling = {name: replace(method, nc1=2.0 - method.accuracy) for name, method in methods.items()}
    assert "with NC1 of the test features, over 6 methods: -1.00" in "\n".join(findings(falling))
    told = "\n".join(findings(table(probe=0.83, full=0.7, scratch=0.5, labels=0.9, **common)))
    assert "NEGATIVE: a linear probe of the raw samples does as well: no claim of transfer (0.840, +0.010" in told
    assert "NEGATIVE: a linear probe that learns from the labels by which the others choose does as well" in told
    assert "NEGATIVE: nothing does better than the linear probe" in told
    assert "scratch" not in told
    assert "NEGATIVE: the skip adds -0.100 (0.000)" in "\n".join(
        findings(table(probe=0.6, full=0.7, **common | {"scl_1": 0.6}))
    )


def test_effects_are_paired_by_seed():
    rows = [
        {"model": model, "cause": "decay", "against": against, "seed": seed, "source_nc1": nc1, "nc1": 2.0}
        | {"probe_5": 0.1 * seed + gain, "probe_20": 0.5}
        for seed in (1, 0)
        for model, against, nc1, gain in (
            ("base", "", 1.0, 0.0), ("a", "base", np.e, 0.1 * seed), ("b", "base", 9.0, -1.0),
        )
    ]  # fmt: skip
    rows.append(rows[0] | {"model": "lost", "against": "nothing that is there"})
    found = Found(TINY, tuple(rows))
    one, other = effects(found)
    assert (one.model, one.against, other.model) == ("a", "base", "b")
    np.testing.assert_allclose(one.source, [1.0, 1.0])
    np.testing.assert_allclose(one.probes[5], [0.0, 0.1])
    np.testing.assert_allclose(one.downstream, 0.0)
    assert error(one.probes[5]) == pytest.approx(0.05)
    assert np.isnan(error(np.ones(1)))
    assert np.isnan(along((one, other), 5)["source"])  # two points lie on a line
    turned = replace(other, source=-other.source, probes={5: -other.probes[5]})
    assert along((one, other, turned), 5)["source"] == pytest.approx(
        np.corrcoef([1.0, other.source[0], -other.source[0]], [0.05, -1.0, 1.0])[0, 1]
    )
    left, right = causes_figure(found).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["a, against base", "b, against base"]
    assert "source" in right.get_xlabel()


def test_the_error_of_a_mean_is_over_rows_and_columns():
    """From additive tables its square is the variance of the mean, on average; each axis alone is the usual error."""
    rng = np.random.default_rng(0)
    B, D, parts = 4, 5, (0.3, 0.2, 0.4)
    rows, columns, rest = (
        scale * rng.standard_normal((2000, *shape))
        for scale, shape in zip(parts, ((B, 1), (1, D), (B, D)), strict=True)
    )
    squares = [mean_error(table) ** 2 for table in rows + columns + rest]
    assert np.mean(squares) == pytest.approx(0.3**2 / B + 0.2**2 / D + 0.4**2 / (B * D), rel=0.12)
    values = np.array([[1.0, 2.0, 4.0]])
    assert mean_error(values) == mean_error(values.T) == pytest.approx(np.std([1, 2, 4], ddof=1) / np.sqrt(3))
    assert np.isnan(mean_error(np.ones((1, 1))))
    shared = np.repeat(values, 5, axis=0)  # five backbones that say the same are one
    assert mean_error(shared) == pytest.approx(mean_error(values))


def test_profiles_are_pooled_over_seeds():
    arrays = {name: np.array([1.0, 2.0, 4.0]) for name in ("downstream_nc1", "source_nc1", "probe_sd", "random_nc1")}
    rows = [
        arrays | {"random_probe": np.zeros(3), "probe": np.array([0.3, 0.2, 0.1]) + k, "raw_probe": k} for k in (0, 1)
    ]
    found = pooled_profile(rows)
    np.testing.assert_allclose(found["probe"], [0.8, 0.7, 0.6])
    np.testing.assert_allclose(found["seed_sd"], np.sqrt(0.5))
    assert np.all(np.isnan(pooled_profile(rows[:1])["seed_sd"]))
    np.testing.assert_allclose(found["r_downstream"], -1.0)
    assert np.all(np.isnan(found["r_random"]))
    assert found["raw"] == 0.5


def test_settings_are_what_the_issue_asks_for():
    for name in ("S2", "S3", "S4"):
        setting = SETTINGS[name]
        assert len([backbone for backbone in setting.pool if backbone.trained]) >= 20
        assert {"epochs", "decay", "augmentation", "projection head"} <= {backbone.cause for backbone in setting.pool}
        assert len({backbone.label for backbone in setting.pool}) == len(setting.pool)
        small = quick(setting)
        assert len(small.pool) < len(setting.pool)
        assert small.tuned[0].recipe.epochs == setting.tuned[0].recipe.epochs // 3
        for each in (setting, small):
            labels = {backbone.label for backbone in each.pool}
            changes = [backbone for backbone in each.pool if backbone.against in labels]
            assert {"epochs", "decay", "augmentation", "projection head"} <= {backbone.cause for backbone in changes}
            assert all(backbone.against in labels for backbone in setting.pool if backbone.cause)
