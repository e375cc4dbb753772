"""Theory beside every row of a sweep: what the closed form says of each case, and how far the solution is from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import theory
from ufm.certify.certificate import Certificate
from ufm.problem import Problem
from ufm.solve import Solution
from ufm.sweep.version import source_digest
from ufm.verify.compare import ZERO, compare
from ufm.verify.predict import NotApplicable, predict


@dataclass(frozen=True)
class Predicted:
    """Columns `theorem`, `prediction` (f*), `difference` (f - f*) and `worst` (over all that the theorem states).

    Args:
        theory: digest of the sources that predict, so that stored rows do not outlive them.
    """

    theory: str

    def __call__(self, problem: Problem, solution: Solution, certificate: Certificate) -> Mapping[str, Any]:
        """The four columns; "" and NaN where no theorem covers the problem.

        worst: largest |predicted - found| / (1 + |predicted|) over the quantities; shapes that are lost in rounding
        (W H = 0) are left out.
        """
        try:
            prediction = predict(problem)
        except NotApplicable:
            return {"theorem": "", "prediction": np.nan, "difference": np.nan, "worst": np.nan}
        comparison = compare(problem, solution.params, prediction, certificate=certificate)
        value = float(prediction.quantities["value"])
        vanished = bool(np.max(np.abs(prediction.quantities.get("sigma_Z", np.inf))) <= ZERO)
        rows = [row for row in comparison.rows if not (vanished and row.name == "nullity")]
        sizes = [row.difference / (1.0 + float(np.max(np.abs(row.predicted)))) for row in rows]
        return {
            "theorem": prediction.theorem,
            "prediction": value,
            "difference": solution.value - value,
            "worst": float(np.nanmax(sizes)),
        }


def predicted() -> Predicted:
    """`columns=predicted()` of `ufm.sweep`, with the theory that is installed."""
    root = Path(theory.__file__).parent
    here = Path(__file__).parent
    files = [*root.rglob("*.py"), *(here / name for name in ("columns.py", "predict.py", "compare.py"))]
    return Predicted(source_digest(files, root.parent))
