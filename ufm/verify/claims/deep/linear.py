"""Deep linear layers, squared loss: global minima (L3-L5), critical points (L6), and the threshold of collapse (L2)."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy.optimize import brentq

import theory
from ufm.certify.point import examine
from ufm.solve import solve
from ufm.verify.claim import Claim, Measurement
from ufm.verify.claims.deep.cases import CENTRED, LOST, NARROW, PENALISED, STAY, UNEQUAL, Case, minimum, zero
from ufm.verify.experiment import ALLOWANCE, ROUNDING, quantities

MINIMA = {
    "L3": (UNEQUAL, LOST, NARROW),
    "L4": (CENTRED, CENTRED.at(2.0)),
    "L5": (PENALISED, PENALISED._replace(lam_b=0.02)),
}


def measure_minimum(case: Case) -> Measurement:
    """Every quantity at the best point, which ufm's own bound certifies."""
    found = quantities(minimum(case))
    scale = float(np.max(np.abs(found.values.get("W_sq", 1.0))))
    # A product of M + 1 factors moves with each of them: M times the Lipschitz constant of a product of two.
    return Measurement(
        found.values,
        {name: x if name == "value" else 4.0 * (1.0 + scale) * x for name, x in found.tolerances.items()},
        found.failure,
    )


def predict_minimum(case: Case) -> Mapping[str, Any]:
    """The theorem, and that the bound closes."""
    return {**theory.deep_linear.global_minimum(**case.arguments).quantities, "verdict": "GLOBAL_MINIMUM"}


def measure_structure(case: Case) -> Measurement:
    """L6's identities, as norms of what should be zero."""
    found = minimum(case)
    if found.failure:
        return Measurement(failure=found.failure)
    problem, (W, H, _) = found.problem, found.params
    factors = [(problem.lam_H, H), *zip(problem.lam_Ws, W, strict=True)]
    residuals = [float(lam) * x @ x.T - float(after) * y.T @ y for (lam, x), (after, y) in itertools.pairwise(factors)]
    point = examine(problem, found.params)
    pull = float(np.sum(point.G * point.Z))
    shares = [pull + float(lam) * float(np.sum(x**2)) for lam, x in factors]
    reach = 1.0 + max(float(np.linalg.norm(x)) for _, x in factors)
    values = {
        "balance": max(float(np.linalg.norm(residual)) for residual in residuals),
        "<G, Z> + lam |factor|^2": max(abs(share) for share in shares),
    }
    return Measurement(values, dict.fromkeys(values, (2.0 * found.gradient + ROUNDING) * reach))


def predict_structure(case: Case) -> Mapping[str, Any]:
    """Zero."""
    return {"balance": 0.0, "<G, Z> + lam |factor|^2": 0.0}


def measure_threshold(case: Case) -> Measurement:
    """The product of the decays at which the non-zero minimum has the value of zero, by following it."""
    found = minimum(case)
    if found.failure:
        return Measurement(failure=found.failure)
    at_zero = examine(case.problem, zero(case)).value

    def excess(log_factor: float) -> float:
        return solve(case.at(np.exp(log_factor)).problem, start=found.params, solver=STAY).value - at_zero

    # Past the threshold the minimum lies above zero, until it ceases to exist and the solve falls to zero.
    past = next((x for x in np.arange(0.1, 5.0, 0.1) if excess(x) > 1e-6), None)
    if past is None:
        return Measurement(failure="the minimum disappears before it has the value of zero")
    root = float(brentq(excess, past - 0.1, past, xtol=1e-13))  # pyright: ignore[reportArgumentType]
    end = case.at(np.exp(root))
    W, H, _ = solve(end.problem, start=found.params, solver=STAY).params
    slope = abs(excess(root + 1e-3) - excess(root - 1e-3)) / 2e-3
    error = ROUNDING / slope + 1e-13
    values = {
        "product": end.lam_H * float(np.prod(end.lam_W)),
        "logits there": float(np.linalg.norm(W[1] @ W[0] @ H, 2)) / np.sqrt(case.problem.sizes[0]),
    }
    # The product is the third power of the factor; the logits move by less than ten times the decay's error.
    return Measurement(values, {"product": 4.0 * values["product"] * error, "logits there": 10.0 * (error + 1e-11)})


def predict_threshold(case: Case) -> Mapping[str, Any]:
    """L2: a jump from (M-1)/M to zero."""
    M = len(case.lam_W)
    return {
        "product": theory.deep_linear.collapse_thresholds(K=case.K, n=case.n, M=M)[0],
        "logits there": (M - 1) / M,
    }


def _settings(theorem: str) -> Any:
    def settings(full: bool) -> Iterable[Case]:
        yield from MINIMA[theorem]
        if full:
            yield from (case.at(factor) for case in MINIMA[theorem] for factor in (0.3, 0.7, 1.3))

    return settings


STATEMENTS = {
    "L3": "Deep linear layers keep the largest classes, each by a scalar problem of its own; all factors cost alike.",
    "L4": "With a free bias the same holds for the singular values of the centred targets.",
    "L5": "With a penalised bias the direction of the mean is fitted with weight lam_b/(1 + lam_b).",
}

CLAIMS = (
    *[
        Claim(
            theorem,
            statement,
            "Dang et al. (ICML 2023, arXiv 2301.00437) for equal classes; values derived for this project",
            "linear layers of any widths, squared loss" + (", equal classes" if theorem == "L5" else ""),
            ALLOWANCE + "; times 4 (1 + max |W_l|^2) for products of more than two",
            _settings(theorem),
            measure_minimum,
            predict_minimum,
        )
        for theorem, statement in STATEMENTS.items()
    ],
    Claim(
        "L6",
        "Critical points of deep linear layers are balanced from factor to factor, and every factor costs -<G, Z>.",
        "known for gradient flow without decay; with decay derived for this project",
        "a critical point; any loss, widths and class sizes",
        "(2 |gradient| + 32 eps) (1 + the largest norm of a factor)",
        lambda full: [UNEQUAL, CENTRED, NARROW],
        measure_structure,
        predict_structure,
    ),
    Claim(
        "L2",
        "Collapse is a jump for M >= 2: at the threshold zero and logits (M-1)/M have one value.",
        "Dang et al. (ICML 2023) for the threshold with equal classes; derived for this project",
        "linear layers, squared loss, equal classes; here with a free bias, which leaves K - 1 alike",
        "32 eps over the slope of f in the decay",
        lambda full: [CENTRED],
        measure_threshold,
        predict_threshold,
    ),
)
