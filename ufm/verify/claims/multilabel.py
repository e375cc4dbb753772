"""Label sets under the pick-all-labels loss: the minimum, the tag-wise sum of features, the zero threshold (4)."""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.losses.multilabel import PickAllLabel, label_sets
from ufm.problem import Problem
from ufm.verify.claim import Claim, Measurement
from ufm.verify.compare import feature_means
from ufm.verify.experiment import ALLOWANCE, ROUNDING, Settled, escape_curvature, line_root, origin, quantities, settle


class Setting(NamedTuple):
    """counts: (m, samples of each set of m labels); nu = sqrt(lam_W lam_H) and ratio = lam_W/lam_H."""

    K: int
    counts: tuple[tuple[int, int], ...]
    d: int
    lam_b: float | None
    nu: float
    ratio: float = 1.0

    @property
    def decays(self) -> dict[str, Any]:
        """Keywords of Problem and of theory alike."""
        tilt = math.sqrt(self.ratio)
        return {"lam_W": self.nu * tilt, "lam_H": self.nu / tilt, "lam_b": self.lam_b}

    @property
    def problem(self) -> Problem:
        """What is solved."""
        targets, n = label_sets(self.K, dict(self.counts))
        return Problem(self.K, n, self.d, **self.decays, loss=PickAllLabel(), targets=targets)


SINGLES_AND_MORE = ((1, 2), (2, 1), (3, 2))
WITHOUT_SINGLES = ((2, 2), (4, 1))  # sets of all four labels have nothing to tell


def settings(full: bool) -> Iterable[Setting]:
    """Tiny decays to nearly the threshold, .1113, and beyond it; every bias mode."""
    for nu, ratio in [(1e-4, 3.0), (0.02, 0.2), (0.11, 1.0), (0.2, 2.0)]:
        yield Setting(4, SINGLES_AND_MORE, 5, None, nu, ratio)
    for lam_b, nu, ratio in [(0.0, 1e-3, 0.5), (0.1, 0.05, 4.0)]:
        yield Setting(4, WITHOUT_SINGLES, 3, lam_b, nu, ratio)
    if full:
        for nu in (1e-3, 0.03):
            yield Setting(5, ((1, 1), (2, 1)), 5, None, nu, 7.0)
            yield Setting(5, ((1, 3), (3, 1), (4, 2)), 4, 0.0, nu, 0.3)
            yield Setting(2, ((1, 4), (2, 3)), 2, None, nu)
            yield Setting(3, ((1, 5),), 2, 0.01, nu)


@functools.cache
def settled(setting: Setting) -> Settled:
    """The minimum that the solver finds from a random start."""
    return settle(setting.problem)


def measure_minimum(setting: Setting) -> Measurement:
    """Every quantity of the minimum."""
    return quantities(settled(setting))


def predict_minimum(setting: Setting) -> Mapping[str, Any]:
    """The closed form, and that it is the global minimum."""
    found = theory.multilabel.global_minimum(
        K=setting.K, counts=dict(setting.counts), d=setting.d, **setting.decays
    ).quantities
    return {**found, "verdict": "GLOBAL_MINIMUM"}


def tagwise_settings(full: bool) -> Iterable[Setting]:
    """Where single labels occur and W H is not zero."""
    return [s for s in settings(full) if s.counts[0][0] == 1 and s.counts[1:] and s.nu < 0.2]


def measure_tags(setting: Setting) -> Measurement:
    """x_m from the logits; h_S against the sum of its labels' features: their ratio and what is left over.

    "misfit" is the largest distance of a mean feature h_S from `ratio` times that sum.
    """
    found = settled(setting)
    if found.failure:
        return Measurement(failure=found.failure)
    tags, means = found.problem.group_targets(), feature_means(found.problem, found.params.H)
    sums = means[:, : setting.K] @ tags  # single labels come first
    logits, values, misfit = found.params.W @ means, {}, 0.0
    for m, _ in setting.counts:
        S = np.sum(tags, axis=0) == m
        if m == setting.K:
            continue
        ratio = float(np.sum(sums[:, S] * means[:, S]) / np.sum(sums[:, S] ** 2))
        misfit = max(misfit, float(np.max(np.linalg.norm(means[:, S] - ratio * sums[:, S], axis=0))))
        values |= {f"ratio_{m}": ratio, f"x_{m}": _lead(logits[:, S], tags[:, S])}
    largest = max(values[f"x_{m}"] for m, _ in setting.counts if m < setting.K)
    size = float(np.min(np.linalg.norm(means[:, : setting.K], axis=0)))
    tolerances = {
        **{name: found.allowance(largest) for name in values},
        **{name: 4 * found.allowance(1.0) / min(1.0, size) ** 2 for name in values if name.startswith("ratio")},
        "misfit": found.allowance(1.0),
    }
    return Measurement({**values, "misfit": misfit}, tolerances)


def _lead(logits: np.ndarray, tags: np.ndarray) -> float:
    """Mean over sets of the mean logit of a label less that of the others."""
    return float(np.mean(np.sum(logits * (tags / tags.sum(0) - (1 - tags) / (1 - tags).sum(0)), axis=0)))


def predict_tags(setting: Setting) -> Mapping[str, Any]:
    """x_m, and the factor x_m/x_1 of the sum."""
    lam_W, lam_H = setting.decays["lam_W"], setting.decays["lam_H"]
    x = theory.multilabel.margins(K=setting.K, counts=dict(setting.counts), lam_W=lam_W, lam_H=lam_H)
    named = {f"x_{m}": value for m, value in x.items()} | {f"ratio_{m}": value / x[1] for m, value in x.items()}
    return {**named, "misfit": 0.0}


def measure_threshold(setting: Setting) -> Measurement:
    """The nu at which the curvature along T5's direction at W = H = 0, nu - |G|_2, changes its sign."""
    ends = [setting._replace(nu=nu).problem for nu in (0.05, 0.3)]
    low, high = (escape_curvature(end, origin(end)) for end in ends)
    return Measurement({"nu": line_root(0.05, 0.3, low, high)}, {"nu": 16 * ROUNDING})


def predict_threshold(setting: Setting) -> Mapping[str, Any]:
    """Where the origin becomes the global minimum."""
    return {"nu": theory.multilabel.zero_threshold(K=setting.K, counts=dict(setting.counts))}


CLAIMS = (
    Claim(
        "4",
        "Pick-all-labels: one simplex ETF of classifiers; every set of m labels has the margin x_m, explicit.",
        "Structure: Li et al. (ICML 2024); explicit form derived for this project",
        "every set of a size equally often, d >= K-1",
        ALLOWANCE,
        settings,
        measure_minimum,
        predict_minimum,
    ),
    Claim(
        "4-tags",
        "The feature of a label set is x_m/x_1 times the sum of its labels' features: no average, as it is often read.",
        "Li et al. (ICML 2024) for the direction; the factor derived for this project",
        "as 4, single labels occur",
        ALLOWANCE,
        tagwise_settings,
        measure_tags,
        predict_tags,
    ),
    Claim(
        "4-threshold",
        "W = H = 0 stops being a strict saddle exactly at nu = sqrt(sum_m n_m C(K-2, m-1))/N.",
        "derived for this project",
        "as 4, lam_W = lam_H",
        "512 eps: the root of a straight line through two eigenvalues of size 0.1",
        lambda full: [Setting(4, SINGLES_AND_MORE, 5, None, 1.0), Setting(4, WITHOUT_SINGLES, 3, 0.1, 1.0)],
        measure_threshold,
        predict_threshold,
        boundary=True,
    ),
)
