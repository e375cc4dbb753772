"""Where the arrays of a solve live: on one device, or the columns of H over the devices of a mesh."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ufm.certify.escape import descend
from ufm.certify.point import examine
from ufm.precision import to_host
from ufm.problem import Params, Problem
from ufm.reduction import lift_params, merge, merge_params
from ufm.solvers.polish import polish


class OneDevice(NamedTuple):
    """The default device; certificates look at the whole point."""

    def put(self, params: Params, dtype: np.dtype) -> Params:
        """The same numbers, typed; jit moves them."""
        return jax.tree.map(lambda x: np.asarray(x, dtype), params)

    def get(self, tree: Any) -> Any:
        """NumPy."""
        return to_host(tree)

    def warm(self, problem: Problem, point: Params) -> None:
        """Compile what `below` needs."""
        examine(problem, point)

    def below(self, problem: Problem, params: Params) -> Params | None:
        """A point below the strict saddle `params`, if it is one."""
        return descend(problem, params)

    def nearer(self, problem: Problem, params: Params) -> Params | None:
        """A point of smaller gradient, found with the whole Hessian."""
        return polish(problem, params)


@dataclass(frozen=True)
class Sharded:
    """H by columns over all devices of a mesh, W and b on each.

    Saddles are looked for among the class means: at a critical point of a convex loss the features of a class agree
    (T20), so that this is the whole question, at a size that any one device holds.
    """

    mesh: Mesh

    def put(self, params: Params, dtype: np.dtype) -> Params:
        """Every process hands over the same numbers and keeps its devices' columns."""
        columns = NamedSharding(self.mesh, PartitionSpec(None, self.mesh.axis_names))
        everywhere = NamedSharding(self.mesh, PartitionSpec())

        def place(x: Any, sharding: NamedSharding) -> Any:
            x = np.asarray(x, dtype)
            return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

        W, H, b = params
        return Params(place(W, everywhere), place(H, columns), None if b is None else place(b, everywhere))

    def get(self, tree: Any) -> Any:
        """NumPy, the whole arrays on every host."""
        return jax.tree.map(
            lambda x: np.asarray(x) if x.is_fully_addressable else multihost_utils.process_allgather(x, tiled=True),
            tree,
        )

    def warm(self, problem: Problem, point: Params) -> None:
        """Compile what `below` needs."""
        examine(merge(problem), merge_params(problem, point))

    def below(self, problem: Problem, params: Params) -> Params | None:
        """A point below the strict saddle of class means that `params` has, if it is one."""
        lower = descend(merge(problem), merge_params(problem, params))
        return None if lower is None else lift_params(problem, lower)

    def nearer(self, problem: Problem, params: Params) -> Params | None:
        """None: the whole Hessian is for small problems."""
        return None


def placement(mesh: Any, problem: Problem) -> OneDevice | Sharded:
    """Where to solve; raises TypeError or ValueError for a mesh that cannot work."""
    if mesh is None:
        return OneDevice()
    if not isinstance(mesh, Mesh):
        raise TypeError(f"solve: mesh={mesh!r} is not a jax Mesh. Pass e.g. jax.make_mesh((8,), ('columns',)).")
    if problem.merged or not (problem.model.classifier and problem.euclidean and problem.loss.convex):
        raise ValueError(
            "solve: mesh= divides the free features of a convex loss with decay on all W and H. Other problems are "
            "small after the reductions: pass mesh=None."
        )
    columns, devices = problem.shapes().H[1], mesh.size
    if columns % devices:
        raise ValueError(f"solve: N={columns} columns do not divide over {devices} devices. Use a mesh that divides N.")
    # The compiler is to divide the work by itself: with explicit axes every product over columns would have to say how.
    automatic = Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))
    return Sharded(automatic)
