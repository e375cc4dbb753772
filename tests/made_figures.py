"""Data of every figure of `ufm figures`, made up: a few rows of each table, and the settings that captions name."""

import itertools
from typing import Any

import numpy as np

from ufm.figures.data import Data

RNG = np.random.default_rng(0)


def product(**axes: Any) -> dict[str, np.ndarray]:
    """The columns of a product of axes, the last fastest."""
    rows = list(itertools.product(*axes.values()))
    return {name: np.array([row[i] for row in rows]) for i, name in enumerate(axes)}


def drawn(table: dict[str, np.ndarray], *names: str) -> dict[str, np.ndarray]:
    """The table, with further columns of numbers in (0.1, 1)."""
    length = len(next(iter(table.values())))
    return table | {name: RNG.uniform(0.1, 1.0, length) for name in names}


def _code(K: int) -> dict[str, np.ndarray]:
    W = RNG.standard_normal((K, 3))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    table = product(K=[K], k=range(K)) | {"x": W[:, 0], "y": W[:, 1], "z": W[:, 2]}
    return drawn(table, "rho") | {"rho_theory": np.full(K, 0.7 if K <= 6 else np.nan)}


LOSSES = ["Cross-entropy", "Squared error"]
SIZES = {"K": 4, "n": 5, "d": 6, "lam": 0.01, "lam_W": 0.01, "lam_H": 0.02, "lam_b": 0.03, "points": 3, "key": 0}
SIZES |= {"k_A": 2, "k_B": 2, "n_A": 8, "n_B": 1, "low": 0.001, "high": 1.0, "starts": 3, "end": 2, "smoothing": 0.1}
SIZES |= {"gamma": 2.0, "converged": 9, "searches": 9, "rate": 1.0}
MORE: dict[str, Any] = {"linear": 1e-3, "kappas": "0.1", "one": 1e-5, "decays": "0.01", "first": 4, "last": 7}
MORE |= {"growth": 4.0, "strength": 0.02, "random": 2, "r": "4 .. 5", "highest": 1.15, "depth": 3, "width": 8}
MORE |= {"epochs": 2, "decay": 0.01, "seeds": "0", "sizes": "(2, 2)", "kappa": 0.3, "cases": "S1: small"}
MORE |= {"files": "made.json", "near": 1e-3, "steps": 9, "searched": 2, "theta": 0.5, "L": 3, "networks": 2}
MORE |= {"missed": 0.07, "descent": 9, "floor": 1e-17}
CHECKS = ("excess", "margin", "cells", "proven", "difference", "gap", "spurious", "wrong", "shortfall", "higher")
CHECKS += ("explicit", "above", "below", "modes", "balance", "ray", "ended", "angle")


def _joined(*tables: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


# Of networks.
MORE |= {"most": 3, "plain": 2e-3, "normed": 5e-3, "deep": 2, "ranks": "3 (linear, M=1)", "title": "Ours to yours"}
MORE |= {"shot": 5, "sets": 3, "trained": 1, "bare": 1, "draws": 2, "negative": "one", "best": "two", "setting": "S1"}
MORE |= {"raw": 0.9}
CHECKS += ("sixth_plain", "sixth_normed", "pearson", "pearson_low", "pearson_high")
TRAINING = drawn(
    product(loss=LOSSES, step=[0, 10, 20]),
    *("f", "nc1", "nc2_gram_W", "nc2_gram_H", "nc3", "margin", "W_sq", "H_sq"),
    *("margin_theory", "W_sq_theory", "H_sq_theory"),
) | {"f_theory": np.zeros(6), "slope": np.full(6, -0.1)}
VERDICTS = np.array(["GLOBAL_MINIMUM", "STRICT_SADDLE", "LOCAL_MINIMUM"])
LAM = [0.01, 0.1]
TABLES: dict[str, dict[str, dict[str, np.ndarray]]] = {
    "training": {"": TRAINING},
    "values": {
        "": drawn(product(kappa=LAM, loss=LOSSES), "value", "gap")
        | {"difference": np.array([0.0, 1e-16, -1e-15, 0.0])},
        "theory": drawn(product(loss=LOSSES, kappa=LAM), "value"),
    },
    "spectra": {"": drawn(product(loss=LOSSES, point=["minimum", "zero"], rank=[1, 2]), "measured", "predicted")},
    "landscape": {
        "": drawn(product(rank=[0, 1, 2]), "value")
        | {"index": np.array([2.0, 1.0, 0.0]), "hits": np.array([1, 3, 5]), "verdict": VERDICTS},
        "lines": drawn(product(line=["zero to minimum"], t=[0.0, 1.0]), "f"),
        "plane": drawn(product(x=[-1.0, 0.0, 1.0], y=[-1.0, 0.0, 1.0]), "f"),
    },
    "zero": {
        "": drawn(product(loss=["a", "b", "c"], lam_W=LAM, lam_H=LAM), "largest_logit")
        | {"threshold": np.repeat([1.0, 1.0, 0.7], 4)}
    },
    "frames": {
        "": drawn(product(kappa=[0.1], lam_b=LAM), "cosine"),
        "theory": drawn(product(kappa=[0.1], lam_b=LAM), "cosine"),
    },
    "spurious": {"": product(lam_W=[0.01], d=[1, 2], key=[0]) | {"end": np.array(["lowest value found", "undecided"])}},
    "minority": {
        "": drawn(product(lam_W=LAM, ratio=[1, 3]), "minority"),
        "theory": drawn(product(ratio=[1, 3]), "zero"),
    },
    "budgets": {
        "": drawn({"model.W.mean_square": np.repeat([0.5, 2.0], 2), "ratio": np.tile([1, 3], 2)}, "minority"),
        "theory": {"E": np.array([0.5, 2.0]), "ratio": np.array([2.0, 3.0])},
    },
    "codes": {"": _joined(_code(4), _code(7))},
    "dimensions": {
        "": drawn(product(lam=LAM, d=[3, 4]), "value", "share", "f_theory") | {"verdict": VERDICTS[[2, 0, 2, 0]]}
    },
    "margins": {"": drawn(product(d=[2, 3], K=[4, 7]), "rho") | {"rho_theory": np.array([1.0, 0.4, 4 / 3, np.nan])}},
    "graphs": {
        "": drawn(product(L=[3, 4], K=[6, 10]), "DNC", "SRG") | {"cheaper": np.array([False, True, True, True])},
        "searched": drawn(product(L=[3, 4], K=[6]), "DNC", "SRG", "random", "explicit"),
    },
    "progressive": {"": drawn(product(eps=[0.2, 0.3], layer=[0, 1, 2]), "C", "D", "C_theory", "D_theory")},
    "spheres": {"": drawn(product(d=[2, 3], tau=[1.0, 4.0]), "margin", "share")},
    "depth": {
        "": drawn(product(M=[1, 2], ratio=[0.5, 1.2]), "largest_logit"),
        "linear-theory": drawn(product(M=[1, 2], ratio=[0.5, 1.2]), "logit"),
        "relu": drawn(product(kind=["theory", "explicit", "random"], L=[3, 4], K=[6, 10]), "f", "DNC"),
    },
    "layers": {
        "": drawn(
            product(seed=[0], set=["train", "test"], layer=[1, 2, 3]),
            *("trace_ratio", "separation", "centre_error", "trace_ratio_fit", "separation_fit"),
            *("trace_ratio_r2", "separation_r2"),
        )
    },
    "rank": {
        "": drawn(product(source=["plain", "batch norm", "linear, $M=2$"], number=[1, 2, 3]), "singular_value")
        | {"network": np.repeat([True, True, False], 3)},
        "epochs": drawn(product(source=["plain", "batch norm"], epoch=[0, 1, 5]), "nc1", "nc2"),
    },
    "transfer": {
        "": drawn(product(model=["base", "untrained"]), "nc1", "source_nc1", "probe")
        | {"trained": np.array([True, False])},
        "finetune": drawn(product(method=["probe", "layer", "raw"], draw=[0, 1]), "accuracy")
        | {"share": np.array([0.01, 0.01, 0.1, 0.1, np.nan, np.nan])},
    },
    "seli": {
        "": drawn(product(lam_W=LAM), "distance_gram_W", "distance_gram_M"),
        "theory": drawn(product(nu=LAM), "distance_gram_W", "distance_gram_M"),
        "cosines": drawn(product(nu=[0.03, 1e-3, 0.0], i=range(4), j=range(4)), "gram_W", "gram_M"),
    },
    "flow": {
        "": drawn(
            product(panel=["modes", "balance", "ray", "late"], series=["lam = 0", "n = 2"], x=[0, 1]), "y", "theory"
        )
    },
    "performance": {
        "": drawn(product(file=["made"], case=["S1"], method=["ufm.solve", "other"]), "cold", "warm")
        | {"gradient": np.array([1e-11, 1e-3])}
    },
}


def made(name: str) -> Data:
    """The data of one figure."""
    return Data(TABLES[name], SIZES | MORE, dict.fromkeys(CHECKS, 1))
