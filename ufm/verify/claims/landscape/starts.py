"""Where random starts end: at one value where the landscape is benign (T4, squares at any d), else at more (T6)."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.certify.certificate import Verdict, certify
from ufm.dimensions import by_dimension
from ufm.problem import Params, Problem
from ufm.solve import solve
from ufm.verify.claim import AtLeast, Claim, Measurement
from ufm.verify.claims.landscape.cases import STAY, Case
from ufm.verify.claims.landscape.critical import MINIMA
from ufm.verify.experiment import ROUNDING, settle


def benign_cases(full: bool) -> Iterable[Case]:
    """T4: unequal classes, at the smallest d that it allows; ten starts each, or forty."""
    return (case._replace(seeds=40 if full else 10) for case in MINIMA)


def few_features_cases(full: bool) -> Iterable[Case]:
    """T9: squares at d < K, with and without a bias."""
    for case in (Case(5, 2, 3, 0.03, 0.01, 0.3, None), Case(5, 2, 3, 0.03, 0.01, None, None)):
        yield case._replace(seeds=40 if full else 10)
    if full:
        yield Case(8, 1, 3, 0.02, 0.02, 50.0, None, seeds=40)


def measure_benign(case: Case) -> Measurement:
    """Where random starts end when no saddle is left on purpose: verdicts and values."""
    problem, certificates = case.problem, []
    for key in range(case.seeds):
        solution = solve(problem, key, solver=STAY)
        if solution.status.name != "CONVERGED":
            return Measurement(failure=f"seed {key}: {solution.message}")
        certificates.append(certify(problem, solution.params))
    first = certificates[0].value
    values = {
        "verdicts": " ".join(sorted({c.verdict.name for c in certificates})),
        "values": np.array([c.value for c in certificates]),
        "spread": float(np.ptp([c.value for c in certificates])),
    }
    tolerance = ROUNDING * (1.0 + first)
    return Measurement(values, {"values": tolerance, "spread": tolerance})


def predict_benign(case: Case) -> Mapping[str, Any]:
    """One global minimum; its value where a closed form is known."""
    predicted = {"verdicts": "GLOBAL_MINIMUM", "spread": 0.0}
    if case.smoothing is not None:
        return predicted
    return {**predicted, "values": np.full(case.seeds, theory.mse.global_minimum(**case.arguments).value)}


class Spurious(NamedTuple):
    """T6: cross-entropy at d < K-1 with lam_b = 0.1 and its two lowest values; lam is lam_W = 2 lam_H of two samples.

    By T21 that is one sample a class at lam_W = lam_H = lam.
    """

    K: int
    d: int
    lam: float
    lowest: float
    higher: float

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return Problem(self.K, 2, self.d, self.lam, self.lam / 2, 0.1)


def spurious_cases(full: bool) -> Iterable[Spurious]:
    """Counterexamples in two and in three features."""
    yield Spurious(5, 2, 0.05, 0.938473085202, 0.969106050566)
    yield Spurious(5, 3, 1e-3, 0.035855347657, 0.035896757664)
    if full:
        yield Spurious(6, 2, 0.03, 0.925882765705, 0.931184303236)


def measure_spurious(case: Spurious) -> Measurement:
    """The two lowest values found, with what the certificate makes of both points."""
    seen: dict[float, Params] = {}
    for key in range(60):
        solution = solve(case.problem, key, solver=STAY)
        if solution.status.name != "CONVERGED":
            return Measurement(failure=f"seed {key}: {solution.message}")
        seen.setdefault(round(solution.value, 9), solution.params)
        if len(seen) == 2:
            break
    if len(seen) < 2:
        return Measurement(failure="sixty starts ended at one value")
    found = [settle(case.problem, start=params, solver=STAY) for _, params in sorted(seen.items())]
    certificates = [point.certificate for point in found]
    lost = np.linalg.norm(found[1].params.H, axis=0) <= 1e-6
    values = {
        "verdicts": " ".join(c.verdict.name for c in certificates),
        "lowest": certificates[0].value,
        "both": np.array([c.value for c in certificates]),
        "zero modes": [c.nullity for c in certificates],
        "|G|/nu": min(c.dual_ratio for c in certificates),
        "gap": min(c.gap for c in certificates),
        "classes lost": int(np.sum(lost)) // case.problem.sizes[0],
    }
    return Measurement(values, {"lowest": max(p.value_allowance() for p in found), "both": 6e-13})


def predict_spurious(case: Spurious) -> Mapping[str, Any]:
    """Strict local minima both; the lower one on a regular polygon, the higher one without one of the classes."""
    orbit = case.d * (case.d - 1) // 2
    predicted: dict[str, Any] = {
        "verdicts": "LOCAL_MINIMUM LOCAL_MINIMUM",
        "both": np.array([case.lowest, case.higher]),
        "zero modes": [orbit, orbit],
        "|G|/nu": AtLeast(1.0 + 1e-6),
        "gap": AtLeast(1e-3),
    }
    if case.d > 2:
        return predicted
    polygon = theory.code_values.polygon_candidate(K=case.K, n=2, lam_W=case.lam, lam_H=case.lam / 2)
    return {**predicted, "lowest": polygon.value, "classes lost": 1}


class Dimensions(NamedTuple):
    """Five classes of one sample, equal decays, lam_b = 0.1, at these dimensions; the least d that T4 calls benign."""

    lam: float
    dimensions: tuple[int, ...]
    spurious: int  # the d at which the reference has two minima

    @property
    def problem(self) -> Problem:
        """At any d."""
        return Problem(5, 1, 5, self.lam, self.lam, 0.1)


def dimension_cases(full: bool) -> Iterable[Dimensions]:
    """Where it stops; or every d from 1 to K + 2."""
    yield Dimensions(1e-3, tuple(range(1, 8)) if full else (3, 4), 3)
    if full:
        yield Dimensions(0.05, tuple(range(1, 8)), 2)


def measure_dimensions(case: Dimensions) -> Measurement:
    """From which d on every start ends at one proven minimum, and how many spurious ones there are at another d."""
    seen = by_dimension(case.problem, case.dimensions, 24)
    if any(at.found.converged < at.found.starts for at in seen):
        return Measurement(failure="a start did not converge")
    proven = [at.benign and at.certificates[0].verdict is Verdict.GLOBAL_MINIMUM for at in seen]
    failing = [at.d for at, good in zip(seen, proven, strict=True) if not good]
    values = {
        "last d without a proof": max(failing, default=0),
        "spurious": next(at.spurious for at in seen if at.d == case.spurious),
        "lowest": np.array([at.found.values[0] for at, good in zip(seen, proven, strict=True) if good]),
    }
    return Measurement(values, {"lowest": 10.0 * ROUNDING})


def predict_dimensions(case: Dimensions) -> Mapping[str, Any]:
    """d = K - 2, the last one below T4's condition; a spurious minimum; T7's value at every d from K - 1 on."""
    K = case.problem.K
    lowest = theory.cross_entropy.global_minimum(K=K, n=1, d=K, lam_W=case.lam, lam_H=case.lam, lam_b=0.1).value
    benign = sum(d >= K - 1 for d in case.dimensions)
    return {"last d without a proof": K - 2, "spurious": AtLeast(1), "lowest": np.full(benign, lowest)}


CLAIMS = (
    Claim(
        "T4-dimensions",
        "Found blind, dimension by dimension: one proven minimum from d = K-1 on, and spurious ones below.",
        "Zhu et al. (NeurIPS 2021) for d > K; d = K-1 and the minima below derived for this project",
        "cross-entropy, equal classes",
        "320 eps: values are flat at minima",
        dimension_cases,
        measure_dimensions,
        predict_dimensions,
        boundary=True,
    ),
    Claim(
        "T4",
        "Benign landscape: at d >= K-1 (cross-entropy, free bias) or d >= K every start ends at one global minimum.",
        "Zhu et al. (NeurIPS 2021) for d > K; d >= K-1, unequal classes and the rest derived for this project",
        "a convex loss, class labels, any class sizes",
        "32 eps (1 + f): the value is flat at a minimum",
        benign_cases,
        measure_benign,
        predict_benign,
    ),
    Claim(
        "T9-benign",
        "Squares have no spurious minima at d < K-1 either.",
        "derived for this project (measured, not proved)",
        "squared loss, equal class sizes",
        "32 eps (1 + f): the value is flat at a minimum",
        few_features_cases,
        measure_benign,
        predict_benign,
    ),
    Claim(
        "T6",
        "Cross-entropy at d < K-1 is not benign: strict local minima that are not global, where no bound closes.",
        "derived for this project",
        "equal class sizes, d < K-1",
        "6e-13 for the digits that the reference gives; 32 eps (1 + f) for the polygon's value",
        spurious_cases,
        measure_spurious,
        predict_spurious,
        boundary=True,
    ),
)
