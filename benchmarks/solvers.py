"""The solvers side by side on full features: success, gradient reached, evaluations, warm milliseconds.

    uv run python benchmarks/solvers.py --starts 20

Every solver gets the same starts in the same run; `optax.lbfgs` is the alternative to our L-BFGS, and momentum SGD
is what the literature runs (its learning rate tuned here, not the published one).
"""

import argparse
import time

import numpy as np
import optax

import ufm

CASES = {
    "S1": {"K": 10, "n": 10, "d": 20, "lam_W": 5e-3, "lam_H": 5e-3, "lam_b": 1e-2},
    "S2": {"K": 10, "n": 100, "d": 64, "lam_W": 5e-4, "lam_H": 5e-4, "lam_b": 1e-2},
    "ratio 100": {"K": 10, "n": 50, "d": 20, "lam_W": 5e-4, "lam_H": 5e-2, "lam_b": 0.0},
    "imbalanced": {"K": 5, "n": (100, 50, 20, 10, 5), "d": 10, "lam_W": 1e-3, "lam_H": 1e-3, "lam_b": 1e-2},
}
SOLVERS = {
    "TrustRegion": ufm.TrustRegion(),
    "LBFGS": ufm.LBFGS(),
    "optax.lbfgs": ufm.FirstOrder(optax.lbfgs(), max_steps=5000),
    "SGD lr 20 m .9": ufm.FirstOrder(optax.sgd(20.0, momentum=0.9), max_steps=20_000),
}


def main() -> None:
    """One row per case and solver."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--gtol", type=float, default=1e-10)
    options = parser.parse_args()
    print(
        f"{'case':>11} {'solver':>15} | ok/{options.starts}  worst gradient  evaluations   warm ms (median)  compile s"
    )
    for name, case in CASES.items():
        problem = ufm.Problem(**case)
        rows = {solver: [] for solver in SOLVERS}
        for key in range(options.starts + 1):  # interleaved, so that a drifting machine hurts all alike
            start = ufm.random_start(problem, key)
            for solver, method in SOLVERS.items():
                began = time.perf_counter()
                solution = ufm.solve(problem, start=start, solver=method, gtol=options.gtol)
                rows[solver].append((time.perf_counter() - began, solution))
        for solver, results in rows.items():
            compiled, warm = results[0][1].compile_seconds, results[1:]
            ok = sum(s.status is ufm.Status.CONVERGED for _, s in warm)
            worst = max(s.grad_norm for _, s in warm)
            print(
                f"{name:>11} {solver:>15} | {ok:5d}  {worst:14.1e}  {np.median([s.evaluations for _, s in warm]):11.0f}"
                f"   {1e3 * np.median([t for t, _ in warm]):16.1f}  {compiled:9.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
