"""What `finetune` is asked for, checked before anything is computed."""

import difflib
from typing import Any

import numpy as np

from ufm.checks import positive, whole
from ufm.networks.data import Data
from ufm.networks.models import Network
from ufm.transfer.backbones import features, has_open_norms
from ufm.transfer.plans import LAYERED, METHODS


def checked(
    network: Any, data: Any, method: Any, layer: Any, rates: Any, validation: Any, steps: Any, batch: Any, key: Any
) -> int | str:
    """The layer or the rule for it; raises before anything is computed.

    Raises:
        TypeError, ValueError: what `finetune` cannot work with, or what would have no effect.
    """
    if not isinstance(network, Network):
        raise TypeError(
            f"finetune: network is a {type(network).__name__}. Pass ufm.networks.Network(stages, head, ...)."
        )
    if has_open_norms(network):
        raise ValueError("finetune: batch norms without statistics. Pass with_statistics(network, source.x).")
    if not isinstance(data, Data):
        raise TypeError(f"finetune: data is a {type(data).__name__}. Build Data with ufm.networks.from_arrays(...).")
    try:
        features(network, data.x[:2])
    except (TypeError, ValueError) as error:
        told = f"finetune: the network does not take samples of shape {data.shape} ({str(error).splitlines()[0]})."
        raise ValueError(f"{told} Pass data of the shape that it was trained on.") from error
    low, high = int(np.min(data.y)), int(np.max(data.y))
    if low < 0 or high >= data.K:
        raise ValueError(f"finetune: labels {low} .. {high} for K={data.K} classes. Pass 0 .. K-1.")
    missing = np.flatnonzero(np.bincount(data.y, minlength=data.K) == 0)
    if len(missing):
        raise ValueError(f"finetune: class {missing[0]} has no training sample. Pass one of each class or more.")
    if len(np.unique(data.y_test)) < 2:
        raise ValueError("finetune: the test set has fewer than two classes. Pass data with a test set of every class.")
    if validation is not None and len(validation[0]) != len(validation[1]):
        sizes = f"{len(validation[0])} samples and {len(validation[1])} labels"
        raise ValueError(f"finetune: validation has {sizes}. Pass (x, y) of one length.")
    if validation is not None and np.shape(validation[0])[1:] != data.shape:
        shapes = f"{np.shape(validation[0])[1:]}, those to learn from {data.shape}"
        raise ValueError(f"finetune: samples of the validation have shape {shapes}. Pass the same shape.")
    if method not in METHODS:
        near = difflib.get_close_matches(str(method), METHODS, 1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"finetune: method={method!r} is none. {hint}Pass one of {', '.join(METHODS)}.")
    whole(steps, "steps", "finetune", 1, "no step would be made")
    whole(batch, "batch", "finetune", 2, "a batch norm needs two samples")
    whole(key, "key", "finetune", 0, "a seed")
    if not [positive(rate, "a rate", "finetune") for rate in rates]:
        raise ValueError("finetune: rates is empty. Pass one learning rate, or several.")
    if len(rates) > 1 and validation is None:
        raise ValueError(f"finetune: {len(rates)} rates, and nothing to choose by. Pass validation=(x, y) or one rate.")
    if method not in LAYERED:
        if layer is not None:
            raise ValueError(f"finetune: layer={layer!r} would have no effect on {method!r}. Leave it out.")
        return 1
    rules, L = ("nc1", "search", "validation"), len(network.stages)
    if layer is None or layer in rules:
        return _rule("nc1" if layer is None else layer, data, validation)
    if isinstance(layer, str) or not 1 <= whole(layer, "layer", "finetune", 1, "layers count from 1") <= L:
        raise ValueError(f"finetune: layer={layer!r} is none. Pass 1 .. {L}, or one of {', '.join(rules)}.")
    return int(layer)


def _rule(rule: str, data: Data, validation: Any) -> str:
    """The rule for the layer; raises where it has nothing to go by."""
    if rule == "validation" and validation is None:
        raise ValueError("finetune: layer='validation', and nothing to choose by. Pass validation=(x, y).")
    if rule != "validation" and np.max(np.bincount(data.y)) < 2:
        raise ValueError(
            f"finetune: layer={rule!r}, but with one sample of a class NC1 is 0 in every layer. Pass a layer's number."
        )
    return rule
