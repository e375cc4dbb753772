"""The figures of `ufm figures`, in their order."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from ufm.figures.data import Data, Entry, Source
from ufm.figures.paper import (
    codes,
    depth,
    dimensions,
    flow,
    landscape,
    layers,
    performance,
    progressive,
    rank,
    seli,
    spectra,
    training,
    transfer,
    values,
)
from ufm.figures.phases import collapse, frames, graphs, margins, minority, spheres, spurious


def _of(name: str, module: ModuleType) -> Entry:
    """A figure with a file of its own."""
    return Entry(name, module.CAPTION, module.data, module.figure)


def _swept(make: Callable[..., Data]) -> Callable[..., Data]:
    """The data of a phase diagram, through the store of the source."""

    def data(source: Source, **sizes: Any) -> Data:
        return make(store=source.store, **sizes)

    return data


FIGURES = (
    _of("training", training),
    _of("values", values),
    _of("spectra", spectra),
    _of("landscape", landscape),
    Entry("zero", collapse.CAPTION, _swept(collapse.collapse_to_zero), collapse.collapse_figure),
    Entry("frames", frames.CAPTION, _swept(frames.frames_of_squared_error), frames.frames_figure),
    Entry("spurious", spurious.CAPTION, _swept(spurious.spurious_minima), spurious.spurious_figure),
    _of("dimensions", dimensions),
    Entry("minority", minority.CAPTION, _swept(minority.minority_collapse), minority.minority_figure),
    Entry("budgets", minority.BUDGETS_CAPTION, _swept(minority.layer_peeled_collapse), minority.layer_peeled_figure),
    _of("codes", codes),
    Entry("margins", margins.CAPTION, _swept(margins.softmax_margins), margins.margins_figure),
    Entry("spheres", spheres.CAPTION, _swept(spheres.sphere_minima), spheres.spheres_figure),
    _of("depth", depth),
    _of("graphs", graphs),
    _of("progressive", progressive),
    _of("layers", layers),
    _of("rank", rank),
    _of("transfer", transfer),
    _of("seli", seli),
    _of("flow", flow),
    _of("performance", performance),
)
