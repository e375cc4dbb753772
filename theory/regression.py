"""Neural regression collapse: the mean squared error with any real targets, T10 in the covariance of the targets.

    f = (1/2N) |W H + b 1^T - Y|^2 + lam_W/2 |W|^2 + lam_H/2 |H|^2,   Y [q, N],   Sigma = (1/N) Y_ Y_^T

with Y_ = Y - Y 11^T/N for a free bias (lam_b=0.0) and Y_ = Y without one (lam_b=None). The number that decides is
c = N lam_W lam_H (`strength`): eigen-directions of Sigma with eigenvalue above c are kept, at most d of them, the
others are exactly zero. In the normalisation of the paper, lam_H/(2N) |H|^2, c is the product of its two decays
(`theory.conversions.from_mean_feature_decay`).
"""

import math

import numpy as np

from theory.arguments import check_count, check_decay, nu
from theory.frames import balanced_factors
from theory.prediction import Prediction
from theory.shrinkage import soft_threshold

SOURCE = "Andriopoulos et al. (NeurIPS 2024, arXiv 2409.04180); through T10, derived for this project"


def strength(*, N: int, lam_W: float, lam_H: float) -> float:
    """c = N lam_W lam_H: the eigenvalue of Sigma up to which a direction of the targets is lost.

    Raises:
        ValueError: N < 1, or a decay that is not positive.
    """
    where = "regression.strength"
    root = math.sqrt(check_count(where, "N", N, 1))
    return (root * nu(check_decay(where, "lam_W", lam_W), check_decay(where, "lam_H", lam_H))) ** 2


def global_minimum(*, Y: np.ndarray, d: int, lam_W: float, lam_H: float, lam_b: float | None = 0.0) -> Prediction:
    """W W^T = sqrt(N lam_H/lam_W) [Sigma^(1/2) - sqrt(c) I]_+; f* = sum_j (sqrt(c l_j) - c/2 if kept, else l_j/2).

    l_j are the eigenvalues of Sigma. W H = [I - sqrt(c) Sigma^(-1/2)]_+ Y_; if every direction is kept the data loss is
    q c/2. The same numbers as `theory.mse.soft_threshold`.

    Args:
        Y: [q, N] real targets.
        d: number of features, any.
        lam_W, lam_H: decays > 0.
        lam_b: None (no bias) or 0.0 (free bias).
    Returns:
        Prediction of value, data_loss, W_sq, H_sq, sigma_Z; b with a bias; gram_W if it is unique; nullity unless an
        eigenvalue sits at c.
    Raises:
        ValueError: Y is not a finite, non-empty matrix, or another argument is impossible.
        NotApplicable: lam_b > 0.
    Assumes:
        Free or no bias.
    Source:
        7: Andriopoulos et al. (arXiv 2409.04180), with d >= q there; T10, derived for this project.
    """
    found = soft_threshold(Y=Y, d=d, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b)
    rank = int(np.sum(found.quantities["sigma_Z"] > 0.0))
    statement = (
        f"{rank} of {len(Y)} target directions are kept: features in {rank} dimensions (NRC1), those of the rows of W "
        "(NRC2), W W^T linear in Sigma^(1/2) on them (NRC3)."
    )
    return Prediction("7", statement, SOURCE, found.quantities)


def minimiser(
    *, Y: np.ndarray, d: int, lam_W: float, lam_H: float, lam_b: float | None = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """(W [q, d], H [d, N], b [q] or None), one global minimiser.

    If every direction is kept, H = sqrt(lam_W/(N lam_H)) W^T Sigma^(-1/2) Y_ and the residual W H + b 1^T - Y is
    -sqrt(c) Sigma^(-1/2) Y_. Every other minimiser is (W Q, Q^T H) for an orthogonal Q, unless eigenvalues tie at the
    cut d.

    Raises:
        ValueError, NotApplicable: as `global_minimum`.
    Source:
        7, T10; derived for this project.
    """
    sigma = global_minimum(Y=Y, d=d, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b).quantities["sigma_Z"]
    Y = np.asarray(Y, dtype=np.float64)
    mean = None if lam_b is None else np.mean(Y, axis=1)
    U, s, Vt = np.linalg.svd(Y if mean is None else Y - mean[:, None], full_matrices=False)
    return *balanced_factors((U * sigma[: len(s)]) @ Vt, d, lam_W, lam_H), mean
