"""All metrics of features and a classifier at once: the two passes, and the table of values by name."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.metrics import agreement, duality, simplex, within
from ufm.metrics.arrays import read_classifier, read_samples
from ufm.metrics.frame import Frame, frame
from ufm.metrics.moments import Moments, merge, moments_of
from ufm.metrics.spread import Spread, merge_spreads, spread_of

FROM_SPREAD: tuple[Callable[[Spread], float], ...] = (
    within.nc1,
    within.nc1_unscaled,
    within.nc1_sample_centred,
    within.nc1_class_weighted,
    within.nc1_sample_weighted,
    within.separation_fuzziness,
    agreement.nc4,
    agreement.nc4_no_bias,
    agreement.ncc_error,
    agreement.accuracy,
    agreement.margin_min,
    agreement.margin_mean,
)
FROM_FRAME: tuple[Callable[[Frame], float], ...] = (
    within.trace_ratio,
    within.cdnv,
    within.discrimination,
    simplex.nc2_gram_H,
    simplex.nc2_gram_H_sample,
    simplex.nc2_gram_H_raw,
    simplex.nc2_equiangular_H,
    simplex.nc2_equinorm_H,
    simplex.nc2_cosines_squared_H,
    simplex.coherence_H,
)
FROM_W: tuple[Callable[[np.ndarray], float], ...] = (
    simplex.nc2_gram_W,
    simplex.nc2_gram_Wc,
    simplex.nc2_equiangular_W,
    simplex.nc2_equinorm_W,
    simplex.coherence_W,
    simplex.gnc2,
)
FROM_FRAME_AND_W: tuple[Callable[[Frame, np.ndarray], float], ...] = (
    duality.nc3,
    duality.nc3_squared,
    duality.nc3_cosine,
    duality.nc3_gram,
    duality.nc3_gram_sample,
    duality.nc3_gram_Wc_sample,
    duality.nc3_gram_raw,
)


@dataclass(frozen=True, eq=False)
class Measurement:
    """Every metric of one layer.

    Attributes:
        values: name -> value, a function of `ufm.metrics` each; NaN where undefined, or where there is no classifier.
        frame: class means, spectrum and rank: frame.rank < min(d, K-1) says that class means coincide.
        spread: the second pass, by class.
    """

    values: dict[str, float]
    frame: Frame
    spread: Spread


def measure(
    features: Any, labels: Any, W: Any = None, b: Any = None, *, rank: int | None = None, classes: Any = None
) -> Measurement:
    """Every metric of arrays, NC1 to NC4 and their variants, in two passes over pieces of bounded size.

    Args:
        features: [N, d] real numbers of any dtype: NumPy, JAX, a CPU tensor, a memory map; samples are rows.
        labels: [N] any integers.
        W: [K, d] classifier, rows in increasing order of the labels, or None.
        b: [K] bias or None (zero).
        rank: rank of Sigma_B from theory; None cuts the spectrum (`Frame.cut`).
        classes: the labels that must be there and no others, such as range(10); None takes those that are.
    Returns:
        Measurement. VCI, NumRank and the metrics of regression and label sets have functions of their own.
    Raises:
        TypeError: what NumPy cannot read as real numbers; labels or rank that are not integers.
        ValueError: shapes that disagree; empty or non-finite arrays; fewer than two classes; an absent class.
    """
    return _measure("measure", [(features, labels)], W, b, rank, classes)


def measure_batches(
    batches: Iterable[tuple[Any, Any]],
    W: Any = None,
    b: Any = None,
    *,
    rank: int | None = None,
    classes: Any = None,
) -> Measurement:
    """`measure` of an iterable of (features [n, d], labels [n]), which is gone through twice.

    Args:
        batches: a list, a data loader, anything whose iteration starts again; batches of any sizes.
        W, b, rank, classes: as `measure`.
    Raises:
        TypeError, ValueError: as `measure`; an iterator, which can be read only once (`ufm.metrics.scatter` takes
            one); a second pass with other samples than the first.
    """
    if isinstance(batches, Iterator):
        raise ValueError(
            "measure_batches: batches is an iterator, which can be read once, but NC1 and NC4 need the class means "
            "first. Pass a list or a loader, or use ufm.metrics.scatter and nc1_one_pass."
        )
    return _measure("measure_batches", batches, W, b, rank, classes)


def _measure(where: str, batches: Iterable[Any], W: Any, b: Any, rank: int | None, classes: Any) -> Measurement:
    seen = Moments()
    for features, labels in batches:
        seen = merge(seen, moments_of(where, read_samples(where, features, labels)))
    _check_classes(where, seen, classes)
    W, b = read_classifier(where, W, b, *seen.means.shape)
    geometry = frame(seen, rank=rank)
    found = None
    for features, labels in batches:
        part = spread_of(where, geometry, read_samples(where, features, labels), W, b)
        found = part if found is None else merge_spreads(found, part)
    if found is None or not np.array_equal(found.counts, seen.counts):
        raise ValueError(f"{where}: the second pass has other samples than the first. Pass batches that stay the same.")
    return Measurement(_values(geometry, found, W, b), geometry, found)


def _values(geometry: Frame, found: Spread, W: np.ndarray | None, b: np.ndarray | None) -> dict[str, float]:
    values = {of.__name__: of(found) for of in FROM_SPREAD} | {of.__name__: of(geometry) for of in FROM_FRAME}
    names = [of.__name__ for of in (*FROM_W, *FROM_FRAME_AND_W, duality.bias_collapse)]
    if W is None:
        return values | dict.fromkeys(names, np.nan)
    values |= {of.__name__: of(W) for of in FROM_W} | {of.__name__: of(geometry, W) for of in FROM_FRAME_AND_W}
    return values | {"bias_collapse": duality.bias_collapse(geometry, W, np.zeros(len(W)) if b is None else b)}


def _check_classes(where: str, seen: Moments, classes: Any) -> None:
    if not seen.classes.size:
        raise ValueError(f"{where}: there is no batch. Pass at least one (features [n, d], labels [n]).")
    if len(seen.classes) < 2:
        raise ValueError(f"{where}: all labels are {seen.classes[0]}, need two classes. Pass samples of K >= 2.")
    if classes is None:
        return
    expected = np.unique(np.asarray(classes))
    absent, extra = np.setdiff1d(expected, seen.classes), np.setdiff1d(seen.classes, expected)
    if absent.size:
        raise ValueError(
            f"{where}: class {absent[0]} has no samples, so no mean. Pass some, or leave it out of classes."
        )
    if extra.size:
        raise ValueError(f"{where}: label {extra[0]} is not among classes. Pass classes with every label.")
