"""The targets of squared loss by singular triples, each with what the bias leaves of it (L3-L5)."""

import math
from typing import NamedTuple

import numpy as np

from theory.depth import EDGE, Deep, collapse_strength, scalar_value, shrinkage, strength
from theory.frames import centred_basis
from theory.prediction import NotApplicable, Quantity

PENALISED = (
    "lam_b={lam_b} > 0 with different class sizes {sizes}: the penalised bias mixes with the singular vectors. "
    "Closed forms exist for lam_b=None and lam_b=0.0."
)


class Modes(NamedTuple):
    """Targets by singular triples: U [K, K], y [K] descending in what fitting them gains, V [K, K], weights c [K].

    V is in the coordinates sqrt(n_k) times the class mean.
    """

    U: np.ndarray
    y: np.ndarray
    V: np.ndarray
    c: np.ndarray


def no_closed_form(deep: Deep) -> tuple[str, ...]:
    """The one setting without a closed form, as a reason."""
    if deep.balanced or not deep.lam_b:
        return ()
    return (PENALISED.format(lam_b=deep.lam_b, sizes=tuple(deep.sizes.tolist())),)


def target_modes(where: str, deep: Deep) -> Modes:
    """The targets with what the bias leaves of them; raises NotApplicable in the setting without a closed form."""
    if reasons := no_closed_form(deep):
        raise NotApplicable(where, reasons)
    K, roots, c = deep.K, np.sqrt(deep.sizes), np.full(deep.K, 1.0 / deep.N)
    if deep.lam_b is None:
        order = np.argsort(-deep.sizes, kind="stable")
        basis = np.eye(K)[:, order]
        return Modes(basis, roots[order], basis, c)
    if deep.balanced:
        basis = np.column_stack([centred_basis(K), np.full(K, 1.0 / math.sqrt(K))])
        c[-1] *= deep.lam_b / (1.0 + deep.lam_b)  # the bias fits its share of the mean
        y = np.append(roots[:-1], roots[-1] if deep.lam_b else 0.0)
        return Modes(basis, y, basis, c)
    U, y, Vt = np.linalg.svd((np.eye(K) - deep.sizes[:, None] / deep.N) * roots)
    y[-1] = 0.0  # the sum over classes is gone
    return Modes(U, y, Vt.T, c)


def bias_of(deep: Deep, modes: Modes, w: np.ndarray) -> np.ndarray | None:
    """b [K] or None at kept targets y (1 - w)."""
    if deep.lam_b is None:
        return None
    if not deep.lam_b:
        return deep.sizes / deep.N
    return np.full(deep.K, float(w[-1]) / (deep.K * (1.0 + deep.lam_b)))


def stationary_shrinkage(deep: Deep, modes: Modes, j: int) -> float:
    """w of target j at its local minimiser that is not zero; 1 where there is none."""
    return shrinkage(strength(float(modes.y[j]), float(modes.c[j]), deep.g, deep.M), deep.M)


def total_value(deep: Deep, modes: Modes, w: np.ndarray) -> float:
    """f with every target at y (1 - w), in balanced factors."""
    triples = zip(modes.y.tolist(), modes.c.tolist(), w.tolist(), strict=True)
    return sum(scalar_value(y, c, x, deep.M) for y, c, x in triples)


def at_edge(deep: Deep, modes: Modes) -> bool:
    """Whether some target sits within rounding of its collapse threshold."""
    edge = collapse_strength(deep.M)
    cut = min(deep.dims)
    pairs = zip(modes.y[:cut].tolist(), modes.c[:cut].tolist(), strict=True)
    return any(abs(strength(y, c, deep.g, deep.M) / edge - 1.0) <= EDGE for y, c in pairs if y > 0.0 and c > 0.0)


def structure(deep: Deep, modes: Modes, w: np.ndarray) -> dict[str, Quantity]:
    """Everything but the value, of the point whose targets are at y (1 - w)."""
    z = modes.y * (1.0 - w)
    rank = int(np.sum(z > 0.0))
    trace = deep.g * float(np.sum(z ** (2 / (deep.M + 1))))
    left = modes.c * (modes.y * w) ** 2 / 2
    if deep.lam_b:
        left[-1] *= deep.lam_b / (1.0 + deep.lam_b)  # the rest of it is decay of the bias
    quantities: dict[str, Quantity] = {
        "data_loss": float(np.sum(left)),
        "W_sq": trace / deep.lams[:-1],
        "H_sq": trace / float(deep.lams[-1]),
        "sigma_Z": np.sort(z)[::-1],
    }
    bias = bias_of(deep, modes, w)
    if bias is not None:
        quantities["b"] = bias
    free = _tied(modes, rank) if rank == min(deep.dims) else 0
    if not free:
        quantities |= _grams(deep, modes, z, bias)
    if not at_edge(deep, modes):
        quantities["nullity"] = sum(rank * (2 * d - rank - 1) // 2 for d in deep.dims) + free
    return quantities


def _tied(modes: Modes, rank: int) -> int:
    """Dimension of the Grassmannian of kept directions: those kept that equal the last of them, times those lost."""
    y, c = modes.y, modes.c
    equal = (np.abs(y - y[rank - 1]) <= 1e-12 * y[0]) & (c == c[rank - 1])
    return int(np.sum(equal[:rank])) * int(np.sum(equal[rank:]))


def _grams(deep: Deep, modes: Modes, z: np.ndarray, bias: np.ndarray | None) -> dict[str, Quantity]:
    """W_M W_M^T, M^T M, the logits of the class means and the margin."""
    powers, roots = deep.g * z ** (2 / (deep.M + 1)), np.sqrt(deep.sizes)
    logits = (modes.U * z) @ modes.V.T / roots
    scores = logits if bias is None else logits + bias[:, None]
    return {
        "gram_W": (modes.U * powers) @ modes.U.T / float(deep.lams[-2]),
        "gram_M": (modes.V * powers) @ modes.V.T / roots / roots[:, None] / float(deep.lams[-1]),
        "logits": logits,
        "margin": float(np.min(np.diag(scores) - scores + np.diag(np.full(deep.K, np.inf)))),
    }
