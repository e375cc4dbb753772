"""The convex form of f (T2), its test of global optimality (T3), and the frames that its minimisers are (T7, T8)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

import theory
from ufm.certify.point import examine
from ufm.verify import by_hand
from ufm.verify.by_hand import Draw
from ufm.verify.claim import AtLeast, AtMost, Claim, Measurement
from ufm.verify.claims.balanced.draws import draws, minimum, nontrivial, points
from ufm.verify.experiment import EPS, ROUNDING


def measure_convex_form(draw: Draw) -> Measurement:
    """lam_W/2 |W|^2 + lam_H/2 |H|^2 less nu |W H|_* at random points, nu |Z|_* and Z of one, and f's least gap."""
    found = minimum(draw)
    if found.failure:
        return Measurement(failure=found.failure)
    excess = []
    for other in points(draw, 10):
        W, H, _ = other.point()
        decays = by_hand.decay(other.point()._replace(b=None), draw.lam_W, draw.lam_H, None)
        excess.append((decays - nuclear(draw, W @ H)) / decays)
    Z = draw.point().W @ draw.point().H
    size = float(np.linalg.norm(Z))
    value = found.certified.value
    values = {"excess": min(excess), "decay": nuclear(draw, Z), "logits": Z, "balance": 0.0, "gap": value}
    values["gap"] = found.certified.gap
    tolerances = {
        "excess": ROUNDING,
        "decay": ROUNDING * size,
        "logits": ROUNDING * size,
        "balance": ROUNDING * size,
        "gap": 32 * EPS * (1.0 + value),
    }
    return Measurement(values, tolerances)


def nuclear(draw: Draw, Z: np.ndarray) -> float:
    """nu |Z|_*."""
    return float(draw.problem.nu) * float(np.sum(np.linalg.svd(Z, compute_uv=False)))


def predict_convex_form(draw: Draw) -> Mapping[str, Any]:
    """The inequality, the factors that attain it, and min f = min F."""
    W, H, _ = draw.point()
    factors = theory.frames.balanced_factors(W @ H, draw.d, draw.lam_W, draw.lam_H)
    point = draw.point()._replace(W=factors[0], H=factors[1], b=None)
    balance = draw.lam_W * factors[0].T @ factors[0] - draw.lam_H * factors[1] @ factors[1].T
    return {
        "excess": AtLeast(0.0),
        "decay": by_hand.decay(point, draw.lam_W, draw.lam_H, None),
        "logits": factors[0] @ factors[1],
        "balance": float(np.linalg.norm(balance)),
        "gap": AtMost(0.0),
    }


def measure_ratio(draw: Draw) -> Measurement:
    """The singular values of G / nu at the minimum, the K-1 largest."""
    found = minimum(draw)
    if found.failure:
        return Measurement(failure=found.failure)
    problem = found.problem
    G = examine(problem, found.params).G
    ratios = np.linalg.svd(G, compute_uv=False)[: draw.K - 1] / float(problem.nu)
    # G changes by at most |Z - Z*| / N.
    tolerance = found.allowance(float(np.max(ratios))) / (float(problem.nu) * problem.N)
    values = {"ratios": ratios, "ratio": found.certified.dual_ratio}
    return Measurement(values, dict.fromkeys(values, tolerance))


def predict_ratio(draw: Draw) -> Mapping[str, Any]:
    """1 where W H is not zero, threshold / kappa < 1 where it is."""
    sizes = {"K": draw.K, "n": draw.n, "lam_W": draw.lam_W, "lam_H": draw.lam_H}
    if draw.smoothing is None:
        kappa, threshold = theory.mse.kappa(**sizes), theory.mse.collapse_threshold()
    else:
        kappa = theory.cross_entropy.kappa(**sizes)
        threshold = theory.cross_entropy.collapse_threshold(smoothing=draw.smoothing)
    ratio = min(1.0, threshold / kappa)
    return {"ratios": np.full(draw.K - 1, ratio), "ratio": ratio}


def measure_frame(draw: Draw) -> Measurement:
    """Cosines between the rows of W and between the class means."""
    found = minimum(draw)
    if found.failure:
        return Measurement(failure=found.failure)
    W, H, _ = found.params
    means = H.reshape(draw.d, draw.K, -1).mean(axis=2).T
    units = {name: X / np.linalg.norm(X, axis=1, keepdims=True) for name, X in (("W", W), ("means", means))}
    shortest = min(float(np.min(np.linalg.norm(X, axis=1))) for X in (W, means))
    values = {name: X @ X.T for name, X in units.items()}
    tolerances = dict.fromkeys(values, found.allowance(1.0) / min(1.0, shortest**2))
    return Measurement({**values, "features": W.shape[1]}, tolerances)


def predict_frame(draw: Draw) -> Mapping[str, Any]:
    """The simplex; for squares what the logits z P + zm J/K make of it, orthogonal without a bias."""
    if draw.smoothing is not None:
        rows = theory.frames.simplex_etf(draw.K, draw.d)
    elif draw.lam_b is None:
        rows = theory.frames.orthogonal_frame(draw.K, draw.d)
    else:
        logits = theory.mse.global_minimum(**draw.arguments).quantities["logits"]
        rows = theory.frames.equiangular_frame(draw.K, draw.d, float(logits[0, 1] / logits[0, 0]))
    return {"W": rows @ rows.T, "means": rows @ rows.T, "features": rows.shape[1]}


CLAIMS = (
    Claim(
        "T2",
        "lam_W/2 |W|^2 + lam_H/2 |H|^2 >= nu |W H|_*, with equality for balanced factors; min f = min of that form.",
        "known (variational form of the nuclear norm); Haeffele and Vidal (CVPR 2017)",
        "a convex loss; d >= rank of the convex form's minimiser for the last part",
        "32 eps of the size of Z; 32 eps (1 + f) for the gap, of which the bound's own margin takes 8",
        draws,
        measure_convex_form,
        predict_convex_form,
    ),
    Claim(
        "T3",
        "At a global minimum |G|_2 = nu with K-1 equal singular values, and |G|_2 = nu threshold / kappa at W = H = 0.",
        "Haeffele and Vidal (CVPR 2017), Zhu et al. (NeurIPS 2021); the singular values derived for this project",
        "a convex loss, equal class sizes",
        "the allowance of the logits divided by nu N, the Lipschitz constant of G / nu",
        draws,
        measure_ratio,
        predict_ratio,
    ),
    Claim(
        "T8-frame",
        "Rows of W and class means have the same cosines: a simplex, an orthogonal frame, or one between the two.",
        "Zhu et al. (NeurIPS 2021), Zhou et al. (ICML 2022), Tirer and Bruna (ICML 2022)",
        "equal class sizes, d >= K (cross-entropy: d >= K-1), a minimum that is not zero",
        "the allowance of a product of size 1, divided by the shortest row's squared norm",
        nontrivial,
        measure_frame,
        predict_frame,
    ),
)
