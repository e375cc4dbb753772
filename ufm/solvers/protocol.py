"""What the driver asks of a solver, and the part of its state that is common to all."""

from typing import Any, NamedTuple, Protocol

import jax

from ufm import tree
from ufm.problem import Params, Problem


class Iterate(NamedTuple):
    """A point with what is known of it: f, its Riemannian gradient, and the infinity norm of that."""

    params: Params
    value: jax.Array
    grad: Params
    grad_norm: jax.Array


class State(Protocol):
    """What every solver's state carries; the rest is the solver's own."""

    @property
    def iterate(self) -> Iterate: ...
    @property
    def steps(self) -> jax.Array: ...
    @property
    def evaluations(self) -> jax.Array: ...
    @property
    def stalled(self) -> jax.Array: ...


class Solver(Protocol):
    """A method. Its numbers are leaves, so that sweeping them compiles once.

    max_steps: the default bound on steps. escapes: leaves strict saddles (a method that follows the
    dynamics of a given algorithm must not). check: raises before anything is compiled if a setting cannot work here.
    init, step: pure and jax-traceable.
    """

    @property
    def max_steps(self) -> int: ...
    @property
    def escapes(self) -> bool: ...
    def check(self, problem: Problem) -> None: ...
    def init(self, problem: Problem, params: Params) -> Any: ...
    def step(self, problem: Problem, state: Any) -> Any: ...


def evaluate(problem: Problem, params: Params) -> Iterate:
    """Value and gradient of the full objective at `params`, the gradient in the tangent space of the model."""
    value, ambient = problem.value_and_gradient(params)
    grad = problem.tangent(params, ambient, ambient)
    return Iterate(params, value, grad, tree.max_abs(grad))
