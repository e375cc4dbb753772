"""Numbers that the reference texts state beside their theorems, measured through the solver and the certificate."""

import numpy as np
import optax
import pytest

import theory
import ufm


def test_the_margin_vanishes_linearly_at_the_threshold() -> None:
    """T7: a ~ K (1 - kappa) as kappa -> 1; 3.9996 at K = 4."""
    K, n, short = 4, 3, 1e-4
    lam = (1.0 - short) / (K * np.sqrt(n))
    params = ufm.solve(ufm.Problem(K, n, 6, lam, lam)).params
    Z = params.W @ params.H
    assert (Z[0, 0] - Z[1, 0]) / short == pytest.approx(3.9996, abs=2e-3)


@pytest.mark.parametrize("loss", ["cross-entropy", "squares"])
def test_gradient_descent_leaves_the_origin_at_the_rate_of_its_spectrum(loss: str) -> None:
    """T18: |x| grows by 1 - step * (smallest eigenvalue) a step, as long as it is small."""
    numbers = {"K": 4, "n": 5, "d": 6, "lam_W": 0.01, "lam_H": 0.02}
    module, own = (theory.cross_entropy, ufm.CrossEntropy()) if loss == "cross-entropy" else (theory.mse, ufm.MSE())
    smallest = float(module.origin_spectrum(**numbers).values[0])
    problem = ufm.Problem(**numbers, loss=own)
    run = ufm.solve(
        problem,
        start=ufm.random_start(problem, 0, 1e-9),
        solver=ufm.FirstOrder(optax.sgd(0.5)),
        max_steps=300,
        record=(250, 300),
    )
    assert run.trajectory is not None
    small, large = (np.linalg.norm(run.trajectory.params.W[i]) for i in (0, 1))
    assert np.log(large / small) / 50 == pytest.approx(np.log1p(-0.5 * smallest), rel=1e-3)


@pytest.mark.parametrize(
    "problem",
    [
        ufm.Problem(4, 3, 6, 5e-3, 5e-3, 0.01),
        ufm.Problem(4, 3, 6, 5e-3, 5e-3, 0.2, ufm.MSE()),
        ufm.Problem(4, (6, 3, 2, 1), 6, 5e-3, 5e-3, 0.01),
    ],
    ids=["cross-entropy", "squares", "unequal classes"],
)
@pytest.mark.parametrize("scale", [1e-5, 1e-4, 1e-3])
def test_the_aligned_gap_is_the_distance_to_the_minimum(problem: ufm.Problem, scale: float) -> None:
    """T15: near the minimum the gap is f - f* up to a tenth or two, and never less."""
    solution = ufm.solve(problem)
    near = ufm.certify(problem, ufm.perturb(problem, solution.params, 1, scale))
    above = near.value - solution.lower_bound
    assert 1.0 - 1e-12 / above <= near.gap / above <= 1.2
