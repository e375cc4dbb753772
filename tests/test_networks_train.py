"""Training: against SGD written out by hand, the same digits again, and the same digits after a resume."""

from dataclasses import replace

import equinox as eqx
import jax
import numpy as np
import pytest

import ufm
from ufm.networks import Data, Network, Recipe, from_arrays, load, mlp, save, start, train, wine, with_statistics
from ufm.networks.layers import Chain, affine, flatten

RECIPE = Recipe(epochs=3, batch=8, rate=0.1)


def blobs(N: int = 45, d: int = 4, K: int = 3) -> Data:
    rng = np.random.default_rng(0)
    y = np.arange(N) % K
    return from_arrays(rng.standard_normal((N, d)) + 2.0 * np.eye(K, d)[y], y)


DATA = blobs()
NETWORK = mlp(DATA.shape, DATA.K, depth=2, width=5)


def digits_of(run) -> list[bytes]:
    return [
        np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(eqx.filter((run.network, run.momentum), eqx.is_array))
    ]


def test_the_steps_are_those_of_sgd_written_out():
    """A linear model with the squared error: Nesterov's momentum, decay and cosine in NumPy, for two epochs."""
    data, recipe = blobs(), Recipe(epochs=2, batch=16, rate=0.2, momentum=0.7, decay=0.03, loss=ufm.MSE())
    network = Network((Chain((flatten,)),), affine(np.random.default_rng(0), data.K, 4), ("input",))
    run = train(start(network, recipe, data, key=5), recipe, data)
    theta = np.hstack([np.asarray(network.head.weight), np.asarray(network.head.bias)[:, None]]).astype(np.float64)
    X, Y = np.hstack([data.x, np.ones((len(data.y), 1))]), np.eye(data.K)[data.y]
    steps, velocity, losses = len(data.y) // 16, np.zeros_like(theta), []
    for t in range(2 * steps):
        order = np.random.default_rng([5, t // steps]).permutation(len(data.y))
        index = order[16 * (t % steps) : 16 * (t % steps + 1)]
        error = X[index] @ theta.T - Y[index]
        losses.append(0.5 * np.sum(error**2) / 16)
        gradient = error.T @ X[index] / 16 + 0.03 * theta
        velocity = gradient + 0.7 * velocity
        theta = theta - 0.1 * (1.0 + np.cos(np.pi * t / (2 * steps))) * (gradient + 0.7 * velocity)
    found = np.hstack([np.asarray(run.network.head.weight), np.asarray(run.network.head.bias)[:, None]])
    np.testing.assert_allclose(found, theta, atol=2e-6)  # some ten float32 roundings of entries about 1
    np.testing.assert_allclose(run.loss, np.mean(losses[steps:]), rtol=1e-5)


def test_the_same_seed_gives_the_same_digits():
    runs = [train(start(NETWORK, RECIPE, DATA, key), RECIPE, DATA) for key in (1, 1, 2)]
    assert digits_of(runs[0]) == digits_of(runs[1]) != digits_of(runs[2])


def test_a_resumed_run_gives_the_digits_of_one_that_never_stopped(tmp_path):
    straight = train(start(NETWORK, RECIPE, DATA, 1), RECIPE, DATA)
    path = tmp_path / "run.npz"
    train(start(NETWORK, RECIPE, DATA, 1), RECIPE, DATA, until=2, progress=lambda run: save(path, run))
    fresh = load(path, start(mlp(DATA.shape, DATA.K, depth=2, width=5, key=9), RECIPE, DATA))
    assert (fresh.epoch, fresh.key) == (2, 1)
    resumed = train(fresh, RECIPE, DATA)
    assert digits_of(resumed) == digits_of(straight)
    assert resumed.loss == straight.loss
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"]


def test_progress_comes_once_an_epoch_and_a_run_is_not_changed():
    seen, first = [], start(NETWORK, RECIPE, DATA)
    before = digits_of(first)
    last = train(first, RECIPE, DATA, progress=seen.append)
    assert [run.epoch for run in seen] == [1, 2, 3]
    assert seen[-1] is last
    assert np.isnan(first.loss)
    assert digits_of(first) == before


def test_a_batch_norm_network_collapses_on_wine():
    """The issue's recipe in small: 600 steps on 108 wines."""
    data, recipe = wine(), Recipe(epochs=600)
    run = train(start(mlp(data.shape, data.K, depth=3, width=32), recipe, data), recipe, data)
    fixed = with_statistics(run.network, data.x)
    H = np.asarray(list(fixed.taps(data.x).values())[-1])
    found = ufm.collapse(H.T, data.y, fixed.head.weight, fixed.head.bias)
    assert found.accuracy == 1.0
    assert found.nc4 == 0.0
    assert found.nc1 < 0.03  # measured 9e-3
    assert found.nc2_gram_H < 0.01  # measured 7e-4


def test_a_diverging_run_says_so():
    recipe = Recipe(epochs=3, batch=8, rate=1e30, loss=ufm.MSE())
    with pytest.raises(FloatingPointError, match=r"train: the loss is .* in epoch .* Lower recipe.rate=1e\+30"):
        train(start(NETWORK, recipe, DATA), recipe, DATA)


@pytest.mark.parametrize(
    ("recipe", "error", "needle"),
    [
        (Recipe(epochs=0), ValueError, "epochs=0"),
        (Recipe(batch=1), ValueError, "batch=1 (batch norm needs two samples)"),
        (Recipe(rate=-1.0), ValueError, "rate=-1.0"),
        (Recipe(momentum=1.0), ValueError, "momentum=1.0 is not in [0, 1)"),
        (Recipe(decay=-1e-3), ValueError, "decay=-0.001 is not in [0, inf)"),
        (replace(RECIPE, decay="much"), ValueError, "decay='much'"),
        (Recipe(loss="ce"), TypeError, "loss='ce' is not callable"),
        ("ce", TypeError, "recipe='ce' is not a Recipe"),
    ],
)
def test_bad_recipes_are_refused(recipe, error, needle):
    with pytest.raises(error, match=r"train: .*Pass") as caught:
        start(NETWORK, recipe, DATA)
    assert needle in str(caught.value)


def test_bad_data_and_ends_are_refused():
    run = start(NETWORK, RECIPE, DATA)
    for data, needle in (
        (replace(DATA, K=4), "the network has 3 classes, the data 4"),
        (replace(DATA, y=DATA.y - 1), "a label in 0 .. 2 for each"),
        (replace(DATA, y=DATA.y[:-1]), "y shape"),
    ):
        with pytest.raises(ValueError, match=r"train: .*Pass") as caught:
            train(run, RECIPE, data)
        assert needle in str(caught.value)
    with pytest.raises(TypeError, match=r"train: data is a tuple, not Data"):
        train(run, RECIPE, (DATA.x, DATA.y))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"train: until=4 is beyond recipe.epochs=3. Pass"):
        train(run, RECIPE, DATA, until=4)
    with pytest.raises(ValueError, match=r"train: key=-1"):
        start(NETWORK, RECIPE, DATA, key=-1)


def test_files_that_hold_no_such_run_are_refused(tmp_path):
    run = start(NETWORK, RECIPE, DATA)
    with pytest.raises(FileNotFoundError, match=r"load: there is no file absent.npz in .* Pass"):
        load(tmp_path / "absent.npz", run)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(ValueError, match=r"load: .*text.npz is no .npz file. Pass"):
        load(tmp_path / "text.npz", run)
    save(tmp_path / "other.npz", start(mlp(DATA.shape, DATA.K, depth=1, width=5), RECIPE, DATA))
    with pytest.raises(ValueError, match=r"load: .*other.npz holds .* do not fit .* Pass"):
        load(tmp_path / "other.npz", run)
