"""The trap of zero: theory's radius, and that the radial slope is positive all the way in for any convex loss."""

import dataclasses

import numpy as np
import pytest

import theory
import ufm
from ufm.batch import shared_options, solve_from
from ufm.certify.point import examine, length
from ufm.reduction import merge
from ufm.trap import trap_radius

SQUARES = ufm.Problem(2, (4, 2), 3, (0.02, 0.03), 0.02, loss=ufm.MSE(), model=ufm.DeepLinear((3,)))
ENTROPY = dataclasses.replace(SQUARES, loss=ufm.CrossEntropy(0.1), model=ufm.DeepReLU((3,)))


def radial(problem, params):
    """<x, grad f>."""
    grad = examine(problem, params).grad
    return sum(float(np.sum(x * g)) for x, g in zip((*params.W, params.H), (*grad.W, grad.H), strict=True))


def test_the_radius_is_theory_s_and_samples_are_counted():
    expected = theory.deep_landscape.trap_radius(K=2, n=(4, 2), lam_W=(0.02, 0.03), lam_H=0.02, M=2)
    assert trap_radius(SQUARES) == pytest.approx(expected, rel=1e-14)
    assert trap_radius(merge(SQUARES)) == pytest.approx(expected, rel=1e-14)


def test_inside_the_radius_f_rises_outwards_and_just_outside_not_everywhere():
    """Any convex loss, with ReLUs too: factors of one norm come closest to the bound."""
    radius = trap_radius(ENTROPY)
    for seed in range(10):
        x = ufm.random_start(ENTROPY, seed)
        factors = [0.999 * radius / np.sqrt(3) * block / np.linalg.norm(block) for block in (*x.W, x.H)]
        assert radial(ENTROPY, ufm.Params(tuple(factors[:2]), factors[2], None)) > 0.0
    zero = ufm.Params((np.zeros((3, 3)), np.zeros((2, 3))), np.zeros((3, 6)), None)
    U, _, Vt = np.linalg.svd(-examine(ENTROPY, zero).G)
    linear, e = dataclasses.replace(ENTROPY, model=ufm.DeepLinear((3,))), np.eye(3)[:, :1]
    for factor, sign in ((0.999, 1.0), (1.05, -1.0)):
        size = factor * radius / np.sqrt(3)
        aligned = ufm.Params((size * e @ e.T, size * U[:, :1] @ e.T), size * e @ Vt[:1], None)
        assert sign * radial(linear, aligned) > 0.0


def test_a_solve_from_inside_says_so_and_one_from_outside_not():
    radius = trap_radius(SQUARES)
    start = ufm.random_start(SQUARES)
    options = shared_options(SQUARES, None, None, None, "float64", "test")
    for factor in (0.9, 1.1):
        size = factor * radius / length(start)
        scaled = ufm.Params(tuple(size * w for w in start.W), size * start.H, None)
        for solution in (ufm.solve(SQUARES, start=scaled), *solve_from(SQUARES, [scaled], options)):
            assert solution.status is ufm.Status.CONVERGED
            assert ("lies in the trap of zero" in solution.message) == (factor < 1.0)
            if factor < 1.0:
                assert solution.value == pytest.approx(0.5)


def test_where_nothing_is_known_it_is_nan():
    for change in ({"lam_b": 0.1}, {"loss": ufm.Focal(2.0)}, {"model": ufm.DeepLinear(()), "lam_W": 0.1}):
        assert np.isnan(trap_radius(dataclasses.replace(SQUARES, **change)))
