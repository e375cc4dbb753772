"""Zero as a trap: with decay it is a minimum of every deep model, and what starts near it ends there."""

import math

import jax
import numpy as np

from ufm.certify.point import examine, length, sample_gradient
from ufm.problem import Params, Problem


def trap_radius(problem: Problem) -> float:
    """r = sqrt(q) (g/|G_0|_2)^(1/(q-2)): gradient flow from |(W, H)| < r ends at zero.

    q = M + 1 is the number of factors, g the geometric mean of their decays, G_0 the gradient of the data loss in the
    logits at zero. <x, grad f> >= q g P^(2/q) - q |G_0| P, P the product of the factors' norms: the first term by
    AM-GM, the second because <G(Z), Z> >= <G_0, Z> where the loss is convex, and |Z|_* <= P. So |x| falls all the way.
    A line search can jump out, gradient descent with small steps cannot.

    Returns:
        r > 0; inf if G_0 = 0. NaN where no such radius is known: one matrix, a bias, or a loss not called convex.
    Source:
        F4 of the theory reference, derived for this project; there for the squared loss.
    """
    model = problem.model
    if not (model.deep and model.widths and problem.lam_b is None and problem.loss.convex):
        return math.nan
    lams = np.array([*map(float, problem.lam_Ws), float(problem.lam_H)])
    if not np.all(lams > 0.0):
        return math.nan
    q = len(lams)
    shapes = problem.shapes()
    zero = Params(tuple(np.zeros(shape) for shape in shapes.W), np.zeros(shapes.H), None)
    pull = float(np.linalg.norm(sample_gradient(problem, examine(problem, zero)), 2))
    return math.sqrt(q) * (math.exp(float(np.mean(np.log(lams)))) / pull) ** (1.0 / (q - 2)) if pull else math.inf


def trap_note(problem: Problem, start: Params) -> str:
    """What a solve from `start` has to be told: a clause if the start lies within `trap_radius` of zero, else ""."""
    if not problem.model.deep:
        return ""
    size, radius = length(jax.tree.map(np.asarray, start)), trap_radius(problem)
    if not size < radius:
        return ""
    told = f"the start, of norm {size:.3g}, lies in the trap of zero, of radius {radius:.3g}"
    return f" ({told}: start with a larger scale)"
