"""Closed forms of the unconstrained features model: one function per theorem, in NumPy float64, free of any solver.

    f(W, H, b) = (1/N) sum_i loss(W h_i + b, y_i) + lam_W/2 |W|_F^2 + lam_H/2 |H|_F^2 + lam_b/2 |b|^2

with W [K, d], H [d, N], b [K]; MSE is 1/2 |z - y|^2 per sample. `lam_b=None` means no bias, `0.0` a free bias.
Another normalisation comes in through a named converter of `theory.conversions`.

    cross_entropy   global minimum, thresholds and Hessian spectra for cross-entropy with label smoothing
    mse             the same for the mean squared error, d and class sizes any that has a closed form
    frames          the frames that the minimisers form, and factors (W, H) of given logits
    conversions     other normalisations -> the one above

On spheres, |w_k| = |h_i| = 1 and logits tau W h_i, or |z_i|^2 = rho2, without decay:

    spheres          cross-entropy, d >= K-1: global minimum, Riemannian Hessian spectrum; a lower bound for every d
    sphere_calculus  value, gradient, Hessian form and certificates at any point
    softmax_codes    d < K-1, tau -> infinity: one-vs-rest distances and the HardMax problem
    code_values      d < K-1: values of symmetric codes at finite tau, and with decay
    orthoplex        d+1 <= K <= 2d: simplices in orthogonal subspaces and the temperatures where they are stable
    codes            named spherical codes from exact coordinates
    min_norm         nearest point of a convex hull to the origin
    contrastive      supervised contrastive loss, full batch and sums over batches
"""

from theory import (
    code_values,
    codes,
    contrastive,
    conversions,
    cross_entropy,
    frames,
    min_norm,
    mse,
    orthoplex,
    softmax_codes,
    sphere_calculus,
    spheres,
)
from theory.prediction import NotApplicable, Prediction, Spectrum, expand

__all__ = [
    "NotApplicable",
    "Prediction",
    "Spectrum",
    "code_values",
    "codes",
    "contrastive",
    "conversions",
    "cross_entropy",
    "expand",
    "frames",
    "min_norm",
    "mse",
    "orthoplex",
    "softmax_codes",
    "sphere_calculus",
    "spheres",
]
