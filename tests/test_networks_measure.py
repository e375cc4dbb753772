"""Probes of any model, the experiments on networks that are trained here for a moment, and their pictures."""

import subprocess
import sys
from dataclasses import replace
from functools import cache
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy.special import logsumexp

import ufm
from theory import deep_cross_entropy
from ufm.figures.networks import epochs_figure, last_layer_figure, layers_figure, rank_figure
from ufm.networks import (
    Data,
    LastLayer,
    Recipe,
    batches,
    collapse_over_epochs,
    deep_model,
    from_arrays,
    gather,
    hybrid,
    last_layer,
    low_rank,
    measure_layers,
    mlp,
    no_norm,
    progressive_collapse,
    residual,
    start,
    train,
    unconstrained,
    with_statistics,
)
from ufm.verify.predict import predict

K, D, N = 3, 6, 60
RECIPE = Recipe(epochs=4, batch=16)


def blobs() -> Data:
    rng = np.random.default_rng(0)
    y = np.arange(90) % K
    return from_arrays(rng.standard_normal((90, D)) + 1.5 * np.eye(K, D)[y], y, n=20, name="blobs")


def drawn(line: Any) -> np.ndarray:
    """The heights of a line of a picture."""
    return np.asarray(line.get_ydata())


def widths(axes: Any) -> list[float]:
    return [bar.get_width() for bar in axes.patches]


DATA = blobs()
COURSE = collapse_over_epochs(hybrid(DATA.shape, K, depth=2, linear=1, width=8), DATA, RECIPE, epochs=[1, 2])


def features(x: np.ndarray) -> dict[str, np.ndarray]:
    """A model: the samples, then less and less of what differs within a class (as far as x tells)."""
    return {"input": x, "halved": np.hstack([x[:, :3], 0.1 * x[:, 3:]]), "first": x[:, :3]}


def test_layers_are_what_the_metrics_say_of_each():
    """NC1 against the other code of it, the errors against brute force."""
    found = measure_layers(features, batches(DATA.x, DATA.y, 7))
    assert found.names == ("input", "halved", "first")
    for i, H in enumerate(features(DATA.x).values()):
        direct = ufm.collapse(H.T, DATA.y)
        assert found.nc1[i] == pytest.approx(direct.nc1, rel=1e-12)
        assert found.trace_ratio[i] == pytest.approx(direct.nc1_trace, rel=1e-12)
        assert found.separation[i] == pytest.approx(K * direct.nc1, rel=1e-12)  # for classes of one size
        M = np.stack([H[DATA.y == k].mean(axis=0) for k in range(K)])
        nearest = np.argmin(np.sum((H[:, None] - M[None]) ** 2, axis=2), axis=1)
        assert found.centre_error[i] == pytest.approx(np.mean(nearest != DATA.y), abs=1e-12)
    assert 0.0 < found.centre_error[0] < 0.5


def test_the_nearest_centre_does_not_depend_on_an_offset_or_a_scale():
    def moved(x: np.ndarray) -> dict[str, np.ndarray]:
        return {name: 100.0 + 7.0 * H.astype(np.float64) for name, H in features(x).items()}

    one, other = (measure_layers(f, batches(DATA.x, DATA.y)) for f in (features, moved))
    np.testing.assert_allclose(other.centre_error, one.centre_error, atol=1e-12)
    np.testing.assert_allclose(other.nc1, one.nc1, rtol=1e-5)  # the float32 features were rounded after the shift


def test_separation_is_he_and_sus_trace():
    H = DATA.x.astype(np.float64)
    M = np.stack([H[DATA.y == k].mean(axis=0) for k in range(K)])
    R, C = H - M[DATA.y], M - M.mean(axis=0)
    within, between = R.T @ R / len(H), C.T @ C / K
    dense = np.trace(within @ np.linalg.pinv(between, rcond=1e-10))
    assert measure_layers(features, batches(DATA.x, DATA.y)).separation[0] == pytest.approx(dense, rel=1e-10)


@pytest.mark.parametrize(
    ("model", "source", "needle"),
    [
        (lambda x: {"a": x[:, :, None]}, batches(DATA.x, DATA.y), "layer 'a' has shape (60, 6, 1) for 60 samples"),
        (lambda x: {"a": x[:-1]}, batches(DATA.x, DATA.y), "layer 'a' has shape (59, 6)"),
        (lambda x: {f"{len(x)}": x}, batches(DATA.x, DATA.y, 50), "layers ['10'] after ['50']"),
        (lambda x: {}, batches(DATA.x, DATA.y), "no layer"),
        (features, [], "there is no batch"),
    ],
)
def test_models_that_give_no_features_are_refused(model, source, needle):
    with pytest.raises(ValueError, match=r"gather: .*(Pool|Pass|Return)") as caught:
        gather(model, source)
    assert needle in str(caught.value)


def test_a_torch_model_by_forward_hooks():
    """The recipe of ufm.networks.probes, on an affine map that NumPy can repeat."""
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(D, 4), torch.nn.ReLU(), torch.nn.Linear(4, K))
    kept: dict[str, Any] = {}
    for name in ("0", "1"):

        def hook(module: Any, inputs: Any, output: Any, name: str = name) -> None:
            kept[name] = output.flatten(1).numpy()

        model.get_submodule(name).register_forward_hook(hook)
    model.eval()

    def hooked(x: np.ndarray) -> dict[str, np.ndarray]:
        with torch.no_grad():
            model(torch.as_tensor(x))
        return dict(kept)

    found = measure_layers(hooked, batches(DATA.x, DATA.y, 16))
    H = DATA.x @ model[0].weight.detach().numpy().T + model[0].bias.detach().numpy()
    direct = [ufm.collapse(part.T, DATA.y).nc1 for part in (H, np.maximum(H, 0.0))]
    np.testing.assert_allclose(found.nc1, direct, rtol=1e-4)


def test_a_course_measures_the_network_that_trained():
    assert COURSE.epochs.tolist() == [0, 1, 2, 4]
    assert COURSE.run.epoch == 4
    straight = train(start(hybrid(DATA.shape, K, depth=2, linear=1, width=8), RECIPE, DATA), RECIPE, DATA)
    fixed = with_statistics(straight.network, DATA.x)
    for x, y, measured in ((DATA.x, DATA.y, COURSE.train), (DATA.x_test, DATA.y_test, COURSE.test)):
        H = np.asarray(list(fixed.taps(x).values())[-1]).T
        direct = ufm.collapse(H, y, fixed.head.weight, fixed.head.bias)
        assert measured[-1].nc1 == direct.nc1
        assert measured[-1].accuracy == direct.accuracy
    assert COURSE.loss[-1] < COURSE.loss[0]
    with pytest.raises(ValueError, match=r"collapse_over_epochs: epochs=\[0, 4, 9\] leave 0 .. 4. Pass"):
        collapse_over_epochs(mlp(DATA.shape, K), DATA, RECIPE, epochs=[9])


def test_the_layers_of_a_network_in_their_order():
    network = residual(DATA.shape, K, blocks=3, width=5)
    found = progressive_collapse(network, DATA, skip=1)
    assert found.train.names == found.test.names == ("stem", "block1", "block2", "block3")
    assert vars(found.trace_ratio) == vars(ufm.metrics.log_linear(found.train.trace_ratio[1:]))
    assert vars(found.separation) == vars(ufm.metrics.log_linear(found.train.separation[1:]))
    fixed = with_statistics(network, DATA.x)
    direct = ufm.collapse(np.asarray(fixed.taps(DATA.x)["block2"]).T, DATA.y)
    assert found.train.nc1[2] == pytest.approx(direct.nc1, rel=1e-11)


@cache
def last() -> LastLayer:
    return last_layer(COURSE.run.network, DATA, RECIPE)


def test_features_that_have_died_separate_nothing():
    network = mlp(DATA.shape, K, depth=2, width=4, norm=no_norm)
    dead = [0.0 * leaf if eqx.is_array(leaf) else leaf for leaf in jax.tree.leaves(network)]
    found = progressive_collapse(jax.tree.unflatten(jax.tree.structure(network), dead), DATA)
    assert np.all(np.isnan(found.train.nc1))
    assert np.isnan(found.trace_ratio.rate)
    assert found.depth == 2


def test_no_network_with_batch_norm_is_below_the_unconstrained_minimum():
    """objective >= loss + head and norm >= f(W, H, b) >= f*, and the middle is an equality but for the 1e-5."""
    found = last()
    assert found.certificate.verdict is ufm.Verdict.GLOBAL_MINIMUM
    assert found.objective > found.head_objective >= found.value > found.solution.value
    assert found.certificate.lower_bound <= found.solution.value
    norm = COURSE.run.network.stages[-1].layers[-1]
    size = float(np.sum(np.asarray(norm.scale) ** 2) + np.sum(np.asarray(norm.shift) ** 2))
    assert np.sum(found.params.H**2) / N == pytest.approx(size, rel=1e-3)  # 1e-5 over variances of about 0.1
    W, H, b = found.params
    Z = W @ H + b[:, None]
    loss = np.mean(logsumexp(Z, axis=0) - Z[found.problem.labels, np.arange(N)])
    decays = RECIPE.decay * (np.sum(W**2) + np.sum(b**2) + np.sum(H**2) / N)
    assert found.value == pytest.approx(loss + 0.5 * decays, rel=1e-12)
    assert found.solution.value == pytest.approx(predict(found.problem).value, rel=1e-10)
    assert found.optimum.nc1 < 1e-16
    assert found.optimum.margin_min == pytest.approx(found.optimum.margin_mean, rel=1e-9)


def test_after_a_relu_the_model_has_nonnegative_features_and_less_norm_than_is_paid_for():
    network = mlp(DATA.shape, K, depth=1, width=8)
    problem, params = unconstrained(network, DATA, RECIPE)
    assert isinstance(problem.model.H, type(ufm.relu_features().H))
    assert np.min(params.H) == 0.0
    assert np.sum(params.H**2) / N < float(np.sum(np.asarray(network.stages[-1].layers[-2].scale) ** 2))
    assert (problem.lam_W, problem.lam_b, problem.lam_H) == (RECIPE.decay, RECIPE.decay, RECIPE.decay / N)


def test_last_layers_without_a_known_decay_are_refused():
    with pytest.raises(ValueError, match=r"last_layer: the last stage 'layer5' ends in .* Pass an mlp"):
        last_layer(mlp(DATA.shape, K, norm=no_norm), DATA, RECIPE)
    with pytest.raises(ValueError, match=r"last_layer: the last stage 'block1' ends in Residual"):
        last_layer(residual(DATA.shape, K, blocks=1), DATA, RECIPE)
    unequal = replace(DATA, x=DATA.x[:-1], y=DATA.y[:-1])
    for data, recipe in ((unequal, RECIPE), (DATA, replace(RECIPE, decay=0.0))):
        with pytest.raises(ValueError, match=r"last_layer: classes of sizes .* Pass equal classes and decay > 0"):
            unconstrained(COURSE.run.network, data, recipe)


def test_low_rank_trains_one_network_in_two_ways():
    seen: list[int] = []
    short = Recipe(epochs=1, batch=20, rate=1e-6)
    plain, normed = low_rank(DATA, depth=1, plain=short, normed=short, progress=lambda run: seen.append(run.epoch))
    assert (plain.name, normed.name, seen) == ("blobs, plain", "blobs, batch norm", [1, 1])
    weights = [np.asarray(course.run.network.stages[0].layers[1].weight) for course in (plain, normed)]
    np.testing.assert_allclose(weights[0], weights[1], atol=1e-4)  # both start from the same weights
    assert len(plain.run.network.stages[0].layers) == len(normed.run.network.stages[0].layers)
    figure = rank_figure(plain, normed, {})
    figure.draw_without_rendering()
    left, right = figure.axes
    for line, course in zip(left.lines, (plain, normed), strict=False):
        s = course.train[-1].spectrum
        np.testing.assert_allclose(drawn(line), s[:-1] / s[0])
    np.testing.assert_array_equal(drawn(right.lines[0]), [at.nc1 for at in plain.train])


def test_more_matrices_lower_the_rank_of_the_deep_model():
    """Two matrices, six classes: the cross-polytope of theory, of rank 3, far below the simplex; one: the simplex."""
    sizes = {"K": 6, "n": 1, "lam_W": 1e-3, "lam_H": 1e-3}
    deep = deep_model(6, 1e-3, 2, starts=6)
    value = deep_cross_entropy.cross_polytope(**sizes, M=2).value
    assert deep.found.solution.value == pytest.approx(value, abs=1e-10)
    assert value < deep_cross_entropy.etf(**sizes, M=2).value - 1e-3
    np.testing.assert_allclose(deep.spectrum / deep.spectrum[0], [1, 1, 1, 0, 0, 0], atol=1e-5)
    flat = deep_model(6, 1e-3, 1, relu=True, starts=1)
    assert flat.found.solution.value == pytest.approx(deep_cross_entropy.etf(**sizes, M=1).value, abs=1e-10)
    np.testing.assert_allclose(flat.spectrum / flat.spectrum[0], [1, 1, 1, 1, 1, 0], atol=1e-6)
    with pytest.raises(ValueError, match=r"deep_model: matrices=0 makes no logits\. Pass 1 or more"):
        deep_model(6, 1e-3, 0)


def test_the_deep_model_with_relus_is_searched_by_annealed_starts():
    deep = deep_model(3, 2e-3, 2, relu=True, starts=2, steps=50)
    assert (deep.problem.d, deep.found.starts) == (6, 2)
    assert isinstance(deep.problem.model, ufm.DeepReLU)
    assert deep.spectrum[0] > 0.0


def test_the_picture_of_the_epochs():
    figure = epochs_figure([COURSE, COURSE])
    figure.draw_without_rendering()
    assert len(figure.axes) == 2
    np.testing.assert_allclose(drawn(figure.axes[0].lines[0]), [at.nc1 for at in COURSE.train])
    np.testing.assert_allclose(drawn(figure.axes[0].lines[1]), [at.nc1 for at in COURSE.test])
    with pytest.raises(ValueError, match=r"epochs_figure: there is nothing to draw. Pass"):
        epochs_figure([])


def test_the_picture_of_the_layers():
    found = progressive_collapse(COURSE.run.network, DATA, skip=0)
    figure = layers_figure([found])
    figure.draw_without_rendering()
    (axes,) = figure.axes
    np.testing.assert_allclose(drawn(axes.lines[0]), found.train.trace_ratio)
    line = drawn(axes.lines[1])
    np.testing.assert_allclose(line[1:] / line[:-1], found.trace_ratio.rate)
    with pytest.raises(ValueError, match=r"layers_figure: there is nothing to draw. Pass"):
        layers_figure([])


def test_the_picture_of_the_last_layer():
    found = last()
    figure = last_layer_figure(found, "blobs")
    figure.draw_without_rendering()
    bars, margins = figure.axes[:2]
    expected = [found.objective, found.head_objective, found.value, found.certificate.lower_bound]
    np.testing.assert_allclose(widths(bars), expected)
    assert sum(bar.get_height() for bar in margins.patches) == N  # pyright: ignore[reportAttributeAccessIssue]
    assert "blobs" in figure.get_suptitle()


def test_importing_networks_loads_no_matplotlib():
    """It would cost most of a second, and only `glyphs` reads its fonts."""
    code = "import sys, ufm.networks; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"


def test_without_equinox_ufm_works_and_networks_say_what_to_install():
    code = (
        "import sys; sys.modules['equinox'] = None; import ufm\n"
        "print(sorted({'equinox', 'sklearn', 'torch'} & {name for name, module in sys.modules.items() if module}))\n"
        "try:\n    import ufm.networks\nexcept ImportError as error:\n    print(error)"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    loaded, said = printed.splitlines()
    assert loaded == "[]"
    assert said == "ufm.networks: needs equinox. Install it with: pip install 'ufm[networks]'"
