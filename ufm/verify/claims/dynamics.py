"""Gradient flow against its closed forms: balance, logistic modes, the ETF ray (T23, T24, T25, 6.1).

Starts are built from plain numbers, so that theory knows them too.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import theory
from ufm.certify.point import examine
from ufm.flow import gradient_flow
from ufm.losses.cross_entropy import CrossEntropy
from ufm.losses.squared import MSE
from ufm.problem import Params, Problem
from ufm.verify.claim import Claim, Measurement
from ufm.verify.experiment import DRIFT, ROUNDING, around, drift, orthogonal, time_errors


class Balance(NamedTuple):
    """A start drawn from a seed; decay lam of W and H."""

    lam: float
    seed: int

    @property
    def start(self) -> Params:
        """Three classes of 2, 1 and 2 samples, d = 4, with a bias."""
        rng = np.random.default_rng(self.seed)
        return Params(*[0.5 * rng.standard_normal(shape) for shape in ((3, 4), (4, 5), (3,))])


TIMES = np.array([0.5, 3.0, 20.0])


def gaps(W: Any, H: Any) -> np.ndarray:
    """W^T W - H H^T at every time."""
    return np.einsum("...ki,...kj->...ij", W, W) - np.einsum("...in,...jn->...ij", H, H)


def measure_balance(setting: Balance) -> Measurement:
    """The gap at TIMES."""
    problem = Problem(3, (2, 1, 2), 4, setting.lam, setting.lam, 0.01, CrossEntropy(0.1))
    flow = gradient_flow(problem, setting.start, TIMES)
    found = gaps(flow.params.W, flow.params.H)
    return Measurement({"gap": found}, {"gap": drift(flow) * (1.0 + float(np.max(np.abs(found))))})


def predict_balance(setting: Balance) -> Mapping[str, Any]:
    """e^(-2 lam t) times the start's."""
    gap0 = gaps(setting.start.W, setting.start.H)
    return {"gap": theory.dynamics.balance_gap(t=TIMES[:, None, None], gap0=gap0, lam=setting.lam)}


class Modes(NamedTuple):
    """Eigenvalues z0 of W M at the start; kappa = K sqrt(n) lam."""

    kappa: float
    z0: tuple[float, ...] = (1.6, 0.4, 0.05)
    n: int = 2

    @property
    def arguments(self) -> dict[str, Any]:
        """K, n and the decay."""
        K = len(self.z0)
        return {"K": K, "n": self.n, "lam": self.kappa / (K * math.sqrt(self.n))}


MODE_TIMES = np.array([0.3, 4.0, 15.0])


def measure_modes(setting: Modes) -> Measurement:
    """W M in the eigenvectors of the start; "turned": how far it is from diagonal there."""
    K, n, lam = setting.arguments.values()
    U, R = orthogonal(K, 0), orthogonal(K + 1, 1)[:, :K]
    w = np.sqrt(math.sqrt(n) * np.array(setting.z0))
    start = Params((U * w) @ R.T, np.repeat((R * w) @ U.T, n, axis=1) / math.sqrt(n), None)
    flow = gradient_flow(Problem(K, n, K + 1, lam, lam, loss=MSE()), start, around(MODE_TIMES))
    Z = U.T @ flow.params.W @ flow.params.H[:, :, ::n] @ U
    z = np.einsum("tkk->tk", Z)
    turned = float(np.max(np.abs(Z * (1.0 - np.eye(K)))))
    error = drift(flow) * (1.0 + float(np.max(z)))
    z, times = time_errors(MODE_TIMES, z, error)
    read = {name: np.full(K, t) for name, t in zip(times, MODE_TIMES, strict=True)}
    return Measurement({"z": z, "turned": turned, **read}, {"z": error, "turned": error, **times})


def predict_modes(setting: Modes) -> Mapping[str, Any]:
    """The logistic law, and the time that it takes to where it is."""
    z0 = np.array(setting.z0)
    z = theory.dynamics.mse_mode(t=MODE_TIMES[:, None], z0=z0, **setting.arguments)
    times = theory.dynamics.mse_mode_time(z=z, z0=z0, **setting.arguments)
    return {"z": z, "turned": 0.0, **{f"time {t:g}": row for t, row in zip(MODE_TIMES, times, strict=True)}}


class Ray(NamedTuple):
    """A margin a on the balanced ray; logarithms of times."""

    a: float
    lam: float = 0.0
    log_times: tuple[float, ...] = ()
    K: int = 3
    n: int = 2

    @property
    def point(self) -> Params:
        """W = c P, H = c P/sqrt(n), a = c^2/sqrt(n)."""
        P, c = np.eye(self.K) - 1.0 / self.K, math.sqrt(self.a * math.sqrt(self.n))
        return Params(c * P, np.repeat(c * P / math.sqrt(self.n), self.n, axis=1), None)

    @property
    def problem(self) -> Problem:
        """d = K, no bias."""
        return Problem(self.K, self.n, self.K, self.lam, self.lam)


def margins(Z: np.ndarray, n: int) -> np.ndarray:
    """[..., K (K-1)] own logit less every other one of the class means."""
    means = Z[..., ::n]
    K = means.shape[-1]
    lead = np.einsum("...kk->...k", means)[..., None, :] - means
    return lead[..., ~np.eye(K, dtype=bool)]


def measure_ray(setting: Ray) -> Measurement:
    """Margins, norms and the logarithm of the loss at the times."""
    flow = gradient_flow(setting.problem, setting.point, np.exp(setting.log_times))
    W, H, _ = flow.params
    a, error = margins(W @ H, setting.n), drift(flow)
    values = {
        "a": a,
        "W_sq": np.sum(W**2, axis=(1, 2)),
        "H_sq": np.sum(H**2, axis=(1, 2)),
        "log loss": np.log(flow.value),
        "log t": np.array(setting.log_times),
    }
    sizes = {name: error * (1.0 + float(np.max(np.abs(value)))) for name, value in values.items()}
    return Measurement(values, sizes)


def predict_ray(setting: Ray) -> Mapping[str, Any]:
    """The clock and what it shows, and back."""
    K, n = setting.K, setting.n
    a = [theory.etf_ray.margin(log_t=float(log_t), a0=setting.a, K=K, n=n) for log_t in setting.log_times]
    states = [theory.etf_ray.state(K=K, n=n, a=x) for x in a]
    return {
        "a": np.outer([state.margin for state in states], np.ones(K * (K - 1))),
        "W_sq": np.array([state.W_sq for state in states]),
        "H_sq": np.array([state.H_sq for state in states]),
        "log loss": np.log([state.loss for state in states]),
        "log t": np.array([theory.etf_ray.log_time(a=x, a0=setting.a, K=K, n=n) for x in a]),
    }


def measure_velocity(setting: Ray) -> Measurement:
    """dZ/dt at the point, from ufm's gradient."""
    W, H, _ = setting.point
    grad = examine(setting.problem, setting.point).grad
    speed = margins(-(grad.W @ H + W @ grad.H), setting.n)
    return Measurement({"velocity": speed}, {"velocity": ROUNDING * (1.0 + setting.a)})


def predict_velocity(setting: Ray) -> Mapping[str, Any]:
    """The same for every margin: the ray is invariant."""
    speed = float(theory.etf_ray.velocity(a=setting.a, K=setting.K, n=setting.n, lam=setting.lam))
    return {"velocity": np.full(setting.K * (setting.K - 1), speed)}


# Within a tenth of the start, through the series and the asymptotic form of Ei, and very late.
RAYS = (
    Ray(0.5, log_times=(-1.0, 1.0, 3.0)),
    Ray(1e-3, log_times=(-0.5, 1.0, 2.0)),
    Ray(4.0, log_times=(4.0, 4.5, 5.0)),
    Ray(47.0, log_times=(42.0, 45.0, 48.0)),
    Ray(2.0, log_times=(3.0, 20.0, 230.0)),
)

CLAIMS = (
    Claim(
        "T23",
        "W^T W - H H^T decays as e^(-2 lam t) under gradient flow, whatever the loss and the labels.",
        "without decay known for deep linear networks; with decay derived for this project",
        "lam_W = lam_H = lam >= 0",
        DRIFT,
        lambda full: [Balance(0.3, 0), Balance(0.0, 1)],
        measure_balance,
        predict_balance,
    ),
    Claim(
        "T24",
        "Squared loss: the eigenvalues of W M follow logistic curves to 1 - kappa, or to 0; their vectors stay.",
        "form as for deep linear networks (Saxe et al. 2014); with decay derived for this project",
        "equal class sizes, no bias, W M symmetric and >= 0 at the start, lam_W = lam_H",
        DRIFT + "; times: that over the slowest speed",
        lambda full: [Modes(kappa) for kappa in (0.0, 0.7, 1.0, 1.7)],
        measure_modes,
        predict_modes,
    ),
    Claim(
        "T25",
        "Cross-entropy on the ETF ray: the margin's speed 2 a/(sqrt n (e^a + K - 1)) - 2 lam a, the ray invariant.",
        "derived for this project",
        "equal class sizes, W^T W = H H^T",
        "32 eps of the size: a gradient, no integration",
        lambda full: [Ray(0.5), Ray(7.0, 0.02), Ray(0.01, 0.3)],
        measure_velocity,
        predict_velocity,
    ),
    Claim(
        "6.1",
        "Cross-entropy without decay: the margin's clock is an exponential integral, here up to t = 1e100.",
        "Model: Ji et al. (ICLR 2022); clock derived for this project",
        "equal class sizes, start on the ETF ray",
        DRIFT,
        lambda full: RAYS,
        measure_ray,
        predict_ray,
    ),
)
