"""f, its gradient and its dense Hessian in plain NumPy, sharing no code with the closed forms checked against it."""

from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp


@dataclass(frozen=True, eq=False)
class Dense:
    """One problem: K classes of the given sizes, loss "ce" (label smoothing) or "mse" (1/2 |z - y|^2)."""

    loss: str
    sizes: tuple[int, ...]
    lam_W: float
    lam_H: float
    lam_b: float | None
    smoothing: float = 0.0

    @property
    def K(self) -> int:
        return len(self.sizes)

    @property
    def N(self) -> int:
        return sum(self.sizes)

    @property
    def labels(self) -> np.ndarray:
        return np.repeat(np.arange(self.K), self.sizes)

    def _targets(self) -> np.ndarray:
        return (1 - self.smoothing) * np.eye(self.K)[:, self.labels] + self.smoothing / self.K

    def _residual(self, A: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Mean loss, its gradient in the logits [K, N] and its Hessians [N, K, K]."""
        T, N = self._targets(), self.N
        if self.loss == "mse":
            return float(np.sum((A - T) ** 2)) / (2 * N), (A - T) / N, np.tile(np.eye(self.K) / N, (N, 1, 1))
        lead = A - A[self.labels, np.arange(N)]  # logits relative to the true class
        top = np.maximum(lead.max(axis=0), 0.0)
        log_mass = top + np.log(np.sum(np.exp(lead - top), axis=0))
        others = np.exp(np.minimum(lead, 700.0))  # only read where lead <= 0
        others[self.labels, np.arange(N)] = 0.0
        exact = np.where(top == 0.0, np.log1p(np.sum(others, axis=0)), log_mass)
        Q = np.exp(lead - exact)
        loss = np.sum(exact) - np.sum(T * lead)
        # 1 - q of a confident class loses all its digits: sum the others instead, here and in the gradient.
        off = 1.0 - np.eye(self.K)
        curvature = np.einsum("ki,kl->ikl", Q * (off @ Q), np.eye(self.K)) - np.einsum("ki,li,kl->ikl", Q, Q, off)
        G = Q - self.smoothing / self.K
        G[self.labels, np.arange(N)] = 0.0
        G[self.labels, np.arange(N)] = -np.sum(G, axis=0)
        return float(loss) / N, G / N, curvature / N

    def value(self, W: np.ndarray, H: np.ndarray, b: np.ndarray | None) -> float:
        """f(W, H, b)."""
        decays = self.lam_W * np.sum(W**2) + self.lam_H * np.sum(H**2)
        if b is not None:
            decays += (self.lam_b or 0.0) * np.sum(b**2)
        return self.data_loss(W, H, b) + float(decays) / 2

    def data_loss(self, W: np.ndarray, H: np.ndarray, b: np.ndarray | None) -> float:
        """(1/N) sum loss."""
        return self._residual(_scores(W, H, b))[0]

    def gradient(self, W: np.ndarray, H: np.ndarray, b: np.ndarray | None) -> np.ndarray:
        """Gradient over (W, H, b), flat."""
        _, G, _ = self._residual(_scores(W, H, b))
        parts = [G @ H.T + self.lam_W * W, W.T @ G + self.lam_H * H]
        if b is not None:
            parts.append(G.sum(axis=1) + (self.lam_b or 0.0) * b)
        return np.concatenate([part.ravel() for part in parts])

    def hessian(self, W: np.ndarray, H: np.ndarray, b: np.ndarray | None) -> np.ndarray:
        """Hessian over (W, H, b) [P, P], in the order of `gradient`."""
        (K, d), N = W.shape, H.shape[1]
        _, G, curvature = self._residual(_scores(W, H, b))
        eye_K, eye_N = np.eye(K), np.eye(N)
        # J[k, i, :] = derivative of the logit (k, i); rows in the order of samples, then classes.
        by_W = np.einsum("kl,ji->iklj", eye_K, H).reshape(N, K, K * d)
        by_H = np.einsum("kj,im->ikjm", W, eye_N).reshape(N, K, d * N)
        blocks = [by_W, by_H]
        decays = [np.full(K * d, self.lam_W), np.full(d * N, self.lam_H)]
        if b is not None:
            blocks.append(np.broadcast_to(eye_K, (N, K, K)))
            decays.append(np.full(K, self.lam_b or 0.0))
        J = np.concatenate(blocks, axis=2)
        P = J.shape[2]
        hessian = J.reshape(N * K, P).T @ np.matmul(curvature, J).reshape(N * K, P) + np.diag(np.concatenate(decays))
        mixed = np.einsum("ki,jl->kjli", G, np.eye(d)).reshape(K * d, d * N)
        hessian[: K * d, K * d : K * d + d * N] += mixed
        hessian[K * d : K * d + d * N, : K * d] += mixed.T
        return (hessian + hessian.T) / 2


def _scores(W: np.ndarray, H: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    return W @ H if b is None else W @ H + b[:, None]


def measure(
    W: np.ndarray, H: np.ndarray, b: np.ndarray | None, sizes: tuple[int, ...]
) -> dict[str, float | np.ndarray]:
    """What a Prediction may state, computed from class-collapsed parameters."""
    K = len(sizes)
    first = np.cumsum((0, *sizes))[:-1]
    M = H[:, first]
    assert np.allclose(H, np.repeat(M, sizes, axis=1), rtol=0, atol=1e-13 * (1 + np.abs(H).max()))
    s = np.linalg.svd(W @ H, compute_uv=False)
    scores = _scores(W, M, b)
    lead = (np.diag(scores) - scores)[~np.eye(K, dtype=bool)]
    found: dict[str, float | np.ndarray] = {
        "W_sq": float(np.sum(W**2)),
        "H_sq": float(np.sum(H**2)),
        "gram_W": W @ W.T,
        "gram_M": M.T @ M,
        "logits": W @ M,
        "sigma_Z": np.append(s, np.zeros(K - len(s))),
        "margin": float(np.min(lead)),
    }
    return found if b is None else found | {"b": b}


def assert_states(dense: Dense, quantities, W: np.ndarray, H: np.ndarray, b: np.ndarray | None) -> None:
    """Every stated quantity but the nullity holds at (W, H, b), and (W, H, b) is a critical point."""
    found = measure(W, H, b, dense.sizes) | {"value": dense.value(W, H, b), "data_loss": dense.data_loss(W, H, b)}
    for name in set(quantities) - {"nullity"}:
        scale = 1.0 + np.max(np.abs(quantities[name]))
        worst = np.max(np.abs(np.asarray(found[name]) - quantities[name])) / scale
        assert worst <= (1e-15 if name == "value" else 5e-14), (name, worst)
    assert np.max(np.abs(dense.gradient(W, H, b))) <= 1e-14


def assert_spectrum(hessian: np.ndarray, eigenvalues: np.ndarray, zeros: int | None = None) -> None:
    """The Hessian has these eigenvalues, each as often, and exactly so many zeros."""
    found = np.linalg.eigvalsh(hessian)
    assert len(found) == len(eigenvalues)
    assert np.max(np.abs(found - eigenvalues)) <= 1e-13 * found[-1]
    if zeros is not None:
        assert np.sum(eigenvalues == 0.0) == zeros
        assert np.sum(np.abs(found) <= 1e-12 * found[-1]) == zeros


def flow(velocity, start, times):
    """States of dx/dt = velocity(x) at the times > 0, from DOP853."""
    solution = solve_ivp(
        lambda _, x: velocity(x), (0.0, times[-1]), start, method="DOP853", t_eval=times, rtol=1e-12, atol=1e-14
    )
    assert solution.success
    return solution.y.T


def gradient_flow(dense, W, H, b, times):
    """(W, H, b) at the times, from the full gradient flow of a dense problem."""
    K, d, N = *W.shape, H.shape[1]

    def split(x):
        return (
            x[: K * d].reshape(K, d),
            x[K * d : K * d + d * N].reshape(d, N),
            x[K * d + d * N :] if b is not None else None,
        )

    start = np.concatenate([part.ravel() for part in (W, H, b) if part is not None])
    return [split(x) for x in flow(lambda x: -dense.gradient(*split(x)), start, times)]
