"""Two papers' exact paths: Mixon, Parshall and Pi's subspace (T26), the central path of Han, Papyan and Donoho (T27).

`ufm.gradient_flow` has the mean of the losses: T26, a sum over its N C samples, runs N C times as fast.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import theory
from ufm.certify.point import examine
from ufm.flow import gradient_flow
from ufm.losses.squared import MSE
from ufm.losses.user import UserLoss
from ufm.models import Gram
from ufm.problem import Params, Problem
from ufm.spaces import Euclidean
from ufm.verify.claim import Claim, Measurement
from ufm.verify.experiment import DRIFT, ROUNDING, around, drift, orthogonal, time_errors


def centred(C: int) -> np.ndarray:
    """[C, C-1] orthonormal columns without the ones vector."""
    return np.linalg.qr(np.column_stack([np.ones(C), orthogonal(C, 0)[:, 1:]]))[0][:, 1:]


class Mixon(NamedTuple):
    """Centred eigenvalues omega0 of W W^T and b = beta0 1 at the start; N samples of each of C classes."""

    omega0: tuple[float, ...]
    beta0: float = 0.9
    N: int = 3

    @property
    def C(self) -> int:
        """Classes."""
        return len(self.omega0) + 1


SUM_TIMES = np.array([0.05, 0.4, 3.0])


def measure_mixon(setting: Mixon) -> Measurement:
    """W W^T in the eigenvectors of the start, b, and how far H is from (W kron 1)^T/sqrt N, at SUM_TIMES of the sum."""
    C, N = setting.C, setting.N
    E = centred(C)
    W = (E * np.sqrt(setting.omega0)) @ orthogonal(C, 1)[:, : C - 1].T
    start = Params(W, np.repeat(W, N, axis=0).T / math.sqrt(N), np.full(C, setting.beta0))
    flow = gradient_flow(Problem(C, N, C, 0.0, 0.0, 0.0, MSE()), start, N * C * SUM_TIMES)
    W, H, b = flow.params
    gram = E.T @ W @ np.swapaxes(W, 1, 2) @ E
    omega = np.einsum("tkk->tk", gram)
    values = {
        "omega": omega,
        "turned": float(np.max(np.abs(gram * (1.0 - np.eye(C - 1))))),
        "b": b,
        "left": float(np.max(np.abs(H - np.repeat(np.swapaxes(W, 1, 2), N, axis=2) / math.sqrt(N)))),
    }
    error = drift(flow)
    return Measurement(values, {name: error * (1.0 + float(np.max(np.abs(x)))) for name, x in values.items()})


def predict_mixon(setting: Mixon) -> Mapping[str, Any]:
    """The logistic law and the bias."""
    omega = theory.dynamics.mixon_eigenvalue(t=SUM_TIMES[:, None], omega0=np.array(setting.omega0), N=setting.N)
    beta = theory.dynamics.mixon_bias(t=SUM_TIMES, beta0=setting.beta0, N=setting.N, C=setting.C)
    return {"omega": omega, "turned": 0.0, "b": np.outer(beta, np.ones(setting.C)), "left": 0.0}


class Path(NamedTuple):
    """Singular values w0 of the centred class means of C classes with n samples each."""

    w0: tuple[float, ...]
    n: int

    @property
    def C(self) -> int:
        """Classes."""
        return len(self.w0) + 1


PATH_TIMES = np.array([2.0, 50.0, 3000.0])


def _least_squares(Z: jax.Array, Y: jax.Array) -> jax.Array:
    """[C] halves of the diagonal of P (I + P Z P/C)^-1, Z = M^T M: their mean is the loss with the best W and b.

    min over W, b of |W H + b 1^T - Y|^2/(2 N) for features of within-class covariance I around the class means M.
    """
    C = Z.shape[0]
    P = jnp.eye(C, dtype=Z.dtype) - 1.0 / C
    return jnp.diagonal(P @ jnp.linalg.inv(jnp.eye(C, dtype=Z.dtype) + P @ Z @ P / C)) / 2


def means(setting: Path) -> np.ndarray:
    """[C, C] class means with the singular values w0, and a common mean that does not matter."""
    C = setting.C
    return (orthogonal(C, 1)[:, : C - 1] * np.array(setting.w0)) @ centred(C).T + 0.3


def reduced(setting: Path) -> Problem:
    """The flow of the means alone, W and b eliminated."""
    return Problem(setting.C, 1, setting.C, lam_H=0.0, loss=UserLoss(_least_squares), model=Gram(Euclidean()))


def measure_path(setting: Path) -> Measurement:
    """Singular values of the centred class means at PATH_TIMES.

    Each of the n features of a class moves with 1/n of the gradient in their mean, so that the means take n times as
    long as in the flow of the means alone.
    """
    C, n = setting.C, setting.n
    flow = gradient_flow(reduced(setting), Params(None, means(setting), None), around(PATH_TIMES) / n)
    apart = flow.params.H - np.mean(flow.params.H, axis=2, keepdims=True)
    w = np.linalg.svd(apart, compute_uv=False)[:, : C - 1]
    error = drift(flow) * (1.0 + float(np.max(w)))
    w, times = time_errors(PATH_TIMES, w, error)
    read = {name: np.full(C - 1, t) for name, t in zip(times, PATH_TIMES, strict=True)}
    along, within = elimination(setting)
    values = {"w": w, "along": along, "within": within, **read, **{f"back {name}": -t for name, t in read.items()}}
    times |= {f"back {name}": tolerance for name, tolerance in times.items()}
    return Measurement(values, {"w": error, "along": 32 * ROUNDING, "within": 32 * ROUNDING, **times})


def elimination(setting: Path) -> tuple[float, float]:
    """How far the full model's gradient at the least-squares W, b is from what `reduced` takes it for, at the start.

    In the means: from the reduced gradient. Within classes: from S E with a symmetric S, which the constraint that the
    within-class covariance stays I removes.
    """
    C, n = setting.C, setting.n
    N, labels = n * C, np.repeat(np.arange(C), n)
    E = np.random.default_rng(2).standard_normal((C, C, n))
    E = (E - E.mean(axis=2, keepdims=True)).reshape(C, N)
    E = np.linalg.solve(np.linalg.cholesky(E @ E.T / N), E)
    H = means(setting)[:, labels] + E
    design = np.vstack([H, np.ones(N)])
    solved = np.linalg.lstsq(design.T, np.eye(C)[labels], rcond=None)[0].T
    full = Problem(C, n, C, 0.0, 0.0, 0.0, MSE())
    grad = examine(full, Params(solved[:, :-1], H, solved[:, -1])).grad.H
    in_means = grad.reshape(C, C, n).sum(axis=2)
    expected = examine(reduced(setting), Params(None, means(setting), None)).grad.H
    rest = grad - in_means[:, labels] / n
    S = rest @ E.T / N
    return float(np.max(np.abs(in_means - expected))), float(np.max(np.abs(rest - (S + S.T) / 2 @ E)))


def predict_path(setting: Path) -> Mapping[str, Any]:
    """The central path, and the time that it takes to where it is, and back."""
    C, n = setting.C, setting.n
    w = np.array([[theory.dynamics.central_path(t=float(t), w0=x, n=n, C=C) for x in setting.w0] for t in PATH_TIMES])
    start = np.broadcast_to(setting.w0, w.shape)
    there = theory.dynamics.central_path_time(w=w, w0=start, n=n, C=C)
    back = theory.dynamics.central_path_time(w=start, w0=w, n=n, C=C)
    times = {f"time {t:g}": row for t, row in zip(PATH_TIMES, there, strict=True)}
    times |= {f"back time {t:g}": row for t, row in zip(PATH_TIMES, back, strict=True)}
    return {"w": w, "along": 0.0, "within": 0.0, **times}


CLAIMS = (
    Claim(
        "T26",
        "On the invariant subspace W W^T goes to sqrt(N) (I - J/C) along logistic curves; a zero mode stays zero.",
        "Mixon, Parshall and Pi (2020); solution derived for this project",
        "squared loss summed over samples, no decay, H = (W kron 1)^T/sqrt N, 1^T W = 0, b = beta 1",
        DRIFT,
        lambda full: [Mixon((0.3, 1e-3, 0.0)), Mixon((2.5, 0.1, 0.01), -0.2)],
        measure_mixon,
        predict_mixon,
    ),
    Claim(
        "T27",
        "On the central path the singular values of the means obey log w + w^2/C + w^4/(4 C^2) = t/(n C^2) + const.",
        "Form: Han, Papyan and Donoho (ICLR 2022); constants derived for this project",
        "squared loss, W and b least squares at all times, within-class covariance kept at I",
        DRIFT + "; times: that over the slowest speed; 1024 eps for the elimination of W and b",
        lambda full: [Path((1.2, 0.3), 4), Path((0.8, 0.1), 3)],
        measure_path,
        predict_path,
    ),
)
