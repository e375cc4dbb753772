"""Progressive collapse over the layers of a trained network (extra: ufm[networks])."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from ufm.figures.data import Data, NoDataError, Source, levels, rows, stacked
from ufm.figures.style import BLUE, GREEN, GREY, PAGE, RED, paper

CAPTION = (
    "Progressive collapse over the layers of a real network. {depth} layers relu(batch norm(W x + b)) of width "
    "{width}, trained on UCI's digits ({n} training samples of each of K = {K} classes, d = {width} features) with "
    "cross-entropy, {epochs} epochs of Nesterov SGD at rate {rate:g} (cosine), decay {decay:g}, seeds {seeds}, one "
    "panel each. Dots: training set; crosses: test set, about its own class means; lines: log-linear fits over the "
    "layers of the training set, with their R^2. Squares: share of training samples that the nearest class mean "
    "misses, where it is not 0. No theory is drawn: none covers this network."
)
CURVES = (
    ("trace_ratio", r"$\mathrm{tr}\,\Sigma_W/\mathrm{tr}\,\Sigma_B$", GREEN),
    ("separation", r"$\mathrm{tr}(\Sigma_W\Sigma_B^{+})$", BLUE),
)


def data(source: Source, *, n: int = 130, depth: int = 5, width: int = 64, epochs: int = 200, seeds: int = 2) -> Data:
    """Training, and every layer measured.

    Raises:
        NoDataError: equinox or scikit-learn is not installed.
    """
    try:
        # Here, so that only this figure needs them.
        from ufm import networks

        digits = networks.digits(n)
    except ImportError as error:
        raise NoDataError(str(error)) from error
    recipe, parts = networks.Recipe(epochs=epochs), []
    for seed in range(seeds):
        start = networks.start(networks.mlp(digits.shape, digits.K, depth=depth, width=width, key=seed), recipe, digits)
        found = networks.progressive_collapse(networks.train(start, recipe, digits).network, digits)
        for name, layers in (("train", found.train), ("test", found.test)):
            parts.append(_part(seed, name, layers, found))
    settings = {"n": n, "K": digits.K, "depth": depth, "width": width, "epochs": epochs, "rate": recipe.rate}
    settings |= {"decay": recipe.decay, "seeds": ", ".join(map(str, range(seeds)))}
    return Data({"": stacked(parts)}, settings)


def _part(seed: int, name: str, layers: Any, found: Any) -> dict[str, Any]:
    curves = {curve: getattr(layers, curve) for curve, *_ in CURVES}
    fits: dict[str, Any] = {}
    for curve, *_ in CURVES:
        fit = getattr(found, curve)
        line = fit.first * fit.rate ** np.arange(fit.layers)
        fits |= {f"{curve}_fit": line, f"{curve}_r2": fit.r_squared}
    layer = np.arange(1, len(layers.names) + 1)
    return {"seed": seed, "set": name, "layer": layer, **curves, "centre_error": layers.centre_error, **fits}


def figure(data: Data) -> Figure:
    """A panel for each seed."""
    seeds = levels(data.table, "seed")
    with paper():
        figure = Figure(figsize=(PAGE, 2.5), layout="constrained")
        panels = figure.subplots(1, len(seeds), sharey=True, squeeze=False)[0]
        for axes, seed in zip(panels, seeds, strict=True):
            run = rows(data.table, "seed", seed)
            _draw(axes, rows(run, "set", "train"), rows(run, "set", "test"))
            fits = [run[f"{curve}_r2"][0] for curve, *_ in CURVES]
            axes.set_title(rf"seed {seed}: $R^2={fits[0]:.3f}$ and ${fits[1]:.3f}$")
        panels[0].set_ylabel("ratio, or share of samples")
        handles, labels = panels[0].get_legend_handles_labels()
        handles.append(Line2D([], [], color=GREY, marker="x", linestyle=""))
        figure.legend(handles, [*labels, "test set"], loc="outside lower center", ncols=len(labels) + 1)
    return figure


def _draw(axes: Axes, train: dict[str, np.ndarray], test: dict[str, np.ndarray]) -> None:
    for curve, label, colour in CURVES:
        axes.plot(train["layer"], train[f"{curve}_fit"], color=colour, linewidth=0.9, zorder=1)
        axes.plot(train["layer"], train[curve], "o", color=colour, label=label)
        axes.plot(test["layer"], test[curve], "x", color=colour)
    missed = train["centre_error"] > 0.0
    axes.plot(train["layer"][missed], train["centre_error"][missed], "s", color=RED, label="nearest mean misses")
    axes.set(yscale="log", xlabel="layer")
    axes.set_xticks(train["layer"])
    axes.yaxis.set_major_locator(LogLocator(numticks=7))
    axes.yaxis.set_minor_locator(NullLocator())
