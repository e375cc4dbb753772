"""Any optax gradient transformation, as the faithful dynamics of that algorithm on free features.

Its import takes as long as the rest of this package, and no other solver needs it: it comes with the first use.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ufm import tree
from ufm.checks import as_real, positive, whole
from ufm.problem import Params, Problem
from ufm.solvers.protocol import Iterate, evaluate

if TYPE_CHECKING:
    import optax


class FirstOrderState(NamedTuple):
    """A point, and what the transformation remembers."""

    iterate: Iterate
    steps: jax.Array
    evaluations: jax.Array
    stalled: jax.Array
    memory: Any  # of the transformation
    idle: jax.Array  # consecutive steps that changed nothing


@tree.register
@dataclass(frozen=True, eq=False)
class FirstOrder:
    """x_{t+1} = x_t + rate * transformation(gradient of f at x_t), the full gradient of the full objective.

    Where a block lives on a manifold, the gradient is the Riemannian one and the sum is retracted.

    Args:
        transformation: an optax transformation, for instance optax.sgd(0.1, momentum=0.9). Static: every new
            transformation compiles once.
        rate: multiplies its update; a leaf, so FirstOrder(optax.sgd(1.0), rate=r) sweeps r with one compilation.
        max_steps: default bound on steps of one solve.
    """

    transformation: "optax.GradientTransformation" = field(metadata={"static": True})
    rate: Any = 1.0
    max_steps: Any = 100_000
    escapes: bool = field(default=False, metadata={"static": True})

    def check(self, problem: Problem) -> None:
        """Raise unless there is a transformation and a rate to follow."""
        import optax

        if not isinstance(self.transformation, optax.GradientTransformation):
            raise TypeError(
                f"solve: FirstOrder({self.transformation!r}) is not an optax transformation. "
                "Pass e.g. ufm.FirstOrder(optax.sgd(0.1))."
            )
        rate = as_real(self.rate)
        if rate is None or not np.isfinite(rate):
            text = f"solve: FirstOrder rate={self.rate!r} is not a finite real number. Pass e.g. rate=1.0."
            raise TypeError(text) if rate is None else ValueError(text)

    def init(self, problem: Problem, params: Params) -> FirstOrderState:
        return FirstOrderState(
            iterate=evaluate(problem, params),
            steps=jnp.zeros((), jnp.int32),
            evaluations=jnp.ones((), jnp.int32),
            stalled=jnp.zeros((), bool),
            memory=self.transformation.init(params),
            idle=jnp.zeros((), jnp.int32),
        )

    def step(self, problem: Problem, state: FirstOrderState) -> FirstOrderState:
        import optax

        here = state.iterate
        update, memory = optax.with_extra_args_support(self.transformation).update(
            here.grad, state.memory, here.params, value=here.value, grad=here.grad, value_fn=problem.objective
        )
        step = jax.tree.map(lambda x, u: jnp.asarray(self.rate * u, x.dtype), here.params, update)
        params = problem.retract(here.params, step)
        moved = tree.max_abs(jax.tree.map(jnp.subtract, params, here.params))
        idle = jnp.where(moved == 0, state.idle + 1, 0)
        return FirstOrderState(
            iterate=evaluate(problem, params),
            steps=state.steps + 1,
            evaluations=state.evaluations + 1,
            # Updates below the resolution of the parameters; some, since a schedule may begin with zeros.
            stalled=idle >= 1000,
            memory=memory,
            idle=idle,
        )


def annealed(rate: float = 0.02, steps: int = 6000) -> FirstOrder:
    """Adam with the rate r (1 + cos(pi t/steps))^3/8: large steps that look for a basin, and then ever smaller ones.

    For minima on kinks (`DeepReLU`), where no gradient vanishes and what is left over is in proportion to the last
    steps: the rate goes to zero like (steps - t)^6, and f is found to some 1e-10. A solve ends STALLED once nothing
    moves any more, a thousand steps later. Adam's steps have a size, so the scale of start and rate matter.

    Args:
        rate: the first steps, in every entry of W, H and b. steps: until the rate is zero.
    Source:
        Kingma and Ba (ICLR 2015) for Adam; Loshchilov and Hutter (ICLR 2017) for the cosine.
    """
    import optax

    rate, steps = positive(rate, "rate", "annealed"), whole(steps, "steps", "annealed", 1, "nothing would move")
    return FirstOrder(optax.adam(optax.cosine_decay_schedule(rate, steps, exponent=3.0)))
