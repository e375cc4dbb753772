"""Certificates of every model: bounds that hold at any point and close at every closed form, spectra, escapes, text."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import theory
import ufm
from ufm import Verdict, models
from ufm.certify.bounds import local_bound
from ufm.certify.point import Point, examine
from ufm.certify.slack import slack_matrix
from ufm.spaces import Budget, Euclidean, Fixed, Nonnegative, Spheres
from ufm.verify.predict import predict

SIZES = (2, 1, 1)
SETS, SET_SIZES = ufm.label_sets(3, {1: 2, 2: 1})
TARGETS = np.random.default_rng(7).standard_normal((3, 4))


def logistic(Z, Y):
    """A convex loss whose conjugate nobody gave: a logistic loss for every logit."""
    return jnp.sum(jax.nn.softplus(jnp.where(Y > 0, -Z, Z)), axis=0)


USER = ufm.UserLoss(logistic, convex=True)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def problem(d: int, loss: Any, W: Any, H: Any, tau: Any = None, lam_b: float | None = None, **kwargs: Any) -> ufm.Problem:
    """K = 3; decays where the spaces ask for them, drawn from kwargs' rng."""
    rng = kwargs.pop("rng")
    lam_W = log_uniform(rng, 3e-3, 0.3) if W.decays else None
    lam_H = log_uniform(rng, 3e-3, 0.3) if H.decays else None
    sizes = kwargs.pop("n", SIZES)
    return ufm.Problem(3, sizes, d, lam_W, lam_H, lam_b, loss, models.Bilinear(W, H, tau), **kwargs)


def gram(H: Any, rng: np.random.Generator) -> ufm.Problem:
    lam_H = log_uniform(rng, 1e-2, 1.0) if H.decays else None
    return ufm.Problem(3, (3, 2, 2), 3, None, lam_H, loss=ufm.SupCon(), model=models.Gram(H, log_uniform(rng, 0.3, 3.0)))


def classifier(rng: np.random.Generator) -> Fixed:
    return Fixed(rng.standard_normal((3, 4)))


# Every route to a bound, with every kind of loss on it; each draws its numbers, which recompile nothing.
FAMILIES: dict[str, Callable[[np.random.Generator], ufm.Problem]] = {
    "decays, tau": lambda r: problem(2, ufm.CrossEntropy(0.1), Euclidean(), Euclidean(), r.uniform(0.5, 3), 0.0, rng=r),
    "label sets": lambda r: problem(
        2, ufm.PickAllLabel(), Euclidean(), Euclidean(), None, 0.0, rng=r, n=SET_SIZES, targets=SETS
    ),
    "label sets, spheres": lambda r: problem(
        4, ufm.PickAllLabel(), Spheres(), Spheres(2.0), r.uniform(1, 9), 0.0, rng=r, n=SET_SIZES, targets=SETS
    ),
    "regression": lambda r: problem(
        2, ufm.MSE(), Euclidean(), Euclidean(), None, 0.1, rng=r, n=1, targets=r.standard_normal((3, 4))
    ),
    "rescaled": lambda r: problem(
        4, ufm.RescaledMSE(r.uniform(0.5, 5), r.uniform(0.5, 5)), Euclidean(), Euclidean(), None, 0.1, rng=r
    ),
    "user's": lambda r: problem(4, USER, Euclidean(), Euclidean(), 2.0, 0.1, rng=r),
    "spheres": lambda r: problem(4, ufm.CrossEntropy(), Spheres(0.7), Spheres(2.0), r.uniform(0.5, 9), rng=r),
    "spheres, MSE, free bias": lambda r: problem(2, ufm.MSE(), Spheres(), Spheres(), r.uniform(0.2, 2), 0.0, rng=r),
    "unit features": lambda r: problem(4, ufm.CrossEntropy(), Euclidean(), Spheres(), r.uniform(0.5, 5), 0.05, rng=r),
    "unit classifier": lambda r: problem(4, ufm.RescaledMSE(2.0, 1.0), Spheres(), Euclidean(), 2.0, 0.05, rng=r),
    "budgets": lambda r: problem(4, ufm.CrossEntropy(), Budget(r.uniform(0.3, 2)), Budget(r.uniform(1, 9)), rng=r),
    "sphere and budget": lambda r: problem(4, USER, Spheres(), Budget(r.uniform(0.3, 3)), 1.5, 0.05, rng=r),
    "decay and budget": lambda r: problem(2, ufm.MSE(), Euclidean(), Budget(r.uniform(0.1, 3)), 1.5, 0.05, rng=r),
    "fixed": lambda r: problem(4, ufm.CrossEntropy(), classifier(r), Euclidean(), 1.5, 0.0, rng=r),
    "fixed, spheres": lambda r: problem(4, ufm.DotRegression(2.0), classifier(r), Spheres(r.uniform(0.5, 3)), rng=r),
    "fixed, budget": lambda r: problem(4, ufm.MSE(), classifier(r), Budget(r.uniform(0.1, 3)), None, 0.1, rng=r),
    "fixed, relu": lambda r: problem(4, ufm.CrossEntropy(), classifier(r), Nonnegative(), rng=r),
    "relu": lambda r: problem(4, ufm.CrossEntropy(), Euclidean(), Nonnegative(), rng=r),
    "relu, bias": lambda r: problem(4, ufm.RescaledMSE(2.0, 1.0), Euclidean(), Nonnegative(), 1.5, 0.0, rng=r),
    "relu, user's": lambda r: problem(2, USER, Euclidean(), Nonnegative(), rng=r),
    "focal": lambda r: problem(2, ufm.Focal(r.uniform(0, 5)), Euclidean(), Euclidean(), r.uniform(0.5, 2), rng=r, n=2),
    "focal, bias": lambda r: problem(4, ufm.Focal(r.uniform(0, 3)), Euclidean(), Nonnegative(), None, 0.0, rng=r, n=2),
    "contrastive": lambda r: gram(Spheres(1.5), r),
    "contrastive, budget": lambda r: gram(Budget(2.0), r),
    "contrastive, decay": lambda r: gram(Euclidean(), r),
}


def descent(instance: ufm.Problem, start: ufm.Params, steps: int) -> list[Point]:
    """Points on the way down by projected gradients with Barzilai-Borwein steps; every tenth, and the last."""
    here, step, kept = examine(instance, start), 0.1, []
    for k in range(steps):
        moved = [None if x is None else x - step * g for x, g in zip(here.params, here.grad, strict=True)]
        there = examine(instance, instance.project(ufm.Params(*moved)))
        if not there.value < here.value + 0.1 * abs(here.value):
            step /= 4
            continue
        s = np.concatenate([np.ravel(a - b) for a, b in zip(there.params, here.params, strict=True) if a is not None])
        y = np.concatenate([np.ravel(a - b) for a, b in zip(there.grad, here.grad, strict=True) if a is not None])
        step = float(np.clip(s @ s / max(abs(s @ y), 1e-300), 1e-3, 1e3))
        here = there
        kept += [here] if k % 10 == 0 else []
    return [*kept, here]


@pytest.mark.parametrize("name", FAMILIES)
def test_weak_duality(name):
    """No bound from any point exceeds f at any other point of the same problem, near its minimum or far from it."""
    rng = np.random.default_rng(len(name))
    worst, finite = -np.inf, 0
    for _ in range(3):
        instance = FAMILIES[name](rng)
        points = [examine(instance, ufm.random_start(instance, key, 10.0 ** rng.uniform(-1, 1))) for key in range(12)]
        points += descent(instance, points[0].params, 60)
        bounds = np.array([local_bound(instance, point).value for point in points])
        ceiling = min(point.value for point in points)
        worst = max(worst, float(np.max(bounds)) - ceiling)
        finite += int(np.sum(bounds > 0.0))
    assert worst <= 1e-15
    assert finite >= 5  # not vacuous


def closed_form(instance: ufm.Problem) -> ufm.Params:
    """A minimiser with the Gram matrices and logits that theory states."""
    stated = predict(instance).quantities
    d = instance.d
    if not instance.model.classifier:
        values, vectors = np.linalg.eigh(stated["gram_M"])
        M = np.zeros((d, instance.K))
        rank = min(d, instance.K)
        M[:rank] = (vectors * np.sqrt(np.maximum(values, 0.0))).T[::-1][:rank]
        return ufm.Params(None, np.repeat(M, instance.sizes, axis=1), None)
    model: Any = instance.model
    if isinstance(model.W, Fixed):
        W = np.asarray(model.W.value)
    else:
        values, vectors = np.linalg.eigh(stated["gram_W"])
        rank = min(d, instance.K)
        W = np.zeros((instance.K, d))
        W[:, :rank] = (vectors * np.sqrt(np.where(values > 1e-12 * values[-1], values, 0.0)))[:, ::-1][:, :rank]
    M = np.linalg.pinv(W, rcond=1e-10) @ stated["logits"] / float(instance.tau)
    return instance.project(ufm.Params(W, np.repeat(M, instance.sizes, axis=1), stated.get("b")))


ETF = theory.frames.simplex_etf(3, 4)
COUNTED, COUNTED_SIZES = ufm.label_sets(4, {1: 2, 2: 3})
CLOSED = {
    "1.1": ufm.Problem(3, (3, 3, 3), 4, model=ufm.normalized(5.0)),
    "1.1, d = K - 1": ufm.Problem(4, 2, 3, model=ufm.normalized(2.0)),
    "3.6": ufm.Problem(3, 2, 4, model=ufm.layer_peeled(0.7, 3.0)),
    "3.4": ufm.Problem(3, (4, 4, 1), 3, 5e-3, 2e-2),
    "4": ufm.Problem(4, COUNTED_SIZES, 5, 5e-3, 2e-3, None, ufm.PickAllLabel(), targets=COUNTED),
    "5": ufm.Problem(3, 3, 3, model=ufm.contrastive(0.5), loss=ufm.SupCon()),
    "8, sphere": ufm.Problem(3, (3, 2, 1), 4, model=ufm.fixed_classifier(ETF, Spheres(2.0))),
    "8, decay": ufm.Problem(3, (3, 2, 1), 4, None, 1e-2, model=ufm.fixed_classifier(ETF)),
    "8, dot regression": ufm.Problem(
        3, (3, 2, 1), 4, loss=ufm.DotRegression(2.0), model=ufm.fixed_classifier(ETF, Spheres(2.0))
    ),
    "T11": ufm.Problem(3, 2, 3, 5e-3, 2e-2, 0.1, ufm.RescaledMSE(5.0, 3.0)),
    "T11, no bias": ufm.Problem(3, 2, 3, 5e-3, 2e-2, None, ufm.RescaledMSE(0.5, 3.0)),
    "T12": ufm.Problem(4, 3, 4, 5e-3, 2e-2, None, ufm.Focal(2.0)),
    "T13": ufm.Problem(4, 3, 4, 5e-3, 2e-2, 0.0, ufm.Focal(1.0)),
    "T13, origin": ufm.Problem(4, 3, 4, 0.2, 0.2, 0.1, ufm.Focal(1.0)),
}


@pytest.mark.parametrize("name", CLOSED)
def test_the_gap_closes_at_every_closed_form(name):
    instance = CLOSED[name]
    point = examine(instance, closed_form(instance))
    assert point.value == pytest.approx(predict(instance).quantities["value"], abs=2e-15)
    assert point.grad_norm <= 1e-14
    bound = local_bound(instance, point)
    assert -1e-16 <= point.value - bound.value <= 3e-14
