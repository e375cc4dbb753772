"""What a row costs apart from its solve: the grid, the store and the results, for more and more rows. CPU-seconds.

python benchmarks/reliability/driver.py [--rows 1000 4000 16000]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import ufm
from ufm.sweep.store import listings, opened, read_rows


def nowhere(problem: ufm.Problem, key: int) -> ufm.Params:
    """A start that every case fails at, so that nothing is solved."""
    raise ValueError("nothing is solved here")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 4000, 16000])
    options = parser.parse_args()
    problem = ufm.Problem(K=2, n=5, d=3, lam_W=1e-2, lam_H=1e-2)
    print(f"{'rows':>8}{'grid':>8}{'sweep':>8}{'read':>8}{'ms a row':>10}")
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "s.sqlite"
            marks = [time.process_time()]
            grid = ufm.grid(ufm.Case(problem, start=nowhere), lam_W=np.geomspace(1e-4, 1e-1, rows // 10), key=range(10))
            marks.append(time.process_time())
            ufm.sweep(grid, store=store)
            marks.append(time.process_time())
            with opened(store) as held:
                read_rows(held, listings(held)[0].keys)
            marks.append(time.process_time())
        spent = np.diff(marks)
        print(f"{rows:8}{spent[0]:8.2f}{spent[1]:8.2f}{spent[2]:8.2f}{1e3 * (marks[-1] - marks[0]) / rows:10.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
