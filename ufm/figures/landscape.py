"""An atlas of critical points in one picture: value against index."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ufm.certify.certificate import Verdict
from ufm.figures.style import BLUE, GREEN, GREY, RED, style
from ufm.landscape import Atlas

COLOURS = {
    Verdict.GLOBAL_MINIMUM: GREEN,
    Verdict.LOCAL_MINIMUM: RED,
    Verdict.STRICT_SADDLE: BLUE,
    Verdict.DEGENERATE: GREY,
    Verdict.NOT_CRITICAL: GREY,
}


def atlas_figure(atlas: Atlas) -> Figure:
    """Each orbit at (index, value), its area the share of the searches that ended there.

    In a benign landscape everything above the lowest value has an index > 0.

    Raises:
        ValueError: an atlas without a point whose index is known.
    """
    known = [point for point in atlas.points if point.certificate.index is not None]
    if not known:
        raise ValueError("atlas_figure: no point of the atlas has a known index. Make more searches.")
    with style():
        figure = Figure(figsize=(5.0, 3.8), layout="constrained")
        axes = figure.add_subplot()
        for verdict in dict.fromkeys(point.certificate.verdict for point in known):
            points = [point for point in known if point.certificate.verdict is verdict]
            axes.scatter(
                [index for point in points if (index := point.certificate.index) is not None],
                [point.certificate.value for point in points],
                s=20.0 + 400.0 * np.array([point.hits for point in points]) / atlas.converged,
                color=COLOURS[verdict],
                alpha=0.7,
                linewidths=0.0,
                label=verdict.name.replace("_", " ").lower(),
            )
        axes.set_xlabel("index (negative eigenvalues of the Hessian)")
        axes.set_ylabel("$f$")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(f"{len(atlas.points)} orbits from {atlas.converged} of {atlas.searches} searches", loc="left")
        axes.legend(markerscale=0.6)
    return figure
