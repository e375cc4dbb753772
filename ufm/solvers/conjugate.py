"""Truncated conjugate gradients: the Newton equation in a trust region."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ufm import tree
from ufm.problem import Params


class Limits(NamedTuple):
    """Where conjugate gradients end."""

    radius: Any  # of the region, in the metric
    relative: Any  # residual over gradient, in the dual of the metric
    zero_mode: Any  # curvature in the metric up to which a direction is flat


class CG(NamedTuple):
    """The step so far, and what the next one needs."""

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


def truncated_cg(hessian: Any, grad: Params, metric: Params, limits: Limits, max_products: Any) -> CG:
    """Approximate minimiser of <g, s> + <s, Hess s>/2 over <s, metric s> <= radius^2; traceable.

    Args:
        hessian: a vector to its product with Hess. grad: g.
    """
    inverse = jax.tree.map(lambda m: 1.0 / m, metric)
    steepest = tree.scale(tree.multiply(inverse, grad), -1.0)
    rho = -tree.dot(grad, steepest)
    target = rho * limits.relative**2

    def body(cg: CG) -> CG:
        image = hessian(cg.direction)
        curvature = tree.dot(cg.direction, image)
        alpha = cg.rho / curvature
        inside = cg.step2 + 2 * alpha * cg.inner + alpha**2 * cg.direction2 < limits.radius**2
        flat = (jnp.abs(curvature) <= limits.zero_mode * cg.direction2) & (cg.products > 0)
        interior = (curvature > 0) & inside
        gap2 = jnp.maximum(limits.radius**2 - cg.step2, 0.0)
        to_boundary = gap2 / (cg.inner + jnp.sqrt(cg.inner**2 + cg.direction2 * gap2))
        length = jnp.where(flat, 0.0, jnp.where(interior, alpha, to_boundary))
        residual = tree.add(cg.residual, image, length)
        scaled = tree.multiply(inverse, residual)
        rho_new = tree.dot(residual, scaled)
        turn = rho_new / cg.rho
        # Residual and direction are orthogonal after an interior step: lengths follow by recurrence.
        return CG(
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
    start = CG(
        step=zero,
        residual=grad,
        direction=steepest,
        rho=rho,
        step2=nothing,
        inner=nothing,
        direction2=rho,
        decrease=nothing,
        products=jnp.zeros((), jnp.int32),
        done=limits.relative >= 10.0,  # the gradient is rounding
        bounded=jnp.zeros((), bool),
    )
    return jax.lax.while_loop(lambda cg: ~cg.done & (cg.products < max_products), body, start)
