"""Cross-entropy of the logits tau W H on spheres (unit rows of W, unit columns of H): derivatives and certificates.

    f(W, H) = g(tau W H),  g(Z) = (1/N) sum_i CE(z_i, y_i),  G = grad g(tau W H) = (softmax - one-hot)/N

at any point, for any class sizes, K, d. The ambient gradient is E_W = tau G H^T, E_H = tau W^T G.
"""

from typing import NamedTuple

import numpy as np

from theory.arguments import check_matrix, check_positive, check_unit_rows
from theory.prediction import NotApplicable


class Multipliers(NamedTuple):
    """a_k = <w_k, (E_W)_k> [K] and b_i = <h_i, (E_H)_i> [N]: Lagrange multipliers of the unit norms."""

    a: np.ndarray
    b: np.ndarray


class Escape(NamedTuple):
    """A unit tangent direction (D_W [K, d], D_H [d, N]) and the second derivative of f along it."""

    D_W: np.ndarray
    D_H: np.ndarray
    curvature: float


def value(W: np.ndarray, H: np.ndarray, labels: np.ndarray, tau: float) -> float:
    """f(W, H) = (1/N) sum_i log(1 + sum_{j != y_i} exp(-tau (w_{y_i} - w_j).h_i)), accurate for the smallest losses.

    Args:
        W: [K, d] unit rows.
        H: [d, N] unit columns.
        labels: [N] ints in 0 .. K-1.
        tau: temperature that multiplies the logits, > 0.
    Returns:
        Float >= 0.
    Raises:
        ValueError: vectors that are not of unit length, shapes that disagree, labels out of range, tau <= 0.
    """
    lead, labels = _leads("sphere_calculus.value", W, H, labels, tau)
    return float(np.mean(_losses(lead, labels)))


def logit_gradient(W: np.ndarray, H: np.ndarray, labels: np.ndarray, tau: float) -> np.ndarray:
    """G = (softmax(tau W H) - Y)/N, [K, N]; its columns sum to zero, small entries keep their relative accuracy.

    Args and Raises: as `value`.
    """
    lead, labels = _leads("sphere_calculus.logit_gradient", W, H, labels, tau)
    G, columns = np.exp(lead - _losses(lead, labels)), np.arange(lead.shape[1])
    G[labels, columns] = 0.0
    G[labels, columns] = -np.sum(G, axis=0)  # p - 1 would lose the digits of a small loss
    return G / lead.shape[1]


def multipliers(W: np.ndarray, H: np.ndarray, G: np.ndarray, tau: float) -> Multipliers:
    """a_k = tau <w_k, (G H^T)_k>, b_i = tau <h_i, (W^T G)_i>; both sum to <G, tau W H>.

    Args:
        W: [K, d] unit rows.
        H: [d, N] unit columns.
        G: [K, N] gradient of any loss in the logits, such as `logit_gradient`.
        tau: temperature, > 0.
    Raises:
        ValueError: vectors that are not of unit length, shapes that disagree, or tau <= 0.
    Source:
        1.2; standard.
    """
    W, H, G, tau = _stationarity("sphere_calculus.multipliers", W, H, G, tau)
    return Multipliers(tau * np.sum((G @ H.T) * W, axis=1), tau * np.sum((W.T @ G) * H, axis=0))


def riemannian_gradient(W: np.ndarray, H: np.ndarray, G: np.ndarray, tau: float) -> tuple[np.ndarray, np.ndarray]:
    """(E_W - diag(a) W, E_H - H diag(b)), the gradient of f on the product of spheres; [K, d], [d, N].

    Args and Raises: as `multipliers`.
    Source:
        1.2; standard.
    """
    W, H, G, tau = _stationarity("sphere_calculus.riemannian_gradient", W, H, G, tau)
    a, b = multipliers(W, H, G, tau)
    return tau * G @ H.T - a[:, None] * W, tau * W.T @ G - H * b


def slack_matrix(W: np.ndarray, H: np.ndarray, G: np.ndarray, tau: float) -> np.ndarray:
    """Q = [[-diag(a), tau G], [tau G^T, -diag(b)]], [K+N, K+N]: Q >= 0 at a critical point proves a global minimum.

    Args and Raises: as `multipliers`.
    Assumes:
        A loss that is convex in the logits, for what Q proves; Q itself is defined at every point.
    Source:
        1.3, derived for this project: the dual slack of min g(tau X_12) over X >= 0 with unit diagonal, which has the
        value of f at X = [W; H^T][W; H^T]^T.
    """
    W, H, G, tau = _stationarity("sphere_calculus.slack_matrix", W, H, G, tau)
    a, b = multipliers(W, H, G, tau)
    return np.block([[-np.diag(a), tau * G], [tau * G.T, -np.diag(b)]])


def lower_bound(W: np.ndarray, H: np.ndarray, labels: np.ndarray, tau: float) -> float:
    """min f >= f(W, H) + (K+N)/2 min(0, lambda_min(Q)), at any point, critical or not, for any d.

    Args and Raises: as `value`.
    Source:
        Derived for this project from 1.3: g(tau X_12) >= g(Z) + <G, tau X_12 - Z> = g(Z) + <Q, X>/2, as tr X = K+N.
        Exact at a global minimum if d >= K: there sum_k a_k w_k = 0 leaves a direction e unused, and a negative
        lambda_min(Q) would be a descent direction. Exact for d = K-1 too if the classes are balanced.
    """
    G = logit_gradient(W, H, labels, tau)
    least = float(np.linalg.eigvalsh(slack_matrix(W, H, G, tau))[0])
    return value(W, H, labels, tau) + sum(G.shape) / 2 * min(0.0, least)


def hessian_form(
    W: np.ndarray, H: np.ndarray, labels: np.ndarray, tau: float, D_W: np.ndarray, D_H: np.ndarray
) -> float:
    """d^2/dt^2 of f along the geodesic with velocity (D_W, D_H), the Riemannian Hessian's quadratic form.

    (1/N) sum_i Var_{p_i}(dZ_i) + 2 tau <G, D_W D_H> - sum_k a_k |dw_k|^2 - sum_i b_i |dh_i|^2 with
    dZ = tau (D_W H + W D_H).

    Args:
        W, H, labels, tau: as `value`.
        D_W: [K, d] rows orthogonal to those of W.
        D_H: [d, N] columns orthogonal to those of H.
    Raises:
        ValueError: as `value`, or a direction that is not tangent.
    Source:
        1.2; standard.
    """
    where = "sphere_calculus.hessian_form"
    lead, labels = _leads(where, W, H, labels, tau)
    G = logit_gradient(W, H, labels, tau)
    W, H, G, tau = _stationarity(where, W, H, G, tau)
    D_W, D_H = check_matrix(where, "D_W", D_W, W.shape), check_matrix(where, "D_H", D_H, H.shape)
    normal = max(np.max(np.abs(np.sum(W * D_W, axis=1))), np.max(np.abs(np.sum(H * D_H, axis=0))))
    if normal > 1e-10 * max(np.max(np.abs(D_W)), np.max(np.abs(D_H))):
        raise ValueError(
            f"{where}: (D_W, D_H) has a part of {normal:.1e} along (W, H). Subtract it: only tangent directions count."
        )
    a, b = multipliers(W, H, G, tau)
    P = np.exp(lead - _losses(lead, labels))
    dZ = tau * (D_W @ H + W @ D_H)
    variance = np.sum(P * (dZ - np.sum(P * dZ, axis=0)) ** 2) / H.shape[1]
    slack = 2 * tau * np.sum(G * (D_W @ D_H)) - np.sum(a @ D_W**2) - np.sum(D_H**2 @ b)
    return float(variance + slack)


def escape_direction(W: np.ndarray, H: np.ndarray, G: np.ndarray, tau: float) -> Escape:
    """(u e^T, e v^T) with (u, v) the lowest eigenvector of Q and e orthogonal to all of W, H: curvature lambda_min(Q).

    At a critical point that is no global minimum the curvature is negative whenever Q is not positive semidefinite;
    for d > K such a point is always a strict saddle (1.3 iii), for d <= K this direction may not exist.

    Args and Raises: as `multipliers`.
        NotApplicable: the rows of W and the columns of H span R^d, so there is no e.
    Source:
        1.3; derived for this project.
    """
    where = "sphere_calculus.escape_direction"
    W, H, G, tau = _stationarity(where, W, H, G, tau)
    K, d = W.shape
    _, s, Vt = np.linalg.svd(np.vstack([W, H.T]))
    if len(s) == d and s[-1] > 1e-10 * s[0]:
        raise NotApplicable(where, [f"The vectors of W and H span all {d} dimensions: no direction is unused."])
    eigenvalues, vectors = np.linalg.eigh(slack_matrix(W, H, G, tau))
    unused, lowest = Vt[-1], vectors[:, 0]
    return Escape(np.outer(lowest[:K], unused), np.outer(unused, lowest[K:]), float(eigenvalues[0]))


def _leads(where, W, H, labels, tau) -> tuple[np.ndarray, np.ndarray]:
    """Logits relative to the true class [K, N], and the labels, checked."""
    W, H = _point(where, W, H)
    tau = check_positive(where, "tau", tau)
    labels = np.asarray(labels)
    K, N = len(W), H.shape[1]
    if labels.shape != (N,) or labels.dtype.kind not in "iu" or np.min(labels) < 0 or np.max(labels) >= K:
        raise ValueError(
            f"{where}: labels have shape {labels.shape} and type {labels.dtype}, or leave 0 .. {K - 1}. Pass one int "
            f"in this range for each of the {N} columns of H."
        )
    Z = W @ H
    return tau * (Z - Z[labels, np.arange(N)]), labels


def _losses(lead: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross-entropy [N] of logits [K, N] given relative to the true class, whose entry is 0."""
    top = np.max(lead, axis=0)
    others = np.exp(lead - top)
    others[labels, np.arange(len(top))] = 0.0
    mass = np.sum(others, axis=0)
    return np.where(top == 0.0, np.log1p(mass), top + np.log(np.exp(-top) + mass))


def _point(where: str, W: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(W, H) as float64, unit rows and columns of one dimension d."""
    W = check_unit_rows(where, "W", W)
    H = check_unit_rows(where, "H", check_matrix(where, "H", H, (W.shape[1], None)).T).T
    return W, H


def _stationarity(where, W, H, G, tau) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """(W, H, G, tau), checked."""
    W, H = _point(where, W, H)
    return W, H, check_matrix(where, "G", G, (len(W), H.shape[1])), check_positive(where, "tau", tau)
