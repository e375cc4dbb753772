"""The report of a solve as text, at most 100 columns wide: the answer first, then what it rests on."""

import math
import textwrap
from collections.abc import Iterable
from typing import Any

from ufm.certify.certificate import Certificate, Verdict
from ufm.face.report import Report
from ufm.losses.cross_entropy import CrossEntropy
from ufm.losses.squared import MSE
from ufm.losses.user import UserLoss
from ufm.problem import Problem
from ufm.spaces import Euclidean
from ufm.verify.compare import Prediction, table

WIDTH = 100
INDENT = 12

PLAIN = {
    Verdict.GLOBAL_MINIMUM: "global minimum",
    Verdict.LOCAL_MINIMUM: "local minimum",
    Verdict.STRICT_SADDLE: "strict saddle",
    Verdict.DEGENERATE: "critical, undecided",
    Verdict.NOT_CRITICAL: "not a critical point",
}


def render(report: Report, pictures: tuple[str, ...] = ()) -> str:
    """The whole report; `pictures`: the files drawn."""
    blocks = [block("problem", describe(report.problem)), block("solve", _solve_lines(report))]
    if report.certificate is not None:
        blocks += [
            block("point", _point_lines(report.certificate)),
            block("Hessian", _hessian_lines(report.certificate, report.prediction)),
            block("collapse", _collapse_lines(report)),
            block("theory", _theory_lines(report)),
        ]
    if pictures:
        blocks.append(block("picture", [", ".join(pictures)]))
    return "\n\n".join(blocks)


def describe(problem: Problem) -> list[str]:
    """What is solved, in two lines."""
    sizes = problem.sizes
    balanced = len(set(sizes)) == 1
    listed = ", ".join(map(str, sizes[:12])) + (", ..." if len(sizes) > 12 else "")
    classes = f"{min(sizes)} samples each" if balanced else f"sizes {listed}"
    bias = "no bias" if problem.lam_b is None else "free bias (lam_b=0)"
    if problem.lam_b is not None and float(problem.lam_b) > 0.0:
        bias = f"lam_b={float(problem.lam_b):g}"
    plain = all(isinstance(space, Euclidean) for _, space in _spaces(problem))
    decays = [("lam_W", problem.lam_W), ("lam_H", problem.lam_H)]
    stated = [] if plain else [f"{name} in {type(space).__name__}" for name, space in _spaces(problem)]
    stated += [] if problem.model.tau is None else [f"tau={float(problem.tau):g}"]
    stated += [f"{name}={float(decay):g}" for name, decay in decays if decay is not None]
    strength = ""
    if plain and balanced and problem.model.tau is None:
        strength = f"   kappa = K sqrt(n lam_W lam_H) = {math.sqrt(problem.K * problem.N) * float(problem.nu):.4g}"
    return [
        f"{loss_name(problem)}   K={problem.K} classes, {classes} (N={problem.N}), d={problem.d} features",
        f"{'  '.join([*stated, bias])}{strength}",
    ]


def _spaces(problem: Problem) -> Iterable[tuple[str, Any]]:
    return (("W", problem.model.W), ("H", problem.model.H))


def loss_name(problem: Problem) -> str:
    """The loss in words."""
    loss = problem.loss
    if isinstance(loss, CrossEntropy):
        smoothing = float(loss.smoothing)
        return f"cross-entropy, smoothing {smoothing:g}" if smoothing else "cross-entropy"
    if isinstance(loss, MSE):
        return "mean squared error"
    return "user's loss" if isinstance(loss, UserLoss) else f"{loss}"


def _solve_lines(report: Report) -> list[str]:
    solution = report.solution
    left = f", {_count(solution.escapes, 'strict saddle')} left on the way" if solution.escapes else ""
    return [
        report.method,
        f"{solution.status.name}: {solution.message}",
        f"{_count(solution.steps, 'step')}, {_count(solution.evaluations, 'evaluation')}{left}   "
        f"{solution.seconds:.2f} s, after {solution.compile_seconds:.2f} s of compilation",
    ]


def _point_lines(certificate: Certificate) -> list[str]:
    found = [("value f", _precise(certificate.value), "")]
    if math.isfinite(certificate.lower_bound):
        found.append(("lower bound", _precise(certificate.lower_bound), certificate.bound_method))
        found.append(("duality gap", f"{certificate.gap:.1e}", "f - f* is at most this"))
    else:
        found.append(("lower bound", "-", certificate.bound_method))
    return [
        f"{PLAIN[certificate.verdict].upper()}: {certificate.reason}",
        *_columns(
            *found,
            ("balance", f"{certificate.balance:.1e}", "|lam_W W'W - lam_H H H'|, 0 if critical (T1)"),
            ("dual ratio", f"{certificate.dual_ratio:.10f}", "|dg/dZ| / sqrt(lam_W lam_H), <= 1 proves it (T3)"),
        ),
    ]


def _hessian_lines(certificate: Certificate, prediction: Prediction | None) -> list[str]:
    smallest, tolerance = certificate.smallest_eigenvalue, certificate.curvature_tolerance
    sign = (
        f"zero within {tolerance:.1e}" if abs(smallest) <= tolerance else ("negative" if smallest < 0 else "positive")
    )
    theory = "-" if prediction is None else prediction.quantities.get("nullity", "-")
    return list(
        _columns(
            ("smallest", f"{smallest:.3e}", sign),
            ("Morse index", _counted(certificate.index), "negative eigenvalues"),
            ("nullity", _counted(certificate.nullity), f"symmetry {certificate.symmetry}, theory {theory}"),
        )
    )


def _columns(*rows: tuple[str, str, str]) -> Iterable[str]:
    return (f"{name:13}{value:21}{note}".rstrip() for name, value, note in rows)


def _counted(count: int | None) -> str:
    return "not counted" if count is None else str(count)


def _collapse_lines(report: Report) -> list[str]:
    found = report.collapse
    if found is None:
        return [f"W H = 0 (largest logit {report.logits:.1e}): no directions are left, NC1-NC4 are undefined"]
    wrong = "-" if math.isnan(found.nc4) else f"{round(found.nc4 * report.problem.N)}"
    decided = f"{wrong} of {report.problem.N} samples differ; smallest margin {found.margin_min:.6g}"
    return [
        f"{'':30}{'rows of W':13}class means",
        f"{'NC1  within / between':43}{_small(found.nc1):13}rank {found.rank}; by traces {_small(found.nc1_trace)}",
        f"{'NC2  equal norms':30}{_small(found.nc2_equinorm_W):13}{_small(found.nc2_equinorm_H)}",
        f"{'     equal angles':30}{_small(found.nc2_equiangular_W):13}{_small(found.nc2_equiangular_H)}",
        f"{'     distance to simplex ETF':30}{_small(found.nc2_gram_W):13}{_small(found.nc2_gram_H)}",
        f"{'NC3  W against class means':30}{_small(found.nc3)}",
        f"{'NC4  nearest class mean':30}{decided}",
    ]


def _theory_lines(report: Report) -> Iterable[str]:
    comparison = report.comparison
    if comparison is None:
        return ["No closed form here: the certificate alone decides.", *(f"- {reason}" for reason in report.reasons)]
    return [f"{comparison.theorem}: {comparison.statement}", comparison.source, *table(comparison.rows)]


def _precise(x: float) -> str:
    return f"{x:.15f}" if 1e-4 <= abs(x) < 1e3 or x == 0.0 else f"{x:.15e}"


def _small(x: float) -> str:
    return "undefined" if math.isnan(x) else f"{x:.1e}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def block(title: str, lines: Iterable[str]) -> str:
    """Lines under a title in the margin; sentences are wrapped, columns (two spaces or more) are not."""
    room = WIDTH - INDENT
    wrapped: list[str] = []
    for line in lines:
        wrapped += [line] if len(line) <= room else textwrap.wrap(line, room, subsequent_indent="  ")
    return "\n".join(f"{title if i == 0 else '':{INDENT}}{line}".rstrip() for i, line in enumerate(wrapped))
