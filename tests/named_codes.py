"""Named codes with the facts of the literature that tests compare them with."""

import math

from theory import codes

NAMED = {  # name: (code, K, d, s, neighbours at s)
    "icosahedron": (codes.icosahedron(), 12, 3, 1 / math.sqrt(5), 5),
    "cell_24": (codes.cell_24(), 24, 4, 0.5, 8),
    "cell_600": (codes.cell_600(), 120, 4, (1 + math.sqrt(5)) / 4, 12),
    "clebsch": (codes.clebsch(), 16, 5, 0.2, 10),
    "schlaefli": (codes.schlaefli(), 27, 6, 0.25, 16),
    "code_7_56": (codes.code_7_56(), 56, 7, 1 / 3, 27),
    "e8_roots": (codes.e8_roots(), 240, 8, 0.5, 56),
    "polygon": (codes.polygon(7), 7, 2, math.cos(2 * math.pi / 7), 2),
    "simplex": (codes.simplex(5), 5, 4, -0.25, 4),
    "cross_polytope": (codes.cross_polytope(4), 8, 4, 0.0, 6),
}
