"""Neural Collapse in real networks: every figure that the README states, measured again.

    uv run python benchmarks/networks.py --out pictures

Parts: recipe, domains, progressive, rank, last (default all; about 20 minutes of CPU). One line a training, with
`ok` or `MISSED` where a bar is set; exit status 1 if one is missed. Pictures are written to --out, if it is given.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import ufm
import ufm.networks as nets
from ufm.figures.networks import epochs_figure, last_layer_figure, layers_figure, rank_figure
from ufm.figures.style import save

STEPS = 2700  # of dense networks; convolutions and transformers are given fewer below
BATCH = 128
SETS: dict[str, Callable[[], nets.Data]] = {
    "digits": nets.digits,
    "canvas": lambda: nets.canvas(nets.digits()),
    "glyphs": lambda: nets.glyphs(n=130, letters="ABCDEFGHIJ"),
    "alphabet": nets.glyphs,
    "random": lambda: nets.random_labels(nets.digits()),
    "docstrings": nets.docstrings,
    "wine": nets.wine,
    "breast cancer": nets.breast_cancer,
    "iris": nets.iris,
}
# Network, steps, decay. The transformer has layer norm, and the decay of the others would take its rank away.
NETS: dict[str, tuple[Callable[..., nets.Network], int, float]] = {
    "mlp": (nets.mlp, STEPS, 5e-3),
    "hybrid": (nets.hybrid, STEPS, 5e-3),
    "residual": (nets.residual, 1200, 5e-3),
    "convolutional": (nets.convolutional, 1500, 5e-3),
    "transformer": (nets.transformer, 1500, 5e-4),
}
DENSE = ("mlp", "hybrid", "residual")
FEWER: dict[str, tuple[str, ...]] = dict.fromkeys(("docstrings", "wine", "breast cancer", "iris"), DENSE)
FEWER |= {"alphabet": ("mlp", "hybrid", "convolutional"), "random": (*DENSE, "convolutional")}
# Measured, and no bar set: layer norm instead of batch norm; 26 class means in the 32 dimensions of a small network;
# convolutions that learn random labels by heart.
UNPROMISED = {(name, "transformer") for name in SETS if name != "digits"}
UNPROMISED |= {("alphabet", "convolutional"), ("random", "convolutional")}
Pictures = dict[str, Figure]
missed: list[str] = []


def main() -> int:
    """Run the parts; 1 if a bar is missed."""
    parts = {
        "recipe": recipe,
        "domains": lambda: domains(options.sets),
        "progressive": progressive,
        "rank": rank,
        "last": last,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", choices=parts, default=list(parts))
    parser.add_argument("--out", type=Path, help="folder for the pictures")
    parser.add_argument("--sets", nargs="*", choices=SETS, default=list(SETS), help="of the part domains")
    options = parser.parse_args()
    for name in options.parts:
        for title, figure in parts[name]().items():
            if options.out is not None:
                options.out.mkdir(parents=True, exist_ok=True)
                save(figure, options.out / title)
    print(f"\n{len(missed)} bars missed" + "".join(f"\n  {line}" for line in missed))
    return 1 if missed else 0


@cache
def data(name: str) -> nets.Data:
    """Each set is made once."""
    return SETS[name]()


@cache
def trained(name: str, architecture: str, mse: bool = False, key: int = 0) -> tuple[nets.Course, float]:
    """The course of one training and its CPU seconds, measurements included."""
    make, steps, decay = NETS[architecture]
    of = data(name)
    decay = 2e-3 if name == "random" and decay > 2e-3 else decay
    steps = 3 * steps if name == "random" else steps
    epochs = round(steps / (len(of.y) // min(BATCH, len(of.y))))
    how = nets.Recipe(epochs=epochs, batch=BATCH, decay=decay, loss=ufm.MSE() if mse else ufm.CrossEntropy())
    began = time.process_time()

    def show(run: nets.Run) -> None:
        if sys.stderr.isatty():
            end = "\r" if run.epoch < epochs else "\r\033[K"
            print(
                f"{of.name}, {architecture}: epoch {run.epoch} of {epochs}, loss {run.loss:.2e}",
                end=end,
                file=sys.stderr,
            )

    network = make(of.shape, of.K, key=key)
    course = nets.collapse_over_epochs(network, of, how, key=key, progress=show)
    return course, time.process_time() - began


def line(course: nets.Course, architecture: str, loss: str, seconds: float, bars: dict[str, bool]) -> None:
    """One training: its end on the training set, NC1 and accuracy on the test set."""
    at, held = course.train[-1], course.test[-1]
    print(
        f"{course.name:22} {architecture:14} {loss:4} acc {at.accuracy:.3f} {held.accuracy:.3f}  NC1 {at.nc1:.1e} "
        f"{held.nc1:.1e}  C {at.nc1_trace:.1e}  NC2 {at.nc2_gram_H:.3f}  NC3 {at.nc3:.3f}  NC4 {at.nc4:.3f}  "
        f"{seconds:5.1f} s  {judged(f'{course.name}, {architecture}, {loss}', bars)}",
        flush=True,
    )


def recipe() -> Pictures:
    """Digits, batch-norm MLP, three seeds, both losses."""
    print("\nThe recipe (accuracy and NC1: training set, test set)")
    for key in range(3):
        course, seconds = trained("digits", "mlp", key=key)
        at = course.train[-1]
        bars = {
            "NC1 < 1e-3": at.nc1 < 1e-3,
            "NC2 < .12": at.nc2_gram_H < 0.12,
            "NC3 < .12": at.nc3 < 0.12,
            "NC4 = 0": at.nc4 == 0.0,
            "test > .98": course.test[-1].accuracy > 0.98,
            "15 s": seconds < 15.0,
        }
        line(course, "mlp", "CE", seconds, bars)
    course, seconds = trained("digits", "mlp", mse=True)
    line(course, "mlp", "MSE", seconds, {"NC1 < 1e-3": course.train[-1].nc1 < 1e-3})
    return {}


def domains(names: Sequence[str]) -> Pictures:
    """Data sets x architectures, each on its own."""
    print("\nData sets and architectures, cross-entropy (accuracy and NC1: training set, test set)")
    pictures = {}
    for name in names:
        kinds = FEWER.get(name, tuple(NETS))
        found = [trained(name, kind) for kind in kinds]
        for kind, (course, seconds) in zip(kinds, found, strict=True):
            bar = 0.15 if kind == "transformer" else 0.05
            bars = {} if (name, kind) in UNPROMISED else {f"NC1 < {bar}": course.train[-1].nc1 < bar}
            line(course, kind, "CE", seconds, bars)
        pictures[f"epochs-{name.replace(' ', '-')}"] = epochs_figure(
            [replace(course, name=f"{name}, {kind}") for kind, (course, _) in zip(kinds, found, strict=True)]
        )
    return pictures


def progressive() -> Pictures:
    """Log-linear fits over the layers."""
    print("\nProgressive collapse: fits of log C_l and of the log He-Su separation, and the effective depth")
    print(f"{'':40} {'C rate':>8} {'R^2':>6} {'sep. rate':>10} {'R^2':>6}  depth  C_l")
    cases = [("digits", "mlp", key, 0.95) for key in range(3)]
    cases += [("docstrings", "mlp", 0, 0.9), ("digits", "convolutional", 0, 0.9), ("digits", "residual", 0, 0.9)]
    cases += [("alphabet", "mlp", 0, 0.9)]
    drawn = []
    for name, kind, key, bar in cases:
        network = trained(name, kind, key=key)[0].run.network
        found = nets.progressive_collapse(network, data(name), skip=1 if kind == "residual" else 0)
        fit_line(found, f"{kind}, key {key}", "C_l", found.trace_ratio.r_squared, bar)
        drawn += [replace(found, name=f"{name}, {kind}")] if key == 0 else []
    plain = nets.mlp(data("digits").shape, 10, depth=6, norm=nets.no_norm)
    how = nets.Recipe(decay=5e-4)
    run = nets.train(nets.start(plain, how, data("digits")), how, data("digits"))
    found = nets.progressive_collapse(run.network, data("digits"))
    fit_line(found, "plain mlp of depth 6", "separation", found.separation.r_squared, 0.97)
    return {"layers": layers_figure([*drawn, replace(found, name="digits, plain mlp")])}


def fit_line(found: nets.Progressive, what: str, metric: str, r_squared: float, bar: float) -> None:
    """One network's fits."""
    C, separation = found.trace_ratio, found.separation
    verdict = judged(f"{found.name}, {what}", {f"{metric} >= {bar}": r_squared >= bar})
    curve = " ".join(f"{value:.2g}" for value in found.train.trace_ratio)
    print(
        f"{found.name + ', ' + what:40} {C.rate:8.3f} {C.r_squared:6.3f} {separation.rate:10.3f} "
        f"{separation.r_squared:6.3f}  {found.depth!s:>5}  {curve}  {verdict}",
        flush=True,
    )


def rank() -> Pictures:
    """Plain networks of several decays against batch norm, and the deep model of the plain one's decay."""
    print("\nLow rank: singular values of the centred class means over the first, digits, CE")
    plain, normed = nets.low_rank(data("digits"))
    network = nets.mlp(data("digits").shape, 10, norm=nets.no_norm)
    for decay in (5e-4, 1e-3):
        rank_line(nets.collapse_over_epochs(network, data("digits"), nets.Recipe(decay=decay)), f"plain, {decay:g}", {})
    at = plain.train[-1]
    s = at.spectrum / at.spectrum[0]
    rises = at.nc1 > 1.2 * min(earlier.nc1 for earlier in plain.train)
    rank_line(plain, "plain, 0.002", {"6th < .3": s[5] < 0.3, "NC2 > .6": at.nc2_gram_H > 0.6, "NC1 rises": rises})
    s = normed.train[-1].spectrum
    rank_line(normed, "batch norm, 0.005", {"9th > .8": s[8] > 0.8 * s[0]})
    models = {f"linear, $M={M}$": nets.deep_model(10, 2e-3, M) for M in (1, 2, 3, 5)}
    models["ReLU, $M=5$"] = nets.deep_model(10, 2e-3, 5, relu=True, starts=24, steps=6000)
    for name, model in models.items():
        model_line(name.replace("$", ""), model)
    return {"rank": rank_figure(plain, normed, models)}


def model_line(name: str, model: nets.DeepModel) -> None:
    """The spectrum of the lowest point found of a deep model, its value, and the certificate's bound below it."""
    values = " ".join(f"{value:.2f}" for value in model.spectrum[:9] / model.spectrum[0])
    found = model.found
    print(
        f"{'model, ' + name:22} {values}  f {found.solution.value:.6f} >= {found.certificate.lower_bound:.6f}, lowest "
        f"of {found.starts} starts",
        flush=True,
    )


def rank_line(course: nets.Course, what: str, bars: dict[str, bool]) -> None:
    """One spectrum; NC1 at its lowest and at the end."""
    at = course.train[-1]
    values = " ".join(f"{value:.2f}" for value in at.spectrum[:9] / at.spectrum[0])
    lowest = min(earlier.nc1 for earlier in course.train)
    print(
        f"{what:22} {values}  NC1 {lowest:.1e} then {at.nc1:.1e}  NC2 {at.nc2_gram_H:.2f}  acc {at.accuracy:.3f}  "
        f"{judged(f'digits, {what}', bars)}",
        flush=True,
    )


def judged(what: str, bars: dict[str, bool]) -> str:
    """`ok`, or which bars are missed; nothing where none is set."""
    failed = [name for name, holds in bars.items() if not holds]
    missed.extend(f"{what}: {name}" for name in failed)
    return ("MISSED " + ", ".join(failed) if failed else "ok: " + ", ".join(bars)) if bars else ""


def last() -> Pictures:
    """Trained last layers beside the certified global minimum at their decays."""
    print("\nThe last layer beside the unconstrained model's global minimum, lam_W = lam_b = decay, lam_H = decay / N")
    pictures = {}
    for kind, mse in (("hybrid", False), ("mlp", False), ("hybrid", True)):
        run = trained("digits", kind, mse)[0].run
        how = nets.Recipe(loss=ufm.MSE() if mse else ufm.CrossEntropy())
        found = nets.last_layer(run.network, data("digits"), how)
        (W, H, _), best, N = found.params, found.solution.params, found.problem.N
        loss = "MSE" if mse else "CE"
        print(
            f"digits {kind} {loss}: objective {found.objective:.5f}, of loss and head {found.head_objective:.5f}, "
            f"f(W, H, b) {found.value:.5f} >= f* {found.solution.value:.5f} ({found.certificate.verdict.name})\n"
            f"    |W|^2 {np.sum(W**2):.3f} / {np.sum(best.W**2):.3f}   |H|^2/N {np.sum(H**2) / N:.3f} / "
            f"{np.sum(best.H**2) / N:.3f}   margin {found.collapse.margin_min:.3f} .. mean "
            f"{found.collapse.margin_mean:.3f} / {found.optimum.margin_min:.3f}   NC2 of W "
            f"{found.collapse.nc2_gram_W:.3f} / {found.optimum.nc2_gram_W:.0e}   NC3 {found.collapse.nc3:.3f} / "
            f"{found.optimum.nc3:.0e}",
            flush=True,
        )
        judged(f"last layer, {kind} {loss}", {"above f*": found.head_objective >= found.certificate.lower_bound})
        pictures[f"last-layer-{kind}-{loss.lower()}"] = last_layer_figure(found, f"Digits, {kind}, {loss}")
    return pictures


if __name__ == "__main__":
    sys.exit(main())
