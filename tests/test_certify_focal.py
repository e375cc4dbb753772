"""The focal loss's bound by its margin: where there is none, and where the rate turns back."""

import numpy as np
import pytest

import ufm
from ufm.certify.bounds import local_bound
from ufm.certify.point import examine


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"lam_W": 1.2, "lam_H": 1.2, "lam_b": 0.0}, "decays this large is not covered"),
        ({"n": (1,) * 23 + (2,)}, "needs balanced classes"),
        ({"lam_H": None, "model": ufm.normalized_features()}, "needs decay on W and H"),
    ],
)
def test_focal_loss_outside_its_region_has_no_bound(changes, reason):
    given = {"K": 24, "n": 1, "d": 23, "lam_W": 1e-3, "lam_H": 1e-3, "loss": ufm.Focal(2.0), **changes}
    instance = ufm.Problem(**given)
    bound = local_bound(instance, examine(instance, ufm.random_start(instance)))
    assert bound.value == -np.inf
    assert reason in bound.method


def test_focal_bound_where_the_rate_turns_back():
    """T13's warning: K = 24 > 18, kappa > 1, two local minima in the margin; the bound is the lower of the two."""
    decay = np.sqrt(1.17 / 24)  # of both blocks: C = 23/24 * 1.17 between rate(1/K) and its peak
    instance = ufm.Problem(24, 1, 23, decay / 24**0.5, decay / 24**0.5, None, ufm.Focal(2.0))
    margins = np.linspace(0.0, 40.0, 400_001)
    cost = 23 * float(instance.nu)
    grid = np.min(instance.loss.margin_bound(margins, 24) + cost * margins)
    bound = local_bound(instance, examine(instance, ufm.random_start(instance))).value
    assert grid - 1e-9 <= bound <= grid + 1e-15
