"""Exact reductions, at random points: equal samples, equal features, ridge regression (T20, T21, T22)."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.distance import pdist

from theory import reductions
from ufm.certify.point import examine
from ufm.losses.squared import MSE
from ufm.models import fixed_classifier
from ufm.problem import Params, Problem
from ufm.reduction import merge, merge_params
from ufm.solve import solve
from ufm.verify import by_hand
from ufm.verify.by_hand import Draw
from ufm.verify.claim import AtMost, Claim, Measurement
from ufm.verify.experiment import ROUNDING

SIZES = (4, 2, 1, 2, 1)
DRAWS = (
    Draw(5, SIZES, 8, 0.02, 0.03, 0.1, 0.0),
    Draw(5, SIZES, 8, 0.2, 0.01, 0.0, 0.2, key=1, scale=0.3),
    Draw(5, SIZES, 8, 0.02, 0.3, 0.3, None, key=2, scale=0.5),
    Draw(4, 3, 6, 0.03, 0.01, None, 0.1, key=3),
)


def draws(full: bool) -> Iterable[Draw]:
    """Cross-entropy, smoothing and squares, unequal and equal classes; more seeds and scales."""
    yield from DRAWS
    if full:
        yield from (draw._replace(key=key, scale=0.1 * key) for draw in DRAWS for key in range(4, 24))


def collapse_draws(full: bool) -> Iterable[Draw]:
    """T20: anywhere, and where the features of a class differ only in what W does not see, so that it is tight."""
    for draw in draws(full):
        yield draw
        yield draw._replace(collapsed=True, spread=0.7)


def pairs(H: np.ndarray, labels: np.ndarray, K: int) -> list[np.ndarray]:
    """Distances within each class."""
    return [pdist(H[:, labels == k].T) for k in range(K)]


def measure_collapse(draw: Draw) -> Measurement:
    """How far apart the features of each class are, and what their gradients (by `ufm`) say about it."""
    point = draw.point()
    grad = examine(draw.problem, point).grad.H
    apart, pulled = (pairs(x, draw.labels, draw.K) for x in (point.H, grad))
    widest = np.array([np.max(x, initial=0.0) for x in apart])
    means = np.array([point.H[:, draw.labels == k].mean(axis=1) for k in range(draw.K)]).T
    scatter = float(np.sum((point.H - means[:, draw.labels]) ** 2)) / draw.problem.N
    ratio = max(float(np.max(x / (p / draw.lam_H), initial=0.0)) for x, p in zip(apart, pulled, strict=True))
    # A gradient of rounding size eps times the point's, divided by lam_H.
    rounding = ROUNDING * by_hand.size(point) / draw.lam_H
    values = {"ratio": ratio, "spread": widest, "scatter": scatter}
    tolerances = {"ratio": 1e-12, "spread": rounding, "scatter": rounding * float(np.max(widest))}
    return Measurement(values, tolerances)


def predict_collapse(draw: Draw) -> Mapping[str, Any]:
    """At most the bounds; equal to them where W does not see the differences."""
    grad_H = by_hand.gradient(draw, draw.point()).H
    spread = reductions.spread_bound(grad_H=grad_H, labels=draw.labels, lam_H=draw.lam_H)
    scatter = reductions.scatter_bound(grad_H=grad_H, labels=draw.labels, lam_H=draw.lam_H)
    if draw.collapsed:
        return {"ratio": 1.0, "spread": spread, "scatter": scatter}
    return {"ratio": AtMost(1.0), "spread": AtMost(spread), "scatter": AtMost(scatter)}


def merging_draws(full: bool) -> Iterable[Draw]:
    """T21: every class at one point."""
    return (draw._replace(collapsed=True) for draw in draws(full))


def measure_merging(draw: Draw) -> Measurement:
    """f and its gradient at all samples, and of the problem with one column a class."""
    point, sizes = draw.point(), draw.sizes
    full, small = examine(draw.problem, point), merge(draw.problem)
    merged = examine(small, merge_params(draw.problem, point))
    values = {
        "value": full.value,
        "merged value": merged.value,
        "W": merged.grad.W,
        "H": merged.grad.H * np.sqrt(sizes),
        "samples": full.grad.H,
    }
    return Measurement(values, dict.fromkeys(values, ROUNDING * by_hand.size(point)))


def predict_merging(draw: Draw) -> Mapping[str, Any]:
    """The small problem of `theory`, evaluated by hand; the sums of the large one's gradients."""
    point, sizes = draw.point(), tuple(draw.sizes.tolist())
    first = np.cumsum([0, *sizes[:-1]])
    means = point.H[:, first]
    weights, decays = reductions.class_problem(sizes=sizes, lam_H=draw.lam_H)
    scores = by_hand.scores(point._replace(H=means))
    small = float(weights @ by_hand.losses(draw, scores, draw.targets()[:, first]))
    small += by_hand.decay(point._replace(H=np.sqrt(decays) * means), draw.lam_W, 1.0, draw.lam_b)
    grad = by_hand.gradient(draw, point._replace(H=reductions.repeat_classes(Hbar=means, sizes=sizes)))
    summed = reductions.class_gradient(grad_H=grad.H, sizes=sizes)
    return {"value": small, "merged value": small, "W": grad.W, "H": summed, "samples": grad.H}


class Elimination(NamedTuple):
    """T22: W, real targets and b drawn at random."""

    K: int = 3
    N: int = 7
    d: int = 4
    lam_W: float = 0.2
    lam_H: float = 0.05
    lam_b: float | None = 0.3
    key: int = 0

    def arrays(self) -> dict[str, Any]:
        """Keywords of `theory.reductions` but the decays."""
        rng = np.random.default_rng(self.key)
        W, Y = rng.standard_normal((self.K, self.d)), rng.standard_normal((self.K, self.N))
        return {"W": W, "Y": Y, "b": None if self.lam_b is None else rng.standard_normal(self.K)}


def elimination_settings(full: bool) -> Iterable[Elimination]:
    """With a bias and without; d above K and below."""
    yield Elimination()
    yield Elimination(lam_b=None, key=1, lam_H=0.5)
    yield Elimination(d=2, key=2)
    if full:
        yield from (Elimination(key=key, lam_H=lam) for key in range(3, 20) for lam in (1e-4, 1e-2, 1.0))


def measure_elimination(setting: Elimination) -> Measurement:
    """The features that the solver finds for this W, and f's gradient there in what is left."""
    arrays = setting.arrays()
    W, Y, b = arrays["W"], arrays["Y"], arrays["b"]
    shifted = Y if b is None else Y - b[:, None]
    fixed = Problem(
        setting.K, 1, setting.d, None, setting.lam_H, None, MSE(), model=fixed_classifier(W), targets=shifted
    )
    solution = solve(fixed, gtol=1e-14)
    free = Problem(setting.K, 1, setting.d, setting.lam_W, setting.lam_H, setting.lam_b, MSE(), targets=Y)
    point = examine(free, Params(W, solution.params.H, b))
    # lam_H is the least curvature in H, and f is flat there.
    distance = 2.0 * math.sqrt(np.sum(point.grad.H**2)) / setting.lam_H
    reach = 1.0 + float(np.linalg.norm(W)) + float(np.linalg.norm(Y))
    rounding = ROUNDING * reach**2 / setting.lam_H
    values = {"value": point.value, "H": point.params.H, "W": point.grad.W}
    tolerances = {"value": ROUNDING * reach**2, "H": rounding + distance, "W": rounding + reach * distance}
    if b is None:
        return Measurement(values, tolerances)
    return Measurement({**values, "b": point.grad.b}, {**tolerances, "b": tolerances["W"]})


def predict_elimination(setting: Elimination) -> Mapping[str, Any]:
    """T22's features, value and gradient."""
    arrays, lam_H = setting.arrays(), setting.lam_H
    decays = {"lam_W": setting.lam_W, "lam_H": lam_H, "lam_b": setting.lam_b}
    grad = reductions.reduced_mse_gradient(**arrays, **decays)
    predicted = {
        "value": reductions.reduced_mse(**arrays, **decays),
        "H": reductions.optimal_features(**arrays, lam_H=lam_H),
        "W": grad.W,
    }
    return predicted if grad.b is None else {**predicted, "b": grad.b}


POINTWISE = "32 eps times 1 + |W|^2 + |H|^2, the rounding of a sum of products"

CLAIMS = (
    Claim(
        "T20",
        "Convex loss: at any point features of one class are as close as their gradients divided by lam_H.",
        "derived for this project",
        "a convex loss, any class sizes",
        f"1e-12 for the ratio of two distances; {POINTWISE}, divided by lam_H as the gradient is",
        collapse_draws,
        measure_collapse,
        predict_collapse,
    ),
    Claim(
        "T21",
        "n_k equal features of a class act as one: weight n_k/N, decay n_k lam_H, gradients summed.",
        "derived for this project",
        "equal features within a class; any loss, any class sizes",
        POINTWISE,
        merging_draws,
        measure_merging,
        predict_merging,
    ),
    Claim(
        "T22",
        "Squares: the features that are best for given W and b, and the objective that is left, are explicit.",
        "ridge regression; reduced form derived for this project",
        "squared loss, any real targets",
        f"{POINTWISE}; features: 2 |gradient| / lam_H, their distance from the exact ones",
        elimination_settings,
        measure_elimination,
        predict_elimination,
    ),
)
