"""Free features in the row space of W: the same critical points, reached from the same start."""

import numpy as np
import pytest

import ufm
from ufm.reduction import Full, RowSpace, row_space

WIDE = ufm.Problem(3, (4, 2, 1), 9, 4e-3, 1e-2, 0.02)


def test_the_first_step_sets_what_lies_outside_to_its_minimum() -> None:
    start = ufm.random_start(WIDE, 0)
    space = row_space(WIDE, start, "")
    assert space is not None
    np.testing.assert_allclose(space.Q.T @ space.Q, np.eye(3), atol=1e-15)
    lifted = space.lift(space.start(start))
    np.testing.assert_allclose(lifted.W, start.W, atol=1e-14)
    W, outside = np.asarray(start.W), np.asarray(start.H) - lifted.H
    assert np.abs(W @ outside).max() < 1e-14 * np.abs(start.H).max()
    before, after = ufm.certify(WIDE, start), ufm.certify(WIDE, lifted)
    assert before.value - after.value == pytest.approx(0.5 * 1e-2 * np.sum(outside**2), rel=1e-11)


@pytest.mark.parametrize("loss", [ufm.CrossEntropy(), ufm.Focal(1.0)], ids=lambda loss: type(loss).__name__)
def test_a_solve_there_is_a_solve_of_the_whole(loss) -> None:
    problem = ufm.Problem(3, (4, 2, 1), 9, 4e-3, 1e-2, 0.02, loss=loss)
    solution = ufm.solve(problem, key=1, reduce=False)
    assert isinstance(solution.reduction, RowSpace)
    assert "reduce=False" in solution.reduction.refused
    certificate = ufm.certify(problem, solution.params)
    assert solution.grad_norm <= solution.gtol == 1e-12
    assert certificate.grad_norm == pytest.approx(solution.grad_norm, abs=1e-15)
    assert certificate.value == pytest.approx(solution.value, rel=1e-15)
    assert certificate.verdict <= ufm.Verdict.LOCAL_MINIMUM
    assert solution.params.W.shape == (3, 9)
    assert solution.value == pytest.approx(ufm.solve(problem, key=1).value, abs=1e-12)


def test_a_recorded_path_begins_at_the_start_and_ends_at_the_solution() -> None:
    start = ufm.random_start(WIDE, 4)
    solution = ufm.solve(WIDE, start=start, record=[0, 2])
    path = solution.trajectory
    assert path is not None
    np.testing.assert_array_equal(path.steps, [0, 2, solution.steps])
    np.testing.assert_array_equal(path.params.H[0], start.H)
    for t in range(3):
        there = ufm.certify(WIDE, ufm.Params(path.params.W[t], path.params.H[t], path.params.b[t]))
        assert path.value[t] == pytest.approx(there.value, rel=1e-13)
        assert path.grad_norm[t] == pytest.approx(there.grad_norm, rel=1e-9, abs=1e-15)
    np.testing.assert_array_equal(path.params.H[-1], solution.params.H)


@pytest.mark.parametrize(
    ("problem", "options"),
    [
        (WIDE, {"start": ufm.Params(np.ones((3, 9)), np.ones((9, 7)), np.zeros(3))}),  # rows of W are dependent
        (WIDE, {"solver": ufm.LBFGS()}),
        (ufm.Problem(3, (4, 2, 1), 3, 4e-3, 1e-2, 0.02), {"reduce": False}),  # no fewer dimensions
        (ufm.Problem(3, 1, 9, model=ufm.normalized(4.0)), {"reduce": False}),
    ],
    ids=["dependent", "dynamics", "narrow", "spheres"],
)
def test_elsewhere_all_dimensions_are_kept(problem, options) -> None:
    assert isinstance(ufm.solve(problem, max_steps=3, **options).reduction, Full)
