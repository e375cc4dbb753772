"""How fast gradient descent converges (T19): the extreme eigenvalues, the rate they give, and what scaling gains."""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

import theory
from ufm.certify.point import hessian_operator, length, packing
from ufm.losses.cross_entropy import CrossEntropy
from ufm.problem import Params, Problem
from ufm.solve import solve
from ufm.solvers.first_order import FirstOrder
from ufm.verify.claim import Claim, Measurement
from ufm.verify.experiment import ROUNDING, SPECTRUM, Settled, settle
from ufm.verify.ray import sample_curvature
from ufm.verify.spectra import expanded, spectrum_measurement

PLAIN = optax.sgd(1.0)


class Setting(NamedTuple):
    """Cross-entropy, balanced. listed: the condition number of the reference, to one decimal."""

    lam_W: float
    lam_H: float
    lam_b: float | None
    smoothing: float = 0.0
    K: int = 4
    n: int = 3
    d: int = 5
    listed: float = math.nan

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of Problem and of theory alike."""
        return {name: getattr(self, name) for name in ("K", "n", "d", "lam_W", "lam_H", "lam_b")}

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return Problem(**self.arguments, loss=CrossEntropy(self.smoothing))


def settings(full: bool) -> Iterable[Setting]:
    """Equal and unequal decays, every bias mode, smoothing."""
    yield Setting(2e-2, 2e-2, None)
    yield Setting(5e-2, 1e-3, None, 0.1)
    yield Setting(5e-2, 1e-2, 0.0)
    yield Setting(1e-2, 4e-2, 0.05, 0.2)


def listed_settings(full: bool) -> Iterable[Setting]:
    """The condition numbers of the reference."""
    if full:
        for lam, even in [(1e-2, 8.0), (1e-3, 11.9), (1e-4, 16.8), (1e-5, 21.4), (1e-6, 26.0)]:
            yield Setting(lam, lam, None, 0.0, 10, 5, 10, even)
        yield Setting(1e-1, 1e-3, None, 0.0, 10, 5, 10, 386.5)
        yield Setting(1e-5, 1e-7, None, 0.0, 10, 5, 10, 1411.4)


@functools.cache
def settled(setting: Setting) -> Settled:
    """The minimum that the solver finds from a random start."""
    return settle(setting.problem)


def conditioning(spectrum: np.ndarray, relative: float) -> Measurement:
    """Extreme non-zero eigenvalues and what the best constant step makes of them; `relative` to the largest one."""
    L = float(spectrum[-1])
    mu = float(np.min(spectrum[spectrum > 1e-9 * L]))
    values = {"mu": mu, "L": L, "condition": L / mu, "step": 2.0 / (L + mu), "rate": (L - mu) / (L + mu)}
    error = relative * L
    share = error / mu
    errors = (error, error, 2.0 * share * L / mu, 2.0 * relative * values["step"], 4.0 * share)
    return Measurement(values, dict(zip(values, errors, strict=True)))


def measure_plain(setting: Setting) -> Measurement:
    """From the Hessian's spectrum at the minimum."""
    found = settled(setting)
    if found.failure or found.spectrum is None:
        return Measurement(failure=found.failure or "the spectrum is not affordable")
    measured = conditioning(found.spectrum, SPECTRUM + 4.0 * found.distance)
    values = {**measured.values, "listed": measured.values["condition"]}
    return Measurement(values, {**measured.tolerances, "listed": 0.06})


def predict_plain(setting: Setting) -> Mapping[str, Any]:
    """From the predicted spectrum."""
    spectrum = theory.cross_entropy.minimum_spectrum(**setting.arguments, smoothing=setting.smoothing)
    predicted = theory.conditioning.gradient_descent(spectrum)._asdict()
    return predicted if math.isnan(setting.listed) else {**predicted, "listed": setting.listed}


def units(found: Settled, scaled: bool) -> Params:
    """Length of each scaled variable: sqrt(lam_W) W, sqrt(lam_H) H, sqrt(lam_b + j1) b with the measured j1; or 1."""
    problem, free = found.problem, found.params.b is None
    if not scaled:
        return Params(1.0, 1.0, None if free else 1.0)
    if free:
        return Params(float(problem.lam_W) ** -0.5, float(problem.lam_H) ** -0.5, None)
    j1 = sample_curvature(found, np.eye(problem.K)[1] - np.eye(problem.K)[2])
    return Params(float(problem.lam_W) ** -0.5, float(problem.lam_H) ** -0.5, (float(problem.lam_b) + j1) ** -0.5)


@functools.cache
def modes(setting: Setting, scaled: bool) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of the dense Hessian in plain or scaled variables, and the eigenvectors, in plain ones."""
    found = settled(setting)
    product, size = hessian_operator(found.problem, found.params)
    blocks = zip(units(found, scaled), found.params, strict=True)
    unit = np.concatenate([np.full(x.size, u) for u, x in blocks if x is not None])
    hessian = np.array([product(row) for row in np.eye(size)]) * unit * unit[:, None]
    spectrum, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    return spectrum, vectors * unit[:, None]


def measure_scaled(setting: Setting) -> Measurement:
    """Every eigenvalue in the scaled variables, and the conditioning."""
    found = settled(setting)
    if found.failure:
        return Measurement(failure=found.failure)
    spectrum, _ = modes(setting, True)
    # Scaling divides the distance's effect on the Hessian by the smallest decay, as it does the Hessian.
    weakest = min(float(found.problem.lam_W), float(found.problem.lam_H))
    measured = spectrum_measurement(spectrum, found.distance / weakest)
    conditions = conditioning(spectrum, SPECTRUM + 4.0 * found.distance / weakest)
    return Measurement({**measured.values, **conditions.values}, {**measured.tolerances, **conditions.tolerances})


def predict_scaled(setting: Setting) -> Mapping[str, Any]:
    """The spectrum depends on the decays through the margin only."""
    sizes = {name: setting.arguments[name] for name in ("K", "n", "lam_W", "lam_H")}
    curvature = theory.cross_entropy.logit_curvature(**sizes, smoothing=setting.smoothing)
    spectrum = theory.conditioning.scaled_etf_spectrum(
        K=setting.K, n=setting.n, d=setting.d, lam_b=setting.lam_b, curvature=curvature
    )
    return {**expanded(spectrum), **theory.conditioning.gradient_descent(spectrum)._asdict()}


def descent_settings(full: bool) -> Iterable[tuple[Setting, bool]]:
    """Plain, and in scaled variables at the worst ratio of the decays."""
    plain, uneven, *_, biased = settings(full)
    yield plain, False
    yield uneven, False
    yield biased, True


def measure_descent(case: tuple[Setting, bool]) -> Measurement:
    """By how much a step of gradient descent shortens the gradient, from a start along the extreme eigenvectors."""
    setting, scaled = case
    found = settled(setting)
    if found.failure:
        return Measurement(failure=found.failure)
    spectrum, vectors = modes(setting, scaled)
    values = conditioning(spectrum, SPECTRUM).values
    pack, unpack = packing(found.params)
    extremes = vectors[:, np.argmin(np.abs(spectrum - values["mu"]))] + vectors[:, -1]
    start = unpack(pack(found.params) + 1e-5 * extremes / np.linalg.norm(extremes))
    steps = 2 * math.ceil(math.log(1e-3) / math.log(values["rate"]) / 2)  # even: the fastest mode alternates its sign
    solver = FirstOrder(scaled_descent(found, scaled), rate=values["step"])
    run = solve(found.problem, start=start, solver=solver, gtol=1e-15, max_steps=steps, record=(0, steps))
    if run.trajectory is None or run.steps != steps:
        return Measurement(failure=f"gradient descent ended early: {run.message}")
    first, last = (float(x) for x in run.trajectory.grad_norm)
    measured = (last / first) ** (1.0 / steps)
    # Relative errors of the two gradients: the Hessian's change over the distance (a share of L; of mu it is L/mu times
    # that), and rounding.
    change = 10.0 * 1e-5 * values["condition"]
    rounding = ROUNDING * (1.0 + length(found.params)) / last
    return Measurement({"rate": measured}, {"rate": values["rate"] * (change + rounding) / steps})


def scaled_descent(found: Settled, scaled: bool) -> optax.GradientTransformation:
    """Gradient descent in plain or in scaled variables."""
    if not scaled:
        return PLAIN
    squares = jax.tree.map(lambda unit: -(unit**2), units(found, scaled))
    return optax.stateless(lambda grad, _: jax.tree.map(lambda g, s: s * g, grad, squares))


def predict_descent(case: tuple[Setting, bool]) -> Mapping[str, Any]:
    """(L - mu)/(L + mu)."""
    setting, scaled = case
    return {"rate": (predict_scaled if scaled else predict_plain)(setting)["rate"]}


CLAIMS = (
    Claim(
        "T19",
        "Gradient descent's best constant step is 2/(L + mu), its rate (L - mu)/(L + mu), from the non-zero spectrum.",
        "classical (Polyak); the spectrum derived for this project",
        "equal class sizes, a simplex ETF minimum",
        "1e-12 of the largest eigenvalue (rounding of eigvalsh) plus the distance of the point; listed: 0.06",
        lambda full: [*settings(full), *listed_settings(full)],
        measure_plain,
        predict_plain,
    ),
    Claim(
        "T19-scaled",
        "In sqrt(lam_W) W, sqrt(lam_H) H, sqrt(lam_b + j1) b the spectrum knows the decays through the margin only.",
        "derived for this project",
        "equal class sizes, a simplex ETF minimum",
        "1e-12 of the largest eigenvalue plus the distance of the point over the smallest decay, propagated",
        settings,
        measure_scaled,
        predict_scaled,
    ),
    Claim(
        "T19-descent",
        "Gradient descent from near a minimum contracts at that rate, in plain and in scaled variables.",
        "derived for this project",
        "a start 1e-5 from the minimum, along the extreme eigenvectors",
        "relative errors of two gradients (change of the Hessian, rounding), divided by the steps between them",
        descent_settings,
        measure_descent,
        predict_descent,
    ),
)
