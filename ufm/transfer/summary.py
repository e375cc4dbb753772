"""What the rows of a pool and of a layer profile say: correlations over models and layers, means over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from ufm.transfer.experiments import Found
from ufm.transfer.layer_profile import correlation
from ufm.transfer.paired import deviation
from ufm.transfer.pool import relative
from ufm.transfer.rows import Row
from ufm.transfer.scores import SCORES

RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class Correlation:
    """A score against the accuracy of probes of n samples a class, over the models of a pool.

    Attributes:
        score: its name; log NC1, log CDNV and log trace ratio are what is correlated. n: samples a class of the probe.
        pearson, spearman: in [-1, 1]; NaN if the score is undefined for a model. low, high: 95 % bootstrap interval of
            pearson, over models.
    """

    score: str
    n: int
    pearson: float
    spearman: float
    low: float
    high: float


def correlations(found: Found) -> tuple[Correlation, ...]:
    """Every score, computed on the whole training set, on 5 samples a class ("few_"), and NC1 on the source."""
    values = score_values(found.rows)
    return tuple(
        _correlated(name, n, x, np.array([row[f"probe_{n}"] for row in found.rows]))
        for n in found.setting.shots
        for name, x in values.items()
    )


def score_values(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """{score: [M]} over the models, logarithms where `SCORES` says so; "ncti" is made of the pool here."""
    names = [*SCORES, *(f"few_{name}" for name in ("nc1", "cdnv", "logme"))]
    values = {name: np.array([row[name] for row in rows]) for name in names}
    values = {name: _scaled(name.removeprefix("few_"), x) for name, x in values.items()}
    values["ncti"] = relative(np.array([[row[f"ncti_{i}"] for i in (1, 2, 3)] for row in rows]))
    return values | {"source_nc1": np.log(np.array([row["source_nc1"] for row in rows]))}


def pooled_profile(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Means over the seeds of a layer profile's arrays, with correlations over the layers.

    seed_sd: over the seeds. r_downstream, r_source: [seeds] of log NC1 with the probe; r_random: of the untrained
    network's NC1 with its probe.
    """
    names = ("downstream_nc1", "source_nc1", "probe", "probe_sd", "random_nc1", "random_probe")
    found = {name: np.mean([row[name] for row in rows], axis=0) for name in names}
    found["seed_sd"] = deviation(np.array([row["probe"] for row in rows]))
    for name, probed in (("downstream", "probe"), ("source", "probe"), ("random", "random_probe")):
        pairs = [(np.log(row[f"{name}_nc1"]), row[probed]) for row in rows]
        found[f"r_{name}"] = np.array([correlation(x, y) for x, y in pairs])
    found["raw"] = np.array([np.mean([row["raw_probe"] for row in rows])])
    return found


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation in [-1, 1]; NaN as `correlation`."""
    return correlation(rankdata(x), rankdata(y)) if np.all(np.isfinite(x)) else np.nan


def _scaled(name: str, x: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(x) if SCORES[name].log else x


def _correlated(name: str, n: int, x: np.ndarray, y: np.ndarray) -> Correlation:
    index = np.random.default_rng(0).integers(len(x), size=(RESAMPLES, len(x)))
    with np.errstate(invalid="ignore"):
        a, b = (_standard(values[index]) for values in (x, y))
        found = np.sum(a * b, axis=1)
    found = found[np.isfinite(found)]  # a resample may be one model alone
    low, high = np.quantile(found, [0.025, 0.975]) if len(found) > RESAMPLES // 2 else (np.nan, np.nan)
    return Correlation(name, n, correlation(x, y), spearman(x, y), float(low), float(high))


def _standard(rows: np.ndarray) -> np.ndarray:
    """Each row centred, with norm 1; NaN if it is constant."""
    rows = rows - np.mean(rows, axis=1, keepdims=True)
    size = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(size > 1e-12, size, np.nan)
