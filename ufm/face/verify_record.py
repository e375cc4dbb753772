"""What became of the claims as strict JSON: keys that stay, no NaN."""

import math
from typing import Any

import numpy as np

from ufm.sweep.version import installed
from ufm.verify.claim import AtLeast, AtMost, Check, Row
from ufm.verify.runner import Verified

SCHEMA = "ufm-verify/1"


def as_record(found: tuple[Verified, ...], seconds: float, *, full: bool = False) -> dict[str, Any]:
    """The same as JSON types; undefined and infinite numbers are null."""
    return {
        "schema": SCHEMA,
        "software": {name: installed(name) for name in ("ufm", "jax", "numpy", "scipy")},
        "full": full,
        "seconds": seconds,
        "claims": [
            {
                "id": v.id,
                "topic": v.topic,
                "statement": v.statement,
                "source": v.source,
                "assumptions": v.assumptions,
                "tolerance": v.tolerance,
                "boundary": v.boundary,
                "outcome": v.outcome.name,
                "seconds": v.seconds,
                "checks": [_check_record(check) for check in v.checks],
            }
            for v in found
        ],
    }


def _check_record(check: Check) -> dict[str, Any]:
    rows = []
    for row in check.rows:
        predicted, measured = shown(row)
        rows.append(
            {
                "quantity": row.quantity,
                "predicted": predicted,
                "measured": measured,
                "difference": _finite(row.difference),
                "tolerance": _finite(row.tolerance),
            }
        )
    return {"setting": check.setting, "outcome": check.outcome.name, "reason": check.reason, "rows": rows}


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


def shown(row: Row) -> tuple[str, str]:
    """Predicted and measured, of an array the entries that differ most."""
    predicted, measured = row.predicted, row.measured
    sign = ""
    if isinstance(predicted, AtLeast | AtMost):
        sign, predicted = (">= " if isinstance(predicted, AtLeast) else "<= "), predicted.value
    if isinstance(predicted, str) or isinstance(measured, str) or np.shape(predicted) != np.shape(measured):
        return sign + str(predicted), str(measured)
    there = np.ravel(np.asarray(predicted, float)), np.ravel(np.asarray(measured, float))
    i = int(np.argmax(np.abs(there[0] - there[1])))
    return f"{sign}{there[0][i]:.15g}", f"{there[1][i]:.15g}"
