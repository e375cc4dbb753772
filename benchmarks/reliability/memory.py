"""A problem for which there is no memory among small ones: it alone has no answer, and the others have theirs. Linux.

python benchmarks/reliability/memory.py [--rows 20]
"""

import argparse
import resource
import sys

import ufm
from ufm.sweep.rows import OUT_OF_MEMORY


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20)
    options = parser.parse_args()
    small = ufm.Problem(K=2, n=5, d=3, lam_W=1e-2, lam_H=1e-2)
    grid = ufm.grid(small, key=range(options.rows))
    reference = ufm.sweep(grid)
    # What is mapped now and 4 GB more; the features of the large problem are 80 GB.
    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + 4 * 2**30, resource.RLIM_INFINITY))
    large = ufm.Problem(K=2, n=5 * 10**6, d=1000, lam_W=1e-2, lam_H=1e-2)
    middle = options.rows // 2
    results = ufm.sweep([*grid.cases[:middle], ufm.Case(large), *grid.cases[middle:]], chunk=8)
    status, message = results["status"].tolist(), results["message"][middle]
    others = [i for i in range(len(status)) if i != middle]
    wrong = int(sum(results["value"][others] != reference["value"]))
    print(f"the large problem: {status[middle]} ({message}); {wrong} of {options.rows} others wrong")
    print(*results.notes, sep="\n")
    return int(status[middle] != OUT_OF_MEMORY or wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
