"""The pictures of `ufm transfer`: scores against probes, transfer over the layers, fine-tuning over the draws."""

import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ufm.figures.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, RED, SKY, log_ticks, style
from ufm.transfer.effects import Effect, along, effects, error
from ufm.transfer.experiments import Found
from ufm.transfer.summary import Correlation, correlations, pooled_profile
from ufm.transfer.tables import Method, findings, methods

NOTE: dict[str, Any] = {"color": GREY, "size": 8.5}
DASHED = (0, (3, 2))
NAMES = {
    "nc1": "NC1", "few_nc1": "NC1, of 5 a class", "cdnv": "CDNV", "few_cdnv": "CDNV, of 5 a class",
    "vci": "VCI", "h_score_shrunk": "H-score, shrunk", "logme": "LogME", "few_logme": "LogME, of 5 a class",
    "ncti": "NCTI", "ncc_error": "nearest-mean error", "trace_ratio": "trace ratio",
    "numerical_rank": "numerical rank", "source_nc1": "NC1 on the source",
}  # fmt: skip
COLOURS = {
    "probe": GREY,
    "layer": ORANGE,
    "scl": BLUE,
    "skip": SKY,
    "full": RED,
    "scratch": PURPLE,
    "raw": INK,
    "random": INK,
    "labels": INK,
}
CAUSES = {"epochs": BLUE, "decay": ORANGE, "augmentation": GREEN, "projection head": PURPLE, "MSE": RED}
TITLES = {
    "probe": "linear probe", "layer": "one layer", "scl": "one layer, skip", "skip": "skip, head only",
    "full": "full", "scratch": "from scratch", "raw": "raw samples, probe", "random": "untrained, probe",
    "labels": "probe, with all labels",
}  # fmt: skip


READ = (
    "Dots: draws of the samples, those of a backbone at one height; bars: means; in brackets: the share of the "
    "parameters that was trained. The layer is given, or that of the lowest NC1 before tuning, of the lowest NC1 after "
    "tuning (search), or of the best accuracy on the validation."
)


def scores_figure(found: Found) -> Figure:
    """NC1 of each backbone against the accuracy of its probes, and the correlations of every score."""
    shots = list(found.setting.shots)
    table = correlations(found)
    with style():
        figure = Figure(figsize=(9.6, 6.4), layout="constrained")
        told = f"{len(found.rows)} backbones; 95 % bootstrap intervals over them"
        figure.suptitle(_title(found, told), x=0.012, ha="left", size=10.5)
        top, bottom = figure.add_gridspec(2, 1, height_ratios=(1.0, 1.1))
        upper, lower = top.subgridspec(1, len(shots)), bottom.subgridspec(1, len(shots))
        shared: Axes | None = None
        for i, n in enumerate(shots):
            (entry,) = (entry for entry in table if entry.score == "nc1" and entry.n == n)
            _draw_pool(figure.add_subplot(upper[i]), found, n, entry)
            shared = figure.add_subplot(lower[i], sharey=shared)
            _draw_correlations(shared, [entry for entry in table if entry.n == n], first=i == 0)
    return figure


def causes_figure(found: Found) -> Figure:
    """What each change of the pretraining does to few-shot probes, and whether source collapse goes along with it."""
    changes, n = effects(found), min(found.setting.shots)
    seeds = len({row["seed"] for row in found.rows})
    with style():
        figure = Figure(figsize=(9.0, 0.24 * len(changes) + 1.6), layout="constrained")
        told = f"changes of the pretraining, {seeds} seed{'s' * (seeds > 1)}"
        told += " (dots), means (bars) and their standard errors" if seeds > 1 else ""
        figure.suptitle(_title(found, told), x=0.012, ha="left", size=10.5)
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1.0))
        for i, effect in enumerate(changes):
            _draw_effect(left, i, effect, n)
            spread = [
                value if np.isfinite(value) else None for value in (error(effect.probes[n]), error(effect.source))
            ]
            at = float(np.mean(effect.source)), float(np.mean(effect.probes[n]))
            right.errorbar(*at, yerr=spread[0], xerr=spread[1], fmt="o", color=CAUSES[effect.cause], capsize=2)
        left.set_yticks(range(len(changes)), [f"{effect.model}, against {effect.against}" for effect in changes])
        left.invert_yaxis()
        left.set_xlabel(f"change of the accuracy of probes of {n} samples a class")
        trained = [effect for effect in changes if not effect.model.startswith("untrained")]
        r = along(trained, n)["source"]
        right.set_title("" if np.isnan(r) else f"without the untrained: $r={r:+.2f}$")
        right.set_xlabel("change of log NC1 on the source")
        right.set_ylabel("change of the accuracy")
        for axes in (left, right):
            axes.axvline(0.0, color=GREY, linewidth=0.6, zorder=0)
        right.axhline(0.0, color=GREY, linewidth=0.6, zorder=0)
        for cause in dict.fromkeys(effect.cause for effect in changes):
            right.plot([], [], "o", color=CAUSES[cause], label=cause)
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=5, columnspacing=1.2)
    return figure


def layers_figure(found: Found) -> Figure:
    """NC1 on the source and on the task over the layers, and the probes, with raw samples and random weights beside."""
    sizes = list(dict.fromkeys(row["n"] for row in found.rows))
    profiles = {n: pooled_profile([row for row in found.rows if row["n"] == n]) for n in sizes}
    seeds = len({row["seed"] for row in found.rows})
    first = profiles[sizes[0]]
    layer = np.arange(1, len(first["probe"]) + 1)
    with style():
        figure = Figure(figsize=(9.6, 3.7), layout="constrained")
        told = f"mean of {seeds} seeds (bars: their standard deviation)" if seeds > 1 else "one seed"
        figure.suptitle(_title(found, f"{found.rows[0]['model']}, {told}"), x=0.012, ha="left", size=10.5)
        left, right = figure.subplots(1, 2)
        left.set_title("NC1 of the training samples")
        left.plot(layer, first["downstream_nc1"], color=RED, marker="o", label="on the task")
        left.plot(layer, first["source_nc1"], color=GREEN, marker="o", label="on the source")
        left.plot(layer, first["random_nc1"], color=GREY, linestyle=DASHED, marker="x", label="on the task, untrained")
        left.set_ylabel("NC1")
        left.set_yscale("log")
        log_ticks(left.yaxis)
        r_task, r_source = (float(np.mean(first[f"r_{name}"])) for name in ("downstream", "source"))
        right.set_title(
            rf"{sizes[0]} a class: $r={r_task:+.3f}$ with log NC1 on the task, ${r_source:+.3f}$ on the source"
        )
        for (n, profile), colour in zip(profiles.items(), (BLUE, ORANGE, PURPLE), strict=False):
            right.errorbar(layer, profile["probe"], profile["seed_sd"], color=colour, marker="o", capsize=2,
                           label=f"{n} samples a class")  # fmt: skip
            right.plot(layer, profile["random_probe"], color=colour, linestyle=DASHED, marker="x", alpha=0.7)
            right.axhline(profile["raw"][0], color=colour, linewidth=0.7, linestyle=(0, (1, 1.5)))
        right.plot([], [], color=INK, linestyle=DASHED, marker="x", label="untrained network")
        right.plot([], [], color=INK, linewidth=0.7, linestyle=(0, (1, 1.5)), label="raw samples")
        right.set_ylabel("test accuracy of the linear probe")
        for axes in (left, right):
            axes.set_xlabel("layer")
            axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, columnspacing=1.2)
    return figure


def finetune_figure(found: Found) -> Figure:
    """Test accuracy of each method, a bar at the mean, the share of trained parameters.

    A dot for each draw, those of a backbone at one height.
    """
    setting = found.setting
    tables = [methods(found, n) for n in setting.sizes]
    count = len(setting.tuned)
    with style():
        figure = Figure(figsize=(3.4 * len(tables) + 2.4, 0.24 * len(tables[0]) + 2.2), layout="constrained")
        told = f"{setting.tuned[0].label}, {count} backbone{'s' * (count > 1)}"
        title = textwrap.fill(_title(found, told), int(13.0 * figure.get_figwidth()))
        figure.suptitle(title, x=0.012, ha="left", size=10.5)
        panels, negatives = figure.subplots(1, len(tables), sharey=True, squeeze=False)[0], []
        for axes, n, table in zip(panels, setting.sizes, tables, strict=True):
            named = {method.name: method for method in table}
            axes.set_title(f"{n} samples a class, {named['full'].labels} labels in all")
            negatives += [f"{n} a class, {line}" for line in findings(named) if line.startswith("NEGATIVE")]
            _draw_methods(axes, table)
        panels[0].set_yticks(range(len(tables[0])), [_method_name(method) for method in tables[0]])
        panels[0].set_ylim(len(tables[0]) - 0.4, -0.6)
        kinds = [method.name.split()[-1].isdigit() + 2 * (" " in method.name) for method in tables[0]]
        for i in (i for i in range(1, len(kinds)) if kinds[i] != kinds[i - 1]):  # controls; layers by number; rules
            for axes in panels:
                axes.axhline(i - 0.5, color=GREY, linewidth=0.4, zorder=0)
        room = int(19.0 * figure.get_figwidth())  # letters of a line
        told = [textwrap.fill(line, room, subsequent_indent="    ") for line in (READ, *negatives)]
        figure.supxlabel("\n".join(told), x=0.012, ha="left", **NOTE)
    return figure


def _draw_pool(axes: Axes, found: Found, n: int, entry: Correlation) -> None:
    x, y = (np.array([row[name] for row in found.rows]) for name in ("nc1", f"probe_{n}"))
    bare = np.array(["untrained" in row["model"] for row in found.rows])
    axes.plot(x[~bare], y[~bare], "o", color=BLUE, label="pretrained")
    axes.plot(x[bare], y[bare], "x", color=RED, label="untrained")
    raw = found.controls[0][f"probe_{n}"]
    axes.axhline(raw, color=GREY, linewidth=0.8, linestyle=DASHED, zorder=0, label="raw samples")
    axes.set_xscale("log")
    log_ticks(axes.xaxis)
    axes.set_xlabel("NC1 on the task")
    axes.set_title(f"{n} samples a class: $r={entry.pearson:+.2f}$  [${entry.low:+.2f}$, ${entry.high:+.2f}$]")
    if n == min(found.setting.shots):
        axes.set_ylabel("test accuracy of the linear probe")
        axes.legend(loc="best", handlelength=1.2, frameon=True, framealpha=1.0, edgecolor="none")


def _draw_correlations(axes: Axes, entries: list[Correlation], first: bool) -> None:
    """Pearson's r with its interval, a line for each score; those that fall with accuracy are on the left."""
    shown = [entry for name in NAMES for entry in entries if entry.score == name and np.isfinite(entry.pearson)]
    for i, entry in enumerate(shown):
        colour = GREEN if entry.score in ("nc1", "few_nc1") else (RED if entry.score == "source_nc1" else INK)
        axes.plot([entry.low, entry.high], [i, i], color=colour, linewidth=1.0)
        axes.plot([entry.pearson], [i], "o", color=colour)
    axes.axvline(0.0, color=GREY, linewidth=0.6)
    axes.set_xlim(-1.05, 1.05)
    axes.set_xlabel(f"$r$ with the probe of {entries[0].n} samples a class")
    axes.set_yticks(range(len(shown)), [NAMES[entry.score] for entry in shown])
    if first:
        axes.invert_yaxis()
    else:
        axes.tick_params(labelleft=False)


def _draw_effect(axes: Axes, i: int, effect: Effect, n: int) -> None:
    """A dot for each seed, a bar at the mean."""
    values, colour = effect.probes[n], CAUSES[effect.cause]
    axes.plot(values, np.full(len(values), i), "o", color=colour, alpha=0.45, markeredgewidth=0)
    mean = float(np.mean(values))
    axes.plot([mean, mean], [i - 0.32, i + 0.32], color=colour, linewidth=2.0)


def _draw_methods(axes: Axes, table: tuple[Method, ...]) -> None:
    full = next(method for method in table if method.name == "full")
    axes.axvline(float(np.mean(full.accuracy)), color=COLOURS["full"], linewidth=0.7, linestyle=DASHED, zorder=0)
    for i, method in enumerate(table):
        colour = COLOURS[method.name.split()[0]]
        heights = i + 0.24 * np.linspace(-1.0, 1.0, len(method.accuracy) + 2)[1:-1]
        for height, values in zip(heights, method.accuracy, strict=True):
            axes.plot(values, np.full(len(values), height), "o", color=colour, alpha=0.45, ms=3, markeredgewidth=0)
        mean = float(np.mean(method.accuracy))
        axes.plot([mean, mean], [i - 0.32, i + 0.32], color=colour, linewidth=2.0)
    axes.set_xlabel("test accuracy (dashed: full fine-tuning)")


def _method_name(method: Method) -> str:
    kind, _, at = method.name.partition(" ")
    rules = {"nc1": ", lowest NC1", "search": ", search", "validation": ", validation", "": ""}
    where = rules.get(at, f", layer {at}")
    share = "" if np.isnan(method.share) else f" ({method.share:.1%})"
    return f"{TITLES[kind]}{where}{share}"


def _title(found: Found, what: str) -> str:
    return f"{found.setting.name}, {found.setting.title}: {what}"
