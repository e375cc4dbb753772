"""The experiments of a setting: every row from the store or computed, in order, with progress."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ufm.networks.data import Data
from ufm.sweep.store import Store
from ufm.transfer.plans import LAYERED
from ufm.transfer.pretraining import Backbone
from ufm.transfer.rows import VALIDATION, Row, control_row, finetune_row, frozen_row, layers_row, score_row
from ufm.transfer.settings import Setting

Progress = Callable[[int, int, str], None]  # rows that are there, of how many, what is computed next
PROFILES = {5: 5, 20: 3}  # samples a class -> sets of them, for the probes of every layer


@dataclass(frozen=True, eq=False)
class Found:
    """The rows of an experiment: dicts. `ufm transfer` writes their numbers as CSV under the same names.

    Attributes:
        setting: what was run. rows: in order. controls: of the scores, raw samples. What rows hold:

    scores    model, cause, against, seed; source_nc1; every name in `ufm.transfer.SCORES`, of the features of the whole
              training set, "few_" before it for the mean over sets of 5 samples a class; ncti_1 .. ncti_3, see `ncti`;
              probe_n for n in `setting.shots`, the test accuracy of linear probes of n samples a class
    causes    the same, of backbones with a cause and of those that they are set against, for several seeds
    layers    model, seed, n; names [L] and arrays [L] of `LayerProfile`; raw_nc1, raw_probe
    finetune  method, layer (0 for none), n, backbone (seed of its pretraining), draw (seed of the samples); accuracy
              on the test set; validation_accuracy, rate, labels, trained, total, share, seconds, nc1_before, nc1_after,
              nc1_test as in `Tuned`; frozen [L], NC1 of the backbone's layers on the same samples (not in the CSV), and
              nc1_frozen, that of this row's layer.
              Methods are those of `METHODS`, and three linear probes: "raw" of the samples themselves, "random" of
              the backbone before training, "labels" of the backbone, learnt from the validation's samples too
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
        row = score_row(store, backbone, source, target, setting.shots, setting.key)
        rows.append({**_about(backbone), **row})
    progress(len(models), len(models), "")
    return Found(setting, tuple(rows[:-1]), tuple(rows[-1:]))


def run_causes(setting: Setting, store: Store, progress: Progress) -> Found:
    """Scores and probes of what may change how a backbone transfers, and of what it changes, for every seed."""
    source, target = setting.source(), setting.target()
    present = {backbone.label for backbone in setting.pool}
    changes = [backbone for backbone in setting.pool if backbone.against in present]
    shown = {*(backbone.label for backbone in changes), *(backbone.against for backbone in changes)}
    kinds = [backbone for backbone in setting.pool if backbone.label in shown]
    wanted = [replace(backbone, key=key) for key in _seeds(setting, setting.seeds) for backbone in kinds]
    rows = []
    for i, backbone in enumerate(wanted):
        progress(i, len(wanted), f"{backbone.label}, seed {backbone.key}")
        row = score_row(store, backbone, source, target, setting.shots, setting.key)
        rows.append({**_about(backbone), **row})
    progress(len(wanted), len(wanted), "")
    return Found(setting, tuple(rows))


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
    """Every method, at every layer where it has one, for each backbone, number of samples and draw, and controls.

    Rows of one size and draw have the same samples. From scratch there is no backbone: its rows are the same for all.
    """
    source, target = setting.source(), setting.target()
    kinds = _kinds(len(setting.tuned[0].make(source.shape, source.K).stages), setting.rates)
    crossed = [(n, backbone, draw) for n, draws in setting.sizes.items() for backbone in setting.tuned
               for draw in _seeds(setting, draws)]  # fmt: skip
    wanted = [(*case, *kind) for case in crossed for kind in kinds]
    rows = []
    for i, (n, backbone, draw, method, layer) in enumerate(wanted):
        at = "" if layer is None else f" {layer}"
        progress(i, len(wanted), f"{method}{at}, {n} samples a class, backbone {backbone.key}, draw {draw}")
        row = _adapted(setting, store, source, target, backbone, n, draw, method, layer)
        frozen = frozen_row(store, backbone, source, target, n, draw)["nc1"]
        own = {"frozen": frozen, "nc1_frozen": np.nan if layer is None else float(frozen[layer - 1])}
        rows.append({"method": method, "n": n, "backbone": backbone.key, "draw": draw, **own, **row})
    progress(len(wanted), len(wanted), "")
    return Found(setting, tuple(rows))


def _adapted(
    setting: Setting, store: Store, source: Data, target: Data, backbone: Backbone, n: int, draw: int,
    method: str, layer: int | None,
) -> Row:  # fmt: skip
    """The row of one method."""
    more = VALIDATION // target.K if len(setting.rates) > 1 else 0
    controls = {"raw": (None, 0), "random": (replace(backbone, trained=False), 0), "labels": (backbone, more)}
    if method in controls:
        of, extra = controls[method]
        return control_row(store, of, source, target, n, draw, extra)
    how = {"method": method, "layer": layer, "rates": list(setting.rates), "steps": setting.steps}
    start = setting.tuned[0] if method == "scratch" else backbone
    return finetune_row(store, start, source, target, how, n, draw)


def _seeds(setting: Setting, count: int) -> range:
    return range(setting.key, setting.key + count)


def _about(backbone: Backbone | None) -> Row:
    """What a row of scores is about."""
    if backbone is None:
        return {"model": "raw samples", "cause": "", "against": "", "seed": 0}
    return {"model": backbone.label, "cause": backbone.cause, "against": backbone.against, "seed": backbone.key}


def _kinds(L: int, rates: Sequence[float]) -> Sequence[tuple[str, Any]]:
    """(method, layer) pairs; methods without a layer have None, and "labels" is only where labels chose a rate."""
    controls = ("raw", "random", "labels") if len(rates) > 1 else ("raw", "random")
    plain = [(method, None) for method in (*controls, "probe", "full", "scratch")]
    return [*plain, *((method, layer) for layer in range(1, L + 1) for method in LAYERED)]
