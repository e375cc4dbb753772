"""Layers of the reference networks: maps of batches [B, ...] to batches, pytrees whose arrays are their weights.

Images are [B, height, width, channels], tokens [B, tokens, width]; features are the last axis everywhere.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

ROUNDING = 1e-5  # added to variances, so that a constant feature stays 0 rather than becoming noise


class Affine(eqx.Module):
    """x W^T + b on the last axis: weight [out, in], bias [out]."""

    weight: Any
    bias: Any

    def __call__(self, x: Any) -> jax.Array:
        return x @ self.weight.T + self.bias


class Conv(eqx.Module):
    """A convolution with zero padding, no bias (a norm follows): kernel [height, width, in, out]."""

    kernel: Any
    stride: int = eqx.field(static=True)

    def __call__(self, x: Any) -> jax.Array:
        return jax.lax.conv_general_dilated(
            x, self.kernel, (self.stride, self.stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )


class BatchNorm(eqx.Module):
    """scale (x - mean) / sqrt(variance + 1e-5) + shift for each feature.

    mean and variance are those of the batch while they are None (training); `fix_statistics` sets them to those of a
    set of samples. So no running average enters a measurement: it sees the network of a stated set.
    """

    scale: Any
    shift: Any
    mean: Any = None
    variance: Any = None

    def __call__(self, x: Any) -> jax.Array:
        mean, variance = statistics(x) if self.mean is None else (self.mean, self.variance)
        return self.scale * (x - mean) * jax.lax.rsqrt(variance + ROUNDING) + self.shift


class LayerNorm(eqx.Module):
    """scale (x - mean) / sqrt(variance + 1e-5) + shift, mean and variance over the last axis."""

    scale: Any
    shift: Any

    def __call__(self, x: Any) -> jax.Array:
        x = x - jnp.mean(x, axis=-1, keepdims=True)
        return self.scale * x * jax.lax.rsqrt(jnp.mean(x**2, axis=-1, keepdims=True) + ROUNDING) + self.shift


class Attention(eqx.Module):
    """Softmax self-attention of tokens [B, T, width]; mix [3 width, width] makes the heads' queries, keys, values."""

    mix: Affine
    out: Affine
    heads: int = eqx.field(static=True)

    def __call__(self, x: Any) -> jax.Array:
        B, T, width = x.shape
        q, k, v = jnp.moveaxis(self.mix(x).reshape(B, T, 3, self.heads, width // self.heads), 2, 0)
        weights = jax.nn.softmax(jnp.einsum("bthd,bshd->bhts", q, k) * (width // self.heads) ** -0.5, axis=-1)
        return self.out(jnp.einsum("bhts,bshd->bthd", weights, v).reshape(B, T, width))


class Patches(eqx.Module):
    """Images to tokens [B, T, width]: squares of side^2 pixels, an affine map, plus a learned position [T, width]."""

    embed: Affine
    position: Any
    side: int = eqx.field(static=True)

    def __call__(self, x: Any) -> jax.Array:
        B, h, w, c = x.shape
        s = self.side
        x = x.reshape(B, h // s, s, w // s, s, c).transpose(0, 1, 3, 2, 4, 5).reshape(B, -1, s * s * c)
        return self.embed(x) + self.position


class Chain(eqx.Module):
    """Layers, or functions such as jax.nn.relu, one after the other."""

    layers: tuple[Any, ...]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


class Residual(eqx.Module):
    """inner(x) + shortcut(x); an empty shortcut is the identity."""

    inner: Chain
    shortcut: Chain

    def __call__(self, x: Any) -> Any:
        return self.inner(x) + self.shortcut(x)


def statistics(x: Any) -> tuple[jax.Array, jax.Array]:
    """Mean and variance (of deviations, never E x^2 - (E x)^2) of each feature over all other axes."""
    axes = tuple(range(x.ndim - 1))
    mean = jnp.mean(x, axis=axes)
    return mean, jnp.mean((x - mean) ** 2, axis=axes)


def fix_statistics(layer: Any, x: Any) -> tuple[Any, Any]:
    """The same layer with the statistics of the samples x in each of its batch norms, and its output for x."""
    if isinstance(layer, BatchNorm):
        layer = BatchNorm(layer.scale, layer.shift, *statistics(x))
        return layer, layer(x)
    if isinstance(layer, Chain):
        fixed = []
        for inner in layer.layers:
            inner, x = fix_statistics(inner, x)
            fixed.append(inner)
        return Chain(tuple(fixed)), x
    if isinstance(layer, Residual):
        (inner, y), (shortcut, z) = fix_statistics(layer.inner, x), fix_statistics(layer.shortcut, x)
        return Residual(inner, shortcut), y + z
    return layer, layer(x)


def affine(rng: np.random.Generator, out: int, width: int, gain: float = 2.0) -> Affine:
    """Gaussian weights of variance gain / width (He et al. 2015 for ReLU: 2), bias 0."""
    weight = rng.standard_normal((out, width)) * np.sqrt(gain / width)
    return Affine(jnp.asarray(weight, jnp.float32), jnp.zeros(out, jnp.float32))


def conv(rng: np.random.Generator, side: int, width: int, out: int, stride: int = 1) -> Conv:
    """Gaussian kernel of variance 2 / (side^2 width)."""
    kernel = rng.standard_normal((side, side, width, out)) * np.sqrt(2.0 / (side * side * width))
    return Conv(jnp.asarray(kernel, jnp.float32), stride)


def batch_norm(width: int) -> BatchNorm:
    """Scale 1, shift 0, statistics of the batch."""
    return BatchNorm(jnp.ones(width, jnp.float32), jnp.zeros(width, jnp.float32))


def layer_norm(width: int) -> LayerNorm:
    """Scale 1, shift 0."""
    return LayerNorm(jnp.ones(width, jnp.float32), jnp.zeros(width, jnp.float32))


def no_norm(width: int) -> Callable[[Any], Any]:
    """The identity: for plain networks."""
    return jax.nn.identity


def flatten(x: Any) -> Any:
    """[B, ...] to [B, d]."""
    return x.reshape(x.shape[0], -1)


def pool(x: Any) -> Any:
    """[B, ..., d] to [B, d]: the mean over places (pixels, tokens); a [B, d] stays as it is."""
    return jnp.mean(x, axis=tuple(range(1, x.ndim - 1)))
