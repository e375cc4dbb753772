"""The simplex ETF for any loss symmetric in the classes: its quantities (T7, T12) and Hessians (T16, T18)."""

import math
from typing import NamedTuple

import numpy as np

from theory.arguments import root_ratio
from theory.frames import centering
from theory.prediction import Quantity, Spectrum, collect
from theory.spectra import coupled_pair, stiff_pair, symmetric_block


class Curvature(NamedTuple):
    """Hessian of one sample's loss in its K logits at an ETF minimiser: j2 along e_y - 1/K, j1 across, 0 along ones."""

    margin: float  # a > 0, the true logit less the others
    c: float  # sqrt(n lam_W lam_H)
    j1: float
    j2: float
    tilt: float  # (j2 - j1)/(K - 1), from whoever knows it without cancellation


def etf_quantities(
    K: int, n: int, lam_W: float, lam_H: float, lam_b: float | None, margin: float
) -> dict[str, Quantity]:
    """Everything that the margin alone determines at W M = margin (I - J/K); margin 0.0 is W = H = 0."""
    W_scale = margin * math.sqrt(n) * root_ratio(lam_W, lam_H)  # of W W^T = W_scale (I - J/K)
    M_scale = margin / (math.sqrt(n) * root_ratio(lam_W, lam_H))
    quantities: dict[str, Quantity] = {
        "W_sq": (K - 1) * W_scale,
        "H_sq": (K - 1) * n * M_scale,
        "gram_W": W_scale * centering(K),
        "gram_M": M_scale * centering(K),
        "logits": margin * centering(K),
        "sigma_Z": np.append(np.full(K - 1, margin * math.sqrt(n)), 0.0),
        "margin": margin,
    }
    return quantities if lam_b is None else quantities | {"b": np.zeros(K)}


def etf_nullity(K: int, d: int, lam_b: float | None) -> int:
    """Dimension of the orbit of the frame under O(d), and the free shift of b along the ones vector if lam_b = 0."""
    return (K - 1) * (2 * d - K) // 2 + int(lam_b == 0.0)


def etf_spectrum(
    K: int, n: int, d: int, lam_W: float, lam_H: float, lam_b: float | None, curvature: Curvature, unit_b: float = 1.0
) -> Spectrum:
    """Spectrum over (W, H, b/unit_b) at the ETF, where the decay of b/unit_b is lam_b.

    The curvatures, divided by c = sqrt(n lam_W lam_H) and scaled by the margin, are stiffnesses t1 and t2 that the
    logits add to the decays of a direction in W and one in H. (c is that of the problem, even in scaled variables.)
    """
    a, c, j1, j2, tilt = curvature
    t1, t2 = a * (j1 / c) / K, a * (j2 / c) / K
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
            (_class_block(K, lam_W, lam_H, lam_b, t1, a * (tilt / c), unit_b * math.sqrt(c / a)), K - 1),
            ([] if lam_b is None else [lam_b], 1),  # the bias along the ones vector
        ]
    )


def origin_blocks(
    K: int, n: int, d: int, lam_W: float, lam_H: float, lam_b: float | None, pull: float, slack: float, bias: float
) -> Spectrum:
    """Spectrum at W = H = 0, b = 0, where the gradient in the logits is -pull/(K n) (I - J/K) kron 1_n^T.

    slack = K sqrt(n lam_W lam_H) - pull, without cancellation; bias = curvature of the loss in a centred b.
    """
    reach = K * math.sqrt(n)
    return collect(
        [
            (coupled_pair(lam_W, lam_H, pull / reach, slack / reach), (K - 1) * d),
            ([lam_W, lam_H], d),
            ([lam_H], d * K * (n - 1)),
            ([] if lam_b is None else [bias + lam_b], K - 1),
            ([] if lam_b is None else [lam_b], 1),
        ]
    )


def _class_block(
    K: int, lam_W: float, lam_H: float, lam_b: float | None, t1: float, tilt: float, b_reach: float
) -> list[float]:
    """The block in which one class's scale (x in W, y in H), the feature mean ybar and the bias b mix.

    m moves the class's own margin, v its logit; tilt = K (t2 - t1)/(K - 1), and b_reach = sqrt(c/margin) is what b adds
    to v. A sum of squares while t2 >= t1.
    """
    r = math.sqrt((K - 2) / K)
    w, h = math.sqrt(lam_W), math.sqrt(lam_H)
    m = np.array([w, h, 0.0, 0.0])
    v = np.array([0.0, 0.0, h / math.sqrt(K), b_reach])
    squares = [
        (t1, m),
        (K * t1, v),
        (tilt, r * m + v),
        (1.0, np.array([w, -h, 0.0, 0.0])),
        (lam_H, np.array([0.0, 0.0, 1.0, 0.0])),
        (lam_b or 0.0, np.array([0.0, 0.0, 0.0, 1.0])),
    ]
    # Two classes have no asymmetric scale (x, y), a model without bias no b.
    present = slice(0 if K > 2 else 2, 3 if lam_b is None else 4)
    return symmetric_block([(weight, row[present]) for weight, row in squares])
