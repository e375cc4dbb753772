"""The theorem that covers a problem. Of `ufm`, only this module and the claims import `theory`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

import theory
from theory import NotApplicable, Prediction
from ufm.losses.contrastive import SupCon
from ufm.losses.cross_entropy import CrossEntropy, Focal
from ufm.losses.multilabel import PickAllLabel, label_sets
from ufm.losses.squared import MSE, DotRegression, RescaledMSE
from ufm.models import DeepLinear, Gram
from ufm.problem import Problem
from ufm.spaces import Budget, Euclidean, Fixed, Nonnegative, Spheres
from ufm.validation import check_problem

__all__ = ["NotApplicable", "Prediction", "predict"]

ETF_SLACK = 1e-12  # relative: how far a fixed classifier may be from a simplex ETF and still be called one


def predict(problem: Problem) -> Prediction:
    """The global minimum of `problem` in closed form.

    Raises:
        TypeError, ValueError: not a problem with a minimiser.
        NotApplicable: no theorem covers it; its `reasons` say why.
    """
    check_problem(problem, "predict")
    model: Any = problem.model
    if isinstance(model, Gram):
        return _contrastive(problem)
    if model.deep:
        return _deep(problem)
    spaces = (type(model.W), type(model.H))
    if spaces == (Euclidean, Euclidean) and model.tau is None:
        return _decayed(problem)
    if problem.lam_b is not None:
        raise NotApplicable("predict", ["Closed forms for this model have no bias. Pass lam_b=None."])
    if spaces[0] is Fixed:
        return _fixed(problem, model)
    if not (isinstance(problem.loss, CrossEntropy) and float(problem.loss.smoothing) == 0.0):
        raise NotApplicable("predict", ["Closed forms for this model are for cross-entropy without smoothing."])
    if spaces == (Spheres, Spheres):
        return _spheres(problem, model)
    if spaces == (Budget, Budget) and model.tau is None:
        E_W, E_H = float(model.W.mean_square), float(model.H.mean_square)
        return theory.layer_peeled.global_minimum(**_sizes(problem), E_W=E_W, E_H=E_H)
    if spaces == (Euclidean, Nonnegative) and model.tau is None:
        return theory.relu_features.global_minimum(**_sizes(problem), **_decays(problem))
    names = " and ".join(space.__name__ for space in spaces)
    raise NotApplicable("predict", [f"There is no closed form for W and H in {names} with tau={model.tau}."])


def _decayed(problem: Problem) -> Prediction:
    """W H with decay on both."""
    loss = problem.loss
    decays = {**_decays(problem), "lam_b": _bias(problem)}
    if isinstance(loss, CrossEntropy):
        smoothing = float(loss.smoothing)
        if smoothing == 0.0 and len(set(problem.sizes)) > 1:
            return theory.imbalance.global_minimum(**_sizes(problem), **decays)
        return theory.cross_entropy.global_minimum(**_sizes(problem), **decays, smoothing=smoothing)
    if isinstance(loss, MSE) and problem.targets is None:
        return theory.mse.global_minimum(**_sizes(problem), **decays)
    if isinstance(loss, MSE):
        Y = np.repeat(problem.group_targets(), problem.sizes, axis=1)
        return theory.mse.soft_threshold(Y=Y, d=problem.d, **decays)
    if isinstance(loss, RescaledMSE):
        return theory.rescaled_mse.global_minimum(**_sizes(problem), **decays, k=float(loss.k), M=float(loss.M))
    if isinstance(loss, Focal):
        return theory.focal.global_minimum(**_sizes(problem), **decays, gamma=float(loss.gamma))
    if isinstance(loss, PickAllLabel):
        counts = _set_counts(problem)
        return theory.multilabel.global_minimum(K=problem.K, counts=counts, d=problem.d, **decays)
    raise NotApplicable("predict", ["There is no theory for a user's loss, or for this loss with this model."])


def _deep(problem: Problem) -> Prediction:
    """W_M ... W_1 H, with or without ReLUs, decay on every factor."""
    if not isinstance(problem.loss, MSE) or problem.targets is not None:
        raise NotApplicable("predict", ["Closed forms for deep models are for MSE and class labels."])
    lam_W = tuple(float(lam) for lam in problem.lam_Ws)
    setting = {**_sizes(problem), "widths": problem.model.widths, "lam_W": lam_W, "lam_H": float(problem.lam_H)}
    if isinstance(problem.model, DeepLinear):
        return theory.deep_linear.global_minimum(**setting, lam_b=_bias(problem))
    if problem.lam_b is not None:
        raise NotApplicable("predict", ["Closed forms with ReLUs have no bias. Pass lam_b=None."])
    return theory.deep_relu.global_minimum(**setting)


def _fixed(problem: Problem, model: Any) -> Prediction:
    """A simplex ETF as the classifier, features alone optimised."""
    W = np.asarray(model.W.value, np.float64)
    E_W = float(np.sum(W**2)) / problem.K
    centred = np.eye(problem.K) - 1.0 / problem.K
    gram = E_W * problem.K / (problem.K - 1) * centred
    if not np.max(np.abs(W @ W.T - gram)) <= ETF_SLACK * E_W or model.tau is not None:
        raise NotApplicable("predict", ["The fixed classifier is not a simplex ETF, or tau is not 1."])
    loss, features = problem.loss, model.H
    plain = isinstance(loss, CrossEntropy) and float(loss.smoothing) == 0.0
    if plain and isinstance(features, Spheres):
        E_H = float(features.radius) ** 2
        return theory.fixed_classifier.norm_ball_minimum(**_sizes(problem), E_W=E_W, E_H=E_H)
    if plain and isinstance(features, Euclidean):
        return theory.fixed_classifier.feature_decay_minimum(**_sizes(problem), E_W=E_W, lam_H=float(problem.lam_H))
    if isinstance(loss, DotRegression) and isinstance(features, Spheres):
        E_H = float(features.radius) ** 2
        if abs(float(loss.target) - np.sqrt(E_W * E_H)) <= ETF_SLACK * float(loss.target):
            return theory.fixed_classifier.dot_regression_minimum(**_sizes(problem), E_W=E_W, E_H=E_H)
    raise NotApplicable("predict", ["There is no closed form for this loss and these features of a fixed classifier."])


def _spheres(problem: Problem, model: Any) -> Prediction:
    if not float(model.W.radius) == float(model.H.radius) == 1.0:
        raise NotApplicable("predict", ["Closed forms on spheres are for radius 1. Put the radii into tau."])
    return theory.spheres.global_minimum(**_sizes(problem), tau=float(problem.tau))


def _contrastive(problem: Problem) -> Prediction:
    model: Any = problem.model
    if not isinstance(problem.loss, SupCon) or not isinstance(model.H, Spheres):
        raise NotApplicable("predict", ["Features alone: closed forms are for ufm.SupCon() on spheres."])
    rho2 = float(problem.tau) * float(model.H.radius) ** 2
    found = theory.contrastive.full_batch_minimum(**_sizes(problem), rho2=rho2)
    # Theory's features have the squared norm rho2; ours stay on their sphere, and the temperature is the model's.
    ours = {
        name: found.quantities[name] / float(problem.tau) for name in ("H_sq", "gram_M") if name in found.quantities
    }
    return dataclasses.replace(found, quantities={**found.quantities, **ours})


def _set_counts(problem: Problem) -> Mapping[int, int]:
    """{m: samples of each set of m labels}, or NotApplicable unless every set of a size occurs equally often."""
    targets, sizes = problem.group_targets(), problem.sizes
    counts = {int(m): size for m, size in zip(targets.sum(axis=0), sizes, strict=True)}
    expected, expected_sizes = label_sets(problem.K, counts)
    if targets.shape != expected.shape or not np.array_equal(targets, expected) or sizes != expected_sizes:
        raise NotApplicable(
            "predict", ["The label sets are not all sets of each size, equally often, in the order of ufm.label_sets."]
        )
    return counts


def _sizes(problem: Problem) -> dict[str, Any]:
    return {"K": problem.K, "n": problem.n, "d": problem.d}


def _decays(problem: Problem) -> dict[str, Any]:
    return {"lam_W": float(problem.lam_W), "lam_H": float(problem.lam_H)}


def _bias(problem: Problem) -> float | None:
    return None if problem.lam_b is None else float(problem.lam_b)
