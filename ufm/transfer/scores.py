"""Transferability scores of frozen features: how well will a linear probe do? From arrays alone.

    found = transfer.scores(H, y)      # features [N, d], labels [N]: found.values["nc1"], found.notes

Each score is a function of (H, y), and `SCORES` says which direction is better. None depends on the order of samples or
on the names of the classes. Any array that NumPy reads will do: PyTorch and Hugging Face activations as
`.detach().cpu().float()`. With few labels compare CDNV or NC1, with plenty VCI or LogME: `ufm.transfer.rank_models`
does so. (`ufm.transfer.ncti` compares a pool of models.)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.checks import positive, whole
from ufm.metrics import agreement, within
from ufm.metrics.arrays import Samples, pieces, read_matrix, read_samples
from ufm.metrics.frame import Frame, frame
from ufm.metrics.layers import numerical_rank
from ufm.metrics.moments import moments_of
from ufm.metrics.scatter import scatter, vci_sample_weighted
from ufm.metrics.scatter import vci as vci_by_class
from ufm.metrics.spread import Spread, spread_of
from ufm.transfer.evidence import logme

ROUNDING = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Score:
    """A score and how to read it.

    Attributes:
        of: (H, y) -> float. higher: whether larger values promise a better probe. log: whether its logarithm is what
            goes along with accuracy. low, high: the ends of its range.
    """

    of: Callable[[Any, Any], float]
    higher: bool
    log: bool
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Scores:
    """Every score of one set of features.

    Attributes:
        values: name -> value, NaN where undefined. notes: which of them say nothing here, one sentence each.
    """

    values: dict[str, float]
    notes: tuple[str, ...]


def nc1(H: Any, y: Any, ddof: int = 0) -> float:
    """tr(Sigma_W Sigma_B^+) / K, the variability within the classes in the span of their means.

    Args:
        H: [N, d] features, samples are rows. y: [N] any integers, of two classes or more.
        ddof: 1 divides Sigma_W by N - K: of n samples per class the value is (n-1)/n too small, and more by the noise
            of the means, which no factor removes.
    Returns:
        >= 0; LOWER is better. Free of shifts, scales and rotations, not of other linear maps. NaN: equal means. It goes
        along with the accuracy of probes of few labels (5 per class); where labels are plenty it can lose to VCI and
        LogME, even with the wrong sign. The noise of the means counts as between-class: of white noise without any
        class, n samples each and d > K, it is (n-1)(K-1)/(d-K) on average (derived for this project), so that few
        samples compare models of different d wrongly; CDNV has (n-1)/2 for every d. `trace_ratio` is no substitute.
    Raises:
        TypeError, ValueError: a ddof that is neither 0 nor 1; as `scores`.
    Source:
        Li et al. (TMLR 2024, arXiv 2212.12206) as a score; Papyan, Han and Donoho (PNAS 2020).
    """
    return within.nc1(_spread("nc1", H, y), _zero_or_one(ddof, "nc1"))


def trace_ratio(H: Any, y: Any) -> float:
    """tr Sigma_W / tr Sigma_B.

    Returns:
        >= 0; LOWER is better, but only if all else is equal: it counts variance in directions that no probe uses, and
        over pools and layers it can go along with nothing. Free of shifts, scales and rotations. NaN: equal means.
    Source:
        Tirer and Bruna (ICML 2022); as a rival of NC1 here.
    """
    return within.trace_ratio(_frame("trace_ratio", H, y))


def cdnv(H: Any, y: Any) -> float:
    """mean_{k != l} (V_k + V_l) / (2 |m_k - m_l|^2), the class-distance normalised variance.

    Returns:
        >= 0; LOWER is better, with few labels the safest. Of white noise without any class, n samples each, it is
        about (n-1)/2. Free of shifts, scales and rotations. NaN: two equal class means.
    Source:
        Galanti, Gyorgy and Hutter (ICLR 2022, arXiv 2112.15121).
    """
    return within.cdnv(_frame("cdnv", H, y))


def vci(H: Any, y: Any) -> float:
    """1 - tr(Sigma_T^+ Sigma_B) / min(d, K-1), by classes, the variability-collapse index.

    Returns:
        In [0, 1]; LOWER is better. Free of shifts and invertible linear maps, as a least-squares probe is: for
        balanced classes that probe's loss is (K-1)/(2K) VCI. Right where labels are plenty. It is 0, and says nothing,
        where N <= d + 1, unless the features have lower rank than so many can. NaN: equal means.
    Source:
        Xu and Liu (ICML 2023, arXiv 2306.03440).
    """
    return vci_by_class(scatter(*_samples("vci", H, y)[:2]))


def h_score(H: Any, y: Any) -> float:
    """tr(Sigma_T^+ Sigma_B), by samples: min(d, K-1) (1 - VCI), the same score for a fixed number of classes.

    Returns:
        In [0, min(d, K-1)]; HIGHER is better. Free of shifts and invertible linear maps. It is min(d, K-1), and says
        nothing, where N <= d + 1, as `vci`. NaN: equal means.
    Source:
        Bao et al. (ICIP 2019).
    """
    seen = scatter(*_samples("h_score", H, y)[:2])
    most = min(seen.moments.means.shape[1], len(seen.moments.classes) - 1)
    return most * (1.0 - vci_sample_weighted(seen))


def h_score_shrunk(H: Any, y: Any) -> float:
    """(1-a) tr(Sigma^-1 Sigma_B), Sigma = (1-a) Sigma_T + a (tr Sigma_T / d) I, a of Ledoit and Wolf.

    Sigma_B is the covariance of the samples' class means with N - 1 in the denominator. A d x d matrix is formed.

    Returns:
        >= 0; HIGHER is better, and it says something for N <= d too. Free of shifts, scales and rotations. NaN: all
        samples are equal.
    Source:
        Ibrahim, Ponomareva and Mazumder (ECML PKDD 2022, arXiv 2110.06893); Ledoit and Wolf (2004) for a.
    """
    geometry, X = _frame("h_score_shrunk", H, y), read_matrix("h_score_shrunk", "features", H, "[N, d]")
    X = X - geometry.sample_mean
    Sigma = _shrunk(X)
    if Sigma is None:
        return np.nan
    covariance, kept = Sigma
    values, vectors = np.linalg.eigh(covariance)
    inside = values > len(values) * ROUNDING * values[-1]
    C = geometry.centred_sample if geometry.apart else np.zeros_like(geometry.moments.means)
    projected = (C @ vectors[:, inside]) ** 2 / values[inside]
    return kept * float(geometry.moments.counts @ np.sum(projected, axis=1)) / (len(X) - 1)


def ncc_error(H: Any, y: Any) -> float:
    """Rate of samples that are not nearest to their own class mean alone, the nearest-centre error on these samples.

    Returns:
        In [0, 1]; LOWER is better. Free of shifts, scales and rotations. NaN: equal means. It is 0, and tells no two
        models apart, as soon as both separate the samples.
    Source:
        Galanti et al. (arXiv 2202.09028).
    """
    return agreement.ncc_error(_spread("ncc_error", H, y))


def transrate(H: Any, y: Any, eps: float = 1e-4) -> float:
    """R(H) - (1/K) sum_k R(H_k), R(Z) = 1/2 log det(I + Z^T Z/(n eps)), all centred by the mean of the samples.

    Args:
        H: [N, d] features. y: [N] labels.
        eps: squared distortion > 0, in units of the features squared.
    Returns:
        A real number; HIGHER is better. Free of shifts and rotations, NOT of scales: it compares nothing between
        models whose features differ in size, or in d.
    Raises:
        TypeError, ValueError: eps that is not a finite number > 0; as `scores`.
    Source:
        Huang et al. (ICML 2022, arXiv 2106.09338) and their public code, which weighs classes equally.
    """
    eps = positive(eps, "eps", "transrate")
    samples = _samples("transrate", H, y)
    X = read_matrix("transrate", "features", samples.features, "[N, d]")
    X = X - np.mean(X, axis=0)
    parts = [_coding_rate(X[samples.labels == k], eps) for k in np.unique(samples.labels)]
    return _coding_rate(X, eps) - float(np.mean(parts))


SCORES: dict[str, Score] = {
    "nc1": Score(nc1, False, True, 0.0, np.inf),
    "cdnv": Score(cdnv, False, True, 0.0, np.inf),
    "vci": Score(vci, False, False, 0.0, 1.0),
    "h_score": Score(h_score, True, False, 0.0, np.inf),
    "h_score_shrunk": Score(h_score_shrunk, True, False, 0.0, np.inf),
    "logme": Score(logme, True, False, -np.inf, np.inf),
    "ncc_error": Score(ncc_error, False, False, 0.0, 1.0),
    "transrate": Score(transrate, True, False, -np.inf, np.inf),
    "trace_ratio": Score(trace_ratio, False, True, 0.0, np.inf),
    "numerical_rank": Score(numerical_rank, True, False, 1.0, np.inf),
}


def scores(H: Any, y: Any, *, ddof: int = 0) -> Scores:
    """Every score of these features for these labels.

    Args:
        H: [N, d] real numbers of any dtype: NumPy, JAX, a CPU tensor, a memory map; samples are rows.
        y: [N] any integers, of two classes or more.
        ddof: of `nc1`: 1 corrects it for few samples per class.
    Returns:
        Scores; `numerical_rank` is that of `ufm.metrics`, of the features of each class: no predictor, reported
        because it is in print.
    Raises:
        TypeError: what NumPy cannot read as real numbers; labels that are not integers.
        ValueError: shapes that disagree; empty or non-finite arrays; fewer than two classes; ddof beyond 1.
    """
    samples, ddof = _samples("scores", H, y), _zero_or_one(ddof, "scores")
    for _ in pieces("scores", samples):  # what is not finite is refused before anything is computed
        pass
    values = {name: score.of(samples.features, samples.labels) for name, score in SCORES.items()}
    return Scores(values | {"nc1": nc1(H, y, ddof)}, tuple(_notes(samples)))


def _notes(samples: Samples) -> list[str]:
    """What this number of samples cannot tell."""
    N, d = samples.features.shape
    smallest = int(np.min(np.unique(samples.labels, return_counts=True)[1]))
    notes = []
    if d + 1 >= N:
        told = "0 and its best value whatever the labels, unless the features have lower rank than so many can"
        notes.append(f"vci, h_score: N={N} samples in d={d} dimensions: {told}.")
    if smallest == 1:
        notes.append("nc1, cdnv, trace_ratio: a class has one sample, which counts as one without variability.")
    return notes


def _samples(where: str, H: Any, y: Any) -> Samples:
    samples = read_samples(where, H, y)
    if np.all(samples.labels == samples.labels[0]):
        raise ValueError(f"{where}: all labels are {samples.labels[0]}, need two classes. Pass samples of K >= 2.")
    return samples


def _zero_or_one(ddof: int, where: str) -> int:
    if whole(ddof, "ddof", where, 0, "Sigma_W is divided by N - ddof K") > 1:
        raise ValueError(f"{where}: ddof={ddof} is neither 0 nor 1. Pass 1 to divide Sigma_W by N - K.")
    return ddof


def _frame(where: str, H: Any, y: Any) -> Frame:
    return frame(moments_of(where, _samples(where, H, y)))


def _spread(where: str, H: Any, y: Any) -> Spread:
    samples = _samples(where, H, y)
    return spread_of(where, frame(moments_of(where, samples)), samples, None, None)


def _shrunk(X: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Ledoit and Wolf's covariance of centred rows and its weight 1-a of Sigma_T; None if all rows are equal."""
    N, d = X.shape
    Sigma = X.T @ X / N
    scale = float(np.trace(Sigma)) / d
    if not scale > 0.0:
        return None
    squares = float(np.sum(Sigma**2))
    apart = (squares - d * scale**2) / d
    noise = (float(np.sum(np.sum(X**2, axis=1) ** 2)) / N - squares) / (d * N)
    a = min(noise / apart, 1.0) if noise > 0.0 and apart > 0.0 else 0.0
    return (1.0 - a) * Sigma + a * scale * np.eye(d), 1.0 - a


def _coding_rate(Z: np.ndarray, eps: float) -> float:
    s = np.linalg.svd(Z, compute_uv=False)
    return 0.5 * float(np.sum(np.log1p(s**2 / (len(Z) * eps))))
