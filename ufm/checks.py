"""Checks of plain arguments, shared by the public entries."""

from typing import Any

import numpy as np


def positive(value: Any, name: str, who: str) -> float:
    """`value` as a float; ValueError unless it is a finite positive real number."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool | np.complexfloating)
    if not number or not (np.isfinite(value) and value > 0):
        raise ValueError(f"{who}: {name}={value!r} is not a finite positive number.")
    return float(value)
