"""Squared losses: of all logits, of all with weights, of the right one alone."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ufm import tree
from ufm.losses.protocol import need_classes, need_classifier, need_positive


@tree.register
@dataclass(frozen=True, eq=False)
class MSE:
    """Half the squared error, 1/2 |z - y|^2 per sample (targets may be any real vectors)."""

    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = False
    exchangeable: ClassVar[bool] = True
    margin_bound: ClassVar[None] = None

    def check(self, problem: Any, who: str) -> None:
        """Nothing to refuse but features alone."""
        need_classifier(problem, who, "MSE")

    def __call__(self, Z: jax.Array, Y: jax.Array, classes: Any = 1.0) -> jax.Array:
        return 0.5 * jnp.sum(classes * (Z - Y) ** 2, axis=0)

    def conjugate(self, G: Any, Y: Any, classes: Any = 1.0) -> Any:
        """1/2 |g|^2 + <g, y>; [C]."""
        return (classes * G * (0.5 * G + Y)).sum(axis=0)

    def rank_bound(self, Y: np.ndarray, sizes: np.ndarray, nu: float, lam_b: float | None, d: int) -> float:
        """t E(Y) + (1 - t) E(Y centred), t = lam_b / (1 + lam_b), E the minimum without bias over rank(Z) <= d.

        Minimising over b splits the data term exactly into these shares of its bias-free and free-bias forms; for
        each, Mirsky's inequality on the singular values s of the targets leaves E = (1/2N) sum s^2 - sum_{j <= d}
        (s_j - N nu)_+^2.

        Source:
            T9 and T10, derived for this project.
        """
        N = np.sum(sizes)
        root = np.sqrt(sizes)

        def least(targets: np.ndarray) -> float:
            s = np.linalg.svd(targets, compute_uv=False)
            kept = np.maximum(s[:d] - N * nu, 0.0)
            return float(np.sum(s**2) - np.sum(kept**2)) / (2 * N)

        weighted = Y * root
        share = 1.0 if lam_b is None else lam_b / (1.0 + lam_b)
        return share * least(weighted) + (1.0 - share) * least(weighted - np.outer(weighted @ root, root) / N)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """G itself: the conjugate is finite everywhere."""
        return G


@tree.register
@dataclass(frozen=True, eq=False)
class RescaledMSE:
    """1/2 [k (z_y - M)^2 + sum_{j != y} z_j^2]: the right class weighs k and should reach M.

    Args:
        k, M: > 0; leaves. k = M = 1 is MSE().
    Source:
        Zhou et al. (ICML 2022, arXiv 2203.01238).
    """

    k: Any = 1.0
    M: Any = 1.0
    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = False
    exchangeable: ClassVar[bool] = True
    rank_bound: ClassVar[None] = None
    margin_bound: ClassVar[None] = None

    def check(self, problem: Any, who: str) -> None:
        """Raise unless k, M > 0 and the targets are classes."""
        need_classes(problem, who, "RescaledMSE", "For real targets use ufm.MSE().")
        need_positive(self.k, "k", who)
        need_positive(self.M, "M", who)

    def __call__(self, Z: jax.Array, Y: jax.Array, classes: Any = 1.0) -> jax.Array:
        return 0.5 * jnp.sum(classes * (1.0 + (self.k - 1.0) * Y) * (Z - self.M * Y) ** 2, axis=0)

    def conjugate(self, G: Any, Y: Any, classes: Any = 1.0) -> Any:
        """sum_j g_j (g_j / (2 w_j) + M y_j), w the weights of the squares; [C]."""
        return (classes * G * (0.5 * G / (1.0 + (self.k - 1.0) * Y) + self.M * Y)).sum(axis=0)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """G itself: the conjugate is finite everywhere."""
        return G


@tree.register
@dataclass(frozen=True, eq=False)
class DotRegression:
    """(z_y - target)^2 / (2 target): only the right logit is asked to reach its largest value.

    Args:
        target: sqrt(E_W E_H) > 0, the product of the norms of a fixed classifier's rows and of the features; a leaf.
    Source:
        Yang et al. (NeurIPS 2022, arXiv 2203.09081), for a fixed ETF classifier.
    """

    target: Any = 1.0
    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = False
    exchangeable: ClassVar[bool] = False
    conjugate: ClassVar[None] = None
    rank_bound: ClassVar[None] = None
    margin_bound: ClassVar[None] = None

    def check(self, problem: Any, who: str) -> None:
        """Raise unless target > 0 and the targets are classes."""
        need_classes(problem, who, "DotRegression", "Use ufm.MSE() for real targets.")
        need_positive(self.target, "target", who)

    def __call__(self, Z: jax.Array, Y: jax.Array) -> jax.Array:
        return (jnp.sum(Y * Z, axis=0) - self.target) ** 2 / (2.0 * self.target)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """G itself: no conjugate is used."""
        return G
