"""Where the landscape is benign and where it stops: the ends of random starts, dimension by dimension, found blind."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ufm.certify.certificate import Certificate, Verdict, certify
from ufm.checks import whole
from ufm.multistart import BestFound, best_found
from ufm.problem import Problem
from ufm.validation import check_problem


@dataclass(frozen=True, eq=False)
class AtDimension:
    """Where random starts end in d dimensions. certificates: of found.points, one for each distinct value."""

    d: int
    found: BestFound
    certificates: tuple[Certificate, ...]

    @property
    def benign(self) -> bool:
        """Every start converged, and all to one value."""
        return self.found.counts.tolist() == [self.found.starts]

    @property
    def spurious(self) -> int:
        """Distinct values above the lowest whose points are local minima."""
        return sum(certificate.verdict is Verdict.LOCAL_MINIMUM for certificate in self.certificates[1:])


def by_dimension(
    problem: Problem, dimensions: Sequence[int] | None = None, starts: int = 20, key: Any = 0, **options: Any
) -> tuple[AtDimension, ...]:
    """`best_found` at each d, with a certificate for every distinct minimum; each d compiles once.

    Args:
        problem: its d is replaced. dimensions: default 1, ..., K + 2.
        starts, key, options: of `best_found`, the same for every d.
    Raises:
        TypeError, ValueError: a problem, dimension or option that cannot work.
    """
    check_problem(problem, "by_dimension")
    chosen = range(1, problem.K + 3) if dimensions is None else dimensions
    widths = [whole(d, "a dimension", "by_dimension", 1, "features need a dimension") for d in chosen]
    seen = []
    for d in widths:
        own = dataclasses.replace(problem, d=d)
        found = best_found(own, starts, key, **options)
        rest = [certify(own, point) for point in found.points[1:]]
        seen.append(AtDimension(d, found, (found.certificate, *rest)))
    return tuple(seen)
