"""Losses bounded by a convex function of the margin (T12): the ETF beyond cross-entropy, and when it is forced."""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import theory
from ufm.losses.user import UserLoss
from ufm.problem import Problem
from ufm.verify.claim import AtLeast, Claim, Measurement
from ufm.verify.experiment import ALLOWANCE, Settled, quantities, settle


def pairwise_logistic(Z: jax.Array, Y: jax.Array) -> jax.Array:
    """Mean over j != y of log(1 + e^(1 - z_y + z_j)): at least phi(m) by Jensen, equal iff the z_j are."""
    lead = jnp.sum(Y * Z, axis=0) - Z
    return jnp.sum((1.0 - Y) * jnp.logaddexp(0.0, 1.0 - lead), axis=0) / (Z.shape[0] - 1)


def mean_logistic(Z: jax.Array, Y: jax.Array) -> jax.Array:
    """phi(m) = log(1 + e^(1 - m)) itself, m = z_y - the mean of the others, whether they are equal or not."""
    own = jnp.sum(Y * Z, axis=0)
    return jnp.logaddexp(0.0, 1.0 - own + (jnp.sum(Z, axis=0) - own) / (Z.shape[0] - 1))


def phi(m: float) -> float:
    """log(1 + e^(1 - m))."""
    return float(np.logaddexp(0.0, 1.0 - m))


def slope(m: float) -> float:
    """phi'."""
    return -1.0 / (1.0 + math.exp(m - 1.0))


PAIRWISE = UserLoss(pairwise_logistic, convex=True, shift_invariant=True)
MEAN = UserLoss(mean_logistic, convex=True, shift_invariant=True)


class Setting(NamedTuple):
    """A balanced problem by kappa = K sqrt(n lam_W lam_H) and ratio = lam_W / lam_H."""

    kappa: float
    ratio: float = 1.0
    lam_b: float | None = 0.1
    K: int = 4
    n: int = 2
    d: int = 5

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of Problem and of theory alike."""
        nu, tilt = self.kappa / (self.K * math.sqrt(self.n)), math.sqrt(self.ratio)
        decays = {"lam_W": nu * tilt, "lam_H": nu / tilt, "lam_b": self.lam_b}
        return {"K": self.K, "n": self.n, "d": self.d, **decays}


def settings(full: bool) -> Iterable[Setting]:
    """Small and large decays, and one beyond the slope at zero."""
    for kappa, ratio, lam_b in [(1e-2, 1.0, 0.1), (0.3, 5.0, 0.01), (0.8, 0.2, 1.0), (1.2, 1.0, 0.1)]:
        yield Setting(kappa, ratio, lam_b)
    if full:
        for kappa in (1e-3, 0.1, 0.5, 0.9, 2.0):
            yield Setting(kappa, 3.0, None, 6, 1, 5)
            yield Setting(kappa, 0.5, None, 3, 4, 2)


@functools.cache
def settled(setting: Setting, loss: UserLoss) -> Settled:
    """The minimum that the solver finds from a random start."""
    return settle(Problem(**setting.arguments, loss=loss))


def measure_pairwise(setting: Setting) -> Measurement:
    """Every quantity of the minimum."""
    return quantities(settled(setting, PAIRWISE))


def predicted(setting: Setting) -> Mapping[str, Any]:
    """T12's quantities."""
    return theory.contrastive_losses.global_minimum(**setting.arguments, phi=phi, slope=slope).quantities


def predict_pairwise(setting: Setting) -> Mapping[str, Any]:
    """The ETF, and that it is the global minimum."""
    return {**predicted(setting), "verdict": "GLOBAL_MINIMUM"}


def flat_settings(full: bool) -> Iterable[Setting]:
    """As many classes as it takes: K = 4."""
    yield Setting(0.1, 2.0, None)
    yield Setting(0.5, 1.0, None)


def measure_flat(setting: Setting) -> Measurement:
    """The value, the sizes, the margins that the loss sees, and how unequal the wrong logits are."""
    found = quantities(settled(setting, MEAN))
    if found.failure:
        return found
    Z = found.values["logits"]
    K = setting.K
    margins = np.diag(Z) - (np.sum(Z, axis=0) - np.diag(Z)) / (K - 1)
    values = {**found.values, "mean margins": margins, "unequal by": float(np.ptp(Z[~np.eye(K, dtype=bool)]))}
    return Measurement(values, {**found.tolerances, "mean margins": 2.0 * found.tolerances["logits"]})


def predict_flat(setting: Setting) -> Mapping[str, Any]:
    """T12's value, sizes and margin; no ETF."""
    known = predicted(setting)
    return {
        **{name: known[name] for name in ("value", "data_loss", "W_sq", "H_sq")},
        "mean margins": np.full(setting.K, known["margin"]),
        "unequal by": AtLeast(1e-3),
        "verdict": "GLOBAL_MINIMUM",
    }


CLAIMS = (
    Claim(
        "T12",
        "A loss >= phi(margin), equal for equal wrong logits: f* = min phi(a) + (K-1) c a, at the ETF of margin a.",
        "idea Zhou et al. (NeurIPS 2022, arXiv 2210.02192); proof derived for this project",
        "equal class sizes, d >= K-1, phi convex; here the pairwise logistic loss with an offset of 1",
        ALLOWANCE,
        settings,
        measure_pairwise,
        predict_pairwise,
    ),
    Claim(
        "T12-unique",
        "The ETF is forced only if equality needs equal wrong logits: a loss of the mean margin has f* without one.",
        "derived for this project",
        "as T12, K >= 4",
        ALLOWANCE,
        flat_settings,
        measure_flat,
        predict_flat,
        boundary=True,
    ),
)
