"""`ufm measure` from its files to its output: the table, the JSON, the picture, every refusal."""

import json
import math

import numpy as np
import pytest
from collapse_oracle import etf
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ufm import metrics
from ufm.cli import main
from ufm.face.measure import CURVE
from ufm.figures.measure import measure_figure

K, D, N = 4, 6, 80


def made(decay=0.4, layers=4, spread=1.0):
    """Labels, a classifier, and layers whose spread falls by `decay` each."""
    g = np.random.default_rng(0)
    y, W = g.permutation(N) % K, etf(K, D)
    H = {f"layer{i}": W[y] + spread * decay**i * g.standard_normal((N, D)) for i in range(layers)}
    return y, W, H


def run(capsys, *argv):
    """(exit status, stdout, stderr) of one command."""
    try:
        status = main(["measure", *map(str, argv)])
    except SystemExit as stop:
        status = stop.code
    return status, *capsys.readouterr()


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


# ---------------------------------------------------------------------------------------------- what is printed


def test_an_npz_of_layers(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    y, W, H = made()
    status, out, err = run(capsys, npz("f.npz", labels=y, W=W, b=np.ones(K), **H))
    assert (status, err) == (0, "")
    for said in (
        "N=80 in K=4 classes of 20 each, labels 0 .. 3, d=6 features",
        "4 layers; the metrics below are those of the last one, layer3",
        "rank 3 of 3",
        "trace_ratio falls by the factor 0.",
        "effective depth 3 of 4: the first layer without nearest-class-mean errors",
        "tr(Sigma_W Sigma_B^+) / K, centred by m",
        "picture     ufm-measure.png, ufm-measure.pdf",
    ):
        assert said in out
    assert max(map(len, out.splitlines())) <= 100
    values = metrics.measure(H["layer3"], y, W, np.ones(K)).values
    printed = {line[12:34].split()[0]: line[34:46].split() for line in out.splitlines() if len(line) > 46}
    for name, value in values.items():
        assert printed[name][0] == f"{value:.4g}", name
    for suffix, magic in ((".png", b"\x89PNG"), (".pdf", b"%PDF")):
        assert (tmp_path / f"ufm-measure{suffix}").read_bytes().startswith(magic)


def test_json_has_every_value_of_every_layer(capsys, tmp_path):
    y, W, H = made()
    status, out, _ = run(capsys, npz(tmp_path / "f.npz", labels=2 * y - 1, W=W, **H), "--json", "--no-figure")
    record = json.loads(out)
    assert (status, record["schema"], record["pictures"]) == (0, "ufm-measure/1", [])
    assert [layer["name"] for layer in record["layers"]] == list(H)
    for layer, features in zip(record["layers"], H.values(), strict=True):
        last = layer["name"] == "layer3"
        values = metrics.measure(features, y, W if last else None).values
        for name, value in values.items():
            assert layer["values"][name] == (None if math.isnan(value) else pytest.approx(value, rel=1e-12)), name
        assert layer["values"]["vci"] == pytest.approx(metrics.vci(metrics.scatter(features, y)), rel=1e-10)
        assert layer["values"]["numerical_rank"] == pytest.approx(metrics.numerical_rank(features, y), rel=1e-12)
        assert (layer["classes"], layer["counts"], layer["rank"]) == ([-1, 1, 3, 5], [20] * 4, 3)
    ratios = [layer["values"]["trace_ratio"] for layer in record["layers"]]
    assert record["fits"]["trace_ratio"]["rate"] == pytest.approx(metrics.log_linear(ratios).rate)
    assert record["effective_depth"] == 3


def test_npy_files_are_the_same_layers(capsys, tmp_path):
    y, W, H = made()
    files = [tmp_path / f"{name}.npy" for name in H]
    for path, value in zip(files, H.values(), strict=True):
        np.save(path, value)
    for name, value in (("y", y), ("W", W), ("b", np.zeros(K))):
        np.save(tmp_path / f"{name}.npy", value)
    options = ["--labels", tmp_path / "y.npy", "--W", tmp_path / "W.npy", "--b", tmp_path / "b.npy"]
    _, from_npy, _ = run(capsys, *files, *options, "--no-figure")
    _, from_npz, _ = run(capsys, npz(tmp_path / "f.npz", labels=y, W=W, b=np.zeros(K), **H), "--no-figure")
    assert from_npy == from_npz


def test_a_lost_rank_is_said(capsys, tmp_path):
    y, W, H = made()
    M = np.vstack([W[:3], W[2:3]])
    path = npz(tmp_path / "f.npz", labels=y, features=M[y])
    _, out, _ = run(capsys, path, "--no-figure")
    assert "rank 2 of 3" in out
    assert "RANK-DEFICIENT: some class means coincide" in out
    _, out, _ = run(capsys, npz(tmp_path / "g.npz", labels=y, features=H["layer3"]), "--rank", 2, "--no-figure")
    assert "rank 2 of 3" in out


def test_wide_features_skip_what_costs_a_square(capsys, tmp_path, monkeypatch):
    y, _, H = made()
    monkeypatch.setattr("ufm.face.measure.WIDE", D - 1)
    _, out, _ = run(capsys, npz(tmp_path / "f.npz", labels=y, h=H["layer0"]), "--json", "--no-figure")
    values = json.loads(out)["layers"][0]["values"]
    assert values["vci"] is values["numerical_rank"] is None
    assert values["nc1"] > 0


def test_no_layer_without_errors(capsys, tmp_path):
    y, _, H = made(spread=3.0, layers=2)
    _, out, _ = run(capsys, npz(tmp_path / "f.npz", labels=y, **H), "--no-figure")
    assert "effective depth 2 of 2: no layer is without nearest-class-mean errors" in out
    assert "per layer" not in out  # two points make no line


# ---------------------------------------------------------------------------------------------- refusals


def test_bad_files_are_refused_in_one_line(capsys, tmp_path):
    y, W, H = made()
    h = H["layer0"]
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "sub").mkdir()
    np.save(tmp_path / "h.npy", h)
    np.save(tmp_path / "sub" / "h.npy", h)
    np.save(tmp_path / "y.npy", y)
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    good = npz(tmp_path / "good.npz", labels=y, h=h)
    cases = [
        ([tmp_path / "none.npz"], "none.npz: there is no such file. Pass .npy or .npz files of plain arrays."),
        ([tmp_path / "none.npy", "--labels", tmp_path / "y.npy"], "none.npy: there is no such file"),
        ([tmp_path / "text.npz"], "text.npz: "),
        (
            [tmp_path / "object.npy", "--labels", tmp_path / "y.npy"],
            "memory-mapped: Python objects in dtype. Pass",
        ),
        ([npz(tmp_path / "a.npz", h=h)], "has no key 'labels', but h. Add labels [N]."),
        ([npz(tmp_path / "b.npz", labels=y, W=W)], "has no features: pass an array [N, d] under any other key"),
        ([good, good], "holds everything: pass it alone"),
        ([good, "--labels", tmp_path / "y.npy"], "holds everything: pass it alone"),
        ([tmp_path / "h.npy"], "h.npy needs labels: add --labels FILE.npy"),
        ([tmp_path / "h.npy", tmp_path / "sub" / "h.npy", "--labels", tmp_path / "y.npy"], "two files are called h"),
        ([npz(tmp_path / "c.npz", labels=y, h=h[0])], "layer h: features has shape (6,)"),
        ([npz(tmp_path / "d.npz", labels=y[:-1], h=h)], "layer h: labels have shape (79,)"),
        ([npz(tmp_path / "e.npz", labels=y, h=h, W=W.T)], "layer h: W has shape (6, 4)"),
        ([npz(tmp_path / "f.npz", labels=0 * y, h=h)], "layer h: all labels are 0"),
        ([npz(tmp_path / "g.npz", labels=y, h=np.inf * h)], "layer h: features has 480 non-finite entries"),
        ([good, "--rank", "4"], "layer h: rank=4 is not in 0 .. 3"),
        ([good, "--rank", "x"], "argument --rank: invalid int value: 'x'"),
        ([good, "--out", tmp_path / "nowhere" / "x"], "there is no directory"),
        ([], "the following arguments are required: FILE"),
    ]
    for argv, said in cases:
        status, out, err = run(capsys, *argv)
        assert (status, out) == (2, ""), argv
        assert said in err, (argv, err)
        assert err.startswith("ufm measure: ")
        assert err.count("\n") == 1


def test_a_fault_of_ours_is_not_called_bad_input(capsys, tmp_path, monkeypatch):
    def broken(*args, **options):
        raise ValueError("operands could not be broadcast: ours")

    monkeypatch.setattr("ufm.face.measure.measure", broken)
    y, _, H = made()
    with pytest.raises(ValueError, match="ours"):
        run(capsys, npz(tmp_path / "f.npz", labels=y, **H), "--no-figure")


# ---------------------------------------------------------------------------------------------- the picture


def figure_of(names, H, y, W=None):
    found = [metrics.measure(h, y) for h in H]
    curves = {name: np.array([m.values.get(name, math.nan) for m in found]) for name in CURVE}
    return measure_figure(names, curves, metrics.measure(H[-1], y, W), W)


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_the_picture_of_several_layers_and_of_one():
    y, W, H = made()
    several = figure_of(list(H), list(H.values()), y, W)
    FigureCanvasAgg(several).draw()  # no warning may escape
    assert titles(several) == [
        "Layers",
        "Spectrum of the class means (rank 3 of 3)",
        "class means, centred",
        "rows of $W$",
        "$W$ against centred means",
    ]
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in several.axes[0].get_lines()}
    ratio = [metrics.measure(h, y).values["trace_ratio"] for h in H.values()]
    np.testing.assert_allclose(lines[r"$\mathrm{tr}\,\Sigma_W/\mathrm{tr}\,\Sigma_B$"], ratio)
    one = figure_of(["h"], [H["layer0"]], y)
    FigureCanvasAgg(one).draw()
    assert titles(one)[1:] == [
        "Spread within each class",
        "class means, centred",
        "class means, uncentred",
        "simplex ETF, for reference",
    ]
    spread = np.asarray(one.axes[1].get_lines()[0].get_ydata())
    assert np.mean(spread) == pytest.approx(metrics.measure(H["layer0"], y).values["nc1"], rel=1e-12)


def test_degenerate_pictures_say_so():
    y, W, H = made()
    merged = np.vstack([W[:3], W[2:3]])[y]
    lost = figure_of(["h"], [merged], y)
    FigureCanvasAgg(lost).draw()
    assert lost.axes[0].get_yscale() == "log"
    assert "rank 2 of 3" in titles(lost)[0]
    assert [t.get_text() for t in lost.axes[1].texts] == ["no spread, or equal means"]
    equal = figure_of(["a", "b"], [np.ones((N, D)), np.ones((N, D))], y, 0 * W)
    FigureCanvasAgg(equal).draw()
    texts = [text.get_text() for axes in equal.axes for text in axes.texts]
    assert texts.count("equal means") == 2
    assert "NC1 = undefined" in equal.get_suptitle()
    many = figure_of([f"a long name {i}" for i in range(12)], [H["layer0"]] * 12, y, W)
    FigureCanvasAgg(many).draw()
    assert many.axes[0].get_xlabel() == "layer"
    wide = np.random.default_rng(0).permutation(np.arange(400) % 100)
    FigureCanvasAgg(figure_of(["h"], [etf(100, 120)[wide]], wide, etf(100, 120))).draw()
