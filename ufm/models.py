"""Models: where W and H live, and how they make logits.

    Bilinear(W, H, tau)    Z = tau W H, W and H each in a space of ufm.spaces; the default is weight decay on both
    Gram(H, tau)           Z = tau H^T H, features alone (contrastive losses)
    DeepLinear(widths)     Z = W_M ... W_1 H, decay on every matrix
    DeepReLU(widths)       Z = W_M relu(W_(M-1) ... relu(W_1 H))

The functions name the models of the literature. tau and the numbers of the spaces are leaves of the pytree. deep: W is
a tuple of matrices. smooth: f has no kinks, so that Newton's method can work.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import numpy as np

from ufm import tree
from ufm.spaces import Budget, Euclidean, Fixed, Nonnegative, Space, Spheres


@tree.register
@dataclass(frozen=True, eq=False)
class Bilinear:
    """Z = tau W H (+ b 1^T): classifier W [K, d] and features H [d, N], each in its space; tau None is 1."""

    W: Space = field(default_factory=Euclidean)
    H: Space = field(default_factory=Euclidean)
    tau: Any = None
    classifier: ClassVar[bool] = True
    deep: ClassVar[bool] = False
    smooth: ClassVar[bool] = True

    def matrices(self, K: int, d: int) -> Any:
        """The shape of W."""
        return K, d

    def logits(self, W: Any, H: Any) -> Any:
        """tau W H."""
        return W @ H if self.tau is None else self.tau * (W @ H)


@tree.register
@dataclass(frozen=True, eq=False)
class Gram:
    """Z = tau H^T H [N, N]: similarities of the features with each other; there is no W."""

    H: Space = field(default_factory=Spheres)
    tau: Any = None
    W: ClassVar[None] = None
    classifier: ClassVar[bool] = False
    deep: ClassVar[bool] = False
    smooth: ClassVar[bool] = True

    def matrices(self, K: int, d: int) -> Any:
        """There is no W."""
        return None

    def logits(self, W: Any, H: Any) -> Any:
        """tau H^T H."""
        return H.T @ H if self.tau is None else self.tau * (H.T @ H)


@tree.register
@dataclass(frozen=True, eq=False)
class DeepLinear:
    """Z = W_M ... W_1 H (+ b 1^T): W = (W_1, ..., W_M), W_1 next to H [d, N], weight decay on every factor.

    Args:
        widths: (d_2, ..., d_M) of the hidden layers between the matrices; W_l is [d_(l+1), d_l] with d_1 = d of the
            problem and d_(M+1) = K. () is the one-layer model with W = (W_1,).
    Source:
        Tirer and Bruna (ICML 2022), Dang et al. (ICML 2023), Sukenik et al. (NeurIPS 2023).
    """

    widths: Any = field(default=(), metadata={"static": True})
    W: ClassVar[Space] = Euclidean()
    H: ClassVar[Space] = Euclidean()
    tau: ClassVar[None] = None
    classifier: ClassVar[bool] = True
    deep: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.widths, list):
            object.__setattr__(self, "widths", tuple(self.widths))

    def matrices(self, K: int, d: int) -> Any:
        """The shapes of W_1, ..., W_M."""
        return _matrices(K, d, self.widths)

    def layers(self, W: Any, H: Any) -> tuple[Any, ...]:
        """(H, W_1 H, ..., W_(M-1) ... W_1 H): the features that each matrix sees."""
        return _layers(lambda x: x, W, H)

    def logits(self, W: Any, H: Any) -> Any:
        """W_M ... W_1 H."""
        return W[-1] @ self.layers(W, H)[-1]


@tree.register
@dataclass(frozen=True, eq=False)
class DeepReLU:
    """Z = W_M relu(W_(M-1) ... relu(W_1 H)) (+ b 1^T): as `DeepLinear`, with a ReLU after every matrix but the last.

    f has kinks where a pre-activation is zero, and minima sit on them: the derivative used there is 0.

    Args:
        widths: as of `DeepLinear`.
    Source:
        Sukenik, Mondelli and Lampert (NeurIPS 2023, arXiv 2305.13165; 2024, arXiv 2405.14468).
    """

    widths: Any = field(default=(), metadata={"static": True})
    W: ClassVar[Space] = Euclidean()
    H: ClassVar[Space] = Euclidean()
    tau: ClassVar[None] = None
    classifier: ClassVar[bool] = True
    deep: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.widths, list):
            object.__setattr__(self, "widths", tuple(self.widths))

    @property
    def smooth(self) -> bool:
        """Whether f has no kinks: there is no ReLU at one matrix."""
        return not self.widths

    def matrices(self, K: int, d: int) -> Any:
        """The shapes of W_1, ..., W_M."""
        return _matrices(K, d, self.widths)

    def layers(self, W: Any, H: Any) -> tuple[Any, ...]:
        """(H, relu(W_1 H), ...): the features that each matrix sees."""
        return _layers(jax.nn.relu, W, H)

    def logits(self, W: Any, H: Any) -> Any:
        """W_M times the features of the last layer."""
        return W[-1] @ self.layers(W, H)[-1]


def _matrices(K: int, d: int, widths: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    return tuple(zip((*widths, K), (d, *widths), strict=True))


def _layers(activation: Callable[[Any], Any], W: Any, H: Any) -> tuple[Any, ...]:
    features = [H]
    for matrix in W[:-1]:
        features.append(activation(matrix @ features[-1]))
    return tuple(features)


def normalized(tau: Any) -> Bilinear:
    """Rows of W and features on unit spheres, logits tau W H (Yaras et al., NeurIPS 2022). tau multiplies."""
    return Bilinear(Spheres(), Spheres(), tau)


def normalized_features(tau: Any = None) -> Bilinear:
    """Features on the unit sphere, weight decay on W, logits tau W H."""
    return Bilinear(Euclidean(), Spheres(), tau)


def fixed_classifier(W: Any, features: Space | None = None) -> Bilinear:
    """W [K, d] given and not optimised; features with weight decay, or in another space such as Spheres(radius).

    Source:
        Yang et al. (NeurIPS 2022), with W a simplex ETF (`theory.frames.simplex_etf`, `ufm.etf_start`).
    """
    return Bilinear(Fixed(np.asarray(W, np.float64)), Euclidean() if features is None else features)


def layer_peeled(E_W: Any, E_H: Any) -> Bilinear:
    """|W|^2 / K = E_W and (1/K) sum_k mean_i |h_ki|^2 = E_H instead of decays (Fang et al., PNAS 2021)."""
    return Bilinear(Budget(E_W), Budget(E_H))


def relu_features() -> Bilinear:
    """H >= 0, weight decay on W and H (Dang et al. 2024)."""
    return Bilinear(Euclidean(), Nonnegative())


def contrastive(temperature: Any = 1.0) -> Gram:
    """Unit features compared with each other, Z = H^T H / temperature; use with ufm.SupCon()."""
    return Gram(Spheres(), 1.0 / temperature)
