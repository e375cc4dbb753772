"""NC1-NC4 of large features: seconds and memory of `ufm.metrics` beside a package and beside d x d matrices.

    uv run python benchmarks/metrics.py --N 50000 --d 512 --K 100

The rivals: the package `neural_collapse` of rhubarbwu (PyTorch; left out where it is not installed:
`pip install git+https://github.com/rhubarbwu/neural-collapse`), batch by batch as its example does, in its float32 and
in float64; and NumPy on whole arrays, with Sigma_W and Sigma_B as d x d matrices and a pseudo-inverse. The package
divides Sigma_B by d instead of K, so that its NC1 is d/K times ours, and its NC3 is our nc3_gram.

Entries take turns, each time in a process of its own, after a small call that warms it up; printed are the medians over
the rounds, and the largest growth of a process above its input. Set OMP_NUM_THREADS=1 on a shared machine, where
waiting threads are counted as CPU seconds.
"""

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import time
from statistics import median
from typing import Any

import numpy as np

from ufm import metrics

BATCH = 1000


def made(N: int, d: int, K: int, dtype: type) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features [N, d], the same float32 numbers in any dtype, labels, classifier."""
    rng = np.random.default_rng(0)
    M = rng.standard_normal((K, d), dtype=np.float32)
    y = rng.permutation(np.arange(N) % K)
    H = rng.standard_normal((N, d), dtype=np.float32)
    H *= 0.5
    for start in range(0, N, 4096):
        H[start : start + 4096] += M[y[start : start + 4096]]
    W = M + 0.1 * rng.standard_normal((K, d), dtype=np.float32)
    return H.astype(dtype, copy=False), y, W.astype(dtype), np.zeros(K, dtype)


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


def batches(H: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Views of consecutive samples."""
    return [(H[i : i + BATCH], y[i : i + BATCH]) for i in range(0, len(y), BATCH)]


def all_values(H: np.ndarray, y: np.ndarray, W: np.ndarray, b: np.ndarray) -> tuple[float, ...]:
    """Four of all that `measure_batches` returns."""
    values = metrics.measure_batches(batches(H, y), W, b).values
    return values["nc1"], values["nc2_gram_H"], values["nc3"], values["nc4"]


def one_pass(H: np.ndarray, y: np.ndarray, W: np.ndarray, b: np.ndarray) -> tuple[float, ...]:
    """NC1 and VCI from `scatter`, a single pass that keeps a d x d factor."""
    total = metrics.Scatter()
    for part in batches(H, y):
        total = metrics.merge_scatters(total, metrics.scatter(*part))
    return metrics.nc1_one_pass(total), metrics.vci(total)


def package(H: np.ndarray, y: np.ndarray, W: np.ndarray, b: np.ndarray) -> tuple[float, ...]:
    """NC1, trace ratio, CDNV, NC2, NC3 and NC4 of the package, in the dtype of H: three passes; it knows no bias."""
    import neural_collapse as nc  # pyright: ignore[reportMissingImports]
    import torch  # pyright: ignore[reportMissingImports]

    X, labels, V = (torch.from_numpy(array) for array in (H, y, W))
    parts = [(X[i : i + BATCH], labels[i : i + BATCH]) for i in range(0, len(y), BATCH)]
    sizes: Any = {"n_classes": len(W), "d_vectors": W.shape[1], "dtype": X.dtype}
    means = nc.MeanAccumulator(**sizes)
    for part in parts:
        means.accumulate(*part)
    M, centre = means.compute()
    variances, covariance = nc.VarNormAccumulator(**sizes, M=M), nc.CovarAccumulator(**sizes, M=M)
    for part in parts:
        variances.accumulate(*part, M)
        covariance.accumulate(*part, M)
    decisions = nc.DecAccumulator(**sizes, M=M, W=V)
    for part in parts:
        decisions.accumulate(*part, M, V)
    within = covariance.compute()
    nc.covariance_ratio(M, within, centre)
    nc.variability_cdnv(M, variances.compute()[0], tile_size=64)
    nc1, nc2 = nc.covariance_pinv(M, within, centre), nc.simplex_etf_error(M, centre)
    return nc1, nc2, nc.self_duality_error(M, V, centre), 1.0 - nc.clf_ncc_agreement(decisions)


ENTRIES = {
    "ufm.metrics, all values, 2 passes": (all_values, np.float32),
    "package, float32": (package, np.float32),
    "package, float64": (package, np.float64),
    "NumPy, d x d, float32": (dense, np.float32),
    "NumPy, d x d, float64": (dense, np.float64),
    "ufm.metrics.scatter, NC1 and VCI": (one_pass, np.float32),
}


def peak_mib() -> float:
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # KiB on Linux


def run(name: str, N: int, d: int, K: int) -> None:
    """Print one measurement as JSON."""
    of, dtype = ENTRIES[name]
    small, large = made(2 * K, d, K, dtype), made(N, d, K, dtype)
    of(*small)
    before, wall, cpu = peak_mib(), time.perf_counter(), time.process_time()
    values = of(*large)
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps(seconds | {"mib": peak_mib() - before, "values": [float(value) for value in values]}))


def main() -> None:
    """Rounds over the entries, and a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--N", type=int, default=50_000)
    parser.add_argument("--d", type=int, default=512)
    parser.add_argument("--K", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--entry", choices=tuple(ENTRIES), help="one entry, in this process")
    options = parser.parse_args()
    sizes = options.N, options.d, options.K
    if options.entry:
        run(options.entry, *sizes)
        return
    installed = all(importlib.util.find_spec(name) for name in ("neural_collapse", "torch"))
    names = [name for name, (of, _) in ENTRIES.items() if installed or of is not package]
    flags = [f"--{key}={value}" for key, value in zip(("N", "d", "K"), sizes, strict=True)]
    rows: dict[str, list[Any]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            command = [sys.executable, __file__, "--entry", name, *flags]
            rows[name].append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))
    title = f"N={options.N} d={options.d} K={options.K}"
    print(f"{title:34} {'wall s':>7} {'CPU s':>7} {'CPU/ufm':>8} {'MiB above':>10}   nc1  nc2_gram_H  nc3  nc4")
    first = median(row["cpu"] for row in rows[names[0]])
    for name, found in rows.items():
        wall, cpu, mib = (median(row[key] for row in found) for key in ("wall", "cpu", "mib"))
        listed = "  ".join(f"{value:.10g}" for value in found[0]["values"])
        print(f"{name:34} {wall:7.2f} {cpu:7.2f} {cpu / first:8.1f} {mib:10.0f}   {listed}", flush=True)
    if not installed:
        print("package left out: neural_collapse and torch are not installed")


if __name__ == "__main__":
    main()
