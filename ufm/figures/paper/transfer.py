"""Transfer: collapse on a task against the probes of many networks, and one tuned block against the alternatives."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator, ScalarFormatter

from ufm.figures.data import Data, NoDataError, Source, levels, rows, stacked
from ufm.figures.style import BLUE, GREY, INK, ORANGE, PAGE, RED, SKY, paper
from ufm.sweep.store import opened

CAPTION = (
    "Transfer and collapse. {title}, K = {K} classes: networks pretrained on the first and adapted to the second. "
    "Left: NC1 of the last layer on all training samples of the task, and the accuracy of linear probes of {shot} "
    "samples a class (mean of {sets} sets); {trained} networks that differ in epochs, decay, augmentation, head, loss, "
    "width, depth and seed (dots), and {bare} untrained (crosses); dashed, a probe of raw samples. Pearson's r with "
    "log NC1 is {pearson:+.2f}, its 95 % bootstrap interval over the networks [{pearson_low:+.2f}, "
    "{pearson_high:+.2f}]. Right: test accuracy after adapting one network ({tuned}) to n = {n} samples a class, "
    "{draws} sets of them (dots; bars, their mean), {steps} steps of Adam at {rate:g}; in brackets the share of the "
    "parameters that were trained. One layer: the block whose frozen NC1 is lowest on the samples, and a new head; "
    "skip: its output is added to the last features. Against the claim of transfer: {told}. This is the quick form of "
    "the setting {setting}; benchmarks/README.md has the full experiments. Seeds are those of the setting."
)
# The methods that need no look at the test set, in the order of the bars; the controls last.
METHODS = {
    "probe": ("linear probe", GREY),
    "skip nc1": ("skip, head only", SKY),
    "layer nc1": ("one layer", ORANGE),
    "scl nc1": ("one layer, skip", BLUE),
    "full": ("full fine-tuning", RED),
    "scratch": ("from scratch", INK),
    "raw": ("raw samples, probe", INK),
    "random": ("untrained, probe", INK),
}
SHOT, SETS = 5, 3


def data(source: Source, *, setting: Any = None) -> Data:
    """The pool's scores, and fine-tuning. checks: "pearson", r of log NC1 with the probes; _low, _high: its interval.

    Args:
        setting: `ufm.transfer.settings.Setting` whose shots are {5: sets}; None is the quick form of S1.
    Raises:
        NoDataError: equinox or scikit-learn is not installed.
    """
    try:
        # Here, so that only figures of networks need them.
        from ufm.transfer import experiments, settings, summary
    except ImportError as error:
        raise NoDataError(str(error)) from error
    if setting is None:
        setting = settings.replace(settings.quick(settings.SETTINGS["S1"]), shots={SHOT: SETS})
    with opened(source.store) as store:
        scores = experiments.run_scores(setting, store, _silent)
        tuned = experiments.run_finetune(setting, store, _silent)
    bare = [row["model"].startswith("untrained") for row in scores.rows]
    pool = {"model": [row["model"] for row in scores.rows], "trained": np.logical_not(bare)}
    pool |= {name: [row[name] for row in scores.rows] for name in ("nc1", "source_nc1")}
    pool |= {"probe": [row[f"probe_{SHOT}"] for row in scores.rows]}
    n = setting.sizes[0]
    table = {method.name: method for method in summary.methods(tuned, n)}
    ends = [
        {"method": name, "draw": np.arange(setting.draws), "accuracy": table[name].accuracy, "share": table[name].share}
        for name in METHODS
    ]
    (found,) = (entry for entry in summary.correlations(scores) if entry.score == "nc1")
    findings = [line.removeprefix("NEGATIVE: ") for line in summary.findings(table) if line.startswith("NEGATIVE")]
    said = {"setting": setting.name, "title": setting.title[0].upper() + setting.title[1:], "shot": SHOT, "n": n}
    said |= {"K": setting.target().K, "told": "; ".join(findings) or "nothing here"}
    said |= {"sets": setting.shots[SHOT], "trained": len(bare) - sum(bare), "bare": sum(bare)}
    said |= {"tuned": setting.tuned.label, "draws": setting.draws, "steps": setting.steps, "rate": setting.rates[0]}
    said["raw"] = scores.controls[0][f"probe_{SHOT}"]
    tables = {"": {name: np.asarray(column) for name, column in pool.items()}, "finetune": stacked(ends)}
    return Data(tables, said, {"pearson": found.pearson, "pearson_low": found.low, "pearson_high": found.high})


def _silent(done: int, total: int, what: str) -> None:
    """The command says which figure is there; rows are too many to name."""


def figure(data: Data) -> Figure:
    """The scatter, and the bars."""
    with paper():
        figure = Figure(figsize=(PAGE, 2.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_pool(left, data)
        _draw_methods(right, data)
    return figure


def _draw_pool(axes: Axes, data: Data) -> None:
    for trained, mark, colour, label in ((True, "o", BLUE, "pretrained"), (False, "x", RED, "untrained")):
        part = rows(data.table, "trained", trained)
        axes.plot(part["nc1"], part["probe"], mark, color=colour, label=label)
    axes.axhline(data.settings["raw"], color=GREY, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0, label="raw samples")
    axes.set(xscale="log", xlabel="NC1 on the task", ylabel=f"accuracy, {data.settings['shot']} samples a class")
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = float(np.min(data.table["nc1"])), float(np.max(data.table["nc1"]))
    ticks = [x for x in (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10) if 0.8 * low <= x <= 1.25 * high]
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_title(rf"{len(data.table['nc1'])} networks: $r={data.checks['pearson']:+.2f}$")
    axes.legend(loc="best")


def _draw_methods(axes: Axes, data: Data) -> None:
    table = data.tables["finetune"]
    labels = []
    for i, name in enumerate(levels(table, "method")):
        part = rows(table, "method", name)
        label, colour = METHODS[name]
        axes.barh(i, np.mean(part["accuracy"]), 0.65, color=colour, alpha=0.35)
        axes.plot(part["accuracy"], np.full(len(part["accuracy"]), i), "o", color=colour)
        share = part["share"][0]
        labels.append(label if np.isnan(share) else f"{label} ({100 * share:.3g} %)")
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.tick_params(left=False)
    axes.set(xlim=(0.0, 1.0), xlabel="test accuracy")
    axes.set_title(f"{data.settings['n']} samples a class")
