"""Fine-tuning that follows from collapse: a frozen prefix, one tuned block, a frozen rest and a new linear head.

    x --prefix--> u --block--> v --rest--> h        z = W h + b,  or  W (h + pad(pool(v))) + b  with the skip

The prefix does not change, so u is computed once and kept: a step costs what the layers after it cost. With the skip
the tuned block reaches the head directly, its output averaged over places and filled up with zeros where the widths
differ (of the last block that is the last feature twice). Any equinox model becomes a `Network(stages, head, names)` of
ufm.networks, stages being maps of batches.

Batch norms of the prefix keep the source's statistics. Those of the block and of the rest, whose input the block
changes, take the statistics of the task's batches, and at the end those of its training set: what training mode does in
full fine-tuning, which is the case without a prefix.

In another framework the same split is: put `torch.no_grad()` around the prefix, in `eval()` mode, and save its output;
set `requires_grad_(True)` for the parameters of block and head alone; put block and rest in `train()` mode; add
`adaptive_avg_pool2d(v, 1).flatten(1)`, padded, to the penultimate feature.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from ufm.networks.data import Data
from ufm.networks.layers import Affine
from ufm.networks.models import Network
from ufm.transfer.backbones import check_fit, features, opened, untrained
from ufm.transfer.options import Samples, checked
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
        labels: every label that was learnt from or chosen by.
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
        network: with its batch norms fixed (`with_statistics(network, source.x)`). Its head is replaced.
        data: the training set is what may be learnt from; the test set is measured at the end, and chooses nothing.
        method: a name in `METHODS`: "probe" (linear), "layer" (one stage), "scl" (one stage with the skip), "skip"
            (the skip, head only), "full", "scratch". Probes are convex and solved, others take Adam's steps.
        layer: of "layer", "scl" and "skip": a number from 1; "nc1" (default), the frozen layer of the lowest NC1 on the
            training set; "search", the one whose tuning ends in the lowest NC1 on the training set; "validation", the
            one whose tuning ends in the best accuracy on `validation`.
        rates: Adam's, falling by a cosine. Of several, that of the best accuracy on `validation` is taken.
        validation: (x, y) held out for rate and layer; where it chooses one, its labels count in `Tuned.labels`.
        steps: of Adam. batch: samples of a step; a smaller training set is taken whole. key: seed.
    Raises:
        TypeError, ValueError: options or data that cannot work, or that would have no effect.
        FloatingPointError: the loss is not finite.
    """
    chosen, held = checked(network, data, method, layer, rates, validation, steps, batch, key)
    plan, L = METHODS[method], len(network.stages)
    chooses = chosen == "validation" or (len(rates) > 1 and _trains(plan(L, 0)))
    labels = len(data.y) + (len(held[1]) if held is not None and chooses else 0)
    frozen = [nc1(H, data.y) for H in features(network, data.x)]
    layers = [min(range(L), key=lambda at: least(frozen[at]))] if chosen == "nc1" else range(L)
    layers = layers if isinstance(chosen, str) else [chosen - 1]
    found = []
    for at in layers:
        tuned = _adapted(network, data, plan(L, at), rates, held, steps, batch, key)
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
    best = min(
        found, key=lambda tuned: -tuned.validation_accuracy if chosen == "validation" else least(tuned.nc1_after)
    )
    return replace(
        best,
        accuracy=_right(best.network, best.skip, (data.x_test, data.y_test)),
        nc1_test=nc1(features_of(best.network, data.x_test, best.skip), data.y_test),
        seconds=sum(tuned.seconds for tuned in found),
    )


def least(value: float) -> float:
    """NC1 as what is to be small: where it is undefined, no class mean differs, and nothing is worse."""
    return value if np.isfinite(value) else np.inf


def predict(tuned: Tuned, x: Any) -> np.ndarray:
    """[N, K] logits of samples x [N, ...].

    Raises:
        ValueError: samples of another shape than those that the network was adapted to.
    """
    samples = np.asarray(x, np.float32)
    check_fit(tuned.network, samples, "predict")
    return _logits(tuned.network, samples, tuned.skip)


def _logits(network: Network, x: np.ndarray, skip: int | None) -> np.ndarray:
    return features_of(network, x, skip) @ np.asarray(network.head.weight).T + np.asarray(network.head.bias)


def _trains(plan: Plan) -> bool:
    """Whether Adam trains something: a head alone is a convex problem, and solved."""
    return plan.first < plan.stop


def _adapted(
    network: Network, data: Data, plan: Plan, rates: Sequence[float], validation: Samples | None,
    steps: int, batch: int, key: int,
) -> Tuned:  # fmt: skip
    """The plan carried out, at the best of the rates; nothing of the test set is looked at."""
    clock = time.perf_counter()
    if not _trains(plan):
        tried = [(float("nan"), _probed(network, data, plan.skip, key))]
        seconds = time.perf_counter() - clock
    else:
        start = untrained(network, key) if plan.fresh else network
        prefix, skip = start.stages[: plan.first], None if plan.skip is None else plan.skip - plan.first
        stages = tuple(map(opened, start.stages[plan.first :]))
        part = Part(Network(stages, start.head, start.names[plan.first :]), plan.stop - plan.first)
        kept = advance(prefix, data.x)
        seconds, tried = time.perf_counter() - clock, []
        for rate in map(float, rates):
            tuned, spent = adapt(part, kept, data.y, data.K, skip, rate, steps, batch, key)
            tried.append((rate, Network((*prefix, *tuned.stages), tuned.head, network.names)))
            seconds += spent
    right = [np.nan if validation is None else _right(each, plan.skip, validation) for _, each in tried]
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


def _right(network: Network, skip: int | None, samples: Samples) -> float:
    return float(np.mean(np.argmax(_logits(network, samples[0], skip), axis=1) == samples[1]))
