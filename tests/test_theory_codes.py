"""2.3: named codes; bad arguments of everything on codes."""

import re
from typing import Any

import numpy as np
import pytest
from named_codes import NAMED

from theory import code_values, codes, orthoplex, softmax_codes


@pytest.mark.parametrize("name", NAMED)
def test_named_codes(name):
    W, K, d, s, neighbours = NAMED[name]
    assert W.shape == (K, d)
    np.testing.assert_allclose(np.linalg.norm(W, axis=1), 1.0, atol=4e-16)
    assert codes.coherence(W) == pytest.approx(s, abs=2e-15)
    assert codes.tammes_margin(W) == pytest.approx(1 - s, abs=2e-15)
    np.testing.assert_allclose(codes.separations(W), 1 - s, atol=2e-15)
    gram = W @ W.T
    assert np.all(np.sum(np.abs(gram - s) <= 1e-12, axis=1) == neighbours)
    np.testing.assert_allclose(np.sort(gram, axis=1), np.sort(gram, axis=1)[[0] * K], atol=1e-14)  # distance-invariant
    np.testing.assert_allclose(W.T @ W, K / d * np.eye(d), atol=2e-14 * K)  # a tight frame of zero mean
    np.testing.assert_allclose(W.sum(axis=0), 0.0, atol=1e-13)


def test_separations_count_repeated_rows():
    W = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_array_equal(codes.separations(W), [0.0, 0.0, 2.0])
    assert codes.tammes_margin(W) == 0.0


CALLS: list[tuple[Any, dict[str, Any], str]] = [
    (codes.polygon, {"K": 1}, "polygon: K=1 is not an integer >= 2"),
    (codes.simplex, {"K": 1}, "simplex: K=1 is not an integer >= 2"),
    (codes.cross_polytope, {"d": 0}, "cross_polytope: d=0 is not an integer >= 1"),
    (codes.separations, {"W": np.ones((1, 1))}, "separations: number of rows of W=1 is not an integer >= 2"),
    (codes.coherence, {"W": np.ones((2, 2))}, "a vector of W is off unit length"),
    (softmax_codes.one_vs_rest_distance, {"W": np.ones((2, 2))}, "one_vs_rest_distance: a vector of W is off"),
    (softmax_codes.one_vs_rest_distance, {"W": np.ones(2)}, "W has shape (2,)"),
    (softmax_codes.applies, {"K": 2, "d": 0}, "softmax_codes.applies: d=0"),
    (softmax_codes.optimum, {"K": 1, "d": 1}, "softmax_codes.optimum: K=1"),
    (softmax_codes.optimal_code, {"K": 30, "d": 3}, "softmax_codes.optimal_code: no closed form here. K=30 > 2d=6"),
    (softmax_codes.bounds, {"K": 3, "d": 1}, "softmax_codes.bounds: d=1 is not an integer >= 2"),
    (code_values.self_dual_value, {"W": np.ones((1, 1)), "tau": 1.0}, "number of rows of W=1"),
    (code_values.self_dual_value, {"W": np.eye(2), "tau": 0.0}, "self_dual_value: tau=0.0 is not a positive"),
    (code_values.polygon_value, {"K": 1, "tau": 1.0}, "polygon_value: K=1"),
    (code_values.cross_polytope_value, {"d": 2, "tau": -1}, "cross_polytope_value: tau=-1 is not"),
    (code_values.polygon_candidate, {"K": 5, "n": 1, "lam_W": 0, "lam_H": 1}, "polygon_candidate: lam_W=0"),
    (code_values.polygon_candidate, {"K": 2, "n": (1, 2), "lam_W": 1, "lam_H": 1}, "is imbalanced"),
    (code_values.cross_polytope_candidate, {"d": 0, "n": 1, "lam_W": 1, "lam_H": 1}, "cross_polytope_candidate: d=0"),
    (orthoplex.partition_code, {"partition": (2, 1)}, "partition_code: group size=1 is not an integer >= 2"),
    (orthoplex.partition_value, {"partition": (), "tau": 1.0}, "partition_value: partition=() is not a sequence"),
    (orthoplex.partition_value, {"partition": (2, 3), "tau": 0}, "partition_value: tau=0 is not a positive"),
    (orthoplex.least_curvature, {"partition": 5, "tau": 1.0}, "least_curvature: partition=5 is not a sequence"),
    (orthoplex.stability_interval, {"partition": (2, 2.5)}, "stability_interval: group size=2.5"),
    (orthoplex.best_partition, {"K": 9, "d": 4, "tau": 1.0}, "K=9 is outside [d+1, 2d] for d=4. Pass K in [5, 8]"),
]


@pytest.mark.parametrize(("function", "arguments", "message"), CALLS)
def test_errors_say_what_is_wrong(function, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        function(**arguments)
