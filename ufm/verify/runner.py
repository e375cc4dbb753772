"""Claims run: in this process, or one topic at a time in spawned ones; same order, same numbers up to rounding."""

import importlib
import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from ufm.verify.claim import Check, Claim, Measurement, Outcome, judge
from ufm.verify.claims import TOPICS
from ufm.workers import end_with_parent, shared_cores


@dataclass(frozen=True, eq=False)
class Verified:
    """A claim with its checks, one for each setting.

    Attributes:
        id, statement, source, assumptions, tolerance, boundary: the claim's. topic: the file that it stands in.
        checks: in the order of the settings. seconds: measuring and predicting, compilation included.
    """

    id: str
    topic: str
    statement: str
    source: str
    assumptions: str
    tolerance: str
    boundary: bool
    checks: tuple[Check, ...]
    seconds: float

    @property
    def outcome(self) -> Outcome:
        """VIOLATED or INCONCLUSIVE if any setting is; NOT_APPLICABLE if all are."""
        found = {check.outcome for check in self.checks}
        for outcome in (Outcome.VIOLATED, Outcome.INCONCLUSIVE, Outcome.HOLDS):
            if outcome in found:
                return outcome
        return Outcome.NOT_APPLICABLE

    @property
    def worst(self) -> Check | None:
        """The setting that decides the outcome, and among those the one that uses up most of its tolerance."""
        deciding = [check for check in self.checks if check.outcome is self.outcome]
        return max(deciding, key=lambda check: check.worst.ratio if check.worst else 0.0, default=None)


def claims_of(topic: str) -> tuple[Claim, ...]:
    """The claims of one file of `ufm.verify.claims`."""
    return tuple(importlib.import_module(f"ufm.verify.claims.{topic}").CLAIMS)


def all_claims() -> Iterator[tuple[str, Claim]]:
    """(topic, claim) in the order of the table."""
    for topic in TOPICS:
        for claim in claims_of(topic):
            yield topic, claim


def verify(
    ids: frozenset[str] | None = None,
    *,
    full: bool = False,
    jobs: int = 1,
    progress: Callable[[str], None] | None = None,
) -> tuple[Verified, ...]:
    """Run the claims with these ids (all by default).

    Args:
        ids: of `Claim.id`. full: the larger grids. jobs: processes; with 1 everything runs in this one.
        progress: called with the name of each topic that is finished.
    """
    wanted = [topic for topic in TOPICS if any(ids is None or claim.id in ids for claim in claims_of(topic))]
    found: dict[str, tuple[Verified, ...]] = {}
    if jobs <= 1 or len(wanted) <= 1:
        for topic in wanted:
            found[topic] = run_topic(topic, ids, full)
            if progress is not None:
                progress(topic)
    else:
        # Spawned: a fork after jax has started its threads can hang.
        spawn = multiprocessing.get_context("spawn")
        with shared_cores(jobs), ProcessPoolExecutor(jobs, spawn, _start_worker) as pool:
            running = {pool.submit(_run_apart, topic, ids, full): topic for topic in wanted}
            for future in as_completed(running):
                found[running[future]] = future.result()
                if progress is not None:
                    progress(running[future])
    return tuple(verified for topic in wanted for verified in found[topic])


def _start_worker() -> None:
    """Experiments compile for seconds and run for milliseconds; in a process of one's own a third can be saved."""
    jax.config.update("jax_disable_most_optimizations", True)
    end_with_parent()


def _run_apart(topic: str, ids: frozenset[str] | None, full: bool) -> tuple[Verified, ...]:
    """run_topic in a process that may run out of memory maps: one topic's programs are of no use to the next."""
    found = run_topic(topic, ids, full)
    jax.clear_caches()
    return found


def run_topic(topic: str, ids: frozenset[str] | None, full: bool) -> tuple[Verified, ...]:
    """The claims of one topic, which share their solves."""
    return tuple(run_claim(topic, claim, full) for claim in claims_of(topic) if ids is None or claim.id in ids)


def measured(claim: Claim, setting: Any) -> Measurement:
    """The experiment; one that breaks down says nothing about the claim, and must not hide what the others say."""
    try:
        return claim.measure(setting)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Measurement(failure=f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {error}")


def run_claim(topic: str, claim: Claim, full: bool) -> Verified:
    """One claim at all its settings."""
    clock = time.perf_counter()
    checks = tuple(judge(claim, setting, measured(claim, setting)) for setting in claim.settings(full))
    seconds = time.perf_counter() - clock
    return Verified(
        claim.id,
        topic,
        claim.statement,
        claim.source,
        claim.assumptions,
        claim.tolerance,
        claim.boundary,
        checks,
        seconds,
    )
