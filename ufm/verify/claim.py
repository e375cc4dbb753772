"""A claim of the literature as data: what is stated, how it is measured, what theory predicts, and the verdict on it.

How to add one. In a file of `ufm.verify.claims` write three functions and list the claim in that file's CLAIMS:

    settings(full) -> the settings, hashable values; few shapes (each compiles for seconds), many decays and seeds
    measure(setting) -> Measurement: quantities found through `ufm` alone, each with its tolerance
    predict(setting) -> quantities through `theory` alone; `AtLeast`, `AtMost` for bounds, strings for verdicts

`measure` never sees `theory`: a change of a closed form then changes the predictions and nothing else, which is how
`benchmarks/mutants.py` finds out whether the claims would notice. A threshold is measured as the root of something
that changes sign there, not by looking on both sides of the predicted one. Then name the file in `claims/__init__.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np


class Outcome(IntEnum):
    """What became of a claim. INCONCLUSIVE: an experiment did not end where it has to, or something is undefined."""

    HOLDS = 0
    VIOLATED = 1
    INCONCLUSIVE = 2
    NOT_APPLICABLE = 3


@dataclass(frozen=True)
class AtLeast:
    """A prediction that the measured value is not below."""

    value: Any


@dataclass(frozen=True)
class AtMost:
    """A prediction that the measured value is not above."""

    value: Any


@dataclass(frozen=True, eq=False)
class Measurement:
    """What an experiment found at one setting.

    Attributes:
        values: quantity -> number, array or string; more than the theorem states is no fault.
        tolerances: quantity -> largest allowed |predicted - measured|; 0 for counts and strings, which may be left out.
        failure: why the experiment says nothing, or "".
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    tolerances: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True, eq=False)
class Claim:
    """One statement of the literature.

    Attributes:
        id: of the theory reference, such as "T7"; a dash and a word where one theorem makes several claims.
        statement: in one sentence. source: the paper, or "derived for this project". assumptions: its hypotheses.
        tolerance: where the tolerances come from, in one sentence.
        boundary: it marks where a statement of the literature stops.
        settings, measure, predict: see the module.
    """

    id: str
    statement: str
    source: str
    assumptions: str
    tolerance: str
    settings: Callable[[bool], Iterable[Any]]
    measure: Callable[[Any], Measurement]
    predict: Callable[[Any], Mapping[str, Any]]
    boundary: bool = False


@dataclass(frozen=True, eq=False)
class Row:
    """One quantity at one setting. difference: the largest over its entries; NaN if undefined; strings: 0 or inf."""

    quantity: str
    predicted: Any
    measured: Any
    difference: float
    tolerance: float

    @property
    def ratio(self) -> float:
        """difference / tolerance, the share of the allowance that is used up; <= 1 where the claim holds."""
        if self.difference == 0.0:
            return 0.0
        return self.difference / self.tolerance if self.tolerance > 0.0 else float("inf")


@dataclass(frozen=True, eq=False)
class Check:
    """A claim at one setting; `reason` says why it is not simply one of HOLDS and VIOLATED."""

    setting: str
    outcome: Outcome
    rows: tuple[Row, ...]
    reason: str = ""

    @property
    def worst(self) -> Row | None:
        """The row that uses up most of its tolerance; an undefined one before all others."""
        return max(self.rows, key=lambda row: float("inf") if np.isnan(row.ratio) else row.ratio, default=None)


def judge(claim: Claim, setting: Any, found: Measurement) -> Check:
    """Set the prediction for `setting` against what was found there."""
    if found.failure:
        return Check(str(setting), Outcome.INCONCLUSIVE, (), found.failure)
    try:
        predicted = claim.predict(setting)
    except ValueError as error:
        reasons = getattr(error, "reasons", None)  # of theory.NotApplicable
        if reasons is None:
            return Check(str(setting), Outcome.VIOLATED, (), f"theory refuses: {error}")
        return Check(str(setting), Outcome.NOT_APPLICABLE, (), " ".join(reasons))
    except ArithmeticError as error:
        return Check(str(setting), Outcome.VIOLATED, (), f"theory fails: {error}")
    missing = [name for name in predicted if name not in found.values]
    if missing or not predicted:
        return Check(str(setting), Outcome.INCONCLUSIVE, (), f"not measured: {', '.join(missing) or 'anything'}")
    rows = tuple(_row(name, predicted[name], found) for name in predicted)
    return Check(str(setting), _outcome(rows), rows)


def _row(name: str, predicted: Any, found: Measurement) -> Row:
    measured, tolerance = found.values[name], float(found.tolerances.get(name, 0.0))
    if isinstance(predicted, str) or isinstance(measured, str):
        return Row(name, predicted, measured, 0.0 if predicted == measured else float("inf"), 0.0)
    if isinstance(predicted, AtLeast):
        difference = np.maximum(predicted.value - np.asarray(measured, float), 0.0)
        return Row(name, predicted, measured, float(np.max(difference)), tolerance)
    if isinstance(predicted, AtMost):
        difference = np.maximum(np.asarray(measured, float) - predicted.value, 0.0)
        return Row(name, predicted, measured, float(np.max(difference)), tolerance)
    if np.shape(predicted) != np.shape(measured):
        return Row(name, predicted, measured, float("inf"), tolerance)
    difference = np.abs(np.asarray(predicted, float) - np.asarray(measured, float))
    return Row(name, predicted, measured, float(np.max(difference, initial=0.0)), tolerance)


def _outcome(rows: tuple[Row, ...]) -> Outcome:
    if any(row.difference > row.tolerance for row in rows):
        return Outcome.VIOLATED
    undefined = any(np.isnan(row.difference) or not np.isfinite(row.tolerance) for row in rows)
    return Outcome.INCONCLUSIVE if undefined else Outcome.HOLDS
