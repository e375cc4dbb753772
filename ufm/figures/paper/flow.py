"""Gradient flow beside its closed forms: modes of the squared loss, balance, and endless training."""

import math

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from theory import dynamics, etf_ray, seli
from ufm.figures.data import Data, Source, levels, rows, stacked
from ufm.figures.style import BLUE, GREEN, ORANGE, PAGE, paper
from ufm.flow import gradient_flow
from ufm.losses.cross_entropy import CrossEntropy
from ufm.losses.squared import MSE
from ufm.problem import Params, Problem
from ufm.start import random_start
from ufm.verify.experiment import orthogonal

CAPTION = (
    "Gradient flow and its closed forms. Dots, integrated; lines, theory; no bias. (a) Squared loss: eigenvalues z of "
    "W M follow logistic curves to 1 - kappa (T24); K = {K}, n = {n}, d = {d}, kappa = {kappa:g}. (b) Balance: |W^T W "
    "- H H^T| decays as exp(-2 lam t), or not at all (T23); cross-entropy, K = {K}, n = {n}, d = {d}, lam_W = lam_H = "
    "lam of 0 and {lam:g}, random start (seed {key}). (c) Cross-entropy without decay on the ray of simplex ETFs, K = "
    "d = {K}, n = {n}: the margin over log t, up to t = e^{last:g} (6.1). (d) The same from random starts (seed "
    "{key}), d = K, class sizes {sizes}: (|W|^2 + |H|^2)/log t, and its limit 2 V (6.2; errors are of order log log "
    "t/log t). Largest relative differences: (a) {modes:.1e}, (b) {balance:.1e}, (c) {ray:.1e}."
)
Z0 = (1.6, 0.4, 0.05)
A0 = 0.5  # margin at the start of the ray
SIZES = ((2, 2, 2), (4, 2, 1))
COLOURS = (BLUE, ORANGE, GREEN)


def data(
    source: Source, *, n: int = 2, kappa: float = 0.3, lam: float = 0.02, last: float = 200.0, key: int = 0
) -> Data:
    """Four experiments. checks: "modes", "balance", "ray": the largest relative differences from theory."""
    K = len(Z0)
    parts = [*_modes(n, kappa), *_balance(K, n, lam, key), *_ray(K, n, last), *_late(last, key)]
    checks = {}
    for panel, name in (("modes", "modes"), ("balance", "balance"), ("ray", "ray")):
        table = rows(stacked(parts), "panel", panel)
        checks[name] = float(np.max(np.abs(table["y"] / table["theory"] - 1.0)))
    sizes = " and ".join(str(sizes) for sizes in SIZES)
    settings = {"K": K, "n": n, "d": K + 1, "kappa": kappa, "lam": lam, "last": last, "key": key, "sizes": sizes}
    return Data({"": stacked(parts)}, settings, checks)


def _part(panel: str, series: str, x: np.ndarray, y: np.ndarray, theory: np.ndarray) -> dict:
    return {"panel": panel, "series": series, "x": x, "y": y, "theory": theory}


def _modes(n: int, kappa: float) -> list[dict]:
    """Eigenvalues of W M over t, from a start in which they do not mix."""
    K, z0 = len(Z0), np.array(Z0)
    lam = kappa / (K * math.sqrt(n))
    U, R = orthogonal(K, 0), orthogonal(K + 1, 1)[:, :K]
    w = np.sqrt(math.sqrt(n) * z0)
    start = Params((U * w) @ R.T, np.repeat((R * w) @ U.T, n, axis=1) / math.sqrt(n), None)
    t = np.linspace(0.0, 25.0, 101)
    flow = gradient_flow(Problem(K, n, K + 1, lam, lam, loss=MSE()), start, t)
    z = np.einsum("tkk->tk", U.T @ flow.params.W @ flow.params.H[:, :, ::n] @ U)
    stated = dynamics.mse_mode(t=t[:, None], z0=z0, K=K, n=n, lam=lam)
    return [_part("modes", f"z(0) = {x:g}", t, z[:, k], stated[:, k]) for k, x in enumerate(Z0)]


def _balance(K: int, n: int, lam: float, key: int) -> list[dict]:
    """|W^T W - H H^T| over t, with and without decay."""
    t, parts = np.linspace(0.0, 100.0, 21), []
    for decay in (0.0, lam):
        problem = Problem(K, n, K + 1, decay, decay, loss=CrossEntropy())
        W, H, _ = gradient_flow(problem, random_start(problem, key), t, rtol=1e-11).params
        gap = np.linalg.norm(np.einsum("tki,tkj->tij", W, W) - np.einsum("tin,tjn->tij", H, H), axis=(1, 2))
        stated = dynamics.balance_gap(t=t, gap0=gap[0], lam=decay)
        parts.append(_part("balance", rf"lam = {decay:g}", t, gap, stated))
    return parts


def _ray(K: int, n: int, last: float) -> list[dict]:
    """Margin over log t."""
    P, c = np.eye(K) - 1.0 / K, math.sqrt(A0 * math.sqrt(n))
    start = Params(c * P, np.repeat(c * P / math.sqrt(n), n, axis=1), None)
    log_t = np.linspace(0.0, last, 26)
    flow = gradient_flow(Problem(K, n, K, 0.0, 0.0), start, np.exp(log_t))
    Z = flow.params.W @ flow.params.H
    stated = np.array([etf_ray.margin(log_t=float(x), a0=A0, K=K, n=n) for x in log_t])
    return [_part("ray", "margin", log_t, Z[:, 0, 0] - Z[:, 1, 0], stated)]


def _late(last: float, key: int) -> list[dict]:
    """(|W|^2 + |H|^2)/log t from random starts."""
    log_t, parts = np.geomspace(5.0, last, 16), []
    for sizes in SIZES:
        problem = Problem(len(sizes), sizes, len(sizes), 0.0, 0.0)
        flow = gradient_flow(problem, random_start(problem, key), np.exp(log_t), rtol=1e-9, atol=1e-10)
        norm = np.sum(flow.params.W**2, axis=(1, 2)) + np.sum(flow.params.H**2, axis=(1, 2))
        limit = np.full(log_t.size, seli.rates(K=len(sizes), n=sizes).norm_sq)
        parts.append(_part("late", f"n = {sizes}", log_t, norm / log_t, limit))
    return parts


LABELS = {
    "modes": ("(a) logistic modes", "$t$", "eigenvalue of $WM$"),
    "balance": ("(b) balance", "$t$", r"$|W^\top W-HH^\top|_F$"),
    "ray": ("(c) on the ray of simplex ETFs", r"$\log t$", "margin"),
    "late": ("(d) from random starts", r"$\log t$", r"$(|W|_F^2+|H|_F^2)/\log t$"),
}


def figure(data: Data) -> Figure:
    """Four panels; theory as lines under the dots."""
    with paper():
        figure = Figure(figsize=(PAGE, 3.9), layout="constrained")
        panels = dict(zip(LABELS, figure.subplots(2, 2).ravel(), strict=True))
        for panel, axes in panels.items():
            part = rows(data.table, "panel", panel)
            for series, colour in zip(levels(part, "series"), COLOURS, strict=False):
                at = rows(part, "series", series)
                axes.plot(at["x"], at["theory"], color=colour, linewidth=0.9, zorder=1)
                every = max(1, len(at["x"]) // 25)
                axes.plot(at["x"], at["y"], "o", color=colour, label=_label(series), markevery=every)
            title, across, up = LABELS[panel]
            axes.set(xlabel=across, ylabel=up)
            axes.set_title(title, loc="left")
            if len(levels(part, "series")) > 1:
                axes.legend(loc="best")
        panels["balance"].set_yscale("log")
        panels["balance"].yaxis.set_major_locator(LogLocator(numticks=6))
        panels["balance"].yaxis.set_minor_locator(NullLocator())
        panels["late"].xaxis.set_major_locator(MaxNLocator(6))
    return figure


def _label(series: str) -> str:
    return series.replace("lam", r"$\lambda$").replace("n =", "$n$ =").replace("z(0)", "$z(0)$")
