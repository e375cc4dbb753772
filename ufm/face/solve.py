"""The command `ufm solve`: options to a problem, a solution, a report and a picture."""

import math
import os
import sys
import time
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any, TextIO

import numpy as np
import optax

from ufm.certify.certificate import Certificate
from ufm.face.record import as_json
from ufm.face.report import Report, make_report
from ufm.face.text import render
from ufm.losses.cross_entropy import CrossEntropy
from ufm.losses.squared import MSE
from ufm.problem import Problem
from ufm.solution import Progress, Solution
from ufm.solve import solve
from ufm.solvers.first_order import FirstOrder
from ufm.solvers.lbfgs import LBFGS
from ufm.solvers.newton import TrustRegion
from ufm.start import etf_start, random_start
from ufm.status import Status
from ufm.validation import check_problem

# The gradient up to which the certificate calls a point critical, unless the solve was asked for less.
CRITICAL = {"float64": 1e-8, "float32": 1e-5}
RECORDED_POINTS = 120  # at most, for the picture's dynamics
RECORDED_BYTES = 2**28  # that these points may take

REFUSALS = ("solve", "random_start", "etf_start")  # how the library's refusals begin; anything else is a fault of ours


class BadOptionError(Exception):
    """An option, or a combination of options, that cannot work; the message is one line."""


def run_solve(options: Namespace) -> int:
    """Solve, report, draw.

    Returns:
        0 if the solve converged, else 1.
    Raises:
        BadOptionError: before anything is compiled.
    """
    check_combinations(options)
    target = None if options.no_figure else target_path(options.out, "ufm-solve")
    ticker = Ticker(sys.stderr)
    problem, solution = solved(options, ticker, record=target is not None, draw=target is not None)
    ticker.stage("certifying")
    gtol = max(CRITICAL[options.dtype], solution.gtol)
    report = make_report(problem, solution, method=method_of(options), gtol=gtol)
    pictures = ()
    if target is not None and report.certificate is not None:
        ticker.stage("drawing")
        pictures = _draw(report, report.certificate, target)
    ticker.clear()
    print(as_json(report, pictures) if options.json else render(report, pictures))
    return 0 if solution.status is Status.CONVERGED else 1


def check_combinations(options: Namespace) -> None:
    """Refuse options that would be ignored silently."""
    first_order = options.solver in ("sgd", "adam")
    ignored = [
        ("--smoothing", options.smoothing is not None and options.loss != "ce", "it belongs to --loss ce"),
        ("--lr", options.lr is not None and not first_order, "it belongs to --solver sgd and adam"),
        ("--momentum", options.momentum is not None and options.solver != "sgd", "it belongs to --solver sgd"),
        ("--key", options.key is not None and options.start != "random", "it belongs to --start random"),
    ]
    for name, useless, reason in ignored:
        if useless:
            raise BadOptionError(f"{name} would have no effect: {reason}.")
    for name, value in (("--lr", options.lr), ("--momentum", options.momentum)):
        if value is not None and not (math.isfinite(value) and value >= 0.0):
            raise BadOptionError(f"{name} {value:g} is not a finite number >= 0.")


def target_path(out: str, default: str, option: str = "--out", suffixes: tuple[str, ...] = (".png", ".pdf")) -> Path:
    """Where the files go, without the suffix; refused now rather than after the solve."""
    path = Path(out)
    if path.is_dir() or out.endswith(("/", os.sep)):
        path = path / default
    path = path.with_suffix("") if path.suffix in suffixes else path
    if not path.parent.is_dir():
        raise BadOptionError(f"{option} {out}: there is no directory {path.parent}.")
    if not os.access(path.parent, os.W_OK):
        raise BadOptionError(f"{option} {out}: no permission to write to {path.parent}.")
    return path


def solved(options: Namespace, ticker: "Ticker", *, record: bool, draw: bool) -> tuple[Problem, Solution]:
    """Everything that can refuse the options, and the solve.

    Args:
        record: the trajectory. draw: a picture will be drawn by matplotlib.
    Raises:
        BadOptionError: before anything is compiled.
    """
    try:
        problem = _problem(options)
        check_problem(problem, "solve")
        start = _start(options, problem)
        solver = _solver(options)
        max_steps = solver.max_steps if options.max_steps is None else options.max_steps
        ticker.stage("compiling")
        if draw:
            # matplotlib loads while the compiler works
            Thread(target=import_module, args=("ufm.figures.solve",)).start()
        solution = solve(
            problem,
            start=start,
            solver=solver,
            gtol=options.gtol,
            max_steps=max_steps,
            record=_recorded(problem, max_steps, solver.escapes) if record else (),
            progress=ticker.step,
            dtype=options.dtype,
        )
    except (TypeError, ValueError) as error:
        ticker.clear()
        who, _, what = str(error).partition(": ")
        if who not in REFUSALS:
            raise
        raise BadOptionError(" ".join(what.split())) from error
    return problem, solution


def _problem(options: Namespace) -> Problem:
    K = (len(options.n) if isinstance(options.n, tuple) else options.classes) if options.K is None else options.K
    loss = MSE() if options.loss == "mse" else CrossEntropy(options.smoothing or 0.0)
    return Problem(K, options.n, options.d, options.lam_W, options.lam_H, options.lam_b, loss)


def _start(options: Namespace, problem: Problem) -> Any:
    if options.start == "etf":
        return etf_start(problem, options.scale)
    return random_start(problem, options.key or 0, options.scale)


def _solver(options: Namespace) -> Any:
    if options.solver == "sgd":
        return FirstOrder(optax.sgd(_rate(options), momentum=_momentum(options)))
    if options.solver == "adam":
        return FirstOrder(optax.adam(_rate(options)))
    return TrustRegion() if options.solver == "newton" else LBFGS()


def _rate(options: Namespace) -> float:
    default = 1.0 if options.solver == "sgd" else 0.01
    return default if options.lr is None else options.lr


def _momentum(options: Namespace) -> float:
    return 0.9 if options.momentum is None else options.momentum


def method_of(options: Namespace) -> str:
    """The solver that the options choose, in words."""
    solver = {
        "newton": "trust-region Newton",
        "lbfgs": "L-BFGS",
        "sgd": f"gradient descent (lr {_rate(options):g}, momentum {_momentum(options):g})",
        "adam": f"Adam (lr {_rate(options):g})",
    }[options.solver]
    random = f"random start (key {options.key or 0}, scale {options.scale:g})"
    start = random if options.start == "random" else f"simplex ETF start (scale {options.scale:g})"
    return f"{solver}, {start}, {options.dtype}"


def _recorded(problem: Problem, max_steps: int, every: bool) -> list[int]:
    """The steps to record: all of the first ones if `every`, then in geometric progression."""
    size = 8 * sum(math.prod(shape) for shape in problem.shapes() if shape is not None)
    room = min(max(RECORDED_BYTES // size, 20), RECORDED_POINTS)
    dense = room // 2 if every else 1
    later = np.geomspace(dense, max(max_steps, dense), room - dense)
    return sorted({*range(dense), *(int(step) for step in later)})


def _draw(report: Report, certificate: Certificate, target: Path) -> tuple[str, ...]:
    from ufm.figures.solve import solve_figure  # here, so that only a picture costs the import of matplotlib
    from ufm.figures.style import save

    figure = solve_figure(report.problem, report.solution, certificate, report.prediction)
    return tuple(str(path) for path in save(figure, target))


class Ticker:
    """One line on a terminal that says what is going on; silent elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.visible = stream.isatty()
        self.last = -math.inf

    def stage(self, text: str) -> None:
        self._write(f"{text} ...")

    def step(self, now: Progress) -> None:
        if time.monotonic() - self.last > 0.1:
            self._write(f"step {now.steps}   f {now.value:.10g}   gradient {now.grad_norm:.1e}")

    def clear(self) -> None:
        self._write("")

    def _write(self, text: str) -> None:
        if self.visible:
            self.stream.write(f"\r{text:79}" if text else f"\r{'':79}\r")
            self.stream.flush()
            self.last = time.monotonic()
