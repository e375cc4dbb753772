"""The three experiments of a setting: every row from the store or computed, in order, with progress."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ufm.sweep.store import Store
from ufm.transfer.plans import LAYERED
from ufm.transfer.pretraining import Backbone
from ufm.transfer.rows import Row, control_row, finetune_row, frozen_row, layers_row, score_row
from ufm.transfer.settings import Setting

Progress = Callable[[int, int, str], None]  # rows that are there, of how many, what is computed next
PROFILES = {5: 5, 20: 3}  # samples a class -> sets of them, for the probes of every layer


@dataclass(frozen=True, eq=False)
class Found:
    """The rows of an experiment.

    Attributes:
        setting: what was run. rows: in order, with what each is about. controls: of the scores, raw samples.
    """

    setting: Setting
    rows: tuple[Row, ...]
    controls: tuple[Row, ...] = ()


def run_scores(setting: Setting, store: Store, progress: Progress) -> Found:
    """Scores and probes of every backbone of the pool, and of raw samples."""
    source, target = setting.source(), setting.target()
    models: list[Backbone | None] = [*setting.pool, None]
    rows = []
    for i, backbone in enumerate(models):
        label = "raw samples" if backbone is None else backbone.label
        progress(i, len(models), label)
        row = score_row(store, backbone, source, target, setting.shots)
        rows.append({"model": label, "cause": backbone.cause if backbone else "", **row})
    progress(len(models), len(models), "")
    return Found(setting, tuple(rows[:-1]), tuple(rows[-1:]))


def run_layers(setting: Setting, store: Store, progress: Progress) -> Found:
    """The layer profile of every deep backbone, for each number of samples."""
    source, target = setting.source(), setting.target()
    wanted = [(backbone, n) for backbone in setting.deep for n in PROFILES]
    rows = []
    for i, (backbone, n) in enumerate(wanted):
        progress(i, len(wanted), f"{backbone.label}, seed {backbone.key}, {n} samples a class")
        draws = min(PROFILES[n], setting.draws)
        row = layers_row(store, backbone, source, target, n, draws)
        rows.append({"model": backbone.label, "seed": backbone.key, "n": n, **row})
    progress(len(wanted), len(wanted), "")
    return Found(setting, tuple(rows))


def run_finetune(setting: Setting, store: Store, progress: Progress) -> Found:
    """Every method, at every layer where it has one, for each number of samples and draw, and two controls.

    The controls are probes of the "raw" samples and of the "random" network, the backbone before its training. Rows of
    one size and draw have the same samples, and `frozen`, NC1 of the backbone's layers on them.
    """
    source, target = setting.source(), setting.target()
    controls: dict[str, Backbone | None] = {"raw": None, "random": setting.tuned}
    kinds = [*((name, None) for name in controls), *_kinds(len(setting.tuned.make(source.shape, source.K).stages))]
    wanted = [(n, draw, *kind) for n in setting.sizes for draw in range(setting.draws) for kind in kinds]
    rows = []
    for i, (n, draw, method, layer) in enumerate(wanted):
        at = "" if layer is None else f" {layer}"
        progress(i, len(wanted), f"{method}{at}, {n} samples a class, draw {draw}")
        if method in controls:
            row = control_row(store, controls[method], source, target, n, draw)
        else:
            how = {"method": method, "layer": layer, "rates": list(setting.rates), "steps": setting.steps}
            row = finetune_row(store, setting.tuned, source, target, how, n, draw)
        frozen = frozen_row(store, setting.tuned, source, target, n, draw)["nc1"]
        rows.append({"method": method, "n": n, "draw": draw, "frozen": frozen, **row})
    progress(len(wanted), len(wanted), "")
    return Found(setting, tuple(rows))


def _kinds(L: int) -> Sequence[tuple[str, Any]]:
    """(method, layer) pairs; methods without a layer have None."""
    plain = [(method, None) for method in ("probe", "full", "scratch")]
    return [*plain, *((method, layer) for layer in range(1, L + 1) for method in LAYERED)]
