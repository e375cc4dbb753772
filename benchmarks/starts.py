"""From many random starts: is every solve converged, certified global, and equal to theory?

    uv run python benchmarks/starts.py --starts 100

For each size, loss and bias mode the decays run over 5e-4 .. 5e-2 in ratios 1 .. 100; one line per group.
"""

import argparse
import time

import numpy as np

import ufm
from ufm.verify.predict import predict

SIZES = [(4, 10, 8), (10, 50, 20), (10, 10, 9), (100, 10, 110)]
BIAS = [None, 0.0, 1e-2]


def main() -> None:
    """Print one row per group and a total."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=100, help="random starts per group")
    parser.add_argument("--sizes", type=int, nargs="*", default=range(len(SIZES)), help="which of the sizes")
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    print(
        f"{'K':>4} {'n':>3} {'d':>4} {'loss':>13} {'lam_b':>6} | conv  glob | "
        "max gap/(1+|f|)  max |f-f*| | steps  evals   ms"
    )
    for K, n, d in (SIZES[i] for i in options.sizes):
        for loss in (ufm.CrossEntropy(), ufm.MSE()):
            for lam_b in BIAS:
                print(_row(K, n, d, loss, lam_b, options.starts, options.scale), flush=True)


def _decays(key: int) -> tuple[float, float]:
    """Both in 5e-4 .. 5e-2, so that their ratio runs over 1/100 .. 100."""
    lam_W, lam_H = 10 ** np.random.default_rng(key).uniform(np.log10(5e-4), np.log10(5e-2), size=2)
    return float(lam_W), float(lam_H)


def _row(K: int, n: int, d: int, loss: object, lam_b: float | None, starts: int, scale: float) -> str:
    converged = certified = 0
    gaps, differences, steps, products, seconds = [], [], [], [], []
    for key in range(starts):
        lam_W, lam_H = _decays(key)
        problem = ufm.Problem(K=K, n=n, d=d, lam_W=lam_W, lam_H=lam_H, lam_b=lam_b, loss=loss)
        start = ufm.random_start(problem, key, scale)
        began = time.perf_counter()
        solution = ufm.solve(problem, start=start, gtol=1e-12 if K < 100 else 1e-10)
        seconds.append(time.perf_counter() - began)
        certificate = ufm.certify(problem, solution.params)
        converged += solution.status is ufm.Status.CONVERGED
        certified += certificate.verdict is ufm.Verdict.GLOBAL_MINIMUM
        gaps.append(certificate.gap / (1 + abs(certificate.value)))
        differences.append(abs(certificate.value - predict(problem).value))
        steps.append(solution.steps)
        products.append(solution.evaluations)
        if (
            solution.status is not ufm.Status.CONVERGED
            or certificate.verdict is not ufm.Verdict.GLOBAL_MINIMUM
            or solution.escapes
        ):
            print(
                f"     key {key} {problem.lam_W:g} {problem.lam_H:g}: {solution.status.name} {solution.message}; "
                f"{certificate.verdict.name} {certificate.reason}; escapes {solution.escapes}"
            )
    return (
        f"{K:4d} {n:3d} {d:4d} {type(loss).__name__:>13} {lam_b!s:>6} | {converged:4d}  {certified:4d} | "
        f"{max(gaps):15.1e}  {max(differences):10.1e} | {np.median(steps):5.0f}  {np.median(products):5.0f}  "
        f"{1e3 * np.median(seconds):6.1f}"
    )


if __name__ == "__main__":
    main()
