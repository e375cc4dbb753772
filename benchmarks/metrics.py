"""NC1-NC4 of large features: seconds and memory of `ufm.metrics`, beside NumPy with the d x d matrices.

    uv run python benchmarks/metrics.py --N 50000 --d 512 --K 100

The rival is what the public codes do, on whole arrays (no packaged one could be installed, so it is written out here):
class means, Sigma_W and Sigma_B as d x d matrices, a pseudo-inverse, distances to every class mean. It is run in
float32, as those codes are, and in float64, which the digits need. Every entry runs in a process of its own; its memory
is the peak of what is allocated above the input. Compare CPU seconds with OMP_NUM_THREADS=1 on a shared machine.
"""

import argparse
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from ufm import metrics


def made(N: int, d: int, K: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features [N, d] in float32, labels, classifier."""
    rng = np.random.default_rng(0)
    M = rng.standard_normal((K, d), dtype=np.float32)
    y = rng.permutation(np.arange(N) % K)
    H = rng.standard_normal((N, d), dtype=np.float32)
    H *= 0.5
    for start in range(0, N, 4096):
        H[start : start + 4096] += M[y[start : start + 4096]]
    return H, y, M + 0.1 * rng.standard_normal((K, d), dtype=np.float32), np.zeros(K, np.float32)


def dense(H: np.ndarray, y: np.ndarray, W: np.ndarray, b: np.ndarray) -> tuple[float, ...]:
    """NC1-NC4 with Sigma_W, Sigma_B and a pseudo-inverse of size d x d, in the dtype of H."""
    N, K = len(y), len(W)
    M = np.stack([H[y == k].mean(axis=0) for k in range(K)])
    C = M - M.mean(axis=0)
    R = H - M[y]
    nc1 = np.trace(R.T @ R / N @ np.linalg.pinv(C.T @ C / K)) / K
    simplex = (np.eye(K) - 1 / K) / np.sqrt(K - 1)
    nc2 = np.linalg.norm(C @ C.T / np.linalg.norm(C @ C.T) - simplex)
    nc3 = np.linalg.norm(W / np.linalg.norm(W) - C / np.linalg.norm(C))
    distances = np.sum(M**2, axis=1) - 2 * H @ M.T
    nc4 = np.mean(np.argmin(distances, axis=1) != np.argmax(H @ W.T + b, axis=1))
    return float(nc1), float(nc2), float(nc3), float(nc4)


def all_values(H: np.ndarray, y: np.ndarray, W: np.ndarray, b: np.ndarray) -> tuple[float, ...]:
    """The same four out of all that `measure_batches` returns, from batches of 1,000."""
    values = metrics.measure_batches([(H[i : i + 1000], y[i : i + 1000]) for i in range(0, len(y), 1000)], W, b).values
    return values["nc1"], values["nc2_gram_H"], values["nc3"], values["nc4"]


def one_pass(H: np.ndarray, y: np.ndarray, W: np.ndarray, b: np.ndarray) -> tuple[float, ...]:
    """NC1 and VCI from `scatter`, a single pass that keeps a d x d factor."""
    found = metrics.scatter(H, y)
    return metrics.nc1_one_pass(found), metrics.vci(found)


ENTRIES = {
    "ufm.metrics, all values, 2 passes": (all_values, np.float32),
    "ufm.metrics.scatter, NC1 and VCI": (one_pass, np.float32),
    "NumPy, d x d, float32": (dense, np.float32),
    "NumPy, d x d, float64": (dense, np.float64),
}


def peak_mib(of: Callable[[], Any]) -> float:
    """The most memory that NumPy and Python hold during a call, above what was there before, in MiB."""
    tracemalloc.start()
    of()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def run(name: str, N: int, d: int, K: int) -> None:
    """Print one row: the best of three runs, CPU seconds of the same run, memory above the input."""
    of, dtype = ENTRIES[name]
    H, y, W, b = made(N, d, K)

    def once() -> tuple[float, ...]:
        return of(H.astype(dtype, copy=False), y, W.astype(dtype), b.astype(dtype))

    memory, runs, values = peak_mib(once), [], ()  # the first run also warms the caches
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        values = once()
        runs.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = min(runs)
    listed = "  ".join(f"{value:.10g}" for value in values)
    print(f"{name:34} {wall:7.2f} {cpu:7.2f} {memory:10.0f}   {listed}", flush=True)


def main() -> None:
    """One row per entry, each in its own process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--N", type=int, default=50_000)
    parser.add_argument("--d", type=int, default=512)
    parser.add_argument("--K", type=int, default=100)
    parser.add_argument("--entry", choices=tuple(ENTRIES), help="one entry, in this process")
    options = parser.parse_args()
    sizes = options.N, options.d, options.K
    if options.entry:
        run(options.entry, *sizes)
        return
    title = f"N={options.N} d={options.d} K={options.K}"
    print(f"{title:34} {'wall s':>7} {'CPU s':>7} {'MiB above':>10}   nc1  nc2_gram_H  nc3  nc4")
    for name in ENTRIES:
        flags = [f"--{key}={value}" for key, value in zip(("N", "d", "K"), sizes, strict=True)]
        subprocess.run([sys.executable, __file__, "--entry", name, *flags], check=True)


if __name__ == "__main__":
    main()
