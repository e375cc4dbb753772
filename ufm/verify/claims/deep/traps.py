"""Deep linear layers with decay: zero is a trap (F2, F4), and there are local minima of every rank (F5)."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq

import theory
from ufm.certify.certificate import certify
from ufm.certify.point import examine
from ufm.energy_path import energy_path
from ufm.flow import gradient_flow
from ufm.problem import Params
from ufm.trap import trap_radius
from ufm.verify.claim import AtLeast, AtMost, Claim, Measurement
from ufm.verify.claims.deep.cases import CENTRED, LOST, NARROW, PENALISED, UNEQUAL, Case, minimum, zero
from ufm.verify.experiment import EPS, ROUNDING
from ufm.verify.spectra import EIGENVALUES, expanded, spectrum_measurement

TIME = 3000.0  # long after both ends are reached: the rates are of the size of the decays


def measure_zero(case: Case) -> Measurement:
    """The spectrum and the verdict at zero."""
    certificate = certify(case.problem, zero(case))
    if certificate.spectrum is None:
        return Measurement(failure="the spectrum is not affordable")
    found = spectrum_measurement(certificate.spectrum, 0.0)
    return Measurement({**found.values, "verdict": certificate.verdict.name}, found.tolerances)


def predict_zero(case: Case) -> Mapping[str, Any]:
    """F2."""
    return {**expanded(theory.deep_landscape.zero_spectrum(**case.arguments)), "verdict": "LOCAL_MINIMUM"}


class Kept(NamedTuple):
    """The minimum of a case with some of its singular values put to zero, numbered by size."""

    case: Case
    kept: tuple[int, ...]

    @property
    def start(self) -> Params:
        """The global minimum, seen through the kept directions alone."""
        W, H, b = minimum(self.case).params
        seen = np.linalg.svd(H, full_matrices=True)[0][:, list(self.kept)]
        H, matrices = seen @ seen.T @ H, []
        for w in W:
            matrices.append(w @ seen @ seen.T)
            seen = np.linalg.qr(w @ seen)[0]
        return Params(tuple(matrices), H, b)


def kept_settings(full: bool) -> Iterable[Kept]:
    """Ranks from zero on; and selections that skip a larger class."""
    for kept in ((), (0,), (0, 1), (0, 1, 2), (1,), (0, 2), (1, 2, 3)):
        yield Kept(UNEQUAL, kept)


def measure_kept(setting: Kept) -> Measurement:
    """Value and verdict there: the singular values do not mix, so that what is left of a minimum is critical."""
    whole = minimum(setting.case)
    certificate = certify(setting.case.problem, setting.start)
    values = {"value": certificate.value, "verdict": certificate.verdict.name}
    if certificate.nullity is not None:
        values["zero modes"] = certificate.nullity
    return Measurement(values, {"value": whole.value_allowance()}, whole.failure)


def predict_kept(setting: Kept) -> Mapping[str, Any]:
    """F5: a minimum if the kept ones are the largest, else a strict saddle."""
    rank = len(setting.kept)
    if setting.kept != tuple(range(rank)):
        return {"verdict": "STRICT_SADDLE"}
    case = setting.case
    orbit = sum(rank * (2 * d - rank - 1) // 2 for d in (case.d, *case.widths))
    value = theory.deep_landscape.local_minima(**case.arguments)[rank]
    return {"value": value, "verdict": "LOCAL_MINIMUM", "zero modes": orbit}


class Trap(NamedTuple):
    """Two classes of six and three samples, M equal matrices, every decay `lam`."""

    M: int
    lam: float

    @property
    def case(self) -> Case:
        """Three features in every layer, no bias."""
        return Case(2, (6, 3), 3, (3,) * (self.M - 1), (self.lam,) * self.M, self.lam)

    def ray(self, length: float) -> Params:
        """Factors of rank one and one norm, aligned on the larger class, of this length together."""
        shapes, size = self.case.problem.shapes(), length / np.sqrt(self.M + 1)
        W = tuple(size * np.eye(*shape)[:, :1] @ np.eye(1, shape[1]) for shape in shapes.W)
        seen = np.repeat([1.0, 0.0], [6, 3]) / np.sqrt(6.0)
        return Params(W, size * np.outer(np.eye(3)[0], seen), None)


def measure_trap(setting: Trap) -> Measurement:
    """Where the radial slope changes sign, and where the flow goes from 5% inside and outside of that."""
    problem = setting.case.problem

    def slope(length: float) -> float:
        point = examine(problem, setting.ray(length))
        return (
            sum(
                float(np.sum(x * g))
                for x, g in zip((*point.params.W, point.params.H), (*point.grad.W, point.grad.H), strict=True)
            )
            / length**2
        )

    grid = np.geomspace(0.05, 1.5, 40)
    signs = np.array([slope(length) for length in grid]) < 0.0
    first = int(np.argmax(signs))
    radius = float(brentq(slope, grid[first - 1], grid[first], xtol=1e-14))  # pyright: ignore[reportArgumentType]
    steep = abs(slope(radius * 1.001) - slope(radius * 0.999)) / (0.002 * radius)
    ends = [gradient_flow(problem, setting.ray(factor * radius), [0.0, TIME]).value[-1] for factor in (0.95, 1.05)]
    values = {
        "radius": radius,
        "radius at most": radius,
        "radius that solve knows": trap_radius(problem),
        "from inside": ends[0],
        "from outside": ends[1],
    }
    tolerances = {"radius": ROUNDING * setting.lam / steep + 8 * EPS, "radius that solve knows": ROUNDING}
    return Measurement(values, {**tolerances, "from inside": 1e-11, "from outside": 1e-11})


def predict_trap(setting: Trap) -> Mapping[str, Any]:
    """F4, attained to leading order in the decay; from outside the flow ends where the larger class is kept."""
    case = setting.case
    common = {"K": 2, "n": (6, 3), "lam_W": setting.lam, "lam_H": setting.lam, "M": setting.M}
    return {
        "radius": AtLeast(theory.deep_landscape.trap_radius(**common)),
        "radius at most": AtMost(1.01 * theory.deep_landscape.trap_radius(**common)),
        "radius that solve knows": theory.deep_landscape.trap_radius(**common),
        "from inside": 0.5,
        "from outside": theory.deep_landscape.local_minima(**case.arguments)[1],
    }


def measure_product(case: Case) -> Measurement:
    """The product of the factors' norms at the minimum."""
    found = minimum(case)
    W, H, _ = found.params
    norms = [float(np.linalg.norm(x)) for x in (*W, H)]
    return Measurement({"product": float(np.prod(norms))}, {"product": found.distance}, found.failure)


def predict_product(case: Case) -> Mapping[str, Any]:
    """F4's consequence."""
    common = {"K": case.K, "n": case.n, "lam_W": case.lam_W, "lam_H": case.lam_H, "M": len(case.lam_W)}
    return {"product": AtLeast(theory.deep_landscape.trap_product(**common))}


def measure_pass(setting: Kept) -> Measurement:
    """The top of the path of least energy from this minimum to the one that keeps one class more."""
    path = energy_path(
        setting.case.problem, setting.start, setting._replace(kept=(*setting.kept, len(setting.kept))).start
    )
    if not path.converged:
        return Measurement(failure="the path did not come to rest")
    top = path.certificate
    values = {"value": top.value, "verdict": top.verdict.name, "highest image": float(np.max(path.values))}
    if top.index is not None:
        values["index"] = top.index
    return Measurement(values, {"value": ROUNDING * (1.0 + top.value), "highest image": 1e-12})


def predict_pass(setting: Kept) -> Mapping[str, Any]:
    """The maximiser of the next class's scalar problem, and nothing above it on the path."""
    value = theory.deep_landscape.passes(**setting.case.arguments)[len(setting.kept)]
    return {"value": value, "verdict": "STRICT_SADDLE", "index": 1, "highest image": AtMost(value)}


OWN = "derived for this project"

CLAIMS = (
    Claim(
        "F2",
        "With decay and M >= 2 zero is a strict local minimum, whatever the data: its Hessian holds the decays alone.",
        OWN,
        "decay on every factor, M >= 2",
        EIGENVALUES,
        lambda full: [UNEQUAL, CENTRED, PENALISED],
        measure_zero,
        predict_zero,
        boundary=True,
    ),
    Claim(
        "F4",
        "Gradient flow from within sqrt(q) (g N/sqrt n_max)^(1/(q-2)) of zero ends at zero; from far outside not.",
        OWN,
        "squared loss, no bias, M >= 2",
        "rounding of the slope along the ray; 1e-11 for the ends of the flow at t = 3000",
        lambda full: [Trap(2, 0.02), Trap(3, 0.02)] if full else [Trap(2, 0.02)],
        measure_trap,
        predict_trap,
        boundary=True,
    ),
    Claim(
        "F4-product",
        "At a critical point the product of the factors' norms is zero or at least (g N/sqrt n_max)^(q/(q-2)).",
        OWN,
        "squared loss, no bias, M >= 2",
        "2 |gradient| / mu, the distance of the point from the exact one",
        lambda full: [UNEQUAL, LOST, NARROW],
        measure_product,
        predict_product,
    ),
    Claim(
        "F5",
        "Keeping only the r largest classes is a local minimum for every r; skipping a larger one is a strict saddle.",
        "derived for this project (by Hessians; not proved in general)",
        "linear layers, squared loss, M >= 2, decays below the spinodal",
        "32 eps (1 + f) and |gradient| times the distance from the exact minimum",
        kept_settings,
        measure_kept,
        predict_kept,
        boundary=True,
    ),
    Claim(
        "F5-pass",
        "The path of least energy between the minima of rank r and r+1 goes over the maximiser of the next class.",
        "derived for this project (measured, not proved)",
        "as F5",
        "32 eps (1 + f): f is flat at the top; 1e-12 for images, which lie beside it",
        lambda full: [Kept(UNEQUAL, kept) for kept in ((), (0,), (0, 1))],
        measure_pass,
        predict_pass,
        boundary=True,
    ),
)
