"""What a theorem says about a problem: numbers with their source, a spectrum, or the reasons why it says nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Quantity = Any  # float | int | np.ndarray; a union would make every reader cast


@dataclass(frozen=True, eq=False)
class Prediction:
    """The global minimum of f as a theorem determines it. A quantity that it does not determine is absent.

    Args:
        theorem: id in the theory reference, such as "T7".
        statement: one sentence.
        source: the paper, or "derived for this project".
        quantities: any of
            "value"      f*, float; with norm budgets or margin constraints the least objective that they allow
            "data_loss"  (1/N) sum loss at the minimiser, float
            "W_sq"       |W|_F^2, float; of a deep model [M], of W_1, ..., W_M
            "H_sq"       |H|_F^2, float
            "b"          [K] bias. For cross-entropy with lam_b = 0 it is defined up to a multiple of the ones vector:
                         the zero-mean representative. Absent if the model has no bias.
            "gram_W"     [K, K] W W^T; of a deep model that of W_M
            "gram_M"     [K, K] M^T M, M [d, K] the class means (all features of a class coincide with their mean)
            "logits"     [K, K] W M, column k for class k, bias not included. With label sets instead of classes
                         [K, T] and gram_M [T, T], in the order of `multilabel.label_sets`.
            "sigma_Z"    [K] singular values of Z = W H (W_M ... W_1 H), descending, zero-padded
            "margin"     min over k, j != k of (W M + b)_kk - (W M + b)_jk, bias included, float
            "nullity"    int, dimension of the null space of the Hessian at the minimiser
            Under a temperature tau the logits are tau W H: so read "logits", "sigma_Z" and "margin" then. On spheres
            the Hessian is the Riemannian one, over tangent vectors.
    """

    theorem: str
    statement: str
    source: str
    quantities: Mapping[str, Quantity]

    @property
    def value(self) -> float:
        """f*, the global minimum."""
        return float(self.quantities["value"])


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues of a Hessian over all of (W, H, b), as derived: equal values from two derivations stay apart.

    Args:
        values: [m] ascending.
        multiplicities: [m] positive ints; their sum is K d + d N (+ K with a bias), on spheres (K + N)(d - 1).
    """

    values: np.ndarray
    multiplicities: np.ndarray


class NotApplicable(ValueError):  # noqa: N818 (it is an answer, not a failure)
    """The assumptions of a theorem fail; `reasons` lists every one that does."""

    def __init__(self, where: str, reasons: Iterable[str]):
        self.reasons = tuple(reasons)
        super().__init__(f"{where}: no closed form here. " + " ".join(self.reasons))


def expand(spectrum: Spectrum) -> np.ndarray:
    """Every eigenvalue as often as it occurs, ascending; [sum of multiplicities]."""
    return np.repeat(spectrum.values, spectrum.multiplicities)


def collect(blocks: Iterable[tuple[Iterable[float], int]]) -> Spectrum:
    """Spectrum of an orthogonal sum of blocks, each given as (its eigenvalues, how often the block occurs)."""
    pairs = sorted((float(value), count) for values, count in blocks for value in values if count > 0)
    return Spectrum(np.array([v for v, _ in pairs]), np.array([m for _, m in pairs], dtype=np.int64))
