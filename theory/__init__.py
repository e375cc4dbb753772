"""Closed forms of the unconstrained features model: one function per theorem, in NumPy float64, free of any solver.

    f(W, H, b) = (1/N) sum_i loss(W h_i + b, y_i) + lam_W/2 |W|_F^2 + lam_H/2 |H|_F^2 + lam_b/2 |b|^2

with W [K, d], H [d, N], b [K]; MSE is 1/2 |z - y|^2 per sample. `lam_b=None` means no bias, `0.0` a free bias.
Another normalisation comes in through a named converter of `theory.conversions`.

    cross_entropy     label smoothing, balanced: global minimum, thresholds and Hessian spectra
    mse               the same for the mean squared error, d and class sizes any that has a closed form
    rescaled_mse      mean squared error with weight k and target M on the true logit
    contrastive_losses  any loss bounded by a convex function of the margin
    focal             focal loss: where it is not benign, and the global minimum where that is proven
    imbalance         cross-entropy with two class sizes (STEP): global minimum, minority collapse; zero thresholds
    seli              max-margin geometry of any class sizes; limits of vanishing decay and of endless training
    layer_peeled      norm budgets instead of decays, balanced and STEP: global minimum, ratio of minority collapse
    relu_features     cross-entropy with H >= 0, any class sizes
    multilabel        pick-all-labels cross-entropy over all label sets of given sizes
    regression        mean squared error with real targets, in their covariance
    fixed_classifier  only features are free: budgets, decay, dot regression; margins; the nearest-mean rule

Deep models, M matrices instead of one, squared loss unless said otherwise:

    deep_linear       any depth, widths and class sizes: global minimum, thresholds of collapse
    deep_landscape    zero and its trap, local minima that are not global, saddles
    schatten          factors of a product with the least decay
    deep_relu         ReLU between the matrices: neural collapse, its cost, where it is optimal
    srg               solutions of lower rank and cost, on the edges of a complete graph
    deep_cross_entropy  linear layers: simplex ETF, polygon and cross-polytope
    progressive       collapse over the layers of a trained linear network

On spheres, |w_k| = |h_i| = 1 and logits tau W h_i, or |z_i|^2 = rho2, without decay:

    spheres           cross-entropy, d >= K-1: global minimum, Riemannian Hessian spectrum; a lower bound for every d
    sphere_calculus   value, gradient, Hessian form and certificates at any point
    softmax_codes     d < K-1, tau -> infinity: one-vs-rest distances and the HardMax problem
    code_values       d < K-1: values of symmetric codes at finite tau, and with decay
    orthoplex         d+1 <= K <= 2d: simplices in orthogonal subspaces and the temperatures where they are stable
    codes             named spherical codes from exact coordinates
    min_norm          nearest point of a convex hull to the origin
    contrastive       supervised contrastive loss, full batch and sums over batches

Around the minima:

    dynamics          gradient flow in closed form
    etf_ray           cross-entropy's flow on the balanced ray: its exact clock without decay
    conditioning      rates of gradient descent, in plain and in scaled variables
    reductions        exact reductions: within-class bounds, one sample a class, the features eliminated
    certificates      a bound of f - f* by hand
    residual          what any logits prove about the global minimum of cross-entropy
    frames            the frames that the minimisers form, and factors (W, H) of given logits
    conversions       other normalisations -> the one above
"""

from theory import (
    certificates,
    code_values,
    codes,
    conditioning,
    contrastive,
    contrastive_losses,
    conversions,
    cross_entropy,
    deep_cross_entropy,
    deep_landscape,
    deep_linear,
    deep_relu,
    dynamics,
    etf_ray,
    fixed_classifier,
    focal,
    frames,
    imbalance,
    layer_peeled,
    min_norm,
    mse,
    multilabel,
    orthoplex,
    progressive,
    reductions,
    regression,
    relu_features,
    rescaled_mse,
    residual,
    schatten,
    seli,
    softmax_codes,
    sphere_calculus,
    spheres,
    srg,
)
from theory.prediction import NotApplicable, Prediction, Spectrum, expand

__all__ = [
    "NotApplicable",
    "Prediction",
    "Spectrum",
    "certificates",
    "code_values",
    "codes",
    "conditioning",
    "contrastive",
    "contrastive_losses",
    "conversions",
    "cross_entropy",
    "deep_cross_entropy",
    "deep_landscape",
    "deep_linear",
    "deep_relu",
    "dynamics",
    "etf_ray",
    "expand",
    "fixed_classifier",
    "focal",
    "frames",
    "imbalance",
    "layer_peeled",
    "min_norm",
    "mse",
    "multilabel",
    "orthoplex",
    "progressive",
    "reductions",
    "regression",
    "relu_features",
    "rescaled_mse",
    "residual",
    "schatten",
    "seli",
    "softmax_codes",
    "sphere_calculus",
    "spheres",
    "srg",
]
