"""The report of a solve as data: everything that is known of one solution."""

import math
import time
from dataclasses import dataclass

import numpy as np

from ufm.certify.certificate import Certificate, certify
from ufm.collapse import Collapse, collapse
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.status import Status
from ufm.verify.compare import ZERO, Comparison, compare
from ufm.verify.predict import NotApplicable, Prediction, predict


@dataclass(frozen=True, eq=False)
class Report:
    """A solution, certified, measured and set against theory.

    Attributes:
        method: solver, start and precision in words.
        certificate: None if the solve ended at a point that is not finite; nothing else is known then.
        collapse: None where W H = 0 up to ZERO: there rounding is all that could be measured.
        logits: max |W H|.
        prediction, comparison: None if no theorem covers the problem; `reasons` then says why.
        seconds: spent on certificate, metrics and comparison, compilation included.
    """

    problem: Problem
    method: str
    solution: Solution
    certificate: Certificate | None
    collapse: Collapse | None
    logits: float
    prediction: Prediction | None
    comparison: Comparison | None
    reasons: tuple[str, ...]
    seconds: float


def make_report(problem: Problem, solution: Solution, *, method: str, gtol: float = 1e-8) -> Report:
    """Certify, measure and compare.

    Args:
        method: solver, start and precision in words.
        gtol: gradient up to which the certificate calls the point critical.
    """
    if solution.status is Status.NONFINITE:
        return Report(problem, method, solution, None, None, math.nan, None, None, (), 0.0)
    clock = time.perf_counter()
    params = solution.params
    certificate = certify(problem, params, gtol=gtol)
    logits = float(np.max(np.abs(params.W @ params.H)))
    found = collapse(params.H, problem.labels, params.W, params.b) if logits > ZERO else None
    prediction, reasons = _predicted(problem)
    comparison = None if prediction is None else compare(problem, params, prediction, certificate=certificate)
    seconds = time.perf_counter() - clock
    return Report(problem, method, solution, certificate, found, logits, prediction, comparison, reasons, seconds)


def _predicted(problem: Problem) -> tuple[Prediction | None, tuple[str, ...]]:
    try:
        return predict(problem), ()
    except NotApplicable as error:
        return None, error.reasons
