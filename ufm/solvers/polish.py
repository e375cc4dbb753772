"""Newton's method with the whole Hessian: the last digits where curvature is too small for conjugate gradients."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ufm.certify.point import as_float64, examine, hessian_product, packing
from ufm.precision import exact, to_host
from ufm.problem import Params, Problem

LARGEST = 600  # variables up to which the whole Hessian is formed
STEPS = 5


def polish(problem: Problem, params: Params) -> Params | None:
    """A point near `params` with a smaller gradient, or None if there is none, or the problem is too large.

    Eigenvalues of size up to a few |gradient| are left alone: symmetries have them (Hess t = O(|gradient|) for the
    tangent t of an orbit), and a step along them is noise.
    """
    if problem.dimension() > LARGEST:
        return None
    pack, unpack = packing(params)
    best: Params | None = None
    here = examine(problem, as_float64(params))
    for _ in range(STEPS):
        grad = pack(here.grad)
        with exact():
            typed = problem.astype(np.float64)
            bend = np.asarray(hessian(typed, as_float64(here.params)))
        values, vectors = np.linalg.eigh((bend + bend.T) / 2)
        floor = max(1e-14 * float(np.max(np.abs(values))), 4.0 * float(np.linalg.norm(grad)))
        stiff = np.abs(values) > floor
        step = -vectors[:, stiff] @ ((vectors[:, stiff].T @ grad) / values[stiff])
        with exact():
            moved = to_host(_retract(typed, as_float64(here.params), unpack(step)))
        there = examine(problem, moved)
        if not there.grad_norm < here.grad_norm:
            break
        here, best = there, there.params
    return best


@jax.jit
def hessian(problem: Problem, params: Params) -> jax.Array:
    """Riemannian Hessian over all of space, [P, P]; zero in the normal directions."""
    flat, unravel = ravel_pytree(params)

    def row(x: jax.Array) -> Any:
        return ravel_pytree(hessian_product(problem, params, unravel(x)))[0]

    return jax.vmap(row)(jnp.eye(flat.size, dtype=flat.dtype))


@jax.jit
def _retract(problem: Problem, params: Params, step: Params) -> Params:
    return problem.retract(params, step)
