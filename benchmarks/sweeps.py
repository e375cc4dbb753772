"""1,024 problems of one shape (64 decays x 16 seeds): minima a second, ours in one call, the rivals' in a loop.

    uv run python benchmarks/sweeps.py

Every method is asked for gradient 1e-10 and is compiled once. The rivals minimise over free features from each
problem's random start, on an evenly spread sample of the problems; their rate is that of the sample. The order of the
problems is shuffled: nothing is carried from one to the next. `reduced` is `ufm.solve_batch`, `free` the same with
reduce=False. Each turn runs every method once; the best turn counts.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.optimize
from jax.flatten_util import ravel_pytree
from rival_methods import GTOL

import ufm
from ufm.precision import exact

SHAPES = {
    "balanced: K = 10, n = 10, d = 20": ufm.Problem(10, 10, 20, 1e-3, 1e-3, 1e-3),
    "sizes 20 .. 4: K = 10, d = 20": ufm.Problem(10, (20, 15, 12, 10, 9, 8, 7, 6, 5, 4), 20, 1e-3, 1e-3, 1e-3),
}
DECAYS = np.repeat(np.logspace(-3.5, -2, 64), 16)


def optax_lbfgs(problem: ufm.Problem) -> Callable[[ufm.Problem, Any], bool]:
    """One problem after the other; True if it reached the gradient."""
    solver = optax.lbfgs(memory_size=20)
    _, unravel = ravel_pytree(ufm.random_start(problem))
    back: Any = unravel

    @jax.jit
    def minimise(own: Any, x: Any) -> Any:
        def fun(v: Any) -> Any:
            return own.objective(back(v))

        both = optax.value_and_grad_from_state(fun)

        def body(carry: Any) -> Any:
            x, state, t, _ = carry
            value, grad = both(x, state=state)
            updates, state = solver.update(grad, state, x, value=value, grad=grad, value_fn=fun)
            steepest: Any = grad
            return optax.apply_updates(x, updates), state, t + 1, jnp.max(jnp.abs(steepest))

        going = lambda c: (c[3] > GTOL) & (c[2] < 20_000)  # noqa: E731
        return jax.lax.while_loop(going, body, (x, solver.init(x), 0, jnp.asarray(jnp.inf)))[3]

    return lambda own, start: bool(minimise(own, ravel_pytree(start)[0]) <= GTOL)


def scipy_newton(problem: ufm.Problem) -> Callable[[ufm.Problem, Any], bool]:
    """scipy.optimize trust-ncg with jax's gradients and Hessian-vector products."""
    _, unravel = ravel_pytree(ufm.random_start(problem))
    back: Any = unravel
    both = jax.jit(lambda own, v: jax.value_and_grad(lambda u: own.objective(back(u)))(v))
    product = jax.jit(lambda own, v, w: jax.jvp(lambda u: both(own, u)[1], (v,), (w,))[1])

    def run(own: ufm.Problem, start: Any) -> bool:
        found = scipy.optimize.minimize(
            lambda v: tuple(map(np.asarray, both(own, v))), np.asarray(ravel_pytree(start)[0]), jac=True,
            hessp=lambda v, w: np.asarray(product(own, v, w)), method="trust-ncg",
            options={"gtol": GTOL, "maxiter": 2000},
        )  # fmt: skip
        return float(np.max(np.abs(found.jac))) <= 2 * GTOL

    return run


def main() -> None:
    """Print one line a method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--sample", type=int, default=64, help="problems that the rivals solve")
    options = parser.parse_args()
    order = np.random.default_rng(0).permutation(len(DECAYS))
    decays, seeds = DECAYS[order], list(range(len(DECAYS)))
    for title, shape in SHAPES.items():
        batch = dataclasses.replace(shape, lam_W=decays, lam_H=decays, lam_b=decays)
        chosen = np.linspace(0, len(decays) - 1, options.sample).astype(int)
        some = [dataclasses.replace(shape, lam_W=decays[i], lam_H=decays[i], lam_b=decays[i]) for i in chosen]
        starts = [ufm.random_start(own, int(i)) for own, i in zip(some, chosen, strict=True)]
        with exact():
            rivals = {"optax lbfgs": optax_lbfgs(shape), "scipy trust-ncg": scipy_newton(shape)}

        def ours(batch: ufm.Problem = batch, **how: Any) -> tuple[int, int]:
            found = ufm.solve_batch(batch, seeds, gtol=GTOL, **how)
            return len(found), sum(x.status is ufm.Status.CONVERGED for x in found)

        def looped(one: Callable[..., bool], some: Any = some, starts: Any = starts) -> tuple[int, int]:
            with exact():
                done = [one(own.astype(np.float64), start) for own, start in zip(some, starts, strict=True)]
            return len(done), sum(done)

        runs = {"ufm reduced": ours, "ufm free": lambda ours=ours: ours(reduce=False)}
        runs |= {name: lambda one=one, looped=looped: looped(one) for name, one in rivals.items()}
        best, reached = dict.fromkeys(runs, 0.0), {}
        for turn in range(1 + options.turns):  # the first compiles
            for name, run in runs.items():
                clock = time.perf_counter()
                count, good = run()
                rate = count / (time.perf_counter() - clock)
                best[name], reached[name] = max(best[name], rate if turn else 0.0), f"{good}/{count}"
        rival = max(best[name] for name in rivals)
        print(title)
        for name, rate in best.items():
            print(
                f"  {name:16} {rate:9.1f} / s  reached {reached[name]:>9}  {rate / rival:7.1f}x the best rival",
                flush=True,
            )


if __name__ == "__main__":
    main()
