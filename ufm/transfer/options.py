"""What `finetune` and `layer_profile` are given, checked before anything is computed."""

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ufm.checks import positive, whole
from ufm.networks.data import Data
from ufm.networks.models import Network
from ufm.transfer.backbones import check_fit, has_open_norms
from ufm.transfer.plans import LAYERED, METHODS

Samples = tuple[np.ndarray, np.ndarray]  # x [N, ...], y [N]


def checked(
    network: Any, data: Any, method: Any, layer: Any, rates: Any, validation: Any, steps: Any, batch: Any, key: Any
) -> tuple[int | str, Samples | None]:
    """The layer or the rule for it, and the validation as arrays; raises before anything is computed.

    Raises:
        TypeError, ValueError: what `finetune` cannot work with, or what would have no effect.
    """
    if not isinstance(network, Network):
        raise TypeError(
            f"finetune: network is a {type(network).__name__}. Pass ufm.networks.Network(stages, head, ...)."
        )
    if has_open_norms(network):
        raise ValueError("finetune: batch norms without statistics. Pass with_statistics(network, source.x).")
    check_data(data, "data", "finetune")
    check_fit(network, data.x, "finetune")
    missing = np.flatnonzero(np.bincount(data.y, minlength=data.K) == 0)
    if len(missing):
        raise ValueError(f"finetune: class {missing[0]} has no training sample. Pass one of each class or more.")
    if len(np.unique(data.y_test)) < 2:
        raise ValueError("finetune: the test set has fewer than two classes. Pass data with a test set of every class.")
    held = None if validation is None else _validation(validation, data)
    if not isinstance(method, str) or method not in METHODS:
        near = difflib.get_close_matches(str(method), METHODS, 1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"finetune: method={method!r} is none. {hint}Pass one of {', '.join(METHODS)}.")
    whole(steps, "steps", "finetune", 1, "no step would be made")
    whole(batch, "batch", "finetune", 2, "a batch norm needs two samples")
    whole(key, "key", "finetune", 0, "a seed")
    if np.ndim(rates) != 1 or not len(rates):
        raise ValueError(f"finetune: rates={rates!r} is no list of learning rates. Pass (1e-3,), or several.")
    for rate in rates:
        positive(rate, "a rate", "finetune")
    if len(rates) > 1 and validation is None:
        raise ValueError(f"finetune: {len(rates)} rates, and nothing to choose by. Pass validation=(x, y) or one rate.")
    if method not in LAYERED:
        if layer is not None:
            raise ValueError(f"finetune: layer={layer!r} would have no effect on {method!r}. Leave it out.")
        return 1, held
    rules, L = ("nc1", "search", "validation"), len(network.stages)
    if layer is None or (isinstance(layer, str) and layer in rules):
        return _rule("nc1" if layer is None else layer, data, validation), held
    if isinstance(layer, str) or not 1 <= whole(layer, "layer", "finetune", 1, "layers count from 1") <= L:
        raise ValueError(f"finetune: layer={layer!r} is none. Pass 1 .. {L}, or one of {', '.join(rules)}.")
    return int(layer), held


def check_data(data: Any, name: str, who: str) -> None:
    """Raises unless this is a classification problem that can be computed with.

    Raises:
        TypeError: not Data. ValueError: shapes that disagree, labels beyond 0 .. K-1, entries that are not finite.
    """
    if not isinstance(data, Data):
        raise TypeError(f"{who}: {name} is a {type(data).__name__}. Build Data with ufm.networks.from_arrays(...).")
    for x, y, part in ((data.x, data.y, "training"), (data.x_test, data.y_test, "test")):
        _check_samples(np.asarray(x), np.asarray(y), data.shape, data.K, f"{who}: the {part} samples of {name}")


def _check_samples(x: np.ndarray, y: np.ndarray, shape: Sequence[int], K: int, told: str) -> None:
    whole_numbers = y.dtype.kind in "iu" and y.ndim == 1
    if not whole_numbers or (y.size and not 0 <= np.min(y) <= np.max(y) < K):
        ends = f", from {np.min(y)} to {np.max(y)}" if whole_numbers else ""
        got = f"labels of shape {y.shape} and type {y.dtype}{ends}"
        raise ValueError(f"{told} have {got}. Pass one label of 0 .. {K - 1} for each; from_arrays numbers them.")
    if x.shape != (len(y), *shape) or x.dtype.kind not in "fiu":
        raise ValueError(f"{told} have shape {x.shape} and type {x.dtype}. Pass real numbers {[len(y), *shape]}.")
    if not np.all(np.isfinite(x)):
        raise ValueError(f"{told} have {np.sum(~np.isfinite(x))} non-finite entries. Pass finite numbers.")


def _validation(validation: Any, data: Data) -> Samples:
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise TypeError(f"finetune: validation is a {type(validation).__name__}, need a pair. Pass (x, y).")
    x, y = np.asarray(validation[0]), np.asarray(validation[1])
    _check_samples(x, y, data.shape, data.K, "finetune: the samples of the validation")
    if not len(y):
        raise ValueError("finetune: the validation is empty. Pass samples of every class, or leave it out.")
    return x.astype(np.float32), y


def _rule(rule: str, data: Data, validation: Any) -> str:
    """The rule for the layer; raises where it has nothing to go by."""
    if rule == "validation" and validation is None:
        raise ValueError("finetune: layer='validation', and nothing to choose by. Pass validation=(x, y).")
    if rule != "validation" and np.max(np.bincount(data.y)) < 2:
        raise ValueError(
            f"finetune: layer={rule!r}, but with one sample of a class NC1 is 0 in every layer. Pass a layer's number."
        )
    return rule
