"""Training of deep linear networks against gradient descent written out in NumPy, and the picture of the layers."""

import re

import numpy as np
import pytest

from ufm.figures.progressive import Layers, progressive_figure
from ufm.linear_networks import train_linear

LABELS = np.array([0, 0, 0, 1, 1, 1])
X = np.linalg.qr(np.random.default_rng(0).standard_normal((7, 6)))[0]


def descent(L, eps, rate, steps, key):
    """Gradients by the chain rule, products from the data on."""
    rng = np.random.default_rng(key)
    W = [eps * np.linalg.qr(rng.standard_normal((7, 7)))[0] for _ in range(L)]
    W[-1], Y = W[-1][:2], np.eye(2)[:, LABELS]
    for _ in range(steps):
        layers = [X]
        for w in W:
            layers.append(w @ layers[-1])
        back, slopes = layers[-1] - Y, []
        for w, features in zip(reversed(W), reversed(layers[:-1]), strict=True):
            slopes.append(back @ features.T)
            back = w.T @ back
        W = [w - rate * slope for w, slope in zip(W, reversed(slopes), strict=True)]
    layers = [X]
    for w in W:
        layers.append(w @ layers[-1])
    return layers[:-1], W[-1], np.sum((layers[-1] - Y) ** 2) / 2


def test_every_step_is_one_of_gradient_descent():
    features, last, loss = descent(3, 0.6, 0.1, 7, 4)
    found = train_linear(X, LABELS, L=3, eps=0.6, rate=0.1, max_steps=7, key=4)
    assert found.steps == 7
    assert not found.converged
    assert found.loss == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(found.last, last, atol=1e-14)
    for mine, theirs in zip(found.features, features, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-14)


def test_it_ends_when_it_interpolates():
    found = train_linear(X, LABELS, L=3, eps=0.6, rate=0.1, max_steps=5000)
    assert found.converged
    assert found.steps < 5000
    np.testing.assert_allclose(found.last @ found.features[-1], np.eye(2)[:, LABELS], atol=2e-10)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"X": X[0]}, ValueError, "X has shape (6,)"),
        ({"X": X * np.nan}, ValueError, "entries that are not finite"),
        ({"labels": LABELS[:5]}, ValueError, "labels are not 6 class numbers"),
        ({"labels": LABELS - 1}, ValueError, "labels are not 6 class numbers"),
        ({"labels": LABELS + 7}, ValueError, "9 classes in d=7 dimensions"),
        ({"L": 1}, ValueError, "L=1 (one matrix has no layers in between)"),
        ({"eps": 0.0}, ValueError, "eps=0.0 is not a finite positive number"),
        ({"rate": "fast"}, TypeError, "rate='fast' is not a finite positive number"),
        ({"max_steps": 0}, ValueError, "max_steps=0 (that allows no step)"),
    ],
)
def test_bad_input(change, error, message):
    arguments = {"X": X, "labels": LABELS, "L": 3, "eps": 0.5, "rate": 0.1, **change}
    with pytest.raises(error, match=re.escape(f"train_linear: {message}" if "X" not in change else message)):
        train_linear(arguments.pop("X"), arguments.pop("labels"), **arguments)


def test_the_picture_shows_points_and_lines():
    C, D = 10.0 ** -np.arange(4.0), np.linspace(0.7, 1.0, 4)
    figure = progressive_figure([Layers("a", C, D, 2.0 * C, D - 0.01), Layers("b", C / 3, D, C, D)])
    scatter, angle = figure.axes
    assert scatter.get_yscale() == "log"
    for axes, expected in ((scatter, (2.0 * C, C, C, C / 3)), (angle, (D - 0.01, D, D, D))):
        for line, y in zip(axes.lines, expected, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), y)
    for networks in ([], [Layers("a", C, D, C[:2], D)]):
        with pytest.raises(ValueError, match="progressive_figure: needs a network"):
            progressive_figure(networks)
