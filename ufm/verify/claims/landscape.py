"""Critical points: their structure (T1), benign landscapes (T4, T9), ways down from saddles (T5), and where it ends (T6)."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from theory.mse_spectrum import spectrum_with_bias, spectrum_without_bias
from ufm.certify.certificate import certify
from ufm.certify.point import examine, hessian_operator, packing
from ufm.losses import MSE, CrossEntropy
from ufm.problem import Params, Problem
from ufm.solve import solve
from ufm.solvers.newton import TrustRegion
from ufm.start import random_start
from ufm.verify.claim import AtLeast, Claim, Measurement
from ufm.verify.claims.balanced import expanded, spectrum_measurement
from ufm.verify.experiment import EPS, ROUNDING, Settled, settle, settled_at

SIZES = (4, 2, 1, 2, 1)
STAY = TrustRegion(escapes=False)


class Case(NamedTuple):
    """A problem; smoothing None: squares. rank: of a saddle whose features beyond it are zero; None: any minimum."""

    K: int
    n: int | tuple[int, ...]
    d: int
    lam_W: float
    lam_H: float
    lam_b: float | None
    smoothing: float | None = 0.0
    rank: int | None = None
    seeds: int = 1

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of Problem and of theory alike."""
        return {name: getattr(self, name) for name in ("K", "n", "d", "lam_W", "lam_H", "lam_b")}

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return Problem(**self.arguments, loss=MSE() if self.smoothing is None else CrossEntropy(self.smoothing))


MINIMA = (
    Case(5, SIZES, 4, 0.02, 0.03, 0.01, 0.0),
    Case(5, SIZES, 4, 0.02, 0.01, 0.0, 0.2),
    Case(5, SIZES, 4, 0.02, 0.03, 0.0, None),
    Case(5, SIZES, 5, 0.02, 0.03, None, None),
)
SADDLES = (
    Case(4, 2, 5, 0.08, 0.02, 0.05, 0.0, rank=0),
    Case(4, 2, 5, 0.08, 0.02, 0.05, 0.0, rank=1),
    Case(4, 2, 5, 0.02, 0.02, 0.0, 0.1, rank=2),
    Case(4, 2, 5, 0.005, 0.05, 0.3, None, rank=1),
    Case(4, 2, 5, 0.03, 0.01, None, None, rank=2),
    Case(4, 2, 5, 0.03, 0.01, None, None, rank=0),
)


def benign_cases(full: bool) -> Iterable[Case]:
    """T4: unequal classes, at the smallest d that it allows; ten starts each, or forty."""
    return (case._replace(seeds=40 if full else 10) for case in MINIMA)


def few_features_cases(full: bool) -> Iterable[Case]:
    """T9: squares at d < K, with and without a bias."""
    for case in (Case(5, 2, 2, 0.03, 0.01, 0.3, None), Case(5, 2, 2, 0.03, 0.01, None, None)):
        yield case._replace(seeds=40 if full else 10)
    if full:
        yield Case(8, 1, 3, 0.02, 0.02, 50.0, None, seeds=40)


def saddle_cases(full: bool) -> Iterable[Case]:
    """T5: both losses, every bias mode, ranks from 0 on."""
    yield from SADDLES
    if full:
        for case in SADDLES:
            yield from (case._replace(rank=rank, lam_H=3 * case.lam_H) for rank in range(3))


def critical_cases(full: bool) -> Iterable[Case]:
    """T1: minima of unequal classes, and saddles."""
    yield from MINIMA
    yield from saddle_cases(full)


@functools.cache
def critical(case: Case) -> Settled:
    """The point, followed to rounding level: features that are zero in W and H stay zero, exactly."""
    problem = case.problem
    if case.rank is None:
        return settle(problem)
    start, seen = random_start(problem), np.arange(case.d) < case.rank
    first = solve(problem, start=start._replace(W=start.W * seen, H=start.H * seen[:, None]), solver=STAY)
    return settled_at(problem, solve(problem, start=first.params, gtol=EPS, solver=STAY).params, first)


def measure_structure(case: Case) -> Measurement:
    """T1's identities as norms of what should be zero, and rank W - (K-1)."""
    found = critical(case)
    if found.failure:
        return Measurement(failure=found.failure)
    problem, (W, H, b) = found.problem, found.params
    point, nu = examine(problem, found.params), float(problem.nu)
    U, s, Vt = np.linalg.svd(point.Z, full_matrices=False)
    r = int(np.sum(s > 1e-6))
    root = np.sqrt(s[:r])
    decays = (problem.lam_W * np.sum(W**2) + problem.lam_H * np.sum(H**2)) / 2
    residuals = {
        "balance": problem.lam_W * W.T @ W - problem.lam_H * H @ H.T,
        "G V": (point.G @ Vt[:r].T + nu * U[:, :r]) * root,
        "U^T G": (U[:, :r].T @ point.G + nu * Vt[:r]) * root[:, None],
        "decays": decays - nu * np.sum(s),
        "<G, Z>": np.sum(point.G * point.Z) + nu * np.sum(s),
        "G 1": 0.0 if b is None else point.G.sum(axis=1) + problem.lam_b * b,
    }
    if problem.loss.shift_invariant:
        residuals |= {"1^T G": point.G.sum(axis=0), "1^T W": problem.lam_W * W.sum(axis=0)}
    # Each is a gradient times W, H or 1, up to the rounding of G and of the decays.
    reach = 1.0 + float(np.linalg.norm(W)) + float(np.linalg.norm(H))
    tolerance = (2.0 * found.gradient + ROUNDING) * reach
    values = {name: float(np.linalg.norm(x)) for name, x in residuals.items()}
    return Measurement(values, dict.fromkeys(values, tolerance))


def predict_structure(case: Case) -> Mapping[str, Any]:
    """All zero."""
    names = ("balance", "G V", "U^T G", "decays", "<G, Z>", "G 1")
    return dict.fromkeys(names if case.smoothing is None else (*names, "1^T G", "1^T W"), 0.0)


def measure_benign(case: Case) -> Measurement:
    """Where random starts end: verdicts, and values relative to the first one."""
    problem, certificates = case.problem, []
    for key in range(case.seeds):
        solution = solve(problem, key)
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


def measure_escape(case: Case) -> Measurement:
    """T5's pair along the certificate's direction, the curvature of Zhu et al.'s, the verdict and the whole spectrum."""
    found = critical(case)
    if found.failure or found.spectrum is None:
        return Measurement(failure=found.failure or "the spectrum is not affordable")
    problem, params, certificate = found.problem, found.params, found.certificate
    lam_W, lam_H, nu = float(problem.lam_W), float(problem.lam_H), float(problem.nu)
    U, gains, Vt = np.linalg.svd(examine(problem, params).G, full_matrices=False)
    mu = (lam_W + lam_H) / 2 - np.hypot((lam_W - lam_H) / 2, gains[0])
    product, _ = hessian_operator(problem, params)
    pack, _ = packing(params)
    v = pack(certificate.escape)
    blind = np.linalg.svd(np.vstack([params.W, params.H.T]))[2][-1]
    tilt = (lam_H / lam_W) ** 0.25
    zero = None if params.b is None else np.zeros_like(params.b)
    paper = pack(Params(tilt * np.outer(U[:, 0], blind), -np.outer(blind, Vt[0]) / tilt, zero))
    spectrum = spectrum_measurement(found.spectrum, found.distance)
    tolerance = spectrum.tolerances["eigenvalues"]
    values = {
        **spectrum.values,
        "|Hess v - mu v|": float(np.linalg.norm(product(v) - mu * v)),
        "smallest - mu": float(found.spectrum[0] - mu),
        "paper's": float(paper @ product(paper) + 2.0 * (gains[0] - nu)),
        "|G|/nu": certificate.dual_ratio,
        "verdict": certificate.verdict.name,
    }
    tolerances = dict.fromkeys(("eigenvalues", "|Hess v - mu v|", "smallest - mu", "paper's"), tolerance)
    return Measurement(values, tolerances)


def predict_escape(case: Case) -> Mapping[str, Any]:
    """Exact eigenpairs; every eigenvalue where it is known."""
    predicted = {
        "|Hess v - mu v|": 0.0,
        "smallest - mu": 0.0,
        "paper's": 0.0,
        "|G|/nu": AtLeast(1.0),
        "verdict": "STRICT_SADDLE",
    }
    shape = (case.K, int(np.max(case.n)), case.d, case.lam_W, case.lam_H)
    rank = case.rank or 0
    if case.smoothing is None and case.lam_b is None:
        return {**predicted, **expanded(spectrum_without_bias(*shape, rank))}
    if case.smoothing is None:
        return {**predicted, **expanded(spectrum_with_bias(*shape, case.lam_b or 0.0, rank, 0.0))}
    if rank == 0:
        origin = theory.cross_entropy.origin_spectrum(**case.arguments, smoothing=case.smoothing)
        return {**predicted, **expanded(origin)}
    return predicted


class Spurious(NamedTuple):
    """T6: cross-entropy at d < K-1, one sample a class, equal decays, lam_b = 0.1, with its two lowest values."""

    K: int
    d: int
    lam: float
    lowest: float
    higher: float

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return Problem(self.K, 1, self.d, self.lam, self.lam, 0.1)


def spurious_cases(full: bool) -> Iterable[Spurious]:
    """The counterexamples of the reference."""
    yield Spurious(5, 2, 0.05, 0.938473085202, 0.969106050566)
    yield Spurious(6, 2, 0.03, 0.925882765705, 0.931184303236)
    yield Spurious(5, 3, 1e-3, 0.035855347657, 0.035896757664)


def measure_spurious(case: Spurious) -> Measurement:
    """The two lowest values found, with what the certificate makes of both points."""
    seen: dict[float, Params] = {}
    for key in range(60):
        solution = solve(case.problem, key)
        if solution.status.name != "CONVERGED":
            return Measurement(failure=f"seed {key}: {solution.message}")
        seen.setdefault(round(solution.value, 9), solution.params)
        if len(seen) == 2:
            break
    if len(seen) < 2:
        return Measurement(failure="sixty starts ended at one value")
    found = [settle(case.problem, start=params) for _, params in sorted(seen.items())]
    certificates = [point.certificate for point in found]
    lost = np.linalg.norm(found[1].params.H, axis=0) <= 1e-6
    values = {
        "verdicts": " ".join(c.verdict.name for c in certificates),
        "lowest": certificates[0].value,
        "both": np.array([c.value for c in certificates]),
        "zero modes": [c.nullity for c in certificates],
        "|G|/nu": min(c.dual_ratio for c in certificates),
        "gap": min(c.gap for c in certificates),
        "classes lost": int(np.sum(lost)),
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
    polygon = theory.code_values.polygon_candidate(K=case.K, n=1, lam_W=case.lam, lam_H=case.lam)
    return {**predicted, "lowest": polygon.value, "classes lost": 1}


IDENTITIES = "(2 |gradient| + 32 eps) (1 + |W| + |H|): each is a gradient times W, H or 1"
EIGENVALUES = "1e-12 of the largest eigenvalue (rounding of eigvalsh) plus the distance of the point from the exact one"

CLAIMS = (
    Claim(
        "T1",
        "Critical points are balanced, lam_W W^T W = lam_H H H^T, and W H has the singular vectors of its gradient.",
        "Zhu et al. (NeurIPS 2021) for the balance; the rest derived for this project",
        "a critical point, minimum or saddle; any class sizes",
        IDENTITIES,
        critical_cases,
        measure_structure,
        predict_structure,
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
        "T5",
        "At a saddle every singular value g of G gives the eigenvalues (lam_W+lam_H)/2 +- hypot((lam_W-lam_H)/2, g).",
        "Zhu et al. (NeurIPS 2021), Theorem 3.2, for the direction; the eigenpair derived for this project",
        "a critical point where W has a null vector",
        EIGENVALUES,
        saddle_cases,
        measure_escape,
        predict_escape,
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
