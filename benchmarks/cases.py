"""The named problems of the benchmarks."""

import ufm

# TAIL: a long tail. THOUSAND: 100 sizes of 1,000 classes, N = 21,516.
TAIL = tuple(round(500 * 0.01 ** (k / 99)) for k in range(100))
THOUSAND = tuple(round(100 * 0.01 ** (k / 999)) for k in range(1000))
CASES = {
    "S1": ufm.Problem(10, 10, 20, 5e-3, 5e-3, 5e-3),
    "S2": ufm.Problem(10, 100, 64, 5e-4, 5e-4, 5e-4),
    "Hd": ufm.Problem(10, 100, 512, 5e-4, 5e-4, 5e-4),
    "S2w": ufm.Problem(10, 100, 64, 1e-5, 1e-5, 1e-5),
    "I": ufm.Problem(10, (200, 150, 100, 70, 50, 30, 20, 10, 5, 2), 20, 1e-3, 1e-3, 1e-3),
    "M": ufm.Problem(100, 10, 200, 5e-4, 5e-4, 5e-4),
    "SP10": ufm.Problem(10, 100, 20, model=ufm.normalized(10.0)),
    "SP100": ufm.Problem(100, 1, 128, model=ufm.normalized(20.0)),
    "LT": ufm.Problem(100, TAIL, 200, 1e-4, 1e-4, 1e-4),
    "K1000": ufm.Problem(1000, THOUSAND, 1000, 1e-5, 1e-5, 1e-5),
}
LONG = ("LT", "K1000")  # rivals take minutes to hours a solve
