"""Points of ReLU models on kinks of f, where the gradient is no test: descents from nearby points say what they are."""

from typing import NamedTuple

import jax
import numpy as np

from ufm.certify.point import Point
from ufm.models import DeepReLU
from ufm.problem import Params, Problem
from ufm.solve import solve
from ufm.solvers.lbfgs import LBFGS

NEAR = 1e-6  # of the largest pre-activation of a layer: nearer to zero is on the kink
NOISE = 1e-3  # of the root mean square of each block: how far the descents start
STARTS = 3
STEPS = 4000
# What a descent across kinks leaves over: L-BFGS stalls some 1e-8 to 1e-5 above the minimum that it zigzags towards.
ABOVE, BELOW = 1e-4, 1e-7


class Returned(NamedTuple):
    """Values at the ends of descents from around a point, and the pre-activations that are zero there."""

    values: np.ndarray
    kinks: int

    def stays(self, value: float) -> bool:
        """No descent ended clearly below `value`, and all came back to it."""
        allowed = 1.0 + abs(value)
        highest, lowest = float(np.max(self.values)), float(np.min(self.values))
        return lowest >= value - BELOW * allowed and highest <= value + ABOVE * allowed


def kinks(problem: Problem, params: Params) -> int:
    """Number of pre-activations at zero (dead neurons that nothing enters or leaves are not counted)."""
    if not isinstance(problem.model, DeepReLU):
        return 0
    total, x = 0, params.H
    for layer, W in enumerate(params.W[:-1]):
        before = W @ x
        used = np.any(np.abs(params.W[layer + 1]) > 0.0, axis=0) | np.any(np.abs(W) > 0.0, axis=1)
        total += int(np.sum(np.abs(before[used]) <= NEAR * np.max(np.abs(before))))
        x = np.maximum(before, 0.0)
    return total


def returned(problem: Problem, point: Point) -> Returned | None:
    """Descents from STARTS perturbed points; None for a model without kinks."""
    if not isinstance(problem.model, DeepReLU) or not problem.model.widths:
        return None
    values = []
    for seed in range(STARTS):
        rng = np.random.default_rng(seed)

        def moved(x: np.ndarray, rng: np.random.Generator = rng) -> np.ndarray:
            size = float(np.sqrt(np.mean(x**2))) or 1.0
            return x + NOISE * size * rng.standard_normal(x.shape)

        start = jax.tree.map(moved, point.params)
        values.append(solve(problem, start=start, solver=LBFGS(), max_steps=STEPS).value)
    return Returned(np.array(values), kinks(problem, point.params))
