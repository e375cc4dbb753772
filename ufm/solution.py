"""What a solve returns."""

from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np

from ufm.problem import Params
from ufm.reduction import Reduction
from ufm.status import Status


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What a solve recorded.

    Attributes:
        steps: [T] step numbers.
        value, grad_norm: [T] objective and infinity norm of its gradient.
        params: W [T, K, d], H [T, d, N], b [T, K] or None.
    """

    steps: np.ndarray
    value: np.ndarray
    grad_norm: np.ndarray
    params: Params


@dataclass(frozen=True, eq=False)
class Solution:
    """Where a solve ended; NumPy data only.

    Attributes:
        value: f at `params`. grad_norm: infinity norm of its gradient there; after a reduction, a bound on that.
        gtol: the tolerance that the status refers to.
        status, message: how it ended, and what to do if not CONVERGED.
        steps: of the solver. evaluations: gradients and Hessian-vector products.
        escapes: strict saddles that the solve reached and left.
        compile_seconds, seconds: tracing and compiling (NaN: not known apart, the seconds contain it); running.
        trajectory: the recorded points, or None.
        reduction: the exact reductions that were used, and why not those of the classes.
        lower_bound: a number <= f* that the solve proved on its way, else -inf; `certify` finds the best one known.
        point: where the solve ended, in the variables of the reduced problem.
    """

    value: float
    grad_norm: float
    gtol: float
    status: Status
    message: str
    steps: int
    evaluations: int
    escapes: int
    compile_seconds: float
    seconds: float
    trajectory: Trajectory | None
    reduction: Reduction
    lower_bound: float
    point: Params

    @cached_property
    def params(self) -> Params:
        """W [K, d], H [d, N] (columns by class), b [K] or None, of the full problem; made when first asked for."""
        dtype = self.point.H.dtype
        return jax.tree.map(lambda x: x.astype(dtype, copy=False), self.reduction.lift(self.point))


@dataclass(frozen=True)
class Progress:
    """What the driver reports while it runs."""

    steps: int
    value: float
    grad_norm: float
