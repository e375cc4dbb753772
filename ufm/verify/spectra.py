"""Hessian spectra as claims measure and predict them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

import theory
from ufm.verify.claim import Measurement
from ufm.verify.experiment import SPECTRUM

EIGENVALUES = "1e-12 of the largest eigenvalue (rounding of eigvalsh) plus the distance of the point from the exact one"


def spectrum_measurement(spectrum: np.ndarray, distance: float = 0.0) -> Measurement:
    """Eigenvalues, ascending, and the number of zeros; `distance` from the exact point moves them in proportion."""
    largest = float(np.max(np.abs(spectrum)))
    tolerance = (SPECTRUM + 4.0 * distance) * largest
    values = {"eigenvalues": spectrum, "zeros": int(np.sum(np.abs(spectrum) <= 1e-9 * largest))}
    return Measurement(values, {"eigenvalues": tolerance})


def expanded(spectrum: theory.Spectrum) -> Mapping[str, Any]:
    """As `spectrum_measurement` measures it."""
    values = theory.expand(spectrum)
    return {"eigenvalues": values, "zeros": int(np.sum(np.abs(values) <= 1e-9 * np.max(np.abs(values))))}
