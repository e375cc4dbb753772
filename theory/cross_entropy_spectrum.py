"""T16: the Hessian of cross-entropy at the simplex ETF, split by the symmetry under permutations of the classes."""

import math

import numpy as np

from theory.arguments import nu
from theory.prediction import Spectrum, collect
from theory.spectra import stiff_pair, symmetric_block


def etf_spectrum(
    K: int, n: int, d: int, lam_W: float, lam_H: float, lam_b: float | None, q: float, excess: float, margin: float
) -> Spectrum:
    """Spectrum at softmax masses p = q + excess (true class) and q (others), margin = log(p/q) > 0.

    The logits of one sample have curvature K p q towards its class and q across the others; divided by c = sqrt(n lam_W
    lam_H) and scaled by the margin these become the stiffnesses t2 and t1.
    """
    p, c = q + excess, math.sqrt(n) * nu(lam_W, lam_H)
    t1, t2 = margin * (q / c) / K, margin * p * (q / c)
    unused = d - K + 1
    within = K * (n - 1)
    return collect(
        [
            ([lam_H], (within + 1) * unused),
            ([lam_H * (1.0 + t1)], within * (K - 2)),
            ([lam_H * (1.0 + t2)], within),
            ([lam_W], d),  # the ones vector in the classes, against every feature
            ([0.0, lam_W + lam_H], (K - 1) * unused),  # rotations of used into unused features
            (stiff_pair(lam_W, lam_H, t2), 1),  # the scale of the frame
            (stiff_pair(lam_W, lam_H, t1), K * (K - 3) // 2),  # its symmetric deformations
            ([0.0, (lam_W + lam_H) * (1.0 + t1)], (K - 1) * (K - 2) // 2),  # rotations among used features
            (_class_block(K, lam_W, lam_H, lam_b, q, excess, margin / c), K - 1),
            ([] if lam_b is None else [lam_b], 1),  # the bias along the ones vector
        ]
    )


def _class_block(
    K: int, lam_W: float, lam_H: float, lam_b: float | None, q: float, excess: float, reach: float
) -> list[float]:
    """The block in which one class's scale (x in W, y in H), the feature mean ybar and the bias b mix.

    reach = margin / sqrt(n lam_W lam_H). A sum of squares: m moves the class's own margin, v its logit.
    """
    r, A = math.sqrt((K - 2) / K), math.sqrt(reach)
    w, h = math.sqrt(lam_W), math.sqrt(lam_H)
    m = np.array([A * w, A * h, 0.0, 0.0])
    v = np.array([0.0, 0.0, A * h / math.sqrt(K), 1.0])
    squares = [
        (q / K, m),
        (q, v),
        (q * excess, r * m + v),
        (1.0, np.array([w, -h, 0.0, 0.0])),
        (lam_H, np.array([0.0, 0.0, 1.0, 0.0])),
        (lam_b or 0.0, np.array([0.0, 0.0, 0.0, 1.0])),
    ]
    # Two classes have no asymmetric scale (x, y), a model without bias no b.
    present = slice(0 if K > 2 else 2, 3 if lam_b is None else 4)
    return symmetric_block([(weight, row[present]) for weight, row in squares])
