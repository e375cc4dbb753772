"""Trust-region Newton with truncated conjugate gradients."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ufm import tree
from ufm.checks import positive, whole
from ufm.problem import Params, Problem
from ufm.solvers.conjugate import Limits, truncated_cg
from ufm.solvers.protocol import Iterate, evaluate

LARGE = 10_000  # multiplications in the logits from which products in float32 are faster on a CPU


class NewtonState(NamedTuple):
    """A point, the region around it, and the step that was last tried there."""

    iterate: Iterate
    steps: jax.Array
    evaluations: jax.Array  # gradients and Hessian-vector products
    stalled: jax.Array
    radius: jax.Array  # in the problem's metric
    best: jax.Array  # smallest gradient norm so far
    idle: jax.Array  # steps at rounding level since the gradient last shrank
    reach: jax.Array  # ten times the norm, weighted by the decays, that no minimiser exceeds
    move: "Move"
    shorten: jax.Array  # the move went too far: try less of it before solving anew


class Move(NamedTuple):
    """A step s, with what the quadratic model <g, s> + <s, Hess s>/2 says along it."""

    step: Params
    length: jax.Array  # |s| in the metric
    slope: jax.Array  # <g, s> < 0
    curvature: jax.Array  # <s, Hess s>
    bounded: jax.Array  # ended on the boundary of the region

    def decrease(self) -> jax.Array:
        """Of the model, over the whole of s."""
        return -self.slope - 0.5 * self.curvature


@tree.register
@dataclass(frozen=True, eq=False)
class TrustRegion:
    """Steihaug-Toint truncated CG in the metric sqrt(lam_W), sqrt(lam_H), convergent of order 3/2.

    Negative curvature is followed to the boundary of the region, and a solve that ends at a strict saddle leaves it
    along a certified direction. Near the solution, where the decrease of f drowns in rounding, the ratio of actual
    to predicted decrease is regularised, so that the gradient reaches 1e-12 and below. From farther out than ten
    times the ball that contains every minimiser, the first step scales the point back to there: beyond, f is all kinks
    to a quadratic model. A small problem that stalls is finished by Newton's method with the whole Hessian.

    Args:
        radius: the first region's radius, relative to the distance sqrt(2 f) within which every minimiser lies.
        forcing: a step solves the Newton equation to the relative residual min(forcing, sqrt(|g| |x| / f)), the norms
            in the metric, the ratio free of units: order 3/2, where order 2 would take many products for digits that
            the next step finds anyway.
        max_products: Hessian-vector products in one step.
        single: where the logits take at least `LARGE` multiplications, Hessian-vector products are in float32: a step
            needs three digits of them, and takes half of the time. Values and gradients keep the precision of the
            solve, and a solve that stalls goes on with products in that precision (`finer`). Which of the rotations of
            a solution is found is rounded like the steps: in two programs, or on other devices, W and H may differ by
            1e-6 along the orbit, with the same logits.
        max_steps: default bound on steps of one solve.
    Source:
        Steihaug (SIAM J. Numer. Anal. 1983); Conn, Gould and Toint, Trust-Region Methods (2000), 17.4.2.
    """

    radius: Any = 0.5
    forcing: Any = 0.5
    max_products: Any = 1000
    max_steps: Any = 1000
    single: bool = field(default=True, metadata={"static": True})
    escapes: bool = field(default=True, metadata={"static": True})

    def finer(self, problem: Problem, here: Iterate) -> "TrustRegion | None":
        """What to go on with where this method stalls; None if it has nothing finer."""
        return dataclasses.replace(self, single=False) if self._rough(problem, here) else None

    def check(self, problem: Problem) -> None:
        """Raise unless every number can work."""
        positive(self.radius, "radius", "solve: TrustRegion")
        positive(self.forcing, "forcing", "solve: TrustRegion")
        for name in ("single", "escapes"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(
                    f"solve: TrustRegion: {name}={getattr(self, name)!r} is not a bool. Pass True or False."
                )
        whole(self.max_products, "max_products", "solve: TrustRegion", 1, "no product, no step")

    def init(self, problem: Problem, params: Params) -> NewtonState:
        iterate = evaluate(problem, params)
        at_zero = problem.objective(jax.tree.map(jnp.zeros_like, params))
        nothing = jnp.zeros_like(iterate.value)
        return NewtonState(
            iterate=iterate,
            steps=jnp.zeros((), jnp.int32),
            evaluations=jnp.ones((), jnp.int32),
            stalled=jnp.zeros((), bool),
            # lam_W |W|^2 + lam_H |H|^2 + lam_b |b|^2 <= 2 f at every point below this one (losses >= 0).
            radius=self.radius * jnp.sqrt(2 * jnp.abs(iterate.value)) + jnp.finfo(iterate.value.dtype).tiny,
            best=iterate.grad_norm,
            idle=jnp.zeros((), jnp.int32),
            # The bound needs losses >= 0, which only those called convex promise, and a decay on every block.
            reach=jnp.where(
                (at_zero > 0) & (problem.loss.convex and problem.coercive), 10 * jnp.sqrt(2 * jnp.abs(at_zero)), jnp.inf
            ),
            move=Move(iterate.grad, nothing, nothing, nothing, jnp.zeros((), bool)),
            shorten=jnp.zeros((), bool),
        )

    def step(self, problem: Problem, state: NewtonState) -> NewtonState:
        far = _decay_norm(problem, state.iterate.params) > state.reach
        return jax.lax.cond(far, self._pull_back, self._newton, problem, state)

    def _pull_back(self, problem: Problem, state: NewtonState) -> NewtonState:
        params = state.iterate.params
        iterate = evaluate(problem, tree.scale(params, 0.99 * state.reach / _decay_norm(problem, params)))
        return state._replace(
            iterate=iterate,
            steps=state.steps + 1,
            evaluations=state.evaluations + 1,
            radius=self.radius * jnp.sqrt(2 * jnp.abs(iterate.value)),
            best=iterate.grad_norm,
            shorten=jnp.zeros((), bool),
        )

    def _newton(self, problem: Problem, state: NewtonState) -> NewtonState:
        here, metric = state.iterate, problem.metric()
        size = jnp.sqrt(tree.dot(here.params, tree.multiply(metric, here.params)))
        move, products = jax.lax.cond(state.shorten, self._shortened, self._solved, problem, state, metric, size)
        there = evaluate(problem, problem.retract(here.params, move.step))

        eps = jnp.finfo(here.value.dtype).eps
        decrease = move.decrease()
        noise = 1e3 * eps * jnp.maximum(1.0, jnp.abs(here.value))
        ratio = (here.value - there.value + noise) / (decrease + noise)
        finite = jnp.isfinite(there.value) & jnp.isfinite(there.grad_norm)
        # Far below rounding the values carry no information; the gradient still does.
        tiny = decrease < 10 * eps * jnp.maximum(1.0, jnp.abs(here.value))
        accept = finite & jnp.where(tiny, there.grad_norm < here.grad_norm, ratio > 0.1)
        # Of a step that went too far, the part where the parabola through f, its slope and f there is least.
        best_part = -move.slope / (2 * (there.value - here.value - move.slope))
        part = jnp.where(finite & (best_part > 0.1), jnp.minimum(best_part, 0.5), 0.1)
        poor = ~finite | (ratio < 0.25)
        radius = jnp.where(
            ~accept,
            jnp.where(tiny, state.radius / 4, part * move.length),
            jnp.where(
                poor,
                jnp.minimum(state.radius / 4, move.length),
                jnp.where(move.bounded & (ratio > 0.75), 2 * state.radius, state.radius),
            ),
        )
        iterate = tree.where(accept, there, here)
        patience, enough = (2, 0.5) if self._rough(problem, here) else (5, 0.9)
        shrunk = iterate.grad_norm < enough * state.best
        idle = jnp.where(shrunk | ~tiny, 0, state.idle + 1)
        return NewtonState(
            iterate=iterate,
            steps=state.steps + 1,
            evaluations=state.evaluations + products + 1,
            # A radius that is no number comes of a step that is none.
            stalled=(idle >= patience) | (radius < eps * 1e-3 * (size + radius)) | jnp.isnan(radius),
            radius=radius,
            best=jnp.minimum(state.best, iterate.grad_norm),
            idle=idle,
            reach=state.reach,
            move=move,
            shorten=~accept & ~tiny & (move.slope < 0),
        )

    def _solved(self, problem: Problem, state: NewtonState, metric: Params, size: Any) -> tuple[Move, jax.Array]:
        """The step by conjugate gradients in the region, and the Hessian-vector products that it took."""
        here, rough = state.iterate, self._rough(problem, state.iterate)
        dtype = jnp.float32 if rough else here.value.dtype

        def typed(x: Any) -> Any:
            return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), x)

        coarse, point = typed(problem), typed(here.params)
        ambient, product = jax.linearize(coarse.gradient, point)

        def hessian(direction: Params) -> Params:
            bend = coarse.bend(point, ambient, direction)
            return coarse.tangent(point, ambient, jax.tree.map(jnp.subtract, product(direction), bend))

        eps = jnp.finfo(here.value.dtype).eps
        length = jnp.sqrt(tree.dot(here.grad, jax.tree.map(lambda g, m: (1.0 / m) * g, here.grad, metric)))
        # A step that did not help at rounding level was led by the rounding on the zero modes: ask for less.
        looser = 30.0 ** state.idle.astype(here.value.dtype)
        # The gradient contains metric * x, so it carries rounding of eps * size in this norm; asking for less magnifies
        # that rounding on the zero modes, and so does asking for more digits than products have.
        floor = max(eps ** (1 / 3), 3 * float(jnp.finfo(dtype).eps) ** 0.5)
        remaining = length * size / jnp.maximum(jnp.abs(here.value), jnp.finfo(here.value.dtype).tiny)
        relative = jnp.maximum(jnp.minimum(self.forcing, looser * jnp.maximum(remaining**0.5, floor)), floor)
        relative = jnp.maximum(relative, 10 * eps * size / length)
        # At a gradient g the symmetries of f have curvature up to |g|, of either sign: no way down, no Newton step.
        zero_mode = 10 * eps + jnp.minimum(1e-6, length)
        # The squares of a small gradient vanish in float32: solve for one of length 1.
        unit = length if rough else 1.0
        limits = typed(Limits(state.radius / unit, relative, zero_mode))
        cg = truncated_cg(hessian, typed(tree.scale(here.grad, 1 / unit)), typed(metric), limits, self.max_products)
        step = jax.tree.map(lambda x, v: unit * v.astype(x.dtype), here.params, cg.step)
        slope = tree.dot(here.grad, step)
        # decrease = -slope - curvature/2 is summed along the way, where nothing cancels.
        move = Move(step, unit * jnp.sqrt(cg.step2), slope, -2 * (unit**2 * cg.decrease + slope), cg.bounded)
        return move, cg.products

    def _rough(self, problem: Problem, here: Iterate) -> bool:
        """Whether products are in float32."""
        multiplications = math.prod(problem.logit_shape()) * len(here.params.H)
        return self.single and multiplications >= LARGE and here.value.dtype != jnp.float32

    def _shortened(self, problem: Problem, state: NewtonState, metric: Params, size: Any) -> tuple[Move, jax.Array]:
        """The last step cut at the radius: a gradient, where a new solution would take many products."""
        last = state.move
        part = state.radius / last.length
        move = Move(
            tree.scale(last.step, part), state.radius, part * last.slope, part**2 * last.curvature, jnp.zeros((), bool)
        )
        return move, jnp.zeros((), jnp.int32)


def _decay_norm(problem: Problem, params: Params) -> jax.Array:
    """sqrt(lam_W |W|^2 + lam_H |H|^2 + lam_b |b|^2), at most sqrt(2 f(0)) at every minimiser."""
    return jnp.sqrt(2 * jnp.abs(problem.decay(params)))
