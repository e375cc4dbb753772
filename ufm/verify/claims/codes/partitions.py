"""Simplices in orthogonal subspaces: values, curvature, where they are stable and where lowest (2.6)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import block_diag
from scipy.optimize import brentq

import theory
from ufm.certify.point import examine, length
from ufm.models import normalized
from ufm.problem import Params, Problem
from ufm.solve import solve
from ufm.start import etf_start
from ufm.verify.claim import AtMost, Claim, Measurement
from ufm.verify.claims.codes.hardmax import Code, best
from ufm.verify.compare import measure
from ufm.verify.experiment import EPS, ROUNDING, SPECTRUM
from ufm.verify.tangent import ZERO, Critical, settle, spectrum_beyond_rotations, tangent_spectrum

CROSSING = 6.88506879379  # K=5, d=3: from here on a square pyramid is below (2, 3), which stays a strict minimum
PYRAMID = 6.7781288989e-7  # its value at tau=15; 6.778e-7 in the reference


class Partition(NamedTuple):
    """Group sizes, one sample a class."""

    groups: tuple[int, ...]
    tau: float

    @property
    def problem(self) -> Problem:
        """In the least dimension that fits."""
        K = sum(self.groups)
        return Problem(K, 1, K - len(self.groups), model=normalized(self.tau))

    def point(self) -> Params:
        """A simplex in each subspace, features equal to their classifiers."""
        simplices = [etf_start(Problem(g, 1, g - 1, model=normalized(1.0))).W for g in self.groups]
        W = np.asarray(block_diag(*simplices))
        return Params(W, W.T, None)


def partitions(full: bool) -> Iterable[Partition]:
    """Where they are minima and where they are saddles."""
    groups = [(2, 3), (3, 3), (2, 4), (2, 2, 3), *([(3, 4), (2, 3, 3), (2, 5)] if full else [])]
    for g in groups:
        yield from (Partition(g, tau) for tau in (0.3, 4.0, 15.0))


def measure_partition(case: Partition) -> Measurement:
    """f, its gradient, and its least curvature apart from the rotations; cosines."""
    problem, params = case.problem, case.point()
    point, spectrum = examine(problem, params), spectrum_beyond_rotations(problem, params)
    values = {
        "value": point.value,
        "gradient": length(point.grad),
        "curvature": float(spectrum[0]),
        "cosines": params.W @ params.W.T,
    }
    rounding = ROUNDING * (1.0 + case.tau)
    tolerances = {"value": rounding * point.value, "gradient": rounding, "curvature": SPECTRUM * float(spectrum[-1])}
    return Measurement(values, {**tolerances, "cosines": ROUNDING})


def predict_partition(case: Partition) -> Mapping[str, Any]:
    """Critical; the curvature is that of a class that leaves its group's symmetry."""
    W = theory.orthoplex.partition_code(case.groups)
    return {
        "value": theory.orthoplex.partition_value(case.groups, case.tau),
        "gradient": 0.0,
        "curvature": theory.orthoplex.least_curvature(case.groups, case.tau),
        "cosines": W @ W.T,
    }


def sign_change(function: Callable[[float], float], low: float, high: float) -> float:
    """The root in [low, high], to the last digits."""
    return float(brentq(function, low, high, xtol=1e-15 * low, rtol=4 * EPS))  # pyright: ignore


class Interval(NamedTuple):
    """A partition, and brackets of the temperatures where its least curvature changes its sign."""

    groups: tuple[int, ...]
    upper: tuple[float, float]
    lower: tuple[float, float] | None = None


def intervals(full: bool) -> Iterable[Interval]:
    """The partitions of the reference."""
    yield Interval((2, 3), (7.0, 12.0))
    yield Interval((3, 3), (6.0, 10.0))
    yield Interval((2, 4), (10.0, 17.0))
    yield Interval((2, 2, 3), (6.0, 9.0), (0.4, 0.9))


def measure_interval(case: Interval) -> Measurement:
    """Roots of the least curvature, found through the Hessian alone."""
    params = Partition(case.groups, 1.0).point()

    def curvature(tau: float) -> float:
        return float(spectrum_beyond_rotations(Partition(case.groups, tau).problem, params)[0])

    values, tolerances = {}, {}
    for name, bracket in (("tau_0", case.lower), ("tau_c", case.upper)):
        if bracket is None:
            continue
        root = sign_change(curvature, *bracket)
        slope = (curvature(1.001 * root) - curvature(0.999 * root)) / (0.002 * root)
        largest = float(spectrum_beyond_rotations(Partition(case.groups, root).problem, params)[-1])
        values[name], tolerances[name] = root, SPECTRUM * largest / abs(slope)
    return Measurement(values, tolerances)


def predict_interval(case: Interval) -> Mapping[str, Any]:
    """Between which temperatures the partition is a strict minimum modulo rotations."""
    lower, upper = theory.orthoplex.stability_interval(case.groups)
    return {"tau_c": upper} | ({} if case.lower is None else {"tau_0": lower})


def best_partitions(full: bool) -> Iterable[Code]:
    """K=6, d=4: equal groups when warm, unequal ones when colder."""
    yield from (Code(6, 1, 4, tau) for tau in (1.0, 4.0, 6.0))


def measure_best(case: Code) -> Measurement:
    """The lowest of four starts, and the sizes of its groups: classes that are not orthogonal."""
    found = best(case)
    if found.failure:
        return Measurement(failure=found.failure)
    linked = np.abs(found.point.params.W @ found.point.params.W.T) > 1e-6
    for _ in range(case.K):
        linked = linked @ linked
    sizes = sorted(int(np.sum(row)) for row in np.unique(linked, axis=0))
    return Measurement(
        {"groups": "+".join(map(str, sizes)), "lowest found": found.point.value},
        {"lowest found": found.value_allowance()},
    )


def predict_best(case: Code) -> Mapping[str, Any]:
    """The partition of least value, by dynamic programming."""
    groups = theory.orthoplex.best_partition(K=case.K, d=case.d, tau=case.tau)
    value = theory.orthoplex.partition_value(groups, case.tau)
    return {"groups": "+".join(map(str, groups)), "lowest found": value}


def pyramid(tau: float, start: Params | None) -> Critical:
    """K=5, d=3: the minimum below `start`, or from a random start."""
    return settle(Problem(5, 1, 3, model=normalized(tau)), start=start)


def index_and_nullity(problem: Problem, params: Params) -> np.ndarray:
    """Numbers of negative and of zero Hessian eigenvalues."""
    spectrum = tangent_spectrum(problem, params)
    zero = ZERO * np.max(spectrum)
    return np.array([np.sum(spectrum < -zero), np.sum(np.abs(spectrum) <= zero)])


def measure_pyramid(groups: tuple[int, ...]) -> Measurement:
    """Where the lowest point of tau=8, followed in tau, crosses the partition; both there; both values at tau=15."""
    cold = pyramid(8.0, None).point.params

    def lead(tau: float) -> float:
        """f of the partition over f of the pyramid, less 1."""
        partition = Partition(groups, tau)
        return examine(partition.problem, partition.point()).value / solve(partition.problem, start=cold).value - 1.0

    crossing = sign_change(lead, 6.6, 7.4)
    slope = (lead(1.001 * crossing) - lead(0.999 * crossing)) / (0.002 * crossing)
    there, coldest, partition = pyramid(crossing, cold), pyramid(15.0, None), Partition(groups, 15.0)
    both = Partition(groups, crossing)
    if there.failure or coldest.failure:
        return Measurement(failure=there.failure or coldest.failure)
    rho = measure(coldest.problem, coldest.point.params)["margin"] / 15.0
    values = {
        "crossing": crossing,
        "before tau_c": crossing,
        "value there": there.point.value,
        "index and nullity": index_and_nullity(there.problem, there.point.params),
        "of the partition": index_and_nullity(both.problem, both.point()),
        "index at 15": index_and_nullity(partition.problem, partition.point())[0],
        "lowest at 15": coldest.point.value,
        "partition at 15": examine(partition.problem, partition.point()).value,
        "hardmax at 15": rho,
    }
    rounding = ROUNDING * (1.0 + crossing)
    tolerances = {
        "crossing": 5e-12 + 2.0 * rounding / slope,
        "value there": 1e-11 * there.point.value,
        "lowest at 15": 5e-18 + coldest.value_allowance(),
        "partition at 15": ROUNDING * 16.0 * values["partition at 15"],
    }
    return Measurement(values, tolerances)


def predict_pyramid(groups: tuple[int, ...]) -> Mapping[str, Any]:
    """The partition's value at the crossing, far below the temperature where it stops being a minimum."""
    return {
        "crossing": CROSSING,
        "before tau_c": AtMost(theory.orthoplex.stability_interval(groups)[1] - 2.0),
        "value there": theory.orthoplex.partition_value(groups, CROSSING),
        "index and nullity": np.array([0, 3]),
        "of the partition": np.array([0, 3]),
        "index at 15": 2,
        "lowest at 15": PYRAMID,
        "partition at 15": theory.orthoplex.partition_value(groups, 15.0),
        "hardmax at 15": AtMost(1.0 - 1e-3),
    }


CLAIMS = (
    Claim(
        "2.6",
        "Simplices in orthogonal subspaces are critical; their least curvature is a small explicit block's.",
        "derived for this project",
        "spheres, one sample a class, d = K - number of groups",
        "32 eps (1 + tau), relative for f: rounding; 1e-12 of the largest eigenvalue",
        partitions,
        measure_partition,
        predict_partition,
    ),
    Claim(
        "2.6-threshold",
        "They are minima between two temperatures only, saddles outside.",
        "derived for this project",
        "as 2.6, a group of three or more among several",
        "1e-12 of the largest eigenvalue (rounding of eigvalsh) over the slope of the least one",
        intervals,
        measure_interval,
        predict_interval,
        boundary=True,
    ),
    Claim(
        "2.6-best",
        "At small tau the lowest point found is the best partition, and which one that is depends on tau.",
        "derived for this project (best found, optimality not proven)",
        "as 2.6, K=6, d=4",
        "32 eps (1 + tau) of f, and gradient * distance to the exact point",
        best_partitions,
        measure_best,
        predict_best,
    ),
    Claim(
        "2.6-pyramid",
        "They stop being lowest below the temperature where they become saddles: a pyramid of rho < 1 passes (2, 3).",
        "found for this project",
        "spheres, K=5, d=3, one sample a class",
        "the digits stated; 64 eps (1 + tau) over the slope of the ratio; 32 eps (1 + tau) of f",
        lambda full: [(2, 3)],
        measure_pyramid,
        predict_pyramid,
        boundary=True,
    ),
)
