"""Gradient flow in closed form: trajectories, and the times at which they arrive (T23, T24, T26, T27).

d(W, H, b)/dt = -grad f at unit speed. Balanced classes, N = K n samples; where a single decay lam is named, lam_W =
lam_H = lam. T26 and T27 have the objectives of their papers, as their docstrings say. Arguments t, z0, ... of the
explicit trajectories may be arrays; those found by a root are floats. T25 is `theory.etf_ray`.
"""

import math
from typing import Any

import numpy as np
from scipy.special import exprel

from theory.arguments import check_count, check_nonnegative, check_nonnegatives, check_positive
from theory.roots import root_of_logarithm


def balance_gap(*, t: Any, gap0: Any, lam: float) -> Any:
    """W^T W - H H^T = e^(-2 lam t) (its value gap0 at t = 0), whatever the loss and the labels.

    Args:
        t: times >= 0, broadcast against gap0.
        gap0: any entry, norm or the [d, d] matrix itself.
        lam: decay of both W and H, >= 0 (0: conserved).
    Raises:
        ValueError: a negative or infinite time or decay.
    Assumes:
        lam_W = lam_H = lam. (Otherwise the gap changes by -2 lam_W W^T W + 2 lam_H H H^T, which does not close.)
    Source:
        T23; without decay known for deep linear networks, with decay derived for this project.
    """
    where = "dynamics.balance_gap"
    return np.exp(-2.0 * check_nonnegative(where, "lam", lam) * check_nonnegatives(where, "t", t)) * np.asarray(
        gap0, dtype=np.float64
    )


def mse_mode(*, t: Any, z0: Any, K: int, n: int, lam: float) -> Any:
    """z(t) = zinf/(1 + (zinf/z0 - 1) e^(-s zinf)), s = 2 t/(K sqrt n), zinf = 1 - K sqrt(n) lam; any sign of zinf.

    z are the eigenvalues of the [K, K] class-mean logits W M; their eigenvectors do not move. At zinf = 0 it is
    z0/(1 + s z0).

    Args:
        t: times >= 0.
        z0: eigenvalues at t = 0, >= 0; broadcast against t.
        K, n: classes, samples a class.
        lam: decay of both W and H, >= 0.
    Raises:
        ValueError: an argument is impossible.
    Assumes:
        Mean squared error without bias; balanced; W = U diag(w) R^T, H = R diag(w) U^T kron 1_n^T/sqrt n at t = 0, so
        that W M is symmetric and >= 0. With b = beta 1, and the ones vector among U, the centred modes obey it still.
    Source:
        T24; form as for deep linear networks (Saxe et al. 2014), with decay derived for this project.
    """
    where = "dynamics.mse_mode"
    speed, limit = _mse_scales(where, K, n, lam)
    return _logistic(speed * check_nonnegatives(where, "t", t), check_nonnegatives(where, "z0", z0), limit)


def mse_mode_time(*, z: Any, z0: Any, K: int, n: int, lam: float) -> Any:
    """The t with `mse_mode` = z: (K sqrt n/2) log(z (zinf - z0)/(z0 (zinf - z)))/zinf.

    Args:
        z, z0: eigenvalues > 0, broadcast.
        K, n, lam: see `mse_mode`.
    Returns:
        Time; negative if z lies before z0, inf at zinf, NaN beyond, where no trajectory through z0 comes.
    Raises:
        ValueError: an argument is impossible.
    Assumes:
        As `mse_mode`.
    Source:
        T24; derived for this project.
    """
    where = "dynamics.mse_mode_time"
    speed, limit = _mse_scales(where, K, n, lam)
    z, z0 = check_nonnegatives(where, "z", z), check_nonnegatives(where, "z0", z0)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = (z - z0) / z0 / (limit - z)
        growth = limit * reach  # of z/(limit - z), less 1
        far = np.log(z) - np.log(z0) + np.log((limit - z0) / (limit - z))
        steps = np.where(np.abs(growth) < 0.5, np.log1p(growth), far) / limit if limit != 0.0 else reach
    return np.where(z == z0, 0.0, np.where(z == limit, np.inf, steps)) / speed


def mixon_eigenvalue(*, t: Any, omega0: Any, N: int) -> Any:
    """omega(t) = sqrt N/(1 + (sqrt N/omega0 - 1) e^(-2 sqrt(N) t), the eigenvalues of W W^T; their vectors stay.

    Args:
        t: times >= 0.
        omega0: eigenvalues of W(0) W(0)^T, >= 0, but for the zero along the ones vector; broadcast against t.
        N: samples a class (the paper's N).
    Raises:
        ValueError: an argument is impossible.
    Assumes:
        f = 1/2 |W H + b 1^T - Y|^2 summed over the samples, no decay; on the paper's invariant subspace
        H = (W kron 1_N)^T/sqrt N, 1^T W = 0, b = beta 1. Without the 1/2 the flow is twice as fast.
        The limit sqrt N (I - J/C) is reached only from rank W(0) = C - 1.
    Source:
        T26: Mixon, Parshall and Pi (arXiv 2011.11619); solution derived for this project.
    """
    where = "dynamics.mixon_eigenvalue"
    N = check_count(where, "N", N, 1)
    return _logistic(2.0 * check_nonnegatives(where, "t", t), check_nonnegatives(where, "omega0", omega0), math.sqrt(N))


def mixon_bias(*, t: Any, beta0: Any, N: int, C: int) -> Any:
    """beta(t) = 1/C + (beta0 - 1/C) e^(-N C t), b = beta 1, in the setting of `mixon_eigenvalue`; C classes.

    Raises:
        ValueError: an argument is impossible.
    Assumes:
        As `mixon_eigenvalue`.
    Source:
        T26: Mixon, Parshall and Pi (arXiv 2011.11619); solution derived for this project.
    """
    where = "dynamics.mixon_bias"
    N, C = check_count(where, "N", N, 1), check_count(where, "C", C, 2)
    decay = N * C * check_nonnegatives(where, "t", t)
    return np.asarray(beta0, dtype=np.float64) * np.exp(-decay) - np.expm1(-decay) / C


def central_path_time(*, w: Any, w0: Any, n: int, C: int) -> Any:
    """t = n [C^2 log(w/w0) + C (w^2 - w0^2) + (w^4 - w0^4)/4]: the times along the central path.

    Args:
        w, w0: singular values > 0 of the centred class means [d, C] at t and at 0, broadcast.
        n: samples a class.
        C: number of classes (the paper's C).
    Returns:
        Times, negative where w < w0.
    Raises:
        ValueError: an argument is impossible.
    Assumes:
        Loss 1/(2N) |W H + b 1^T - Y|^2, N = n C; W and b are its least-squares solution at all times; H follows its
        gradient, L2 metric on all N features, projected to within-class covariance I. The within-class part stays.
    Source:
        T27: form Han, Papyan and Donoho (arXiv 2106.02073), constants derived for this project.
    """
    where = "dynamics.central_path_time"
    n, C = check_count(where, "n", n, 1), check_count(where, "C", C, 2)
    w, w0 = check_nonnegatives(where, "w", w), check_nonnegatives(where, "w0", w0)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_ratio = np.where(w >= w0, np.log1p((w - w0) / w0), -np.log1p((w0 - w) / w))
        return n * (C**2 * log_ratio + (w - w0) * (w + w0) * (C + (w**2 + w0**2) / 4))


def central_path(*, t: float, w0: float, n: int, C: int) -> float:
    """The singular value w at time t >= 0, the inverse of `central_path_time`; w ~ (4 t/n)^(1/4).

    Args:
        t: time >= 0.
        w0, n, C: see `central_path_time`.
    Raises:
        ValueError: an argument is impossible.
    Assumes:
        As `central_path_time`.
    Source:
        T27; derived for this project.
    """
    where = "dynamics.central_path"
    t, w0 = check_nonnegative(where, "t", t), check_positive(where, "w0", w0)
    n, C = check_count(where, "n", n, 1), check_count(where, "C", C, 2)
    if t == 0.0:
        return w0
    with np.errstate(divide="ignore"):
        return root_of_logarithm(lambda w: float(np.log(central_path_time(w=w, w0=w0, n=n, C=C))) - math.log(t), w0)


def _logistic(s: Any, z0: Any, limit: float) -> Any:
    """Solution of dz/ds = z (limit - z) from z0 >= 0 after s >= 0, for a limit of any sign."""
    x = np.abs(s * limit)
    grown, faded = s * z0 * exprel(-x), np.exp(-x)
    if limit <= 0.0:
        return z0 * faded / (1.0 + grown)
    return z0 / (np.maximum(faded, 5e-324) + grown)  # z0 = 0 stays 0 when e^-x has underflowed


def _mse_scales(where: str, K: int, n: int, lam: float) -> tuple[float, float]:
    """(ds/dt, limit) of the logistic law."""
    K, n = check_count(where, "K", K, 2), check_count(where, "n", n, 1)
    reach = K * math.sqrt(n)
    return 2.0 / reach, 1.0 - reach * check_nonnegative(where, "lam", lam)
