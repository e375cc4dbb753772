"""A function of one's own as a loss."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import numpy as np

from ufm import tree


@tree.register
@dataclass(frozen=True, eq=False)
class UserLoss:
    """Any differentiable `function(Z, Y) -> [N]`; `Problem(loss=function)` wraps it with nothing asserted.

    What is asserted here is taken as a fact by the certificate: assert only what you can prove.

    Args:
        function: jax-traceable; Z and Y are [K, N], the result is one value per sample.
        convex: the loss is convex in each column of Z and never negative; the certificate then has a lower bound.
        shift_invariant: adding a constant to a sample's logits changes nothing.
        conjugate: NumPy function (G [K, C], Y [K, C]) -> [C], sup_z <g, z> - loss(z, y), +inf outside its domain; of a
            convex loss. With it the lower bound closes the gap; without, it is first-order (T14).
    """

    function: Callable[[Any, Any], Any] = field(metadata={"static": True})
    convex: bool = field(default=False, metadata={"static": True})
    shift_invariant: bool = field(default=False, metadata={"static": True})
    conjugate: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = field(default=None, metadata={"static": True})
    exchangeable: ClassVar[bool] = False
    rank_bound: ClassVar[None] = None
    margin_bound: ClassVar[None] = None

    def check(self, problem: Any, who: str) -> None:
        """Raise unless the function and the conjugate can be called."""
        if isinstance(self.function, type) or not callable(self.function):
            raise TypeError(
                f"{who}: UserLoss({self.function!r}) does not hold a callable. Pass a function (Z, Y) -> [N], or "
                "ufm.CrossEntropy() or ufm.MSE(), with the parentheses."
            )
        if self.conjugate is not None and not (callable(self.conjugate) and self.convex):
            raise TypeError(f"{who}: UserLoss needs a callable conjugate, with convex=True, or None.")

    def __call__(self, Z: jax.Array, Y: jax.Array) -> jax.Array:
        return self.function(Z, Y)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """G itself: the conjugate's domain is not known."""
        return G
