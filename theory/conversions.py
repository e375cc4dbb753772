"""Other normalisations into the one of this project, each by a named converter.

Ours: f = (1/N) sum_i loss + lam_W/2 |W|^2 + lam_H/2 |H|^2 + lam_b/2 |b|^2, with MSE = 1/2 |z - y|^2 per sample. A
converter takes the decays as a paper or a training script writes them and returns (decays, factor, offset) with

    other objective (W, H, b; its decays) = factor * f(W, H, b; **decays) + offset      at every point.

Converters compose, factors multiply: `from_sum(N=N, **from_full_decays(...).decays)` is a sum without halves.
None (no bias) and 0.0 (free bias) stay what they are.

    paper or code                                                  normalisation
    Zhu et al. 2105.02375, Zhou et al. 2210.02192 and 2203.01238   ours
    Tirer and Bruna 2202.08087, Guo et al. 2402.03979              ours
    Fang et al. 2101.12699 (layer-peeled)                          from_layer_peeled
    Andriopoulos et al. 2409.04180 (regression)                    from_mean_feature_decay
    torch.nn.CrossEntropyLoss() with SGD(weight_decay=...)         from_torch_cross_entropy
    torch.nn.MSELoss() with SGD(weight_decay=...)                  from_torch_mse
"""

import math
from typing import Any, NamedTuple

from theory.arguments import check_bias_decay, check_count, check_decay, nu


class Conversion(NamedTuple):
    """other objective = factor * f(W, H, b; **decays) + offset."""

    decays: dict[str, Any]  # lam_W, lam_H: float; lam_b: float | None
    factor: float
    offset: float = 0.0


def from_sum(*, N: int, lam_W: float, lam_H: float, lam_b: float | None = None) -> Conversion:
    """sum_i loss + lam/2 |.|^2, not averaged over the N samples: lam/N, factor N.

    Raises:
        ValueError: N < 1, or a decay that is not positive (lam_b: None, 0 or positive).
    """
    N = check_count("from_sum", "N", N, 1)
    return _convert("from_sum", lam_W, lam_H, lam_b, data=float(N), decay=1.0)


def from_full_decays(*, lam_W: float, lam_H: float, lam_b: float | None = None) -> Conversion:
    """(1/N) sum loss + lam |.|^2, no 1/2 on the decays: 2 lam, factor 1.

    Raises:
        ValueError: a decay that is not positive (lam_b: None, 0 or positive).
    """
    return _convert("from_full_decays", lam_W, lam_H, lam_b, data=1.0, decay=2.0)


def from_full_mse(*, lam_W: float, lam_H: float, lam_b: float | None = None) -> Conversion:
    """(1/N) sum |z - y|^2 + lam/2 |.|^2, no 1/2 on the loss: lam/2, factor 2 (MSE only).

    Raises:
        ValueError: a decay that is not positive (lam_b: None, 0 or positive).
    """
    return _convert("from_full_mse", lam_W, lam_H, lam_b, data=2.0, decay=1.0)


def from_entry_mean_mse(*, K: int, lam_W: float, lam_H: float, lam_b: float | None = None) -> Conversion:
    """(1/(N K)) sum of squared entries + lam/2 |.|^2: lam K/2, factor 2/K (MSE only).

    Raises:
        ValueError: K < 1, or a decay that is not positive (lam_b: None, 0 or positive).
    """
    K = check_count("from_entry_mean_mse", "K", K, 1)
    return _convert("from_entry_mean_mse", lam_W, lam_H, lam_b, data=2.0 / K, decay=1.0)


def from_mean_feature_decay(*, N: int, lam_W: float, lam_H: float, lam_b: float | None = None) -> Conversion:
    """lam_H/(2N) |H|^2, the decay of the features averaged over samples like the loss: lam_H/N, factor 1.

    Raises:
        ValueError: N < 1, or a decay that is not positive (lam_b: None, 0 or positive).
    """
    where = "from_mean_feature_decay"
    N = check_count(where, "N", N, 1)
    decays = {
        "lam_W": check_decay(where, "lam_W", lam_W),
        "lam_H": check_decay(where, "lam_H", lam_H) / N,
        "lam_b": check_bias_decay(where, lam_b),
    }
    return Conversion(decays, 1.0)


def from_torch_cross_entropy(*, weight_decay: float, bias: bool = True) -> Conversion:
    """CrossEntropyLoss() on logits, one SGD weight_decay on W, H (and b): ours, factor 1.

    SGD adds weight_decay * parameter to the gradient, which is that of weight_decay/2 |.|^2; label_smoothing is ours.
    AdamW's decoupled decay is the gradient of no objective and has no conversion.

    Raises:
        ValueError: weight_decay is not positive.
    """
    lam_b = weight_decay if bias else None
    return _convert("from_torch_cross_entropy", weight_decay, weight_decay, lam_b, data=1.0, decay=1.0)


def from_torch_mse(*, K: int, weight_decay: float, bias: bool = True) -> Conversion:
    """MSELoss() (mean over the N K entries), one SGD weight_decay on W, H (and b): weight_decay K/2, factor 2/K.

    Raises:
        ValueError: K < 1, or weight_decay is not positive.
    """
    return from_entry_mean_mse(K=K, lam_W=weight_decay, lam_H=weight_decay, lam_b=weight_decay if bias else None)


def from_layer_peeled(*, K: int, n: int, E_W: float, E_H: float) -> Conversion:
    """Cross-entropy with (1/K) |W|^2 <= E_W, (1/N) |H|^2 <= E_H instead of decays, no bias: its Lagrange multipliers.

    c = 1/(exp(K/(K-1) sqrt(E_W E_H)) + K-1), lam_W = c sqrt(E_H/E_W), lam_H = (c/n) sqrt(E_W/E_H). The other
    objective is the Lagrangian: f - lam_W/2 K E_W - lam_H/2 N E_H. At the global minimum of f both budgets are used up.

    Raises:
        ValueError: K < 2, n < 1, or a budget that is not positive.
    Assumes:
        Balanced classes, d >= K-1, plain cross-entropy.
    Source:
        Model: Fang et al. (PNAS 2021, arXiv 2101.12699); multipliers derived for this project from T7.
    """
    where = "from_layer_peeled"
    K, n = check_count(where, "K", K, 2), check_count(where, "n", n, 1)
    E_W, E_H = check_decay(where, "E_W", E_W), check_decay(where, "E_H", E_H)
    margin = K / (K - 1) * nu(E_W, E_H)
    c = math.exp(-margin) / (1.0 + (K - 1) * math.exp(-margin))
    tilt = math.sqrt(E_H) / math.sqrt(E_W)
    lam_W = check_decay(where, "multiplier lam_W", c * tilt)
    lam_H = check_decay(where, "multiplier lam_H", c / (n * tilt))
    offset = -(lam_W * K * E_W + lam_H * K * n * E_H) / 2
    return Conversion({"lam_W": lam_W, "lam_H": lam_H, "lam_b": None}, 1.0, offset)


def to_equal_decays(*, lam_W: float, lam_H: float, lam_b: float | None = None) -> tuple[Conversion, float]:
    """f(W, H, b; lam_W, lam_H) = f(W/s, s H, b; nu, nu), nu = sqrt(lam_W lam_H): (conversion, s = (lam_H/lam_W)^(1/4)).

    Raises:
        ValueError: a decay that is not positive (lam_b: None, 0 or positive).
    """
    where = "to_equal_decays"
    lam_W, lam_H = check_decay(where, "lam_W", lam_W), check_decay(where, "lam_H", lam_H)
    decays = {"lam_W": nu(lam_W, lam_H), "lam_H": nu(lam_W, lam_H), "lam_b": check_bias_decay(where, lam_b)}
    return Conversion(decays, 1.0), (lam_H / lam_W) ** 0.25


def to_one_sample(*, n: int, lam_W: float, lam_H: float, lam_b: float | None = None) -> Conversion:
    """f with n equal features a class = f with one feature a class and n lam_H (T21): the decays of the small problem.

    Raises:
        ValueError: n < 1, or a decay that is not positive (lam_b: None, 0 or positive).
    """
    where = "to_one_sample"
    n = check_count(where, "n", n, 1)
    decays = {
        "lam_W": check_decay(where, "lam_W", lam_W),
        "lam_H": n * check_decay(where, "lam_H", lam_H),
        "lam_b": check_bias_decay(where, lam_b),
    }
    return Conversion(decays, 1.0)


def _convert(where: str, lam_W: float, lam_H: float, lam_b: float | None, *, data: float, decay: float) -> Conversion:
    """Conversion of data * (our data term) + decay * (our decay terms)."""
    scale = decay / data
    lam_b = check_bias_decay(where, lam_b)
    decays = {
        "lam_W": scale * check_decay(where, "lam_W", lam_W),
        "lam_H": scale * check_decay(where, "lam_H", lam_H),
        "lam_b": None if lam_b is None else scale * lam_b,
    }
    return Conversion(decays, data)
