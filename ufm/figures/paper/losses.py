"""The four losses of the figures, each with the part of theory that knows its minimum and its Hessians."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from theory import Prediction, Spectrum, cross_entropy, focal, mse
from ufm.losses.cross_entropy import CrossEntropy, Focal
from ufm.losses.squared import MSE
from ufm.problem import Problem

GAMMA, SMOOTHING = 2.0, 0.1


class Known(NamedTuple):
    """A loss, a module of theory, and what its functions take besides sizes and decays."""

    loss: Any
    theory: Any
    more: Mapping[str, float] = MappingProxyType({})

    def minimum(self, problem: Problem) -> Prediction:
        """The global minimum."""
        return self.theory.global_minimum(**arguments(problem), **self.more)

    def at_minimum(self, problem: Problem) -> Spectrum:
        """The Hessian's eigenvalues at the global minimum."""
        return self.theory.minimum_spectrum(**arguments(problem), **self.more)

    def at_zero(self, problem: Problem) -> Spectrum:
        """The Hessian's eigenvalues at W = H = 0."""
        return self.theory.origin_spectrum(**arguments(problem), **self.more)


LOSSES = {
    "Cross-entropy": Known(CrossEntropy(), cross_entropy),
    "Squared error": Known(MSE(), mse),
    "Focal": Known(Focal(GAMMA), focal, {"gamma": GAMMA}),
    "Label smoothing": Known(CrossEntropy(SMOOTHING), cross_entropy, {"smoothing": SMOOTHING}),
}


def arguments(problem: Problem) -> dict[str, Any]:
    """Keywords of theory."""
    return {name: getattr(problem, name) for name in ("K", "n", "d", "lam_W", "lam_H", "lam_b")}
