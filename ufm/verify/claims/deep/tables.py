"""The tables of the reference to their twelve digits: deep linear minima, SRG solutions, cross-entropy's rivals."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import theory
from ufm.certify.deep import deep_bound
from ufm.models import DeepLinear
from ufm.multistart import best_found
from ufm.verify.claim import AtLeast, Claim, Measurement
from ufm.verify.claims.deep.cases import Case, minimum
from ufm.verify.claims.deep.entropy import DIGITS, Symmetric, pairs_end, simplex_end
from ufm.verify.claims.deep.relu import ALL2, ALL3, Graph, lowest
from ufm.verify.experiment import ROUNDING

UNEVEN = (8, 5, 3, 1)
# sizes, width of every layer, lam_b: f* for M = 1, 2, 3, 4
LINEAR: dict[tuple[Any, int, float | None], tuple[float, ...]] = {
    (5, 6, None): (0.085442719100, 0.055226131923, 0.040522138652, 0.034701168743),
    (5, 6, 0.0): (0.064082039325, 0.041419598943, 0.030391603989, 0.026025876557),
    (5, 3, None): (0.189082039325, 0.166419598943, 0.155391603989, 0.151025876557),
    (5, 2, 0.0): (0.167721359550, 0.152613065962, 0.145261069326, 0.142350584371),
    (UNEVEN, 6, None): (0.074565459098, 0.049591536726, 0.037168590573, 0.032296917893),
    (UNEVEN, 6, 0.0): (0.052724536337, 0.035897389957, 0.027184514460, 0.023756800754),
    (UNEVEN, 2, None): (0.166592009846, 0.147707078053, 0.139203019929, 0.135867602964),
}
DECAYS = ((0.02, 0.005), (0.006, 0.003), (0.004, 0.002), (0.003, 0.001))  # of W, before their factors, and of H
FACTORS = (1.0, 1.5, 0.7, 1.2)
LOSING = (10, 6, 2)  # at decays where the smallest class is lost, between the thresholds of the other and its own
LOST = (0.443365245085, 0.330648332561, 0.301767846933)  # M = 1, 2, 3
TIRER_BRUNA = (Case(4, 3, 4, (4,), (4e-3, 6e-3), 3e-3), 0.035709651878)


class Entry(NamedTuple):
    """A deep linear problem and its tabulated minimum."""

    case: Case
    digits: float


def linear_entries(full: bool) -> Iterable[Entry]:
    """Every entry, or one with a rank cap."""
    for (n, width, lam_b), row in LINEAR.items():
        for M, digits in enumerate(row, 1):
            lam_W, lam_H = DECAYS[M - 1]
            lams = tuple(lam_W * factor for factor in FACTORS[:M])
            if full or (n, width, M) == (UNEVEN, 2, 2):
                yield Entry(Case(4, n, width, (width,) * (M - 1), lams, lam_H, lam_b), digits)
    if full:
        yield Entry(*TIRER_BRUNA)
        for M, digits in enumerate(LOST, 1):
            # From the product n_k^M/N^(M+1) (M-1)^(M-1)/M^(2M) of all decays on class k is lost.
            middle = (6 * 2) ** (M / 2) / 18 ** (M + 1) * max(M - 1, 1) ** (M - 1) / M ** (2 * M)
            lam = middle ** (1 / (M + 1))
            yield Entry(Case(3, LOSING, 3, (3,) * (M - 1), (lam,) * M, lam), digits)


def measure_linear(entry: Entry) -> Measurement:
    """The best of random starts, followed to rounding level."""
    found = minimum(entry.case)
    values = {"value": found.value, "digits": found.value, "verdict": found.certificate.verdict.name}
    return Measurement(values, {"value": found.value_allowance(), "digits": DIGITS}, found.failure)


def predict_linear(entry: Entry) -> Mapping[str, Any]:
    """L3, L4, and the table."""
    value = theory.deep_linear.global_minimum(**entry.case.arguments).value
    return {"value": value, "digits": entry.digits, "verdict": "GLOBAL_MINIMUM"}


MIXED, ALL4, ALL5 = ((2, 0.75), (3, 0.25)), ((4, 1.0),), ((5, 1.0),)
BEST = {4: MIXED, 5: ALL3, 6: ALL3, 7: ALL4, 10: ALL5}


class GraphEntry(NamedTuple):
    """r vertices, L matrices of decay lam: neural collapse, the SRG solution, that of pairs alone, the lower bound."""

    r: int
    L: int
    lam: float
    collapse: float
    best: float
    pairs: float
    bound: float


GRAPHS = (
    GraphEntry(6, 4, 0.001, 0.037386469898, 0.027687377642, 0.032050204502, 0.007381071006),
    GraphEntry(4, 3, 0.001, 0.011981945673, 0.012086508764, 0.012653104258, 0.004895975802),
    GraphEntry(4, 4, 0.001, 0.014981934755, 0.013912941538, 0.014432255569, 0.005117082215),
    GraphEntry(4, 5, 0.001, 0.017981927467, 0.015802402397, 0.016292387619, 0.005449708810),
    GraphEntry(5, 3, 0.001, 0.019949747467, 0.018408367757, 0.020833679124, 0.006319547390),
    GraphEntry(5, 4, 0.001, 0.024949696549, 0.020372930770, 0.022493034708, 0.006276556524),
    GraphEntry(5, 4, 0.004, 0.099179874636, 0.080911332199, 0.089470894922, 0.025068079911),
    GraphEntry(5, 5, 0.001, 0.029949662527, 0.022539453351, 0.024477543057, 0.006460979934),
    GraphEntry(6, 3, 0.001, 0.029886643339, 0.025803063159, 0.030978397811, 0.007738452112),
    GraphEntry(6, 5, 0.001, 0.044886353874, 0.030005094220, 0.033897513361, 0.007395590107),
    GraphEntry(7, 4, 0.001, 0.052276653459, 0.035789683646, 0.043041755643, 0.008443713049),
    GraphEntry(10, 4, 0.001, 0.111458668313, 0.062524470939, 0.084118419420, 0.011450528479),
)


def measure_graphs(entry: GraphEntry) -> Measurement:
    """ufm's objective at the explicit weights, and its bounds for ReLU and for linear layers."""
    graph = Graph(entry.r, entry.L, entry.lam, BEST[entry.r])
    relu = graph.case.problem
    linear = dataclasses.replace(relu, d=graph.K, model=DeepLinear((graph.K,) * (entry.L - 1)))
    values = {
        "best": lowest(graph)[1],
        "pairs": lowest(graph._replace(mixture=ALL2))[1],
        "collapse": deep_bound(linear).value,
        "bound": deep_bound(relu).value,
    }
    return Measurement(values, dict.fromkeys(values, DIGITS))


def predict_graphs(entry: GraphEntry) -> Mapping[str, Any]:
    """The table. (Its closed forms are the claims D1 to D3.)"""
    return {name: getattr(entry, name) for name in ("best", "pairs", "collapse", "bound")}


class Rivals(NamedTuple):
    """Cross-entropy: the simplex ETF, the cross-polytope, and the best of random starts, as tabulated."""

    setting: Symmetric
    simplex: float
    pairs: float
    best: float


RIVALS = (
    Rivals(Symmetric(6, 2, 0.001), 0.031490144372, 0.029568473181, 0.029568473181),
    Rivals(Symmetric(4, 2, 0.001), 0.018894865071, 0.019241456446, 0.018894865071),
    Rivals(Symmetric(4, 3, 0.001), 0.017974848253, 0.016595176010, 0.016595176010),
    Rivals(Symmetric(8, 2, 0.001), 0.044084384335, 0.039805868883, 0.039805868883),
    Rivals(Symmetric(10, 2, 0.0005), 0.029904984517, 0.026388698471, 0.026388698471),
    Rivals(Symmetric(6, 3, 0.001), 0.029957450296, 0.025331251561, 0.025331251561),
    Rivals(Symmetric(8, 3, 0.0005), 0.021812238167, 0.017683519966, 0.017348126527),
)


def measure_rivals(entry: Rivals) -> Measurement:
    """The critical points next to both, and the best of sixteen random starts."""
    simplex, pairs = simplex_end(entry.setting), pairs_end(entry.setting)
    best = best_found(entry.setting.case.problem, 16, key=0, scales=(1.0, 1.5)).solution.value
    values = {"simplex": simplex.value, "cross-polytope": pairs.value, "best": best, "bound": best}
    tolerances = {"simplex": DIGITS, "cross-polytope": DIGITS, "best": DIGITS, "bound": ROUNDING}
    return Measurement(values, tolerances, simplex.failure or pairs.failure)


def predict_rivals(entry: Rivals) -> Mapping[str, Any]:
    """The table, and the bound that nothing is below."""
    bound = theory.deep_cross_entropy.lower_bound(**entry.setting.arguments)
    return {"simplex": entry.simplex, "cross-polytope": entry.pairs, "best": entry.best, "bound": AtLeast(bound)}


OWN = "derived for this project"
TWELVE = "6e-13, half of the last digit given"

CLAIMS = (
    Claim(
        "L3-table",
        "Minima of one to four linear layers, with and without bias, rank caps and unequal classes, to twelve digits.",
        OWN,
        "squared loss, widths as in the table",
        TWELVE + "; 32 eps (1 + f) and |gradient| times the distance for the closed form",
        linear_entries,
        measure_linear,
        predict_linear,
    ),
    Claim(
        "D3-table",
        "SRG solutions, neural collapse and the lower bound of six to forty-five classes, to twelve digits.",
        OWN,
        "squared loss, one sample a class, one decay, no bias",
        TWELVE,
        lambda full: GRAPHS if full else GRAPHS[:1],
        measure_graphs,
        predict_graphs,
    ),
    Claim(
        "D5-table",
        "Cross-entropy through linear layers: simplex ETF, cross-polytope and the best found, to twelve digits.",
        OWN,
        "one sample a class, one decay, no bias",
        TWELVE,
        lambda full: RIVALS if full else RIVALS[:1],
        measure_rivals,
        predict_rivals,
        boundary=True,
    ),
)
