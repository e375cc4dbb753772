"""Norm budgets instead of decays: the minimum for equal and for two class sizes (3.6)."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import theory
from ufm.models import layer_peeled
from ufm.problem import Problem
from ufm.verify.claim import Claim, Measurement
from ufm.verify.experiment import ALLOWANCE, quantities, settle


class Setting(NamedTuple):
    """|W|^2 = K E_W and sum_c mean_i |h_ci|^2 = K E_H."""

    n: int | tuple[int, ...]
    K: int
    d: int
    E_W: float
    E_H: float


def settings(full: bool) -> Iterable[Setting]:
    """Equal sizes; two sizes from a tight budget, where the small classes coincide, to an ample one."""
    yield Setting(2, 3, 3, 0.5, 3.0)
    yield Setting(2, 3, 3, 4.0, 9.0)
    sizes = (4, 1, 4, 1, 1)
    for E_W, E_H in [(1.0, 0.5), (0.5, 8.0), (3.0, 6.0)]:
        yield Setting(sizes, 5, 5, E_W, E_H)
    if full:
        for E_H in (1.0, 5.0, 20.0):
            yield Setting((12, 12, 12, 12, 12, 1, 1, 1, 1, 1), 10, 10, 1.0, E_H)
            yield Setting((3, 1), 2, 2, 2.0, E_H)


def measure(setting: Setting) -> Measurement:
    """Every quantity of the minimum that the solver finds from a random start."""
    model = layer_peeled(setting.E_W, setting.E_H)
    return quantities(settle(Problem(setting.K, setting.n, setting.d, model=model)))


def predict(setting: Setting) -> Mapping[str, Any]:
    """The closed form; the value of equal sizes by its own formula."""
    found = theory.layer_peeled.global_minimum(**setting._asdict()).quantities
    if isinstance(setting.n, tuple):
        return found
    value = theory.layer_peeled.balanced_value(K=setting.K, E_W=setting.E_W, E_H=setting.E_H)
    return {**found, "data_loss": value}


CLAIMS = (
    Claim(
        "3.6",
        "Within norm budgets: one simplex ETF for equal sizes; for two sizes an ETF in each group and one direction.",
        "Model: Fang et al. (PNAS 2021), equal sizes theirs; two sizes derived for this project",
        "cross-entropy without bias, at most two class sizes, d >= K-1, both budgets used up",
        ALLOWANCE,
        settings,
        measure,
        predict,
    ),
)
