"""The global minimum and free features against other solvers, in one run, each asked for gradient 1e-10.

    uv run python benchmarks/rivals.py                       # SciPy and optax
    uv run --with torch --with jaxopt --with optimistix python benchmarks/rivals.py --cases S1 M --repeats 5

Every rival minimises f over free features W, H, b from the same random start with exact gradients, compiled once; the
first call (with its compilation) and the best of the later ones are timed apart, the methods taking turns. `ufm.solve`
is timed at its Python entry, reductions and proof included; `ufm free` is `ufm.solve(start=...)`: nothing is reduced.
SGD's rate is the best of a list tried before, outside the clock.
"""

import argparse
import importlib.util
import json
import pathlib
import platform
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.optimize
from jax.flatten_util import ravel_pytree

import ufm
from ufm.precision import exact

GTOL = 1e-10
TAIL = tuple(round(500 * 0.01 ** (k / 99)) for k in range(100))
CASES = {
    "S1": ufm.Problem(10, 10, 20, 5e-3, 5e-3, 5e-3),
    "S2": ufm.Problem(10, 100, 64, 5e-4, 5e-4, 5e-4),
    "Hd": ufm.Problem(10, 100, 512, 5e-4, 5e-4, 5e-4),
    "I": ufm.Problem(10, (200, 150, 100, 70, 50, 30, 20, 10, 5, 2), 20, 1e-3, 1e-3, 1e-3),
    "M": ufm.Problem(100, 10, 200, 5e-4, 5e-4, 5e-4),
    "LT": ufm.Problem(100, TAIL, 200, 1e-4, 1e-4, 1e-4),
}
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

    def run() -> tuple[Point, int]:
        x, state = jax.block_until_ready(solver.run(f.start))
        return lambda: f.unravel(x), int(state.iter_num)

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
    f = flat(problem, start)

    def ours(**options: Any) -> Method:
        def run() -> tuple[Point, int]:
            solution = ufm.solve(problem, gtol=GTOL, **options)
            return lambda: solution.params, solution.steps

        return run

    found = {
        "ufm.solve": ours(),
        "ufm free": ours(start=start),
        "scipy trust-ncg": scipy_method("trust-ncg", f, gtol=GTOL, maxiter=2000),
        "scipy L-BFGS-B": scipy_method("L-BFGS-B", f, gtol=GTOL, ftol=0.0, maxiter=20_000, maxfun=40_000, maxcor=20),
        "optax lbfgs": optax_lbfgs(f),
    }
    if importlib.util.find_spec("jaxopt"):
        found["jaxopt LBFGS"] = jaxopt_lbfgs(f)
    if importlib.util.find_spec("torch"):
        rate = best_rate(problem, start)
        found[f"torch SGD {rate:g}"] = torch_method(problem, start, rate, 20_000)
        found["torch LBFGS"] = torch_method(problem, start, None, 20_000)
    return found


def measure(problem: ufm.Problem, repeats: int) -> list[dict[str, Any]]:
    """One row a method: cold and warm seconds, steps, gradient reached, certified gap."""
    running, rows = methods(problem), {}
    for turn in range(1 + repeats):
        for name, method in running.items():
            clock = time.perf_counter()
            point, steps = method()
            seconds = time.perf_counter() - clock
            if turn == 0:
                certificate = ufm.certify(problem, ufm.Params(*[np.asarray(x) for x in point()]))
                rows[name] = {"cold": seconds, "warm": np.inf, "steps": steps}
                rows[name] |= {"gradient": certificate.grad_norm, "gap": certificate.gap}
            else:
                rows[name]["warm"] = min(rows[name]["warm"], seconds)
    return [{"method": name, **row} for name, row in rows.items()]


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file for the rows")
    options = parser.parse_args()
    record: dict[str, Any] = {"machine": platform.machine(), "device": str(jax.devices()[0]), "jax": jax.__version__}
    for case in options.cases:
        with exact():
            rows = measure(CASES[case], options.repeats)
        record[case] = rows
        rival = min(row["warm"] for row in rows[2:] if row["gradient"] <= 2 * GTOL) if len(rows) > 2 else np.inf
        print(f"{case}: {CASES[case].K} classes, N = {CASES[case].N}, d = {CASES[case].d}", flush=True)
        for row in rows:
            print(
                f"  {row['method']:18} warm {row['warm'] * 1e3:10.2f} ms  cold {row['cold']:7.2f} s  "
                f"steps {row['steps']:6d}  gradient {row['gradient']:.1e}  gap {row['gap']:.1e}  "
                f"{rival / row['warm']:8.2f}x the best rival",
                flush=True,
            )
    if options.out:
        options.out.write_text(json.dumps(record, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
