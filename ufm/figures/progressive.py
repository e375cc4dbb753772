"""Progressive collapse over the layers of deep linear networks: what was measured beside the exact curves."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ufm.figures.style import CLASSES, style


class Layers(NamedTuple):
    """One network: C and D [L] measured at the layers 0, ..., L-1, the exact curves, and a label.

    C = tr Sigma_W / tr Sigma_B, and D = 1 - the largest cosine between class means.
    """

    label: str
    C: np.ndarray
    D: np.ndarray
    exact_C: np.ndarray
    exact_D: np.ndarray


def progressive_figure(networks: Sequence[Layers]) -> Figure:
    """log C and D over the layers, points for what was measured and lines for the exact curves (P2).

    Raises:
        ValueError: no network, or curves of different lengths.
    """
    if not networks or any(len({len(curve) for curve in network[1:]}) > 1 for network in networks):
        raise ValueError("progressive_figure: needs a network, and four curves of one length for each.")
    with style():
        figure = Figure(figsize=(6.8, 3.0), layout="constrained")
        scatter, angle = figure.subplots(1, 2)
        draw_progressive(scatter, angle, networks)
        scatter.legend()
    return figure


def draw_progressive(scatter: Axes, angle: Axes, networks: Sequence[Layers]) -> None:
    """C on the first axes and D on the second, a colour for each network."""
    for number, network in enumerate(networks):
        colour, layers = CLASSES[number % len(CLASSES)], np.arange(len(network.C))
        for axes, exact, measured in ((scatter, network.exact_C, network.C), (angle, network.exact_D, network.D)):
            axes.plot(layers, exact, color=colour, zorder=1)
            axes.plot(layers, measured, "o", color=colour, label=network.label)
    scatter.set_yscale("log")
    scatter.set_ylabel(r"$C_\ell = \mathrm{tr}\,\Sigma_W / \mathrm{tr}\,\Sigma_B$")
    angle.set_ylabel(r"$D_\ell = 1 - \max \cos(\mu_k, \mu_{k'})$")
    for axes in (scatter, angle):
        axes.set_xlabel(r"layer $\ell$")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
