"""Spaces by their defining identities; every model's derivatives by differences along its retraction."""

import jax
import numpy as np
import pytest

import ufm
from ufm import models
from ufm.certify.point import along, examine, hessian_product, value_at
from ufm.precision import exact, to_host
from ufm.reduction import lift_params, merge
from ufm.solvers.polish import polish
from ufm.spaces import Budget, Fixed, Nonnegative, Spheres

SIZES = (3, 1, 2)
ETF = np.random.default_rng(5).standard_normal((3, 4))
MODELS = {
    "decay": (models.Bilinear(), (0.02, 0.03)),
    "normalized": (ufm.normalized(3.0), (None, None)),
    "radius": (models.Bilinear(Spheres(0.7), Spheres(2.0)), (None, None)),
    "normalized features": (ufm.normalized_features(2.0), (0.02, None)),
    "fixed": (ufm.fixed_classifier(ETF), (None, 0.03)),
    "fixed, spheres": (ufm.fixed_classifier(ETF, Spheres(1.5)), (None, None)),
    "layer-peeled": (ufm.layer_peeled(0.8, 2.5), (None, None)),
    "relu": (ufm.relu_features(), (0.02, 0.03)),
}


def problem_of(name: str, lam_b: float | None = None, **changes) -> ufm.Problem:
    model, (lam_W, lam_H) = MODELS[name]
    return ufm.Problem(3, SIZES, 4, lam_W, lam_H, lam_b, model=model, **changes)


def flat(params: ufm.Params) -> np.ndarray:
    return np.concatenate([np.ravel(x) for x in params if x is not None])


def direction(problem: ufm.Problem, params: ufm.Params, seed: int = 0) -> ufm.Params:
    """A random unit tangent vector."""
    rng = np.random.default_rng(seed)
    ambient = examine(problem, params).ambient
    with exact():
        v = to_host(problem.tangent(params, ambient, jax.tree.map(lambda x: rng.standard_normal(x.shape), params)))
    return jax.tree.map(lambda x: x / np.linalg.norm(flat(v)), v)


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_starts_lie_in_the_space_and_steps_stay_there(name, merged):
    problem = merge(problem_of(name, 0.1)) if merged else problem_of(name, 0.1)
    params = ufm.random_start(problem, 3, scale=0.6)
    step = direction(problem, params)
    with exact():
        moved = to_host(problem.retract(params, step, 0.3))
    for point in (params, moved):
        again = problem.project(point)
        assert np.max(np.abs(flat(point) - flat(again))) <= 1e-15 * (1 + np.max(np.abs(flat(point))))
    if name == "normalized":
        sizes = np.asarray(SIZES) if merged else 1.0
        assert np.max(np.abs(np.sum(moved.H**2, axis=0) - sizes)) <= 1e-14
        assert np.max(np.abs(np.sum(moved.W**2, axis=1) - 1.0)) <= 1e-15
    if name == "layer-peeled":
        share = np.asarray(SIZES) if merged else np.repeat(SIZES, SIZES)
        assert np.sum(moved.W**2) / 3 == pytest.approx(0.8, rel=1e-14)
        assert np.sum(moved.H**2 / share) / 3 == pytest.approx(2.5, rel=1e-14)
    if name == "relu":
        assert np.min(moved.H) >= 0.0
        assert np.any(moved.H == 0.0)
    if name.startswith("fixed"):
        assert np.array_equal(moved.W, ETF)


@pytest.mark.parametrize("name", MODELS)
def test_tangent_is_an_orthogonal_projection_and_the_gradient_lies_in_it(name):
    problem = problem_of(name, 0.1)
    params = ufm.random_start(problem, 1)
    ambient = examine(problem, params).ambient
    rng = np.random.default_rng(0)
    v, w = (jax.tree.map(lambda x: rng.standard_normal(x.shape), params) for _ in range(2))
    with exact():
        once, twice, other = (
            to_host(problem.tangent(params, ambient, x)) for x in (v, problem.tangent(params, ambient, v), w)
        )
    assert np.max(np.abs(flat(once) - flat(twice))) <= 1e-15
    assert flat(once) @ flat(w) == pytest.approx(flat(v) @ flat(other), abs=1e-13)
    grad = examine(problem, params).grad
    with exact():
        inside = to_host(problem.tangent(params, ambient, grad))
    assert np.max(np.abs(flat(grad) - flat(inside))) <= 1e-16


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_gradient_and_hessian_by_differences_along_the_retraction(name, merged):
    """The slope of f along a retraction is the gradient anywhere; its curvature is the Hessian at critical points."""
    problem = problem_of(name, 0.1)
    problem = merge(problem) if merged else problem
    params = ufm.random_start(problem, 2)
    if name == "relu":  # inside: at a zero entry f has a slope to one side only
        params = params._replace(H=params.H + 0.1)
    step, h = direction(problem, params), 1e-5
    with exact():
        typed = problem.astype(np.float64)
        ends = [float(value_at(typed, along(typed, params, step, t))) for t in (-h, h)]
    slope = flat(examine(problem, params).grad) @ flat(step)
    assert (ends[1] - ends[0]) / (2 * h) == pytest.approx(slope, abs=1e-8)

    solution = ufm.solve(problem, start=params)
    assert solution.status is ufm.Status.CONVERGED, solution.message
    step, h = direction(problem, solution.params), 1e-3
    with exact():
        values = [float(value_at(typed, along(typed, solution.params, step, t))) for t in (-2 * h, -h, 0.0, h, 2 * h)]
        image = to_host(hessian_product(typed, solution.params, step))
    curved = (-values[0] + 16 * values[1] - 30 * values[2] + 16 * values[3] - values[4]) / (12 * h**2)
    assert curved == pytest.approx(flat(step) @ flat(image), abs=2e-7)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "relu"])
def test_merging_is_exact_on_collapsed_features(name):
    """T21 in every space: value and gradient norm of the merged problem are those of the full one."""
    problem = problem_of(name, 0.1)
    small = merge(problem)
    point = ufm.random_start(small, 4)
    full = lift_params(problem, point)
    here, there = examine(small, point), examine(problem, full)
    assert here.value == pytest.approx(there.value, abs=1e-15)
    assert np.linalg.norm(flat(here.grad)) == pytest.approx(np.linalg.norm(flat(there.grad)), rel=1e-12)


def test_the_sphere_hessian_is_the_literature_formula():
    """1.2: <dM, (hess g) dM> + 2 tau <G, D_W D_H> - sum a_k |d_wk|^2 - sum b_i |d_hi|^2."""
    tau, problem = 3.0, problem_of("normalized")
    params = ufm.random_start(problem, 7)
    point, D = examine(problem, params), direction(problem, params)
    W, H, _ = params
    labels = problem.labels
    a = np.sum(W * (tau * point.G @ H.T), axis=1)
    b = np.sum(H * (tau * W.T @ point.G), axis=0)
    dM = tau * (D.W @ H + W @ D.H)
    P = np.exp(point.Z - point.Z.max(axis=0))
    P = P / P.sum(axis=0)
    assert np.allclose(point.G, (P - np.eye(3)[:, labels]) / problem.N, rtol=0, atol=1e-15)
    first = np.sum(P * dM**2) - np.sum(np.sum(P * dM, axis=0) ** 2)
    expected = first / problem.N + 2 * tau * np.sum(point.G * (D.W @ D.H))
    expected += -np.sum(a * np.sum(D.W**2, axis=1)) - np.sum(b * np.sum(D.H**2, axis=0))
    with exact():
        image = to_host(hessian_product(problem.astype(np.float64), params, D))
    assert flat(D) @ flat(image) == pytest.approx(expected, abs=1e-14)


def test_starts_outside_their_space_are_refused():
    problem = problem_of("normalized")
    start = ufm.random_start(problem, 0)
    with pytest.raises(ValueError, match=r"H is not in its space, Spheres\. Pass problem\.project"):
        ufm.solve(problem, start=start._replace(H=1.1 * start.H))
    nearly = ufm.solve(problem, start=start._replace(H=start.H * (1 + 1e-9)), max_steps=1)
    assert np.isfinite(nearly.value)
    relu = problem_of("relu")
    with pytest.raises(ValueError, match="H is not in its space, Nonnegative"):
        ufm.solve(relu, start=ufm.random_start(relu, 0)._replace(H=-np.ones((4, 6))))


REFUSED = [
    ({"model": ufm.normalized(2.0), "lam_W": 0.1}, ValueError, "lam_W=0.1 has no effect on a block in Spheres"),
    (
        {"model": ufm.fixed_classifier(ETF), "lam_H": 0.1, "lam_W": 0.2},
        ValueError,
        "lam_W=0.2 has no effect on a block in F",
    ),
    (
        {"model": ufm.contrastive(), "lam_W": 0.2, "loss": ufm.SupCon()},
        ValueError,
        "lam_W=0.2 has no effect on no block",
    ),
    ({"model": ufm.relu_features(), "lam_H": 0.1}, TypeError, "lam_W=None is not a real scalar"),
    ({}, TypeError, "lam_W=None is not a real scalar"),
    ({"model": ufm.normalized(0.0)}, ValueError, "tau=0.0 is not a finite positive number"),
    ({"model": ufm.normalized("hot")}, ValueError, "tau='hot' is not a finite positive number"),
    ({"model": ufm.layer_peeled(-1.0, 1.0)}, ValueError, "mean_square=-1.0 of model.W is not a positive number"),
    ({"model": models.Bilinear(Spheres(0.0), Spheres())}, ValueError, "radius=0.0 of model.W is not a positive"),
    ({"model": models.Bilinear(Spheres, Spheres())}, TypeError, "is not a space"),  # pyright: ignore
    ({"model": ufm.normalized}, TypeError, "is not a model"),
    ({"model": ufm.fixed_classifier(ETF[:2]), "lam_H": 0.1}, ValueError, r"the fixed W has shape \(2, 4\)"),
    ({"model": ufm.fixed_classifier(np.nan * ETF), "lam_H": 0.1}, ValueError, "the fixed W has shape"),
    ({"model": models.Bilinear(Spheres(), Fixed(ETF))}, ValueError, "model.H is fixed"),
    ({"model": ufm.contrastive(), "lam_b": 0.1, "loss": ufm.SupCon()}, ValueError, "features alone have no bias"),
    ({"model": ufm.contrastive()}, ValueError, r"CrossEntropy needs logits \[K, N\]"),
    ({"loss": ufm.SupCon(), "lam_W": 0.1, "lam_H": 0.1}, ValueError, "SupCon needs features alone"),
]


@pytest.mark.parametrize(("changes", "error", "text"), REFUSED, ids=[text[:30] for _, _, text in REFUSED])
def test_models_that_cannot_work_are_refused(changes, error, text):
    problem = ufm.Problem(3, 2, 4, **changes)
    for enter in (ufm.solve, ufm.random_start):
        with pytest.raises(error, match=text):
            enter(problem)


def test_lbfgs_needs_vectors():
    with pytest.raises(ValueError, match="LBFGS needs W and H to range over all matrices"):
        ufm.solve(problem_of("normalized"), solver=ufm.LBFGS())


def test_first_order_methods_stay_on_the_manifold_and_may_run_without_decay():
    optax = pytest.importorskip("optax")
    solver = ufm.FirstOrder(optax.sgd(0.2))
    found = ufm.solve(problem_of("normalized"), solver=solver, max_steps=200, record=range(0, 201, 50))
    assert found.trajectory is not None
    assert np.all(np.diff(found.trajectory.value) < 0.0)
    assert np.max(np.abs(np.sum(found.params.H**2, axis=0) - 1.0)) <= 1e-14
    undecayed = ufm.Problem(3, 2, 4, 0.0, 0.0)
    free = ufm.solve(undecayed, solver=solver, max_steps=100)
    assert free.value < ufm.solve(undecayed, solver=solver, max_steps=50).value
    with pytest.raises(ValueError, match="lam_W=0 has no minimiser"):
        ufm.solve(undecayed)


def test_spaces_are_pytrees_whose_numbers_are_leaves():
    assert jax.tree.leaves(ufm.layer_peeled(0.5, 2.0)) == [0.5, 2.0]
    assert jax.tree.leaves(ufm.normalized(3.0)) == [1.0, 1.0, 3.0]
    assert jax.tree.leaves(models.Bilinear()) == []
    assert isinstance(ufm.relu_features().H, Nonnegative)
    assert isinstance(ufm.layer_peeled(1.0, 1.0).W, Budget)


def test_small_curvature_does_not_stop_a_small_problem():
    """A spurious minimum on spheres whose stiffest and softest curvatures differ by 1e9: CG alone ends at 1e-10."""
    problem = ufm.Problem(3, 3, 2, model=ufm.normalized(15.0))
    found = ufm.solve(problem, key=3, reduce=False)
    assert (found.status, round(found.value, 6)) == (ufm.Status.CONVERGED, 0.303278)
    near = ufm.perturb(problem, found.params, scale=1e-7)
    before = examine(problem, near).grad_norm
    after = polish(problem, near)
    assert before > 1e-9
    assert after is not None
    assert examine(problem, after).grad_norm <= 1e-14
    assert polish(problem, after) is None or examine(problem, after).grad_norm <= 1e-14
    assert polish(ufm.Problem(10, 50, 20, 1e-2, 1e-2), ufm.random_start(ufm.Problem(10, 50, 20, 1e-2, 1e-2))) is None
