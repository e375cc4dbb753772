"""-log p_y of a softmax, with its first two derivatives in closed form.

Left to automatic differentiation, the steps that keep small losses accurate are differentiated one by one, and a
Hessian-vector product makes twice as many passes over the logits as the closed form: the larger part of its time for
few classes. Targets and multiplicities are constants: no derivative is taken in them.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class _Shares(NamedTuple):
    """The softmax, split: q [K, N] of the other classes, zero at the own one; own [N]; log_own its logarithm."""

    q: jax.Array
    own: jax.Array
    log_own: jax.Array


def _shares(Z: jax.Array, Y: jax.Array, classes: Any) -> _Shares:
    margin = Z - jnp.sum(Y * Z, axis=0)  # <= 0 where the sample is classified correctly
    # The own margin is not always 0: a fused multiply-add may round Z differently here and in the sum.
    others = 1.0 - Y
    shift = jnp.max(others * margin, axis=0)
    scaled = classes * others * jnp.exp(others * margin - shift)
    beyond = jnp.expm1(-shift) + jnp.sum(scaled, axis=0)
    total = 1.0 + beyond
    return _Shares(scaled / total, jnp.exp(-shift) / total, -(shift + jnp.log1p(beyond)))


@jax.custom_jvp
def surprise(Z: jax.Array, Y: jax.Array, classes: Any) -> jax.Array:
    """-log p_y, p = softmax(z): [N] of logits Z and one-hot labels Y [K, N]; relative accuracy kept however small.

    Args:
        classes: how many classes each row stands for; broadcasts with Z.
    """
    return -_shares(Z, Y, classes).log_own


@jax.custom_jvp
def excess(Z: jax.Array, Y: jax.Array, classes: Any) -> jax.Array:
    """p - y, the gradient of `surprise` in Z; [K, N], accurate relative to 1 - p_y."""
    q = _shares(Z, Y, classes).q
    return q - Y * jnp.sum(q, axis=0)


@surprise.defjvp
def _surprise_jvp(primals: Any, tangents: Any) -> Any:
    return surprise(*primals), jnp.sum(excess(*primals) * tangents[0], axis=0)


@excess.defjvp
def _excess_jvp(primals: Any, tangents: Any) -> Any:
    (_, Y, _), dZ = primals, tangents[0]
    q, own, _ = _shares(*primals)
    wrong = jnp.sum(q, axis=0)
    moved = dZ - jnp.sum(Y * dZ, axis=0)
    mean = jnp.sum(q * moved, axis=0)
    return q - Y * wrong, q * (moved - mean) - Y * (own * mean)
