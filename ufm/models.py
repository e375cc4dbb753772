"""Models: where W and H live, and how they make logits.

    Bilinear(W, H, tau)    Z = tau W H, W and H each in a space of ufm.spaces; the default is weight decay on both
    Gram(H, tau)           Z = tau H^T H, features alone (contrastive losses)

The functions name the models of the literature. tau and the numbers of the spaces are leaves of the pytree.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import numpy as np

from ufm.spaces import Budget, Euclidean, Fixed, Nonnegative, Space, Spheres


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Bilinear:
    """Z = tau W H (+ b 1^T): classifier W [K, d] and features H [d, N], each in its space; tau None is 1."""

    W: Space = field(default_factory=Euclidean)
    H: Space = field(default_factory=Euclidean)
    tau: Any = None
    classifier: ClassVar[bool] = True

    def logits(self, W: Any, H: Any) -> Any:
        """tau W H."""
        return W @ H if self.tau is None else self.tau * (W @ H)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Gram:
    """Z = tau H^T H [N, N]: similarities of the features with each other; there is no W."""

    H: Space = field(default_factory=Spheres)
    tau: Any = None
    W: ClassVar[None] = None
    classifier: ClassVar[bool] = False

    def logits(self, W: Any, H: Any) -> Any:
        """tau H^T H."""
        return H.T @ H if self.tau is None else self.tau * (H.T @ H)


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
