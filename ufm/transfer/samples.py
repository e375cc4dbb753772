"""Data sets made from others: few labels, some of the classes, inverted contrast, augmented."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ufm.checks import whole
from ufm.networks.data import Data, centred

COPIES = 4  # of each sample in an augmented set


def few(data: Data, n: int, key: int = 0) -> Data:
    """`data` with n random training samples of each class, in random order; the test set stays.

    Raises:
        ValueError: a class has fewer than n training samples.
    """
    n = whole(n, "n", "few", 1, "samples of a class")
    smallest = int(np.min(np.bincount(data.y, minlength=data.K)))
    if n > smallest:
        raise ValueError(f"few: n={n}, but the smallest class has {smallest} training samples. Pass n <= {smallest}.")
    order = np.random.default_rng([whole(key, "key", "few", 0, "a seed"), n]).permutation(len(data.y))
    index = np.concatenate([order[data.y[order] == k][:n] for k in range(data.K)])
    return replace(data, x=data.x[index], y=data.y[index])


def split(data: Data, n: int, key: int = 0) -> tuple[Data, Data]:
    """`few(data, n, key)`, and `data` with the training samples that it left over.

    Raises:
        ValueError: fewer than n + 1 training samples in a class.
    """
    order = np.random.default_rng([whole(key, "key", "split", 0, "a seed"), n]).permutation(len(data.y))
    taken = np.concatenate([order[data.y[order] == k][:n] for k in range(data.K)])
    rest = np.setdiff1d(order, taken)
    if np.min(np.bincount(data.y[rest], minlength=data.K)) < 1:
        raise ValueError(f"split: n={n} leaves a class empty. Pass fewer samples of a class.")
    return few(data, n, key), replace(data, x=data.x[rest], y=data.y[rest])


def of_classes(data: Data, classes: Sequence[int], name: str) -> Data:
    """The samples of these classes, numbered anew in this order, less the mean of their training entries.

    Raises:
        ValueError: fewer than two classes, one that there is not, or one twice.
    """
    if len(classes) < 2 or sorted(set(classes) & set(range(data.K))) != sorted(classes):
        raise ValueError(f"of_classes: classes={list(classes)}. Pass two different ones or more, of 0 .. {data.K - 1}.")
    number = np.full(data.K, -1)
    number[list(classes)] = np.arange(len(classes))
    seen, held = number[data.y] >= 0, number[data.y_test] >= 0
    return centred(
        Data(name, data.x[seen], number[data.y[seen]], data.x_test[held], number[data.y_test[held]], len(classes))
    )


def inverted(data: Data) -> Data:
    """`data` with x mirrored between the least and the largest training entry: dark for light."""
    ends = np.min(data.x) + np.max(data.x)
    return replace(data, name=f"{data.name}, inverted", x=ends - data.x, x_test=ends - data.x_test)


def augmented(data: Data, change: Callable[[np.ndarray, np.random.Generator], np.ndarray], key: int = 0) -> Data:
    """`data` with 4 changed copies of each training sample instead of the sample."""
    rng = np.random.default_rng(whole(key, "key", "augmented", 0, "a seed"))
    copies = [change(data.x, rng).astype(np.float32) for _ in range(COPIES)]
    return replace(data, x=np.concatenate(copies), y=np.tile(data.y, COPIES))


def noise(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """x and Gaussian noise of half its standard deviation."""
    return x + 0.5 * np.std(x) * rng.standard_normal(x.shape)


def shift(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Images [N, h, w, c], each moved by at most one pixel up or down and left or right, the border repeated.

    Raises:
        ValueError: samples that are no images.
    """
    if np.ndim(x) != 4:
        raise ValueError(f"shift: samples have shape {np.shape(x)[1:]}, which are no images. Pass [N, h, w, c].")
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    by = rng.integers(3, size=(len(x), 2))
    h, w = x.shape[1:3]
    return np.stack([image[i : i + h, j : j + w] for image, (i, j) in zip(padded, by, strict=True)])
