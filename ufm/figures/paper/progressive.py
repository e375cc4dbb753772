"""Progressive collapse over the layers of deep linear networks trained on given data, beside the exact curves."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from theory import progressive
from ufm.figures.data import Data, Source, levels, rows, stacked
from ufm.figures.progressive import Layers, draw_progressive
from ufm.figures.style import PAGE, paper
from ufm.verify.claims.deep.layers import Training, curves, trained

CAPTION = (
    "Progressive collapse over the layers of deep linear networks. L = {L} matrices, gradient descent (rate {rate:g})"
    " from eps times orthogonal ones to a loss of 1e-20 (seed {key}), on K = {K} classes of n = {n} samples in d = "
    "{d} dimensions, X^T X = I + (theta/N) [labels differ], theta = {theta:g}; {ended} of {networks} ended there. "
    "Left: tr Sigma_W / tr Sigma_B of each layer, which theory (P2; order of Wang et al., arXiv 2311.02960) has fall "
    "by eps^2 ((1 - theta/K)/n)^(1/L) a layer. Right: 1 - the largest cosine of class means. Dots, trained; lines, "
    "exact for balanced weights of rank K; they differ by {difference:.1e} (relative, left) and {angle:.1e} (right) "
    "at most."
)
KEY = 1


def data(
    source: Source,
    *,
    eps: Sequence[float] = (0.2, 0.3, 0.4),
    K: int = 3,
    n: int = 10,
    d: int = 40,
    L: int = 6,
    theta: float = 0.5,
    rate: float = 0.02,
) -> Data:
    """Training from each scale, and every layer measured.

    checks: "ended" networks; "difference" of C from theory, relative to it, and "angle" of D, the largest of each.
    """
    parts, ended = [], 0
    for scale in eps:
        setting = Training(K, n, d, L, scale, theta, rate, 80_000, KEY)
        C, D = curves(setting)
        exact = progressive.layer_curves(X=setting.data(), labels=setting.labels, eps=scale, L=L)
        parts.append({"eps": scale, "layer": np.arange(L), "C": C, "D": D, "C_theory": exact.C, "D_theory": exact.D})
        ended += trained(setting).converged
    table = stacked(parts)
    checks = {
        "ended": ended,
        "difference": float(np.max(np.abs(table["C"] / table["C_theory"] - 1.0))),
        "angle": float(np.max(np.abs(table["D"] - table["D_theory"]))),
    }
    settings = {"K": K, "n": n, "d": d, "L": L, "theta": theta, "rate": rate, "key": KEY, "networks": len(eps)}
    return Data({"": table}, settings, checks)


def figure(data: Data) -> Figure:
    """C and D over the layers, a colour for each scale."""
    networks = []
    for scale in levels(data.table, "eps"):
        part = rows(data.table, "eps", scale)
        networks.append(Layers(rf"$\epsilon={scale:g}$", part["C"], part["D"], part["C_theory"], part["D_theory"]))
    with paper():
        figure = Figure(figsize=(PAGE, 2.3), layout="constrained")
        scatter, angle = figure.subplots(1, 2)
        draw_progressive(scatter, angle, networks)
        scatter.legend()
    return figure
