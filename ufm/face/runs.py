"""The commands `ufm runs list`, `show`, `compare` and `export`: what a store holds."""

import textwrap
from argparse import Namespace
from pathlib import Path

import numpy as np

from ufm.face.solve import BadOptionError
from ufm.sweep.export import WRITERS, export
from ufm.sweep.results import NOT_RUN, Results
from ufm.sweep.rows import FAULTS
from ufm.sweep.runs import Difference, compared, recalled, shared
from ufm.sweep.store import Listing, listings, opened

WIDTH = 100
SHOWN = 5  # messages of failed rows


def run_list(options: Namespace) -> int:
    """One line a sweep of the store."""
    for listing in _listings(options.store):
        axes = " x ".join(f"{'/'.join(name for name, _ in axis)}[{len(axis[0][1])}]" for axis in listing.axes)
        rows = recalled(options.store, listing)
        missing = int(np.sum(rows["status"] == NOT_RUN))
        print(f"{listing.id}  {listing.created}  {len(rows) - missing}/{len(rows)} rows  {axes}")
    return 0


def run_show(options: Namespace) -> int:
    """The summary of one sweep."""
    listing = _chosen(options.store, options.id)
    print(summary(recalled(options.store, listing)))
    common = ", ".join(f"{name}={value}" for name, value in shared(options.store, listing).items())
    print(textwrap.fill(f"in all rows: {common}", WIDTH, subsequent_indent="    ", break_on_hyphens=False))
    return 0


def run_compare(options: Namespace) -> int:
    """Two sweeps, row by row where the configurations are the same.

    Returns:
        0 if no number differs, else 1.
    """
    one, two = (_split(text) for text in (options.one, options.two))
    found = compared(one[0], _chosen(*one), two[0], _chosen(*two))
    print(f"{found.common} common rows, {found.only_one} only in {options.one}, {found.only_two} only in {options.two}")
    for difference in found.differences:
        print(_difference_line(difference))
    return int(any(difference.rows for difference in found.differences))


def run_export(options: Namespace) -> int:
    """Write one sweep to a file."""
    check_target(options.out)
    write_export(recalled(options.store, _chosen(options.store, options.id)), options.out)
    return 0


def summary(results: Results) -> str:
    """Counts, and the range of each number that varies."""
    lines = [str(results), *_faults(results)]
    for name in ("verdict", "theorem"):
        if name in results.columns:
            counts = {str(value): int(np.sum(results[name] == value)) for value in np.unique(results[name])}
            lines.append(f"{name}: " + ", ".join(f"{count} {value or 'none'}" for value, count in counts.items()))
    lines.append(f"{'':22}{'least':>14}{'median':>14}{'largest':>14}{'undefined':>12}")
    for name, column in results.columns.items():
        if column.dtype.kind in "fi" and column.ndim == 1:
            lines.append(_range_line(name, column.astype(float)))
    return "\n".join(lines)


def _faults(results: Results) -> list[str]:
    """What went wrong, each message once, with the number of its rows."""
    told = results["message"][np.isin(results["status"], FAULTS)].tolist() if "message" in results.columns else []
    messages = list(dict.fromkeys(told))
    more = [f"and {len(messages) - SHOWN} other messages"] if len(messages) > SHOWN else []
    return [f"{told.count(message)} rows failed: {message}" for message in messages[:SHOWN]] + more


def _range_line(name: str, column: np.ndarray) -> str:
    there = column[~np.isnan(column)]
    if there.size == 0:
        return f"{name[:21]:22}{'-':>14}{'-':>14}{'-':>14}{column.size:>12}"
    least, median, largest = np.min(there), np.median(there), np.max(there)
    return f"{name[:21]:22}{least:>14.6g}{median:>14.6g}{largest:>14.6g}{column.size - there.size:>12}"


def _difference_line(difference: Difference) -> str:
    return f"{difference.column[:21]:22}{difference.rows:>8} rows differ, at most by {difference.largest:.1e}"


def check_target(path: str | None) -> None:
    """Refuse a file that could not be written, before anything is computed."""
    if path is None:
        return
    if Path(path).suffix not in WRITERS:
        raise BadOptionError(f"{path}: no known suffix. Use one of {', '.join(WRITERS)}.")
    if not Path(path).parent.is_dir():
        raise BadOptionError(f"{path}: there is no directory {Path(path).parent}.")


def write_export(results: Results, path: str | None) -> None:
    """Write, if there is a file to write."""
    if path is not None:
        try:
            export(results, path)
        except (ImportError, OSError) as error:
            raise BadOptionError(str(error)) from error


def _listings(store: str) -> list[Listing]:
    try:
        with opened(store, create=False) as held:
            return listings(held)
    except OSError as error:
        raise BadOptionError(error.strerror or str(error)) from error


def _split(text: str) -> tuple[str, str | None]:
    """PATH or PATH:ID."""
    if Path(text).exists():
        return text, None
    path, _, identity = text.rpartition(":")
    return (path, identity) if path else (text, None)


def _chosen(store: str, identity: str | None) -> Listing:
    """The sweep whose id begins so; the newest by default."""
    known = _listings(store)
    found = [listing for listing in known if identity is None or listing.id.startswith(identity)]
    if not found:
        told = ", ".join(listing.id for listing in known) or "none"
        raise BadOptionError(f"{store} has no sweep {identity or ''}. There are: {told}.")
    return found[-1]
