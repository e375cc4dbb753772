"""Gradient flow in closed form: trajectories, and the times at which they arrive (T23 to T27).

d(W, H, b)/dt = -grad f at unit speed. Balanced classes, N = K n samples; where a single decay lam is named, lam_W =
lam_H = lam. T26 and T27 have the objectives of their papers, as their docstrings say. Arguments t, z0, ... of the
explicit trajectories may be arrays; those found by a root are floats.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import exprel

from theory.arguments import check_count, check_nonnegative, check_positive
from theory.ray_integral import log_ray_integral
from theory.roots import root_beyond


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
    return np.exp(-2.0 * check_nonnegative(where, "lam", lam) * _times(where, t)) * np.asarray(gap0, dtype=np.float64)


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
    return _logistic(speed * _times(where, t), _times(where, z0, "z0"), limit)


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
    z, z0 = _times(where, z, "z"), _times(where, z0, "z0")
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = (z - z0) / z0 / (limit - z)
        growth = limit * reach  # of z/(limit - z), less 1
        far = np.log(z) - np.log(z0) + np.log((limit - z0) / (limit - z))
        steps = np.where(np.abs(growth) < 0.5, np.log1p(growth), far) / limit if limit != 0.0 else reach
    return np.where(z == z0, 0.0, np.where(z == limit, np.inf, steps)) / speed


def cross_entropy_velocity(*, a: Any, K: int, n: int, lam: float = 0.0) -> Any:
    """da/dt = (2/sqrt n) a/(e^a + K - 1) - 2 lam a for the margin a on the balanced ray of simplex ETFs.

    Args:
        a: margins >= 0: W M = a (I - J/K).
        K, n: classes, samples a class.
        lam: decay of both W and H, >= 0.
    Raises:
        ValueError: an argument is impossible.
    Assumes:
        Cross-entropy; balanced classes; W^T W = H H^T and class-collapsed features at t = 0; b = beta 1 or none.
    Source:
        T25; derived for this project.
    """
    where = "dynamics.cross_entropy_velocity"
    K, n = check_count(where, "K", K, 2), check_count(where, "n", n, 1)
    a, lam = _times(where, a, "a"), check_nonnegative(where, "lam", lam)
    return 2.0 * a * (np.exp(-a) / (1.0 + (K - 1) * np.exp(-a)) / math.sqrt(n) - lam)


def cross_entropy_log_time(*, a: float, a0: float, K: int, n: int) -> float:
    """log t, t = (sqrt n/2) [Ei(a) - Ei(a0) + (K-1) log(a/a0)], when the margin has grown from a0 to a without decay.

    Args:
        a, a0: margins > 0, any size: t itself overflows beyond a = 716.
        K, n: classes, samples a class.
    Returns:
        log t; -inf at a = a0, NaN below, which the flow never reaches.
    Raises:
        ValueError: an argument is impossible.
    Assumes:
        As `cross_entropy_velocity`, with lam = 0.
    Source:
        T25; derived for this project.
    """
    where = "dynamics.cross_entropy_log_time"
    K, n = check_count(where, "K", K, 2), check_count(where, "n", n, 1)
    a, a0 = check_positive(where, "a", a), check_positive(where, "a0", a0)
    return math.log(n) / 2 - math.log(2.0) + log_ray_integral(a0, a, K) if a >= a0 else math.nan


def cross_entropy_margin(*, log_t: float, a0: float, K: int, n: int) -> float:
    """The margin a at time t, the inverse of `cross_entropy_log_time`: a ~ log t + log log t + log(2/sqrt n).

    Args:
        log_t: log of the time, -inf for t = 0.
        a0: margin > 0 at t = 0.
        K, n: classes, samples a class.
    Raises:
        ValueError: an argument is impossible.
    Assumes:
        As `cross_entropy_log_time`.
    Source:
        T25; derived for this project.
    """
    where = "dynamics.cross_entropy_margin"
    K, n = check_count(where, "K", K, 2), check_count(where, "n", n, 1)
    a0 = check_positive(where, "a0", a0)
    if not -math.inf <= log_t < math.inf:
        raise ValueError(f"{where}: log_t={log_t!r} is not a finite number or -inf. Pass the logarithm of a time.")
    target = log_t + math.log(2.0) - math.log(n) / 2
    return _first(lambda a: log_ray_integral(a0, a, K) - target, a0) if log_t > -math.inf else a0


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
    return _logistic(2.0 * _times(where, t), _times(where, omega0, "omega0"), math.sqrt(N))


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
    decay = N * C * _times(where, t)
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
    w, w0 = _times(where, w, "w"), _times(where, w0, "w0")
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.clip((w - w0) / w0, -0.5, 0.5)
        log_ratio = np.where(np.abs(near) < 0.5, np.log1p(near), np.log(w) - np.log(w0))
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
        return _first(lambda w: float(np.log(central_path_time(w=w, w0=w0, n=n, C=C))) - math.log(t), w0)


def _first(log_ratio: Callable[[float], float], start: float) -> float:
    """The root beyond `start` of an increasing function that is -inf at `start`."""
    return root_beyond(lambda x: math.expm1(min(log_ratio(x), 1.0)), start)


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


def _times(where: str, t: Any, name: str = "t") -> np.ndarray:
    """The argument as float64, all entries finite and >= 0."""
    times = np.asarray(t, dtype=np.float64)
    if not np.all((times >= 0.0) & (times < np.inf)):
        raise ValueError(f"{where}: {name} has entries that are not finite numbers >= 0. Pass {name} >= 0.")
    return times
