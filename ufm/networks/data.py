"""Data sets that need no download: training and test arrays in float32, as a network takes them.

The training set has equal classes, because that is what the closed forms speak of; the rest is the test set.
scikit-learn ships digits, wine, breast cancer and iris. `drawn` and `text` make more; `files` reads what users have.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ufm.checks import whole


@dataclass(frozen=True, eq=False)
class Data:
    """A classification problem.

    Attributes:
        name: for tables and pictures.
        x [N, ...], y [N]: training samples (float32) and labels 0 .. K-1 (int). x_test, y_test: the held-out ones.
        K: classes.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    K: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return self.x.shape[1:]


def from_arrays(x: Any, y: Any, *, n: int | None = None, name: str = "data", key: int = 0) -> Data:
    """n random samples of each class to train on, the rest to test on.

    Args:
        x: [N, ...] real numbers, scaled as the network should see them. y: [N] any labels; numbered in sorted order.
        n: of each class; default three quarters of the smallest class.
        key: seed of the choice.
    Raises:
        ValueError: shapes that disagree, non-finite values, fewer than two classes, or a class of fewer than n
            samples, or too few to test on.
    """
    x, y = np.asarray(x, np.float32), np.asarray(y)
    if x.ndim < 2 or y.shape != x.shape[:1]:
        raise ValueError(f"from_arrays: x has shape {x.shape}, y {y.shape}. Pass x [N, ...] and y [N].")
    if not np.all(np.isfinite(x)):
        raise ValueError(f"from_arrays: x has {np.sum(~np.isfinite(x))} non-finite entries. Pass finite numbers.")
    classes, labels = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"from_arrays: y has {len(classes)} class. Pass samples of two classes or more.")
    smallest = int(np.min(np.bincount(labels)))
    n = (3 * smallest) // 4 if n is None else whole(n, "n", "from_arrays", 1, "samples of a class")
    if not 1 <= n < smallest:
        raise ValueError(f"from_arrays: n={n}, but the smallest class has {smallest} samples. Pass n < {smallest}.")
    order = np.random.default_rng(whole(key, "key", "from_arrays", 0, "a seed")).permutation(len(y))
    chosen = np.concatenate([order[labels[order] == k][:n] for k in range(len(classes))])
    rest = np.setdiff1d(order, chosen)
    return Data(name, x[chosen], labels[chosen], x[rest], labels[rest], len(classes))


def digits(n: int = 130, key: int = 0) -> Data:
    """UCI's handwritten digits, 1797 images [8, 8, 1] in 10 classes, pixels in [0, 1] less the training mean."""
    x, y = _sklearn("load_digits")
    return centred(from_arrays(x.reshape(-1, 8, 8, 1) / 16.0, y, n=n, name="digits", key=key))


def wine(n: int = 36, key: int = 0) -> Data:
    """UCI's wines: 178 samples of 13 standardised features in 3 classes."""
    return standardised(from_arrays(*_sklearn("load_wine"), n=n, name="wine", key=key))


def breast_cancer(n: int = 150, key: int = 0) -> Data:
    """UCI's breast cancer (Wisconsin): 569 samples of 30 standardised features in 2 classes; NC2 is 0 for K = 2."""
    return standardised(from_arrays(*_sklearn("load_breast_cancer"), n=n, name="breast cancer", key=key))


def iris(n: int = 36, key: int = 0) -> Data:
    """Fisher's irises: 150 samples of 4 standardised features in 3 classes."""
    return standardised(from_arrays(*_sklearn("load_iris"), n=n, name="iris", key=key))


def random_labels(data: Data, key: int = 0) -> Data:
    """`data` with its labels permuted at random, in the training and in the test set: nothing is left to learn."""
    rng = np.random.default_rng(whole(key, "key", "random_labels", 0, "a seed"))
    y, y_test = rng.permutation(data.y), rng.permutation(data.y_test)
    return replace(data, name=f"{data.name}, random labels", y=y, y_test=y_test)


def flattened(data: Data) -> Data:
    """`data` with samples as vectors."""
    return replace(data, x=data.x.reshape(len(data.x), -1), x_test=data.x_test.reshape(len(data.x_test), -1))


def centred(data: Data) -> Data:
    """`data` less the mean of all its training entries."""
    mean = np.float32(np.mean(data.x, dtype=np.float64))
    return replace(data, x=data.x - mean, x_test=data.x_test - mean)


def standardised(data: Data) -> Data:
    """`data` with each feature of mean 0 and variance 1 on the training set; constant features become 0."""
    x = data.x.astype(np.float64)
    mean, std = np.mean(x, axis=0), np.std(x, axis=0)
    std = np.where(std > 0.0, std, np.inf)
    x, x_test = (((part - mean) / std).astype(np.float32) for part in (x, data.x_test))
    return replace(data, x=x, x_test=x_test)


def _sklearn(loader: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError(f"{loader}: needs scikit-learn. Install it with: pip install 'ufm[networks]'") from error
    return getattr(datasets, loader)(return_X_y=True)
