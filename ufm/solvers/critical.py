"""Critical points of any index, by Levenberg and Marquardt's method on |grad f|^2: zero at saddles as at minima."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from ufm.problem import Params, Problem
from ufm.solvers.polish import LARGEST
from ufm.validation import check_problem

FOUND = 1e-9  # gradient at which a search has found a critical point; it is to be polished after that
STEPS = 500


def check_whole_hessian(problem: Problem, who: str) -> None:
    """Raise unless f is smooth on a vector space that is small enough for whole Hessians."""
    check_problem(problem, who)
    if not problem.flat or not problem.model.smooth:
        raise ValueError(
            f"{who}: W and H must range over all matrices, with decay, and f must be smooth. Use best_found."
        )
    if problem.dimension() > LARGEST:
        raise ValueError(f"{who}: {problem.dimension()} variables, but whole Hessians are for at most {LARGEST}.")


@jax.jit
def search(problem: Problem, starts: Params, descents: jax.Array) -> Params:
    """The end of a Levenberg-Marquardt run on the gradient, after some steps of descent from each start."""

    def one(start: Params, descent: jax.Array) -> Params:
        x, unravel = ravel_pytree(start)
        value_and_slope = jax.value_and_grad(lambda x: problem.objective(unravel(x)))
        slope = jax.grad(lambda x: problem.objective(unravel(x)))
        bend = jax.jacfwd(slope)

        def fall(state: Any) -> Any:
            x, value, g, length, count = state
            value_there, g_there = value_and_slope(x - length * g)
            lower = value_there < value
            kept = [jnp.where(lower, a, b) for a, b in ((x - length * g, x), (value_there, value), (g_there, g))]
            return (*kept, jnp.where(lower, 1.2 * length, length / 2), count + 1)

        fallen = (x, *value_and_slope(x), jnp.ones((), x.dtype), 0)
        x = jax.lax.while_loop(lambda state: state[4] < descent, fall, fallen)[0]

        def step(state: Any) -> Any:
            x, g, damping, count = state
            H = bend(x)
            # Damping in proportion to |g|^2 keeps the convergence quadratic at the singular Hessians of orbits.
            shift = damping * (g @ g) + jnp.finfo(x.dtype).eps * jnp.sum(H * H) / x.size
            there = x - jnp.linalg.solve(H @ H + shift * jnp.eye(x.size, dtype=x.dtype), H @ g)
            g_there = slope(there)
            better = g_there @ g_there < g @ g
            damping = jnp.where(better, jnp.maximum(damping / 4, 1e-6), 4 * damping)
            return jnp.where(better, there, x), jnp.where(better, g_there, g), damping, count + 1

        def running(state: Any) -> Any:
            _, g, damping, count = state
            return (jnp.max(jnp.abs(g)) > 1e-3 * FOUND) & (count < STEPS) & (damping < 1e15)

        return unravel(jax.lax.while_loop(running, step, (x, slope(x), jnp.ones((), x.dtype), 0))[0])

    return jax.vmap(one)(starts, descents)
