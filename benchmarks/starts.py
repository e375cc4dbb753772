"""From many random starts: is every solve converged, certified global, and equal to theory?

    uv run python benchmarks/starts.py --starts 100
    uv run python benchmarks/starts.py --cases S1 S2 Hd I SP10 SP100 M --scales 1e-6 1 10

The first form draws the decays from 5e-4 .. 5e-2 in ratios 1 .. 100, for each size, loss and bias mode. The second
takes the named problems of the other benchmarks and starts of several scales, against the value of `ufm.solve` by
reductions. One line a group; left: solves that reached a strict saddle and left it.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
from cases import CASES

import ufm
from ufm.verify.predict import predict

SIZES = [(4, 10, 8), (10, 50, 20), (10, 10, 9), (100, 10, 110)]
BIAS = [None, 0.0, 1e-2]
Draw = Callable[[int], ufm.Problem]


def main() -> None:
    """Print one row per group."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=100, help="random starts per group")
    parser.add_argument("--sizes", type=int, nargs="*", default=range(len(SIZES)), help="which of the sizes")
    parser.add_argument("--cases", nargs="*", choices=CASES, help="named problems instead of drawn ones")
    parser.add_argument("--scales", type=float, nargs="*", default=[1.0], help="of the starts")
    options = parser.parse_args()
    print(f"{'group':>32} {'scale':>6} | conv  glob  left | max gap/(1+|f|)  max |f-f*| | steps  evals   ms")
    groups = _drawn(options.sizes) if options.cases is None else _named(options.cases)
    for label, draw, lowest in groups:
        for scale in options.scales:
            print(_row(label, draw, lowest, options.starts, scale), flush=True)


def _drawn(sizes: list[int]) -> Iterator[tuple[str, Draw, Callable[[ufm.Problem], float]]]:
    for (K, n, d), loss, lam_b in product((SIZES[i] for i in sizes), (ufm.CrossEntropy(), ufm.MSE()), BIAS):

        def draw(key: int, own: Any = (K, n, d, lam_b, loss)) -> ufm.Problem:
            K, n, d, lam_b, loss = own
            lam_W, lam_H = _decays(key)
            return ufm.Problem(K, n, d, lam_W, lam_H, lam_b, loss)

        yield f"{K} x {n}, d {d}, {type(loss).__name__}, lam_b {lam_b}", draw, lambda problem: predict(problem).value


def _named(names: list[str]) -> Iterator[tuple[str, Draw, Callable[[ufm.Problem], float]]]:
    for name in names:
        value = ufm.solve(CASES[name]).value
        yield name, lambda key, name=name: CASES[name], lambda problem, value=value: value


def _decays(key: int) -> tuple[float, float]:
    """Both in 5e-4 .. 5e-2, so that their ratio runs over 1/100 .. 100."""
    lam_W, lam_H = 10 ** np.random.default_rng(key).uniform(np.log10(5e-4), np.log10(5e-2), size=2)
    return float(lam_W), float(lam_H)


def _row(label: str, draw: Draw, lowest: Callable[[ufm.Problem], float], starts: int, scale: float) -> str:
    converged = certified = left = 0
    gaps, differences, steps, products, seconds = [], [], [], [], []
    for key in range(starts):
        problem = draw(key)
        start = ufm.random_start(problem, key, scale)
        began = time.perf_counter()
        solution = ufm.solve(problem, start=start)
        seconds.append(time.perf_counter() - began)
        certificate = ufm.certify(problem, solution.params)
        good = solution.status is ufm.Status.CONVERGED, certificate.verdict is ufm.Verdict.GLOBAL_MINIMUM
        converged, certified, left = converged + good[0], certified + good[1], left + bool(solution.escapes)
        gaps.append(certificate.gap / (1 + abs(certificate.value)))
        differences.append(abs(certificate.value - lowest(problem)))
        steps.append(solution.steps)
        products.append(solution.evaluations)
        if not all(good):
            print(
                f"     key {key} {problem.lam_W} {problem.lam_H}: {solution.status.name} {solution.message}; "
                f"{certificate.verdict.name} {certificate.reason}"
            )
    taken = f"{np.median(steps):5.0f}  {np.median(products):5.0f}  {1e3 * np.median(seconds):6.1f}"
    reached = f"{converged:4d}  {certified:4d}  {left:4d} | {max(gaps):15.1e}  {max(differences):10.1e}"
    return f"{label:>32} {scale:6g} | {reached} | {taken}"


if __name__ == "__main__":
    main()
