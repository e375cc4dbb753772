"""What a loss has, and what losses share.

A loss is a frozen dataclass registered as a pytree, with

    loss(Z, Y) -> [N]            per-sample values of logits Z [K, N] at targets Y [K, N] (jax)
    convex: bool                 convex in Z and >= 0, so that a lower bound exists
    shift_invariant: bool        loss(Z + c 1^T) = loss(Z) for every constant c per sample
    exchangeable: bool           all classes are treated alike; then loss and conjugate take `classes` as well, how many
                                 classes each row stands for (an array that broadcasts with Z, by default 1), and the
                                 conjugate is NumPy or jax
    conjugate: a method or None  conjugate(G, Y) -> [C], sup_z <g, z> - loss(z, y); +inf outside its domain (NumPy)
    rank_bound: method or None   rank_bound(Y, sizes, nu, lam_b, d): a lower bound on f that uses rank(W H) <= d (NumPy)
    repair(G, Y, sizes)          a point of the conjugate's domain near G that keeps 1^T G and, when it is 0, G sizes
    margin_bound: method or None margin_bound(m, K): phi of T12, a lower bound on the loss at the margin m (NumPy), with
                                 margin_slope(m, K), phi', which falls to one least value and then rises
    check(problem, who)          raises if the loss cannot work on this problem's targets and model

Z are the logits of ufm.models: [K, N], or [N, N] similarities for SupCon. In conjugate, repair and rank_bound, C is the
number of groups of samples with a common target.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ufm.checks import as_real, untraced


class Loss(Protocol):
    """What Problem, solvers and certificates ask of a loss."""

    @property
    def convex(self) -> bool: ...
    @property
    def shift_invariant(self) -> bool: ...
    @property
    def exchangeable(self) -> bool: ...
    @property
    def conjugate(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray] | None: ...
    @property
    def rank_bound(self) -> Callable[[np.ndarray, np.ndarray, float, float | None, int], float] | None: ...
    @property
    def margin_bound(self) -> Callable[[np.ndarray, int], np.ndarray] | None: ...
    def check(self, problem: Any, who: str) -> None: ...
    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray: ...
    def __call__(self, Z: Any, Y: Any) -> Any: ...


def mixed(Q: np.ndarray, product: np.ndarray, G: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Q mixed with `product` >= 0 just enough to be >= 0, less T; G itself where Q is >= 0 already."""
    deficit = np.where(Q < 0.0, -Q / (product - np.minimum(Q, 0.0)), 0.0)
    share = np.minimum(1.0, 1.0000001 * np.max(deficit))
    return np.maximum((1.0 - share) * Q + share * product, 0.0) - T if share > 0.0 else G


def need_classifier(problem: Any, who: str, loss: str) -> None:
    """ValueError if the model has features alone."""
    if not problem.model.classifier:
        raise ValueError(f"{who}: {loss} needs logits [K, N], but the model has features alone. Use ufm.SupCon().")


def need_classes(problem: Any, who: str, loss: str, instead: str) -> None:
    """ValueError if the model has features alone, or the targets are not the classes. instead: what to use then."""
    need_classifier(problem, who, loss)
    if problem.targets is not None:
        raise ValueError(f"{who}: {loss} needs class labels, targets=None. {instead}")


def need_positive(value: Any, name: str, who: str) -> None:
    """ValueError unless the value is a finite positive number."""
    untraced(value, name, who)
    number = as_real(value)
    if number is None or not 0.0 < number < np.inf:
        raise ValueError(f"{who}: {name}={value!r} is not a finite positive number. Pass e.g. {name}=1.0.")
