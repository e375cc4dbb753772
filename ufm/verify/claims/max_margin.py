"""The max-margin geometry of imbalanced classes (SELI), and cross-entropy on its way there (3.1, 3.2, 3.3, 8).

    min 1/2 |W|^2 + 1/2 |H|^2   s.t.   (w_y - w_c) . h_i >= s_y for every sample i of class y and every c != y

is solved by the method of multipliers: a squared hinge at the margins s_y plus multiplier/penalty, which are targets of
the problem, so that one compilation serves all of them. With one column a class, sqrt(n_c) times its common feature,
the margins are s_c = sqrt(n_c), and class sizes are real numbers.
"""

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import theory
from ufm.losses.user import UserLoss
from ufm.problem import Params, Problem
from ufm.solve import solve
from ufm.start import etf_start
from ufm.status import Status
from ufm.verify.claim import Claim, Measurement
from ufm.verify.compare import measure
from ufm.verify.experiment import EPS
from ufm.verify.sizes import per_sample

# Times max(s)^(-1/2): from a smooth problem to one that the multipliers finish quickly.
PENALTIES = (0.1, 1.0, *[10.0] * 60)


def _squared_hinge(Z: jax.Array, Y: jax.Array) -> jax.Array:
    """penalty/2 sum_c (y_c - (z_own - z_c))_+^2 of each column; y is -penalty at its own class and > 0 elsewhere."""
    own = Y < 0.0
    lead = jnp.sum(jnp.where(own, Z, 0.0), axis=0) - Z
    hinges = jnp.where(own, 0.0, jnp.maximum(Y - lead, 0.0))
    return -jnp.sum(jnp.where(own, Y, 0.0), axis=0) / 2 * jnp.sum(hinges**2, axis=0)


HINGE = UserLoss(_squared_hinge, convex=True, shift_invariant=True)


class Margins(NamedTuple):
    """Class sizes; samples: with n features a class, else with one column a class at margins sqrt(n_c)."""

    n: tuple[float, ...]
    samples: bool = False


class Separated(NamedTuple):
    """The hard-margin solution; slack: the largest deviation of a margin, and the gradient."""

    problem: Problem
    params: Params
    slack: float


@functools.cache
def separated(setting: Margins) -> Separated | str:
    """The hard-margin solution, or why there is none."""
    K = len(setting.n)
    own, roots = np.eye(K, dtype=bool), np.ones(K) if setting.samples else np.sqrt(np.asarray(setting.n, float))
    problem = Problem(K, setting.n if setting.samples else 1, K, 1.0, 1.0, loss=HINGE, targets=np.eye(K))
    params, multipliers, slack = etf_start(dataclasses.replace(problem, targets=None)), np.zeros((K, K)), math.inf
    for penalty in np.array(PENALTIES) / math.sqrt(np.max(roots)):
        wanted = np.where(own, -penalty, roots + multipliers / penalty)
        problem = dataclasses.replace(problem, targets=wanted)
        found = solve(problem, start=params, gtol=4e-12 * float(np.max(roots)))
        if found.status is not Status.CONVERGED:
            return found.message
        params, logits = found.params, measure(problem, found.params)["logits"]
        lead = np.diag(logits) - logits
        multipliers = np.where(own, 0.0, penalty * np.maximum(wanted - lead, 0.0))
        before, slack = slack, float(np.max(np.abs(np.where(own, 0.0, lead - roots))))
        if slack <= 16 * EPS * float(np.max(roots)) or (slack >= before / 2 and slack <= 1e-9 * np.max(roots)):
            break
    return Separated(problem, params, slack + found.grad_norm)


def measure_margins(setting: Margins) -> Measurement:
    """Every quantity of the hard-margin solution, of the samples."""
    found = separated(setting)
    if isinstance(found, str):
        return Measurement(failure=found)
    values = dict(measure(found.problem, found.params))
    K, N = len(setting.n), float(sum(setting.n))
    slack = 16 * K * (found.slack + EPS * math.sqrt(max(setting.n)))
    tolerances = {name: slack * (1.0 + float(np.max(np.abs(x)))) for name, x in values.items()}
    values = dict(per_sample(Measurement(values, tolerances), (1,) * K if setting.samples else setting.n).values)
    tolerances["margin"] = tolerances["logits"]
    values["value"] = (values["W_sq"] + values["H_sq"]) / 2
    values["largest"] = values["margin"] * math.sqrt(K * 1.3 * N * 2.1 / (values["W_sq"] * values["H_sq"]))
    values |= {"cos w": _last_cosine(values["gram_W"]), "cos h": _last_cosine(values["gram_M"])}
    return Measurement(values, {**tolerances, "largest": slack * 4.0, "value": tolerances["W_sq"]})


def _last_cosine(gram: np.ndarray) -> float:
    return float(gram[-1, -2] / math.sqrt(gram[-1, -1] * gram[-2, -2]))


def predict_margins(setting: Margins) -> Mapping[str, Any]:
    """The SVD of the centred labels; the largest margin within |W|^2 <= 1.3 K, |H|^2 <= 2.1 N."""
    K, n = len(setting.n), tuple(int(size) for size in setting.n)
    found = theory.seli.global_minimum(K=K, n=n, d=K).quantities
    largest = theory.fixed_classifier.largest_margin(K=K, n=n, E_W=1.3, E_H=2.1)
    return {**found, "value": theory.seli.nuclear_norm(K=K, n=n), "largest": largest}


class Step(NamedTuple):
    """k_A classes of n_A samples, k_B of n_B; stated: cos(w_B, w_B') as the theory reference prints it, or ""."""

    k_A: int
    k_B: int
    n_A: int
    n_B: int
    stated: str = ""

    @property
    def margins(self) -> Margins:
        """A's classes first."""
        return Margins((float(self.n_A),) * self.k_A + (float(self.n_B),) * self.k_B)


def measure_step(setting: Step) -> Measurement:
    """As `measure_margins`; "digits" is cos(w_B, w_B')."""
    found = measure_margins(setting.margins)
    if found.failure:
        return found
    last_digit = 10.0 ** -len(setting.stated.partition(".")[2])
    digits = {"digits": found.values["cos w"]}
    return Measurement({**found.values, **digits}, {**found.tolerances, "digits": 0.51 * last_digit})


def predict_step(setting: Step) -> Mapping[str, Any]:
    """Square roots of n_A, n_B and m; the printed cosine."""
    found = theory.seli.step_minimum(**{name: value for name, value in setting._asdict().items() if name != "stated"})
    return {**found.quantities, **({"digits": float(setting.stated)} if setting.stated else {})}


STEPS = (
    Step(3, 7, 20, 3),
    Step(5, 5, 1, 1, "-.1111"),
    Step(5, 5, 10, 1, ".0334"),
    Step(5, 5, 100, 1, ".338"),
    Step(5, 5, 10**4, 1, ".873"),
    Step(5, 5, 10**8, 1, ".9986"),
)


def margin_settings(full: bool) -> Iterable[Margins]:
    """Samples, and sizes of ten classes."""
    yield Margins((5, 2, 1), True)
    many = [(9, 8, 7, 7, 5, 4, 3, 2, 1, 1), (2,) * 10]
    if full:
        many += [(7, 3, 2, 1), (6, 6, 2, 2), (1000, 1, 1, 1), (50, 20, 3, 2)]
    for n in many:
        yield Margins(tuple(float(size) for size in n))


HARD = "16 K (1 + size) times the largest deviation of a margin from its bound, the gradient, and rounding"

CLAIMS = (
    Claim(
        "3.1",
        "Max-margin with any class sizes is the SVD of the centred labels: all margins equal, value |PY|_*.",
        "Thrampoulidis et al. (NeurIPS 2022); explicit form derived for this project",
        "d >= K-1",
        HARD,
        margin_settings,
        measure_margins,
        predict_margins,
    ),
    Claim(
        "3.2",
        "Two class sizes, max-margin: explicit; as R grows cos(w_B, w_B') -> 1, but cos(h_B, h_B') -> -1/(k_B-1).",
        "derived for this project",
        "d >= K-1; sizes as weights of one column a class",
        HARD + "; printed digits where stated",
        lambda full: STEPS,
        measure_step,
        predict_step,
    ),
)
