"""Every variant finds its theorem, and says why where there is none; each minimum is met by a solve."""

from typing import Any

import numpy as np
import pytest

import ufm
from theory import frames
from ufm import models
from ufm.spaces import Spheres
from ufm.verify.predict import NotApplicable, predict

SETS, COUNTS = ufm.label_sets(4, {1: 2, 2: 1})
ETF = frames.simplex_etf(4, 6)
REAL = np.random.default_rng(0).standard_normal((3, 12))
STEP = (5, 5, 2, 2)


def decayed(loss, n: Any = 3, lam_b: float | None = 1e-2, **changes) -> ufm.Problem:
    return ufm.Problem(4, n, 6, 5e-3, 4e-3, lam_b, loss, **changes)


FOUND = {
    "T7": decayed(ufm.CrossEntropy(0.1)),
    "T8": decayed(ufm.MSE()),
    "T9": ufm.Problem(4, 3, 2, 5e-3, 4e-3, 0.1, ufm.MSE()),
    "T10": decayed(ufm.MSE(), STEP, None),
    "T11": decayed(ufm.RescaledMSE(5.0, 3.0)),
    "T13": decayed(ufm.Focal(2.0)),
    "1.1": ufm.Problem(4, 2, 3, model=ufm.normalized(3.0)),
    "3.4": decayed(ufm.CrossEntropy(), STEP),
    "3.6": ufm.Problem(4, STEP, 6, model=ufm.layer_peeled(1.0, 5.0)),
    "3.7": ufm.Problem(4, STEP, 6, 1e-2, 1e-2, model=ufm.relu_features()),
    "4": decayed(ufm.PickAllLabel(), COUNTS, None, targets=SETS),
    "5": ufm.Problem(3, 3, 3, model=ufm.contrastive(0.7), loss=ufm.SupCon()),
    "8 decay": ufm.Problem(4, 3, 6, None, 4e-3, model=ufm.fixed_classifier(ETF)),
    "8 sphere": ufm.Problem(4, STEP, 6, model=ufm.fixed_classifier(ETF, Spheres(2.0))),
    "8 dot": ufm.Problem(4, 3, 6, loss=ufm.DotRegression(2.0), model=ufm.fixed_classifier(ETF, Spheres(2.0))),
    "T10 real": ufm.Problem(3, 1, 5, 1e-2, 2e-2, 0.0, ufm.MSE(), targets=REAL),
}


@pytest.mark.parametrize("name", FOUND)
def test_every_variant_meets_its_theorem(name):
    problem, theorem = FOUND[name], name.split()[0]
    prediction = predict(problem)
    assert prediction.theorem == theorem
    solution = ufm.solve(problem)
    assert solution.status is ufm.Status.CONVERGED
    assert abs(solution.value - prediction.value) <= 1e-14
    rows = ufm.compare(problem, solution.params, prediction).rows
    assert {row.name for row in rows} >= {"value", "H_sq"}
    if name != "8 dot":  # flat to fourth order: a gradient of 1e-12 leaves the features 1e-4 apart
        assert max(row.difference / (1 + np.max(np.abs(row.predicted))) for row in rows) <= 1e-7


ODD = np.array(ETF)
ODD[0] *= 1.1
SOME = SETS[:, :5]


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (decayed(ufm.CrossEntropy(), (4, 3, 2, 1)), "are 4 different ones; only two are solved"),
        (decayed(ufm.CrossEntropy(0.1), STEP), "differ"),
        (ufm.Problem(5, 3, 2, 0.1, 0.1), "d=2 < K-1=4"),
        (decayed(lambda Z, Y: 0.0 * Z[0]), "no theory for a user's loss"),
        (decayed(ufm.PickAllLabel(), 2, None, targets=SOME), "The label sets are not all sets of each size"),
        (ufm.Problem(4, 2, 3, None, None, 0.1, model=ufm.normalized(3.0)), "Closed forms for this model have no bias"),
        (ufm.Problem(4, 2, 3, model=ufm.normalized(3.0), loss=ufm.MSE()), "are for cross-entropy without smoothing"),
        (ufm.Problem(4, 2, 3, model=models.Bilinear(Spheres(2.0), Spheres())), "on spheres are for radius 1"),
        (ufm.Problem(4, 2, 3, 0.1, model=ufm.normalized_features()), "no closed form for W and H in Euclidean and Sph"),
        (ufm.Problem(4, 3, 6, None, 0.1, model=ufm.fixed_classifier(ODD)), "not a simplex ETF"),
        (
            ufm.Problem(4, 3, 6, None, 0.1, loss=ufm.MSE(), model=ufm.fixed_classifier(ETF)),
            "no closed form for this loss",
        ),
        (ufm.Problem(3, 3, 3, model=ufm.contrastive(), loss=lambda Z, Y: Z[0]), r"closed forms are for ufm.SupCon"),
    ],
)
def test_predict_says_why_it_cannot(problem, reason):
    with pytest.raises(NotApplicable) as caught:
        predict(problem)
    assert reason in " ".join(caught.value.reasons)
