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
from pathlib import Path
from typing import Any

from ufm.face.pages.claims import claims_page
from ufm.face.solve import BadOptionError, target_path
from ufm.face.verify_record import as_record, shown
from ufm.verify.claim import Outcome
from ufm.verify.runner import Verified, all_claims, verify

WIDTH = 100
WANTED = (Outcome.HOLDS, Outcome.NOT_APPLICABLE)


def run_verify(options: Namespace) -> int:
    """Run `ufm verify`; the exit status is 0 if every claim holds, 1 if one is violated or inconclusive.

    Raises:
        BadOptionError: an id that no claim has, or jobs < 1.
    """
    ids = _ids(options.only)
    if options.list and options.report is not None:
        raise BadOptionError("--report would have no effect: --list runs nothing.")
    if options.list:
        _print_list(ids)
        return 0
    if options.jobs is not None and options.jobs < 1:
        raise BadOptionError(f"--jobs {options.jobs} runs nothing. Pass 1 or more.")
    target = None if options.report is None else target_path(options.report, "report", "--report", (".html", ".json"))
    jobs = min(2, os.cpu_count() or 1) if options.jobs is None else options.jobs
    clock = time.perf_counter()
    found = verify(ids, full=options.full, jobs=jobs, progress=_ticker())
    seconds = time.perf_counter() - clock
    record = json.dumps(as_record(found, seconds, full=options.full), indent=2, allow_nan=False)
    written = () if target is None else _write(target, claims_page(found, seconds, full=options.full), record)
    print(record if options.json else "\n".join([render(found, seconds), *written]))
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


def _write(target: Path, page: str, record: str) -> tuple[str, ...]:
    """target.html and target.json; says where they are."""
    paths = [target.with_name(target.name + suffix) for suffix in (".html", ".json")]
    for path, text in zip(paths, (page, record), strict=True):
        path.write_text(text + "\n", encoding="utf-8")
    return (f"Report: {paths[0]}, {paths[1]}",)


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
        told.append(f"{check.worst.quantity}: predicted {shown(check.worst)[0]}, measured {shown(check.worst)[1]}")
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
