"""3.6, 3.7, 7, 8: where the theorems of these variants are silent, and bad arguments."""

import math
import re
from typing import Any

import numpy as np
import pytest

from theory import (
    NotApplicable,
    conversions,
    fixed_classifier,
    layer_peeled,
    regression,
    relu_features,
)

SILENT: list[tuple[Any, Any, dict[str, Any], list[str]]] = [
    (
        layer_peeled.applies,
        layer_peeled.global_minimum,
        {"K": 4, "n": (4, 3, 2, 1), "d": 2, "E_W": 1.0, "E_H": 1.0},
        ["are 4 different ones", "d=2 < K-1=3"],
    ),
    (
        relu_features.applies,
        relu_features.global_minimum,
        {"K": 3, "n": 2, "d": 2, "lam_W": 0.1, "lam_H": 0.1},
        ["d=2 < K=3: K orthogonal"],
    ),
]


@pytest.mark.parametrize(("applies", "minimum", "setting", "words"), SILENT)
def test_where_the_theorems_are_silent_they_say_why(applies, minimum, setting, words):
    reasons = applies(**setting)
    assert len(reasons) == len(words)
    assert all(word in reason for word, reason in zip(words, reasons, strict=True))
    with pytest.raises(NotApplicable, match="no closed form here") as caught:
        minimum(**setting)
    assert caught.value.reasons == reasons
    assert applies(**(setting | {"d": 3, "n": 2})) == ()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: layer_peeled.applies(K=3, n=2, d=3, E_W=-1.0, E_H=1.0),
            "layer_peeled.applies: E_W=-1.0 is not a positive",
        ),
        (
            lambda: layer_peeled.global_minimum(K=3, n=(1, 2), d=3, E_W=1.0, E_H=1.0),
            "layer_peeled.global_minimum: n has 2 class sizes for K=3",
        ),
        (lambda: layer_peeled.balanced_value(K=1, E_W=1.0, E_H=1.0), "K=1 is not an integer >= 2"),
        (
            lambda: layer_peeled.minority_collapse_ratio(k_A=1, k_B=1, E_W=1.0, E_H=1.0),
            "layer_peeled.minority_collapse_ratio: k_B=1 is not an integer >= 2",
        ),
        (
            lambda: relu_features.global_minimum(K=3, n=0, d=3, lam_W=1.0, lam_H=1.0),
            "relu_features.global_minimum: n=0 is not an integer >= 1",
        ),
        (
            lambda: relu_features.applies(K=3, n=1, d=3, lam_W=1.0, lam_H=0.0),
            "relu_features.applies: lam_H=0.0 is not a positive",
        ),
        (lambda: relu_features.collapse_thresholds(K=3, n=(1,)), "n has 1 class sizes for K=3"),
        (lambda: regression.strength(N=0, lam_W=1.0, lam_H=1.0), "regression.strength: N=0 is not an integer >= 1"),
        (lambda: regression.global_minimum(Y=np.ones(3), d=1, lam_W=1.0, lam_H=1.0), "Y has shape (3,)"),
        (
            lambda: conversions.from_mean_feature_decay(N=0, lam_W=1.0, lam_H=1.0),
            "from_mean_feature_decay: N=0 is not an integer >= 1",
        ),
        (
            lambda: fixed_classifier.norm_ball_minimum(K=3, n=2, d=3, E_W=0.0, E_H=1.0),
            "fixed_classifier.norm_ball_minimum: E_W=0.0 is not a positive",
        ),
        (
            lambda: fixed_classifier.feature_decay_minimum(K=3, n=2, d=3, E_W=1.0, lam_H=0.0),
            "fixed_classifier.feature_decay_minimum: lam_H=0.0 is not a positive",
        ),
        (lambda: fixed_classifier.boundary_distance(K=1, E_H=1.0), "K=1 is not an integer >= 2"),
        (lambda: fixed_classifier.margin(K=2, E_W=1.0, E_H=math.inf), "E_H=inf is not a positive"),
        (
            lambda: fixed_classifier.is_nearest_mean_rule(W=np.eye(3), M=np.eye(2)),
            "fixed_classifier.is_nearest_mean_rule: M has shape (2, 2)",
        ),
        (lambda: fixed_classifier.is_nearest_mean_rule(W=np.eye(2), M=np.eye(2), b=np.ones(3)), "b has shape (3,)"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        call()
    assert not isinstance(caught.value, NotApplicable)
