"""The dense Riemannian Hessian that claims use, against the oracle of spheres; Newton steps to the last digits."""

import numpy as np
import pytest
from sphere_oracle import riemannian_hessian

import ufm
from ufm.certify.point import length
from ufm.verify import tangent

SIZES = (3, 1, 2)
PROBLEM = ufm.Problem(3, SIZES, 4, model=ufm.normalized(3.0))


@pytest.fixture(scope="module")
def found() -> tangent.Critical:
    return tangent.settle(PROBLEM, 1)


def test_spectrum_at_any_point_is_the_oracles():
    W, H, _ = params = ufm.random_start(PROBLEM, 2)
    dense, basis = riemannian_hessian(W, H, SIZES, 3.0)
    ours = tangent.tangent_basis(PROBLEM, params)
    assert ours.shape == basis.shape
    np.testing.assert_allclose(ours @ ours.T, basis @ basis.T, atol=1e-14)
    np.testing.assert_allclose(tangent.tangent_spectrum(PROBLEM, params), np.linalg.eigvalsh(dense), atol=1e-13)


def test_settled_points_are_critical_to_rounding_and_their_zero_modes_are_rotations(found):
    assert found.failure == ""
    assert length(found.point.grad) <= 1e-16
    assert tangent.zero_modes(found.spectrum) == 6 - 1  # rank 2 in four dimensions: rotations of the rest do nothing
    beyond = tangent.spectrum_beyond_rotations(PROBLEM, found.point.params)
    assert len(beyond) == len(found.spectrum) - 5
    np.testing.assert_allclose(beyond, found.spectrum[5:], atol=1e-14)


def test_newton_steps_stop_where_nothing_is_gained(found):
    params = ufm.perturb(PROBLEM, found.point.params, scale=1e-5)
    again = tangent.critical(PROBLEM, tangent.polished(PROBLEM, params))
    assert again.point.value == pytest.approx(found.point.value, rel=1e-14)
    assert again.distance <= 1e-13
    assert tangent.polished(PROBLEM, again.point.params) is again.point.params


def test_a_point_that_is_not_critical_says_nothing():
    far = tangent.critical(PROBLEM, ufm.random_start(PROBLEM, 2))
    assert "the critical point is known to" in far.failure
    assert tangent.quantities(far).failure == far.failure


def test_slack_has_the_multipliers_on_its_diagonal(found):
    a, b, Q = tangent.slack(PROBLEM, found.point)
    np.testing.assert_allclose(np.diag(Q), -np.concatenate([a, b]))
    both = np.vstack([found.point.params.W, found.point.params.H.T])
    np.testing.assert_allclose(Q @ both, 0.0, atol=1e-15)  # stationarity
    assert np.linalg.eigvalsh(Q)[0] >= -1e-15
