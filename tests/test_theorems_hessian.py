"""The "Check" lines of T5, T16, T17 and T18: every Hessian eigenvalue, at solved minima, at saddles, at the origin.

"Dense" is the whole Hessian of `Problem.objective` through `eigvalsh`, "structured" is `ufm.hessian_spectrum`. Both
agree with `theory` to 1e-12 of the largest eigenvalue, one by one in order, which fixes every multiplicity. Only for
kappa = 6e-5, whose whole Hessian is of size 1e-5, does a gradient of eps (no solver is asked for less) move it more.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
import optax
import pytest
from test_theorems import (
    EPS,
    GLOBAL,
    T7,
    T8,
    T9,
    Case,
    Found,
    assert_critical,
    ce,
    dense_hessian,
    drift,
    measured,
    named,
    solved,
    squares,
)

import ufm
from theory import expand, frames
from theory.mse_spectrum import spectrum_with_bias, spectrum_without_bias
from ufm.certify.escape import packing
from ufm.certify.point import examine, hessian_product
from ufm.precision import exact, to_host

SADDLE = ufm.Verdict.STRICT_SADDLE
STAY = ufm.TrustRegion(escapes=False)


def assert_spectrum(problem: ufm.Problem, params: ufm.Params, expected: np.ndarray, tolerance: float = 1e-12) -> None:
    """Dense and structured eigenvalues are the expected ones, to `tolerance` of the largest, and so many are zero."""
    dense = np.linalg.eigvalsh(dense_hessian(problem, params))
    structured = ufm.hessian_spectrum(problem, params)
    assert dense.shape == structured.shape == expected.shape
    small = np.min(np.abs(expected[expected != 0.0])) / 2
    for found in (dense, structured):
        assert np.max(np.abs(found - expected)) <= tolerance * expected[-1]
        assert np.sum(np.abs(found) <= small) == np.sum(expected == 0.0)


@pytest.mark.parametrize("case", [*T7, *T8, *T9], ids=named)
def test_minimum(case):
    """T16, T17: from a random start to the predicted eigenvalues, zero modes counted exactly."""
    found = solved(case)
    tolerance = 1e-12 + (drift(found) if case.kappa < 1e-4 else 0.0)
    assert_spectrum(found.problem, found.params, case.spectrum, tolerance)
    zeros = int(np.sum(case.spectrum == 0.0))
    assert zeros == case.prediction.quantities["nullity"]
    smallest = case.spectrum[0]  # 0, unless the minimum is isolated
    assert found.certificate.smallest_eigenvalue == pytest.approx(smallest, abs=tolerance * case.spectrum[-1])


ORIGINS = [
    ce(5, 1, 8, 1e-2, 0.3),
    ce(5, 1, 8, 0.0, 0.3, 20.0, 0.3),
    ce(5, 1, 8, 1e-3, 1.2, 0.1),
    ce(5, 1, 8, 1e-2, 0.75, 1.0, 0.3),
    squares(4, 3, 6, 0.2, 0.1, 7.0),
    squares(4, 3, 6, 0.0, 1.1),
    squares(4, 3, 6, 1e4, 0.5),
    squares(4, 3, 4, None, 0.4, 0.02),
    squares(4, 3, 4, None, 1.3),
]


def origin(case: Case) -> ufm.Params:
    """W = H = 0 with its best b."""
    shapes = case.problem.shapes()
    level = 0.0 if case.loss == "ce" or case.lam_b is None else 1.0 / (case.K * (1.0 + case.lam_b))
    return ufm.Params(np.zeros(shapes.W), np.zeros(shapes.H), None if case.lam_b is None else np.full(case.K, level))


@pytest.mark.parametrize("case", ORIGINS, ids=named)
def test_origin(case):
    """T18: the spectrum, and a strict saddle iff kappa < 1 - smoothing, else the global minimum."""
    problem, params = case.problem, origin(case)
    expected = expand(case.theory.origin_spectrum(**case.arguments))
    assert_spectrum(problem, params, expected)
    certificate = ufm.certify(problem, params)
    assert certificate.grad_norm <= EPS
    assert certificate.spectrum is not None
    assert np.max(np.abs(certificate.spectrum - expected)) <= 1e-12 * expected[-1]
    assert certificate.verdict is (GLOBAL if case.trivial else SADDLE)
    assert certificate.index == np.sum(expected < 0.0)
    assert certificate.nullity == np.sum(expected == 0.0)
    lam_W, lam_H = case.setting["lam_W"], case.setting["lam_H"]
    pull = (1.0 - case.smoothing) / (case.K * math.sqrt(float(case.problem.sizes[0])))
    mu = (lam_W + lam_H) / 2 - math.hypot((lam_W - lam_H) / 2, pull)
    assert certificate.escape_predicted == pytest.approx(mu, abs=2 * EPS)
    assert (mu < 0.0) == (not case.trivial)
    if not case.trivial:
        assert certificate.smallest_eigenvalue == pytest.approx(mu, abs=1e-12 * expected[-1])


def test_gradient_flow_leaves_the_origin_at_the_predicted_rate():
    """T18: a step of length eta multiplies the distance by 1 - eta mu, mu the smallest eigenvalue of `theory`."""
    case, eta, steps = squares(4, 3, 4, None, 0.4), 0.1, (1000, 1100)
    mu = expand(case.theory.origin_spectrum(**case.arguments))[0]
    solver = ufm.FirstOrder(optax.sgd(eta), max_steps=steps[1])
    start = ufm.random_start(case.problem, 0, scale=1e-12)
    trajectory = ufm.solve(case.problem, start=start, solver=solver, gtol=1e-15, record=steps).trajectory
    assert trajectory is not None
    distance = np.sqrt(np.sum(trajectory.params.W**2, axis=(1, 2)) + np.sum(trajectory.params.H**2, axis=(1, 2)))
    rate = math.log(distance[1] / distance[0]) / (steps[1] - steps[0])
    assert rate == pytest.approx(math.log1p(-eta * mu), rel=1e-9)


class Saddle(NamedTuple):
    case: Case
    rank: int


SADDLES = [
    *(Saddle(ce(5, 1, 8, 0.05, 0.15, 4.0), rank) for rank in (0, 1, 2, 3)),
    *(Saddle(ce(5, 1, 8, 0.0, 0.05, 1.0, 0.1), rank) for rank in (1, 2)),
    *(Saddle(squares(4, 3, 6, 0.3, 0.1, 0.1), rank) for rank in (0, 1, 2)),
    *(Saddle(squares(4, 3, 4, None, 0.2), rank) for rank in (1, 3)),
]


@functools.cache
def saddle(case: Case, rank: int) -> Found:
    """A critical point of the given rank: cross-entropy solved in an invariant subspace, squares with lost modes."""
    problem, params = case.problem, origin(case)
    if case.loss == "mse":
        basis = np.eye(case.K) if case.lam_b is None else frames.centred_basis(case.K)
        Z = (1.0 - case.kappa) * basis[:, :rank] @ basis[:, :rank].T
        logits = np.repeat(Z, problem.sizes, axis=1)
        W, H = frames.balanced_factors(logits, case.d, float(problem.lam_W), float(problem.lam_H))
        return measured(problem, ufm.Params(W, H, params.b))
    if rank:  # features that are zero in W and H stay zero, exactly
        seen = np.arange(case.d) < rank
        start = ufm.random_start(problem, 0)
        solution = ufm.solve(problem, start=start._replace(W=start.W * seen, H=start.H * seen[:, None]), solver=STAY)
        assert solution.status is ufm.Status.CONVERGED, solution.message
        params = solution.params
        params = ufm.solve(problem, start=solution.params, gtol=1e-15, solver=STAY).params
    return measured(problem, params)


@pytest.mark.parametrize(("case", "rank"), SADDLES, ids=[f"{named(s.case)}-rank{s.rank}" for s in SADDLES])
def test_escape_from_a_saddle(case, rank):
    """T5: every singular value g of G gives (lam_W + lam_H)/2 -+ sqrt(((lam_W - lam_H)/2)^2 + g^2), d - rank times."""
    found = saddle(case, rank)
    problem, params, certificate = found.problem, found.params, found.certificate
    lam_W, lam_H, nu = float(problem.lam_W), float(problem.lam_H), float(problem.nu)
    assert np.linalg.matrix_rank(params.W, tol=1e-8) == rank
    assert_critical(found)
    assert certificate.verdict is SADDLE
    assert certificate.dual_ratio > 1.0  # T3

    G = examine(problem, params).G
    U, gains, Vt = np.linalg.svd(G, full_matrices=False)
    predicted = (lam_W + lam_H) / 2 - np.hypot((lam_W - lam_H) / 2, gains)
    assert certificate.escape_predicted == pytest.approx(predicted[0], abs=4 * EPS)
    pack, _ = packing(params)

    def times(direction: ufm.Params) -> np.ndarray:
        with exact():
            return pack(to_host(hessian_product(problem.astype(np.float64), params, direction)))

    v = pack(certificate.escape)
    assert np.linalg.norm(v) == pytest.approx(1.0, abs=8 * EPS)
    assert np.linalg.norm(times(certificate.escape) - certificate.escape_predicted * v) <= 1e-14
    assert certificate.escape_curvature == pytest.approx(certificate.escape_predicted, abs=1e-14)

    # Zhu et al.'s direction has the curvature -2 (|G|_2 - nu).
    blind = np.linalg.svd(np.vstack([params.W, params.H.T]))[2][-1]
    tilt = (lam_H / lam_W) ** 0.25
    zero = None if params.b is None else np.zeros_like(params.b)
    paper = ufm.Params(tilt * np.outer(U[:, 0], blind), -np.outer(blind, Vt[0]) / tilt, zero)
    assert pack(paper) @ times(paper) == pytest.approx(-2.0 * (gains[0] - nu), abs=1e-14)

    dense = np.linalg.eigvalsh(dense_hessian(problem, params))
    structured = ufm.hessian_spectrum(problem, params)
    assert np.max(np.abs(structured - dense)) <= 1e-12 * dense[-1]
    assert dense[0] == pytest.approx(predicted[0], abs=1e-12 * dense[-1])
    assert certificate.smallest_eigenvalue == pytest.approx(predicted[0], abs=1e-12 * dense[-1])
    pairs = np.repeat([predicted, lam_W + lam_H - predicted], case.d - rank)
    for value in pairs:
        alike = [np.sum(np.abs(values - value) <= 1e-12 * dense[-1]) for values in (dense, pairs)]
        assert alike[0] >= alike[1]
    assert certificate.index == np.sum(dense < -1e-12 * dense[-1])
    if case.loss == "mse":  # the spectrum of T17 does not need the kept modes to be all of them
        shape = (case.K, problem.sizes[0], case.d, lam_W, lam_H)
        free = case.lam_b is None
        lost = spectrum_without_bias(*shape, rank) if free else spectrum_with_bias(*shape, case.lam_b, rank, 0.0)
        assert np.max(np.abs(dense - expand(lost))) <= 1e-12 * dense[-1]
