"""Data whose collapse is known: the published values, simplices, near-equal means, and NC1 in rational arithmetic."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np

FIXTURE = json.loads((Path(__file__).parent / "data" / "metrics.json").read_text())
PUBLISHED = {entry["name"]: entry["value"] for entry in FIXTURE["values"]}


def fixture_data():
    g = np.random.Generator(np.random.PCG64(2024))
    K, d, counts = 5, 96, (40, 60, 80, 100, 120)
    M = g.standard_normal((K, d))
    y = np.repeat(np.arange(K), counts)
    X = M[y] + 0.8 * g.standard_normal((400, d))
    W = M - M.mean(0) + 0.1 * g.standard_normal((K, d))
    b = 0.1 * g.standard_normal(K)
    return X.T, y, W, b


def random_data(seed, K=4, d=7, n=(3, 5, 2, 9), spread=0.3):
    g = np.random.default_rng(seed)
    y = g.permutation(np.repeat(np.arange(K), n))
    H = g.standard_normal((d, K))[:, y] + spread * g.standard_normal((d, y.size))
    return H, y, g.standard_normal((K, d)), g.standard_normal(K)


def etf(K, d, seed=0):
    """[K, d] rows of a simplex ETF in general position, norms sqrt((K-1)/K)."""
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, K)))[0]
    return (np.eye(K) - 1.0 / K) @ Q.T


def exact_nc1(H, y, K):
    """tr(Sigma_W Sigma_B^+) / K in rational arithmetic, for Sigma_B of full rank K-1.

    C = D [I | -1] with D its first K-1 columns, so |C^+ r|^2 = t^T (I - J/K) t for D^T D t = D^T r.
    """
    columns = [[Fraction(float(value)) for value in column] for column in H.T]
    d, N = len(columns[0]), len(columns)
    members = [[column for column, label in zip(columns, y, strict=True) if label == k] for k in range(K)]
    means = [[sum(column[i] for column in group) / len(group) for i in range(d)] for group in members]
    centre = [sum(mean[i] for mean in means) / K for i in range(d)]
    D = [[mean[i] - centre[i] for i in range(d)] for mean in means[:-1]]
    gram = [[sum(p * q for p, q in zip(u, v, strict=True)) for v in D] for u in D]
    total = Fraction(0)
    for column, label in zip(columns, y, strict=True):
        right = [sum(p * (q - m) for p, q, m in zip(u, column, means[label], strict=True)) for u in D]
        t = solve_exact(gram, right)
        total += sum(value * value for value in t) - sum(t) ** 2 / K
    return float(total / N)


def solve_exact(A, rhs):
    rows = [[*row, value] for row, value in zip(A, rhs, strict=True)]
    for i in range(len(rows)):
        pivot = next(j for j in range(i, len(rows)) if rows[j][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for j in range(len(rows)):
            if j != i:
                rows[j] = [p - rows[j][i] * q for p, q in zip(rows[j], rows[i], strict=True)]
    return [row[-1] for row in rows]


def rotation(seed, d):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


def near_means(gap, offset=0.0, spread=1e-2, dtype: type = np.float64):
    """Four classes in d=6 of which the last two have means `gap` apart (sampling error of the means removed)."""
    g = np.random.default_rng(7)
    M = g.standard_normal((6, 4))
    direction = g.standard_normal(6)
    M[:, 3] = M[:, 2] + gap * direction / np.linalg.norm(direction)
    y = np.repeat(np.arange(4), 10)
    R = g.standard_normal((6, 40)) * spread / np.sqrt(6)
    R -= np.stack([R[:, y == k].mean(1) for k in range(4)], axis=1)[:, y]
    return (M[:, y] + R + offset).astype(dtype), y
