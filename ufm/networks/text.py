"""Text that every installation has: which subpackage of SciPy does a docstring belong to?"""

import importlib
import inspect
import re

import numpy as np

from ufm.networks.data import Data, from_arrays

SUBPACKAGES = ("linalg", "ndimage", "optimize", "signal", "special", "stats")


def docstrings(n: int = 45, words: int = 512, key: int = 0) -> Data:
    """Docstrings of 6 subpackages of SciPy, as TF-IDF vectors of the `words` most frequent words of the training set.

    Names that would give the answer away (the subpackage's, the function's, module paths) are taken out. The data
    change with the version of SciPy: for demonstrations, not for tests of numbers.

    Args:
        n: training docstrings of each subpackage, of at most 60; the rest is the test set.
        words: the dimension. key: seed of the choice.
    """
    texts, labels = zip(*((text, k) for k, name in enumerate(SUBPACKAGES) for text in _texts(name, key)), strict=True)
    split = from_arrays(np.arange(len(texts))[:, None], labels, n=n, name="docstrings", key=key)
    train, test = ([re.findall(r"[a-z]{2,}", texts[int(i)]) for i in part[:, 0]] for part in (split.x, split.x_test))
    names, counts = np.unique([word for document in train for word in document], return_counts=True)
    vocabulary = {str(word): i for i, word in enumerate(names[np.argsort(-counts, kind="stable")][:words])}
    seen, seen_test = _counts(train, vocabulary), _counts(test, vocabulary)
    rarity = np.log((1.0 + len(train)) / (1.0 + np.sum(seen > 0, axis=0))) + 1.0
    x, x_test = (_unit(np.log1p(part) * rarity) for part in (seen, seen_test))
    return Data("docstrings", x, split.y, x_test, split.y_test, len(SUBPACKAGES))


def _texts(name: str, key: int, most: int = 60) -> list[str]:
    """At most `most` long docstrings of one subpackage, lower case, without the names in it."""
    module = importlib.import_module(f"scipy.{name}")
    found = {}
    for member in sorted(module.__all__):
        text = inspect.getdoc(getattr(module, member)) or ""
        if len(text) > 400 and not inspect.ismodule(getattr(module, member)):
            telling = rf"\w+(\.\w+)+|\b{re.escape(member.lower())}\b|\b{name}\b|scipy|numpy"
            text = re.sub(telling, " ", text.lower())
            found.setdefault(text, None)
    texts = list(found)
    order = np.random.default_rng([key, len(name)]).permutation(len(texts))[:most]
    return [texts[i] for i in order]


def _counts(documents: list[list[str]], vocabulary: dict[str, int]) -> np.ndarray:
    counts = np.zeros((len(documents), len(vocabulary)))
    for row, document in zip(counts, documents, strict=True):
        np.add.at(row, [vocabulary[word] for word in document if word in vocabulary], 1.0)
    return counts


def _unit(x: np.ndarray) -> np.ndarray:
    """Rows of norm sqrt(columns): entries of size about one."""
    size = np.linalg.norm(x, axis=1, keepdims=True)
    return (np.sqrt(x.shape[1]) * x / np.where(size > 0.0, size, 1.0)).astype(np.float32)
