"""Which model of a pool to probe: ranked by a score, with intervals, and with the reason for the score."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ufm.checks import whole
from ufm.metrics.arrays import Samples, pieces, read_samples
from ufm.transfer.scores import SCORES, Score, Scores, nc1, scores

PLENTY = 20  # samples of each class from which VCI says more than CDNV ...
FEWEST = 20  # resamples of which a 95 % interval can be told
AMPLE = 2  # ... if there are as many times the features' dimension too, since VCI is 0 for N <= d + 1
FEW_REASON = (
    "few: CDNV goes along with the accuracy of a probe of few labels; so does NC1 for models of one d, since the noise "
    "of few samples is (n-1)(K-1)/(d-K) in it; VCI is near 0 whatever the features."
)
PLENTY_REASON = "plenty: VCI is the least-squares probe's own loss, LogME the alternative; NC1 may lose to both."


@dataclass(frozen=True, eq=False)
class Ranking:
    """Models from the most to the least promising.

    Attributes:
        names: [M] of the models. score: the one they are ranked by. higher: whether larger is better.
        reason: why this one.
        values: [M] of that score.
        low, high: [M] ends of 95 % bootstrap intervals over as many other samples, which hold the value; NaN without.
        first: [M] share of the moved resamples (`rank_models`) in which the model was the best, parted where several
            were; NaN without bootstrap.
        table: [M] all scores of each model, with notes on what they cannot tell.
    """

    names: tuple[str, ...]
    score: str
    higher: bool
    reason: str
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    first: np.ndarray
    table: tuple[Scores, ...]

    def __str__(self) -> str:
        direction = "higher" if self.higher else "lower"
        lines = [f"ranked by {self.score} ({direction} is better): {self.reason}"]
        lines.append(f"{'':24}{self.score:>12}{'95 % interval':>24}{'first':>8}")
        for row in zip(self.names, self.values, self.low, self.high, self.first, strict=True):
            lines.append(f"{row[0][:23]:24}{row[1]:>12.4g}{f'{row[2]:.4g} .. {row[3]:.4g}':>24}{row[4]:>8.0%}")
        return "\n".join([*lines, *dict.fromkeys(note for table in self.table for note in table.notes)])


def rank_models(pool: Mapping[str, Any], y: Any, *, score: str = "auto", bootstrap: int = 200, key: int = 0) -> Ranking:
    """Models ordered by how well a linear probe of their features is expected to do on the task of y.

    Args:
        pool: name -> features [N, d] of that model, all of the same N samples; d may differ. Features of a network:
            `ufm.networks.gather(model.taps, batches)`.
        y: [N] any integers, of two classes or more.
        score: a name in `ufm.transfer.SCORES`, or "auto": CDNV below 20 samples a class or 2 d samples, VCI otherwise,
            which is the least-squares probe's own loss. NC1 (here with ddof=1) and LogME are the alternatives of each.
        bootstrap: resamples within the classes, the same for every model: 20 or more; 0 for none.
        key: seed of the resamples.
    Returns:
        Ranking; undefined scores come last. An interval is for the score of as many other samples: neither for its
        limit of many samples, nor for how the probe will do. Samples that are drawn twice make every score better or
        worse (of 5 samples a class CDNV halves), so the resamples are moved until their median is the value: by a
        factor where `SCORES` reads a score by its logarithm, by a difference elsewhere, and cut at the ends of its
        range. They are approximate: in simulations with 5 to 40 samples a class, 84 to 97 % held the mean of the score
        over other samples for CDNV, NC1 and the trace ratio, 80 to 100 % for VCI, 62 to 91 % for error rates; those of
        LogME and numerical_rank are up to ten times too wide where a class has fewer samples than dimensions.
    Raises:
        TypeError, ValueError: an empty pool; a score that is none; features or labels as `ufm.transfer.scores`, with
            the name of the model.
    """
    if not isinstance(pool, Mapping) or not pool:
        raise ValueError(
            f"rank_models: pool is a {type(pool).__name__} with no named model. Pass {{name: features [N, d]}}."
        )
    if 0 < whole(bootstrap, "bootstrap", "rank_models", 0, "a number of resamples") < FEWEST:
        raise ValueError(f"rank_models: bootstrap={bootstrap} tells no interval. Pass {FEWEST} or more, or 0 for none.")
    names = tuple(map(str, pool))
    if len(set(names)) < len(names):
        raise ValueError(f"rank_models: two models are called {max(names, key=names.count)!r}. Pass different names.")
    samples = [_samples(name, H, y) for name, H in zip(names, pool.values(), strict=True)]
    found = [scores(part.features, part.labels, ddof=1) for part in samples]
    used, reason = _chosen(score, samples[0].labels, max(part.features.shape[1] for part in samples))
    of, better = partial(nc1, ddof=1) if used == "nc1" else SCORES[used].of, 1.0 if SCORES[used].higher else -1.0
    values = np.array([table.values[used] for table in found])
    rng = np.random.default_rng(whole(key, "key", "rank_models", 0, "a seed"))
    drawn = [_resampled(samples[0].labels, rng) for _ in range(bootstrap)]
    resampled = np.array([[of(part.features[i], part.labels[i]) for part in samples] for i in drawn])
    moved = _moved(values, resampled.reshape(bootstrap, len(values)), SCORES[used])
    low, high = np.quantile(moved, [0.025, 0.975], axis=0) if bootstrap else np.full((2, len(values)), np.nan)
    first = _first(better * moved)
    order = np.argsort(np.where(np.isnan(values), np.inf, -better * values), kind="stable")
    return Ranking(
        tuple(names[i] for i in order),
        used,
        SCORES[used].higher,
        reason,
        values[order],
        low[order],
        high[order],
        first[order],
        tuple(found[i] for i in order),
    )


def _samples(name: str, H: Any, y: Any) -> Samples:
    where = f"rank_models: model {name!r}"
    samples = read_samples(where, H, y)
    for _ in pieces(where, samples):  # what is not finite is refused before anything is computed
        pass
    return samples


def _chosen(score: str, labels: np.ndarray, d: int) -> tuple[str, str]:
    """The score's name, and why."""
    if score != "auto":
        if score not in SCORES:
            near = difflib.get_close_matches(str(score), SCORES, 1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"rank_models: score={score!r} is none. {hint}Pass 'auto' or one of {', '.join(SCORES)}.")
        return score, "as asked for"
    N, n = len(labels), int(np.min(np.unique(labels, return_counts=True)[1]))
    told = f"{n} samples in the smallest class, {N} in all, d <= {d}"
    few = n < PLENTY or AMPLE * d > N
    return ("cdnv", f"{told}: {FEW_REASON}") if few else ("vci", f"{told}: {PLENTY_REASON}")


def _resampled(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[N] indices drawn with replacement, as many of each class as there are; a class keeps two different samples."""
    index = np.arange(len(labels))
    for k in np.unique(labels):
        own = np.flatnonzero(labels == k)
        drawn = rng.choice(own, len(own))
        if len(own) > 1 and np.all(drawn == drawn[0]):
            drawn[0] = own[0] if drawn[0] != own[0] else own[1]
        index[own] = drawn
    return index


def _moved(values: np.ndarray, resampled: np.ndarray, score: Score) -> np.ndarray:
    """Resampled scores [B, M] with the values [M] for their medians, within the score's range."""
    if not len(resampled):
        return resampled
    middle = np.median(resampled, axis=0)
    by_factor = score.log & (middle > 0.0)
    scaled = resampled * (values / np.where(by_factor, middle, 1.0))
    return np.clip(np.where(by_factor, scaled, values + (resampled - middle)), score.low, score.high)


def _first(goodness: np.ndarray) -> np.ndarray:
    """[M] share of the rows of [B, M] in which a column is the largest; several that are have equal parts of it."""
    if not len(goodness):
        return np.full(goodness.shape[1], np.nan)
    known = np.where(np.isnan(goodness), -np.inf, goodness)
    best = ~np.isnan(goodness) & (known == np.max(known, axis=1, keepdims=True))
    return np.mean(best / np.maximum(np.sum(best, axis=1, keepdims=True), 1), axis=0)
