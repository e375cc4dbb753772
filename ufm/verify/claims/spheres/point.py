"""Critical points of cross-entropy on spheres, shared by the claims of this topic."""

import functools
from typing import Any, NamedTuple

import numpy as np

from ufm.models import normalized
from ufm.problem import Problem
from ufm.start import etf_start
from ufm.verify.experiment import SPECTRUM
from ufm.verify.tangent import Critical, critical, settle, slack

VALUE = "32 eps (1 + tau) of f for the rounding of logits in exponents, and gradient * distance; "
DISTANCE = "distance: 2 |gradient| / mu, mu the smallest non-zero Hessian eigenvalue"


class Setting(NamedTuple):
    """Unit rows of W, unit columns of H; `key` of the random start, None for the simplex itself."""

    K: int
    n: int | tuple[int, ...]
    d: int
    tau: float
    key: int | None = 0

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of theory."""
        return {"K": self.K, "n": self.n, "d": self.d, "tau": self.tau}

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return Problem(self.K, self.n, self.d, model=normalized(self.tau))


@functools.cache
def settled(setting: Setting) -> Critical:
    """The critical point that the solver finds from the setting's start."""
    if setting.key is None:
        return critical(setting.problem, etf_start(setting.problem))
    return settle(setting.problem, setting.key)


def slack_allowance(found: Critical) -> float:
    """Tolerance of an eigenvalue of Q: rounding, and Q's change over the distance from the exact point."""
    size = float(np.max(np.abs(slack(found.problem, found.point).Q)))
    return (SPECTRUM + 4.0 * float(found.problem.tau) * found.distance) * size
