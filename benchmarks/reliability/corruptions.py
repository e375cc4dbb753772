"""Random damage to a store, and the same sweep again: rows silently wrong (must be 0).

python benchmarks/reliability/corruptions.py [--times 100] [--rows 200]
"""

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from subject import run, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--rows", type=int, default=200)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    outcomes: Counter[str] = Counter()
    bad = recomputed = 0
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.sqlite"
        reference = run(whole, options.rows)
        for number in range(options.times):
            store = Path(folder) / f"{number}.sqlite"
            shutil.copy(whole, store)
            _damage(store, rng)
            try:
                results = run(store, options.rows)
            except OSError:  # the first page is lost: refused by name
                outcomes["refused"] += 1
                continue
            bad += wrong(results, reference)
            recomputed += results.computed
            outcomes[
                "named and recomputed" if results.notes else "nothing lost" if not results.computed else "silent"
            ] += 1
            for path in store.parent.glob(f"{number}.sqlite*"):
                path.unlink()
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    print(f"{options.times} corruptions of a store of {options.rows} rows: {told}; {recomputed} rows computed again")
    print(f"{bad} silently wrong rows")
    return int(bad + outcomes["silent"] > 0)


def _damage(path: Path, rng: np.random.Generator) -> None:
    """A flipped bit, a run of noise, a lost page, or a lost end."""
    data = bytearray(path.read_bytes())
    place = int(rng.integers(len(data)))
    match int(rng.integers(4)):
        case 0:
            data[place] ^= 1 << int(rng.integers(8))
        case 1:
            length = min(int(rng.integers(1, 512)), len(data) - place)
            data[place : place + length] = rng.bytes(length)
        case 2:
            page = place // 4096 * 4096
            data[page : page + 4096] = bytes(4096)
        case _:
            del data[max(place, 4096) :]
    path.write_bytes(data)


if __name__ == "__main__":
    sys.exit(main())
