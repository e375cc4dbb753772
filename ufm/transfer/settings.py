"""Four transfers on data that need no download, each with a pool of pretrained networks.

S1  digits 0-4 to digits 5-9               8 x 8       raw pixels do best: pretraining harms here
S2  letters to digits                      8 x 8
S3  letters to digits at random places     12 x 12     raw pixels fail: where pretraining helps
S4  the same, the digits' contrast inverted 12 x 12    a heavy shift of the domain
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

from ufm.checks import whole
from ufm.losses.cross_entropy import CrossEntropy
from ufm.losses.squared import MSE
from ufm.networks.data import Data, digits
from ufm.networks.drawn import canvas, glyphs
from ufm.networks.layers import batch_norm, layer_norm, no_norm
from ufm.networks.models import Network, convolutional, hybrid, mlp, residual
from ufm.networks.train import Recipe
from ufm.transfer.pretraining import Backbone
from ufm.transfer.samples import inverted, noise, of_classes, shift


@dataclass(frozen=True, eq=False)
class Setting:
    """A source, a downstream task, and the backbones of each experiment.

    Attributes:
        name, title: for commands and pictures. source, target: make the data, each once.
        pool: of the scores. shots: samples a class -> sets of them, for the probes. seeds: of each backbone that shows
            a cause, and of what it changes.
        deep: of the layer profile, one for each seed; draws: sets of samples for the probes of a layer, at most.
        tuned: of fine-tuning, one for each seed; sizes: samples a class -> draws of them, the same for every seed; with
            Adam's `steps` and `rates`.
        key: the first seed, of the sets of samples and of the backbones of causes; see `reseeded`.
    """

    name: str
    title: str
    source: Callable[[], Data]
    target: Callable[[], Data]
    pool: tuple[Backbone, ...]
    deep: tuple[Backbone, ...]
    tuned: tuple[Backbone, ...]
    sizes: Mapping[int, int]
    steps: int
    rates: tuple[float, ...]
    draws: int = 5
    seeds: int = 3
    shots: Mapping[int, int] = field(default_factory=lambda: {5: 5, 20: 3, 100: 1})
    key: int = 0


def quick(setting: Setting) -> Setting:
    """A smaller experiment of the same kind: half the pool, fewer seeds, epochs, draws and steps, one rate."""
    return replace(
        setting,
        pool=tuple(_shortened(backbone) for backbone in setting.pool[::2]),
        deep=tuple(_shortened(backbone) for backbone in setting.deep[:1]),
        tuned=tuple(_shortened(backbone) for backbone in setting.tuned[:1]),
        sizes={n: min(draws, 3) for n, draws in list(setting.sizes.items())[:1]},
        draws=min(setting.draws, 3),
        seeds=1,
        steps=setting.steps // 2,
        rates=(1e-3,),
        shots={n: 1 if n > 5 else 3 for n in setting.shots},
    )


def reseeded(setting: Setting, key: int) -> Setting:
    """The same experiment with every seed larger by `key`: other networks, other samples, the same data sets.

    Raises:
        ValueError: a negative key.
    """
    key = whole(key, "key", "reseeded", 0, "a seed")

    def moved(backbones: tuple[Backbone, ...]) -> tuple[Backbone, ...]:
        return tuple(replace(backbone, key=backbone.key + key) for backbone in backbones)

    return replace(
        setting, pool=moved(setting.pool), deep=moved(setting.deep), tuned=moved(setting.tuned), key=setting.key + key
    )


def _shortened(backbone: Backbone) -> Backbone:
    return replace(backbone, recipe=replace(backbone.recipe, epochs=max(1, backbone.recipe.epochs // 3)))


def _dense(
    label: str,
    epochs: int,
    *,
    depth: int = 4,
    width: int = 128,
    norm: Callable[[int], Any] = no_norm,
    make: Callable[..., Network] | None = None,
    decay: float = 5e-4,
    loss: Any = None,
    **of: Any,
) -> Backbone:
    """A plain MLP with cross-entropy, or another network; `of` are fields of Backbone."""
    recipe = Recipe(epochs=epochs, decay=decay, loss=CrossEntropy() if loss is None else loss)
    return Backbone(label, partial(mlp, depth=depth, width=width, norm=norm) if make is None else make, recipe, **of)


def _conv(label: str, epochs: int, *, depth: int = 4, width: int = 16, **of: Any) -> Backbone:
    return _dense(label, epochs, make=partial(convolutional, depth=depth, width=width), **of)


def _changes(
    kind: Callable[..., Backbone], few: int, short: int, base: int, long: int, decays: Mapping[str, float]
) -> tuple[Backbone, ...]:
    """A base, and what may change how it transfers; every second one, of which `quick` is made, has each cause."""
    mse = MSE()
    return (
        kind("base", base),
        kind("fewest epochs", few, cause="epochs", against="base"),
        kind("more epochs", long, cause="epochs", against="base"),
        kind("fewer epochs", short, cause="epochs", against="base"),
        kind("no decay", base, decay=0.0, cause="decay", against="base"),
        *(kind(f"decay {name}", base, decay=decay, cause="decay", against="base") for name, decay in decays.items()),
        kind("noise", base, change=noise, cause="augmentation", against="base"),
        kind("shifts", base, change=shift, cause="augmentation", against="base"),
        kind("MSE, projection head", base, depth=6, dropped=2, loss=mse, cause="projection head", against="MSE"),
        kind("MSE", base, loss=mse, cause="MSE", against="base"),
        kind("other seed", base, key=1),
        kind("projection head", base, depth=6, dropped=2, cause="projection head", against="base"),
        kind("untrained", base, trained=False, cause="epochs", against="base"),
    )


def _dense_pool(few: int, short: int, base: int, long: int) -> tuple[Backbone, ...]:
    """Multilayer perceptrons, and two others, after the given numbers of epochs."""
    mse = MSE()
    return (
        *_changes(_dense, few, short, base, long, {"3e-3": 3e-3, "8e-3": 8e-3}),
        _dense("noise, more epochs", long, change=noise, cause="augmentation", against="more epochs"),
        _dense("shifts, more epochs", long, change=shift, cause="augmentation", against="more epochs"),
        _dense("MSE, depth 8", base, depth=8, loss=mse),
        _dense("MSE, other seed", base, loss=mse, key=1),
        _dense("batch norm", base, norm=batch_norm),
        _dense("batch norm, more epochs", long, norm=batch_norm, decay=5e-3),
        _dense("layer norm", base, norm=layer_norm),
        _dense("depth 2", base, depth=2),
        _dense("width 32", base, width=32),
        _dense("width 512", base, width=512),
        _dense("untrained, depth 8", base, depth=8, trained=False),
        _dense("hybrid", base, make=hybrid, decay=5e-3),
    )


def _conv_pool(few: int, short: int, base: int, long: int) -> tuple[Backbone, ...]:
    """Convolutional and residual networks, and perceptrons."""
    return (
        *_changes(_conv, few, short, base, long, {"5e-3": 5e-3, "2e-2": 2e-2}),
        _conv("depth 2", base, depth=2),
        _conv("width 8", base, width=8),
        _conv("width 32", short, width=32),
        _dense("residual", base, make=partial(residual, blocks=2, width=8)),
        _dense("residual, fewer epochs", short, make=partial(residual, blocks=2, width=8)),
        _dense("mlp", base),
        _dense("mlp, batch norm", base, norm=batch_norm),
        _dense("mlp, untrained", base, trained=False),
        _conv("untrained, depth 2", base, depth=2, trained=False),
    )


@cache
def _letters() -> Data:
    return glyphs()


@cache
def _digits() -> Data:
    return digits(n=100)


@cache
def _halves() -> tuple[Data, Data]:
    return of_classes(digits(n=130), range(5), "digits 0-4"), of_classes(_digits(), range(5, 10), "digits 5-9")


@cache
def _letters_on_canvas() -> Data:
    return canvas(glyphs(n=300))  # so many that a small convolutional network learns to look anywhere


@cache
def _digits_on_canvas() -> Data:
    return canvas(_digits(), key=1)


@cache
def _inverted() -> Data:
    return inverted(_digits_on_canvas())


_DEEP = partial(_dense, "mlp of depth 8, MSE", depth=8, loss=MSE())
_DEEP_CONV = partial(_conv, "convolutional of depth 6", depth=6, decay=5e-3)
_TUNED = partial(_dense, "mlp of depth 5", depth=5)
_TUNED_CONV = partial(_conv, "convolutional of depth 4 and width 32", width=32)  # 64 features for 26 letters
_CONV_POOL = _conv_pool(1, 3, 8, 16)
_S3 = Setting(
    "S3",
    "letters to digits on a canvas",
    _letters_on_canvas,
    _digits_on_canvas,
    _CONV_POOL,
    tuple(replace(_DEEP_CONV(8), key=key) for key in range(2)),
    tuple(_TUNED_CONV(12, key=key) for key in range(3)),
    {5: 3, 20: 1},
    120,
    (1e-3, 3e-3),
    draws=3,
)
_RATES = (3e-4, 1e-3, 3e-3)
SETTINGS: dict[str, Setting] = {
    "S1": Setting(
        "S1",
        "digits 0-4 to digits 5-9",
        lambda: _halves()[0],
        lambda: _halves()[1],
        _dense_pool(2, 8, 60, 200),
        tuple(_DEEP(200, key=key) for key in range(3)),
        tuple(_TUNED(60, key=key) for key in range(3)),
        {3: 5, 10: 5},
        200,
        _RATES,
    ),
    "S2": Setting(
        "S2",
        "letters to digits",
        _letters,
        _digits,
        _dense_pool(1, 4, 30, 100),
        tuple(_DEEP(60, key=key) for key in range(3)),
        tuple(_TUNED(30, key=key) for key in range(3)),
        {3: 5, 10: 5, 30: 3},
        200,
        _RATES,
    ),
    "S3": _S3,
    "S4": replace(
        _S3,
        name="S4",
        title="letters to digits on a canvas, contrast inverted",
        target=_inverted,
        sizes={10: 1},
        steps=200,
    ),
}
