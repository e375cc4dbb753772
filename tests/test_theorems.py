"""The "Check" lines of T1, T3, T4, T6-T10, T20 and T21 of the theory reference, redone through `ufm`.

Nothing here is built from a closed form: a point is found by `ufm.solve` from a random start, judged by `ufm.certify`,
and only then set against `theory`. Two errors are allowed (see `allowance`):

    rounding       a few eps times the size of what is compared;
    the gradient   a point with gradient g lies within 2 |g|_2 / mu of a critical one, mu the smallest non-zero Hessian
                   eigenvalue (T16, T17), and what is compared changes by at most its Lipschitz constant times that.

T5 and the spectra, T16-T18, are in test_theorems_hessian.py. `ufm verify --full` runs many more settings.
"""

import functools
import math
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
from dense_oracle import measure
from scipy.optimize import minimize_scalar

import ufm
from theory import Prediction, conversions, cross_entropy, expand, mse
from ufm.certify.escape import packing
from ufm.certify.point import examine, hessian_product
from ufm.precision import exact, to_host
from ufm.reduction import lift_params, merge, merge_params

EPS = float(np.finfo(np.float64).eps)
GLOBAL, LOCAL = ufm.Verdict.GLOBAL_MINIMUM, ufm.Verdict.LOCAL_MINIMUM


class Case(NamedTuple):
    """One setting of a theorem, by its kappa = K sqrt(n lam_W lam_H) and ratio = lam_W / lam_H."""

    loss: str
    K: int
    n: int | tuple[int, ...]
    d: int
    lam_b: float | None
    kappa: float
    ratio: float = 1.0
    smoothing: float = 0.0

    @property
    def setting(self) -> dict[str, Any]:
        """The keywords of `ufm.Problem` and of `theory`, apart from the loss. Imbalanced: kappa = N nu."""
        scale = self.K * math.sqrt(self.n) if isinstance(self.n, int) else sum(self.n)
        nu, tilt = self.kappa / scale, math.sqrt(self.ratio)
        return {"K": self.K, "n": self.n, "d": self.d, "lam_W": nu * tilt, "lam_H": nu / tilt, "lam_b": self.lam_b}

    @property
    def problem(self) -> ufm.Problem:
        loss = ufm.CrossEntropy(self.smoothing) if self.loss == "ce" else ufm.MSE()
        return ufm.Problem(**self.setting, loss=loss)

    @property
    def theory(self) -> ModuleType:
        return cross_entropy if self.loss == "ce" else mse

    @property
    def arguments(self) -> dict[str, Any]:
        return self.setting | ({"smoothing": self.smoothing} if self.loss == "ce" else {})

    @property
    def prediction(self) -> Prediction:
        return self.theory.global_minimum(**self.arguments)

    @property
    def spectrum(self) -> np.ndarray:
        """T16 or T17: every eigenvalue at the minimum."""
        return expand(self.theory.minimum_spectrum(**self.arguments))

    @property
    def trivial(self) -> bool:
        return self.kappa >= 1.0 - self.smoothing


def ce(*args: Any, **kwargs: Any) -> Case:
    return Case("ce", *args, **kwargs)


def squares(*args: Any, **kwargs: Any) -> Case:
    return Case("mse", *args, **kwargs)


# K, n, d, lam_b, kappa, lam_W / lam_H, smoothing. Settings of one (K, n, d, bias or not) share their compilations.
T7 = [
    ce(2, 3, 1, 0.0, 0.3),
    ce(2, 3, 1, 1e-3, 6e-5),
    ce(2, 3, 1, 1e-2, 0.65, 0.1, 0.3),
    ce(2, 3, 1, 0.0, 0.93, 7.0),
    ce(3, 2, 5, None, 6e-5),
    ce(3, 2, 5, None, 1e-2, 10.0, 0.1),
    ce(3, 2, 5, None, 0.3, 0.1, 0.3),
    ce(3, 2, 5, None, 0.9),
    ce(3, 2, 5, None, 0.75, 4.0, 0.3),  # kappa > 1 - smoothing: W = H = 0
    ce(4, 3, 3, 0.0, 0.05, 1.0, 0.1),
    ce(4, 3, 3, 1e-3, 0.5, 100.0),
    ce(4, 3, 3, 1e-2, 6e-5),
    ce(4, 3, 3, 1e-2, 1.13),
    ce(4, 3, 3, 0.0, 1.13, 3.0),
    ce(4, 3, 3, 1e-2, 0.2, 0.02, 0.3),
    ce(5, 1, 8, 0.0, 0.2, 1.0, 0.3),
    ce(5, 1, 8, 1e-3, 0.8, 0.01, 0.1),
    ce(5, 1, 8, 1e-2, 1e-3),
    ce(5, 1, 8, 0.0, 0.4, 0.1),
    ce(5, 1, 8, 1e-2, 0.1, 50.0),
    ce(10, 1, 9, 0.0, 0.4),
    ce(10, 1, 9, 1e-2, 0.02, 25.0, 0.1),
    ce(10, 1, 9, 1e-3, 0.85),
    ce(10, 1, 9, 1e-2, 1e-3, 1.0, 0.3),
]
T8 = [
    *(squares(4, 3, 6, lam_b, 0.15) for lam_b in (0.0, 0.01, 0.1, 0.2, 0.3)),  # from 0.176 on the mean is kept
    squares(4, 3, 6, 50.0, 0.4, 30.0),
    squares(4, 3, 6, 1e4, 0.3),
    squares(4, 3, 6, 0.5, 1.2),
    squares(4, 3, 4, None, 1e-3),
    squares(4, 3, 4, None, 0.3, 0.1),
    squares(4, 3, 4, None, 1.1),
]
T9 = [
    squares(2, 2, 1, 0.0, 0.3),
    squares(2, 2, 1, 0.5, 0.2, 0.02),
    squares(2, 2, 1, 1e4, 0.05),
    squares(5, 2, 3, 0.0, 0.2),
    squares(5, 2, 3, 0.3, 0.1, 10.0),
    squares(5, 2, 3, 50.0, 0.05),
    squares(5, 2, 3, 0.2, 1.05),
    squares(8, 1, 3, None, 0.25),
    squares(8, 1, 3, None, 0.02, 9.0),
    squares(8, 1, 3, None, 1.2),
]
SIZES = (4, 2, 1, 2, 1)
T10 = [  # kappa = N nu here; without bias, class k is lost once it reaches sqrt(n_k)
    *(squares(5, SIZES, 5, None, threshold, 2.0) for threshold in (0.3, 0.9, 1.2, 1.7, 2.1)),
    squares(5, SIZES, 4, 0.0, 0.3),
    squares(5, SIZES, 4, 0.0, 1.3, 0.1),
    squares(4, (5, 3, 2, 1), 2, None, 0.4),
    squares(4, (5, 3, 2, 1), 2, None, 1.8),
]


def named(case: Case) -> str:
    """The id of a case in pytest's output."""
    n = case.n if isinstance(case.n, int) else "+".join(map(str, case.n))
    smoothed = f"-smooth{case.smoothing:g}" if case.smoothing else ""
    return f"{case.loss}-K{case.K}-n{n}-d{case.d}-b{case.lam_b}-kappa{case.kappa:g}-ratio{case.ratio:g}{smoothed}"


class Found(NamedTuple):
    """A critical point: |gradient|_2, and mu, the smallest non-zero Hessian eigenvalue."""

    problem: ufm.Problem
    params: ufm.Params
    grad: float
    certificate: ufm.Certificate
    mu: float


@functools.cache
def solved(case: Case, key: int = 0) -> Found:
    """CONVERGED at 1e-12 from a random start, then followed to the last digits and certified there."""
    first = ufm.solve(case.problem, key)
    assert first.status is ufm.Status.CONVERGED, first.message
    assert first.grad_norm <= 1e-12
    return polished(case.problem, first.params)


def polished(problem: ufm.Problem, params: ufm.Params) -> Found:
    """The critical point at `params`, as far as float64 goes."""
    return measured(problem, ufm.solve(problem, start=params, gtol=EPS).params)


def measured(problem: ufm.Problem, params: ufm.Params) -> Found:
    """The point itself, with what its neighbourhood looks like."""
    grad = math.sqrt(sum(float(np.sum(g**2)) for g in examine(problem, params).grad if g is not None))
    stiffness = np.abs(ufm.hessian_spectrum(problem, params))
    mu = float(np.min(stiffness[stiffness > 1e-12 * np.max(stiffness)]))
    return Found(problem, params, grad, ufm.certify(problem, params), mu)


def allowance(found: Found, size: float) -> float:
    """How far a product of at most two of W, H, b, itself of this size, may be from its value at the exact point."""
    return 16 * EPS * (1.0 + size) + drift(found)


def drift(found: Found) -> float:
    """The part of it that the gradient explains."""
    reach = sum(float(np.linalg.norm(x)) for x in found.params if x is not None)
    return 2.0 * (1.0 + reach) * (2.0 * found.grad / found.mu)


def assert_predicted(case: Case, found: Found) -> None:
    """Every quantity that `theory` states, from the features' class means."""
    W, H, b = found.params
    sizes = found.problem.sizes
    means = merge_params(found.problem, found.params).H / np.sqrt(sizes)
    collapsed = np.repeat(means, sizes, axis=1)
    assert np.max(np.abs(H - collapsed)) <= 2.0 * found.grad / found.problem.lam_H + 8 * EPS * np.max(np.abs(H))  # T20
    got: dict[str, Any] = dict(measure(W, collapsed, b, sizes))
    decay = found.problem.lam_W * got["W_sq"] + found.problem.lam_H * got["H_sq"]
    if b is not None:
        decay += found.problem.lam_b * np.sum(b**2)
        if case.loss == "ce" and case.lam_b == 0.0:
            got["b"] = b - np.mean(b)
    got["data_loss"] = found.certificate.value - decay / 2
    stated = case.prediction.quantities
    # The value is flat at a minimum: nothing but rounding.
    assert abs(found.certificate.value - stated["value"]) <= 4 * EPS * (1.0 + stated["value"])
    for name in set(stated) - {"value", "nullity"}:
        size = float(np.max(np.abs(stated[name])))
        assert np.max(np.abs(got[name] - stated[name])) <= allowance(found, size), name


def assert_critical(found: Found) -> None:
    """T1: balancedness, the singular vectors of Z = W H in G, and the sums."""
    problem, (W, H, b) = found.problem, found.params
    point, nu = examine(problem, found.params), float(problem.nu)
    U, s, Vt = np.linalg.svd(point.Z, full_matrices=False)
    rank = int(np.sum(s > 1e-6))
    residuals = {
        "balance": problem.lam_W * W.T @ W - problem.lam_H * H @ H.T,
        "G V = -nu U": (point.G @ Vt[:rank].T + nu * U[:, :rank]) * np.sqrt(s[:rank]),
        "U^T G = -nu V^T": (U[:, :rank].T @ point.G + nu * Vt[:rank]) * np.sqrt(s[:rank])[:, None],
        "norms": (problem.lam_W * np.sum(W**2) + problem.lam_H * np.sum(H**2)) / 2 - nu * np.sum(s),
        "<G, Z>": np.sum(point.G * point.Z) + nu * np.sum(s),
    }
    if b is not None:
        residuals["G 1"] = point.G.sum(axis=1) + problem.lam_b * b
    if problem.loss.shift_invariant:
        assert rank <= problem.K - 1
        residuals |= {"1^T G": point.G.sum(axis=0), "lam_W 1^T W": problem.lam_W * W.sum(axis=0)}
        if b is not None:
            residuals["lam_b 1^T b"] = problem.lam_b * b.sum()
    # Each is a gradient times W, H or 1 (T1's proof), up to rounding of G and of the decays.
    reach = 1.0 + float(np.linalg.norm(W)) + float(np.linalg.norm(H))
    for name, residual in residuals.items():
        assert np.linalg.norm(residual) <= (2 * found.grad + 16 * EPS) * reach, name
    certificate = found.certificate
    assert certificate.balance <= (2 * found.grad + 16 * EPS) * reach
    assert abs(certificate.nuclear_excess) <= (2 * found.grad + 16 * EPS) * reach


def dense_hessian(problem: ufm.Problem, params: ufm.Params) -> np.ndarray:
    """The whole Hessian of `Problem.objective`, product by product."""
    pack, unpack = packing(params)
    with exact():
        typed = problem.astype(np.float64)
        rows = [pack(to_host(hessian_product(typed, params, unpack(e)))) for e in np.eye(pack(params).size)]
    hessian = np.array(rows)
    assert np.max(np.abs(hessian - hessian.T)) <= 8 * EPS * np.max(np.abs(hessian))
    return (hessian + hessian.T) / 2


@pytest.mark.parametrize("case", [*T7, *T8, *T9, *T10], ids=named)
def test_minimum(case):
    """T7-T10, with T1 and T3: a random start ends at the predicted minimum, and the certificate proves it."""
    found = solved(case)
    certificate, stated = found.certificate, case.prediction.quantities
    assert certificate.verdict is GLOBAL
    assert certificate.gap <= 16 * EPS * (1.0 + certificate.value)  # of which 8 eps are the bound's own margin
    assert_predicted(case, found)
    assert_critical(found)
    assert (certificate.index, certificate.nullity) == (0, stated["nullity"])


@pytest.mark.parametrize("case", [*T7, *T8], ids=named)
def test_gradient_in_the_logits(case):
    """T3, T7: |G|_2 = nu where W H is not zero; |G|_2 = (1 - smoothing) nu / kappa <= nu where it is."""
    found = solved(case)
    gains = np.linalg.svd(examine(found.problem, found.params).G, compute_uv=False)[: case.K - 1]
    nu = float(found.problem.nu)
    expected = (1.0 - case.smoothing) / case.kappa * nu if case.trivial else nu
    assert np.max(np.abs(gains - expected)) <= allowance(found, 0.0) / found.problem.N
    assert found.certificate.dual_ratio == pytest.approx(np.max(gains) / nu, rel=1e-12)


@pytest.mark.parametrize("case", [T7[-1], *T9[3:6], *T9[7:9]], ids=named)
def test_every_start_ends_at_one_value(case):
    """T9: no spurious minima at d < K - 1 either. (T7's at d = K - 1: T4.)"""
    values = [solved(case, key).certificate.value for key in range(6)]
    assert np.ptp(values) <= 4 * EPS * (1.0 + values[0])
    assert all(solved(case, key).certificate.verdict is GLOBAL for key in range(6))


UNBALANCED = [
    *(ufm.Problem(5, SIZES, 4, 0.02, 0.03, lam_b) for lam_b in (0.0, 0.01)),
    *(ufm.Problem(5, SIZES, 4, 0.02, 0.01, lam_b, ufm.CrossEntropy(0.2)) for lam_b in (0.0, 0.3)),
    ufm.Problem(5, SIZES, 4, 0.02, 0.03, 0.0, ufm.MSE()),
    ufm.Problem(5, SIZES, 5, 0.02, 0.03, None, ufm.MSE()),
]


@pytest.mark.parametrize("problem", UNBALANCED, ids=lambda p: f"{type(p.loss).__name__}-d{p.d}-b{p.lam_b}")
def test_landscape_is_benign(problem):
    """T4: d = K - 1 is enough for a shift-invariant loss or a free bias, d = K for the rest, whatever the sizes."""
    certificates = []
    for key in range(5):
        solution = ufm.solve(problem, key)
        assert solution.status is ufm.Status.CONVERGED, solution.message
        certificates.append(ufm.certify(problem, solution.params))
    assert {c.verdict for c in certificates} == {GLOBAL}
    values = [c.value for c in certificates]
    assert np.ptp(values) <= 4 * EPS * (1.0 + values[0])
    assert max(c.dual_ratio for c in certificates) <= 1.0 + 1e-9


def test_free_bias_of_imbalanced_classes_matches_soft_thresholding():
    """T10 for any targets: the same value from the class targets as from the K x N matrix."""
    for case in T10:
        Y = np.repeat(np.eye(case.K), case.n, axis=1)
        decays = {name: case.setting[name] for name in ("d", "lam_W", "lam_H", "lam_b")}
        value = mse.soft_threshold(Y=Y, **decays).value
        assert abs(solved(case).certificate.value - value) <= 4 * EPS * (1.0 + value)


@pytest.mark.parametrize(
    ("case", "values"),
    [
        (ufm.Problem(5, 1, 2, 0.05, 0.05, 0.1), (0.938473085202, 0.969106050566)),
        (ufm.Problem(6, 1, 2, 0.03, 0.03, 0.1), (0.925882765705, 0.931184303236)),
        (ufm.Problem(5, 1, 3, 1e-3, 1e-3, 0.1), (0.035855347657, 0.035896757664)),
    ],
    ids=["K5-d2", "K6-d2", "K5-d3"],
)
def test_spurious_minima_below_the_frame_dimension(case, values):
    """T6: cross-entropy at d < K - 1 has two strict local minima (up to rotation); the bound closes at neither."""
    seen: dict[float, ufm.Params] = {}
    for key in range(60):
        solution = ufm.solve(case, key)
        assert solution.status is ufm.Status.CONVERGED, solution.message
        seen.setdefault(round(solution.value, 9), solution.params)
        if len(seen) == 2:
            break
    assert sorted(seen) == pytest.approx(values, abs=1e-9)
    for expected, (_, params) in zip(values, sorted(seen.items()), strict=True):
        found = polished(case, params)
        certificate = found.certificate
        assert certificate.value == pytest.approx(expected, abs=6e-13)  # the digits given
        assert certificate.verdict is LOCAL
        assert (certificate.index, certificate.nullity) == (0, case.d * (case.d - 1) // 2)
        assert certificate.dual_ratio > 1.0  # T3: no minimum of the convex form, yet no saddle
        assert certificate.gap > 1e-3  # min F < f* strictly
        assert_critical(found)
    dropped = np.linalg.norm(seen[max(seen)].H, axis=0) <= 1e-9  # the higher minimum gives up one class, to the bias
    assert np.sum(dropped) == (case.d == 2)
    if case.d == 2:
        cosines = np.cos(2 * np.pi * np.arange(case.K) / case.K) - 1.0
        pull = case.K * float(case.nu)
        polygon = minimize_scalar(lambda a: np.log(np.sum(np.exp(a * cosines))) + pull * a, bracket=(0.0, 5.0))
        assert min(seen) == pytest.approx(polygon.fun, abs=1e-9)


@pytest.mark.parametrize("case", [T7[5], T8[4]], ids=named)
def test_features_of_a_class_are_as_close_as_their_gradients(case):
    """T20, convex loss: |h_i - h_j| <= |grad_i - grad_j| / lam_H at ANY point, with equality in W's null space."""
    problem = case.problem
    labels = problem.labels
    pairs = [(i, j) for i in range(problem.N) for j in range(i) if labels[i] == labels[j]]
    rng = np.random.default_rng(0)
    for key in range(40):
        params = ufm.random_start(problem, key, scale=float(10 ** rng.uniform(-2, 1)))
        if key % 2:  # every class collapsed, up to directions that W does not see
            blind = np.linalg.svd(params.W)[2][problem.K :]
            means = merge_params(problem, params).H / np.sqrt(problem.sizes)
            H = np.repeat(means, problem.sizes, axis=1) + blind.T @ rng.standard_normal((len(blind), problem.N))
            params = params._replace(H=H)
        grad = examine(problem, params).grad.H
        apart = np.array([np.linalg.norm(params.H[:, i] - params.H[:, j]) for i, j in pairs])
        pulled = np.array([np.linalg.norm(grad[:, i] - grad[:, j]) for i, j in pairs]) / problem.lam_H
        ratio = apart / pulled
        assert np.max(ratio) <= 1.0 + 1e-13
        if key % 2:
            np.testing.assert_allclose(ratio, 1.0, rtol=0, atol=1e-12)


@pytest.mark.parametrize("problem", UNBALANCED[3:], ids=lambda p: type(p.loss).__name__)
def test_merging_is_exact(problem):
    """T21, any sizes: at collapsed features value, gradient and Hessian are those of one column per class."""
    small = merge(problem)
    for key in range(3):
        point = ufm.random_start(small, key)
        full = lift_params(problem, point)
        here, there = examine(small, point), examine(problem, full)
        assert here.value == pytest.approx(there.value, rel=4 * EPS)
        size = max(float(np.max(np.abs(g))) for g in here.grad if g is not None)
        for mine, theirs in zip(here.grad, merge_params(problem, there.grad), strict=True):
            if mine is not None:
                np.testing.assert_allclose(mine, theirs, rtol=0, atol=16 * EPS * (1.0 + size))
        # The lift is an isometry L; collapsed directions stay collapsed under the Hessian: Hess L = L Hess_merged.
        pack, unpack = packing(point)
        lift = np.array([packing(full)[0](lift_params(problem, unpack(e))) for e in np.eye(pack(point).size)]).T
        np.testing.assert_allclose(lift.T @ lift, np.eye(lift.shape[1]), rtol=0, atol=4 * EPS)
        hessian, merged = dense_hessian(problem, full), dense_hessian(small, point)
        np.testing.assert_allclose(hessian @ lift, lift @ merged, rtol=0, atol=32 * EPS * np.max(np.abs(hessian)))


def test_one_sample_a_class_stands_for_n():
    """T21, balanced: f_n(W, M kron 1; lam_W, lam_H, lam_b) = f_1(W, M; lam_W, n lam_H, lam_b), gradients summed."""
    many = T7[14].problem
    K, n, d = many.K, 3, many.d
    decays = conversions.to_one_sample(n=n, lam_W=many.lam_W, lam_H=many.lam_H, lam_b=many.lam_b).decays
    one = ufm.Problem(K=K, n=1, d=d, **decays, loss=many.loss)
    for key in range(5):
        point = ufm.random_start(one, key)
        here, there = examine(one, point), examine(many, point._replace(H=np.repeat(point.H, n, axis=1)))
        assert here.value == pytest.approx(there.value, rel=4 * EPS)
        summed = there.grad._replace(H=there.grad.H.reshape(d, K, n).sum(axis=2))
        for mine, theirs in zip(here.grad, summed, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=8 * EPS)
