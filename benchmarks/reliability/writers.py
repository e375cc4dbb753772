"""Several processes that run the same sweep into the same store at once: rows doubled or wrong (both must be 0).

python benchmarks/reliability/writers.py [--writers 3] [--rows 400]
"""

import argparse
import sys
import tempfile
from pathlib import Path

from subject import counted, run, writer, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--rows", type=int, default=400)
    options = parser.parse_args()
    reference = run(None, options.rows)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "s.sqlite"
        children = [writer(store, options.rows) for _ in range(options.writers)]
        computed = [int(child.communicate()[0] or -1) for child in children]
        failed = sum(child.returncode != 0 for child in children)
        rows, broken, keys = counted(store)
        doubled = rows - len(keys) - broken
        results = run(store, options.rows)
    bad = wrong(results, reference)
    print(f"{options.writers} writers computed {computed} rows of {options.rows}; {rows} rows in the store")
    print(f"{failed} failed, {doubled} doubled, {broken} damaged, {bad} wrong, {results.computed} missing")
    return int(failed + doubled + broken + bad + results.computed > 0)


if __name__ == "__main__":
    sys.exit(main())
