"""Norm budgets instead of decays: the minimum, and the finite imbalance from which the small classes coincide (3.6).

Class sizes are real numbers (`ufm.verify.sizes`), or samples.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.models import layer_peeled
from ufm.problem import Problem
from ufm.verify.claim import Claim, Measurement
from ufm.verify.experiment import ALLOWANCE, quantities, settle
from ufm.verify.sizes import CROSSING, ROOT, STAY, crossing, peeled


class Setting(NamedTuple):
    """|W|^2 = K E_W and sum_c mean_i |h_ci|^2 = K E_H; samples: all features, not one column a class."""

    n: tuple[int, ...]
    d: int
    E_W: float
    E_H: float
    samples: bool = False

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of theory."""
        return {"K": len(self.n), "n": self.n, "d": self.d, "E_W": self.E_W, "E_H": self.E_H}


def settings(full: bool) -> Iterable[Setting]:
    """Equal sizes; two sizes from a tight budget, where the small classes coincide, to an ample one."""
    for n, E_W, E_H in [
        ((2, 2, 2, 2, 2), 0.5, 3.0),
        ((4, 1, 4, 1, 1), 1.0, 0.5),
        ((4, 1, 4, 1, 1), 0.5, 8.0),
        ((1, 3, 3, 3, 3), 3.0, 6.0),
    ]:
        yield Setting(n, 5, E_W, E_H)
        if full:
            yield Setting(n, 5, E_W, E_H, True)
    if full:
        for E_H in (1.0, 5.0, 20.0):
            yield Setting((12, 12, 12, 12, 12, 1, 1, 1, 1, 1), 10, 1.0, E_H)
            yield Setting((3, 1), 2, 2.0, E_H, True)


def measure_minimum(setting: Setting) -> Measurement:
    """Every quantity of the minimum that the solver finds from a random start."""
    model = layer_peeled(setting.E_W, setting.E_H)
    if setting.samples:
        return quantities(settle(Problem(len(setting.n), setting.n, setting.d, model=model)))
    found = quantities(settle(peeled(setting.n, setting.d, model), solver=STAY))
    if found.failure:
        return found
    values, sizes, roots = dict(found.values), np.array(setting.n), np.sqrt(setting.n)
    scores = values["logits"]
    values["H_sq"] = float(sizes @ np.diag(values["gram_M"]))
    values["sigma_Z"] = np.linalg.svd(scores * roots, compute_uv=False)
    values["margin"] = float(np.min((np.diag(scores) - scores)[~np.eye(len(sizes), dtype=bool)]))
    largest = float(np.max(sizes))
    of_columns = {name: largest * found.tolerances[name] for name in ("H_sq", "sigma_Z")}
    return Measurement(values, {**found.tolerances, **of_columns, "margin": found.tolerances["logits"]})


def predict_minimum(setting: Setting) -> Mapping[str, Any]:
    """The closed form; the value of equal sizes by its own formula."""
    found = theory.layer_peeled.global_minimum(**setting.arguments).quantities
    if len(set(setting.n)) == 1:
        value = theory.layer_peeled.balanced_value(K=len(setting.n), E_W=setting.E_W, E_H=setting.E_H)
        found = {**found, "data_loss": value}
    return {**found, "verdict": "GLOBAL_MINIMUM"}


class Peeled(NamedTuple):
    """k_A large and k_B small classes within norm budgets; stated: R_0 as the theory reference prints it."""

    k_A: int
    k_B: int
    E_W: float
    E_H: float
    stated: str


def measure_peeled(setting: Peeled) -> Measurement:
    """R_0, and whether the printed digits agree with it."""
    K, model = setting.k_A + setting.k_B, layer_peeled(setting.E_W, setting.E_H)
    R = crossing(
        lambda R: peeled([R] * setting.k_A + [1.0] * setting.k_B, K, model), tuple(range(setting.k_A, K)), 1.0, 1e4
    )
    last_digit = 10.0 ** -len(setting.stated.partition(".")[2])
    return Measurement({"R0": R, "digits": R}, {"R0": ROOT * R, "digits": last_digit / 2})


def predict_peeled(setting: Peeled) -> Mapping[str, Any]:
    """From the multiplier of the budget; as printed."""
    arguments = {"k_A": setting.k_A, "k_B": setting.k_B, "E_W": setting.E_W, "E_H": setting.E_H}
    return {"R0": theory.layer_peeled.minority_collapse_ratio(**arguments), "digits": float(setting.stated)}


PEELED = (
    Peeled(5, 5, 1.0, 5.0, "12.192447"),
    Peeled(5, 5, 1.0, 10.0, "81.102206"),
    Peeled(3, 7, 1.0, 5.0, "245.49693"),
    Peeled(2, 3, 1.0, 2.0, "11.144388"),
    Peeled(1, 4, 1.0, 3.0, "2910.1898"),
    Peeled(3, 2, 1.0, 3.0, "6.25098"),
)


CLAIMS = (
    Claim(
        "3.6",
        "Within norm budgets: one simplex ETF for equal sizes; for two sizes an ETF in each group and one direction.",
        "Model: Fang et al. (PNAS 2021), equal sizes theirs; two sizes derived for this project",
        "cross-entropy without bias, at most two class sizes, d >= K-1, both budgets used up",
        ALLOWANCE,
        settings,
        measure_minimum,
        predict_minimum,
    ),
    Claim(
        "3.6-ratio",
        "Within norm budgets the small classes coincide exactly from a finite imbalance R_0 on.",
        "Fang et al. (PNAS 2021) for the limit R -> infinity; the finite threshold derived for this project",
        "layer-peeled model, two class sizes, d >= K; n_A real",
        CROSSING + "; the reference's six numbers to the digits they have",
        lambda full: PEELED,
        measure_peeled,
        predict_peeled,
        boundary=True,
    ),
)
