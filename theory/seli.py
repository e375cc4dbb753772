"""SELI: the max-margin geometry of imbalanced classes (UF-SVM), and the limits of vanishing decay or endless training.

    min 1/2 |W|^2 + 1/2 |H|^2   s.t.   (w_y - w_c) . h_i >= 1 for every sample i of class y and every c != y

is solved by W H = P Y, the centred one-hot labels, for any class sizes; its geometry is the SVD P Y = U S V^T. It is
optimal because the entries of -U V^T at the wrong classes are multipliers >= 0: the columns of U V^T are those of
M^T M, the root of the pseudo-inverse of P D P. That is a Laplacian, and roots of M-matrices have nothing positive off
the diagonal.

Cross-entropy minimisers approach this geometry in direction as the decays vanish, with an error of order 1/log(1/nu)
only (3.3), and so does gradient flow without decay.
"""

import math
from typing import NamedTuple

import numpy as np

from theory.arguments import Sizes, check_count, check_sizes
from theory.frames import centering, centred_basis
from theory.prediction import NotApplicable, Prediction

SOURCE = "Thrampoulidis et al. (NeurIPS 2022, arXiv 2208.05512); explicit form derived for this project"
STATEMENT = "W H = P Y: every margin is 1, and the Gram matrices are (P D P)^(1/2) and its pseudo-inverse."


class Rates(NamedTuple):
    """Limits along gradient flow on cross-entropy without decay, as t -> infinity."""

    loss: float  # of L t log t
    norm_sq: float  # of (|W|^2 + |H|^2)/log t
    margin: float  # of min margin / ((|W|^2 + |H|^2)/2)


def applies(*, K: int, n: Sizes, d: int) -> tuple[str, ...]:
    """Reasons why P Y cannot be W H; empty if it can.

    Raises:
        ValueError: an argument is impossible.
    """
    where = "seli.applies"
    check_sizes(where, K, n)
    return _few_features(K, check_count(where, "d", d, 1))


def global_minimum(*, K: int, n: Sizes, d: int) -> Prediction:
    """|P Y|_*, the minimum of 1/2 |W|^2 + 1/2 |H|^2 with all margins >= 1; W W^T = (P D P)^(1/2), D = diag(n).

    Args:
        K: classes.
        n: samples a class, an int or K sizes; any.
        d: features.
    Returns:
        Prediction of value (the minimum of the norms, no loss in it), W_sq, H_sq, gram_W, gram_M, logits, sigma_Z and
        margin.
    Raises:
        ValueError: an argument is impossible.
        NotApplicable: d < K-1.
    Assumes:
        d >= K-1.
    Source:
        3.1: Thrampoulidis et al. (arXiv 2208.05512); explicit form derived for this project.
    """
    where = "seli.global_minimum"
    sizes = check_sizes(where, K, n)
    if reasons := _few_features(K, check_count(where, "d", d, 1)):
        raise NotApplicable(where, reasons)
    U, s = centred_svd(sizes)
    return _prediction((U * s) @ U.T, (U / s) @ U.T, s)


def step_minimum(*, k_A: int, k_B: int, n_A: int, n_B: int) -> Prediction:
    """(k_A-1) sqrt(n_A) + (k_B-1) sqrt(n_B) + sqrt(m), m = (k_B n_A + k_A n_B)/K: `global_minimum` in closed form.

    For k_A classes of n_A samples, then k_B of n_B. The singular values of W H are sqrt(n_A), sqrt(n_B), sqrt(m), the
    eigenvalues of M^T M their inverses.

    Raises:
        ValueError: a count is impossible.
    Assumes:
        d >= K-1.
    Source:
        3.2; derived for this project.
    """
    where = "seli.step_minimum"
    k_A, k_B = check_count(where, "k_A", k_A, 1), check_count(where, "k_B", k_B, 1)
    n_A, n_B = check_count(where, "n_A", n_A, 1), check_count(where, "n_B", n_B, 1)
    between = (k_B * n_A + k_A * n_B) / (k_A + k_B)
    sigma = np.sqrt([n_A] * (k_A - 1) + [n_B] * (k_B - 1) + [between])
    gram_W, gram_M = (_step_gram(k_A, k_B, *(value**power for value in (n_A, n_B, between))) for power in (0.5, -0.5))
    return _prediction(gram_W, gram_M, -np.sort(-sigma))


def nuclear_norm(*, K: int, n: Sizes) -> float:
    """|P Y|_*, the sum of the square roots of the eigenvalues of P diag(n) P; balanced (K-1) sqrt(n).

    Raises:
        ValueError: an argument is impossible.
    """
    return float(np.sum(centred_svd(check_sizes("seli.nuclear_norm", K, n))[1]))


def rates(*, K: int, n: Sizes) -> Rates:
    """V/2, 2V, 1/V with V = |P Y|_*: limits of L t log t, (|W|^2+|H|^2)/log t and margin / ((|W|^2+|H|^2)/2).

    For gradient flow (unit speed) on (1/N) sum CE(W h_i) without decay, converging in direction to SELI. Errors are of
    order 1/log t; the relative spread within classes decays like 1/sqrt(log t) only.

    Raises:
        ValueError: an argument is impossible.
    Assumes:
        d >= K-1; the flow converges to SELI in direction. Known is only that it converges to a KKT point of the problem
        of the module (Ji et al.); every random start measured went to SELI.
    Source:
        6.2: Ji et al. (ICLR 2022, arXiv 2110.02796) for the KKT direction; the rates derived for this project.
    """
    V = float(np.sum(centred_svd(check_sizes("seli.rates", K, n))[1]))
    return Rates(V / 2, 2 * V, 1 / V)


def centred_svd(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(U [K, K-1], s [K-1]): left singular vectors and values of P diag(sqrt(sizes)), descending, all s > 0."""
    basis = centred_basis(len(sizes))  # without it the zero singular value would be rounding, and its inverse large
    U, s, _ = np.linalg.svd(basis.T * np.sqrt(sizes), full_matrices=False)
    return basis @ U, s


def _prediction(gram_W: np.ndarray, gram_M: np.ndarray, sigma: np.ndarray) -> Prediction:
    total = float(np.sum(sigma))
    quantities = {
        "value": total,
        "W_sq": total,
        "H_sq": total,
        "gram_W": gram_W,
        "gram_M": gram_M,
        "logits": centering(len(gram_W)),
        "sigma_Z": np.append(sigma, 0.0),
        "margin": 1.0,
    }
    return Prediction("3.1", STATEMENT, SOURCE, quantities)


def _step_gram(k_A: int, k_B: int, of_A: float, of_B: float, between: float) -> np.ndarray:
    """The symmetric matrix of these eigenvalues: within A, within B, between the groups; A's classes first."""
    gram = np.zeros((k_A + k_B, k_A + k_B))
    gram[:k_A, :k_A], gram[k_A:, k_A:] = of_A * centering(k_A), of_B * centering(k_B)
    u = math.sqrt(k_A * k_B / (k_A + k_B)) * np.repeat([1 / k_A, -1 / k_B], [k_A, k_B])
    return gram + between * np.outer(u, u)


def _few_features(K: int, d: int) -> tuple[str, ...]:
    return () if d >= K - 1 else (f"d={d} < K-1={K - 1}: P Y has rank K-1 and is no product W H.",)
