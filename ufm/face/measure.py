"""The command `ufm measure`: files of features to a table of metrics, the curve over the layers, and a picture."""

import json
import math
import re
import zipfile
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ufm import metrics
from ufm.face.record import installed
from ufm.face.solve import BadOptionError, target_path
from ufm.face.text import INDENT, WIDTH, block
from ufm.metrics.arrays import as_array
from ufm.metrics.layers import LogLinear, log_linear
from ufm.metrics.measure import Measurement, measure

SCHEMA = "ufm-measure/1"
RESERVED = ("labels", "W", "b")  # keys of an .npz that are not layers
WIDE = 2048  # features up to which the metrics of cost d^2 and more are computed
CURVE = ("nc1", "trace_ratio", "separation_fuzziness", "cdnv", "vci", "ncc_error", "nc2_gram_H")
FITTED = ("trace_ratio", "separation_fuzziness")
GROUPS = {
    "NC1": ("nc1", "trace_ratio", "cdnv", "vci", "separation", "discrimination", "numerical_rank"),
    "NC2": ("nc2", "coherence", "gnc2"),
    "NC3": ("nc3", "bias"),
    "NC4": ("nc4", "ncc", "accuracy", "margin"),
}


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer measured: `values` holds those of the Measurement and the metrics that cost more."""

    name: str
    measurement: Measurement
    values: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the files hold: layers in order, [N, d] each, labels [N], and the classifier of the last layer."""

    layers: Mapping[str, Any]
    labels: Any
    W: Any
    b: Any


def run_measure(options: Namespace) -> int:
    """Read, measure, print, draw.

    Returns:
        0.
    Raises:
        BadOptionError: files or options that cannot work.
    """
    target = None if options.no_figure else target_path(options.out, "ufm-measure")
    inputs = _read(options)
    last = len(inputs.layers) - 1
    layers = [
        _measured(name, H, inputs, options.rank if i == last else None, i == last)
        for i, (name, H) in enumerate(inputs.layers.items())
    ]
    pictures = () if target is None else _draw(layers, inputs.W, target)
    print(as_json(layers, pictures) if options.json else render(layers, pictures))
    return 0


def _measured(name: str, H: Any, inputs: Inputs, rank: int | None, last: bool) -> Layer:
    W, b = (inputs.W, inputs.b) if last else (None, None)
    try:
        found = measure(H, inputs.labels, W, b, rank=rank)
        costly = {"vci": math.nan, "vci_sample_weighted": math.nan, "numerical_rank": math.nan}
        if H.shape[1] <= WIDE:
            spread = metrics.scatter(H, inputs.labels)
            costly["vci"], costly["vci_sample_weighted"] = metrics.vci(spread), metrics.vci_sample_weighted(spread)
            costly["numerical_rank"] = metrics.numerical_rank(H, inputs.labels)
    except (TypeError, ValueError) as error:
        who, _, what = str(error).partition(": ")
        if who not in ("measure", "frame"):
            raise
        raise BadOptionError(f"layer {name}: {' '.join(what.split())}") from error
    return Layer(name, found, {**found.values, **costly})


def _read(options: Namespace) -> Inputs:
    paths = [Path(name) for name in options.files]
    if paths[0].suffix != ".npz":
        return _from_arrays(paths, options)
    if len(paths) > 1 or options.labels or options.W or options.b:
        raise BadOptionError(f"{paths[0]} holds everything: pass it alone, with the keys labels, W and b inside.")
    archive = _load(paths[0])
    if "labels" not in archive:
        raise BadOptionError(f"{paths[0]} has no key 'labels', but {', '.join(archive) or 'nothing'}. Add labels [N].")
    layers = {name: value for name, value in archive.items() if name not in RESERVED}
    if not layers:
        raise BadOptionError(f"{paths[0]} has no features: pass an array [N, d] under any other key, one per layer.")
    return Inputs(layers, archive["labels"], archive.get("W"), archive.get("b"))


def _from_arrays(paths: list[Path], options: Namespace) -> Inputs:
    if options.labels is None:
        raise BadOptionError(f"{paths[0]} needs labels: add --labels FILE.npy, or pass one .npz with the key labels.")
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        raise BadOptionError(f"two files are called {max(names, key=names.count)}: layers take their names from them.")
    layers = {path.stem: _load(path) for path in paths}
    labels, W, b = (None if name is None else _load(Path(name)) for name in (options.labels, options.W, options.b))
    return Inputs(layers, labels, W, b)


def _load(path: Path) -> Any:
    """An .npy as a memory map, an .npz as a dict; nothing is unpickled."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        return found if isinstance(found, np.ndarray) else {name: found[name] for name in found.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = (
            "there is no such file"
            if isinstance(error, FileNotFoundError)
            else " ".join(str(error).split())[:120].rstrip(".")
        )
        raise BadOptionError(f"{path}: {reason}. Pass .npy or .npz files of plain arrays.") from error


def render(layers: list[Layer], pictures: tuple[str, ...] = ()) -> str:
    """The report as text; the full table is that of the last layer."""
    last = layers[-1]
    blocks = [block("samples", _sample_lines(layers)), block("means", _mean_lines(layers))]
    if len(layers) > 1:
        blocks.append("\n".join(_curve_lines(layers)))
    for group, beginnings in GROUPS.items():
        lines = [_row(name, last.values[name]) for name in last.values if name.startswith(beginnings)]
        blocks.append(block(group, lines))
    if pictures:
        blocks.append(block("picture", [", ".join(pictures)]))
    return "\n\n".join(blocks)


def _sample_lines(layers: list[Layer]) -> list[str]:
    moments = layers[-1].measurement.frame.moments
    K, (low, high) = len(moments.counts), (moments.counts.min(), moments.counts.max())
    sizes = f"{low} each" if low == high else f"{low} to {high}"
    labels = f"labels {moments.classes[0]} .. {moments.classes[-1]}"
    lines = [f"N={moments.counts.sum()} in K={K} classes of {sizes}, {labels}, d={moments.means.shape[1]} features"]
    if len(layers) > 1:
        lines.append(f"{len(layers)} layers; the metrics below are those of the last one, {layers[-1].name}")
    return lines


def _mean_lines(layers: list[Layer]) -> list[str]:
    frame = layers[-1].measurement.frame
    K, d = frame.moments.means.shape
    full = min(d, K - 1)
    lines = [f"rank {frame.rank} of {full}; singular values of the centred means cut at {frame.cut:.1e}"]
    if frame.rank < full:
        lines.append(
            f"RANK-DEFICIENT: some class means coincide or are dependent (minority collapse). NC1 counts the "
            f"{frame.rank} directions that are left, and says nothing about the classes that have merged."
        )
    return [*lines, "  ".join(f"{s:.3g}" for s in frame.spectrum[:10]) + ("  ..." if K > 10 else "")]


def _curve_lines(layers: list[Layer]) -> list[str]:
    width = min(16, max(8, *(len(layer.name) for layer in layers)))
    short = {"separation_fuzziness": "separation", "nc2_gram_H": "nc2_gram"}
    head = "".join(f"{short.get(name, name):>12}" for name in CURVE)
    lines = [f"{'layer':{width}}{head}"[:WIDTH]]
    for layer in layers:
        row = "".join(f"{_number(layer.values[name]):>12}" for name in CURVE)
        lines.append(f"{layer.name[:width]:{width}}{row}")
    for name, fit in fits(layers).items():
        lines.append(f"{name} falls by the factor {fit.rate:.3g} per layer (log-linear, R^2 {fit.r_squared:.3f})")
    depth = effective_depth(layers)
    if depth is not None:
        reached = layers[depth - 1].values["ncc_error"] == 0.0
        why = "the first layer without" if reached else "no layer is without"
        lines.append(f"effective depth {depth} of {len(layers)}: {why} nearest-class-mean errors")
    return lines


def fits(layers: list[Layer]) -> dict[str, LogLinear]:
    """The decay per layer of the quantities that fall log-linearly; none for fewer than three layers."""
    found = {name: log_linear([layer.values[name] for layer in layers]) for name in FITTED}
    return {name: fit for name, fit in found.items() if math.isfinite(fit.rate)}


def effective_depth(layers: list[Layer]) -> int | None:
    """`ufm.metrics.effective_depth` of the layers; None where an error is undefined."""
    errors = [layer.values["ncc_error"] for layer in layers]
    return metrics.effective_depth(errors) if np.all(np.isfinite(errors)) else None


def _row(name: str, value: float) -> str:
    """A metric, its value, and its formula: as many clauses of the docstring's first line as there is room for."""
    room = WIDTH - INDENT - 34
    line = (getattr(metrics, name).__doc__ or "").splitlines()[0]
    clauses = re.split(r", in \[|, >= 0|\. |\.$|(?<! ): ", line)[0].split(", ")
    formula = next(text for n in range(len(clauses), 0, -1) if len(text := ", ".join(clauses[:n])) <= room)
    return f"{name:22}{_number(value):>10}  {formula}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"


def as_json(layers: list[Layer], pictures: tuple[str, ...] = ()) -> str:
    """One JSON object; undefined and infinite numbers are null."""
    record = {
        "schema": SCHEMA,
        "software": {name: installed(name) for name in ("ufm", "numpy")},
        "layers": [_layer_record(layer) for layer in layers],
        "fits": {name: vars(fit) for name, fit in fits(layers).items()},
        "effective_depth": effective_depth(layers),
        "pictures": list(pictures),
    }
    return json.dumps(record, indent=2, allow_nan=False)


def _layer_record(layer: Layer) -> dict[str, Any]:
    frame = layer.measurement.frame
    return {
        "name": layer.name,
        "classes": frame.moments.classes.tolist(),
        "counts": frame.moments.counts.tolist(),
        "d": frame.moments.means.shape[1],
        "rank": frame.rank,
        "cut": frame.cut,
        "spectrum": frame.spectrum.tolist(),
        "values": {name: value if math.isfinite(value) else None for name, value in layer.values.items()},
    }


def _draw(layers: list[Layer], W: Any, target: Path) -> tuple[str, ...]:
    from ufm.figures.measure import measure_figure  # here, so that only a picture costs the import of matplotlib
    from ufm.figures.style import save

    names = [layer.name for layer in layers]
    curves = {name: np.array([layer.values[name] for layer in layers]) for name in CURVE}
    rows = None if W is None else as_array("measure", "W", W).astype(np.float64)
    figure = measure_figure(names, curves, layers[-1].measurement, rows)
    return tuple(str(path) for path in save(figure, target))
