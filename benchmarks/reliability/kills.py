"""SIGKILL at random times, and the same sweep again: rows lost, doubled, damaged or wrong (all must be 0).

python benchmarks/reliability/kills.py [--kills 200] [--rows 400]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from subject import counted, run, writer, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rows", type=int, default=400)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    reference = run(None, options.rows)
    lost = doubled = damaged = bad = finished = grown = 0
    with tempfile.TemporaryDirectory() as folder:
        clock = time.perf_counter()
        writer(Path(folder) / "warm.sqlite", options.rows).communicate()
        span = time.perf_counter() - clock
        store, before = Path(folder) / "0.sqlite", set()
        for kill in range(1, options.kills + 1):
            child = writer(store, options.rows)
            time.sleep(rng.uniform(0.3, 1.0) * span)  # most of the first third is spent importing
            child.kill()
            child.communicate()
            rows, broken, keys = counted(store)
            lost, doubled, damaged = lost + len(before - keys), doubled + rows - len(keys) - broken, damaged + broken
            grown += len(keys - before)
            before = keys
            if len(keys) == len(reference):
                results = run(store, options.rows)
                bad, lost = bad + wrong(results, reference), lost + results.computed
                finished += 1
                store, before = Path(folder) / f"{finished}.sqlite", set()
                sums = f"{lost} lost, {doubled} doubled, {damaged} damaged, {bad} wrong"
                print(f"{kill} kills, {grown} rows, {finished} sweeps finished: {sums}", file=sys.stderr, flush=True)
        bad += wrong(run(store, options.rows), reference)
    print(f"{options.kills} kills, {grown} rows written between them, {finished + 1} sweeps finished")
    print(f"{lost} lost, {doubled} doubled, {damaged} damaged, {bad} wrong")
    return int(lost + doubled + damaged + bad > 0)


if __name__ == "__main__":
    sys.exit(main())
