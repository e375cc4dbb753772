"""Where the precision of a computation is decided: once, at the public entries, outside jit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np


@contextmanager
def exact() -> Iterator[None]:
    """Float64 allowed and full-precision products (no TF32, no bf16 passes), restored on exit.

    Arrays that leave this context as jax arrays would silently be narrowed to float32 by the next operation
    outside it, so every public entry returns NumPy arrays.
    """
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield


def as_dtype(name: Any, who: str) -> np.dtype:
    """The NumPy dtype of a `dtype=` argument; raises ValueError for anything but float32 and float64."""
    for dtype in (np.dtype("float32"), np.dtype("float64")):
        try:
            if name is not None and np.dtype(name) == dtype:
                return dtype
        except TypeError:
            break
    raise ValueError(f"{who}: dtype={name!r} is not supported. Use 'float64' (default) or 'float32'.")


def to_host(tree: Any) -> Any:
    """The same pytree with NumPy leaves."""
    return jax.tree.map(np.asarray, tree)
