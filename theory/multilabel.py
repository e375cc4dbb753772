"""Multi-label cross-entropy, pick-all-labels: every subset of m of K classes as label set, each n_m times.

    f = (1/N) sum_S sum_{c in S} CE(z_S, c) + lam_W/2 |W|^2 + lam_H/2 |H|^2 (+ lam_b/2 |b|^2),   N = sum_m n_m C(K, m)

`counts` maps a multiplicity m to n_m: {1: 10, 2: 3} is 10 samples of every class alone and 3 of every pair. Label sets
are ordered by m, then as itertools.combinations(range(K), m) gives them: so are the columns of "logits" and "gram_M".
"""

import math
from collections.abc import Mapping
from itertools import combinations

import numpy as np

from theory.arguments import check_bias_decay, check_count, check_decay, nu, root_ratio
from theory.frames import centering
from theory.prediction import NotApplicable, Prediction, Quantity
from theory.roots import decreasing_root, margin_root

SOURCE = "Structure: Li et al. (ICML 2024, arXiv 2310.15903); explicit form and threshold derived for this project"


def label_sets(*, K: int, counts: Mapping[int, int]) -> list[tuple[int, ...]]:
    """The distinct label sets in the order of the columns of a prediction.

    Raises:
        ValueError: bad arguments.
    """
    counts = _check_counts("multilabel.label_sets", K, counts)
    return [labels for m in counts for labels in combinations(range(K), m)]


def applies(
    *, K: int, counts: Mapping[int, int], d: int, lam_W: float, lam_H: float, lam_b: float | None = None
) -> tuple[str, ...]:
    """Reasons why `global_minimum` does not apply; empty if it does.

    Raises:
        ValueError: an argument is impossible.
    """
    _check("multilabel.applies", K, counts, d, lam_W, lam_H, lam_b)
    return _few_features(K, d)


def global_minimum(
    *, K: int, counts: Mapping[int, int], d: int, lam_W: float, lam_H: float, lam_b: float | None = None
) -> Prediction:
    """W h_S = x_m (1_S - m/K) for every label set S of m classes; W W^T = s sqrt(lam_H/lam_W) (I - J/K).

    x_m (m e^x_m + K - m) is the same number kappa for every m, and s = kappa N nu/K is the K-1 times singular value of
    W H: s^2 = sum_m n_m C(K-2, m-1) x_m^2. f* = (1/N) sum_m n_m C(K,m) m log(m + (K-m) e^-x_m) + nu (K-1) s.

    Args:
        K: classes.
        counts: m -> n_m >= 1, 1 <= m <= K; see the module.
        d: features.
        lam_W, lam_H: decays > 0.
        lam_b: None (no bias), 0.0 (free bias) or > 0.
    Returns:
        Prediction; for T distinct label sets "logits" is [K, T] and "gram_M" [T, T], in the order of `label_sets`, and
        "margin" is the least logit of a label minus the largest of a non-label. "b" is absent if lam_b is None,
        "nullity" always.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: d < K-1.
    Assumes:
        Every subset of m classes occurs n_m times, for each m that occurs; d >= K-1.
    Source:
        4: structure (multiplicity-1 means a simplex ETF, the others their scaled averages) Li et al. (arXiv
        2310.15903); equations derived for this project.
    """
    where = "multilabel.global_minimum"
    counts, strength = _check(where, K, counts, d, lam_W, lam_H, lam_b)
    if reasons := _few_features(K, d):
        raise NotApplicable(where, reasons)
    N, x = _samples(K, counts), _margins(K, counts, strength)
    s = math.sqrt(sum(weight * x[m] ** 2 for m, weight in _weights(K, counts).items()))
    ratio = root_ratio(lam_W, lam_H)
    Z = np.array([[x[len(S)] * ((c in S) - len(S) / K) for S in label_sets(K=K, counts=counts)] for c in range(K)])
    losses = sum(
        n * math.comb(K, m) * m * (math.log(m) + math.log1p((K - m) / m * math.exp(-x[m]))) for m, n in counts.items()
    )
    quantities: dict[str, Quantity] = {
        "value": losses / N + strength * (K - 1) * s,
        "data_loss": losses / N,
        "W_sq": ratio * (K - 1) * s,
        "H_sq": (K - 1) * s / ratio,
        "gram_W": ratio * s * centering(K),
        "gram_M": Z.T @ Z / (s * ratio) if s > 0.0 else np.zeros((Z.shape[1],) * 2),
        "logits": Z,
        "sigma_Z": np.append(np.full(K - 1, s), 0.0),
        "margin": min(x[m] for m in counts if m < K) if min(counts) < K else math.nan,
    }
    if lam_b is not None:
        quantities["b"] = np.zeros(K)
    statement = (
        "One simplex ETF of classifiers; the feature of a label set is x_m/x_1 times the sum of its labels' features."
        if s > 0.0
        else "W = H = 0 is the only global minimum."
    )
    return Prediction("4", statement, SOURCE, quantities)


def margins(*, K: int, counts: Mapping[int, int], lam_W: float, lam_H: float) -> dict[int, float]:
    """x_m, the logit of a label minus that of a non-label, for every multiplicity m < K that occurs; decreasing in m.

    The features satisfy h_S = (x_m/x_1) sum_{c in S} h_{c} (tag-wise average, if single labels occur), x_m/x_1 -> 1 as
    the decays vanish.

    Raises:
        ValueError: an argument is impossible.
    Assumes:
        As `global_minimum`.
    Source:
        4; derived for this project.
    """
    where = "multilabel.margins"
    counts, strength = _check(where, K, counts, 1, lam_W, lam_H, None)
    return {m: x for m, x in _margins(K, counts, strength).items() if m < K}


def zero_threshold(*, K: int, counts: Mapping[int, int]) -> float:
    """sqrt(sum_m n_m C(K-2, m-1))/N: from this nu = sqrt(lam_W lam_H) on W = H = 0 is the global minimum.

    Raises:
        ValueError: an argument is impossible.
    Assumes:
        As `global_minimum`; any d, any bias.
    Source:
        4; derived for this project.
    """
    counts = _check_counts("multilabel.zero_threshold", K, counts)
    return math.sqrt(sum(_weights(K, counts).values())) / _samples(K, counts)


def _margins(K: int, counts: Mapping[int, int], strength: float) -> dict[int, float]:
    """x_m for every m in counts; 0 for m = K and if W = H = 0."""
    weights = _weights(K, counts)
    total = math.fsum(weights.values())
    x = dict.fromkeys(counts, 0.0)
    if strength * _samples(K, counts) >= math.sqrt(total):
        return x
    wanted = 2.0 * math.log(strength * _samples(K, counts) / math.sqrt(total))

    def excess(log_kappa: float) -> float:
        """log of the weighted mean of (K x_m/kappa)^2, minus what it has to be; decreasing."""
        logs = [-2.0 * _log_ratio(m, K, margin_root(log_kappa, m, K - m)) for m in weights]
        missing = -sum(w * math.expm1(log) for w, log in zip(weights.values(), logs, strict=True)) / total
        if missing < 0.5:
            return math.log1p(-missing) - wanted
        top = max(logs)
        mean = sum(w * math.exp(log - top) for w, log in zip(weights.values(), logs, strict=True)) / total
        return top + math.log(mean) - wanted

    log_kappa = decreasing_root(excess, reach=1e4)
    return x | {m: margin_root(log_kappa, m, K - m) for m in weights}


def _log_ratio(m: int, K: int, x: float) -> float:
    """log(kappa/(K x)) = log(1 + m (e^x - 1)/K) of x (m e^x + K - m) = kappa."""
    return math.log1p(m / K * math.expm1(x)) if x < 1.0 else x + math.log((m + (K - m) * math.exp(-x)) / K)


def _weights(K: int, counts: Mapping[int, int]) -> dict[int, int]:
    """n_m C(K-2, m-1), the share of multiplicity m < K in s^2/x_m^2."""
    return {m: n * math.comb(K - 2, m - 1) for m, n in counts.items() if m < K}


def _samples(K: int, counts: Mapping[int, int]) -> int:
    return sum(n * math.comb(K, m) for m, n in counts.items())


def _check_counts(where: str, K: int, counts: Mapping[int, int]) -> dict[int, int]:
    """Sorted by multiplicity, or a ValueError."""
    check_count(where, "K", K, 2)
    if not isinstance(counts, Mapping) or not counts:
        raise ValueError(
            f"{where}: counts={counts!r} is no mapping of multiplicities. Pass {{m: n_m}}, such as {{1: 5}}."
        )
    checked = {check_count(where, "m", m, 1): check_count(where, f"n_{m}", n, 1) for m, n in counts.items()}
    if max(checked) > K:
        raise ValueError(f"{where}: m={max(checked)} labels of K={K} classes. Pass multiplicities of at most K.")
    return dict(sorted(checked.items()))


def _check(where, K, counts, d, lam_W, lam_H, lam_b) -> tuple[dict[int, int], float]:
    """Counts and nu after the checks that are shared by all."""
    counts = _check_counts(where, K, counts)
    check_count(where, "d", d, 1)
    check_bias_decay(where, lam_b)
    return counts, nu(check_decay(where, "lam_W", lam_W), check_decay(where, "lam_H", lam_H))


def _few_features(K: int, d: int) -> tuple[str, ...]:
    return () if d >= K - 1 else (f"d={d} < K-1={K - 1}: no simplex ETF of K classifiers fits.",)
