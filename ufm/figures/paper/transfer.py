"""Transfer: collapse on a task against the probes of many networks, and one tuned block against the alternatives."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ufm.figures.data import Data, NoDataError, Source, levels, rows, stacked
from ufm.figures.style import BLUE, GREY, INK, ORANGE, PAGE, RED, SKY, log_ticks, paper
from ufm.sweep.store import opened

CAPTION = (
    "Transfer and collapse. {title}, K = {K} classes: networks pretrained on the first and adapted to the second. "
    "Left: NC1 of the last layer on all training samples of the task, and the accuracy of linear probes of {shot} "
    "samples a class (mean of {sets} sets); {trained} networks that differ in epochs, decay, augmentation, head, loss, "
    "width, depth and seed (dots), and {bare} untrained (crosses); dashed, a probe of raw samples. Pearson's r with "
    "log NC1 is {pearson:+.2f}, its 95 % bootstrap interval over the networks [{pearson_low:+.2f}, "
    "{pearson_high:+.2f}]. Right: test accuracy after adapting a network of {depth} layers to n = {n} samples a class, "
    "{draws} sets of them (dots; bars, their mean), {steps} steps of Adam at {rate:g}; in brackets the share of the "
    "parameters that were trained. One layer: the block whose frozen NC1 is lowest on the samples, and a new head; "
    "skip: its output is added to the last features. Best with the pretrained network: {best}; at least as good "
    "without it: {negative}. This is the quick form of the setting {setting} with its seeds; benchmarks/README.md has "
    "the full experiments."
)
METHODS = {  # those that need no look at the test set, and the controls
    "probe": ("linear probe", GREY),
    "skip": ("skip, head only", SKY),
    "layer": ("one layer", ORANGE),
    "scl": ("one layer, skip", BLUE),
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
        setting = replace(settings.quick(settings.SETTINGS["S1"]), shots={SHOT: SETS})
    with opened(source.store) as store:
        scores = experiments.run_scores(setting, store, _silent)
        tuned = experiments.run_finetune(setting, store, _silent)
    trained = np.array([not row["model"].startswith("untrained") for row in scores.rows])
    pool = {name: np.array([row[name] for row in scores.rows]) for name in ("model", "nc1", "source_nc1")}
    pool |= {"trained": trained, "probe": np.array([row[f"probe_{SHOT}"] for row in scores.rows])}
    n = tuned.rows[0]["n"]
    ends = _adapted([row for row in tuned.rows if row["n"] == n])
    (found,) = (at for at in summary.correlations(scores) if (at.score, at.n) == ("nc1", SHOT))
    told = {"setting": setting.name, "title": setting.title[0].upper() + setting.title[1:], "K": setting.target().K}
    told |= {"shot": SHOT, "sets": setting.shots[SHOT], "trained": np.sum(trained), "bare": np.sum(~trained), "n": n}
    told |= {"depth": len(tuned.rows[0]["frozen"]), "draws": np.sum(ends["method"] == "full"), "steps": setting.steps}
    told |= {"rate": setting.rates[0], "raw": scores.controls[0][f"probe_{SHOT}"], **_contest(ends)}
    checks = {"pearson": found.pearson, "pearson_low": found.low, "pearson_high": found.high}
    return Data({"": pool, "finetune": ends}, told, checks)


def _adapted(found: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Every method on every set of samples; of those at one layer, where the frozen NC1 is lowest."""
    sets = dict.fromkeys((row.get("backbone", 0), row["draw"]) for row in found)
    parts = []
    for method in METHODS:
        for backbone, draw in sets:
            same = [row for row in found if (row.get("backbone", 0), row["draw"]) == (backbone, draw)]
            own = [row for row in same if row["method"] == method]
            best = min(own, key=lambda row: row["frozen"][row["layer"] - 1] if row["layer"] else 0.0)
            kept = {name: best[name] for name in ("layer", "accuracy", "share")}
            parts.append({"method": method, "backbone": backbone, "draw": draw, **kept})
    return stacked(parts)


def _contest(ends: Mapping[str, np.ndarray]) -> dict[str, str]:
    """`best` way to use the pretrained network, and `negative`: what does as well without it."""
    mean = {name: float(np.mean(rows(ends, "method", name)["accuracy"])) for name in METHODS}
    controls = ("scratch", "raw", "random")
    best = max((name for name in METHODS if name not in controls), key=lambda name: mean[name])
    as_good = [name for name in controls if mean[name] >= mean[best]]
    told = {name: f"{METHODS[name][0]} ({mean[name]:.3f})" for name in METHODS}
    return {"best": told[best], "negative": "; ".join(told[name] for name in as_good) or "nothing"}


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
    log_ticks(axes.xaxis)
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
