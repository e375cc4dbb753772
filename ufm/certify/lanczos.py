"""The smallest eigenpair of a symmetric operator by Lanczos with full reorthogonalisation."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy


class Eigenpair(NamedTuple):
    """A Ritz pair: `residual` = |A v - value v| / |v|, so some eigenvalue lies within it of `value`."""

    value: float
    vector: np.ndarray
    residual: float


def smallest_eigenpair(
    product: Callable[[np.ndarray], np.ndarray],
    size: int,
    *,
    steps: int = 300,
    tolerance: float = 1e-10,
    project: Callable[[np.ndarray], np.ndarray] = lambda x: x,
    seed: int = 0,
) -> Eigenpair:
    """The smallest Ritz pair of `product` on the range of `project` (an orthogonal projector that commutes with it).

    Args:
        size: dimension of the space.
        steps: at most this many products; memory is steps * size.
        tolerance: stop when the residual falls below tolerance times the largest Ritz value.
    Source:
        Lanczos (1950); Paige's analysis of its rounding is avoided by orthogonalising twice against everything.
    """
    rng = np.random.default_rng(seed)
    q = project(rng.standard_normal(size))
    q = q / np.linalg.norm(q)
    steps = min(steps, size)
    basis = np.empty((steps, size))
    alpha, beta = np.zeros(steps), np.zeros(steps)
    for k in range(steps):
        basis[k] = q
        w = project(product(q))
        alpha[k] = q @ w
        for _ in range(2):  # twice is enough; projecting again keeps amplified rounding out of the range's complement
            w = project(w - basis[: k + 1].T @ (basis[: k + 1] @ w))
        beta[k] = np.linalg.norm(w)
        scale = np.max(np.abs(alpha[: k + 1])) + np.max(beta[: k + 1])
        exhausted = beta[k] <= 1e-13 * scale
        if exhausted or k + 1 == steps or (k + 1) % 10 == 0:
            _, vectors = scipy.linalg.eigh_tridiagonal(alpha[: k + 1], beta[:k], select="i", select_range=(0, 0))
            estimate = beta[k] * abs(vectors[-1, 0])
            if exhausted or k + 1 == steps or estimate <= tolerance * scale:
                vector = basis[: k + 1].T @ vectors[:, 0]
                vector = vector / np.linalg.norm(vector)
                image = project(product(vector))
                value = float(vector @ image)
                return Eigenpair(value, vector, float(np.linalg.norm(image - value * vector)))
        q = w / beta[k]
    raise AssertionError("unreachable: the last step returns")
