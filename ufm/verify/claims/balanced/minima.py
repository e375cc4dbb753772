"""The global minima of cross-entropy and of squares with equal class sizes: T7, T8, T9."""

from collections.abc import Mapping
from typing import Any

from ufm.verify.claim import Claim, Measurement
from ufm.verify.claims.balanced.settings import (
    Setting,
    cross_entropy_settings,
    few_features_settings,
    settled,
    squares_settings,
    theory_of,
)
from ufm.verify.experiment import ALLOWANCE, quantities


def measure_minimum(setting: Setting) -> Measurement:
    """Every quantity of the minimum."""
    return quantities(settled(setting))


def predict_minimum(setting: Setting) -> Mapping[str, Any]:
    """The closed form, and that it is the global minimum."""
    module, arguments = theory_of(setting)
    return {**module.global_minimum(**arguments).quantities, "verdict": "GLOBAL_MINIMUM"}


CLAIMS = (
    Claim(
        "T7",
        "Cross-entropy with label smoothing: the global minimum is one simplex ETF, its value, norms, margin explicit.",
        "Zhu et al. (NeurIPS 2021), Guo et al. (2024); values derived for this project",
        "equal class sizes, d >= K-1, lam_W, lam_H > 0",
        ALLOWANCE,
        cross_entropy_settings,
        measure_minimum,
        predict_minimum,
    ),
    Claim(
        "T8",
        "Squared loss, d >= K: simplex, intermediate or orthogonal frame according to the decay of the bias.",
        "Zhou et al. (ICML 2022), Tirer and Bruna (ICML 2022); unified form derived for this project",
        "equal class sizes, d >= K",
        ALLOWANCE,
        squares_settings,
        measure_minimum,
        predict_minimum,
    ),
    Claim(
        "T9",
        "Squared loss, d < K: min(d, K-1) centred directions are kept, whatever the decay of the bias.",
        "derived for this project",
        "equal class sizes, d < K",
        ALLOWANCE,
        few_features_settings,
        measure_minimum,
        predict_minimum,
    ),
)
