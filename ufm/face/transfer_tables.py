"""The tables that `ufm transfer` prints."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ufm.transfer.effects import along, effects, error
from ufm.transfer.experiments import Found
from ufm.transfer.paired import deviation
from ufm.transfer.summary import correlations, pooled_profile
from ufm.transfer.tables import Method, findings, methods, paired


def score_lines(found: Found) -> Iterable[str]:
    """Correlations of every score, then the models, the raw samples last."""
    setting = found.setting
    shots = list(setting.shots)
    yield f"{setting.name}  {setting.title}: {len(found.rows)} backbones; few_: scored on 5 samples a class"
    yield "Pearson r [95 % interval over models] and Spearman rho with the accuracy of a linear probe"
    yield f"{'':16}" + "".join(f"{f'{n} samples a class':>28}" for n in shots)
    table = correlations(found)
    for name in dict.fromkeys(entry.score for entry in table):
        cells = [
            f"{entry.pearson:+.2f} [{entry.low:+.2f}, {entry.high:+.2f}] {entry.spearman:+.2f}"
            for entry in table
            if entry.score == name
        ]
        yield f"{name:16}" + "".join(f"{cell:>28}" for cell in cells)
    yield ""
    yield f"{'backbone':28}{'source NC1':>12}{'NC1':>10}{'VCI':>10}" + "".join(f"{f'probe {n}':>11}" for n in shots)
    for row in [*sorted(found.rows, key=lambda row: -row["probe_5"]), *found.controls]:
        yield _model_line(row["model"], row, shots)
    raw = found.controls[0]
    for n in shots:
        better = sum(row[f"probe_{n}"] > raw[f"probe_{n}"] for row in found.rows)
        yield f"{better} of {len(found.rows)} backbones do better than raw samples with {n} samples a class"


def _model_line(name: str, row: Any, shots: Sequence[int]) -> str:
    values = f"{row['source_nc1']:12.3f}{row['nc1']:10.3f}{row['vci']:10.3f}"
    return f"{name[:27]:28}{values}" + "".join(f"{row[f'probe_{n}']:11.3f}" for n in shots)


def cause_lines(found: Found) -> Iterable[str]:
    """Each change of the pretraining against what it changes, and whether collapse and transfer go together."""
    shots = list(found.setting.shots)
    changes = effects(found)
    seeds = len({row["seed"] for row in found.rows})
    yield f"{found.setting.name}  {found.setting.title}: paired differences, mean (standard error) of {seeds} seed" + (
        "s" if seeds > 1 else ""
    )
    head = "".join(f"{f'probe {n}':>17}" for n in shots)
    yield f"{'change':24}{'against':14}{'source NC1':>11}{'its log ratio':>16}{'log ratio NC1':>16}{head}"
    for effect in changes:
        cells = "".join(f"{_difference(effect.probes[n], 3):>17}" for n in shots)
        nc1s = f"{_difference(effect.source, 2):>16}{_difference(effect.downstream, 2):>16}"
        named = f"{effect.model[:23]:24}{effect.against[:13]:14}{np.mean(effect.source_nc1):11.3g}"
        yield f"{named}{nc1s}{cells}"
    trained = [effect for effect in changes if not effect.model.startswith("untrained")]
    for n in shots:
        r = along(trained, n)
        told = f"log NC1 on the source {r['source']:+.2f}, on the task {r['downstream']:+.2f}"
        if not np.isfinite(r["source"]):
            continue
        yield f"r over the {len(trained)} changes of training with the probe of {n} samples a class: {told}"


def _difference(values: np.ndarray, digits: int) -> str:
    of = error(values)
    return f"{np.mean(values):+.{digits}f} ({'-' if np.isnan(of) else f'{of:.{digits}f}'})"


def layer_lines(found: Found) -> Iterable[str]:
    """Every layer, beside the random network's and raw samples; correlations over the layers."""
    sizes = list(dict.fromkeys(row["n"] for row in found.rows))
    profiles = {n: pooled_profile([row for row in found.rows if row["n"] == n]) for n in sizes}
    seeds, names = len({row["seed"] for row in found.rows}), found.rows[0]["names"]
    told = f"{found.rows[0]['model']}, mean of {seeds} seed{'s' * (seeds > 1)}"
    yield f"{found.setting.name}  {found.setting.title}: {told}"
    head = "".join(f"{f'probe {n}':>12}{'(sd)':>8}{f'random {n}':>12}" for n in sizes)
    yield f"{'layer':12}{'source NC1':>12}{'NC1':>10}{'random NC1':>12}{head}"
    first = profiles[sizes[0]]
    for i, name in enumerate(names):
        columns = [(p["probe"][i], _number(p["seed_sd"][i]), p["random_probe"][i]) for p in profiles.values()]
        cells = "".join(f"{mean:12.3f}{sd:>8}{random:12.3f}" for mean, sd, random in columns)
        nc1s = f"{first['source_nc1'][i]:12.4f}{first['downstream_nc1'][i]:10.3f}{first['random_nc1'][i]:12.3f}"
        yield f"{name[:11]:12}{nc1s}{cells}"
    raw = "".join(f"{profile['raw'][0]:12.3f}{'':20}" for profile in profiles.values())
    yield f"{'raw samples':12}{'':34}{raw}".rstrip()
    for n, profile in profiles.items():
        names = {"on the task": "downstream", "on the source": "source", "untrained": "random"}
        yield f"Pearson r over the layers of log NC1 with the probe of {n} samples a class, for each seed:"
        yield "    " + "; ".join(f"{name} {_listed(profile[f'r_{key}'])}" for name, key in names.items())
    trained, fresh = (first[name][-1] - first[name][0] for name in ("probe", "random_probe"))
    yield f"first layer to last, {sizes[0]} samples a class: {trained:+.3f}; untrained (depth alone): {fresh:+.3f}"


def finetune_lines(found: Found) -> Iterable[str]:
    """A table for each number of samples, with the differences that are paired, and what it says."""
    setting = found.setting
    count = len(setting.tuned)
    told = f"{setting.tuned[0].label}, {count} backbone{'s' * (count > 1)}, mean and standard deviation over all"
    yield f"{setting.name}  {setting.title}: {told}"
    yield "layers: 'nc1' of the lowest frozen NC1, 'search' of the lowest training NC1 after tuning, 'validation' of"
    yield "the best accuracy there; 'labels' is a probe that learns from the validation too; (se): paired, over both"
    for n, draws in setting.sizes.items():
        table = {method.name: method for method in methods(found, n)}
        yield ""
        labels = f"{table['full'].labels} labels in all with those that chose rate and layer"
        yield f"{n} samples a class, {draws} draw{'s' * (draws > 1)} for each backbone, {labels}"
        head = f"{'':16}{'accuracy':>16}{'- full (se)':>17}{'- probe (se)':>17}"
        yield f"{head}{'trained':>9}{'test NC1':>9}{'s':>7}  layers"
        for method in table.values():
            cells = [f"{np.mean(method.accuracy):.3f} +- {_number(float(deviation(method.accuracy.ravel())))}"]
            for other in ("full", "probe"):
                mean, of = paired(method, table[other])
                cells.append(f"{mean:+.3f} ({_number(of)})")
            share = "-" if np.isnan(method.share) else f"{method.share:.1%}"
            seconds = "-" if np.isnan(method.seconds) else f"{method.seconds:.2f}"
            rest = f"{share:>9}{np.mean(method.nc1):9.3f}{seconds:>7}"
            yield f"{method.name:16}{cells[0]:>16}{cells[1]:>17}{cells[2]:>17}{rest}  {_chosen(method)}".rstrip()
        yield from findings(table)


def _chosen(method: Method) -> str:
    """The layers that a rule took, with how often; nothing for a layer by number."""
    if not method.name.endswith(("nc1", "search", "validation")):
        return ""
    layers, counts = np.unique(method.layers, return_counts=True)
    return ", ".join(f"{layer} ({count})" for layer, count in zip(layers, counts, strict=True))


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _listed(values: np.ndarray) -> str:
    return ", ".join(f"{value:+.3f}" for value in values)
