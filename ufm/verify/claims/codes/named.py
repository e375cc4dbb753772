"""Codes with a name: their largest cosine, one-vs-rest distance and value, and that they are critical (2.3, 2.5)."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import theory
from ufm.certify.point import examine, length
from ufm.models import normalized
from ufm.problem import Params, Problem
from ufm.verify.claim import AtLeast, Claim, Measurement
from ufm.verify.experiment import ROUNDING
from ufm.verify.tangent import SPECTRUM, spectrum_beyond_rotations

ICOSAHEDRON = 1 / math.sqrt(5.0)
CELL_600 = (1 + math.sqrt(5.0)) / 4
CODES = {  # name -> (arguments, largest cosine in the literature, temperature, is its Hessian looked at by default)
    "polygon": ((7,), math.cos(2 * math.pi / 7), 4.0, False),
    "cross_polytope": ((3,), 0.0, 4.0, True),
    "icosahedron": ((), ICOSAHEDRON, 10.0, True),
    "cell_24": ((), 0.5, 4.0, True),
    "clebsch": ((), 0.2, 4.0, False),
    "schlaefli": ((), 0.25, 4.0, False),
    "code_7_56": ((), 1 / 3, 4.0, False),
    "cell_600": ((), CELL_600, 8.0, False),
    "e8_roots": ((), 0.5, 4.0, False),
}


@dataclass(frozen=True)
class Code:
    """A code by name, and its coordinates W [K, d] as numbers that the experiment is handed."""

    name: str
    tau: float
    cosine: float
    curved: bool
    W: np.ndarray = field(compare=False, repr=False)

    @property
    def arguments(self) -> tuple[int, ...]:
        """Of the function of `theory.codes`."""
        return CODES[self.name][0]


def named(full: bool) -> Iterable[Code]:
    """All of them; in full with more Hessians."""
    for name, (arguments, cosine, tau, curved) in CODES.items():
        W = getattr(theory.codes, name)(*arguments)
        yield Code(name, tau, cosine, curved or (full and W.size < 500), W)


def measure_code(code: Code) -> Measurement:
    """f and its derivatives at features equal to their classifiers; cosines from the logits."""
    problem = Problem(len(code.W), 1, code.W.shape[1], model=normalized(code.tau))
    params = Params(code.W, code.W.T, None)
    point = examine(problem, params)
    cosines = point.Z / code.tau
    rest = np.where(np.eye(problem.K, dtype=bool), -np.inf, cosines)
    margins = np.diag(cosines) - np.max(rest, axis=0)
    values = {
        "value": point.value,
        "cosines": cosines,
        "separations": margins,
        "least margin": float(np.min(margins)),
        "largest cosine": float(np.max(rest)),
        "s of the literature": float(np.max(rest)),
        "hardmax": float(np.min(margins)),
        "gradient": length(point.grad),
    }
    rounding = ROUNDING * (1.0 + code.tau)
    tolerances = dict.fromkeys(values, ROUNDING) | {"value": rounding * point.value, "gradient": rounding}
    if code.curved:
        spectrum = spectrum_beyond_rotations(problem, params)
        values["curvature"], tolerances["curvature"] = float(spectrum[0]), SPECTRUM * float(spectrum[-1])
    return Measurement(values, tolerances)


def predict_code(code: Code) -> Mapping[str, Any]:
    """Every rho_k is 1 - s, attained by h_k = w_k."""
    W = getattr(theory.codes, code.name)(*code.arguments)
    predicted = {
        "value": theory.code_values.self_dual_value(W, code.tau),
        "cosines": W @ W.T,
        "separations": theory.codes.separations(W),
        "least margin": theory.codes.tammes_margin(W),
        "largest cosine": theory.codes.coherence(W),
        "s of the literature": code.cosine,
        "hardmax": theory.softmax_codes.hardmax_value(W),
        "gradient": 0.0,
    }
    return predicted | ({"curvature": AtLeast(0.0)} if code.curved else {})


CLAIMS = (
    Claim(
        "2.3",
        "Named codes with features equal to their classifiers are critical, with rho = 1 - s for every class.",
        "known codes; criticality, values and rho derived for this project",
        "spheres, equal class sizes",
        "32 eps (1 + tau), relative for f: rounding; 1e-12 of the largest eigenvalue for the curvature",
        named,
        measure_code,
        predict_code,
    ),
)
