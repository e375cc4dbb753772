"""Transfer layer by layer: collapse on the source and on the downstream task, and probes, beside their controls."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.checks import whole
from ufm.networks.data import Data
from ufm.networks.files import batches
from ufm.networks.models import Network, with_statistics
from ufm.networks.probes import Features, gather
from ufm.transfer.backbones import check_fit, has_open_norms, untrained
from ufm.transfer.options import check_data
from ufm.transfer.probe import fit_probe, probe_accuracy
from ufm.transfer.samples import few
from ufm.transfer.scores import nc1


@dataclass(frozen=True, eq=False)
class LayerProfile:
    """Every layer as a place to take features from.

    Attributes:
        names: [L] of the layers. n: training samples of each class that a probe had; draws: how many such sets.
        downstream_nc1: [L] NC1 on the whole downstream training set. source_nc1: [L] on the source's; NaN without one.
        probe: [L] test accuracy of a linear probe, mean over the draws. probe_sd: [L] its standard deviation, NaN
            for one draw.
        random_nc1, random_probe: [L] the same of the network before training.
        raw_nc1, raw_probe: of the samples themselves.
    """

    names: tuple[str, ...]
    n: int
    draws: int
    downstream_nc1: np.ndarray
    source_nc1: np.ndarray
    probe: np.ndarray
    probe_sd: np.ndarray
    random_nc1: np.ndarray
    random_probe: np.ndarray
    raw_nc1: float
    raw_probe: float

    @property
    def r_downstream(self) -> float:
        """Pearson correlation over the layers of log downstream NC1 with the probe's accuracy; NaN for two or less."""
        return correlation(np.log(self.downstream_nc1), self.probe)

    @property
    def r_source(self) -> float:
        """The same of log source NC1."""
        return correlation(np.log(self.source_nc1), self.probe)


def layer_profile(
    model: Network | Features,
    data: Data,
    source: Data | None = None,
    *,
    n: int = 5,
    draws: int = 5,
    untrained_model: Network | Features | None = None,
    key: int = 0,
) -> LayerProfile:
    """Downstream NC1, source NC1 and probe accuracy of each layer, with raw inputs and random weights beside them.

    Args:
        model: a network of ufm.networks (open batch norms are fixed to the source's statistics), or any function from
            a batch to {layer: features [B, d]} as in `ufm.networks.measure_layers`.
        data: the downstream task. source: what the model was trained on; None leaves its NC1 undefined.
        n: training samples of each class for a probe. draws: sets of them, the same for every layer.
        untrained_model: the control; by default the same network with fresh weights. A function needs one.
        key: seed of the draws and of the fresh weights.
    Raises:
        TypeError: a function without `untrained_model`; a model that is neither; data that are not Data.
        ValueError: fewer than n samples in a class; data that cannot be computed with; open batch norms and no source;
            an untrained model of other layers.
    """
    whole(draws, "draws", "layer_profile", 1, "a probe needs samples")
    whole(key, "key", "layer_profile", 0, "a seed")
    check_data(data, "data", "layer_profile")
    if source is not None:
        check_data(source, "source", "layer_profile")
    taps, fresh = _taps(model, source), _control(model, untrained_model, data, key)
    if isinstance(model, Network):
        check_fit(model, data.x, "layer_profile")
    sets = [few(data, n, key + draw) for draw in range(draws)]
    trained, random = _measured(taps, data, sets), _measured(fresh, data, sets)
    raw = _measured(lambda x: {"raw": np.reshape(x, (len(x), -1))}, data, sets)
    names = tuple(trained)
    if names != tuple(random):
        raise ValueError(
            f"layer_profile: the untrained model has layers {list(random)}, the model {list(names)}. Pass the same."
        )
    source_nc1 = np.full(len(names), np.nan)
    if source is not None:
        seen, labels = gather(taps, batches(source.x, source.y))
        source_nc1 = np.array([nc1(H, labels) for H in seen.values()])
    return LayerProfile(
        names,
        n,
        draws,
        downstream_nc1=np.array([found for found, _ in trained.values()]),
        source_nc1=source_nc1,
        probe=np.array([np.mean(probes) for _, probes in trained.values()]),
        probe_sd=np.array([np.std(probes, ddof=1) if draws > 1 else np.nan for _, probes in trained.values()]),
        random_nc1=np.array([found for found, _ in random.values()]),
        random_probe=np.array([np.mean(probes) for _, probes in random.values()]),
        raw_nc1=raw["raw"][0],
        raw_probe=float(np.mean(raw["raw"][1])),
    )


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's r in [-1, 1]; NaN for fewer than three pairs, an undefined entry or a constant."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(x) < 3 or not np.all(np.isfinite(x) & np.isfinite(y)) or np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return np.nan
    x, y = x - np.mean(x), y - np.mean(y)
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def _measured(taps: Features, data: Data, sets: list[Data]) -> dict[str, tuple[float, list[float]]]:
    """{layer: (NC1 on the training set, probe accuracies of the sets)}."""
    whole_set, labels = gather(taps, batches(data.x, data.y))
    test, held = gather(taps, batches(data.x_test, data.y_test))
    drawn = [gather(taps, batches(part.x, part.y)) for part in sets]
    found = {}
    for name, H in whole_set.items():
        probes = [fit_probe(taken[name], y) for taken, y in drawn]
        found[name] = nc1(H, labels), [probe_accuracy(probe, test[name], held) for probe in probes]
    return found


def _taps(model: Network | Features, source: Data | None) -> Features:
    if not isinstance(model, Network):
        if not callable(model):
            raise TypeError(
                f"layer_profile: model is a {type(model).__name__}. Pass a Network, or a function to {{layer: H}}."
            )
        return model
    if not has_open_norms(model):
        return model.taps
    if source is None:
        raise ValueError(
            "layer_profile: the network's batch norms take the statistics of their batch. Pass source=, or "
            "with_statistics(network, x)."
        )
    return with_statistics(model, source.x).taps


def _control(model: Any, control: Any, data: Data, key: int) -> Features:
    if control is None and not isinstance(model, Network):
        raise TypeError(
            "layer_profile: a function has no weights to draw anew. Pass untrained_model=, the model before training."
        )
    control = untrained(model, key) if control is None else control
    if isinstance(control, Network):
        return with_statistics(control, data.x).taps if has_open_norms(control) else control.taps
    return control
