"""One row of an experiment: computed once, stored under its configuration and its code, and read again."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ufm.networks.data import Data
from ufm.networks.models import Network
from ufm.sweep.describe import canonical
from ufm.sweep.encoding import key_of
from ufm.sweep.store import Store, read_rows, remove_rows, write_rows
from ufm.sweep.version import installed, source_digest
from ufm.transfer.backbones import features
from ufm.transfer.finetune import Tuned, finetune
from ufm.transfer.layer_profile import layer_profile
from ufm.transfer.pool import ncti_parts
from ufm.transfer.pretraining import Backbone, as_arrays, from_stored, pretrain, source_nc1
from ufm.transfer.probe import fit_probe, probe_accuracy
from ufm.transfer.samples import few, split
from ufm.transfer.scores import nc1, scores

Row = dict[str, Any]
FEW = 5  # samples a class from which scores are computed as well, as one who has no more labels would
VALIDATION = 100  # labels by which a learning rate is chosen, of several
ROOT = Path(__file__).parents[1]
# What draws, counts or prints rows, and makes none.
SUMMARIES = ("summary.py", "tables.py", "paired.py", "effects.py")
ELSEWHERE = ("__init__.py", "experiments.py", "settings.py", "ranking.py", *SUMMARIES)


@cache
def code_version() -> str:
    """The installed version, and a digest of the sources that make rows."""
    folders = (ROOT / name for name in ("losses", "networks", "metrics", "transfer"))
    files = [path for folder in folders for path in folder.glob("*.py") if path.name not in ELSEWHERE]
    return f"{installed('ufm')}+{source_digest(files, ROOT)}"


def remembered(store: Store, configuration: Mapping[str, Any], compute: Callable[[], Row]) -> Row:
    """The row of this configuration and this code: from the store, or computed and stored."""
    text = canonical({**configuration, "code": code_version()})
    key = key_of(text)
    found, damaged = read_rows(store, [key])
    if key not in found:
        remove_rows(store, damaged)
        write_rows(store, [(text, compute())])
        found, _ = read_rows(store, [key])
    return found[key].record


def pretrained(store: Store, backbone: Backbone, source: Data) -> tuple[Network, float]:
    """A backbone, trained on the source once in the life of a store, and its NC1 there."""

    def compute() -> Row:
        network = pretrain(backbone, source)
        return {"source_nc1": source_nc1(network, source), **as_arrays(network)}

    row = remembered(store, {"row": "backbone", **_named(backbone), "source": source}, compute)
    return from_stored(row, backbone, source), row["source_nc1"]


def score_row(
    store: Store, backbone: Backbone | None, source: Data, target: Data, shots: Mapping[int, int], first: int = 0
) -> Row:
    """Scores of a backbone's features on the whole training set and on 5 samples a class, and its probes.

    Args:
        backbone: None for the raw samples. shots: samples a class -> draws; probe_n is the mean accuracy over them.
        first: seed of the first draw.
    """

    def compute() -> Row:
        seen, held, nc1_at_home = _last(store, backbone, source, target)
        data = Data(target.name, seen, target.y, held, target.y_test, target.K)
        found = {"source_nc1": nc1_at_home, **scores(seen, target.y).values}
        found |= dict(zip(("ncti_1", "ncti_2", "ncti_3"), ncti_parts(seen, target.y), strict=True))
        drawn = [scores(part.x, part.y).values for part in (few(data, FEW, first + i) for i in range(shots[FEW]))]
        found |= {f"few_{name}": float(np.mean([each[name] for each in drawn])) for name in drawn[0]}
        for n, draws in shots.items():
            probes = [_probed(few(data, n, first + i), first + i) for i in range(draws)]
            found[f"probe_{n}"] = float(np.mean(probes))
        return found

    of = {} if backbone is None else _named(backbone)
    named = {"row": "scores", **of, "source": source, "target": target, "shots": shots, "first": first}
    return remembered(store, named, compute)


def layers_row(store: Store, backbone: Backbone, source: Data, target: Data, n: int, draws: int) -> Row:
    """The layer profile of a backbone, with its controls."""

    def compute() -> Row:
        network, _ = pretrained(store, backbone, source)
        found = layer_profile(network, target, source, n=n, draws=draws, key=backbone.key)
        arrays = {name: value for name, value in vars(found).items() if isinstance(value, np.ndarray)}
        return {"names": list(found.names), "raw_nc1": found.raw_nc1, "raw_probe": found.raw_probe, **arrays}

    named = {"row": "layers", **_named(backbone), "source": source, "target": target, "n": n, "draws": draws}
    return remembered(store, named, compute)


def finetune_row(
    store: Store, backbone: Backbone, source: Data, target: Data, how: Mapping[str, Any], n: int, draw: int
) -> Row:
    """One adaptation, to n samples of each class.

    Args:
        how: method, layer, rates, steps: arguments of `finetune`. draw: seed of the samples and of the adaptation.
    """

    def compute() -> Row:
        network, _ = pretrained(store, backbone, source)
        seen, rest = split(target, n, draw)
        validation = None
        if len(how["rates"]) > 1:
            held = few(rest, VALIDATION // target.K, draw)
            validation = held.x, held.y
        return _tuned_row(finetune(network, seen, validation=validation, key=draw, **how))

    named = {"row": "finetune", **_named(backbone), "source": source, "target": target, "n": n, "draw": draw}
    return remembered(store, {**named, **how}, compute)


def control_row(
    store: Store, backbone: Backbone | None, source: Data, target: Data, n: int, draw: int, more: int = 0
) -> Row:
    """A linear probe of a backbone's features, or of the raw samples (None), without labels for any choice.

    Args:
        more: samples of each class that are learnt from beside the n of the draw: those of the validation.
    """

    def compute() -> Row:
        seen, rest = split(target, n, draw)
        if more:
            extra = few(rest, more, draw)
            seen = replace(seen, x=np.concatenate([seen.x, extra.x]), y=np.concatenate([seen.y, extra.y]))
        H, held = (x.reshape(len(x), -1) for x in (seen.x, seen.x_test))
        if backbone is not None:
            network, _ = pretrained(store, backbone, source)
            H, held = features(network, seen.x)[-1], features(network, seen.x_test)[-1]
        found = fit_probe(H, seen.y, key=draw)
        trained = found.W.size + found.b.size
        row = {"accuracy": probe_accuracy(found, held, seen.y_test), "trained": trained, "total": trained}
        within = {"nc1_before": nc1(H, seen.y), "nc1_after": nc1(H, seen.y), "nc1_test": nc1(held, seen.y_test)}
        blank = dict.fromkeys(("validation_accuracy", "rate", "seconds", "share"), np.nan)
        return row | within | blank | {"labels": len(seen.y), "layer": 0}

    of = {} if backbone is None else _named(backbone)
    named = {"row": "control", **of, "source": source, "target": target, "n": n, "draw": draw, "more": more}
    return remembered(store, named, compute)


def frozen_row(store: Store, backbone: Backbone, source: Data, target: Data, n: int, draw: int) -> Row:
    """NC1 of every frozen layer on the samples of one draw: what the rule "nc1" looks at."""

    def compute() -> Row:
        network, _ = pretrained(store, backbone, source)
        seen, _ = split(target, n, draw)
        return {"nc1": np.array([nc1(H, seen.y) for H in features(network, seen.x)])}

    named = {"row": "frozen", **_named(backbone), "source": source, "target": target, "n": n, "draw": draw}
    return remembered(store, named, compute)


def _named(backbone: Backbone) -> Row:
    """What a backbone's numbers depend on: all but its name and its group."""
    return {name: value for name, value in vars(backbone).items() if name not in ("label", "cause", "against")}


def _last(store: Store, backbone: Backbone | None, source: Data, target: Data) -> tuple[np.ndarray, np.ndarray, float]:
    """Features of the target's training and test samples, and NC1 on the source."""
    if backbone is None:
        seen, held = (x.reshape(len(x), -1) for x in (target.x, target.x_test))
        return seen, held, scores(source.x.reshape(len(source.x), -1), source.y).values["nc1"]
    network, nc1_at_home = pretrained(store, backbone, source)
    return features(network, target.x)[-1], features(network, target.x_test)[-1], nc1_at_home


def _probed(part: Data, key: int) -> float:
    return probe_accuracy(fit_probe(part.x, part.y, key=key), part.x_test, part.y_test)


def _tuned_row(tuned: Tuned) -> Row:
    kept = ("method", "accuracy", "validation_accuracy", "trained", "total", "labels", "rate", "seconds")
    row = {name: getattr(tuned, name) for name in (*kept, "nc1_before", "nc1_after", "nc1_test")}
    return row | {"layer": tuned.layer or 0, "share": tuned.share}
