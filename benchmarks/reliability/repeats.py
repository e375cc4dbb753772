"""The same sweep in fresh processes, a store each: rows of which any bit differs (must be 0).

python benchmarks/reliability/repeats.py [--times 12] [--rows 200]
"""

import argparse
import sys
import tempfile
from pathlib import Path

from subject import run, writer, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=12)
    parser.add_argument("--rows", type=int, default=200)
    options = parser.parse_args()
    reference = run(None, options.rows)
    bad = again = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.times):
            store = Path(folder) / f"{number}.sqlite"
            writer(store, options.rows).communicate()
            found = run(store, options.rows)
            bad, again = bad + wrong(found, reference), again + found.computed
    print(f"{options.times} processes of {options.rows} rows: {bad} rows differ, {again} had to be computed again")
    return int(bad + again > 0)


if __name__ == "__main__":
    sys.exit(main())
