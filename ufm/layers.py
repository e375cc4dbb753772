"""The features of every layer of a deep model, and their collapse."""

from typing import Any

import numpy as np

from ufm.collapse import Collapse, collapse
from ufm.precision import exact, to_host
from ufm.problem import Problem
from ufm.validation import check_params, check_problem


def layer_features(problem: Problem, params: Any) -> tuple[np.ndarray, ...]:
    """(H, what W_2 sees, ..., what W_M sees): [d_l, N] features of each layer, after the ReLU if there is one.

    Raises:
        TypeError, ValueError: a problem or parameters that cannot work; a model that is not deep.
    """
    check_problem(problem, "layer_features", minimiser=False)
    if not problem.model.deep:
        raise ValueError("layer_features: the model has one layer. Pass DeepLinear(widths) or DeepReLU(widths).")
    params = check_params(problem, params, "layer_features")
    with exact():
        return to_host(problem.model.layers(params.W, params.H))


def layer_collapse(problem: Problem, params: Any) -> tuple[Collapse, ...]:
    """`collapse` of the features of each layer, with the classifier W_M and its bias at the last one.

    Before it there is no classifier: what needs one is NaN.

    Raises:
        TypeError, ValueError: as `layer_features`; a merged problem, whose columns are not samples.
    """
    if isinstance(problem, Problem) and problem.merged:
        raise ValueError("layer_collapse: the problem is merged: one column a class. Lift the point first.")
    features = layer_features(problem, params)
    inner = [collapse(H, problem.labels) for H in features[:-1]]
    return (*inner, collapse(features[-1], problem.labels, params.W[-1], params.b))
