"""Critical points: their structure (T1), and the ways down from saddles (T5)."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

import theory
from theory.mse_spectrum import spectrum_with_bias, spectrum_without_bias
from ufm.certify.point import examine, hessian_operator, packing
from ufm.problem import Params
from ufm.verify.claim import AtLeast, Claim, Measurement
from ufm.verify.claims.landscape.cases import SIZES, Case, critical
from ufm.verify.experiment import ROUNDING
from ufm.verify.spectra import EIGENVALUES, expanded, spectrum_measurement

MINIMA = (
    Case(5, SIZES, 4, 0.02, 0.03, 0.01, 0.0),
    Case(5, SIZES, 4, 0.02, 0.01, 0.0, 0.2),
    Case(5, SIZES, 4, 0.02, 0.03, 0.0, None),
    Case(5, SIZES, 5, 0.02, 0.03, None, None),
)
SADDLES = (
    Case(5, 2, 3, 0.08, 0.02, 0.05, 0.0, rank=0),
    Case(5, 2, 3, 0.02, 0.06, 0.05, 0.0, rank=1),
    Case(5, 2, 3, 0.02, 0.02, 0.0, 0.1, rank=2),
    Case(5, 2, 3, 0.005, 0.05, 0.3, None, rank=1),
    Case(5, 2, 3, 0.03, 0.01, 0.0, None, rank=2),
    Case(5, 2, 3, 0.03, 0.01, None, None, rank=2),
    Case(5, 2, 3, 0.03, 0.01, None, None, rank=0),
)


def saddle_cases(full: bool) -> Iterable[Case]:
    """T5: both losses, every bias mode, ranks from 0 on."""
    yield from SADDLES
    if full:
        for case in SADDLES:
            yield from (case._replace(rank=rank, lam_H=0.5 * case.lam_H) for rank in range(3))


def critical_cases(full: bool) -> Iterable[Case]:
    """T1: minima of unequal classes, and saddles."""
    yield from MINIMA
    yield from saddle_cases(full)


def measure_structure(case: Case) -> Measurement:
    """T1's identities, as norms of what should be zero."""
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


def measure_escape(case: Case) -> Measurement:
    """T5's pair along the certificate's direction, the curvature along Zhu et al.'s, the verdict and the spectrum."""
    found = critical(case)
    if found.failure or found.spectrum is None:
        return Measurement(failure=found.failure or "the spectrum is not affordable")
    problem, params, certificate = found.problem, found.params, found.certified
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
    curvatures: tuple[str, ...] = ("eigenvalues", "|Hess v - mu v|", "smallest - mu", "paper's")
    return Measurement(values, dict.fromkeys(curvatures, tolerance))


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


IDENTITIES = "(2 |gradient| + 32 eps) (1 + |W| + |H|): each is a gradient times W, H or 1"

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
        "T5",
        "At a saddle every singular value g of G gives the eigenvalues (lam_W+lam_H)/2 +- hypot((lam_W-lam_H)/2, g).",
        "Zhu et al. (NeurIPS 2021), Theorem 3.2, for the direction; the eigenpair derived for this project",
        "a critical point where W has a null vector",
        EIGENVALUES,
        saddle_cases,
        measure_escape,
        predict_escape,
    ),
)
