"""Methods of fine-tuning: what each of them trains, of a network of L stages."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Plan:
    """What a method trains.

    Attributes:
        first, stop: stages first .. stop-1, counted from 0, and the head.
        skip: the stage whose features are added to the last ones, or None. fresh: from random weights.
    """

    first: int
    stop: int
    skip: int | None = None
    fresh: bool = False


Method = Callable[[int, int], Plan]  # stages L, the chosen one from 0 -> plan


def probe(L: int, layer: int) -> Plan:
    """The head alone, on the last features."""
    return Plan(L, L)


def one_layer(L: int, layer: int) -> Plan:
    """One stage and the head."""
    return Plan(layer, layer + 1)


def skip_layer(L: int, layer: int) -> Plan:
    """One stage and the head, and the skip from that stage (SCL)."""
    return Plan(layer, layer + 1, layer)


def skip_head(L: int, layer: int) -> Plan:
    """The head alone, on the sum of the last features and those of one stage."""
    return Plan(L, L, layer)


def full(L: int, layer: int) -> Plan:
    """Every stage and the head."""
    return Plan(0, L)


def scratch(L: int, layer: int) -> Plan:
    """Every stage and the head, from random weights."""
    return Plan(0, L, fresh=True)


METHODS: dict[str, Method] = {
    "probe": probe,
    "layer": one_layer,
    "scl": skip_layer,
    "skip": skip_head,
    "full": full,
    "scratch": scratch,
}
LAYERED = ("layer", "scl", "skip")
