"""Trust-region Newton with truncated conjugate gradients."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ufm import tree
from ufm.checks import positive, whole
from ufm.problem import Params, Problem
from ufm.solvers.protocol import Iterate, evaluate


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
        forcing: a step solves the Newton equation to the relative residual min(forcing, sqrt(|g|)), g in the dual
            metric: order 3/2, where order 2 would take many products for digits that the next step finds anyway.
        max_products: Hessian-vector products in one step.
        max_steps: default bound on steps of one solve.
    Source:
        Steihaug (SIAM J. Numer. Anal. 1983); Conn, Gould and Toint, Trust-Region Methods (2000), 17.4.2.
    """

    radius: Any = 0.5
    forcing: Any = 0.2
    max_products: Any = 1000
    max_steps: Any = 1000
    escapes: bool = field(default=True, metadata={"static": True})

    def check(self, problem: Problem) -> None:
        """Raise unless every number can work."""
        positive(self.radius, "radius", "solve: TrustRegion")
        positive(self.forcing, "forcing", "solve: TrustRegion")
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
        shrunk = iterate.grad_norm < 0.9 * state.best
        idle = jnp.where(shrunk | ~tiny, 0, state.idle + 1)
        return NewtonState(
            iterate=iterate,
            steps=state.steps + 1,
            evaluations=state.evaluations + products + 1,
            stalled=(idle >= 5) | (radius < eps * 1e-3 * (size + radius)),
            radius=radius,
            best=jnp.minimum(state.best, iterate.grad_norm),
            idle=idle,
            reach=state.reach,
            move=move,
            shorten=~accept & ~tiny & (move.slope < 0),
        )

    def _solved(self, problem: Problem, state: NewtonState, metric: Params, size: Any) -> tuple[Move, jax.Array]:
        """The step by conjugate gradients in the region, and the Hessian-vector products that it took."""
        here = state.iterate
        ambient, product = jax.linearize(problem.gradient, here.params)

        def hessian(direction: Params) -> Params:
            bend = problem.bend(here.params, ambient, direction)
            return problem.tangent(here.params, ambient, jax.tree.map(jnp.subtract, product(direction), bend))

        # A step that did not help at rounding level was led by the rounding on the zero modes: ask for less.
        looser = 30.0 ** state.idle.astype(here.value.dtype)
        cg = _truncated_cg(hessian, here.grad, metric, size, state.radius, self.forcing, looser, self.max_products)
        slope = tree.dot(here.grad, cg.step)
        # decrease = -slope - curvature/2 is summed along the way, where nothing cancels.
        move = Move(cg.step, jnp.sqrt(cg.step2), slope, -2 * (cg.decrease + slope), cg.bounded)
        return move, cg.products

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


class _CG(NamedTuple):
    step: Params
    residual: Params
    direction: Params
    rho: jax.Array  # <residual, metric^-1 residual>
    step2: jax.Array  # |step|^2 in the metric
    inner: jax.Array  # <step, metric direction>
    direction2: jax.Array  # |direction|^2 in the metric
    decrease: jax.Array  # of the quadratic model, >= 0
    products: jax.Array
    done: jax.Array
    bounded: jax.Array  # ended on the boundary of the region


def _truncated_cg(
    hessian: Any, grad: Params, metric: Params, size: Any, radius: Any, forcing: Any, looser: Any, max_products: Any
) -> _CG:
    """Approximate minimiser of <g, s> + <s, Hess s>/2 over <s, metric s> <= radius^2; size = |x| in the metric."""
    inverse = jax.tree.map(lambda m: 1.0 / m, metric)
    steepest = tree.scale(tree.multiply(inverse, grad), -1.0)
    rho = -tree.dot(grad, steepest)
    eps = jnp.finfo(rho.dtype).eps
    # The gradient contains metric * x, so it carries rounding of eps * size in this norm; asking for less magnifies
    # that rounding on the zero modes.
    floor = eps ** (1 / 3)
    relative = jnp.maximum(jnp.minimum(forcing, looser * jnp.maximum(rho**0.25, floor)), floor)
    target = jnp.maximum(rho * relative**2, (10 * eps * size) ** 2)
    # At a gradient g the symmetries of f have curvature up to |g|, of either sign: no way down, no Newton step.
    zero_mode = 10 * eps + jnp.minimum(1e-6, jnp.sqrt(rho))

    def body(cg: _CG) -> _CG:
        image = hessian(cg.direction)
        curvature = tree.dot(cg.direction, image)
        alpha = cg.rho / curvature
        inside = cg.step2 + 2 * alpha * cg.inner + alpha**2 * cg.direction2 < radius**2
        flat = (jnp.abs(curvature) <= zero_mode * cg.direction2) & (cg.products > 0)
        interior = (curvature > 0) & inside
        gap2 = jnp.maximum(radius**2 - cg.step2, 0.0)
        to_boundary = gap2 / (cg.inner + jnp.sqrt(cg.inner**2 + cg.direction2 * gap2))
        length = jnp.where(flat, 0.0, jnp.where(interior, alpha, to_boundary))
        residual = tree.add(cg.residual, image, length)
        scaled = tree.multiply(inverse, residual)
        rho_new = tree.dot(residual, scaled)
        turn = rho_new / cg.rho
        # Residual and direction are orthogonal after an interior step: lengths follow by recurrence.
        return _CG(
            step=tree.add(cg.step, cg.direction, length),
            residual=residual,
            direction=tree.add(tree.scale(scaled, -1.0), cg.direction, turn),
            rho=rho_new,
            step2=cg.step2 + 2 * length * cg.inner + length**2 * cg.direction2,
            inner=turn * (cg.inner + length * cg.direction2),
            direction2=rho_new + turn**2 * cg.direction2,
            # Along a conjugate direction the model falls by length * rho - length^2 * curvature / 2.
            decrease=cg.decrease + length * (cg.rho - 0.5 * length * curvature),
            products=cg.products + 1,
            done=flat | ~interior | (rho_new <= target),
            bounded=~flat & ~interior,
        )

    zero, nothing = jax.tree.map(jnp.zeros_like, grad), jnp.zeros_like(rho)
    start = _CG(
        step=zero,
        residual=grad,
        direction=steepest,
        rho=rho,
        step2=nothing,
        inner=nothing,
        direction2=rho,
        decrease=nothing,
        products=jnp.zeros((), jnp.int32),
        done=rho <= (eps * size) ** 2,
        bounded=jnp.zeros((), bool),
    )
    return jax.lax.while_loop(lambda cg: ~cg.done & (cg.products < max_products), body, start)
