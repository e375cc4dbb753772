"""Exact reductions: each keeps value, gradient and certificate; the answers are the theorems' and the free solver's."""

import dataclasses
import math
import pickle
from typing import Any

import jax
import numpy as np
import pytest
from dense_oracle import Dense

import theory
import ufm
from ufm import minimum
from ufm.certify.point import examine
from ufm.exchangeable import Exchanged, exchangeable, sum_zero_basis, why_not
from ufm.precision import exact
from ufm.reduction import Full, RowSpace, Thin, lift_params, merge_params, thin

SIZES = [5, (7, 3, 3, 7, 1), (4, 1, 1, 4, 1), (6, 5, 3, 2, 1)]
LOSSES = [ufm.CrossEntropy(), ufm.CrossEntropy(0.1), ufm.MSE(), ufm.RescaledMSE(3.0, 2.0)]
BIASES = [None, 0.0, 0.02]


def problem_of(n: Any = 5, d: int = 8, lam_b: Any = 0.02, loss: Any = None, **more: Any) -> ufm.Problem:
    return ufm.Problem(5, n, d, 4e-3, 1e-2, lam_b, loss=ufm.CrossEntropy() if loss is None else loss, **more)


@pytest.mark.parametrize("n", SIZES[1:3], ids=str)
@pytest.mark.parametrize("lam_b", BIASES, ids=str)
@pytest.mark.parametrize("loss", LOSSES[1::2], ids=lambda loss: type(loss).__name__)
def test_points_of_exchangeable_problems_are_points_of_the_full_one(n: Any, lam_b: Any, loss: Any) -> None:
    """Value and gradient norm of the lifted random point, in the variables of equal decays."""
    problem = dataclasses.replace(problem_of(n, lam_b=lam_b, loss=loss), lam_H=4e-3)
    small = exchangeable(problem)
    rng, G = np.random.default_rng(1), small.m.size
    b = None if lam_b is None else rng.standard_normal(G)
    point = ufm.Params(rng.standard_normal((G, 1 + G)), rng.standard_normal((1 + G, G)), b)
    point.W[small.m == 1, 0] = point.H[0, small.m == 1] = 0.0  # a class alone has no such direction
    with exact():
        value, grad = jax.value_and_grad(small.astype(np.float64).objective)(point)
        Z = small.spectrum(point)
        dual = small.dual(Z, b)
    full = examine(problem, Exchanged(problem).lift(point))
    assert value == pytest.approx(full.value, rel=1e-13)
    squares = [sum(float(np.sum(np.asarray(x) ** 2)) for x in g if x is not None) for g in (grad, full.grad)]
    assert squares[0] == pytest.approx(squares[1], rel=1e-12)
    # The singular values of the logits and of the gradient in them.
    for spectrum, matrix in ((Z, full.Z), (dual, full.G)):
        expected = np.linalg.svd(matrix, compute_uv=False)
        again = [np.repeat(np.abs(spectrum.standard), small.m.astype(int) - 1), np.linalg.svd(spectrum.trivial)[1]]
        np.testing.assert_allclose(np.sort(np.concatenate(again))[::-1], expected, atol=1e-12 * expected[0])


@pytest.mark.parametrize("n", SIZES[:2], ids=str)
@pytest.mark.parametrize("lam_b", BIASES[1:], ids=str)
@pytest.mark.parametrize("loss", LOSSES[1:3], ids=lambda loss: type(loss).__name__)
def test_the_lifted_minimum_is_certified_at_full_size(n: Any, lam_b: Any, loss: Any) -> None:
    problem = problem_of(n, lam_b=lam_b, loss=loss)
    solution = ufm.solve(problem)
    assert isinstance(solution.reduction, Exchanged)
    certificate = ufm.certify(problem, solution.params)
    assert certificate.verdict is ufm.Verdict.GLOBAL_MINIMUM
    assert certificate.value == pytest.approx(solution.value, abs=1e-14)
    assert certificate.grad_norm <= solution.grad_norm + 1e-14 <= 1e-12 + 1e-14  # rounding of the lift
    assert solution.value - solution.lower_bound <= 1e-13 * (1 + solution.value)
    # The bound is the full dual's: neither may pass the other's value.
    assert solution.lower_bound <= certificate.value
    free = ufm.solve(problem, reduce=False)
    assert free.value == pytest.approx(solution.value, abs=1e-13)
    np.testing.assert_allclose(
        np.abs(free.params.W @ free.params.H), np.abs(solution.params.W @ solution.params.H), atol=1e-9
    )


@pytest.mark.parametrize("d", [3, 4, 5, 9])
@pytest.mark.parametrize("lam_b", BIASES, ids=str)
def test_any_dimension(d: int, lam_b: Any) -> None:
    """d = K-1 holds the minimum of cross-entropy; below, the classes are refused and the merged problem is solved."""
    problem = problem_of((6, 6, 2, 2, 1), d=d, lam_b=lam_b)
    solution = ufm.solve(problem)
    assert [block.shape for block in solution.params[:2]] == [(5, d), (d, 17)]
    if d >= 4:
        assert isinstance(solution.reduction, Exchanged)
        assert ufm.certify(problem, solution.params).verdict is ufm.Verdict.GLOBAL_MINIMUM
    else:
        assert isinstance(solution.reduction, Thin)
        assert f"d={d} is below the rank" in solution.reduction.refused
        assert solution.lower_bound == -math.inf
        assert ufm.certify(problem, solution.params).grad_norm <= solution.grad_norm <= 1e-12


def test_many_classes() -> None:
    """A thousand classes against the closed form; a million of a thousand samples by the bound."""
    numbers: dict[str, Any] = {"lam_W": 1e-7, "lam_H": 1e-6, "lam_b": 1e-4}
    solution = ufm.solve(ufm.Problem(1000, 30, 999, **numbers))
    prediction = theory.cross_entropy.global_minimum(K=1000, n=30, d=999, **numbers)
    assert solution.value == pytest.approx(prediction.value, rel=1e-13)
    huge = ufm.solve(ufm.Problem(10**6, 10**3, 10**6, 1e-10, 1e-9, 1e-4))
    assert huge.status is ufm.Status.CONVERGED
    assert 0.1 < huge.value < math.log(1e6)
    assert huge.value - huge.lower_bound <= 1e-13 * (1 + huge.value)


@pytest.mark.parametrize("factor", [0.5, 0.999, 1.0, 1.001, 3.0])
@pytest.mark.parametrize("loss", [ufm.CrossEntropy(), ufm.MSE()], ids=["CE", "MSE"])
def test_around_the_threshold_of_collapse_to_zero(factor: float, loss: Any) -> None:
    """kappa = K sqrt(n lam_W lam_H) = 1: nothing is left above."""
    lam = factor / (5 * math.sqrt(5))
    problem = dataclasses.replace(problem_of(loss=loss, lam_b=0.0), lam_W=lam, lam_H=lam)
    solution = ufm.solve(problem)
    certificate = ufm.certify(problem, solution.params)
    assert certificate.verdict is ufm.Verdict.GLOBAL_MINIMUM
    assert (np.max(np.abs(solution.params.W)) > 1e-3) == (factor < 1.0)


SETS, COUNTS = ufm.label_sets(4, {1: 3, 2: 2})
Y = np.random.default_rng(0).standard_normal((3, 9))
THINNED = {
    "samples": ufm.Problem(4, 6, 3, 1e-2, 1e-2, 0.0, ufm.Focal()),
    "spheres": ufm.Problem(4, 6, 5, model=ufm.normalized(6.0)),
    "features on spheres": ufm.Problem(4, 6, 5, 1e-2, model=ufm.normalized_features(2.0)),
    "label sets": ufm.Problem(4, COUNTS, 9, 1e-2, 3e-2, 0.1, ufm.PickAllLabel(), targets=SETS),
    "regression": ufm.Problem(3, 1, 7, 1e-2, 3e-2, 0.0, ufm.MSE(), targets=Y),
    "features >= 0": ufm.Problem(3, 5, 4, 1e-2, 3e-2, model=ufm.relu_features()),
    "fixed": ufm.Problem(3, (5, 2, 1), 4, None, 3e-2, model=ufm.fixed_classifier(np.eye(3, 4))),
    "tau": ufm.Problem(3, (5, 2, 1), 2, 3e-2, 1e-2, 0.0, ufm.Focal(), model=ufm.Bilinear(tau=2.0)),
}  # fmt: skip


@pytest.mark.parametrize("problem", THINNED.values(), ids=THINNED)
def test_points_of_thin_problems_are_points_of_the_full_one(problem: ufm.Problem) -> None:
    """Value and gradient at a random point, and its verdict against a solve of the full problem."""
    reduced = thin(problem)
    point = ufm.random_start(reduced, 3)
    reduction = Thin(problem, (), "")
    lifted = reduction.lift(point)
    small, large = examine(reduced, point), examine(problem, lifted)
    assert small.value == pytest.approx(large.value, rel=1e-13)
    if problem.euclidean:
        tilt = [float(getattr(reduced, lam) / getattr(problem, lam)) ** 0.5 for lam in ("lam_W", "lam_H")]
        np.testing.assert_allclose(large.grad.W[:, : reduced.d] * tilt[0], small.grad.W, atol=1e-14)
    back = lifted if problem.merged or not reduced.merged else merge_params(problem, lifted)
    assert back.H.shape[1] == point.H.shape[1]
    solution = ufm.solve(problem)
    assert solution.status is ufm.Status.CONVERGED
    certificate, small_certificate = ufm.certify(problem, solution.params), ufm.certify(reduced, solution.point)
    assert certificate.grad_norm <= solution.grad_norm + 1e-14
    assert certificate.value == pytest.approx(small_certificate.value, abs=1e-14)
    assert certificate.lower_bound == pytest.approx(small_certificate.lower_bound, abs=1e-12)
    assert certificate.verdict is small_certificate.verdict


def test_what_is_reduced_is_said() -> None:
    steps = ufm.solve(problem_of((3, 3, 2, 2, 1), d=9)).reduction.steps
    assert steps == ("decays", "samples", "classes (3 sizes)", "dimension")
    label_sets = ufm.solve(THINNED["label sets"]).reduction
    assert label_sets.steps == ("decays", "samples", "dimension")
    assert label_sets.refused == "the loss and its targets do not treat the classes alike"
    assert ufm.solve(THINNED["samples"]).reduction.refused == "the loss is not known to be convex"
    assert ufm.solve(THINNED["spheres"]).reduction.refused.startswith("W and H do not both range")
    assert ufm.solve(ufm.Problem(3, 1, 2, 1e-2, 1e-2, loss=ufm.Focal())).reduction.steps == ()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"reduce": False}, "reduce=False"),
        ({"start": ufm.random_start(problem_of())}, "a start was given"),
        ({"solver": ufm.TrustRegion(escapes=False)}, "does not leave saddles"),
        ({"solver": ufm.LBFGS()}, "does not leave saddles"),
        ({"record": [0]}, "the trajectory is recorded"),
    ],
)
def test_free_features_are_kept_where_they_are_asked_for(options: dict[str, Any], why: str) -> None:
    solution = ufm.solve(problem_of(), **options)
    assert isinstance(solution.reduction, Full | RowSpace)
    assert why in solution.reduction.refused
    assert solution.params is solution.params


def test_reduce_is_a_bool() -> None:
    with pytest.raises(TypeError, match="solve: reduce=1 is not a bool"):
        ufm.solve(problem_of(), reduce=1)  # type: ignore[arg-type]


def test_a_loss_of_ones_own_is_not_taken_for_symmetric() -> None:
    def weighted(Z: Any, Y: Any) -> Any:
        return ufm.CrossEntropy()(Z, Y) * (1.0 + Y[0])

    problem = problem_of(loss=ufm.UserLoss(weighted, convex=True, shift_invariant=True))
    assert "treat the classes alike" in why_not(problem)
    solution = ufm.solve(problem)
    assert isinstance(solution.reduction, Thin)
    assert solution.value == pytest.approx(ufm.solve(problem, reduce=False).value, abs=1e-12)


def test_one_compilation_serves_every_number_of_classes_samples_and_dimensions() -> None:
    ufm.solve(problem_of())
    before = minimum._compiled.cache_info().currsize
    for K, n, d in ((3, 1, 3), (40, 7, 39), (10**5, 100, 10**6)):
        ufm.solve(ufm.Problem(K, n, d, 1e-7, 2e-7, 0.1, ufm.CrossEntropy(0.01)))
    assert minimum._compiled.cache_info().currsize == before


def test_float32_says_its_floor() -> None:
    solution = ufm.solve(problem_of(), dtype="float32")
    assert isinstance(solution.reduction, Exchanged)
    assert solution.params.W.dtype == np.float32
    assert solution.value == pytest.approx(ufm.solve(problem_of()).value, rel=1e-5)


def test_a_solution_pickles() -> None:
    solution = ufm.solve(problem_of((3, 3, 2, 2, 1)))
    again = pickle.loads(pickle.dumps(solution))
    np.testing.assert_array_equal(again.params.H, solution.params.H)


@pytest.mark.parametrize("m", [2, 3, 10])
def test_the_basis_of_vectors_of_sum_zero(m: int) -> None:
    Q = sum_zero_basis(m)
    np.testing.assert_allclose(Q.T @ Q, np.eye(m - 1), atol=1e-15 * m)
    np.testing.assert_allclose(np.sum(Q, axis=0), 0.0, atol=1e-15 * m)


@pytest.mark.parametrize(
    "problem", [THINNED["label sets"], THINNED["regression"], problem_of((7, 3, 3, 7, 1))], ids=str
)
def test_the_spectral_start(problem: ufm.Problem) -> None:
    """Every direction that falls is in it, at a value below the origin's, and features of a group are equal."""
    start = ufm.spectral_start(problem)
    zero = ufm.Params(np.zeros_like(start.W), np.zeros_like(start.H), np.zeros_like(start.b))
    assert examine(problem, start).value < examine(problem, zero).value
    np.testing.assert_allclose(lift_params(problem, merge_params(problem, start)).H, start.H, atol=1e-13)
    assert ufm.solve(problem, start=start).status is ufm.Status.CONVERGED


def test_the_spectral_start_of_the_squared_loss_has_the_directions_of_its_minimum() -> None:
    problem = ufm.Problem(4, 3, 6, 1e-2, 2e-2, loss=ufm.MSE())
    start, end = ufm.spectral_start(problem), ufm.solve(problem).params
    U, V = start.W @ start.H, end.W @ end.H
    assert np.vdot(U, V) == pytest.approx(np.linalg.norm(U) * np.linalg.norm(V), rel=1e-12)


def test_the_spectral_start_on_spheres_is_the_simplex_where_classes_are_alike() -> None:
    """Equal classes, d > K: the start is at the minimum but for the floor, and the slack matrix ends the search."""
    problem = ufm.Problem(5, 3, 7, model=ufm.normalized(8.0))
    start, solution = ufm.spectral_start(problem), ufm.solve(problem)
    np.testing.assert_allclose(np.linalg.norm(start.W, axis=1), 1.0, atol=1e-15)
    np.testing.assert_allclose(start.W @ start.W.T, 1.25 * np.eye(5) - 0.25, atol=0.02)
    certificate = ufm.certify(problem, solution.params)
    assert certificate.verdict is ufm.Verdict.GLOBAL_MINIMUM
    assert solution.evaluations < 30
    assert solution.value == pytest.approx(ufm.solve(problem, key=4, reduce=False).value, rel=1e-12)


def test_no_spectral_start_where_features_are_constrained() -> None:
    with pytest.raises(ValueError, match="spectral_start: W and H need weight decay"):
        ufm.spectral_start(THINNED["features >= 0"])


def test_nothing_to_follow_from_the_origin() -> None:
    problem = ufm.Problem(2, 1, 2, 1e-2, 1e-2, loss=ufm.MSE(), targets=np.zeros((2, 3)))
    assert not np.any(ufm.spectral_start(problem).W)
    assert ufm.solve(problem).value == 0.0


def test_value_against_the_oracle() -> None:
    problem = ufm.Problem(3, (5, 3, 1), 4, 2e-3, 9e-3, 0.0)
    solution = ufm.solve(problem)
    dense = Dense("ce", (5, 3, 1), 2e-3, 9e-3, 0.0)
    assert solution.value == pytest.approx(dense.value(*solution.params), rel=1e-14)
    assert np.max(np.abs(dense.gradient(*solution.params))) <= 1.01e-12
