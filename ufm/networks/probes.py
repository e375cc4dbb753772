"""Collapse in every layer of any model. All that is asked of it is a function: batch x -> {layer: features [B, d]}.

A network of ufm.networks: `with_statistics(run.network, data.x).taps`. A PyTorch model, by forward hooks:

    kept = {}
    for name in ("layer1", "layer2", "avgpool"):
        hook = lambda module, inputs, output, name=name: kept.__setitem__(name, output.flatten(1).numpy())
        model.get_submodule(name).register_forward_hook(hook)
    model.eval()

    def features(x):
        with torch.no_grad():
            model(torch.as_tensor(x))
        return dict(kept)

    measured = ufm.networks.measure_layers(features, ufm.networks.from_torch(dataset))

Hugging Face hidden states, where the caller says how tokens become one vector (here their mean; h[:, 0] is CLS):

    def features(x):
        with torch.no_grad():
            states = model(pixel_values=torch.as_tensor(x), output_hidden_states=True).hidden_states
        return {f"layer{i}": h.mean(dim=1).numpy() for i, h in enumerate(states)}
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.collapse import Collapse, class_means, collapse

Features = Callable[[Any], Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Layers:
    """What each layer's features show, in the order of the layers.

    Attributes:
        names: [L]. collapse: [L] Collapse of each, with the nearest class mean as its classifier.
        trace_ratio: [L] C_l = tr Sigma_W / tr Sigma_B. Wang et al. (arXiv 2311.02960).
        separation: [L] tr(Sigma_W Sigma_B^+) = K NC1, Sigma_B weighting classes equally. He, Su (arXiv 2210.17020),
            who weight samples: the same for classes of one size.
        nc1: [L].
        centre_error: [L] share of samples that the nearest class mean misses, in [0, 1]; ties are misses.
    """

    names: tuple[str, ...]
    collapse: tuple[Collapse, ...]
    trace_ratio: np.ndarray
    separation: np.ndarray
    nc1: np.ndarray
    centre_error: np.ndarray


@dataclass(frozen=True)
class Fit:
    """log v_l = intercept + l log(rate): rate is the factor from layer to layer, r_squared in [0, 1] how well it fits.

    r_squared is NaN for values that are all equal, all three for fewer than three layers or any value not positive.
    layers: how many the line was fitted to.
    """

    rate: float
    intercept: float
    r_squared: float
    layers: int


def gather(features: Features, batches: Iterable[tuple[Any, Any]]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """({layer: H [N, d]}, labels [N]) of all batches, held in memory in the dtype that the model gives.

    Args:
        features: as this module says; the same layers for every batch.
        batches: (x, y), such as those of `ufm.networks.batches`.
    Raises:
        ValueError: there is no batch; features that are not [B, d], or whose layers change.
    """
    kept: dict[str, list[np.ndarray]] = {}
    labels = []
    for x, y in batches:
        found = {name: np.asarray(H) for name, H in features(x).items()}
        if labels and found.keys() != kept.keys():
            raise ValueError(
                f"gather: layers {list(found)} after {list(kept)}. Return the same layers for every batch."
            )
        for name, H in found.items():
            if H.ndim != 2 or len(H) != len(y):
                raise ValueError(
                    f"gather: layer {name!r} has shape {H.shape} for {len(y)} samples, need [B, d]. "
                    "Pool or flatten it in `features`: which of them is yours to say."
                )
            kept.setdefault(name, []).append(H)
        labels.append(np.asarray(y))
    if not labels or not kept:
        raise ValueError("gather: there is no batch, or no layer. Pass an iterable of (x, y) that is not used up.")
    return {name: np.concatenate(parts) for name, parts in kept.items()}, np.concatenate(labels)


def measure_layers(features: Features, batches: Iterable[tuple[Any, Any]]) -> Layers:
    """The collapse of every layer of a model on the samples of `batches`.

    Raises:
        TypeError, ValueError: see `gather`; labels that are not 0 .. K-1, each present.
    """
    taps, labels = gather(features, batches)
    K = int(np.max(labels)) + 1
    found = [_with_centres(H.T, labels, K) for H in taps.values()]
    nc1 = np.array([at.nc1 for at in found])
    return Layers(
        names=tuple(taps),
        collapse=tuple(found),
        trace_ratio=np.array([at.nc1_trace for at in found]),
        separation=K * nc1,
        nc1=nc1,
        centre_error=np.array([1.0 - at.accuracy for at in found]),
    )


def log_linear(values: Any) -> Fit:
    """The least-squares line through log(values) over the layers 0, 1, ..., L-1.

    Args:
        values: [L], such as Layers.trace_ratio; slice away a stem, which may lie above the pixels.
    """
    values = np.asarray(values, np.float64)
    if len(values) < 3 or not np.all(np.isfinite(values) & (values > 0.0)):
        return Fit(float("nan"), float("nan"), float("nan"), len(values))
    y = np.log(values)
    x = np.arange(len(y)) - (len(y) - 1) / 2
    slope, spread = float(x @ y / (x @ x)), y - np.mean(y)
    total = float(spread @ spread)
    residual = spread - slope * x
    r_squared = 1.0 - float(residual @ residual) / total if total > 0.0 else float("nan")
    return Fit(float(np.exp(slope)), float(np.mean(y)) - slope * (len(y) - 1) / 2, r_squared, len(y))


def effective_depth(measured: Layers, tolerance: float = 0.01) -> int | None:
    """The number (from 1) of the first layer whose nearest class mean misses at most `tolerance`, or None.

    Source:
        Galanti et al. (arXiv 2202.09028), for the training samples.
    """
    hits = np.flatnonzero(measured.centre_error <= tolerance)
    return int(hits[0]) + 1 if hits.size else None


def _with_centres(H: np.ndarray, labels: np.ndarray, K: int) -> Collapse:
    """`collapse` with the classifier argmin_k |h - m_k|, as (m_k - m)^T (h - m) - |m_k - m|^2 / 2."""
    M = class_means(H, labels, K)
    centre = np.mean(M, axis=1)
    W = M.T - centre
    return collapse(H, labels, W, -(W @ centre) - 0.5 * np.sum(W**2, axis=1))
