"""The best of several starts, where nothing is proved."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

import ufm
from ufm import Verdict
from ufm.certify.point import examine


class TestBestFound:
    instance = ufm.Problem(5, 1, 2, 0.05, 0.05, 0.1)

    def test_it_is_not_called_a_global_minimum(self):
        """T6: a pentagon and a spurious local minimum at d < K - 1."""
        found = ufm.best_found(self.instance, starts=6, key=4)
        assert found.solution.value == pytest.approx(0.938473085202, abs=1e-12)
        np.testing.assert_allclose(found.values, [0.938473085202, 0.969106050566], atol=1e-12)
        assert found.converged == np.sum(found.counts) == found.starts == 6
        np.testing.assert_array_equal(found.counts, [3, 3])
        assert found.certificate.verdict is Verdict.LOCAL_MINIMUM
        assert [examine(self.instance, point).value for point in found.points] == found.values.tolist()
        text = str(found)
        assert text.splitlines()[1:] == ["    0.938473085202   50.0%", "    0.969106050566   50.0%"]
        assert text.startswith("best found: f = 0.938473085202, LOCAL_MINIMUM; 6 of 6 starts converged, at 2 ")
        assert "optimal" not in text
        assert "global" not in text

    def test_one_seed_gives_one_result(self):
        a, b = (ufm.best_found(self.instance, starts=2, key=5) for _ in range(2))
        assert a.solution.value == b.solution.value
        np.testing.assert_array_equal(a.solution.params.W, b.solution.params.W)

    def test_every_start_is_a_solve_of_its_own(self):
        """The batch against one by one, and scales taken in turn."""
        problem = ufm.Problem(2, 1, 2, 3e-3, 3e-3, loss=ufm.MSE(), model=ufm.DeepReLU((2, 2)))
        solver, seeds = ufm.annealed(steps=1500), np.random.default_rng(4).integers(2**62, size=3)
        found = ufm.best_found(problem, 3, key=4, scales=(1.5, 2.0), solver=solver)
        starts = [ufm.random_start(problem, int(s), scale) for s, scale in zip(seeds, (1.5, 2.0, 1.5), strict=True)]
        alone = [ufm.solve(problem, start=start, solver=solver) for start in starts]
        np.testing.assert_allclose(found.values, sorted(solution.value for solution in alone), atol=1e-9)
        assert found.solution.value == found.values[0]
        assert found.converged == 3
        assert found.solution.status is ufm.Status.STALLED

    @pytest.mark.parametrize(
        ("given", "error", "text"),
        [
            ({"solver": ufm.LBFGS}, TypeError, "is not a solver. Pass ufm.TrustRegion(), ufm.LBFGS() or"),
            ({"max_steps": 0}, ValueError, "best_found: max_steps=0 (that allows no step). Pass an int >= 1."),
            ({"dtype": "int8"}, ValueError, "best_found: dtype='int8' is not supported."),
            ({"starts": 0}, ValueError, "best_found: starts=0 (there is nothing to choose from). Pass an int >= 1."),
            ({"starts": 2.5}, TypeError, "best_found: starts=2.5 is not an integer. Pass an int >= 1."),
            ({"start": None}, TypeError, "best_found() got an unexpected keyword argument 'start'"),
            ({"key": "a"}, TypeError, "best_found: key='a' is neither an int seed nor a jax PRNG key."),
        ],
    )
    def test_errors(self, given, error, text):
        with pytest.raises(error, match=re.escape(text)):
            ufm.best_found(self.instance, **given)

    def test_no_finite_value_is_an_error(self):
        instance = ufm.Problem(3, 1, 2, 0.1, 0.1, loss=lambda Z, Y: jnp.sum(Z * jnp.nan, axis=0))
        with pytest.raises(ValueError, match="best_found: none of 2 starts ended at a finite value"):
            ufm.best_found(instance, starts=2)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: ufm.annealed(0.0), "annealed: rate=0.0 is not a finite positive number. Pass a float > 0."),
        (lambda: ufm.annealed(steps=0), "annealed: steps=0 (nothing would move). Pass an int >= 1."),
    ],
)
def test_bad_annealing(call, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        call()
