"""The rivals of `rivals.py`: each a function that makes a run, a callable returning (point when asked for, steps).

Each minimises f over free features W, H, b from one random start with exact gradients, compiled once, and is asked for
gradient 1e-10. Those that are not installed are left out.
"""

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.optimize
from jax.flatten_util import ravel_pytree

import ufm
from ufm.reduction import lift_params

GTOL = 1e-10
Point = Callable[[], ufm.Params]  # made when asked for: ours may be larger than the solve
Method = Callable[[], tuple[Point, int]]


class Flat(NamedTuple):
    """f and its derivatives of one vector."""

    value_and_grad: Any
    product: Any
    unravel: Any
    start: np.ndarray


def flat(problem: ufm.Problem, start: ufm.Params) -> Flat:
    """Compiled once for every rival."""
    x, unravel = ravel_pytree(start)
    back: Any = unravel
    both = jax.jit(jax.value_and_grad(lambda v: problem.objective(back(v))))
    product = jax.jit(lambda v, w: jax.jvp(lambda u: both(u)[1], (v,), (w,))[1])
    return Flat(both, product, back, np.asarray(x))


def scipy_method(name: str, f: Flat, **options: Any) -> Method:
    """scipy.optimize.minimize."""
    second = {"hessp": lambda v, w: np.asarray(f.product(v, w))} if name == "trust-ncg" else {}

    def run() -> tuple[Point, int]:
        def fun(v: np.ndarray) -> tuple[float, np.ndarray]:
            value, grad = f.value_and_grad(v)
            return float(value), np.asarray(grad)

        found = scipy.optimize.minimize(fun, f.start, jac=True, method=name, options=options, **second)
        return lambda: f.unravel(found.x), int(found.nit)

    return run


def optax_lbfgs(f: Flat, steps: int = 20_000) -> Method:
    """optax.lbfgs in one compiled loop."""
    solver = optax.lbfgs(memory_size=20)

    def fun(v: Any) -> Any:
        return f.value_and_grad(v)[0]

    both = optax.value_and_grad_from_state(fun)

    @jax.jit
    def minimise(x: Any) -> Any:
        def body(carry: Any) -> Any:
            x, state, t, _ = carry
            value, grad = both(x, state=state)
            updates, state = solver.update(grad, state, x, value=value, grad=grad, value_fn=fun)
            steepest: Any = grad
            return optax.apply_updates(x, updates), state, t + 1, jnp.max(jnp.abs(steepest))

        return jax.lax.while_loop(
            lambda c: (c[3] > GTOL) & (c[2] < steps), body, (x, solver.init(x), 0, jnp.asarray(jnp.inf))
        )

    def run() -> tuple[Point, int]:
        x, _, t, _ = jax.block_until_ready(minimise(f.start))
        return lambda: f.unravel(x), int(t)

    return run


def jaxopt_lbfgs(f: Flat) -> Method:
    """jaxopt.LBFGS, zoom line search."""
    import jaxopt  # type: ignore[import-not-found]

    solver = jaxopt.LBFGS(lambda v: f.value_and_grad(v)[0], maxiter=20_000, tol=GTOL, history_size=20)
    minimise = jax.jit(solver.run)  # which traces its loop anew in every call

    def run() -> tuple[Point, int]:
        x, state = jax.block_until_ready(minimise(f.start))
        return lambda: f.unravel(x), int(state.iter_num)

    return run


def optimistix_lbfgs(f: Flat) -> Method:
    """optimistix.LBFGS; it stops at small steps, so that the tolerance is the smallest at which it still stops."""
    import optimistix  # type: ignore[import-not-found]

    solver = optimistix.LBFGS(rtol=1e-14, atol=1e-14, history_length=20)

    @jax.jit
    def minimise(x: Any) -> Any:
        found = optimistix.minimise(lambda v, _: f.value_and_grad(v)[0], solver, x, max_steps=20_000, throw=False)
        return found.value, found.stats["num_steps"]

    def run() -> tuple[Point, int]:
        x, steps = jax.block_until_ready(minimise(f.start))
        return lambda: f.unravel(x), int(steps)

    return run


def pymanopt_method(problem: ufm.Problem, start: ufm.Params, name: str) -> Method:
    """pymanopt's trust region or conjugate gradients on a product of oblique manifolds, jax for the derivatives."""
    import pymanopt  # type: ignore[import-not-found]
    from pymanopt.function import jax as with_jax  # type: ignore[import-not-found]
    from pymanopt.manifolds import Oblique, Product  # type: ignore[import-not-found]
    from pymanopt.optimizers import ConjugateGradient, TrustRegions  # type: ignore[import-not-found]

    manifold = Product([Oblique(problem.d, problem.K), Oblique(problem.d, problem.N)])
    both = jax.jit(jax.value_and_grad(lambda W, H: problem.objective(ufm.Params(W.T, H, None)), (0, 1)))
    product = jax.jit(lambda W, H, V, U: jax.jvp(lambda w, h: both(w, h)[1], (W, H), (V, U))[1])

    @with_jax(manifold)
    def cost(W: Any, H: Any) -> Any:
        return both(W, H)[0]

    asked = pymanopt.Problem(
        manifold,
        cost,
        euclidean_gradient=pymanopt.function.numpy(manifold)(lambda W, H: [np.asarray(x) for x in both(W, H)[1]]),
        euclidean_hessian=pymanopt.function.numpy(manifold)(
            lambda W, H, V, U: [np.asarray(x) for x in product(W, H, V, U)]
        ),
    )
    optimiser = {"trust region": TrustRegions, "CG": ConjugateGradient}[name](
        max_iterations=2000, min_gradient_norm=GTOL, min_step_size=0.0, max_time=120, verbosity=0
    )

    def run() -> tuple[Point, int]:
        found = optimiser.run(asked, initial_point=[np.array(start.W.T), np.array(start.H)])
        return lambda: ufm.Params(found.point[0].T, found.point[1], None), int(found.iterations)

    return run


def cvxpy_method(problem: ufm.Problem, name: str) -> Method:
    """The nuclear-norm form (T2) with one column a class, and W, H from its singular vectors; CVXPY models it anew."""
    import cvxpy as cp  # type: ignore[import-not-found]

    K, weights = problem.K, np.asarray(problem.sizes) / problem.N
    options = {"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iters": 100_000} if name == "SCS" else {}

    def run() -> tuple[Point, int]:
        Z, b = cp.Variable((K, K)), cp.Variable(K)
        logits = Z @ np.diag(1 / np.sqrt(problem.sizes)) + cp.reshape(b, (K, 1), order="F") @ np.ones((1, K))
        loss = sum(weights[k] * (cp.log_sum_exp(logits[:, k]) - logits[k, k]) for k in range(K))
        f = loss + float(problem.nu) * cp.normNuc(Z) + problem.lam_b / 2 * cp.sum_squares(b)
        asked = cp.Problem(cp.Minimize(f))
        asked.solve(solver=name, **options)
        stats: Any = asked.solver_stats

        def point() -> ufm.Params:
            U, s, Vt = np.linalg.svd(np.asarray(Z.value))
            share = float(problem.lam_H / problem.lam_W) ** 0.25
            W, H = np.zeros((K, problem.d)), np.zeros((problem.d, K))
            W[:, :K], H[:K] = share * U * np.sqrt(s), np.sqrt(s)[:, None] * Vt / share
            return lift_params(problem, ufm.Params(W, H, np.asarray(b.value)))

        return point, int(stats.num_iters)

    return run


def torch_method(problem: ufm.Problem, start: ufm.Params, rate: float | None, steps: int) -> Method:
    """torch.optim.SGD with momentum .9 (rate given) or torch.optim.LBFGS, strong Wolfe, on cross-entropy."""
    import torch  # type: ignore[import-not-found]

    labels = torch.as_tensor(np.array(problem.labels))

    def run() -> tuple[Point, int]:
        blocks = [torch.tensor(np.array(x), requires_grad=True) for x in start]
        decays = (problem.lam_W, problem.lam_H, problem.lam_b)

        def closure() -> Any:
            optimiser.zero_grad()
            Z = (blocks[0] @ blocks[1] + blocks[2][:, None]).T
            loss = torch.nn.functional.cross_entropy(Z, labels)
            loss = loss + sum(lam / 2 * (x**2).sum() for lam, x in zip(decays, blocks, strict=True))
            loss.backward()
            return loss

        if rate is None:
            optimiser = torch.optim.LBFGS(
                blocks, max_iter=steps, tolerance_grad=GTOL, tolerance_change=0.0, history_size=20,
                line_search_fn="strong_wolfe",
            )  # fmt: skip
            optimiser.step(closure)
            taken = optimiser.state[blocks[0]]["n_iter"]
        else:
            optimiser = torch.optim.SGD(blocks, lr=rate, momentum=0.9)
            taken = 0
            while taken < steps:
                closure()
                if taken % 20 == 0 and max(float(x.grad.abs().max()) for x in blocks) <= GTOL:  # type: ignore[union-attr]
                    break
                optimiser.step()
                taken += 1
        return lambda: ufm.Params(*[x.detach().numpy() for x in blocks]), taken

    return run


def best_rate(problem: ufm.Problem, start: ufm.Params) -> float:
    """The rate at which 300 steps of SGD get lowest."""
    values = {}
    for rate in (0.1, 1.0, 3.0, 10.0, 20.0, 35.0, 50.0, 100.0):
        params = torch_method(problem, start, rate, 300)()[0]()
        values[rate] = ufm.certify(problem, params).grad_norm if all(np.isfinite(x).all() for x in params) else np.inf
    return min(values, key=values.__getitem__)


def methods(problem: ufm.Problem) -> dict[str, Method]:
    """Every method that is installed, on one problem."""
    start = ufm.random_start(problem, 0)

    def ours(**options: Any) -> Method:
        def run() -> tuple[Point, int]:
            solution = ufm.solve(problem, gtol=GTOL, **options)
            return lambda: solution.params, solution.steps

        return run

    found = {"ufm.solve": ours(), "ufm free": ours(start=start)}
    if not problem.euclidean:
        if importlib.util.find_spec("pymanopt"):
            for name in ("trust region", "CG"):
                found[f"pymanopt {name}"] = pymanopt_method(problem, start, name)
        return found
    f = flat(problem, start)
    found |= {
        "scipy trust-ncg": scipy_method("trust-ncg", f, gtol=GTOL, maxiter=2000),
        "scipy L-BFGS-B": scipy_method("L-BFGS-B", f, gtol=GTOL, ftol=0.0, maxiter=20_000, maxfun=40_000, maxcor=20),
        "optax lbfgs": optax_lbfgs(f),
    }
    if importlib.util.find_spec("jaxopt"):
        found["jaxopt LBFGS"] = jaxopt_lbfgs(f)
    if importlib.util.find_spec("optimistix"):
        found["optimistix LBFGS"] = optimistix_lbfgs(f)
    if importlib.util.find_spec("cvxpy") and problem.K <= 10 <= problem.d:
        found |= {f"cvxpy {name}": cvxpy_method(problem, name) for name in ("CLARABEL", "SCS")}
    if importlib.util.find_spec("torch"):
        rate = best_rate(problem, start)
        found[f"torch SGD {rate:g}"] = torch_method(problem, start, rate, 20_000)
        found["torch LBFGS"] = torch_method(problem, start, None, 20_000)
    return found
