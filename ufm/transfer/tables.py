"""What the rows of fine-tuning say: methods over backbones and draws, rules for the layer, differences, negatives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ufm.transfer.experiments import Found
from ufm.transfer.finetune import least
from ufm.transfer.paired import mean_error
from ufm.transfer.rows import Row
from ufm.transfer.summary import spearman


@dataclass(frozen=True, eq=False)
class Method:
    """A way of fine-tuning over B backbones and D draws of the samples.

    Attributes:
        name: with its layer's number, or the rule that chose one in each case; "raw", "random" and "labels" are
            controls.
        n: samples a class.
        accuracy: [B, D] on the test set. nc1, nc1_train: [B, D] after, on the test and on the training set.
        share: of the parameters that were trained, mean. seconds: mean.
        labels: used, of training and validation. layers: [B, D] the layer, 0 for none.
    """

    name: str
    n: int
    accuracy: np.ndarray
    nc1: np.ndarray
    nc1_train: np.ndarray
    share: float
    seconds: float
    labels: int
    layers: np.ndarray


def methods(found: Found, n: int) -> tuple[Method, ...]:
    """Each method at each layer, and the rules: "nc1", the lowest frozen NC1; "search", the lowest NC1 after tuning;
    "validation", the best accuracy on the validation, where there is one.

    No rule looks at the test set. Rows were computed for every layer, so that a rule's seconds are those of the layer
    it chose, without its search.
    """
    rows = [row for row in found.rows if row["n"] == n]
    cases = sorted({(row["backbone"], row["draw"]) for row in rows})
    named: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: cases.index((row["backbone"], row["draw"]))):
        named.setdefault(row["method"] + (f" {row['layer']}" if row["layer"] else ""), []).append(row)
    rules: dict[str, Callable[[Row], float]] = {
        "nc1": lambda row: least(float(row["frozen"][row["layer"] - 1])),
        "search": lambda row: least(row["nc1_after"]),
    }
    if not any(np.isnan(row["validation_accuracy"]) for row in rows if row["layer"]):
        rules["validation"] = lambda row: -row["validation_accuracy"]
    for method in dict.fromkeys(row["method"] for row in rows if row["layer"]):
        own = [row for row in rows if row["method"] == method]
        for rule, of in rules.items():
            named[f"{method} {rule}"] = [
                min((row for row in own if (row["backbone"], row["draw"]) == case), key=of) for case in cases
            ]
    B = len({backbone for backbone, _ in cases})
    return tuple(_method(name, n, part, B) for name, part in named.items())


def paired(one: Method, other: Method) -> tuple[float, float]:
    """Mean of the differences in accuracy, backbone by backbone and draw by draw, and its standard error."""
    difference = one.accuracy - other.accuracy
    return float(np.mean(difference)), mean_error(difference)


def findings(table: Mapping[str, Method]) -> list[str]:
    """Sentences on a table of methods by name: who did best, and the negatives.

    A layer by number is left out of the contest: the test set would have to choose it.
    """
    mean = {name: float(np.mean(method.accuracy)) for name, method in table.items()}
    rules = (" nc1", " search", " validation")
    fixed = {name: mean[name] for name in mean if name in ("probe", "full") or name.endswith(rules)}
    best = max(fixed, key=lambda name: fixed[name])
    told = [f"best without looking at the test set: {best}, {fixed[best]:.3f}"]
    controls = {
        "raw": "a linear probe of the raw samples does as well: no claim of transfer",
        "scratch": "training from scratch does as well: pretraining does not help",
        "labels": "a linear probe that learns from the labels by which the others choose does as well",
    }
    for name, said in controls.items():
        if name in mean and mean[name] >= fixed[best]:
            told.append(f"NEGATIVE: {said} ({mean[name]:.3f}, {_against(table[name], table[best])} against it)")
    if best == "probe":
        told.append("NEGATIVE: nothing does better than the linear probe")
    if best == "full":
        told.append("NEGATIVE: full fine-tuning does better than tuning one block")
    return [*told, *_skip(table), *_collapse(table)]


def _collapse(table: Mapping[str, Method]) -> list[str]:
    """Whether accuracy and collapse on the test set go together, over what was done to one pretrained network."""
    done = [method for name, method in table.items() if name in ("probe", "full") or name.split()[-1].isdigit()]
    accuracy, nc1 = (np.array([np.mean(getattr(method, key)) for method in done]) for key in ("accuracy", "nc1"))
    rho = spearman(nc1, accuracy)
    told = f"rank correlation of the accuracy with NC1 of the test features, over {len(done)} methods: {rho:+.2f}"
    return [told] if np.isfinite(rho) else []


def _skip(table: Mapping[str, Method]) -> list[str]:
    """What the skip adds to tuning the same layer; of the last layer it is the last feature twice, and left out."""
    layers = sorted(int(name.split()[1]) for name in table if name.startswith("scl ") and name.split()[1].isdigit())
    gains = [table[f"scl {layer}"].accuracy - table[f"layer {layer}"].accuracy for layer in layers[:-1]]
    if not gains:
        return []
    mean, error = float(np.mean(gains)), mean_error(np.mean(gains, axis=0))
    each = ", ".join(f"{np.mean(gain):+.3f}" for gain in gains)
    told = (
        f"the skip adds {mean:+.3f} ({_number(error)}) to tuning one layer, mean over the layers but the last ({each})"
    )
    return [f"NEGATIVE: {told}" if mean <= 2.0 * error else told]


def _against(one: Method, other: Method) -> str:
    mean, error = paired(one, other)
    return f"{mean:+.3f} (se {_number(error)})"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _method(name: str, n: int, rows: Sequence[Row], B: int) -> Method:
    def column(key: str) -> np.ndarray:
        return np.array([row[key] for row in rows]).reshape(B, -1)

    return Method(
        name,
        n,
        column("accuracy"),
        column("nc1_test"),
        column("nc1_after"),
        float(np.mean(column("share"))),
        float(np.mean(column("seconds"))),
        int(rows[0]["labels"]),
        column("layer"),
    )
