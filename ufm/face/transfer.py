"""The command `ufm transfer`: an experiment of a setting to a table, a CSV file and a picture."""

import csv
import sys
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ufm.face.line import Line
from ufm.face.solve import BadOptionError, target_path
from ufm.sweep.store import opened

if TYPE_CHECKING:
    from ufm.transfer.experiments import Found

LARGEST = 2**30  # keys below it leave room for the seeds that are added
EXPERIMENTS = {
    "scores": "scores of a pool of pretrained networks against the accuracy of linear probes",
    "causes": "what epochs, decay, augmentation and projection heads do to collapse and to transfer",
    "layers": "collapse and probes, layer by layer",
    "finetune": "one tuned block against the linear probe, full fine-tuning and training from scratch",
}


def run_transfer(options: Namespace) -> int:
    """Compute what the store lacks, print, draw.

    Returns:
        0.
    Raises:
        BadOptionError: a key that is no seed; files that cannot be written; equinox or scikit-learn is not installed.
    """
    name = f"ufm-transfer-{options.experiment}-{options.setting}" + (f"-key{options.key}" if options.key else "")
    if not 0 <= options.key < LARGEST:
        raise BadOptionError(f"--key {options.key} is no seed. Pass 0 .. {LARGEST - 1}.")
    target = target_path(options.out or name, name)
    line = Line(sys.stderr, _told)
    try:
        found = _found(options, line)
    except ImportError as error:
        raise BadOptionError(f"needs equinox and scikit-learn ({error}): pip install 'ufm[networks]'.") from error
    except OSError as error:
        raise BadOptionError(error.strerror or str(error)) from error
    finally:
        line.end()
    try:
        written = [write_csv(found, target.with_name(target.name + ".csv")), *_drawn(options.experiment, found, target)]
    except OSError as error:
        raise BadOptionError(
            f"--out {target}: {error.strerror or error}. The rows are stored: run it again."
        ) from error
    told = f"store: {options.store}   written: {', '.join(map(str, written))}"
    print("\n".join([*_lines(options.experiment, found), "", told]))
    return 0


def _found(options: Namespace, line: Line) -> "Found":
    """The rows, from the store or computed."""
    from ufm.transfer import experiments, settings  # here, for they need the extra

    setting = settings.reseeded(settings.SETTINGS[options.setting], options.key)
    setting = settings.quick(setting) if options.quick else setting
    run = {
        "scores": experiments.run_scores,
        "causes": experiments.run_causes,
        "layers": experiments.run_layers,
        "finetune": experiments.run_finetune,
    }[options.experiment]
    with opened(options.store) as store:
        for note in store.notes:
            print(note, file=sys.stderr)
        return run(setting, store, line.show)


def _told(done: int, total: int, what: str) -> tuple[str, bool]:
    """Rows that are there, of how many, and the next one."""
    return f"{done}/{total} rows" + (f", next {what}" if what else ""), done >= total


def _lines(experiment: str, found: "Found") -> Iterable[str]:
    from ufm.face import transfer_tables  # here, for it needs the extra

    return {
        "scores": transfer_tables.score_lines,
        "causes": transfer_tables.cause_lines,
        "layers": transfer_tables.layer_lines,
        "finetune": transfer_tables.finetune_lines,
    }[experiment](found)


def write_csv(found: "Found", path: Path) -> Path:
    """The rows without their arrays, but for profiles of layers: a line for each layer."""
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
        "causes": transfer.causes_figure,
        "layers": transfer.layers_figure,
        "finetune": transfer.finetune_figure,
    }
    return save(figures[experiment](found), target)
