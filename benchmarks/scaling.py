"""What a certificate costs beside the solve; time and memory against K, n, d; arithmetic against this machine's peak.

    uv run python benchmarks/scaling.py --plot docs/scaling.png

Free features from a random start, gradient 1e-12 as by default, warm, best of a few. Memory is what the compiled
iteration asks for: its arguments, results and temporaries. Arithmetic counts the six products of a Hessian-vector
product, 12 K r N with r = min(d, K), once for every evaluation, and nothing else; the peak is that of a 2,000 x 2,000
matrix product in float64, while products of large problems run in float32 (`TrustRegion.single`), where it is twice as
high.
"""

import argparse
import dataclasses
import json
import pathlib
import platform
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from cases import CASES
from matplotlib.ticker import NullFormatter

import ufm
from ufm.driver import advance, typed_solver
from ufm.figures.style import paper
from ufm.precision import exact

AXES = {
    "K": [ufm.Problem(K, 10, 2 * K, 5e-4, 5e-4, 5e-4) for K in (5, 10, 20, 40, 80, 160)],
    "n": [ufm.Problem(10, n, 20, 5e-4, 5e-4, 5e-4) for n in (10, 30, 100, 300, 1000, 3000)],
    "d": [ufm.Problem(10, 100, d, 5e-4, 5e-4, 5e-4) for d in (16, 32, 64, 128, 256, 512)],
}


def best(function: Callable[[], Any], budget: float = 2.0) -> float:
    """The least seconds of a call, over at least three calls and about `budget` seconds, after one to compile."""
    function()
    seen: list[float] = []
    while len(seen) < 3 or (sum(seen) < budget and len(seen) < 50):
        clock = time.perf_counter()
        function()
        seen.append(time.perf_counter() - clock)
    return min(seen)


def row(problem: ufm.Problem) -> dict[str, float]:
    """Seconds of the solve and of its certificate, evaluations, bytes, FLOP/s."""
    start = ufm.random_start(problem, 0)
    solution = ufm.solve(problem, start=start)
    seconds = best(lambda: ufm.solve(problem, start=start))
    certificate = best(lambda: ufm.certify(problem, solution.params))
    rank = min(problem.d, problem.K)
    flops = 12 * problem.K * rank * problem.N * solution.evaluations
    return {
        "K": problem.K,
        "N": problem.N,
        "d": problem.d,
        "solve": seconds,
        "certify": certificate,
        "evaluations": solution.evaluations,
        "bytes": memory(problem, solution.point),
        "flops": flops / seconds,
    }


def memory(problem: ufm.Problem, point: ufm.Params) -> int:
    """Bytes of the compiled iteration, in the coordinates in which the solve ran."""
    ran = dataclasses.replace(problem, d=point.W.shape[1]).astype(np.float64)
    with exact():
        solver = typed_solver(ufm.TrustRegion(), np.dtype(np.float64))
        state = jax.eval_shape(solver.init, ran, point)
        compiled: Any = advance
        found = compiled.lower(solver, ran, state, np.asarray(1e-12), 100).compile().memory_analysis()
    return found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes


def peak() -> float:
    """FLOP/s of a large matrix product in float64."""
    with exact():
        A = jnp.asarray(np.random.default_rng(0).standard_normal((2000, 2000)))
        product = jax.jit(lambda x: x @ x)
        return 2 * 2000**3 / best(lambda: jax.block_until_ready(product(A)))


def slope(x: list[float], y: list[float]) -> float:
    """Of log y over log x, in the upper half, where fixed costs no longer count."""
    half = len(x) // 2
    return round(float(np.polyfit(np.log(x[half:]), np.log(y[half:]), 1)[0]), 1) + 0.0


def plotted(rows: dict[str, list[dict[str, float]]]) -> Any:
    """Time of solve and certificate over memory, log-log with slopes."""
    titles = {"K": "K  (n = 10, d = 2K)", "n": "n  (K = 10, d = 20)", "d": "d  (K = 10, n = 100)"}
    with paper():
        figure, axes = plt.subplots(2, 3, figsize=(6.75, 3.6), layout="constrained", sharex="col", sharey="row")
        for (time_axis, memory_axis), (name, table) in zip(axes.T, rows.items(), strict=True):
            x = [r["N"] / 10 if name == "n" else r[name] for r in table]
            for quantity, unit, axis, style in (
                ("solve", 1e-3, time_axis, "o-"),
                ("certify", 1e-3, time_axis, "s--"),
                ("bytes", 1e6, memory_axis, "^-"),
            ):
                y = [r[quantity] / unit for r in table]
                label = f"{'memory' if quantity == 'bytes' else quantity}, slope {slope(x, y):.1f}"
                axis.loglog(x, y, style, ms=3, color="0.4" if quantity == "bytes" else None, label=label)
                axis.legend(fontsize=6, loc="upper left")
            memory_axis.xaxis.set_minor_formatter(NullFormatter())
            memory_axis.set_xlabel(titles[name])
        axes[0, 0].set_ylabel("ms, free features")
        axes[1, 0].set_ylabel("MB")
    return figure


def main() -> None:
    """Measure, print, store, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=["S1", "S2", "Hd", "I", "M", "SP10", "SP100"])
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file for the rows")
    parser.add_argument("--plot", type=pathlib.Path, help="a picture of time and memory against K, n, d")
    options = parser.parse_args()
    top = peak()
    print(f"peak of this machine, float64: {top / 1e9:.1f} GFLOP/s")
    named = {case: row(CASES[case]) for case in options.cases}
    rows = {name: [row(problem) for problem in problems] for name, problems in AXES.items()} if options.plot else {}
    for name, r in [*named.items(), *[(f"over {axis}", r) for axis, table in rows.items() for r in table]]:
        print(
            f"{name:8} K {r['K']:4} N {r['N']:6} d {r['d']:4}  solve {1e3 * r['solve']:9.2f} ms  "
            f"certify {1e3 * r['certify']:8.2f} ms  {r['solve'] / r['certify']:6.2f}x  "
            f"{r['bytes'] / 1e6:8.2f} MB  {100 * r['flops'] / top:5.1f} % of peak"
        )
    if options.plot:
        plotted(rows).savefig(options.plot, dpi=200)
    if options.out:
        record = {"machine": platform.machine(), "jax": jax.__version__, "peak": top, "cases": named, "axes": rows}
        options.out.write_text(json.dumps(record, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
