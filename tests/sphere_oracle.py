"""Cross-entropy of tau W H on spheres: dense Riemannian derivatives and descent, sharing no code with the theory."""

import numpy as np
from dense_oracle import Dense
from scipy.linalg import block_diag, null_space
from scipy.optimize import minimize


def labels_of(sizes: tuple[int, ...]) -> np.ndarray:
    return np.repeat(np.arange(len(sizes)), sizes)


def random_point(sizes: tuple[int, ...], d: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows W [K, d] and unit columns H [d, N]."""
    W, H = rng.normal(size=(len(sizes), d)), rng.normal(size=(d, sum(sizes)))
    return W / np.linalg.norm(W, axis=1, keepdims=True), H / np.linalg.norm(H, axis=0)


def loss(W: np.ndarray, H: np.ndarray, sizes: tuple[int, ...], tau: float) -> float:
    """f(W, H) = (1/N) sum CE(tau W h_i)."""
    return Dense("ce", sizes, 0.0, 0.0, None).data_loss(tau * W, H, None)


def ambient_gradient(W, H, sizes, tau) -> tuple[np.ndarray, np.ndarray]:
    """(E_W, E_H), derivatives of f without the constraint."""
    flat = Dense("ce", sizes, 0.0, 0.0, None).gradient(tau * W, H, None)
    return tau * flat[: W.size].reshape(W.shape), flat[W.size :].reshape(H.shape)


def gradient_norm(W, H, sizes, tau) -> float:
    """Largest entry of the Riemannian gradient."""
    E_W, E_H = ambient_gradient(W, H, sizes, tau)
    tangent_W = E_W - np.sum(E_W * W, axis=1, keepdims=True) * W
    tangent_H = E_H - np.sum(E_H * H, axis=0) * H
    return float(max(np.max(np.abs(tangent_W)), np.max(np.abs(tangent_H))))


def tangent_basis(W: np.ndarray, H: np.ndarray) -> np.ndarray:
    """Orthonormal tangent vectors of the product of spheres, as columns over (W, H) in C order."""
    d, N = H.shape
    of_W = block_diag(*(null_space(w[None, :]) for w in W))
    of_H = np.zeros((d, N, N * (d - 1)))
    for i in range(N):
        of_H[:, i, i * (d - 1) : (i + 1) * (d - 1)] = null_space(H[:, i][None, :])
    return np.asarray(block_diag(of_W, of_H.reshape(d * N, -1)))


def riemannian_hessian(W, H, sizes, tau) -> tuple[np.ndarray, np.ndarray]:
    """(Hessian in the tangent basis, the basis)."""
    scale = np.concatenate([np.full(W.size, tau), np.ones(H.size)])
    hessian = Dense("ce", sizes, 0.0, 0.0, None).hessian(tau * W, H, None) * scale[:, None] * scale
    E_W, E_H = ambient_gradient(W, H, sizes, tau)
    a, b = np.sum(E_W * W, axis=1), np.sum(E_H * H, axis=0)
    hessian -= np.diag(np.concatenate([np.repeat(a, W.shape[1]), np.tile(b, W.shape[1])]))
    basis = tangent_basis(W, H)
    return basis.T @ hessian @ basis, basis


def descend(sizes, d, tau, seed, start=None) -> tuple[np.ndarray, np.ndarray]:
    """A critical point below a random start (or below `start`): L-BFGS, then Newton steps where they help."""
    K, N = len(sizes), sum(sizes)

    def normalise(x):
        A, B = x[: K * d].reshape(K, d), x[K * d :].reshape(d, N)
        r, s = np.linalg.norm(A, axis=1, keepdims=True), np.linalg.norm(B, axis=0)
        return A / r, B / s, r, s

    def objective(x):
        W, H, r, s = normalise(x)
        E_W, E_H = ambient_gradient(W, H, sizes, tau)
        E_W = (E_W - np.sum(E_W * W, axis=1, keepdims=True) * W) / r
        E_H = (E_H - np.sum(E_H * H, axis=0) * H) / s
        value = loss(W, H, sizes, tau)
        return np.log(value), np.concatenate([E_W.ravel(), E_H.ravel()]) / value  # the scale of a tiny loss

    W, H = start or random_point(sizes, d, np.random.default_rng(seed))
    x = np.concatenate([W.ravel(), H.ravel()])
    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 4000, "maxcor": 30}
    W, H, *_ = normalise(minimize(objective, x, jac=True, method="L-BFGS-B", options=options).x)
    for _ in range(6):
        hessian, basis = riemannian_hessian(W, H, sizes, tau)
        slope = basis.T @ np.concatenate([part.ravel() for part in ambient_gradient(W, H, sizes, tau)])
        step = basis @ (np.linalg.pinv(hessian, rcond=1e-9) @ slope)
        A, B, *_ = normalise(np.concatenate([W.ravel(), H.ravel()]) - step)
        if gradient_norm(A, B, sizes, tau) >= gradient_norm(W, H, sizes, tau):
            break
        W, H = A, B
    return W, H
