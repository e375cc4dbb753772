"""The landscape of a problem: critical points of every index, ways out of saddles, segments and plane sections.

Critical points are found by `ufm.solvers.critical`. Half of the starts use some dimensions of the features alone: what
is zero there stays zero exactly, and that is how saddles of lower rank are found. Most start after some steps of
descent, for otherwise nearly all end at zero. A minimum of |grad f|^2 that is no zero of it is dropped, and counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ufm.certify.certificate import Certificate, Verdict, certify
from ufm.certify.escape import descend
from ufm.certify.point import as_float64, examine
from ufm.checks import positive, whole
from ufm.precision import exact, to_host
from ufm.problem import Params, Problem
from ufm.solution import Solution
from ufm.solve import solve
from ufm.solvers.critical import FOUND, check_whole_hessian, search
from ufm.solvers.polish import polish
from ufm.start import generator, random_start
from ufm.validation import check_params, check_problem

SAME = 1e-6  # relative: invariants of points that are called one orbit
DESCENT = 3000.0  # the most steps of descent before a search; their number is log-uniform


@dataclass(frozen=True, eq=False)
class CriticalPoint:
    """One orbit of critical points. rank: of the logits. hits: searches that ended there. certificate: of `params`."""

    params: Params
    certificate: Certificate
    rank: int
    hits: int


@dataclass(frozen=True, eq=False)
class Atlas:
    """What was found: `points` by value, ascending. searches: tried. converged: how many ended at a critical point."""

    points: tuple[CriticalPoint, ...]
    searches: int
    converged: int

    @property
    def spurious(self) -> tuple[CriticalPoint, ...]:
        """Points above the lowest that are not strict saddles: in a benign landscape there are none to be found."""
        lowest = self.points[0].certificate.value
        above = [p for p in self.points if p.certificate.value > lowest + SAME * (1.0 + abs(lowest))]
        return tuple(p for p in above if p.certificate.verdict is not Verdict.STRICT_SADDLE)

    def __str__(self) -> str:
        lines = [f"{'value':>18} {'rank':>5} {'index':>6} {'zero modes':>11} {'symmetry':>9} {'hits':>5}  verdict"]
        for point in self.points:
            c = point.certificate
            index, nullity = ("-" if x is None else str(x) for x in (c.index, c.nullity))
            counts = f"{point.rank:5d} {index:>6} {nullity:>11} {c.symmetry:9d} {point.hits:5d}"
            lines.append(f"{c.value:18.12f} {counts}  {c.verdict.name}")
        return "\n".join([*lines, f"{self.converged} of {self.searches} searches ended at a critical point"])


def atlas(
    problem: Problem, searches: int = 200, key: Any = 0, *, scale: float = 1.0, starts: Sequence[Params] = ()
) -> Atlas:
    """The critical points that random searches end at, one for each orbit, classified.

    Orbits are told apart by what rotations and relabelled classes leave alone: the value and the singular values of
    every factor and of the logits.

    Args:
        searches: how many, >= 1. key: seed of all of them, an int or a jax PRNG key.
        scale: of the random starts; each is multiplied by a factor between 1/2 and 2 besides.
        starts: further searches, from points of your own: the saddles that a theorem names, or ends of other solves.
    Raises:
        TypeError, ValueError: a problem that cannot work; one with ReLUs, on spheres or without decay on W and H;
            more than 600 variables.
    """
    check_whole_hessian(problem, "atlas")
    searches, scale = whole(searches, "searches", "atlas", 1, "nothing to find"), positive(scale, "scale", "atlas")
    given = [as_float64(check_params(problem, start, "atlas")) for start in starts]
    rng = generator(key, "atlas")
    points = [*given, *(_start(problem, rng, scale, number) for number in range(searches))]
    searches = len(points)
    with exact():
        descents = np.floor(DESCENT ** rng.uniform(0.0, 1.0, searches)) - 1.0
        descents[: len(given)] = 0.0  # a given saddle is not to be left
        ends = to_host(search(problem.astype(np.float64), jax.tree.map(lambda *xs: np.stack(xs), *points), descents))
    found: list[tuple[np.ndarray, Params]] = []
    hits: list[int] = []
    for number in range(searches):
        params = as_float64(jax.tree.map(lambda x, i=number: x[i], ends))
        if examine(problem, params).grad_norm > FOUND:
            continue
        seen = _invariants(problem, params)
        same = [i for i, (other, _) in enumerate(found) if np.max(np.abs(seen - other)) <= SAME * (1.0 + np.max(other))]
        if same:
            hits[same[0]] += 1
        else:
            found.append((seen, params))
            hits.append(1)
    orbits = [_classified(problem, params, count) for (_, params), count in zip(found, hits, strict=True)]
    return Atlas(tuple(sorted(orbits, key=lambda point: point.certificate.value)), searches, sum(hits))


def escape(problem: Problem, params: Any, **options: Any) -> Solution | None:
    """Where `solve` ends after leaving a strict saddle along a direction of negative curvature; None if there is none.

    Args:
        params: a critical point. options: of `solve`.
    Raises:
        TypeError, ValueError: a problem, point or option that cannot work.
    """
    check_problem(problem, "escape")
    below = descend(problem, check_params(problem, params, "escape"))
    return None if below is None else solve(problem, start=below, **options)


def segment(problem: Problem, start: Any, end: Any, points: int = 101) -> tuple[np.ndarray, np.ndarray]:
    """(t [points], f((1 - t) start + t end)): the straight line between two points, of W, H and b as vectors.

    Raises:
        TypeError, ValueError: a problem or points that cannot work; fewer than two points.
    """
    a, b = _two(problem, start, end, "segment")
    t = np.linspace(0.0, 1.0, whole(points, "points", "segment", 2, "a segment has two ends"))
    return t, _values_on(problem, a, [_difference(b, a)], t[:, None])


def plane(
    problem: Problem, origin: Any, first: Any, second: Any, *, reach: float = 1.5, points: int = 61
) -> tuple[np.ndarray, np.ndarray]:
    """(t [points], values [points, points]): f(origin + t_i (first - origin) + t_j (second - origin)), |t| <= reach.

    Raises:
        TypeError, ValueError: a problem or points that cannot work; fewer than two points; a reach <= 0.
    """
    centre, a = _two(problem, origin, first, "plane")
    b = check_params(problem, second, "plane")
    reach = positive(reach, "reach", "plane")
    t = np.linspace(-reach, reach, whole(points, "points", "plane", 2, "a picture needs them"))
    grid = np.stack(np.meshgrid(t, t, indexing="ij"), axis=-1).reshape(-1, 2)
    values = _values_on(problem, centre, [_difference(a, centre), _difference(b, centre)], grid)
    return t, values.reshape(t.size, t.size)


def _start(problem: Problem, rng: np.random.Generator, scale: float, number: int) -> Params:
    """A random point; every other one uses only some dimensions of the features."""
    params = random_start(problem, int(rng.integers(2**62)), scale * float(2.0 ** rng.uniform(-1.0, 1.0)))
    if number % 2:
        return params
    seen = np.arange(problem.d) < rng.integers(problem.d + 1)
    W = params.W
    W = (W[0] * seen, *W[1:]) if isinstance(W, tuple) else W * seen
    return params._replace(W=W, H=params.H * seen[:, None])


def _invariants(problem: Problem, params: Params) -> np.ndarray:
    """f and the singular values of every factor and of the logits."""
    point = examine(problem, params)
    factors = [*(params.W if isinstance(params.W, tuple) else (params.W,)), params.H, point.Z]
    bias = [] if params.b is None else [np.sort(params.b)]
    return np.concatenate([[point.value], *[np.linalg.svd(x, compute_uv=False) for x in factors], *bias])


def _classified(problem: Problem, params: Params, hits: int) -> CriticalPoint:
    nearer = polish(problem, params)
    params = params if nearer is None else nearer
    s = np.linalg.svd(examine(problem, params).Z, compute_uv=False)
    return CriticalPoint(params, certify(problem, params), int(np.sum(s > 1e-6 * (1.0 + s[0]))), hits)


def _two(problem: Problem, first: Any, second: Any, who: str) -> tuple[Params, Params]:
    check_problem(problem, who, minimiser=False)
    return check_params(problem, first, who), check_params(problem, second, who)


def _difference(x: Params, y: Params) -> Params:
    return jax.tree.map(lambda a, b: a - b, x, y)


def _values_on(problem: Problem, origin: Params, directions: list[Params], t: np.ndarray) -> np.ndarray:
    """f(origin + sum_k t_k directions_k) at each row of t [T, k]."""
    with exact():
        return to_host(_evaluate(problem.astype(np.float64), as_float64(origin), directions, t))


@jax.jit
def _evaluate(problem: Problem, origin: Params, directions: list[Params], t: jax.Array) -> jax.Array:
    def value(row: jax.Array) -> jax.Array:
        moved = origin
        for k, direction in enumerate(directions):
            moved = jax.tree.map(lambda x, d, s=row[k]: x + s * d, moved, direction)
        return problem.objective(moved)

    return jax.lax.map(value, t, batch_size=256)
