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
from ufm.verify.experiment import ROUNDING, SPECTRUM
from ufm.verify.tangent import spectrum_beyond_rotations

ICOSAHEDRON = 1 / math.sqrt(5.0)
GRADIENT, HESSIAN = 1, 2  # besides the cosines
CELL_600 = (1 + math.sqrt(5.0)) / 4
CODES = {  # name -> (arguments, largest cosine in the literature, temperature, what is looked at by default)
    "polygon": ((7,), math.cos(2 * math.pi / 7), 4.0, 0),
    "cross_polytope": ((3,), 0.0, 4.0, HESSIAN),
    "icosahedron": ((), ICOSAHEDRON, 10.0, HESSIAN),
    "cell_24": ((), 0.5, 4.0, HESSIAN),
    "clebsch": ((), 0.2, 4.0, 0),
    "schlaefli": ((), 0.25, 4.0, 0),
    "code_7_56": ((), 1 / 3, 4.0, 0),
    "cell_600": ((), CELL_600, 8.0, 0),
    "e8_roots": ((), 0.5, 4.0, 0),
}


@dataclass(frozen=True)
class Code:
    """A code by name, and its coordinates W [K, d] as numbers that the experiment is handed.

    order: of the derivatives of f that are looked at; each shape compiles for a second.
    """

    name: str
    tau: float
    cosine: float
    order: int
    W: np.ndarray = field(compare=False, repr=False)

    @property
    def arguments(self) -> tuple[int, ...]:
        """Of the function of `theory.codes`."""
        return CODES[self.name][0]


def named(full: bool) -> Iterable[Code]:
    """All of them; in full with the derivatives of all."""
    for name, (arguments, cosine, tau, order) in CODES.items():
        W = getattr(theory.codes, name)(*arguments)
        yield Code(name, tau, cosine, (HESSIAN if W.size < 500 else GRADIENT) if full else order, W)


def measure_code(code: Code) -> Measurement:
    """Cosines and margins of features equal to their classifiers; f and its derivatives there."""
    problem, params = (
        Problem(len(code.W), 1, code.W.shape[1], model=normalized(code.tau)),
        Params(code.W, code.W.T, None),
    )
    cosines = code.W @ code.W.T
    rest = np.where(np.eye(problem.K, dtype=bool), -np.inf, cosines)
    margins = np.diag(cosines) - np.max(rest, axis=0)
    values: dict[str, Any] = {
        "cosines": cosines,
        "separations": margins,
        "least margin": float(np.min(margins)),
        "largest cosine": float(np.max(rest)),
        "s of the literature": float(np.max(rest)),
        "hardmax": float(np.min(margins)),
    }
    tolerances = dict.fromkeys(values, ROUNDING)
    if code.order >= GRADIENT:
        point, rounding = examine(problem, params), ROUNDING * (1.0 + code.tau)
        values |= {"value": point.value, "gradient": length(point.grad)}
        tolerances |= {"value": rounding * point.value, "gradient": rounding}
    if code.order >= HESSIAN:
        spectrum = spectrum_beyond_rotations(problem, params)
        values["curvature"], tolerances["curvature"] = float(spectrum[0]), SPECTRUM * float(spectrum[-1])
    return Measurement(values, tolerances)


def predict_code(code: Code) -> Mapping[str, Any]:
    """Every rho_k is 1 - s, attained by h_k = w_k."""
    W = getattr(theory.codes, code.name)(*code.arguments)
    predicted: dict[str, Any] = {
        "cosines": W @ W.T,
        "separations": theory.codes.separations(W),
        "least margin": theory.codes.tammes_margin(W),
        "largest cosine": theory.codes.coherence(W),
        "s of the literature": code.cosine,
        "hardmax": theory.softmax_codes.hardmax_value(W),
    }
    if code.order >= GRADIENT:
        predicted |= {"value": theory.code_values.self_dual_value(W, code.tau), "gradient": 0.0}
    return predicted | ({"curvature": AtLeast(0.0)} if code.order >= HESSIAN else {})


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
