"""A disk that is full in the middle of a sweep: a clear error, and completion once there is space. Linux, as root.

python benchmarks/reliability/disk_full.py [--rows 400]
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from subject import counted, run, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400)
    options = parser.parse_args()
    reference = run(None, options.rows)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], check=True)
        try:
            store = Path(folder) / "s.sqlite"
            told = "no error"
            try:
                run(store, options.rows)
            except OSError as error:
                told = str(error)
            subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)
            rows, broken, keys = counted(store)
            results = run(store, options.rows)
        finally:
            subprocess.run(["umount", folder], check=True)
    bad = wrong(results, reference)
    lost = options.rows - len(keys) - results.computed
    print(f"told: {told}")
    print(f"{len(keys)} of {options.rows} rows were kept, {results.computed} computed after space was freed")
    print(f"{rows - len(keys)} damaged or doubled, {broken} damaged, {bad} wrong, {lost} lost")
    return int("full" not in told or rows - len(keys) + bad + lost > 0)


if __name__ == "__main__":
    sys.exit(main())
