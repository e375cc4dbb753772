"""Fine-tuning that follows from collapse: a frozen prefix, one tuned block, a frozen rest and a new linear head.

    x --prefix--> u --block--> v --rest--> h        z = W h + b,  or  W (h + pad(pool(v))) + b  with the skip

The prefix does not change, so u is computed once and kept: a step costs what the layers after it cost. With the skip
the tuned block reaches the head directly, its output averaged over places and filled up with zeros where the widths
differ. Any equinox model becomes a `Network(stages, head, names)` of ufm.networks, stages being maps of batches.

In another framework the same split is: put `torch.no_grad()` around the prefix and save its output; set
`requires_grad_(True)` for the parameters of block and head alone; leave the rest in `eval()` mode, through which the
gradient passes without changing it; add `adaptive_avg_pool2d(v, 1).flatten(1)`, padded, to the penultimate feature.
"""

import difflib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from ufm.checks import positive, whole
from ufm.networks.data import Data
from ufm.networks.layers import Affine
from ufm.networks.models import Network
from ufm.transfer.backbones import features, has_open_norms, untrained
from ufm.transfer.plans import LAYERED, METHODS, Plan
from ufm.transfer.probe import fit_probe
from ufm.transfer.scores import nc1
from ufm.transfer.tuning import Part, adapt, advance, features_of, parameters


@dataclass(frozen=True, eq=False)
class Tuned:
    """A network adapted to a task.

    Attributes:
        method: its name. layer: number of the stage, from 1, or None. rule: how it was chosen, if by a rule.
        accuracy: on the test set, which nothing was chosen by. validation_accuracy: NaN without validation.
        trained, total: parameters, and those of the whole network with its head; batch statistics are none.
        labels: every label that was used, of training and of validation.
        nc1_before: of the frozen last features on the training set. nc1_after, nc1_test: of the features that the head
            sees, on the training and the test set.
        rate: the learning rate; NaN where a convex problem was solved. seconds: of training, without compilation.
        network: with its new head. skip: the stage added to the last, from 0, or None: see `predict`.
    """

    method: str
    layer: int | None
    rule: str
    accuracy: float
    validation_accuracy: float
    trained: int
    total: int
    labels: int
    nc1_before: float
    nc1_after: float
    nc1_test: float
    rate: float
    seconds: float
    network: Network
    skip: int | None

    @property
    def share(self) -> float:
        """Of the parameters that were trained, in [0, 1]."""
        return self.trained / self.total


def finetune(
    network: Network,
    data: Data,
    method: str = "scl",
    *,
    layer: int | str | None = None,
    rates: Sequence[float] = (1e-3,),
    validation: tuple[Any, Any] | None = None,
    steps: int = 200,
    batch: int = 256,
    key: int = 0,
) -> Tuned:
    """Adapt a pretrained network to a task.

    Args:
        network: with its batch norms fixed (`with_statistics(network, source.x)`): they keep these statistics, but for
            "scratch", whose norms have their own (the convention of small samples; with the statistics of the task's
            batch instead, every method but the probe changes by some points, either way). Its head is replaced.
        data: the training set is what may be learnt from; the test set is measured at the end, and chooses nothing.
        method: a name in `METHODS`: "probe" (linear), "layer" (one stage), "scl" (one stage with the skip), "skip"
            (the skip, head only), "full", "scratch". Probes are convex and solved, others take Adam's steps.
        layer: of "layer", "scl" and "skip": a number from 1; "nc1" (default), the frozen layer of the lowest NC1 on the
            training set; "search", the one whose tuning ends in the lowest NC1 on the training set.
        rates: Adam's, falling by a cosine. Of several, that of the best accuracy on `validation` is taken.
        validation: (x, y) held out for the rate; its labels count in `Tuned.labels`.
        steps: of Adam. batch: samples of a step; a smaller training set is taken whole. key: seed.
    Raises:
        TypeError, ValueError: options or data that cannot work, or that would have no effect.
        FloatingPointError: the loss is not finite.
    """
    chosen = _checked(network, data, method, layer, rates, validation, steps, batch, key)
    plan, labels = METHODS[method], len(data.y) + (0 if validation is None else len(validation[1]))
    L = len(network.stages)
    frozen = [nc1(H, data.y) for H in features(network, data.x)]
    candidates = {"nc1": [int(np.argmin(frozen))], "search": range(L)}
    layers = candidates[chosen] if isinstance(chosen, str) else [chosen - 1]
    found = []
    for at in layers:
        tuned = _adapted(network, data, plan(L, at), rates, validation, steps, batch, key)
        found.append(
            replace(
                tuned,
                method=method,
                layer=at + 1 if method in LAYERED else None,
                rule=chosen if isinstance(chosen, str) and method in LAYERED else "",
                labels=labels,
                nc1_before=frozen[-1],
            )
        )
    best = min(found, key=lambda tuned: tuned.nc1_after)
    logits = predict(best, data.x_test)
    return replace(
        best,
        accuracy=float(np.mean(np.argmax(logits, axis=1) == data.y_test)),
        nc1_test=nc1(features_of(best.network, data.x_test, best.skip), data.y_test),
        seconds=sum(tuned.seconds for tuned in found),
    )


def predict(tuned: Tuned, x: Any) -> np.ndarray:
    """[N, K] logits of samples x [N, ...]."""
    head = tuned.network.head
    return features_of(tuned.network, x, tuned.skip) @ np.asarray(head.weight).T + np.asarray(head.bias)


def _adapted(
    network: Network, data: Data, plan: Plan, rates: Sequence[float], validation: Any, steps: int, batch: int, key: int
) -> Tuned:
    """The plan carried out, at the best of the rates; nothing of the test set is looked at."""
    clock = time.perf_counter()
    if plan.first == plan.stop:
        tried = [(float("nan"), _probed(network, data, plan.skip, key))]
        seconds = time.perf_counter() - clock
    else:
        start = untrained(network, key) if plan.fresh else network
        prefix, skip = start.stages[: plan.first], None if plan.skip is None else plan.skip - plan.first
        part = Part(Network(start.stages[plan.first :], start.head, start.names[plan.first :]), plan.stop - plan.first)
        kept = advance(prefix, data.x)
        seconds, tried = time.perf_counter() - clock, []
        for rate in map(float, rates):
            tuned, spent = adapt(part, kept, data.y, data.K, skip, rate, steps, batch, key)
            tried.append((rate, Network((*prefix, *tuned.stages), tuned.head, network.names)))
            seconds += spent
    right = [np.nan if validation is None else _right(each, plan.skip, *validation) for _, each in tried]
    best = int(np.argmax(right))
    rate, adapted = tried[best]
    H = features_of(adapted, data.x, plan.skip)
    head = parameters(adapted.head)
    total = sum(map(parameters, adapted.stages)) + head
    trained = sum(map(parameters, adapted.stages[plan.first : plan.stop])) + head
    nan = float("nan")
    return Tuned(
        "", None, "", nan, right[best], trained, total, 0, nan, nc1(H, data.y), nan, rate, seconds, adapted, plan.skip
    )


def _probed(network: Network, data: Data, skip: int | None, key: int) -> Network:
    """The network with the linear probe of its features as its head."""
    found = fit_probe(features_of(network, data.x, skip), data.y, key=key)
    W = found.W / found.scale
    head = Affine(jnp.asarray(W, jnp.float32), jnp.asarray(found.b - W @ found.mean, jnp.float32))
    return Network(network.stages, head, network.names)


def _right(network: Network, skip: int | None, x: Any, y: Any) -> float:
    logits = features_of(network, x, skip) @ np.asarray(network.head.weight).T + np.asarray(network.head.bias)
    return float(np.mean(np.argmax(logits, axis=1) == y))


def _checked(
    network: Any, data: Any, method: Any, layer: Any, rates: Any, validation: Any, steps: Any, batch: Any, key: Any
) -> int | str:
    """The layer or the rule for it; raises before anything is computed."""
    if not isinstance(network, Network):
        raise TypeError(
            f"finetune: network is a {type(network).__name__}. Pass ufm.networks.Network(stages, head, ...)."
        )
    if has_open_norms(network):
        raise ValueError("finetune: batch norms without statistics. Pass with_statistics(network, source.x).")
    if not isinstance(data, Data):
        raise TypeError(f"finetune: data is a {type(data).__name__}. Build Data with ufm.networks.from_arrays(...).")
    low, high = int(np.min(data.y)), int(np.max(data.y))
    if low < 0 or high >= data.K:
        raise ValueError(f"finetune: labels {low} .. {high} for K={data.K} classes. Pass 0 .. K-1.")
    if validation is not None and len(validation[0]) != len(validation[1]):
        sizes = f"{len(validation[0])} samples and {len(validation[1])} labels"
        raise ValueError(f"finetune: validation has {sizes}. Pass (x, y) of one length.")
    if method not in METHODS:
        near = difflib.get_close_matches(str(method), METHODS, 1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"finetune: method={method!r} is none. {hint}Pass one of {', '.join(METHODS)}.")
    for name, value in (("steps", steps), ("batch", batch)):
        whole(value, name, "finetune", 1, "no step would be made")
    whole(key, "key", "finetune", 0, "a seed")
    if not [positive(rate, "a rate", "finetune") for rate in rates]:
        raise ValueError("finetune: rates is empty. Pass one learning rate, or several.")
    if len(rates) > 1 and validation is None:
        raise ValueError(f"finetune: {len(rates)} rates, and nothing to choose by. Pass validation=(x, y) or one rate.")
    if method not in LAYERED:
        if layer is not None:
            raise ValueError(f"finetune: layer={layer!r} would have no effect on {method!r}. Leave it out.")
        return 1
    rules, L = ("nc1", "search"), len(network.stages)
    if layer is None or layer in rules:
        return "nc1" if layer is None else layer
    if isinstance(layer, str) or not 1 <= whole(layer, "layer", "finetune", 1, "layers count from 1") <= L:
        raise ValueError(f"finetune: layer={layer!r} is none. Pass 1 .. {L}, or one of {', '.join(rules)}.")
    return int(layer)
