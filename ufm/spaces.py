"""Where a block of parameters lives: tangent vectors, retraction and the Hessian's correction, one class a space.

A space sees a block as columns x_1, ..., x_m in R^d: the features, or the rows of W. Its methods are

    tangent(x, g, v, columns)   v projected on the directions that are free at x, where the objective's gradient is g
                                (NumPy or jax)
    multiplier(x, g, columns)   [m] what the Riemannian Hessian has less than the Euclidean one: multiplier_i v_i
                                (NumPy or jax)
    retract(x, v, columns)      the point of the space that is reached from x along the tangent vector v
    project(x, columns)         a nearby point of the space (NumPy or jax)
    weight(lam, columns)        a positive number: the metric in which the Hessian is well conditioned
    shell(columns)              [m] v with sum_i v_i |x_i|^2 = m on the space; None where norms are free (NumPy)
    least(u, lam, columns)      inf over the space of <u, x>, plus lam/2 |x|^2 where it decays; a lower bound (NumPy)

`columns` says how many samples a column stands for (see `Columns`). decays: the squared norm is part of the objective.
rotates: x -> R x with R orthogonal in R^d maps the space onto itself.
separable: every column is constrained for itself.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import jax.numpy as jnp
import numpy as np

from ufm import tree


class Columns(NamedTuple):
    """multiplicity [m]: samples that a column stands for (their common feature times its square root).

    share [m]: the size of the group that it belongs to; 1 for the rows of W. mass: the sum of the multiplicities.
    """

    multiplicity: Any
    share: Any
    mass: float


class Space(Protocol):
    """What Problem asks of the space of a block."""

    decays: ClassVar[bool]
    rotates: ClassVar[bool]
    separable: ClassVar[bool]

    def tangent(self, x: Any, g: Any, v: Any, columns: Columns) -> Any: ...
    def multiplier(self, x: Any, g: Any, columns: Columns) -> Any: ...
    def retract(self, x: Any, v: Any, columns: Columns) -> Any: ...
    def project(self, x: Any, columns: Columns) -> Any: ...
    def weight(self, lam: Any, columns: Columns) -> Any: ...
    def shell(self, columns: Columns) -> np.ndarray | None: ...
    def least(self, u: np.ndarray, lam: float | None, columns: Columns) -> float: ...


@tree.register
@dataclass(frozen=True, eq=False)
class Euclidean:
    """All of R^(d x m), with weight decay."""

    decays: ClassVar[bool] = True
    rotates: ClassVar[bool] = True
    separable: ClassVar[bool] = True

    def tangent(self, x: Any, g: Any, v: Any, columns: Columns) -> Any:
        return v

    def multiplier(self, x: Any, g: Any, columns: Columns) -> Any:
        return 0.0 * columns.multiplicity

    def retract(self, x: Any, v: Any, columns: Columns) -> Any:
        return x + v

    def project(self, x: Any, columns: Columns) -> Any:
        return x

    def weight(self, lam: Any, columns: Columns) -> Any:
        return lam

    def shell(self, columns: Columns) -> np.ndarray | None:
        return None

    def least(self, u: np.ndarray, lam: float | None, columns: Columns) -> float:
        return -float(np.sum(u**2)) / (2 * _number(lam))


@tree.register
@dataclass(frozen=True, eq=False)
class Spheres:
    """Every column on a sphere: |x_i| = radius (times sqrt(multiplicity) where a column stands for several samples).

    Args:
        radius: > 0, a leaf.
    Source:
        Riemannian gradient and Hessian of a product of spheres: 1.2 of the theory reference.
    """

    radius: Any = 1.0
    decays: ClassVar[bool] = False
    rotates: ClassVar[bool] = True
    separable: ClassVar[bool] = True

    def tangent(self, x: Any, g: Any, v: Any, columns: Columns) -> Any:
        return v - x * (_inner(x, v) / _inner(x, x))

    def multiplier(self, x: Any, g: Any, columns: Columns) -> Any:
        return _inner(x, g) / _inner(x, x)

    def retract(self, x: Any, v: Any, columns: Columns) -> Any:
        return self.project(x + v, columns)

    def project(self, x: Any, columns: Columns) -> Any:
        return x * (self.radius * columns.multiplicity**0.5 / _inner(x, x) ** 0.5)

    def weight(self, lam: Any, columns: Columns) -> Any:
        return 1.0 / (columns.mass * self.radius**2)

    def shell(self, columns: Columns) -> np.ndarray | None:
        return 1.0 / (float(self.radius) ** 2 * np.asarray(columns.multiplicity))

    def least(self, u: np.ndarray, lam: float | None, columns: Columns) -> float:
        return -float(self.radius) * float(np.sum(np.sqrt(_inner(u, u) * columns.multiplicity)))


@tree.register
@dataclass(frozen=True, eq=False)
class Budget:
    """A norm budget that is used up: the mean over groups of the mean over their columns of |x_i|^2 is `mean_square`.

    Args:
        mean_square: E_W = |W|^2 / K, or E_H = (1/C) sum_c mean_i |h_ci|^2 over the C groups; > 0, a leaf.
    Source:
        The layer-peeled model, Fang et al. (PNAS 2021). Its constraint is an inequality; the certificate says whether
        the multiplier has the sign that makes a point of the boundary optimal inside as well.
    """

    mean_square: Any
    decays: ClassVar[bool] = False
    rotates: ClassVar[bool] = True
    separable: ClassVar[bool] = False

    def tangent(self, x: Any, g: Any, v: Any, columns: Columns) -> Any:
        normal = x / columns.share
        return v - normal * ((normal * v).sum() / (normal**2).sum())

    def multiplier(self, x: Any, g: Any, columns: Columns) -> Any:
        normal = x / columns.share
        return (normal * g).sum() / (normal**2).sum() / columns.share

    def retract(self, x: Any, v: Any, columns: Columns) -> Any:
        return self.project(x + v, columns)

    def project(self, x: Any, columns: Columns) -> Any:
        groups = (columns.multiplicity / columns.share).sum()
        return x * (self.mean_square * groups / (x**2 / columns.share).sum()) ** 0.5

    def weight(self, lam: Any, columns: Columns) -> Any:
        return 1.0 / (columns.mass * self.mean_square)

    def shell(self, columns: Columns) -> np.ndarray | None:
        return np.size(columns.share) / (self._total(columns) * np.asarray(columns.share))

    def least(self, u: np.ndarray, lam: float | None, columns: Columns) -> float:
        return -float(np.sqrt(self._total(columns) * np.sum(u**2 * columns.share)))

    def _total(self, columns: Columns) -> float:
        """The sum of |x_i|^2 / share_i."""
        return float(self.mean_square) * float(np.sum(columns.multiplicity / columns.share))


@tree.register
@dataclass(frozen=True, eq=False)
class Nonnegative:
    """Every entry >= 0 (features after a ReLU), with weight decay. A zero entry that wants to fall is not free."""

    decays: ClassVar[bool] = True
    rotates: ClassVar[bool] = False
    separable: ClassVar[bool] = True

    def tangent(self, x: Any, g: Any, v: Any, columns: Columns) -> Any:
        return v * ((x > 0) | (g < 0))

    def multiplier(self, x: Any, g: Any, columns: Columns) -> Any:
        return 0.0 * columns.multiplicity

    def retract(self, x: Any, v: Any, columns: Columns) -> Any:
        return jnp.maximum(x + v, 0.0)

    def project(self, x: Any, columns: Columns) -> Any:
        return x * (x > 0)

    def weight(self, lam: Any, columns: Columns) -> Any:
        return lam

    def shell(self, columns: Columns) -> np.ndarray | None:
        return None

    def least(self, u: np.ndarray, lam: float | None, columns: Columns) -> float:
        return -float(np.sum(np.minimum(u, 0.0) ** 2)) / (2 * _number(lam))


@tree.register
@dataclass(frozen=True, eq=False)
class Fixed:
    """One point: the block is not optimised.

    Args:
        value: the block as Params holds it, such as a classifier W [K, d]; a leaf.
    """

    value: Any
    decays: ClassVar[bool] = False
    rotates: ClassVar[bool] = False
    separable: ClassVar[bool] = True

    def tangent(self, x: Any, g: Any, v: Any, columns: Columns) -> Any:
        return 0.0 * v

    def multiplier(self, x: Any, g: Any, columns: Columns) -> Any:
        return 0.0 * columns.multiplicity

    def retract(self, x: Any, v: Any, columns: Columns) -> Any:
        return x

    def project(self, x: Any, columns: Columns) -> Any:
        return self.value.T  # the space sees the rows of W as columns

    def weight(self, lam: Any, columns: Columns) -> Any:
        return 1.0

    def shell(self, columns: Columns) -> np.ndarray | None:
        return None

    def least(self, u: np.ndarray, lam: float | None, columns: Columns) -> float:
        return float(np.sum(u * np.asarray(self.value).T))


def _inner(x: Any, y: Any) -> Any:
    """[m] inner products of the columns."""
    return (x * y).sum(axis=0)


def _number(lam: float | None) -> float:
    assert lam is not None, "a space that decays has a decay"
    return lam
