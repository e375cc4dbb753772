"""Depth and rank: a plain deep network does not collapse to a simplex, and neither do the minima of the deep model."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ufm.layers import layer_collapse
from ufm.losses.cross_entropy import CrossEntropy
from ufm.models import DeepLinear, DeepReLU
from ufm.multistart import BestFound, best_found
from ufm.networks.data import Data
from ufm.networks.experiments import Course, collapse_over_epochs
from ufm.networks.layers import no_norm
from ufm.networks.models import mlp
from ufm.networks.train import Recipe, Run
from ufm.problem import Problem
from ufm.solvers.first_order import annealed


@dataclass(frozen=True, eq=False)
class DeepModel:
    """The lowest point found of a deep unconstrained feature model with cross-entropy.

    Attributes:
        problem: K classes of one sample, decay on every matrix and on H. found: nothing proves it the minimum (see
            BestFound); for one matrix the certificate does.
        spectrum: [K] singular values of the centred class means that the last matrix sees, decreasing.
    """

    problem: Problem
    found: BestFound
    spectrum: np.ndarray


def low_rank(
    data: Data,
    *,
    depth: int = 5,
    width: int = 128,
    plain: Recipe | None = None,
    normed: Recipe | None = None,
    key: int = 0,
    progress: Callable[[Run], None] | None = None,
) -> tuple[Course, Course]:
    """The same MLP without and with batch norm, with cross-entropy: (plain, normed).

    Without it the class means lose rank (Collapse.spectrum) and the network does not collapse, although it is trained
    to zero error: the bias to low rank of the deep model (`deep_model`). Sukenik, Lampert, Mondelli (2024).

    Args:
        plain, normed: recipes; by default the decays are 2e-3 and 5e-3 (a plain deep network dies of the latter). The
            more decay and the more epochs, the lower the rank.
    """
    plain = Recipe(decay=2e-3) if plain is None else plain
    normed = Recipe() if normed is None else normed
    networks = (
        mlp(data.shape, data.K, depth=depth, width=width, norm=no_norm, key=key),
        mlp(data.shape, data.K, depth=depth, width=width, key=key),
    )
    without, with_norm = (
        collapse_over_epochs(network, data, recipe, key=key, progress=progress)
        for network, recipe in zip(networks, (plain, normed), strict=True)
    )
    name = data.name
    return replace(without, name=f"{name}, plain"), replace(with_norm, name=f"{name}, batch norm")


def deep_model(
    K: int, decay: float, matrices: int, *, relu: bool = False, starts: int = 8, steps: int = 3000, key: int = 0
) -> DeepModel:
    """Z = W_M ... W_1 H with cross-entropy, from random starts: what M matrices do to the rank of the class means.

    H has the same decay and one column a class, as if one more matrix had made it of one-hot inputs: a network of
    M + 1 matrices, of depth M. The rank of the lowest points found falls with M; for M = 1 it is that of the simplex.

    Args:
        K: classes. decay: of each matrix and of H. matrices: M >= 1.
        relu: a ReLU after each matrix but the last; its layers are 2 K wide, those of the linear model K.
        starts: random starts of the search. steps: of each, with ReLUs (`ufm.annealed`). key: seed of all.
    Raises:
        TypeError, ValueError: as `ufm.best_found`; matrices < 1.
    Source:
        In kind Garrod and Keating (arXiv 2410.23169), Sukenik, Lampert and Mondelli (2024, arXiv 2405.14468).
    """
    if matrices < 1:
        raise ValueError(f"deep_model: matrices={matrices} makes no logits. Pass 1 or more.")
    width = 2 * K if relu else K
    model = (DeepReLU if relu else DeepLinear)((width,) * (matrices - 1))
    problem = Problem(K, 1, width, decay, decay, loss=CrossEntropy(), model=model)
    if model.smooth:
        found = best_found(problem, starts, key)
    else:
        found = best_found(problem, starts, key, scales=(0.5, 0.8), solver=annealed(steps=steps))
    return DeepModel(problem, found, layer_collapse(problem, found.solution.params)[-1].spectrum)
