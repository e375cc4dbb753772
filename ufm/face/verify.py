"""The command `ufm verify`: the literature's claims, run and reported as a table or as JSON."""

import difflib
import json
import math
import os
import sys
import textwrap
import time
from argparse import Namespace
from collections import Counter
from typing import Any

import numpy as np

from ufm.face.solve import BadOptionError
from ufm.sweep.version import installed
from ufm.verify.claim import AtLeast, AtMost, Check, Outcome, Row
from ufm.verify.runner import Verified, all_claims, verify

SCHEMA = "ufm-verify/1"
WIDTH = 100
WANTED = (Outcome.HOLDS, Outcome.NOT_APPLICABLE)


def run_verify(options: Namespace) -> int:
    """Run `ufm verify`; the exit status is 0 if every claim holds, 1 if one is violated or inconclusive.

    Raises:
        BadOptionError: an id that no claim has, or jobs < 1.
    """
    ids = _ids(options.only)
    if options.list:
        _print_list(ids)
        return 0
    if options.jobs is not None and options.jobs < 1:
        raise BadOptionError(f"--jobs {options.jobs} runs nothing. Pass 1 or more.")
    jobs = min(2, os.cpu_count() or 1) if options.jobs is None else options.jobs
    clock = time.perf_counter()
    found = verify(ids, full=options.full, jobs=jobs, progress=_ticker())
    seconds = time.perf_counter() - clock
    if options.json:
        print(json.dumps(as_record(found, seconds), indent=2, allow_nan=False))
    else:
        print(render(found, seconds))
    return 0 if all(verified.outcome in WANTED for verified in found) else 1


def _ids(only: str | None) -> frozenset[str] | None:
    """The claims that --only names, each id or beginning of ids; None: all."""
    if only is None:
        return None
    known = [claim.id for _, claim in all_claims()]
    chosen: set[str] = set()
    for name in (part.strip() for part in only.split(",")):
        matching = [claim for claim in known if claim == name or claim.startswith(f"{name}-")]
        if not matching:
            near = difflib.get_close_matches(name, known, 3, 0.3)
            hint = f" Near: {', '.join(near)}." if near else ""
            raise BadOptionError(f"--only {name!r} is no claim.{hint} ufm verify --list shows all.")
        chosen.update(matching)
    return frozenset(chosen)


def _print_list(ids: frozenset[str] | None) -> None:
    for topic, claim in all_claims():
        if ids is None or claim.id in ids:
            print(f"{claim.id:24}{topic}{'   boundary' if claim.boundary else ''}")
            for line in (claim.statement, claim.source):
                print(textwrap.fill(line, WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 4))


def _ticker() -> Any:
    """Says on a terminal which topics are done; None elsewhere."""
    if not sys.stderr.isatty():
        return None
    done: list[str] = []

    def tell(topic: str) -> None:
        done.append(topic)
        print(f"\r{len(done)} topics done, last {topic:40}", end="", file=sys.stderr, flush=True)

    return tell


def render(found: tuple[Verified, ...], seconds: float) -> str:
    """The table: one line a claim, more where it does not hold, and a last line that counts."""
    lines = [f"{'claim':24}{'outcome':16}{'settings':>8}  {'worst quantity':24}{'difference':>11}{'allowed':>10}"]
    for verified in found:
        lines.append(_line(verified))
        if verified.outcome not in WANTED:
            lines += _explained(verified)
    counts = Counter(verified.outcome for verified in found)
    told = ", ".join(f"{counts[outcome]} {_plural(outcome, counts[outcome])}" for outcome in Outcome if counts[outcome])
    settings = sum(len(verified.checks) for verified in found)
    boundary = sum(verified.boundary for verified in found)
    lines.append("")
    lines.append(f"{len(found)} claims ({boundary} on where a statement stops) at {settings} settings: {told}.")
    lines.append(f"{seconds:.0f} s. Every difference is printed beside what rounding and the gradient allow.")
    return "\n".join(lines)


def _line(verified: Verified) -> str:
    head = f"{verified.id:24}{_word(verified.outcome):16}{len(verified.checks):8d}  "
    check = verified.worst
    if check is None or check.worst is None:
        return head.rstrip()
    row = check.worst
    return head + f"{row.quantity[:23]:24}{_number(row.difference):>11}{_number(row.tolerance):>10}"


def _explained(verified: Verified) -> list[str]:
    """What was stated, where it fails, and how."""
    check = verified.worst
    if check is None:
        return []
    told = [verified.statement, f"at {check.setting}"]
    if check.reason:
        told.append(check.reason)
    if check.worst is not None:
        told.append(f"{check.worst.quantity}: predicted {_shown(check.worst)[0]}, measured {_shown(check.worst)[1]}")
    return [
        line
        for text in told
        for line in textwrap.wrap(text, WIDTH - 4, initial_indent=" " * 4, subsequent_indent=" " * 8)
    ]


def _word(outcome: Outcome) -> str:
    return outcome.name.lower().replace("_", " ") if outcome in WANTED else outcome.name


def _plural(outcome: Outcome, count: int) -> str:
    return "hold" if outcome is Outcome.HOLDS and count > 1 else _word(outcome)


def _number(x: float) -> str:
    return "0" if x == 0.0 else ("undefined" if math.isnan(x) else ("differs" if math.isinf(x) else f"{x:.1e}"))


def _shown(row: Row) -> tuple[str, str]:
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


def as_record(found: tuple[Verified, ...], seconds: float) -> dict[str, Any]:
    """The same as JSON types; undefined and infinite numbers are null."""
    return {
        "schema": SCHEMA,
        "software": {name: installed(name) for name in ("ufm", "jax", "numpy", "scipy")},
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
        predicted, measured = _shown(row)
        rows.append(
            {
                "quantity": row.quantity,
                "predicted": predicted,
                "measured": measured,
                "difference": row.difference if math.isfinite(row.difference) else None,
                "tolerance": row.tolerance,
            }
        )
    return {"setting": check.setting, "outcome": check.outcome.name, "reason": check.reason, "rows": rows}
