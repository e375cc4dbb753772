"""Lower bounds for deep models, from the decays and the targets alone: they hold at every point.

With q = M + 1 factors and g the geometric mean of their decays, AM-GM and Horn's inequality bound the decays of linear
layers from below by (q/2) g sum_j sigma_j(Z)^(2/q). With ReLUs they are at least (q/2) g |Z|_*^(2/q).

Squared loss. Minimising over b leaves |(Z - Y) A|^2/(2N) in the coordinates sqrt(n_c) times the mean of group c, where
A is the identity but for one singular value t, t^2 = lam_b/(1 + lam_b): 1 without a bias, 0 with a free one. By Mirsky
|(Z - Y) A|^2 >= sum_j (z_j - y_j)^2, z and y the singular values of Z A and Y A. By Gelfand and Naimark sum_j
sigma_j(Z)^p >= sum_j (a_j z_j)^p where a_j = 1 but for the last singular value of a square Z, which has 1/t. So every
z_j has a problem of its own. The sum is attained without a bias, with a free one, and for classes of equal size.

Cross-entropy. The mean of the losses is at least the loss phi at the mean margin m (Jensen), and m <= reach |Z|_*.

Source:
    L1, L3-L5, D1 and 5 of the theory reference, derived for this project. At two matrices with ReLUs, and for two
    classes, the bound of linear layers is known to hold: Tirer and Bruna (ICML 2022), Sukenik et al. (NeurIPS 2023).
"""

import math

import numpy as np
import scipy

from ufm.certify.minorant import EPS, LowerBound
from ufm.losses import MSE, CrossEntropy
from ufm.models import DeepLinear
from ufm.problem import Problem


def deep_bound(problem: Problem) -> LowerBound:
    """The best bound that is known for the loss and the layers; -inf with the reason where there is none."""
    if isinstance(problem.loss, MSE):
        if isinstance(problem.model, DeepLinear):
            bound = _singular_values(problem), "singular values of the targets (L3-L5)"
        elif _like_linear(problem):
            bound = _singular_values(problem), "neural collapse is optimal for K = 2 or two matrices (D2, Tirer-Bruna)"
        else:
            bound = _nuclear_norm(problem), "nuclear norm of the logits (D1): a bound that is not attained"
    elif isinstance(problem.loss, CrossEntropy):
        reach = _reach(problem)
        if reach is None:
            return LowerBound(-np.inf, "none: a bias and classes of different sizes")
        tight = " " if len(problem.lam_Ws) == 1 else ": a bound that is not attained"
        bound = _margin(problem, reach), f"mean margin (5){tight}".strip()
    else:
        return LowerBound(-np.inf, "none: deep models have bounds for MSE and CrossEntropy")
    value, method = bound
    return LowerBound(value - 32 * EPS * (1.0 + value), method)


def _price(problem: Problem) -> tuple[float, float]:
    """((q/2) g, 2/q)."""
    lams = np.array([*map(float, problem.lam_Ws), float(problem.lam_H)])
    return len(lams) / 2 * math.exp(float(np.mean(np.log(lams)))), 2 / len(lams)


def _like_linear(problem: Problem) -> bool:
    """Whether a theorem says that ReLUs do not lower the minimum: equal classes, no bias, M <= 2 or K = 2."""
    few = len(problem.lam_Ws) <= 2 or problem.K == 2
    return few and problem.targets is None and problem.lam_b is None and len(set(problem.sizes)) == 1


def _target_values(problem: Problem) -> tuple[np.ndarray, float]:
    """(y_j descending, t) of the module's text."""
    root = np.sqrt(np.asarray(problem.sizes, float))
    t = 1.0 if problem.lam_b is None else math.sqrt(float(problem.lam_b) / (1.0 + float(problem.lam_b)))
    Y = problem.group_targets() * root
    Y = Y - (1.0 - t) * np.outer(Y @ root, root) / problem.N
    return np.linalg.svd(Y, compute_uv=False), t


def _singular_values(problem: Problem) -> float:
    """sum_j min over z of (z - y_j)^2/(2N) + (q/2) g (a_j z)^(2/q), z = 0 beyond the narrowest layer."""
    y, t = _target_values(problem)
    price, p = _price(problem)
    stretch = np.ones(len(y))
    if problem.K >= problem.C and t > 0.0:
        stretch[problem.C - 1 :] = 1.0 / t
    narrowest = min(problem.d, *_widths(problem), problem.K)
    total = 0.0
    for j, target in enumerate(y.tolist()):
        rest = target**2 / (2 * problem.N)
        total += rest if j >= narrowest else min([rest, *_stationary(target, 1, price * stretch[j] ** p, p, problem.N)])
    return total


def _nuclear_norm(problem: Problem) -> float:
    """min over z >= 0 of sum_j (z_j - y_j)^2/(2N) + (q/2) g (sum_j z_j)^(2/q), z_j = 0 beyond the last hidden width.

    At a given sum z is (y - mu)_+, so that with r values left the sum S solves a problem of one variable.
    """
    y, _ = _target_values(problem)
    price, p = _price(problem)
    kept = y[: min([problem.d, *_widths(problem)][-1], problem.K)]
    lost = float(np.sum(y[len(kept) :] ** 2)) / (2 * problem.N)
    candidates = [float(np.sum(kept**2)) / (2 * problem.N)]
    for r in range(1, len(kept) + 1):
        dropped = float(np.sum(kept[r:] ** 2)) / (2 * problem.N)
        # z_j = y_j - mu: the misfit is r mu^2 and the sum r (mean - mu), as of r values that all equal the mean.
        found = _stationary(float(np.mean(kept[:r])), r, price, p, problem.N)
        candidates += [dropped + value for value in found]
    return lost + min(candidates)


def _stationary(y: float, r: int, price: float, p: float, N: int) -> list[float]:
    """Values of r (z - y)^2/(2N) + price (r z)^p at its local minimiser z > 0, as a list that is empty where none is.

    z = y x^(M+1) turns the stationarity into the polynomial x^(2M) - x^(M-1) + s, of which the largest root counts.
    """
    M = round(2 / p) - 1
    if y <= 0.0:
        return []
    s = price * p * N * (r * y) ** (p - 1.0) / y
    if M == 1:
        roots = [math.sqrt(1.0 - s)] if s < 1.0 else []
    else:
        coefficients = np.zeros(2 * M + 1)
        coefficients[[0, M + 1, 2 * M]] = 1.0, -1.0, s
        found = np.roots(coefficients)
        roots = [float(x.real) for x in found if abs(x.imag) <= 1e-7 and 0.0 < x.real <= 1.0]
    if not roots:
        return []
    z = y * max(roots) ** (M + 1)
    return [r * (z - y) ** 2 / (2 * N) + price * (r * z) ** p]


def _widths(problem: Problem) -> tuple[int, ...]:
    return problem.model.widths


def _reach(problem: Problem) -> float | None:
    """The largest mean of z_y - mean of the others per nuclear norm of Z; None if a bias could add to it."""
    sizes = np.asarray(problem.sizes, float)
    if problem.lam_b is not None and len(set(problem.sizes)) > 1:
        return None
    K = problem.K
    norm = float(np.linalg.norm((K * np.eye(K) - 1.0) * np.sqrt(sizes), 2))
    return norm / (problem.N * (K - 1))


def _margin(problem: Problem, reach: float) -> float:
    """min over m >= 0 of log(1 + (K-1) e^-m) + smoothing (K-1)/K m + (q/2) g (m/reach)^(2/q).

    The first two terms are phi. -phi'(m) m^(1-p) is log-concave, so that the larger of at most two stationary m counts.
    """
    K, smoothing = problem.K, float(problem.loss.smoothing)
    price, p = _price(problem)
    price /= reach**p

    def value(m: float) -> float:
        return float(np.logaddexp(0.0, math.log(K - 1) - m)) + smoothing * (K - 1) / K * m + price * m**p

    def slope(log_m: float) -> float:
        """m times the derivative."""
        m = math.exp(log_m)
        fall = 1.0 / (1.0 + math.exp(min(m, 700.0)) / (K - 1)) - smoothing * (K - 1) / K
        return price * p * m**p - m * fall

    grid = np.linspace(-40.0, math.log(800.0), 800)
    rising = np.array([slope(x) for x in grid]) > 0.0
    negative = np.flatnonzero(~rising)
    if not negative.size:
        return value(0.0)
    last = int(negative[-1])
    root = float(scipy.optimize.brentq(slope, grid[last], grid[last + 1], xtol=1e-13))  # pyright: ignore[reportArgumentType]
    return min(value(0.0), value(math.exp(root)))
