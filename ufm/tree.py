"""Dataclasses as pytrees, and vector-space operations on pytrees of arrays."""

import functools
import operator
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.tree_util import GetAttrKey

Class = TypeVar("Class", bound=type)


def register(cls: Class) -> Class:
    """A dataclass as a pytree: its fields are leaves, but for those with metadata static=True, which are structure.

    The class is part of the structure. With `jax.tree_util.register_dataclass` the structures of two classes compare
    equal where their static fields do, and then, when hashes meet in a cache, a function that was compiled for the one
    class is run on the other.
    """
    static = [field.name for field in fields(cls) if field.metadata.get("static")]
    leaves = [field.name for field in fields(cls) if not field.metadata.get("static")]

    def flatten(x: Any) -> Any:
        return [(GetAttrKey(name), getattr(x, name)) for name in leaves], (cls, *[getattr(x, name) for name in static])

    def unflatten(structure: Any, values: Any) -> Any:
        # Not through __init__, which costs five times as much: what was an instance once needs no second look.
        new = object.__new__(cls)
        vars(new).update(zip(leaves, values, strict=True))
        vars(new).update(zip(static, structure[1:], strict=True))
        return new

    jax.tree_util.register_pytree_with_keys(cls, flatten, unflatten)
    return cls


def dot(x: Any, y: Any) -> jax.Array:
    """<x, y>, the sum over all leaves of the entrywise products."""
    return functools.reduce(operator.add, jax.tree.leaves(jax.tree.map(lambda a, b: jnp.sum(a * b), x, y)))


def add(x: Any, y: Any, scale: Any = 1.0) -> Any:
    """x + scale * y."""
    return jax.tree.map(lambda a, b: a + scale * b, x, y)


def scale(x: Any, factor: Any) -> Any:
    """factor * x."""
    return jax.tree.map(lambda a: factor * a, x)


def multiply(x: Any, y: Any) -> Any:
    """Leaf by leaf product; a leaf of either may be a scalar."""
    return jax.tree.map(lambda a, b: a * b, x, y)


def max_abs(x: Any) -> jax.Array:
    """max |x_i| over all entries of all leaves; NaN if any entry is NaN."""
    return jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(x)]))


def map_shapes(function: Callable[[tuple[int, ...]], Any], shapes: Any) -> Any:
    """`function` of every shape (a tuple of ints) in a pytree of shapes."""
    return jax.tree.map(function, shapes, is_leaf=lambda x: isinstance(x, tuple) and isinstance(x[0], int))


def where(condition: Any, x: Any, y: Any) -> Any:
    """x where the scalar condition holds, else y."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), x, y)
