"""Many problems at once are the problems one by one."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

import ufm
from ufm import batch
from ufm.exchangeable import Exchanged
from ufm.reduction import RowSpace, Thin

LAMS = np.array([1e-3, 3e-3, 2e-2, 0.2])


def singles(make: Any, count: int, **options: Any) -> list[ufm.Solution]:
    return [ufm.solve(make(i), **options) for i in range(count)]


@pytest.mark.parametrize(
    ("n", "lam_b"), [(4, None), ((5, 5, 2, 1), np.array([0.0, 1e-2, 0.0, 3.0]))], ids=["balanced", "biases"]
)
def test_exchangeable_problems(n: Any, lam_b: Any) -> None:
    loss = ufm.CrossEntropy(np.array([0.0, 0.1, 0.2, 0.0]))
    together = ufm.solve_batch(ufm.Problem(4, n, 6, LAMS, 1e-2, lam_b, loss))
    for i, solution in enumerate(together):
        b = None if lam_b is None else float(lam_b[i])
        own = ufm.Problem(4, n, 6, float(LAMS[i]), 1e-2, b, ufm.CrossEntropy(float(loss.smoothing[i])))
        alone = ufm.solve(own)
        assert isinstance(solution.reduction, Exchanged)
        assert solution.value == pytest.approx(alone.value, abs=1e-14)
        assert solution.lower_bound == pytest.approx(alone.lower_bound, abs=1e-13)
        np.testing.assert_allclose(solution.params.W @ solution.params.H, alone.params.W @ alone.params.H, atol=1e-9)
        assert solution.value - solution.lower_bound <= 1e-13 * (1 + solution.value)


def test_what_cannot_be_reduced_to_classes_is_merged() -> None:
    tau = np.array([0.5, 2.0, 6.0])
    together = ufm.solve_batch(ufm.Problem(3, 4, 2, model=ufm.normalized(tau)), keys=[5, 6, 7])
    for i, solution in enumerate(together):
        alone = ufm.solve(ufm.Problem(3, 4, 2, model=ufm.normalized(float(tau[i]))), key=5 + i)
        assert isinstance(solution.reduction, Thin)
        assert solution.status is ufm.Status.CONVERGED
        assert solution.value == pytest.approx(alone.value, abs=1e-12)


def test_free_features_from_seeds() -> None:
    problem = ufm.Problem(3, (3, 2, 1), 4, 1e-2, 1e-2, 0.0)
    for key, solution in enumerate(ufm.solve_batch(problem, range(3), reduce=False)):
        alone = ufm.solve(problem, key, reduce=False)
        assert isinstance(solution.reduction, RowSpace)
        assert isinstance(alone.reduction, RowSpace)
        assert (solution.steps, solution.gtol) == (alone.steps, alone.gtol)
        assert solution.grad_norm <= solution.gtol
        np.testing.assert_allclose(solution.params.W, alone.params.W, atol=1e-9)


def test_the_number_of_problems_changes_no_bit() -> None:
    lams = np.geomspace(1e-4, 1e-1, 70)  # more than one chunk
    every = ufm.solve_batch(ufm.Problem(3, 2, 3, lams, 1e-2))
    few = ufm.solve_batch(ufm.Problem(3, 2, 3, lams[65:68], 1e-2))
    assert [solution.value for solution in few] == [solution.value for solution in every[65:68]]
    np.testing.assert_array_equal(few[0].point.W, every[65].point.W)


def test_a_problem_that_needs_more_is_solved_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "proven", lambda *_: None)
    (solution,) = ufm.solve_batch(ufm.Problem(3, 2, 3, 1e-2, 1e-2))
    assert solution.value == ufm.solve(ufm.Problem(3, 2, 3, 1e-2, 1e-2)).value
    assert solution.status is ufm.Status.CONVERGED


def test_a_hopeless_limit_is_a_status() -> None:
    solutions = ufm.solve_batch(ufm.Problem(3, 2, 3, LAMS, 1e-2), max_steps=1)
    assert {solution.status for solution in solutions} == {ufm.Status.MAX_STEPS}


@pytest.mark.parametrize(
    ("problem", "keys", "text"),
    [
        (ufm.Problem(3, 2, 3, LAMS, LAMS[:2]), 0, r"lengths \[2, 4\] disagree"),
        (ufm.Problem(3, 2, 3, LAMS, 1e-2), [1, 2], r"lengths \[2, 4\] disagree"),
        (ufm.Problem(3, 2, 3, 1e-2, 1e-2), [], r"lengths \[0\] disagree or are 0"),
        (ufm.Problem(3, 2, 3, np.array([1e-2, -1.0]), 1e-2), 0, "solve_batch: lam_W=-1.0 is not a finite positive"),
        (ufm.Problem(3, 2, 3, 1e-2, 1e-2), [1, -1], "solve_batch: key=-1 is not a seed"),
    ],
)
def test_refusals(problem: Any, keys: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ufm.solve_batch(problem, keys)


def test_not_a_problem() -> None:
    with pytest.raises(TypeError, match=r"solve_batch: expected a ufm\.Problem, got list"):
        ufm.solve_batch([ufm.Problem(3, 2, 3, 1e-2, 1e-2)])  # type: ignore[arg-type]


def test_reduce_is_a_bool() -> None:
    with pytest.raises(TypeError, match="solve_batch: reduce=1 is not a bool"):
        ufm.solve_batch(ufm.Problem(3, 2, 3, 1e-2, 1e-2), reduce=1)  # type: ignore[arg-type]


def test_what_has_ended_is_not_solved_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of steps, at rounding level, or on a kink where no Hessian helps: it is the answer that `solve` has."""
    Y = 100.0 * np.random.default_rng(0).standard_normal((2, 4))  # gradients that rounding keeps from 1e-15
    problem = ufm.Problem(2, 1, 2, 3e-3, 3e-3, loss=ufm.MSE(), model=ufm.DeepReLU((2,)), targets=Y)
    starts = [ufm.random_start(problem, key, 1.5) for key in (0, 1, 4)]
    ended = batch.shared_options(problem, ufm.TrustRegion(), 3e-16, 600, "float64", "test")
    both = (ended, ended._replace(max_steps=30))
    alone = [ufm.solve(problem, start=start, **options._asdict()) for options in both for start in starts]
    assert [x.status for x in alone] == [ufm.Status.STALLED] * 3 + [ufm.Status.MAX_STEPS] * 3
    assert alone[0].grad_norm > 1e-3

    monkeypatch.setattr(batch, "solve", lambda *_, **__: pytest.fail("solved again"))
    together = [solution for options in both for solution in batch.solve_from(problem, starts, options)]
    for one, other in zip(alone, together, strict=True):
        assert one.status is other.status
        # In two programs rounding differs, and so does the step at which it stalls.
        assert other.value == pytest.approx(one.value, rel=1e-13)
        assert other.grad_norm == pytest.approx(one.grad_norm, rel=1e-6, abs=1e-11)
        assert re.sub(r"gradient \S+", "", one.message) == re.sub(r"gradient \S+", "", other.message)


def test_several_sizes_are_solved_along_their_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of shuffled decays each minimum is a few products from its neighbour's, and every one is proven.

    The largest decays have the minimum 0, and behind them the path turns back to the smallest of the next lam_b.
    """
    lams, biases = (x.ravel() for x in np.meshgrid(np.geomspace(1e-4, 2.0, 40), [0.0, 1e-2, 10.0]))
    order = np.random.default_rng(0).permutation(lams.size)
    problem = ufm.Problem(6, (40, 40, 9, 2, 1, 1), 7, lams[order], 1e-2, biases[order])
    monkeypatch.setattr(batch, "solve", lambda *_, **__: pytest.fail("solved again"))
    along = ufm.solve_batch(problem)
    for i, solution in enumerate(along[:9]):
        alone = ufm.solve(ufm.Problem(6, problem.n, 7, float(lams[order[i]]), 1e-2, float(biases[order[i]])))
        assert isinstance(solution.reduction, Exchanged)
        assert solution.value == pytest.approx(alone.value, abs=1e-14)
        assert (solution.status, solution.grad_norm <= 1e-12) == (ufm.Status.CONVERGED, True)
    assert all(x.value - x.lower_bound <= 1e-13 * (1 + x.value) for x in along)
    assert any(np.all(x.params.W == 0.0) or np.abs(x.params.W).max() < 1e-6 for x in along)
    scattered = [ufm.solve_batch(problem_at(problem, i))[0].evaluations for i in range(0, 120, 10)]
    assert np.mean([solution.evaluations for solution in along]) < 0.7 * np.mean(scattered)


def problem_at(problem: ufm.Problem, i: int) -> ufm.Problem:
    """The i-th of a batch."""
    return dataclasses.replace(problem, lam_W=float(problem.lam_W[i]), lam_b=float(problem.lam_b[i]))
