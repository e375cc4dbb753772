"""The supervised contrastive loss, of similarities of features alone."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ufm import tree


@tree.register
@dataclass(frozen=True, eq=False)
class SupCon:
    """Mean over positives p of logsumexp_{j != i} z_ji - z_pi for each anchor i: supervised contrastive loss.

    Z [N, N] are similarities of features alone (`ufm.contrastive`); positives are the other samples of the anchor's
    class. An anchor without positives has loss 0.

    Source:
        Khosla et al. (NeurIPS 2020); Graf et al. (ICML 2021) for its minimum.
    """

    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = True
    exchangeable: ClassVar[bool] = False
    conjugate: ClassVar[None] = None
    rank_bound: ClassVar[None] = None
    margin_bound: ClassVar[None] = None

    def check(self, problem: Any, who: str) -> None:
        """Raise unless the model compares features with each other and the targets are classes."""
        if problem.model.classifier or problem.targets is not None:
            raise ValueError(
                f"{who}: SupCon needs features alone and classes. Pass model=ufm.contrastive(temperature)."
            )

    def __call__(self, Z: jax.Array, Y: jax.Array) -> jax.Array:
        others = 1.0 - jnp.eye(Z.shape[1], dtype=Z.dtype)
        positive = (Y.T @ Y) * others
        count = jnp.sum(positive, axis=0)
        # The anchor itself is left out of the sum: -inf, whose exponential and gradient are exact zeros.
        spread = jax.scipy.special.logsumexp(jnp.where(others > 0, Z, -jnp.inf), axis=0)
        return jnp.where(count > 0, spread - jnp.sum(positive * Z, axis=0) / jnp.maximum(count, 1.0), 0.0)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """G itself: no conjugate is used."""
        return G
