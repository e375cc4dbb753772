"""A prediction against a point: every quantity that a theorem states, measured in float64."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np

from ufm.certify.certificate import Certificate
from ufm.certify.point import as_float64
from ufm.collapse import class_means
from ufm.precision import exact, to_host
from ufm.problem import Params, Problem
from ufm.validation import check_params, check_problem

ZERO = 1e-8  # logits W H of at most this size are called zero: what is left of their directions is rounding
LABELS = {
    "value": "value f",
    "data_loss": "data loss",
    "W_sq": "|W|^2",
    "H_sq": "|H|^2",
    "b": "b",
    "gram_W": "W W^T",
    "gram_M": "M^T M",
    "logits": "W M",
    "sigma_Z": "sigma(W H)",
    "margin": "margin",
    "nullity": "zero modes",
}


class Prediction(Protocol):
    """What is read of a prediction (`theory.Prediction` is one)."""

    @property
    def theorem(self) -> str: ...
    @property
    def statement(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def quantities(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, eq=False)
class Row:
    """One quantity. difference: the largest |predicted - found| over its entries; NaN if it was not measured."""

    name: str
    label: str
    predicted: Any
    found: Any
    difference: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """A theorem with, in `rows`, each quantity that it states as predicted and as found; `str` is a table."""

    theorem: str
    statement: str
    source: str
    rows: tuple[Row, ...]

    def __str__(self) -> str:
        return "\n".join([f"{self.theorem}: {self.statement}", *table(self.rows)])


def compare(
    problem: Problem, params: Any, prediction: Prediction, *, certificate: Certificate | None = None
) -> Comparison:
    """Set every quantity that `prediction` states beside the same quantity of the point `params`.

    Args:
        params: any point of the problem.
        prediction: of the same problem. A free bias of a shift-invariant loss is compared after removing its mean.
        certificate: of the same point; the found nullity is read from it. Without one the nullity has no row.
    Raises:
        TypeError, ValueError: a problem or parameters that cannot work; a prediction of something unknown, or of
            another shape than the problem's.
    """
    check_problem(problem, "compare")
    found = measure(problem, check_params(problem, params, "compare"))
    if certificate is not None:
        found["nullity"] = np.nan if certificate.nullity is None else certificate.nullity
    stated = dict(prediction.quantities)
    if certificate is None:
        stated.pop("nullity", None)
    rows = tuple(_row(problem, name, stated[name], found.get(name)) for name in sorted(stated, key=_position))
    return Comparison(prediction.theorem, prediction.statement, prediction.source, rows)


def measure(problem: Problem, params: Params) -> dict[str, Any]:
    """Every quantity of LABELS except the nullity (and b, W's, if there is none), at the point; NumPy float64.

    M [d, C] are the group means of the features, so that "logits" is tau W M without bias; "margin" includes the bias.
    Of a deep model "W_sq" is [M], "gram_W" is that of W_M, and "logits" what all layers make of M.
    """
    W, H, b = params
    means = feature_means(problem, H)
    with exact():
        value, data_loss = to_host(_values(problem.astype(np.float64), as_float64(params)))
    found = {
        "value": float(value),
        "data_loss": float(data_loss),
        "H_sq": float(np.sum(H**2)),
        "gram_M": means.T @ means,
    }
    if W is None:
        return found
    with exact():
        logits, Z = to_host([problem.model.logits(W, x) for x in (means, H)])
    sigma = np.linalg.svd(Z, compute_uv=False)
    last = W[-1] if problem.model.deep else W
    found |= {
        "W_sq": np.array([np.sum(x**2) for x in W]) if problem.model.deep else float(np.sum(W**2)),
        "gram_W": last @ last.T,
        "logits": logits,
        "sigma_Z": np.pad(sigma, (0, problem.K - sigma.size)),
        "margin": _margin(logits if b is None else logits + b[:, None], problem.group_targets()),
    }
    return found if b is None else {**found, "b": b}


def _margin(scores: np.ndarray, targets: np.ndarray) -> float:
    """min over groups of the smallest score of a label less the largest of the others; NaN for real targets."""
    if not np.all((targets == 0.0) | (targets == 1.0)):
        return float("nan")
    lead = np.min(np.where(targets == 1.0, scores, np.inf), axis=0)
    lead = lead - np.max(np.where(targets == 0.0, scores, -np.inf), axis=0)
    return float(np.min(lead))


def feature_means(problem: Problem, H: np.ndarray) -> np.ndarray:
    """[d, C] means of the features H of a point of `problem` over each group (class, unless it has targets)."""
    return H / np.sqrt(problem.sizes) if problem.merged else class_means(H, problem.labels, problem.C)


@jax.jit
def _values(problem: Problem, params: Params) -> tuple[jax.Array, jax.Array]:
    return problem.objective(params), problem.data_loss(problem.logits(params))


def _position(name: str) -> int:
    if name not in LABELS:
        raise ValueError(f"compare: the prediction states {name!r}, which is not measured. Known: {', '.join(LABELS)}.")
    return list(LABELS).index(name)


def _row(problem: Problem, name: str, predicted: Any, found: Any) -> Row:
    if np.shape(predicted) != np.shape(found) or found is None:
        got = "nothing" if found is None else f"shape {np.shape(found)}"
        raise ValueError(
            f"compare: the prediction states {name} of shape {np.shape(predicted)}, the point has {got}. "
            "Predict the same problem."
        )
    free = problem.lam_b is not None and float(problem.lam_b) == 0.0
    if name == "b" and free and problem.loss.shift_invariant:
        predicted, found = predicted - np.mean(predicted), found - np.mean(found)
    return Row(name, LABELS[name], predicted, found, float(np.max(np.abs(np.asarray(predicted) - found))))


def representatives(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """The rows with one number for each array; a matrix gives two, for its diagonal and for the rest.

    The entry shown is the one that differs most or, where no entry differs visibly, the largest.
    """
    shown: list[Row] = []
    for row in rows:
        if np.ndim(row.predicted) < 2:
            shown.append(_representative(row, "", np.atleast_1d(row.predicted), np.atleast_1d(row.found)))
            continue
        diagonal = np.eye(len(row.predicted), dtype=bool)
        for part, mask in ((" diagonal", diagonal), (" off-diagonal", ~diagonal)):
            shown.append(_representative(row, part, row.predicted[mask], row.found[mask]))
    return tuple(shown)


def _representative(row: Row, part: str, predicted: np.ndarray, found: np.ndarray) -> Row:
    difference = np.abs(predicted - found)
    visible = np.where(difference > 1e-9 * (1.0 + np.max(np.abs(predicted))), difference, 0.0)
    i = np.lexsort((np.abs(predicted), visible))[-1]
    return Row(row.name, row.label + part, predicted[i].item(), found[i].item(), float(np.max(difference)))


def table(rows: tuple[Row, ...]) -> list[str]:
    """Aligned lines, predicted / found / difference, under a heading."""
    lines = [f"{'':20}{'predicted':>20}{'found':>20}{'difference':>14}"]
    for row in representatives(rows):
        predicted, found = _cells(row.predicted, row.found)
        counted = "0" if row.difference == 0.0 else f"{row.difference:.1e}"
        difference = "not counted" if np.isnan(row.difference) else counted
        lines.append(f"{row.label:20}{predicted:>20}{found:>20}{difference:>14}")
    return lines


def _cells(predicted: float, found: float) -> tuple[str, str]:
    """Both numbers in one notation, so that they can be read against each other."""
    if isinstance(predicted, int):  # ends where the decimal point of the other rows stands
        counted = f"{found:d}" if isinstance(found, int) else "-"
        return f"{predicted:d}{'':11}", f"{counted}{'':11}"
    size = max(abs(predicted), abs(found))
    zero = predicted == 0.0 and size < 5e-11
    form = ".10f" if zero or 1e-3 <= size < 1e6 else ".9e"
    return f"{0.0 if zero else predicted:{form}}", f"{0.0 if zero else found:{form}}"
