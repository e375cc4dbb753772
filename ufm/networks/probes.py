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

from ufm.metrics.measure import measure

Features = Callable[[Any], Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Layers:
    """What each layer's features show, in the order of the layers.

    Attributes:
        names: [L].
        trace_ratio: [L] C_l = tr Sigma_W / tr Sigma_B. Wang et al. (arXiv 2311.02960).
        separation: [L] `ufm.metrics.separation_fuzziness` of He and Su (arXiv 2210.17020).
        nc1: [L].
        centre_error: [L] `ufm.metrics.ncc_error`, the share of samples that the nearest class mean misses.
    """

    names: tuple[str, ...]
    trace_ratio: np.ndarray
    separation: np.ndarray
    nc1: np.ndarray
    centre_error: np.ndarray


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
        TypeError, ValueError: see `gather` and `ufm.metrics.measure`.
    """
    taps, labels = gather(features, batches)
    found = [measure(H, labels).values for H in taps.values()]
    return Layers(
        names=tuple(taps),
        trace_ratio=np.array([values["trace_ratio"] for values in found]),
        separation=np.array([values["separation_fuzziness"] for values in found]),
        nc1=np.array([values["nc1"] for values in found]),
        centre_error=np.array([values["ncc_error"] for values in found]),
    )
