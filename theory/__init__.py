"""Closed forms of the unconstrained features model: one function per theorem, in NumPy float64, free of any solver.

    f(W, H, b) = (1/N) sum_i loss(W h_i + b, y_i) + lam_W/2 |W|_F^2 + lam_H/2 |H|_F^2 + lam_b/2 |b|^2

with W [K, d], H [d, N], b [K]; MSE is 1/2 |z - y|^2 per sample. `lam_b=None` means no bias, `0.0` a free bias.
Another normalisation comes in through a named converter of `theory.conversions`.

    cross_entropy   global minimum, thresholds and Hessian spectra for cross-entropy with label smoothing
    mse             the same for the mean squared error, d and class sizes any that has a closed form
    frames          the frames that the minimisers form, and factors (W, H) of given logits
    conversions     other normalisations -> the one above
    rescaled_mse    mean squared error with weight k and target M on the true logit
    contrastive_losses  any loss bounded by a convex function of the margin
    focal           focal loss: where it is not benign, and the global minimum where that is proven
    conditioning    rates of gradient descent, in plain and in scaled variables
    certificates    a bound of f - f* by hand
    reductions      exact reductions: within-class bounds, one sample a class, the features eliminated
    dynamics        gradient flow in closed form
"""

from theory import (
    certificates,
    conditioning,
    contrastive_losses,
    conversions,
    cross_entropy,
    dynamics,
    focal,
    frames,
    mse,
    reductions,
    rescaled_mse,
)
from theory.prediction import NotApplicable, Prediction, Spectrum, expand

__all__ = [
    "NotApplicable",
    "Prediction",
    "Spectrum",
    "certificates",
    "conditioning",
    "contrastive_losses",
    "conversions",
    "cross_entropy",
    "dynamics",
    "expand",
    "focal",
    "frames",
    "mse",
    "reductions",
    "rescaled_mse",
]
