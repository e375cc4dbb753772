"""Exact reductions of a problem, with their lifts."""

import dataclasses

import numpy as np

from ufm.problem import Params, Problem


def merge(problem: Problem) -> Problem:
    """The problem whose class k has one column, sqrt(n_k) h_k, of weight n_k / N.

    On collapsed features (equal columns within a class) value, gradient norm and Hessian on the class means are
    those of the full problem, because the coordinates are isometric.

    Source:
        T21, derived for this project: holds for every loss.
    """
    return dataclasses.replace(problem, merged=True)


def merge_params(problem: Problem, params: Params) -> Params:
    """Class means of the features, in the coordinates of `merge(problem)`; NumPy."""
    sizes = np.asarray(problem.sizes)
    means = np.add.reduceat(params.H, np.concatenate([[0], np.cumsum(sizes)[:-1]]), axis=1) / sizes
    return Params(params.W, means * np.sqrt(sizes), params.b)


def lift_params(problem: Problem, merged: Params) -> Params:
    """The collapsed point of the full `problem` that a point of `merge(problem)` stands for; NumPy."""
    sizes = np.asarray(problem.sizes)
    return Params(merged.W, np.repeat(merged.H / np.sqrt(sizes), sizes, axis=1), merged.b)
