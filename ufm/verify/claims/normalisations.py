"""Other normalisations are this one: each converter's objective against its own, written out (section 0, T21)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from theory import conversions, cross_entropy
from theory.conversions import Conversion
from ufm.certify.point import examine
from ufm.models import layer_peeled
from ufm.problem import Problem
from ufm.verify import by_hand
from ufm.verify.by_hand import Draw
from ufm.verify.claim import Claim, Measurement
from ufm.verify.compare import measure
from ufm.verify.experiment import ROUNDING, settle


class Paper(NamedTuple):
    """data * mean loss + w/2 lam_W |W|^2 + h/2 lam_H |H|^2 + w/2 lam_b |b|^2, as a paper or a script writes it."""

    converter: str
    data: float
    w: float
    h: float
    draw: Draw

    @property
    def decays(self) -> dict[str, Any]:
        """As the paper has them."""
        return {name: getattr(self.draw, name) for name in ("lam_W", "lam_H", "lam_b")}

    @property
    def arguments(self) -> dict[str, Any]:
        """What the converter asks for: K of the mean over entries, N of sums, one decay for torch."""
        K, N = self.draw.K, len(self.draw.labels)
        if self.converter.startswith("from_torch"):
            one = {"weight_decay": self.draw.lam_W, "bias": self.draw.lam_b is not None}
            return one if self.converter == "from_torch_cross_entropy" else {"K": K, **one}
        needs = {"from_sum": {"N": N}, "from_mean_feature_decay": {"N": N}, "from_entry_mean_mse": {"K": K}}
        return {**needs.get(self.converter, {}), **self.decays}


SIZES = (3, 1, 2)
CROSS_ENTROPY = Draw(3, SIZES, 4, 0.3, 0.2, 0.5, 0.1)
SQUARES = Draw(3, SIZES, 4, 0.3, 0.2, 0.5, None, key=1)
ALIKE = Draw(3, SIZES, 4, 0.3, 0.3, 0.3, 0.0, key=2)


def papers(full: bool) -> Iterable[Paper]:
    """Every converter of decays, and without a bias; more points."""
    N, K = sum(SIZES), 3
    every = [
        Paper("from_sum", N, 1.0, 1.0, CROSS_ENTROPY),
        Paper("from_full_decays", 1.0, 2.0, 2.0, CROSS_ENTROPY),
        Paper("from_full_mse", 2.0, 1.0, 1.0, SQUARES),
        Paper("from_entry_mean_mse", 2.0 / K, 1.0, 1.0, SQUARES),
        Paper("from_mean_feature_decay", 1.0, 1.0, 1.0 / N, CROSS_ENTROPY),
        Paper("from_torch_cross_entropy", 1.0, 1.0, 1.0, ALIKE),
        Paper("from_torch_mse", 2.0 / K, 1.0, 1.0, ALIKE._replace(smoothing=None)),
    ]
    for paper in every:
        yield paper
        yield paper._replace(draw=paper.draw._replace(lam_b=None))
        if full:
            yield from (paper._replace(draw=paper.draw._replace(key=key, scale=0.3 * key)) for key in range(3, 13))


def measure_paper(paper: Paper) -> Measurement:
    """The paper's objective, its mean loss by `ufm`."""
    point = paper.draw.point()
    decays = paper.w * by_hand.decay(point._replace(H=np.zeros(1)), **paper.decays)
    decays += paper.h * paper.draw.lam_H / 2 * float(np.sum(point.H**2))
    objective = paper.data * measure(paper.draw.problem, point)["data_loss"] + decays
    return Measurement({"objective": objective}, {"objective": ROUNDING * by_hand.size(point) * max(paper.data, 1.0)})


def predict_paper(paper: Paper) -> Mapping[str, Any]:
    """factor * f + offset with the converted decays."""
    convert: Callable[..., Conversion] = getattr(conversions, paper.converter)
    decays, factor, offset = convert(**paper.arguments)
    return {"objective": factor * by_hand.value(paper.draw._replace(**decays), paper.draw.point()) + offset}


def draws(full: bool) -> Iterable[Draw]:
    """Equal classes at a point where the features of each coincide; both losses."""
    first = Draw(4, 3, 6, 0.5, 0.02, 0.3, 0.1, collapsed=True)
    yield from (first, first._replace(smoothing=None, lam_b=None, key=1))
    if full:
        yield from (first._replace(key=key, lam_W=10.0**-key) for key in range(2, 8))


def measure_reduced(draw: Draw) -> Measurement:
    """f of all samples, by `ufm`; the same number for both reductions."""
    value = measure(draw.problem, draw.point())["value"]
    values = {"equal decays": value, "one sample": value}
    return Measurement(values, dict.fromkeys(values, ROUNDING * by_hand.size(draw.point())))


def predict_reduced(draw: Draw) -> Mapping[str, Any]:
    """f at (W/s, s H, b) with equal decays; f of one feature a class."""
    point, decays = draw.point(), {"lam_W": draw.lam_W, "lam_H": draw.lam_H, "lam_b": draw.lam_b}
    equal, s = conversions.to_equal_decays(**decays)
    scaled = point._replace(W=point.W / s, H=s * point.H)
    n = int(draw.sizes[0])
    one = conversions.to_one_sample(n=n, **decays)
    return {
        "equal decays": equal.factor * by_hand.value(draw._replace(**equal.decays), scaled) + equal.offset,
        "one sample": one.factor * by_hand.value(draw._replace(n=1, **one.decays), point._replace(H=point.H[:, ::n]))
        + one.offset,
    }


class Budgets(NamedTuple):
    """(1/K) |W|^2 <= E_W, (1/N) |H|^2 <= E_H."""

    E_W: float
    E_H: float
    K: int = 4
    n: int = 2
    d: int = 3


def budgets(full: bool) -> Iterable[Budgets]:
    """A small and a large margin."""
    yield from (Budgets(1.3, 0.4), Budgets(2.0, 5.0))


def measure_budgets(setting: Budgets) -> Measurement:
    """The multipliers at the minimum with budgets: -<W, G H^T>/|W|^2 and -<H, W^T G>/|H|^2, and the loss there."""
    problem = Problem(setting.K, setting.n, setting.d, model=layer_peeled(setting.E_W, setting.E_H))
    found = settle(problem)
    if found.failure:
        return Measurement(failure=found.failure)
    W, H, _ = found.params
    inner = -float(np.sum(examine(problem, found.params).G * (W @ H)))
    values = {"lam_W": inner / float(np.sum(W**2)), "lam_H": inner / float(np.sum(H**2)), "loss": found.value}
    tolerances = {name: found.allowance(1.0) * max(1.0, value) for name, value in values.items()}
    return Measurement(values, {**tolerances, "loss": found.value_allowance()})


def predict_budgets(setting: Budgets) -> Mapping[str, Any]:
    """The converter's decays, and what its Lagrangian is there: the loss itself, as both budgets are used up."""
    shape = {"K": setting.K, "n": setting.n}
    decays, factor, offset = conversions.from_layer_peeled(**shape, E_W=setting.E_W, E_H=setting.E_H)
    lagrangian = factor * cross_entropy.global_minimum(**shape, d=setting.d, **decays).value + offset
    return {"lam_W": decays["lam_W"], "lam_H": decays["lam_H"], "loss": lagrangian}


POINTWISE = "32 eps times 1 + |W|^2 + |H|^2 (and the factor of the loss), the rounding of a sum of products"

CLAIMS = (
    Claim(
        "0",
        "Sums, decays without halves, means over entries, torch's defaults: each is factor * f at converted decays.",
        "derived for this project",
        "none: an identity at every point",
        POINTWISE,
        papers,
        measure_paper,
        predict_paper,
    ),
    Claim(
        "0-reductions",
        "Only lam_W lam_H and n lam_H count: f is the same at equal decays, and with one sample a class.",
        "derived for this project",
        "equal class sizes; for one sample a class: equal features within a class",
        POINTWISE,
        draws,
        measure_reduced,
        predict_reduced,
    ),
    Claim(
        "0-budgets",
        "The multipliers of the layer-peeled model's norm budgets are decays, at which its minimum is that of f.",
        "Model: Fang et al. (PNAS 2021); multipliers derived for this project from T7",
        "equal class sizes, d >= K-1, no bias",
        "the allowance of a quantity of size 1; 32 eps (1 + f) for the loss",
        budgets,
        measure_budgets,
        predict_budgets,
    ),
)
