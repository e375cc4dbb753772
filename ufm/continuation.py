"""Many problems of the same class sizes, each solved from the minimum of its neighbour: continuation in the decays.

Along a path of growing nu directions of the logits fade and vanish, and none has to be found. Down the path those that
vanished would have to return, but at zero no gradient leads them: there the spectral start takes over.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ufm.exchangeable import Exchangeable
from ufm.minimum import minimise_from
from ufm.problem import Problem

NEAR = 2.0  # factor between the numbers of problems that are neighbours


def path(problems: Sequence[Problem]) -> np.ndarray:
    """The order in which neighbours follow each other: by nu, where all other numbers agree."""
    leaves = [jax.tree.leaves((problem.nu, problem.lam_b, problem.loss)) for problem in problems]
    return np.lexsort(np.array([[float(x) for x in own if np.ndim(x) == 0] for own in leaves]).T)


def minimise_along(fixed: Exchangeable, numbers: Any, gtols: jax.Array, max_steps: Any, solver: Any) -> Any:
    """What `minimise` has for every problem, in order of a path; traceable.

    Args:
        fixed: a problem of these sizes. numbers: `Exchangeable.numbers` of each, stacked. gtols: [B].
    """

    def body(known: Any, item: Any) -> Any:
        (numbers, gtol), (before, last) = item, known
        problem = fixed.with_numbers(numbers)
        near = _near(last[0], numbers) & jnp.isfinite(jnp.sum(last[1].W))
        start = jax.lax.cond(near, lambda: _predicted(before, last, numbers[0]), problem.spectral_start)
        state, bound = minimise_from(problem, start, solver, gtol, max_steps)
        # A problem solved twice says nothing about the direction of the path.
        before = jax.tree.map(lambda a, b: jnp.where(numbers[0] == last[0][0], a, b), before, last)
        return (before, (numbers, state.iterate.params)), (state, bound)

    shapes = jax.eval_shape(fixed.with_numbers(jax.tree.map(lambda x: x[0], numbers)).spectral_start)
    nowhere = jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), shapes)
    nobody = jax.tree.map(lambda x: jnp.full(x.shape[1:], jnp.nan, x.dtype), numbers)
    return jax.lax.scan(body, ((nobody, nowhere), (nobody, nowhere)), (numbers, gtols))[1]


def _near(last: Any, own: Any) -> jax.Array:
    """Whether `own` comes after `last` on a path, within a factor of NEAR in every number."""
    same = [
        jnp.all((new == old) | ((new <= NEAR * old) & (old <= NEAR * new)))
        for old, new in zip(jax.tree.leaves(last), jax.tree.leaves(own), strict=True)
    ]
    return jnp.all(jnp.stack(same)) & (own[0] >= last[0])


def _predicted(before: Any, last: Any, nu: jax.Array) -> Any:
    """The minimum on the straight line through the last two in log nu, or the last one where there are not two."""
    ratio = jnp.log(nu / last[0][0]) / jnp.log(last[0][0] / before[0][0])
    # Two that are too near each other point anywhere; two that are not neighbours (or none) say nothing.
    ratio = jnp.where(_near(before[0], last[0]) & (ratio <= NEAR), ratio, 0.0)
    return jax.tree.map(lambda x, y: jnp.where(ratio > 0, y + ratio * (y - x), y), before[1], last[1])
