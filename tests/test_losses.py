"""Losses against their formulas, their conjugates by Fenchel and Young, label sets, refusals."""

import pickle
from itertools import combinations
from math import comb

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ufm
from ufm.certify.point import examine
from ufm.precision import exact, to_host
from ufm.softmax import surprise
from ufm.sweep.describe import describe

K = 4
EYE = np.eye(K)
SETS, _ = ufm.label_sets(K, {1: 1, 2: 1, 4: 1})


def softmax(z: np.ndarray) -> np.ndarray:
    p = np.exp(z - z.max(axis=0))
    return p / p.sum(axis=0)


def log_softmax(z: np.ndarray) -> np.ndarray:
    return z - z.max(axis=0) - np.log(np.sum(np.exp(z - z.max(axis=0)), axis=0))


def pick_all(Z, Y):
    return np.array([sum(-log_softmax(z)[c] for c in np.flatnonzero(y)) for z, y in zip(Z.T, Y.T, strict=True)])


def rescaled(Z, Y, k, M):
    return np.array(
        [(k * (z[y] - M) ** 2 + np.sum(np.delete(z, y) ** 2)) / 2 for z, y in zip(Z.T, Y.argmax(axis=0), strict=True)]
    )


def focal(Z, Y, gamma):
    p = np.sum(softmax(Z) * Y, axis=0)
    return -((1 - p) ** gamma) * np.log(p)


def smoothed(Z, Y, alpha):
    return -np.sum(((1 - alpha) * Y + alpha / K) * log_softmax(Z), axis=0)


FORMULAS = {
    "ce": (ufm.CrossEntropy(), EYE, lambda Z, Y: smoothed(Z, Y, 0.0)),
    "smoothed": (ufm.CrossEntropy(0.3), EYE, lambda Z, Y: smoothed(Z, Y, 0.3)),
    "mse": (ufm.MSE(), SETS, lambda Z, Y: np.sum((Z - Y) ** 2, axis=0) / 2),
    "rescaled": (ufm.RescaledMSE(5.0, 3.0), EYE, lambda Z, Y: rescaled(Z, Y, 5.0, 3.0)),
    "focal": (ufm.Focal(2.0), EYE, lambda Z, Y: focal(Z, Y, 2.0)),
    "focal 0.5": (ufm.Focal(0.5), EYE, lambda Z, Y: focal(Z, Y, 0.5)),
    "pick all": (ufm.PickAllLabel(), SETS, pick_all),
    "dot": (ufm.DotRegression(2.5), EYE, lambda Z, Y: (np.sum(Z * Y, axis=0) - 2.5) ** 2 / 5.0),
}


def batch(targets: np.ndarray, count: int = 40, scale: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return scale * rng.standard_normal((K, count)), targets[:, rng.integers(targets.shape[1], size=count)]


def evaluated(loss, Z, Y) -> tuple[np.ndarray, np.ndarray]:
    """Values and gradient in Z, in float64."""
    with exact():
        Z, Y = jnp.asarray(Z), jnp.asarray(Y)
        return to_host(loss(Z, Y)), to_host(jax.grad(lambda z: jnp.sum(loss(z, Y)))(Z))


@pytest.mark.parametrize("name", FORMULAS)
def test_the_formula_its_shift_and_its_permutations(name):
    loss, targets, formula = FORMULAS[name]
    Z, Y = batch(targets)
    values, grads = evaluated(loss, Z, Y)
    assert np.max(np.abs(values - formula(Z, Y)) / (1 + np.abs(values))) <= 4e-15
    h = 1e-6
    slopes = [(formula(Z + h * e[:, None], Y) - formula(Z - h * e[:, None], Y)) / (2 * h) for e in EYE]
    assert np.max(np.abs(np.array(slopes) - grads)) <= 1e-7
    shifted, _ = evaluated(loss, Z + 1.7, Y)
    assert loss.shift_invariant == bool(np.max(np.abs(shifted - values)) <= 1e-13)
    order = [2, 0, 3, 1]
    assert np.allclose(evaluated(loss, Z[order], Y[order])[0], values, rtol=1e-13, atol=0)


@pytest.mark.parametrize("name", [name for name, (loss, _, _) in FORMULAS.items() if loss.conjugate is not None])
def test_the_conjugate(name):
    """loss(z) + conjugate(g) >= <g, z> for every g of the domain, with equality at the gradient of z."""
    loss, targets, _ = FORMULAS[name]
    Z, Y = batch(targets, scale=1.0)
    values, G = evaluated(loss, Z, Y)
    assert np.max(np.abs(values + loss.conjugate(G, Y) - np.sum(G * Z, axis=0))) <= 1e-14 * (1 + np.max(values))
    rng = np.random.default_rng(1)
    for _ in range(20):
        elsewhere = loss.repair(G + 0.3 * _allowed(loss, rng.standard_normal(G.shape)), Y, np.ones(Y.shape[1]))
        assert np.all(values + loss.conjugate(elsewhere, Y) >= np.sum(elsewhere * Z, axis=0) - 1e-13)
    if loss.shift_invariant:
        assert np.all(np.isinf(loss.conjugate(G - 10.0 * Y, Y)))


def _allowed(loss, X: np.ndarray) -> np.ndarray:
    return X - X.mean(axis=0) if loss.shift_invariant else X


@pytest.mark.parametrize("name", ["ce", "smoothed", "pick all"])
def test_repair_keeps_the_sums_and_reaches_the_domain(name):
    loss, targets, _ = FORMULAS[name]
    rng = np.random.default_rng(2)
    sizes = rng.integers(1, 9, size=targets.shape[1]).astype(float)
    for scale in (0.01, 1.0, 30.0):
        G = _allowed(loss, scale * rng.standard_normal(targets.shape))
        G = G - np.outer(G @ sizes, sizes) / (sizes @ sizes)  # G sizes = 0
        repaired = loss.repair(G, targets, sizes)
        assert np.all(np.isfinite(loss.conjugate(repaired, targets)))
        assert np.max(np.abs(repaired.sum(axis=0))) <= 1e-13
        assert np.max(np.abs(repaired @ sizes)) <= 1e-12
    inside = loss.repair(np.zeros_like(targets), targets, sizes)
    assert np.array_equal(inside, np.zeros_like(targets))


def test_special_cases_agree():
    Z, Y = batch(EYE)
    ce, ce_grad = evaluated(ufm.CrossEntropy(), Z, Y)
    for loss in (ufm.Focal(0.0), ufm.PickAllLabel()):
        value, grad = evaluated(loss, Z, Y)
        assert np.allclose(value, ce, rtol=1e-14)
        assert np.allclose(grad, ce_grad, rtol=0, atol=1e-14)
    assert np.allclose(evaluated(ufm.RescaledMSE(), Z, Y)[0], evaluated(ufm.MSE(), Z, Y)[0], rtol=1e-15)


def test_focal_keeps_its_digits_where_the_loss_is_tiny():
    """At margin m, (1-p)^g (-log p) is about ((K-1) e^-m)^(g+1)."""
    for m in (20.0, 40.0, 200.0):
        value, _ = evaluated(ufm.Focal(2.0), m * EYE[:, :1], EYE[:, :1])
        assert value[0] == pytest.approx((3 * np.exp(-m)) ** 3, rel=3 * 3 * np.exp(-m) + 1e-13)


def test_the_margin_bound_is_below_the_loss_and_attained():
    loss = ufm.Focal(2.0)
    Z, Y = batch(EYE, count=400)
    values, _ = evaluated(loss, Z, Y)
    own = np.sum(Y * Z, axis=0)
    m = own - (Z.sum(axis=0) - own) / (K - 1)
    assert np.all(values >= loss.margin_bound(m, K) - 1e-13)
    tied = np.where(Y == 1.0, own, (Z.sum(axis=0) - own) / (K - 1))
    assert np.allclose(evaluated(loss, tied, Y)[0], loss.margin_bound(m, K), rtol=1e-12)


def test_supervised_contrastive_by_its_definition():
    rng = np.random.default_rng(3)
    labels = np.array([0, 0, 0, 1, 1, 2])  # class 2 has no positives
    Y = np.eye(3)[:, labels]
    S = rng.standard_normal((6, 6))
    values, grads = evaluated(ufm.SupCon(), S, Y)
    for i in range(6):
        others = np.delete(np.arange(6), i)
        positives = [p for p in others if labels[p] == labels[i]]
        terms = [np.log(np.sum(np.exp(S[others, i]))) - S[p, i] for p in positives]
        assert values[i] == pytest.approx(np.mean(terms) if terms else 0.0, abs=1e-14)
    assert np.all(np.isfinite(grads))
    assert np.all(np.diag(grads) == 0.0)


def test_stores_and_older_pickles_find_every_loss():
    """Their one module is several now; rows of a store are compared by the name they had."""
    for kind in (
        ufm.CrossEntropy,
        ufm.Focal,
        ufm.MSE,
        ufm.RescaledMSE,
        ufm.DotRegression,
        ufm.PickAllLabel,
        ufm.SupCon,
    ):
        assert describe(kind())["type"] == f"ufm.losses.{kind.__name__}"
        assert pickle.loads(f"cufm.losses\n{kind.__name__}\n.".encode()) is kind
        assert pickle.loads(pickle.dumps(kind)) is kind
    assert describe(ufm.UserLoss(pick_all))["type"] == "ufm.losses.UserLoss"
    assert describe(ufm.TrustRegion())["type"] == "ufm.solvers.newton.TrustRegion"


def test_label_sets():
    targets, sizes = ufm.label_sets(5, {2: 3, 1: 7})
    assert targets.shape == (5, comb(5, 1) + comb(5, 2))
    assert sizes == (7,) * 5 + (3,) * 10
    assert np.array_equal(targets[:, :5], np.eye(5))
    assert [tuple(np.flatnonzero(c)) for c in targets.T[5:]] == list(combinations(range(5), 2))
    problem = ufm.Problem(5, sizes, 4, 1e-2, 1e-2, loss=ufm.PickAllLabel(), targets=targets)
    assert (problem.C, problem.N) == (15, 65)


@pytest.mark.parametrize(
    ("counts", "error", "text"),
    [
        ({}, ValueError, "counts is empty"),
        ({0: 1}, ValueError, r"set size m=0 \(a sample needs a label\)"),
        ({2: 0}, ValueError, r"counts\[2\]=0 \(leave out set sizes"),
        ({6: 1}, ValueError, "m=6 labels of K=5 classes do not exist"),
        ({1.5: 1}, TypeError, "set size m=1.5 is not an integer"),
    ],
)
def test_label_sets_that_do_not_exist(counts, error, text):
    with pytest.raises(error, match=text):
        ufm.label_sets(5, counts)


TWO = np.eye(3)[:, :2]
REFUSED = [
    ({"loss": ufm.Focal(-1.0)}, "gamma=-1.0 is not a finite number >= 0"),
    ({"loss": ufm.Focal(np.nan)}, "gamma=nan is not a finite number >= 0"),
    ({"loss": ufm.RescaledMSE(0.0)}, "k=0.0 is not a finite positive number"),
    ({"loss": ufm.RescaledMSE(1.0, -2.0)}, "M=-2.0 is not a finite positive number"),
    ({"loss": ufm.DotRegression(0.0)}, "target=0.0 is not a finite positive number"),
    ({"loss": ufm.CrossEntropy(), "targets": TWO}, r"CrossEntropy needs class labels, targets=None\. For label sets"),
    ({"loss": ufm.Focal(), "targets": TWO}, "Focal needs class labels"),
    ({"loss": ufm.PickAllLabel(), "targets": 2.0 * TWO}, "PickAllLabel needs 0/1 targets"),
    ({"loss": ufm.PickAllLabel(), "targets": 0.0 * TWO}, "PickAllLabel needs 0/1 targets with a label in every column"),
    ({"loss": ufm.MSE(), "targets": TWO[:2]}, r"targets have shape \(2, 2\), expected \(3, C\)"),
    ({"loss": ufm.MSE(), "targets": TWO[0]}, r"targets have shape \(2,\), expected \[K, C\]"),
    ({"loss": ufm.MSE(), "targets": np.nan * TWO}, "targets have 6 non-finite entries"),
    ({"loss": ufm.MSE(), "targets": TWO, "n": (1, 2, 3)}, "n has 3 class sizes, but there are 2 columns of targets"),
]


@pytest.mark.parametrize(("changes", "text"), REFUSED, ids=[text[:40] for _, text in REFUSED])
def test_losses_and_targets_that_cannot_work_are_refused(changes, text):
    problem = ufm.Problem(**{"K": 3, "n": 2, "d": 4, "lam_W": 0.1, "lam_H": 0.1, **changes})
    for enter in (ufm.solve, lambda p: ufm.certify(p, ufm.Params(None, None, None))):
        with pytest.raises(ValueError, match=text):
            enter(problem)


def test_a_user_loss_with_its_conjugate_is_certified_like_ours():
    own = ufm.UserLoss(
        lambda Z, Y: jnp.sum((Z - Y) ** 2, axis=0) / 2,
        convex=True,
        conjugate=lambda G, Y: np.sum(G * (G / 2 + Y), axis=0),
    )
    theirs = ufm.Problem(3, (4, 2, 1), 4, 0.02, 0.03, 0.1, own)
    solution = ufm.solve(theirs)
    certificate = ufm.certify(theirs, solution.params)
    assert certificate.verdict is ufm.Verdict.GLOBAL_MINIMUM
    assert certificate.bound_method.startswith("dual")
    ours = ufm.Problem(3, (4, 2, 1), 4, 0.02, 0.03, 0.1, ufm.MSE())
    assert solution.value == pytest.approx(ufm.solve(ours).value, abs=1e-15)
    with pytest.raises(TypeError, match="UserLoss needs a callable conjugate, with convex=True"):
        ufm.solve(ufm.Problem(3, 2, 4, 0.02, 0.03, None, ufm.UserLoss(own.function, conjugate=own.conjugate)))


@pytest.mark.parametrize("tau", [20.0, 50.0, 80.0, 200.0])
def test_cross_entropy_of_a_product_keeps_the_digits_of_any_loss(tau):
    """Compiled together with tau W H, a logit may differ from itself in its last bit; 1e-17 must not notice."""
    problem = ufm.Problem(6, 1, 5, model=ufm.normalized(tau))
    point = examine(problem, ufm.etf_start(problem))
    wrong = np.exp(-1.2 * tau)
    assert point.value == pytest.approx(np.log1p(5 * wrong), rel=1e-14 * tau, abs=0)
    off = ~np.eye(6, dtype=bool)
    np.testing.assert_allclose(point.G[off], wrong / (1 + 5 * wrong) / 6, rtol=1e-14 * tau)
    np.testing.assert_allclose(np.diag(point.G), -5 * wrong / (1 + 5 * wrong) / 6, rtol=1e-14 * tau)


def test_the_softmax_keeps_its_digits_in_every_derivative():
    """Against the plain formulas; where all is certain, relative to the probability of an error."""
    rng = np.random.default_rng(0)
    with exact():
        Y = jnp.eye(4)[:, rng.integers(0, 4, 7)]
        Z, V = jnp.asarray(rng.standard_normal((4, 7))), jnp.asarray(rng.standard_normal((4, 7)))

        def plain(Z):
            return jnp.sum(jax.scipy.special.logsumexp(Z, axis=0) - jnp.sum(Y * Z, axis=0))

        def ours(Z):
            return jnp.sum(surprise(Z, Y, 1.0))

        for derivative in (jax.grad, lambda f: lambda Z: jax.jvp(jax.grad(f), (Z,), (V,))[1]):
            np.testing.assert_allclose(derivative(ours)(Z), derivative(plain)(Z), atol=4e-16)
        third = [jax.jvp(lambda Z, f=f: jax.jvp(jax.grad(f), (Z,), (V,))[1], (Z,), (V,))[1] for f in (ours, plain)]
        np.testing.assert_allclose(*third, atol=4e-15)

        certain = jnp.array([[60.0], [0.0], [-20.0]])
        gradient = jax.grad(lambda Z: surprise(Z, jnp.eye(3)[:, :1], 1.0)[0])(certain)
        wrong = np.exp([-60.0, -80.0])
        np.testing.assert_allclose(gradient[:, 0], [-np.sum(wrong), *wrong], rtol=1e-14)
