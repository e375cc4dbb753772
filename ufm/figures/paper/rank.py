"""Low rank: plain deep networks beside the deep unconstrained feature model, and batch norm beside both."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from theory import deep_cross_entropy
from ufm.figures.data import Data, NoDataError, Source, rows
from ufm.figures.rank import draw_rank, rank_tables
from ufm.figures.style import PAGE, paper

CAPTION = (
    "Depth lowers the rank. Singular values of the {K} centred class means of the last hidden layer over the first; a "
    "simplex ETF has {most} equal ones. Left: perceptrons of {depth} hidden layers (width {width}) on digits ({n} "
    "training samples of each class), cross-entropy, {epochs} epochs of Nesterov SGD at rate {rate:g} (cosine), decay "
    "{plain:g} without and {normed:g} with batch norm, seed {key}; the sixth value is {sixth_plain:.2f} and "
    "{sixth_normed:.2f}. Middle: Z = W_M ... W_1 H with cross-entropy, one H a class, no bias, the plain network's "
    "decay for each W and for H, as if one more matrix had made H; linear layers of width K, ReLU layers of width 2K: "
    "lowest of {starts} random starts (seed {key}). Their ranks (values above 0.05) are {ranks}; no theorem names "
    "them, for M >= 2 nothing proves them lowest, and {below} of {deep} linear ones lie below the simplex (5). Right: "
    "NC1 and NC2 (nc1, nc2_gram_H) over the epochs of the networks. The model has the network's bias to low rank, and "
    "not its numbers."
)
VISIBLE = 0.05  # a singular value over the first above which a direction is counted


def data(
    source: Source,
    *,
    n: int = 130,
    depth: int = 5,
    width: int = 64,
    epochs: int = 200,
    matrices: Sequence[int] = (1, 2, 5),
    starts: int = 6,
    steps: int = 2000,
    key: int = 0,
) -> Data:
    """Two trainings, and the deep models. checks: "sixth_plain", "sixth_normed", and "below", models under the simplex.

    Raises:
        NoDataError: equinox or scikit-learn is not installed.
    """
    try:
        # Here, so that only figures of networks need them.
        from ufm import networks

        digits = networks.digits(n)
    except ImportError as error:
        raise NoDataError(str(error)) from error
    recipes = {
        "plain": networks.Recipe(epochs=epochs, decay=2e-3),
        "batch norm": networks.Recipe(epochs=epochs),
    }
    plain, normed = recipes.values()
    pair = networks.low_rank(digits, depth=depth, width=width, plain=plain, normed=normed, key=key)
    K, decay = digits.K, plain.decay
    models = {f"linear, $M={M}$": networks.deep_model(K, decay, M, starts=starts, key=key) for M in matrices}
    relu = networks.deep_model(K, decay, depth, relu=True, starts=starts, steps=steps, key=key)
    tables = rank_tables(dict(zip(recipes, pair, strict=True)), {**models, f"ReLU, $M={depth}$": relu})
    simplex = [deep_cross_entropy.etf(K=K, n=1, lam_W=decay, lam_H=decay, M=M).value for M in matrices]
    values = [model.found.solution.value for model in models.values()]
    sixth = {name: float(rows(tables[""], "source", name)["singular_value"][5]) for name in recipes}
    settings = {"K": K, "most": K - 1, "n": n, "depth": depth, "width": width, "epochs": epochs, "rate": plain.rate}
    settings |= {"plain": decay, "normed": normed.decay, "starts": starts, "key": key, "deep": len(matrices)}
    settings["ranks"] = ", ".join(
        f"{np.sum(model.spectrum > VISIBLE * model.spectrum[0])} ({name.replace('$', '')})"
        for name, model in [*models.items(), (f"ReLU, M={depth}", relu)]
    )
    lower = [value < other - 1e-9 for value, other in zip(values, simplex, strict=True)]
    checks = {"sixth_plain": sixth["plain"], "sixth_normed": sixth["batch norm"], "below": int(np.sum(lower))}
    return Data(tables, settings, checks)


def figure(data: Data) -> Figure:
    """Networks, models, training."""
    with paper():
        figure = Figure(figsize=(PAGE, 2.5), layout="constrained")
        draw_rank(figure, data.tables)
    return figure
