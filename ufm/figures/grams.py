"""Cosines between the rows of W and between the class means, beside those predicted."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpecFromSubplotSpec, SubplotSpec
from matplotlib.image import AxesImage

from ufm.figures.style import COSINES, GREY, INK
from ufm.verify.compare import Prediction

READABLE = 6  # classes up to which a cell has room for its number


def draw_grams(
    figure: Figure, spec: SubplotSpec, W: np.ndarray, means: np.ndarray, prediction: Prediction | None, vanished: bool
) -> None:
    """Three matrices of cosines in [-1, 1] with one colour bar.

    Args:
        W: [K, d]. means: [d, K].
        prediction: its "gram_W" and "gram_M" are the third matrix; without them the simplex is drawn for reference.
        vanished: W H is zero up to rounding, so that directions mean nothing.
    """
    grid = GridSpecFromSubplotSpec(1, 3, spec)
    panels = [figure.add_subplot(grid[i]) for i in range(3)]
    nothing = np.full((len(W), len(W)), np.nan)
    found_W, found_M = (nothing, nothing) if vanished else (cosines(W @ W.T), cosines(means.T @ means))
    title, predicted = _predicted(len(W), prediction)
    image = draw_matrix(panels[0], found_W, r"rows of $W$")
    draw_matrix(panels[1], found_M, "class means")
    draw_matrix(panels[2], predicted, title)
    beside = panels[2].inset_axes((1.06, 0.0, 0.05, 1.0))  # as tall as the matrices
    figure.colorbar(image, cax=beside, label="cosine", ticks=[-1, -0.5, 0, 0.5, 1])


def cosines(gram: np.ndarray) -> np.ndarray:
    """The Gram matrix of the normalised vectors; NaN for vectors that are zero up to rounding."""
    norms = np.sqrt(np.maximum(np.diag(gram), 0.0))
    norms = np.where(norms > 1e-8 * np.max(norms), norms, np.nan)
    return np.clip(gram / np.outer(norms, norms), -1.0, 1.0)


def _predicted(K: int, prediction: Prediction | None) -> tuple[str, np.ndarray]:
    """The third matrix and its title; rows of W above the diagonal and class means below, where they differ."""
    stated = {} if prediction is None else prediction.quantities
    if prediction is None or "gram_W" not in stated or "gram_M" not in stated:
        return "simplex ETF, for reference", cosines(np.eye(K) - 1.0 / K)
    above, below = cosines(stated["gram_W"]), cosines(stated["gram_M"])
    same = np.allclose(above, below, atol=1e-9, equal_nan=True)
    title = f"predicted ({prediction.theorem})"
    return title if same else rf"{title}: $W$ above, means below", np.triu(above) + np.tril(below, -1)


def draw_matrix(axes: Axes, matrix: np.ndarray, title: str, empty: str = "$W=H=0$") -> AxesImage:
    """One matrix of cosines; `empty` is written where nothing is known."""
    K = len(matrix)
    colours = colormaps[COSINES].with_extremes(bad="#EDEDED")
    image = axes.imshow(matrix, cmap=colours, norm=Normalize(-1.0, 1.0), interpolation="nearest")
    axes.set_title(title)
    axes.spines[:].set_visible(True)
    ticks = np.arange(K) if K <= 10 else np.array([0, K - 1])
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    axes.tick_params(length=0)
    if np.all(np.isnan(matrix)):
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, empty, transform=axes.transAxes, ha="center", va="center", color=GREY)
    elif K <= READABLE:
        for i, j in np.argwhere(np.isfinite(matrix)):
            value = round(float(matrix[i, j]), 2) + 0.0  # no minus in front of zero
            text = f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
            axes.text(j, i, text, ha="center", va="center", size=8.5, color="w" if abs(value) > 0.6 else INK)
    return image
