"""The objective against a dense NumPy oracle, its invariances, and the pytree contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dense_oracle import Dense

import ufm
from ufm.certify.point import examine, hessian_product
from ufm.precision import exact, to_host
from ufm.reduction import lift_params, merge, merge_params

SIZES = [(3, 3, 3), (5, 2, 1), (1, 1, 1, 1)]
LOSSES = [(ufm.CrossEntropy(), "ce", 0.0), (ufm.CrossEntropy(0.2), "ce", 0.2), (ufm.MSE(), "mse", 0.0)]


def _pair(sizes, loss, lam_b, d=3):
    instance, name, smoothing = loss
    problem = ufm.Problem(K=len(sizes), n=sizes, d=d, lam_W=3e-3, lam_H=7e-3, lam_b=lam_b, loss=instance)
    return problem, Dense(name, sizes, 3e-3, 7e-3, lam_b, smoothing)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("lam_b", [None, 0.0, 0.3])
def test_value_gradient_and_hessian_match_the_oracle(sizes, loss, lam_b):
    problem, dense = _pair(sizes, loss, lam_b)
    params = ufm.random_start(problem, key=1, scale=2.0)
    point = examine(problem, params)
    flat = np.concatenate([np.ravel(g) for g in point.grad if g is not None])
    assert point.value == pytest.approx(dense.value(*params), rel=1e-14)
    np.testing.assert_allclose(flat, dense.gradient(*params), rtol=0, atol=1e-15 * (1 + np.max(np.abs(flat))))
    direction = ufm.random_start(problem, key=2)
    with exact():
        product = to_host(hessian_product(problem, params, direction))
    as_vector = np.concatenate([np.ravel(x) for x in direction if x is not None])
    image = np.concatenate([np.ravel(x) for x in product if x is not None])
    np.testing.assert_allclose(image, dense.hessian(*params) @ as_vector, rtol=0, atol=1e-14)


@pytest.mark.parametrize("margin", [1.0, 20.0, 36.0, 60.0, 300.0, -40.0, -300.0])
def test_cross_entropy_keeps_relative_accuracy(margin):
    """log(1 + (K-1) e^-a) by log1p: relative error of a few eps even where it is 1e-130."""
    Z = np.array([[margin], [0.0], [0.0]])
    Y = np.array([[1.0], [0.0], [0.0]])
    with exact():
        value = float(ufm.CrossEntropy()(jnp.asarray(Z), jnp.asarray(Y))[0])
        slope = np.asarray(jax.grad(lambda z: ufm.CrossEntropy()(z, jnp.asarray(Y))[0])(jnp.asarray(Z)))[:, 0]
    expected = np.log1p(2 * np.exp(-margin)) if margin > 0 else -margin + np.log(2 + np.exp(margin))
    other = np.exp(-margin) / (1 + 2 * np.exp(-margin)) if margin > 0 else 1 / (2 + np.exp(margin))
    assert value == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(slope, [-2 * other, other, other], rtol=1e-14)


@pytest.mark.parametrize("loss", LOSSES)
def test_rotation_and_relabelling_change_nothing(loss):
    problem, _ = _pair((4, 4, 4), loss, 0.1, d=5)
    params = ufm.random_start(problem, key=3)
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    rotated = ufm.Params(params.W @ rotation, rotation.T @ params.H, params.b)
    order = np.array([2, 0, 1])
    columns = np.concatenate([np.arange(4 * k, 4 * k + 4) for k in order])
    relabelled = ufm.Params(params.W[order], params.H[:, columns], params.b[order])
    value = examine(problem, params).value
    assert examine(problem, rotated).value == pytest.approx(value, rel=1e-14)
    assert examine(problem, relabelled).value == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("loss", LOSSES)
def test_balanced_rescaling_depends_on_the_product_of_the_decays(loss):
    """f(sW, H/s; lam_W, lam_H) = f(W, H; nu, nu) with s = (lam_H / lam_W)^(1/4)."""
    problem, _ = _pair((3, 2, 1), loss, 0.1)
    nu = float(problem.nu)
    even = ufm.Problem(K=3, n=(3, 2, 1), d=3, lam_W=nu, lam_H=nu, lam_b=0.1, loss=problem.loss)
    params = ufm.random_start(problem, key=4)
    s = (problem.lam_H / problem.lam_W) ** 0.25
    scaled = ufm.Params(s * params.W, params.H / s, params.b)
    assert examine(problem, scaled).value == pytest.approx(examine(even, params).value, rel=1e-14)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("lam_b", [None, 0.2])
def test_merging_samples_is_exact_at_collapse(loss, lam_b):
    """T21: value, gradient norm and the Hessian on class means agree with the full problem's."""
    problem, dense = _pair((4, 2, 1), loss, lam_b)
    small = ufm.random_start(merge(problem), key=5)
    full = lift_params(problem, small)
    here, there = examine(problem, full), examine(merge(problem), small)
    assert there.value == pytest.approx(here.value, rel=1e-15)
    merged_grad = merge_params(problem, here.grad)
    for got, expected in zip(merged_grad, there.grad, strict=True):
        if expected is not None:
            np.testing.assert_allclose(got, expected, rtol=1e-14, atol=1e-16)
    np.testing.assert_allclose(merge_params(problem, full).H, small.H, rtol=1e-15)
    eigenvalues = np.linalg.eigvalsh(dense.hessian(*full))
    np.testing.assert_allclose(ufm.hessian_spectrum(problem, full), eigenvalues, atol=1e-14 * eigenvalues[-1])


def test_problem_is_a_pytree_with_decays_as_leaves():
    problem = ufm.Problem(K=3, n=2, d=4, lam_W=1e-2, lam_H=2e-2, lam_b=0.5, loss=ufm.CrossEntropy(0.1))
    leaves, treedef = jax.tree.flatten(problem)
    assert sorted(leaves) == [1e-2, 2e-2, 0.1, 0.5]
    again = jax.tree.unflatten(treedef, leaves)
    assert (again.K, again.n, again.d, again.lam_b) == (3, 2, 4, 0.5)
    params = ufm.random_start(problem)

    def value(lam_W):
        return ufm.Problem(K=3, n=2, d=4, lam_W=lam_W, lam_H=2e-2, lam_b=0.5).objective(params)

    with exact():
        many = np.asarray(jax.vmap(value)(jnp.array([1e-2, 1e-1])))
        one = [float(value(x)) for x in (1e-2, 1e-1)]
    np.testing.assert_allclose(many, one, rtol=1e-15)


def test_a_bare_function_is_a_loss():
    def absolute(Z, Y):
        return jnp.sum((Z - Y) ** 2, axis=0) / 2

    ours = ufm.Problem(K=3, n=2, d=4, lam_W=1e-2, lam_H=1e-2)
    user = ufm.Problem(K=3, n=2, d=4, lam_W=1e-2, lam_H=1e-2, loss=absolute)
    assert isinstance(user.loss, ufm.UserLoss)
    assert user.loss.function is absolute
    assert not user.loss.convex
    params = ufm.random_start(ours)
    mse = ufm.Problem(K=3, n=2, d=4, lam_W=1e-2, lam_H=1e-2, loss=ufm.MSE())
    assert examine(user, params).value == examine(mse, params).value


def test_class_sizes_may_be_any_sequence():
    assert ufm.Problem(K=2, n=[3, 1], d=2, lam_W=1, lam_H=1).sizes == (3, 1)
    assert ufm.Problem(K=2, n=np.array([3, 1]), d=2, lam_W=1, lam_H=1).N == 4
    np.testing.assert_array_equal(ufm.Problem(K=2, n=(3, 1), d=2, lam_W=1, lam_H=1).labels, [0, 0, 0, 1])
