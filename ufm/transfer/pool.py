"""NCTI: a score that exists only within a pool of models."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from ufm.metrics.arrays import read_matrix, read_samples

COMPONENTS, LEADING, LEAST = 64, 32, 1e-10  # of the published code


def ncti(pool: Mapping[str, Any], y: Any) -> dict[str, float]:
    """{name: minmax(z1) + minmax(z2) - minmax(z3)} over a pool of models, the Neural Collapse transferability index.

    Of each model, after PCA to 64 dimensions and linear discriminant analysis with a shrinkage: z1 the nuclear norm of
    the discriminants, z2 the mean posterior of the samples' classes, z3 the logarithm of the sum of the nuclear norms
    of each class's posteriors; minmax maps the least value in the pool to 0 and the largest to 1.

    Args:
        pool: two models or more: name -> features [N, d], all of the same N samples, N > K.
        y: [N] any integers, of two classes or more.
    Returns:
        In [-1, 2]; HIGHER is better; NaN where all samples of a model are equal. A model's value depends on the others
        in the pool, and means nothing outside of it; the discriminants' solver changes at a threshold, so that it jumps
        under rescaling.
    Raises:
        ImportError: scikit-learn is not installed (extra: networks).
        TypeError, ValueError: as `ufm.transfer.scores`; fewer than two models, or N <= K.
    Source:
        Wang et al. (ICCV 2023), How far pre-trained models are from neural collapse on the target dataset informs
        their transferability, public code.
    """
    if not isinstance(pool, Mapping) or len(pool) < 2:
        raise ValueError("ncti: needs two models to compare. Pass {name: features [N, d]} of two or more.")
    values = relative(np.array([ncti_parts(H, y) for H in pool.values()]))
    return dict(zip(pool, values.tolist(), strict=True))


def relative(parts: np.ndarray) -> np.ndarray:
    """[M] minmax(z1) + minmax(z2) - minmax(z3) of the parts [M, 3] of a pool; NaN where a part is."""
    defined = parts[np.all(np.isfinite(parts), axis=1)]
    low = np.min(defined, axis=0, initial=np.inf)
    span = np.max(defined, axis=0, initial=-np.inf) - low
    return (parts - low) / np.where(span > 0.0, span, 1.0) @ np.array([1.0, 1.0, -1.0])


def ncti_parts(H: Any, y: Any) -> tuple[float, float, float]:
    """(z1, z2, z3) of one model, before they are set against a pool's: see `ncti`. NaN if all samples are equal."""
    try:
        from sklearn.decomposition import PCA
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    except ImportError as error:
        raise ImportError("ncti: needs scikit-learn. Install it with: pip install 'ufm[networks]'") from error
    samples = read_samples("ncti", H, y)
    X = read_matrix("ncti", "features", samples.features, "[N, d]")
    classes, labels = np.unique(samples.labels, return_inverse=True)
    if not 2 <= len(classes) < len(X):
        raise ValueError(f"ncti: {len(X)} samples of {len(classes)} classes. Pass two classes or more, and N > K.")
    if not np.any(np.ptp(X, axis=0) > 0.0):
        return np.nan, np.nan, np.nan
    pca = PCA(min(COMPONENTS, *X.shape), svd_solver="full").fit(X)
    Z = pca.transform(X)
    shrinkage = float(np.exp(-np.sum(pca.explained_variance_[:LEADING])))
    if shrinkage <= LEAST:
        discriminants = LinearDiscriminantAnalysis(solver="svd")
    else:
        discriminants = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # collinear features, classes of one sample: both have an answer
        found = discriminants.fit(Z, labels).transform(Z)
    P = discriminants.predict_proba(Z)
    norms = [np.linalg.norm(P[labels == k], "nuc") for k in range(len(classes))]
    own = P[np.arange(len(labels)), labels]
    return (
        float(np.linalg.norm(found - np.mean(found, axis=0), "nuc")),
        float(np.mean(own)),
        float(np.log(np.sum(norms))),
    )
