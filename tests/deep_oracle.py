"""f of deep models, its gradient and Hessian in plain NumPy, sharing no code with what is checked against it."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize


@dataclass(frozen=True, eq=False)
class Deep:
    """K classes of the given sizes; dims (d, d_2, ..., d_M); lams (lam_1, ..., lam_M, lam_H); loss "mse" or "ce"."""

    sizes: tuple[int, ...]
    dims: tuple[int, ...]
    lams: tuple[float, ...]
    lam_b: float | None = None
    loss: str = "mse"
    relu: bool = False

    @property
    def N(self):
        return sum(self.sizes)

    def shapes(self):
        K = len(self.sizes)
        matrices = list(zip([*self.dims[1:], K], self.dims, strict=True))
        return [*matrices, (self.dims[0], self.N), *([(K,)] if self.lam_b is not None else [])]

    def split(self, x):
        parts, at = [], 0
        for shape in self.shapes():
            parts.append(x[at : at + int(np.prod(shape))].reshape(shape))
            at += int(np.prod(shape))
        return parts

    def join(self, W, H, b):
        return np.concatenate([part.ravel() for part in [*W, H, *([] if b is None else [b])]])

    def value_and_gradient(self, x):
        parts = self.split(x)
        M = len(self.dims)
        W, H, b = parts[:M], parts[M], parts[M + 1] if self.lam_b is not None else np.zeros(len(self.sizes))
        Y = np.repeat(np.eye(len(self.sizes)), self.sizes, axis=1)
        layers, X = [H], H
        for i, w in enumerate(W):
            X = w @ X
            X = np.maximum(X, 0.0) if self.relu and i < M - 1 else X
            layers.append(X)
        Z = X + b[:, None]
        if self.loss == "mse":
            data, G = np.sum((Z - Y) ** 2) / (2 * self.N), (Z - Y) / self.N
        else:
            top = np.max(Z, axis=0)
            mass = np.exp(Z - top)
            data = np.mean(np.log(np.sum(mass, axis=0)) + top - np.sum(Y * Z, axis=0))
            G = (mass / np.sum(mass, axis=0) - Y) / self.N
        decays = [*self.lams, *([] if self.lam_b is None else [self.lam_b])]
        value = data + sum(lam * np.sum(part**2) for lam, part in zip(decays, parts, strict=True)) / 2
        grads = [lam * part for lam, part in zip(decays, parts, strict=True)]
        if self.lam_b is not None:
            grads[-1] = grads[-1] + G.sum(axis=1)
        for i in reversed(range(M)):
            grads[i] = grads[i] + G @ layers[i].T
            G = W[i].T @ G
            if self.relu and i > 0:
                G = G * (layers[i] > 0.0)
        grads[M] = grads[M] + G
        return float(value), np.concatenate([part.ravel() for part in grads])

    def value(self, W, H, b):
        return self.value_and_gradient(self.join(W, H, b))[0]

    def gradient(self, W, H, b):
        return self.value_and_gradient(self.join(W, H, b))[1]

    def hessian(self, W, H, b):
        """Central differences of the gradient, to about 1e-9."""
        x, step = self.join(W, H, b), 1e-5
        rows = [
            (self.value_and_gradient(x + step * e)[1] - self.value_and_gradient(x - step * e)[1]) / (2 * step)
            for e in np.eye(x.size)
        ]
        return (np.array(rows) + np.array(rows).T) / 2

    def descend(self, seed, scale=1.0, starts=1):
        """The lowest of a few L-BFGS runs from Gaussian starts."""
        rng = np.random.default_rng(seed)
        size = sum(int(np.prod(shape)) for shape in self.shapes())
        options = {"maxiter": 5000, "gtol": 1e-10, "ftol": 1e-16}
        runs = [
            minimize(
                self.value_and_gradient, scale * rng.standard_normal(size), jac=True, method="L-BFGS-B", options=options
            )
            for _ in range(starts)
        ]
        best = min(runs, key=lambda run: run.fun)
        return best.fun, self.split(best.x)
