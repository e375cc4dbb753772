"""The way over the pass: the minimum-energy path between two points, by the string method, and the top of it."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ufm.certify.certificate import Certificate, certify
from ufm.certify.point import as_float64, examine, packing
from ufm.checks import whole
from ufm.precision import exact, to_host
from ufm.problem import Params, Problem
from ufm.solvers.critical import check_whole_hessian, search
from ufm.solvers.polish import hessian, polish
from ufm.start import generator
from ufm.validation import check_params

NOISE = 1e-3  # of the distance between the ends: symmetries of the straight line are left
SETTLED = 1e-9  # of the distance: the most that an image moves in one step at the end
STEPS = 20_000


@dataclass(frozen=True, eq=False)
class EnergyPath:
    """Images at equal distances along a path on which the gradient of f is tangent.

    Attributes:
        t: [I] from 0 to 1, the share of the length. values: [I] f. points: W [I, ...], H [I, d, N], b [I, K] or None.
        top: the critical point next to the highest image inside, or an end that is higher, and certificate what it is:
            a pass between two minima is a strict saddle of index 1.
        converged: whether the images came to rest; if not, the path is only near one of least energy.
    """

    t: np.ndarray
    values: np.ndarray
    points: Params
    top: Params
    certificate: Certificate
    converged: bool

    @property
    def barrier(self) -> float:
        """f at the top less f at the start of the path."""
        return self.certificate.value - float(self.values[0])


def energy_path(problem: Problem, start: Any, end: Any, images: int = 24, key: Any = 0) -> EnergyPath:
    """The minimum-energy path that the straight line from `start` to `end` relaxes to, and its highest point.

    Every image makes a step of gradient descent, and then they are spread evenly again. It is one path of several that
    there may be: its top is at least as high as the lowest pass.

    Args:
        start, end: points, most usefully minima. images: points on the path, >= 3, the ends included.
        key: seed of the noise that lets the path leave the symmetries of the line, an int or a jax PRNG key.
    Raises:
        TypeError, ValueError: a problem or points that cannot work; f with kinks, on manifolds, or of more than 600
            variables.
    Source:
        E, Ren and Vanden-Eijnden (J. Chem. Phys. 2007), the simplified string method.
    """
    check_whole_hessian(problem, "energy_path")
    a, b = check_params(problem, start, "energy_path"), check_params(problem, end, "energy_path")
    images = whole(images, "images", "energy_path", 3, "a path has an inside")
    rng, (pack, unpack) = generator(key, "energy_path"), packing(as_float64(a))
    first, last = pack(as_float64(a)), pack(as_float64(b))
    distance = float(np.linalg.norm(last - first))
    if distance == 0.0:
        raise ValueError("energy_path: start and end are one point. Pass two.")
    share = np.linspace(0.0, 1.0, images)
    bent = rng.standard_normal((images, first.size)) * (share * (1.0 - share))[:, None]
    line = first + share[:, None] * (last - first) + NOISE * distance / np.sqrt(first.size) * bent
    with exact():
        typed = problem.astype(np.float64)
        steepest = max(np.linalg.norm(np.asarray(hessian(typed, unpack(x))), 2) for x in line)
        x, moved = to_host(_relaxed(typed, as_float64(a), line, 0.5 / steepest, SETTLED * distance))
    points = [unpack(row) for row in x]
    values = np.array([examine(problem, point).value for point in points])
    near = _critical(problem, points[1 + int(np.argmax(values[1:-1]))])
    top = max((near, points[0], points[-1]), key=lambda point: examine(problem, point).value)
    stacked = jax.tree.map(lambda *rows: np.stack(rows), *points)
    return EnergyPath(share, values, stacked, top, certify(problem, top), bool(moved <= SETTLED * distance))


def _critical(problem: Problem, near: Params) -> Params:
    """The critical point that a search from `near` ends at."""
    with exact():
        one = jax.tree.map(lambda x: np.asarray(x)[None], near)
        found = to_host(search(problem.astype(np.float64), one, np.zeros(1)))
    found = as_float64(jax.tree.map(lambda x: x[0], found))
    nearer = polish(problem, found)
    return found if nearer is None else nearer


@jax.jit
def _relaxed(problem: Problem, like: Params, line: jax.Array, rate: Any, settled: Any) -> tuple[jax.Array, jax.Array]:
    """The images [I, P] once none moves by more than `settled` in a step, and how far the last step moved one."""
    unravel = ravel_pytree(like)[1]
    slope = jax.vmap(jax.grad(lambda x: problem.objective(unravel(x))))

    def spread(x: jax.Array) -> jax.Array:
        """Equal distances along the polygon through the images."""
        arc = jnp.concatenate([jnp.zeros(1), jnp.cumsum(jnp.linalg.norm(jnp.diff(x, axis=0), axis=1))])
        even = jnp.linspace(0.0, 1.0, len(x)) * arc[-1]
        return jax.vmap(lambda column: jnp.interp(even, arc, column), 1, 1)(x)

    def step(state: Any) -> Any:
        x, _, count = state
        there = spread(x.at[1:-1].add(-rate * slope(x[1:-1])))
        return there, jnp.max(jnp.linalg.norm(there - x, axis=1)), count + 1

    def running(state: Any) -> jax.Array:
        return (state[1] > settled) & (state[2] < STEPS)

    x, moved, _ = jax.lax.while_loop(running, step, (line, jnp.full((), jnp.inf, line.dtype), 0))
    return x, moved
