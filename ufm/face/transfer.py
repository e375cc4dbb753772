"""The command `ufm transfer`: an experiment of a setting to a table, a CSV file and a picture."""

import csv
import sys
import time
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from ufm.face.solve import BadOptionError, target_path
from ufm.sweep.store import opened

if TYPE_CHECKING:
    from ufm.transfer.experiments import Found

EXPERIMENTS = {
    "scores": "scores of a pool of pretrained networks against the accuracy of linear probes",
    "layers": "collapse and probes, layer by layer",
    "finetune": "one tuned block against the linear probe, full fine-tuning and training from scratch",
}
CAUSES = ("base", "epochs", "decay", "augmentation", "projection head", "MSE")


def run_transfer(options: Namespace) -> int:
    """Compute what the store lacks, print, draw.

    Returns:
        0.
    Raises:
        BadOptionError: files that cannot be written; equinox or scikit-learn is not installed.
    """
    name = f"ufm-transfer-{options.experiment}-{options.setting}"
    target = target_path(options.out or name, name)
    ticker = Ticker(sys.stderr)
    try:
        found = _found(options, ticker)
    except ImportError as error:
        raise BadOptionError(f"needs equinox and scikit-learn ({error}): pip install 'ufm[networks]'.") from error
    except OSError as error:
        raise BadOptionError(error.strerror or str(error)) from error
    finally:
        ticker.end()
    lines = {"scores": score_lines, "layers": layer_lines, "finetune": finetune_lines}[options.experiment]
    written = [write_csv(found, target.with_name(target.name + ".csv")), *_drawn(options.experiment, found, target)]
    print("\n".join([*lines(found), "", f"store: {options.store}   written: {', '.join(map(str, written))}"]))
    return 0


def _found(options: Namespace, ticker: "Ticker") -> "Found":
    """The rows, from the store or computed."""
    from ufm.transfer import experiments, settings  # here, for they need the extra

    setting = settings.SETTINGS[options.setting]
    setting = settings.quick(setting) if options.quick else setting
    run = {
        "scores": experiments.run_scores,
        "layers": experiments.run_layers,
        "finetune": experiments.run_finetune,
    }[options.experiment]
    with opened(options.store) as store:
        for note in store.notes:
            print(note, file=sys.stderr)
        return run(setting, store, ticker.show)


def score_lines(found: "Found") -> Iterable[str]:
    """Correlations of every score, then the models, the raw samples last, and what changed the base."""
    from ufm.transfer.summary import correlations

    setting, rows = found.setting, [*found.rows, *found.controls]
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
    yield ""
    for cause in CAUSES:
        for row in (row for row in rows if row["cause"] == cause):
            yield _model_line(f"{row['model']}" if cause == "base" else f"  {row['model']}", row, shots)


def _model_line(name: str, row: Any, shots: Sequence[int]) -> str:
    values = f"{row['source_nc1']:12.3f}{row['nc1']:10.3f}{row['vci']:10.3f}"
    return f"{name[:27]:28}{values}" + "".join(f"{row[f'probe_{n}']:11.3f}" for n in shots)


def layer_lines(found: "Found") -> Iterable[str]:
    """Every layer, beside the random network's and raw samples; correlations over the layers."""
    from ufm.transfer.summary import pooled_profile

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


def finetune_lines(found: "Found") -> Iterable[str]:
    """A table for each number of samples, with the differences that are paired, and what it says."""
    from ufm.transfer.summary import deviation, findings, methods, paired

    setting = found.setting
    yield f"{setting.name}  {setting.title}: {setting.tuned.label}, {setting.draws} draws, mean and standard deviation"
    yield "'nc1' is the layer of the lowest frozen NC1, 'search' that of the lowest training NC1 after tuning"
    for n in setting.sizes:
        table = {method.name: method for method in methods(found, n)}
        yield ""
        yield f"{n} samples a class, {table['full'].labels} labels in all with those that chose the rate"
        head = f"{'':14}{'accuracy':>16}{'- full (se)':>17}{'- probe (se)':>17}"
        yield f"{head}{'trained':>9}{'test NC1':>9}{'s':>7}  layers"
        for method in table.values():
            cells = [f"{np.mean(method.accuracy):.3f} +- {_number(float(deviation(method.accuracy)))}"]
            for other in ("full", "probe"):
                mean, error = paired(method, table[other])
                cells.append(f"{mean:+.3f} ({_number(error)})")
            share = "-" if np.isnan(method.share) else f"{method.share:.1%}"
            rest = f"{share:>9}{np.mean(method.nc1):9.3f}{method.seconds:7.2f}"
            layers = ",".join(map(str, method.layers)) if method.name.endswith(("nc1", "search")) else ""
            yield f"{method.name:14}{cells[0]:>16}{cells[1]:>17}{cells[2]:>17}{rest}  {layers}".rstrip()
        yield from findings(table)


def write_csv(found: "Found", path: Path) -> Path:
    """The rows, and for layers one line each."""
    flat = [line for row in (*found.rows, *found.controls) for line in _flat(row)]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(flat[0]))
        writer.writeheader()
        writer.writerows(flat)
    return path


def _flat(row: Any) -> list[dict[str, Any]]:
    single = {name: value for name, value in row.items() if not isinstance(value, np.ndarray | list)}
    if "names" not in row:
        return [single]
    arrays = {name: value for name, value in row.items() if isinstance(value, np.ndarray)}
    return [
        single | {"layer": name} | {key: float(value[i]) for key, value in arrays.items()}
        for i, name in enumerate(row["names"])
    ]


def _drawn(experiment: str, found: "Found", target: Path) -> tuple[Path, Path]:
    from ufm.figures import transfer  # here, so that only a picture costs the import of matplotlib
    from ufm.figures.style import save

    figures = {
        "scores": transfer.scores_figure,
        "layers": transfer.layers_figure,
        "finetune": transfer.finetune_figure,
    }
    return save(figures[experiment](found), target)


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _listed(values: np.ndarray) -> str:
    return ", ".join(f"{value:+.3f}" for value in values)


class Ticker:
    """One line on stderr: overwritten on a terminal, else one every ten seconds."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.live, self.last = stream, stream.isatty(), -np.inf

    def show(self, done: int, total: int, what: str) -> None:
        """Rows that are there, of how many, and the next one."""
        clock = time.monotonic()
        if not self.live and clock - self.last < 10.0 and done < total:
            return
        self.last = clock
        text = f"{done}/{total} rows" + (f", next {what}" if what else "")
        self.stream.write(f"\r{text[:79]:79}" if self.live else f"{text}\n")
        self.stream.flush()

    def end(self) -> None:
        """Clear the line."""
        if self.live:
            self.stream.write(f"\r{'':79}\r")
            self.stream.flush()
