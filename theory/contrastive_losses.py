"""Any loss bounded by a convex function of the margin, balanced classes: T12.

    loss(z, y) >= phi(m),  m = z_y - mean of the other logits,  equality when the other logits are equal.

Cross-entropy has phi(m) = log(1 + (K-1) e^-m), label smoothing adds smoothing (K-1) m/K. Every function takes K
classes, n samples a class (an int, or K sizes), d features, the decays lam_W, lam_H > 0, lam_b (None: no bias, 0.0:
free bias, > 0). `theory.focal` has the one loss whose phi is not convex.
"""

import math
from collections.abc import Callable

import numpy as np

from theory.arguments import Sizes, check_bias_decay, check_count, check_decay, check_sizes, nu
from theory.etf import etf_quantities
from theory.prediction import NotApplicable, Prediction, Quantity
from theory.roots import root_beyond

T12_SOURCE = "Idea: Zhou et al. (NeurIPS 2022, arXiv 2210.02192); this proof derived for this project"


def applies(*, K: int, n: Sizes, d: int, lam_W: float, lam_H: float, lam_b: float | None = None) -> tuple[str, ...]:
    """Reasons why T12 does not apply, whatever the loss; empty if it does.

    Raises:
        ValueError: an argument is impossible (K < 2, a decay that is not positive, ...).
    """
    where = "contrastive_losses.applies"
    sizes = check_sizes(where, K, n)
    check_count(where, "d", d, 1)
    check_decay(where, "lam_W", lam_W)
    check_decay(where, "lam_H", lam_H)
    check_bias_decay(where, lam_b)
    return etf_obstacles(sizes, d)


def etf_obstacles(sizes: np.ndarray, d: int) -> tuple[str, ...]:
    """Reasons why no simplex ETF is optimal for a loss of the margin: unequal classes, too few features."""
    K = len(sizes)
    reasons = ()
    if np.any(sizes != sizes[0]):
        reasons += (f"The class sizes {tuple(sizes.tolist())} differ: the minimiser is no simplex ETF.",)
    if d < K - 1:
        reasons += (f"d={d} < K-1={K - 1}: no simplex ETF fits; known is only that f* >= the value at d = K-1.",)
    return reasons


def global_minimum(
    *,
    K: int,
    n: Sizes,
    d: int,
    lam_W: float,
    lam_H: float,
    lam_b: float | None = None,
    phi: Callable[[float], float],
    slope: Callable[[float], float],
) -> Prediction:
    """f* = min over m >= 0 of phi(m) + (K-1) c m, c = sqrt(n lam_W lam_H); a simplex ETF of margin a = argmin.

    Every sample pays (K-1) c |m| for its margin m: m = K/(K-1) <(P W)_y, h>, then AM-GM. Biases move margins by amounts
    that average out over the classes, so that Jensen's inequality leaves a = slope^-1(-(K-1) c).

    Args:
        K, n, d, lam_W, lam_H, lam_b: see the module.
        phi: the loss as a function of the margin when the other logits are equal.
        slope: its derivative.
    Returns:
        Prediction of every quantity but nullity; "b" is absent if lam_b is None. Where the loss equals phi(m) for
        unequal wrong logits as well, value, data_loss, W_sq, H_sq hold but the ETF is one minimiser among others.
    Raises:
        ValueError: an argument is impossible, or the slope stays below -(K-1) c as far as floats go.
        NotApplicable: imbalanced classes or d < K-1.
    Assumes:
        The bound of the module holds for the loss, with equality only if the other logits are equal; phi is strictly
        convex and slope its derivative (none of this is checked); equal class sizes; d >= K-1.
    Source:
        T12: idea Zhou et al. (arXiv 2210.02192), proof derived for this project.
    """
    where = "contrastive_losses.global_minimum"
    if reasons := applies(K=K, n=n, d=d, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b):
        raise NotApplicable(where, reasons)
    size = int(check_sizes(where, K, n)[0])
    price = (K - 1) * math.sqrt(size) * nu(lam_W, lam_H)
    a = _convex_margin(where, slope, price)
    quantities: dict[str, Quantity] = {
        "value": phi(a) + price * a,
        "data_loss": phi(a),
        **etf_quantities(K, size, lam_W, lam_H, lam_b, a),
    }
    statement = (
        "The class means and classifiers form one simplex ETF, whose margin balances the loss's slope and the decay."
        if a > 0.0
        else "The decay outweighs the loss's slope at zero: W = H = 0 is the only global minimiser."
    )
    return Prediction("T12", statement, T12_SOURCE, quantities)


def _convex_margin(where: str, slope: Callable[[float], float], price: float) -> float:
    """The m >= 0 with slope(m) = -price, 0.0 if slope(0) is above already."""
    if slope(0.0) + price >= 0.0:
        return 0.0
    margin = root_beyond(lambda m: slope(m) + price, 0.0)
    if margin == math.inf:
        raise ValueError(
            f"{where}: slope(m) stays below -(K-1) c = {-price!r}, so that phi(m) + (K-1) c m has no minimum. Pass phi "
            "bounded from below, and its derivative as slope."
        )
    return margin
