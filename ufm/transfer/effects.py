"""What the rows of causes say: what a change of the pretraining does to collapse on the source, and to transfer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ufm.transfer.experiments import Found
from ufm.transfer.layer_profile import correlation
from ufm.transfer.paired import deviation
from ufm.transfer.rows import Row


@dataclass(frozen=True, eq=False)
class Effect:
    """A backbone against the one that it changes, seed by seed.

    Attributes:
        model, cause, against: as of `Backbone`. source_nc1: [S] of the changed backbone.
        source, downstream: [S] differences of log NC1 on the source, and on the downstream training set.
        probes: n -> [S] differences of the test accuracy of probes of n samples a class.
    """

    model: str
    cause: str
    against: str
    source_nc1: np.ndarray
    source: np.ndarray
    downstream: np.ndarray
    probes: dict[int, np.ndarray]


def effects(found: Found) -> tuple[Effect, ...]:
    """Each change of the pool, those of a cause together."""
    by = {(row["model"], row["seed"]): row for row in found.rows}
    seeds = sorted({seed for _, seed in by})
    changes = dict.fromkeys((row["model"], row["cause"], row["against"]) for row in found.rows if row["against"])
    causes = list(dict.fromkeys(cause for _, cause, _ in changes))
    return tuple(
        _effect(*change, [(by[change[0], seed], by[change[2], seed]) for seed in seeds], tuple(found.setting.shots))
        for change in sorted(changes, key=lambda change: causes.index(change[1]))
        if (change[2], seeds[0]) in by
    )


def error(values: np.ndarray) -> float:
    """Standard error of the mean of differences [S]; NaN for a single one."""
    return float(deviation(values)) / np.sqrt(len(values))


def along(changes: Sequence[Effect], n: int) -> dict[str, float]:
    """Pearson r over changes of the mean difference of log NC1, "source" and "downstream", with that of the probe.

    Returns:
        In [-1, 1]; NaN for two changes or less.
    """
    gain = np.array([np.mean(effect.probes[n]) for effect in changes])
    sides = {"source": [effect.source for effect in changes], "downstream": [effect.downstream for effect in changes]}
    return {name: correlation(np.array([np.mean(each) for each in side]), gain) for name, side in sides.items()}


def _effect(model: str, cause: str, against: str, pairs: Sequence[tuple[Row, Row]], shots: Sequence[int]) -> Effect:
    def column(of: int, key: str) -> np.ndarray:
        return np.array([pair[of][key] for pair in pairs])

    return Effect(
        model,
        cause,
        against,
        column(0, "source_nc1"),
        np.log(column(0, "source_nc1") / column(1, "source_nc1")),
        np.log(column(0, "nc1") / column(1, "nc1")),
        {n: column(0, f"probe_{n}") - column(1, f"probe_{n}") for n in shots},
    )
