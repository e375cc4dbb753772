"""A chunk of cases to rows: solved, certified, measured. What one case does never harms the others."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ufm.certify.certificate import Certificate, certify
from ufm.collapse import collapse
from ufm.layers import layer_features
from ufm.precision import exact
from ufm.problem import Problem
from ufm.solve import Solution, solve
from ufm.status import Status
from ufm.sweep.case import Case
from ufm.sweep.together import out_of_memory, together
from ufm.sweep.version import code_version, installed

Row = dict[str, Any]  # numbers, text, and arrays of the extra columns
Columns = Callable[[Problem, Solution, Certificate], Mapping[str, Any]]

FAILED, OUT_OF_MEMORY, WORKER_DIED = "FAILED", "OUT_OF_MEMORY", "WORKER_DIED"
MISNAMED = "MISNAMED"  # a further column would overwrite another one: the sweep ends
FAULTS = (FAILED, OUT_OF_MEMORY, WORKER_DIED, MISNAMED)  # not an answer of the solver: a later run tries again

SOLVED = ("value", "grad_norm", "steps", "evaluations", "escapes")
CERTIFIED = ("gap", "lower_bound", "smallest_eigenvalue", "index", "nullity", "symmetry", "dual_ratio")
COLLAPSE = (
    "nc1", "nc1_trace", "rank", "nc2_equinorm_H", "nc2_equinorm_W", "nc2_equiangular_H", "nc2_equiangular_W",
    "nc2_gram_H", "nc2_gram_W", "nc3", "nc4", "margin_min", "margin_mean", "accuracy",
)  # fmt: skip
NUMBERS = (*SOLVED, *CERTIFIED, "largest_logit", "W_sq", "H_sq", *COLLAPSE)
BLANK: Row = {
    "status": FAILED,
    "verdict": "",
    **dict.fromkeys(NUMBERS, np.nan),
    "seconds": np.nan,
    "seed": 0,
    "chunk": 0,
    "message": "",
    "code": "",
    "jax": "",
    "numpy": "",
}  # what every row has, in the order of the columns
TAKEN = {*BLANK, "file", "allow_pickle"}  # the last two by np.savez
UNFIT = "columns returned {!r}, which cannot name a further column. Choose another name."
VANISHED = 1e-8  # logits of at most this size are zero: what is left of their directions is rounding
CRITICAL = {"float64": 1e-8, "float32": 1e-5}  # as in the report of `ufm solve`


def run_chunk(cases: Sequence[Case], size: int, columns: Columns | None = None) -> list[Row]:
    """The rows of these cases, in order.

    Args:
        cases: of one static shape, at most `size`.
        size: what a call for many problems is filled up to, so that a row's bits do not depend on how many are left;
            halved, and recorded so, while the machine lacks the memory.
        columns: further entries of a row from (problem, solution, certificate); numbers, text or arrays.
    """
    try:
        with exact():
            return _rows(cases, size, columns)
    except Exception as error:
        if not out_of_memory(error):
            raise
        if size == 1:
            return [failed_row(case, 1, OUT_OF_MEMORY, str(error)) for case in cases]
    smaller = size // 2  # outside of the handler, which keeps what did not fit alive
    parts = (cases[first : first + smaller] for first in range(0, len(cases), smaller))
    return [row for part in parts for row in run_chunk(part, smaller, columns)]


def _rows(cases: Sequence[Case], size: int, columns: Columns | None) -> list[Row]:
    solutions = together(cases, size)
    return [_row(case, size, columns, solution) for case, solution in zip(cases, solutions, strict=True)]


def _row(case: Case, size: int, columns: Columns | None, solution: Solution | None) -> Row:
    """One case, solved here if it is not yet; what it raises, but a lack of memory, becomes the row's message."""
    clock = time.perf_counter() - (0.0 if solution is None else solution.seconds)
    row = _blank(case, size)
    try:
        solution = _solved(case) if solution is None else solution
        row |= {"status": solution.status.name, "message": solution.message}
        row |= {name: getattr(solution, name) for name in SOLVED}
        if solution.status is not Status.NONFINITE:
            certificate = certify(case.problem, solution.params, gtol=max(CRITICAL[case.dtype], solution.gtol))
            row |= {"verdict": certificate.verdict.name}
            row |= {name: _number(getattr(certificate, name)) for name in CERTIFIED}
            row |= _measured(case.problem, solution)
            if columns is not None:
                further = _further(columns(case.problem, solution, certificate))
                told = [name for name in further if name in TAKEN or not isinstance(name, str)]
                row |= further if not told else {"status": MISNAMED, "message": UNFIT.format(told[0])}
    except Exception as error:
        if out_of_memory(error):
            raise
        row |= {"status": FAILED, "message": f"{type(error).__name__}: {error}"}
    return row | {"seconds": time.perf_counter() - clock}


def _further(found: Any) -> Row:
    """What the columns of the caller say, as a row holds it: plain numbers, text, NumPy arrays."""
    if not isinstance(found, Mapping):
        raise TypeError(f"columns returned a {type(found).__name__}. Return {{name: number, text or array}}.")
    return {name: _entry(name, value) for name, value in found.items()}


def _entry(name: str, value: Any) -> Any:
    if value is None or isinstance(value, str):
        return _number(value)
    array = np.asarray(value)
    if array.dtype.kind not in ("biufc" if array.ndim else "biuf"):
        raise TypeError(f"columns: {name}={value!r} is neither a real number nor text nor an array of numbers.")
    return array if array.ndim else array.item()


def _solved(case: Case) -> Solution:
    start = case.start(case.problem, case.key)
    return solve(
        case.problem, start=start, solver=case.solver, gtol=case.gtol, max_steps=case.max_steps, dtype=case.dtype
    )


def failed_row(case: Case, size: int, status: str, message: str) -> Row:
    """The row of a case that was given up."""
    return _blank(case, size) | {"status": status, "message": message}


def _blank(case: Case, size: int) -> Row:
    made = {"seed": int(case.key), "chunk": size, "code": code_version()}
    return BLANK | made | {name: installed(name) for name in ("jax", "numpy")}


def _measured(problem: Problem, solution: Solution) -> Row:
    W, H, b = solution.params
    row: Row = {"H_sq": float(np.sum(H**2))}
    if W is not None:
        matrices = W if problem.model.deep else (W,)
        row["W_sq"] = float(sum(np.sum(matrix**2) for matrix in matrices))
        W = matrices[-1]
    if problem.model.deep:  # the collapse of what the last matrix sees
        H = layer_features(problem, solution.params)[-1]
    logits = H.T @ H if W is None else W @ H
    largest = float(np.max(np.abs(logits)))
    row["largest_logit"] = largest
    if largest > VANISHED and problem.targets is None:  # collapse is about classes
        found = collapse(H, problem.labels, W, b)
        row |= {name: getattr(found, name) for name in COLLAPSE}
    return row


def _number(value: Any) -> Any:
    return np.nan if value is None else value
