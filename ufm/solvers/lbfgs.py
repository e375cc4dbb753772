"""Limited-memory BFGS with a line search that is exact enough to reach rounding level."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from ufm import tree
from ufm.checks import whole
from ufm.problem import Params, Problem
from ufm.solvers.protocol import Iterate, evaluate


class LBFGSState(NamedTuple):
    """A point, and the last pairs of moves and changes of the gradient."""

    iterate: Iterate
    steps: jax.Array
    evaluations: jax.Array
    stalled: jax.Array
    moves: jax.Array  # [memory, P] differences of points, a ring
    changes: jax.Array  # [memory, P] differences of gradients
    rho: jax.Array  # [memory] 1 / <move, change>; 0 marks an empty row
    scale: jax.Array  # of the initial inverse Hessian
    newest: jax.Array  # row of the ring
    best: jax.Array
    idle: jax.Array


@tree.register
@dataclass(frozen=True, eq=False)
class LBFGS:
    """L-BFGS whose initial inverse Hessian is the inverse of the problem's metric, scaled.

    The line search bisects to a step that satisfies the weak Wolfe conditions or, once the decrease of f is lost
    in rounding, the approximate Wolfe conditions, which read the gradient only.

    Args:
        memory: pairs kept.
        max_steps: default bound on steps of one solve.
    Source:
        Nocedal (Math. Comp. 1980); Hager and Zhang (SIAM J. Optim. 2005) for the approximate Wolfe conditions;
        Lewis and Overton (Math. Program. 2013) for the bisection.
    """

    memory: int = field(default=20, metadata={"static": True})
    max_steps: Any = 20_000
    escapes: bool = field(default=False, metadata={"static": True})

    def check(self, problem: Problem) -> None:
        """Raise unless every number can work, and the pairs that are remembered live in one vector space."""
        whole(self.memory, "memory", "solve: LBFGS", 1, "no pair to remember")
        if not problem.flat:
            raise ValueError(
                "solve: LBFGS needs W and H to range over all matrices, with weight decay on both. "
                "Use ufm.TrustRegion(), or ufm.FirstOrder(...)."
            )

    def init(self, problem: Problem, params: Params) -> LBFGSState:
        iterate = evaluate(problem, params)
        flat, _ = ravel_pytree(params)
        empty = jnp.zeros((self.memory, flat.size), flat.dtype)
        zero = jnp.zeros((), jnp.int32)
        one = jnp.ones((), flat.dtype)
        return LBFGSState(
            iterate=iterate,
            steps=zero,
            evaluations=zero + 1,
            stalled=jnp.zeros((), bool),
            moves=empty,
            changes=empty,
            rho=jnp.zeros(self.memory, flat.dtype),
            scale=one,
            newest=zero,
            best=iterate.grad_norm,
            idle=zero,
        )

    def step(self, problem: Problem, state: LBFGSState) -> LBFGSState:
        here = state.iterate
        grad, unravel = ravel_pytree(here.grad)
        inverse = ravel_pytree(jax.tree.map(lambda m, g: jnp.full_like(g, 1.0 / m), problem.metric(), here.grad))[0]
        direction = -_two_loops(state, grad, inverse)
        slope = grad @ direction
        # A direction that is not downhill (rounding, or a useless memory) is replaced by the steepest one.
        usable = jnp.isfinite(slope) & (slope < 0)
        direction = jnp.where(usable, direction, -inverse * grad)
        slope = jnp.where(usable, slope, -(grad @ (inverse * grad)))
        first = jnp.where(state.steps == 0, jnp.minimum(1.0, jnp.sqrt(jnp.abs(here.value) / -slope)), 1.0)
        there, trials, found = _line_search(problem, here, unravel(direction), slope, first)

        eps = jnp.finfo(here.value.dtype).eps
        iterate = tree.where(found, there, here)
        move = ravel_pytree(iterate.params)[0] - ravel_pytree(here.params)[0]
        change = ravel_pytree(iterate.grad)[0] - grad
        product, curvature = move @ change, change @ (inverse * change)
        keep = found & (product > eps * curvature)
        row = jnp.where(keep, (state.newest + 1) % self.memory, state.newest)
        # Rows are written in place; a failed search forgets them all, to restart from the steepest direction.
        rho = (
            jnp.where(found, state.rho, 0.0)
            .at[row]
            .set(jnp.where(keep, 1.0 / product, jnp.where(found, state.rho[row], 0.0)))
        )
        shrunk = (iterate.grad_norm < 0.9 * state.best) | (here.value - iterate.value > 10 * eps * jnp.abs(here.value))
        idle = jnp.where(shrunk, 0, state.idle + 1)
        return LBFGSState(
            iterate=iterate,
            steps=state.steps + 1,
            evaluations=state.evaluations + trials,
            stalled=idle >= 50,
            moves=state.moves.at[row].set(jnp.where(keep, move, state.moves[row])),
            changes=state.changes.at[row].set(jnp.where(keep, change, state.changes[row])),
            rho=rho,
            scale=jnp.where(keep, product / curvature, jnp.where(found, state.scale, 1.0)),
            newest=row,
            best=jnp.minimum(state.best, iterate.grad_norm),
            idle=idle,
        )


def _two_loops(state: LBFGSState, grad: jax.Array, inverse: jax.Array) -> jax.Array:
    """The L-BFGS inverse Hessian times `grad`; empty rows of the ring have rho = 0 and drop out."""
    memory = state.rho.size
    newest_first = (state.newest - jnp.arange(memory)) % memory

    def backward(q: jax.Array, row: Any) -> tuple[jax.Array, jax.Array]:
        alpha = state.rho[row] * (state.moves[row] @ q)
        return q - alpha * state.changes[row], alpha

    q, alphas = jax.lax.scan(backward, grad, newest_first)

    def forward(p: jax.Array, item: Any) -> tuple[jax.Array, None]:
        row, alpha = item
        return p + state.moves[row] * (alpha - state.rho[row] * (state.changes[row] @ p)), None

    return jax.lax.scan(forward, state.scale * inverse * q, (newest_first[::-1], alphas[::-1]))[0]


def _line_search(
    problem: Problem, here: Iterate, direction: Params, slope: Any, first: Any
) -> tuple[Iterate, Any, Any]:
    """A point along `direction` that satisfies weak or approximate Wolfe conditions, the trials, and whether found."""
    sufficient, curved = 1e-4, 0.9
    noise = 10 * jnp.finfo(here.value.dtype).eps * jnp.maximum(1.0, jnp.abs(here.value))

    def body(carry: Any) -> Any:
        low, high, length, _, trials, _ = carry
        there = evaluate(problem, tree.add(here.params, direction, length))
        new_slope = tree.dot(there.grad, direction)
        decreased = there.value <= here.value + sufficient * length * slope
        approximate = (there.value <= here.value + noise) & (new_slope <= (2 * sufficient - 1) * slope)
        short_enough = (decreased | approximate) & jnp.isfinite(there.grad_norm)
        long_enough = new_slope >= curved * slope
        low, high = jnp.where(short_enough, length, low), jnp.where(short_enough, high, length)
        length = jnp.where(jnp.isfinite(high), (low + high) / 2, 2 * length)
        return low, high, length, there, trials + 1, short_enough & long_enough

    zero = jnp.zeros_like(here.value)
    start = (zero, zero + jnp.inf, zero + first, here, jnp.zeros((), jnp.int32), jnp.zeros((), bool))
    _, _, _, there, trials, found = jax.lax.while_loop(lambda c: ~c[5] & (c[4] < 60), body, start)
    return there, trials, found
