"""What a certificate says of second order, computed when it is first read."""

from dataclasses import dataclass
from functools import cached_property

from ufm.certify.curvature import curvature
from ufm.certify.escape import Escape, escape_direction
from ufm.certify.frame import Frame, frame_of
from ufm.certify.point import Point
from ufm.certify.spectrum import Curvature
from ufm.problem import Problem


@dataclass(frozen=True, eq=False)
class SecondOrder:
    """The Hessian at a point. critical: whether its zero modes are to be counted."""

    problem: Problem
    point: Point
    critical: bool

    @cached_property
    def frame(self) -> Frame | None:
        """The point in its subspace; None where W and H do not rotate together."""
        return frame_of(self.problem, self.point)

    @cached_property
    def found(self) -> Curvature:
        """As much of the spectrum as is affordable."""
        return curvature(self.problem, self.point, self.critical, self.frame)

    @cached_property
    def escape(self) -> Escape:
        """The lowest direction of the slack matrix."""
        return escape_direction(self.problem, self.point, self.frame)
