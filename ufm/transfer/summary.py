"""What the rows of an experiment say: correlations over a pool, means over seeds, paired differences."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from ufm.transfer.experiments import Found
from ufm.transfer.layer_profile import correlation
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


@dataclass(frozen=True, eq=False)
class Method:
    """A way of fine-tuning over the draws.

    Attributes:
        name: with its layer's number, or the rule that chose one in each draw; "raw" and "random" are controls.
        n: samples a class.
        accuracy: [draws] on the test set. nc1, nc1_train: [draws] after, on the test and on the training set.
        share: of the parameters that were trained, mean. seconds: mean.
        labels: used, of training and validation. layers: [draws] the layer, 0 for none.
    """

    name: str
    n: int
    accuracy: np.ndarray
    nc1: np.ndarray
    nc1_train: np.ndarray
    share: float
    seconds: float
    labels: int
    layers: np.ndarray


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
    parts = np.array([[row[f"ncti_{i}"] for i in (1, 2, 3)] for row in rows])
    span = np.ptp(parts, axis=0)
    scaled = (parts - np.min(parts, axis=0)) / np.where(span > 0.0, span, 1.0)
    values["ncti"] = scaled @ np.array([1.0, 1.0, -1.0])
    return values | {"source_nc1": np.log(np.array([row["source_nc1"] for row in rows]))}


def methods(found: Found, n: int) -> tuple[Method, ...]:
    """Each method at each layer, and the rules: "nc1", the lowest frozen NC1; "search", the lowest NC1 after tuning.

    Both rules look at training samples alone. Rows were computed for every layer, so that a rule's seconds are those of
    the layer it chose, without its search.
    """
    rows = [row for row in found.rows if row["n"] == n]
    draws = range(found.setting.draws)
    named: dict[str, list[Row]] = {}
    for row in rows:
        named.setdefault(row["method"] + (f" {row['layer']}" if row["layer"] else ""), []).append(row)
    rules: dict[str, Callable[[Row], float]] = {
        "nc1": lambda row: float(row["frozen"][row["layer"] - 1]),
        "search": lambda row: row["nc1_after"],
    }
    for method in dict.fromkeys(row["method"] for row in rows if row["layer"]):
        for rule, of in rules.items():
            own = [[row for row in rows if row["draw"] == draw and row["method"] == method] for draw in draws]
            named[f"{method} {rule}"] = [min(part, key=of) for part in own]
    return tuple(_method(name, n, part) for name, part in named.items())


def paired(one: Method, other: Method) -> tuple[float, float]:
    """Mean of the differences in accuracy, draw by draw, and their standard error; NaN for a single draw."""
    difference = one.accuracy - other.accuracy
    return float(np.mean(difference)), float(deviation(difference)) / np.sqrt(len(difference))


def deviation(values: np.ndarray) -> np.ndarray:
    """Standard deviation over the first axis, with N - 1 in the denominator; NaN for a single value."""
    return np.std(values, axis=0, ddof=1) if len(values) > 1 else np.full(np.shape(values)[1:], np.nan)


def findings(table: Mapping[str, Method]) -> list[str]:
    """Sentences on a table of methods by name: who did best, and the negatives.

    A layer by number is left out of the contest: the test set would have to choose it.
    """
    mean = {name: float(np.mean(method.accuracy)) for name, method in table.items()}
    fixed = {name: mean[name] for name in mean if name in ("probe", "full") or name.endswith((" nc1", " search"))}
    best = max(fixed, key=lambda name: fixed[name])
    told = [f"best without looking at the test set: {best}, {fixed[best]:.3f}"]
    if mean["raw"] >= fixed[best]:
        told.append(
            f"NEGATIVE: a linear probe of the raw samples does as well ({mean['raw']:.3f}): no claim of transfer"
        )
    if mean["scratch"] >= fixed[best]:
        told.append(f"NEGATIVE: training from scratch does as well ({mean['scratch']:.3f}): pretraining does not help")
    if best == "probe":
        told.append("NEGATIVE: nothing does better than the linear probe")
    if best == "full":
        told.append("NEGATIVE: full fine-tuning does better than tuning one block")
    layers = [name.split()[1] for name in table if name.startswith("scl ") and name.split()[1].isdigit()]
    gains = [mean[f"scl {layer}"] - mean[f"layer {layer}"] for layer in layers]
    each = ", ".join(f"{gain:+.3f}" for gain in gains)
    return [*told, f"the skip adds {np.mean(gains):+.3f} to tuning one layer, mean over the layers ({each})"]


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


def _method(name: str, n: int, rows: Sequence[Row]) -> Method:
    def column(key: str) -> np.ndarray:
        return np.array([row[key] for row in rows])

    return Method(
        name,
        n,
        column("accuracy"),
        column("nc1_test"),
        column("nc1_after"),
        float(np.mean(column("share"))),
        float(np.mean(column("seconds"))),
        int(rows[0]["labels"]),
        column("layer"),
    )
