"""Checks of plain arguments, shared by the public entries."""

from numbers import Integral, Real
from typing import Any

import jax.core
import jax.numpy as jnp
import numpy as np


def untraced(value: Any, name: str, who: str) -> None:
    """TypeError if `value` is a tracer: the public entries run on the host."""
    if isinstance(value, jax.core.Tracer):
        raise TypeError(f"{who}: {name} is traced by jit, grad or vmap. Call {who} outside of them, with numbers.")


def as_real(value: Any) -> float | None:
    """`value` as a float if it is a real scalar (a Python, NumPy or jax number, or a 0-d array), else None."""
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        real = isinstance(value, Real) and not isinstance(value, bool)
    else:
        real = np.shape(value) == () and (dtype.kind in "iuf" or jnp.issubdtype(dtype, jnp.floating))
    if not real:
        return None
    try:
        return float(value)
    except OverflowError:
        return np.inf


def positive(value: Any, name: str, who: str) -> float:
    """`value` as a float; TypeError unless it is a real number, ValueError unless it is finite and positive."""
    number = as_real(value)
    if number is None:
        raise TypeError(f"{who}: {name}={value!r} is not a finite positive number. Pass a float > 0.")
    if not (np.isfinite(number) and number > 0):
        raise ValueError(f"{who}: {name}={value!r} is not a finite positive number. Pass a float > 0.")
    return number


def whole(value: Any, name: str, who: str, least: int, why: str) -> int:
    """`value` as an int; TypeError unless it is one, ValueError (with the reason why) unless least <= value < 2^31."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{who}: {name}={value!r} is not an integer. Pass an int >= {least}.")
    number = int(value)
    if number < least:
        raise ValueError(f"{who}: {name}={number} ({why}). Pass an int >= {least}.")
    if number >= 2**31:
        raise ValueError(f"{who}: {name}={number} is too large. Pass an int in [{least}, 2^31).")
    return number
