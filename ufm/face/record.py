"""The report of a solve as strict JSON: the same content as the text, keys that stay, no NaN, no large arrays."""

import json
import math
from enum import IntEnum
from typing import Any

import numpy as np

from ufm.certify.certificate import Certificate
from ufm.face.report import Report
from ufm.face.text import loss_name
from ufm.sweep.version import installed
from ufm.verify.compare import representatives

SCHEMA = "ufm-solve/1"
SMALL = 128  # the longest array that is written out
SECOND_ORDER = (
    "smallest_eigenvalue", "eigenvalue_residual", "index", "nullity", "symmetry", "curvature_method",
    "curvature_tolerance",
)  # fmt: skip


def as_json(report: Report, pictures: tuple[str, ...] = ()) -> str:
    """One JSON object; undefined and infinite numbers are null. `pictures`: the files drawn."""
    return json.dumps({**as_record(report), "pictures": list(pictures)}, indent=2, allow_nan=False)


def as_record(report: Report) -> dict[str, Any]:
    """The report as nested dicts of JSON types."""
    record = {
        "schema": SCHEMA,
        "software": {name: installed(name) for name in ("ufm", "jax", "numpy")},
        "problem": _problem(report),
        "solution": {
            "method": report.method,
            **_fields(report.solution, leave=("params", "point", "trajectory", "reduction")),
            "reduction": list(report.solution.reduction.steps),
        },
        "certificate": report.certificate and _certificate(report.certificate),
        "collapse": {"largest_logit": report.logits, "metrics": report.collapse and _fields(report.collapse)},
        "theory": _theory(report),
        "seconds": {
            "compile": report.solution.compile_seconds,
            "solve": report.solution.seconds,
            "certify_and_compare": report.seconds,
        },
    }
    return _plain(record)


def _certificate(certificate: Certificate) -> dict[str, Any]:
    second = {name: getattr(certificate, name) for name in SECOND_ORDER}
    return {**_fields(certificate, leave=("escape", "second")), **second}


def _problem(report: Report) -> dict[str, Any]:
    problem = report.problem
    return {
        "loss": loss_name(problem),
        "smoothing": getattr(problem.loss, "smoothing", None),
        "K": problem.K,
        "sizes": list(problem.sizes),
        "N": problem.N,
        "d": problem.d,
        "lam_W": problem.lam_W,
        "lam_H": problem.lam_H,
        "lam_b": problem.lam_b,
    }


def _theory(report: Report) -> dict[str, Any]:
    comparison = report.comparison
    if comparison is None:
        return {"theorem": None, "statement": None, "source": None, "reasons": report.reasons, "rows": []}
    rows = [_fields(row) for row in representatives(comparison.rows)]
    named = {"theorem": comparison.theorem, "statement": comparison.statement, "source": comparison.source}
    return {**named, "reasons": [], "rows": rows}


def _fields(value: Any, leave: tuple[str, ...] = ()) -> dict[str, Any]:
    return {name: entry for name, entry in vars(value).items() if name not in leave}


def _plain(value: Any) -> Any:
    """Enums by name, arrays as lists (null if large), numbers that JSON does not know as null."""
    if isinstance(value, IntEnum):
        return value.name
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist()) if value.size <= SMALL else None
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
