"""Is any certificate wrong? Random problems over every variant, each verdict set against many other starts.

    uv run python benchmarks/verdicts.py                           # 2,000 problems, 20 other starts each
    uv run python benchmarks/verdicts.py --problems 200 --starts 5

A verdict is wrong if another start ends lower than the certified global minimum by more than its gap, or lower than the
lower bound; if a local minimum is left downwards by small steps from beside it; or if a strict saddle's direction does
not go down. Every family takes K = 3 and d = 1 .. K + 3; decays, temperatures, budgets and seeds are drawn, so that
each shape compiles once.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable

import jax
import numpy as np

import ufm
from ufm.models import Bilinear
from ufm.spaces import Budget, Euclidean, Spheres

K, SIZES = 3, (3, 2, 1)
SETS, COUNTS = ufm.label_sets(K, {1: 2, 2: 1})
Draw = Callable[[np.random.Generator, int], ufm.Problem]


def _nu(rng: np.random.Generator) -> tuple[float, float]:
    """Decays of both blocks, log-uniform, in ratio up to 10 either way."""
    nu, tilt = 10.0 ** rng.uniform(-3, -0.7), 10.0 ** rng.uniform(-0.5, 0.5)
    return nu * tilt, nu / tilt


def _decayed(loss: Callable[[np.random.Generator], object], lam_b: float | None, n: object = SIZES) -> Draw:
    return lambda rng, d: ufm.Problem(K, n, d, *_nu(rng), lam_b, loss(rng))


def _etf(rng: np.random.Generator, d: int) -> np.ndarray:
    return rng.standard_normal((K, d))


FAMILIES: dict[str, Draw] = {
    "cross-entropy, free bias": _decayed(lambda rng: ufm.CrossEntropy(rng.uniform(0.0, 0.4)), 0.0),
    "cross-entropy, no bias": _decayed(lambda rng: ufm.CrossEntropy(), None, 2),
    "squares": _decayed(lambda rng: ufm.MSE(), 0.1),
    "rescaled squares": _decayed(lambda rng: ufm.RescaledMSE(rng.uniform(1, 5), rng.uniform(1, 3)), 0.1),
    "focal": _decayed(lambda rng: ufm.Focal(rng.uniform(0.5, 4.0)), None, 2),
    "label sets": lambda rng, d: ufm.Problem(K, COUNTS, d, *_nu(rng), None, ufm.PickAllLabel(), targets=SETS),
    "regression": lambda rng, d: ufm.Problem(K, 1, d, *_nu(rng), 0.0, ufm.MSE(), targets=rng.standard_normal((K, 6))),
    "spheres": lambda rng, d: ufm.Problem(K, SIZES, d, model=ufm.normalized(10.0 ** rng.uniform(-0.5, 1.0))),
    "features on spheres": lambda rng, d: ufm.Problem(
        K, SIZES, d, _nu(rng)[0], model=ufm.normalized_features(rng.uniform(0.5, 4.0))
    ),
    "budgets": lambda rng, d: ufm.Problem(K, SIZES, d, model=ufm.layer_peeled(rng.uniform(0.5, 2), rng.uniform(1, 6))),
    "sphere and budget": lambda rng, d: ufm.Problem(
        K, SIZES, d, lam_b=0.0, model=Bilinear(Spheres(), Budget(rng.uniform(0.5, 4.0)), 1.5)
    ),
    "classifier on spheres": lambda rng, d: ufm.Problem(
        K, SIZES, d, None, _nu(rng)[1], 0.1, ufm.MSE(), Bilinear(Spheres(), Euclidean())
    ),
    "features >= 0": lambda rng, d: ufm.Problem(K, SIZES, d, *_nu(rng), model=ufm.relu_features()),
    "fixed classifier": lambda rng, d: ufm.Problem(
        K, SIZES, d, None, _nu(rng)[1], model=ufm.fixed_classifier(_etf(rng, d))
    ),
    "fixed, on spheres": lambda rng, d: ufm.Problem(
        K, SIZES, d, model=ufm.fixed_classifier(_etf(rng, d), Spheres(rng.uniform(0.5, 3.0)))
    ),
    "contrastive": lambda rng, d: ufm.Problem(
        K, SIZES, d, model=ufm.contrastive(rng.uniform(0.3, 2.0)), loss=ufm.SupCon()
    ),
}


def wrong(problem: ufm.Problem, params: ufm.Params, certificate: ufm.Certificate, starts: int) -> str:
    """Why the certificate of the point `params` is wrong, or ""."""
    rounding = 1e-13 * (1.0 + abs(certificate.value))
    if certificate.value < certificate.lower_bound - rounding:
        return f"f={certificate.value} is below the bound {certificate.lower_bound}"
    for key in range(1, starts + 1):
        value = ufm.solve(problem, key, reduce=False).value
        if value < certificate.lower_bound - rounding:
            return f"start {key} ends at {value}, below the bound {certificate.lower_bound}"
        called_global = certificate.verdict is ufm.Verdict.GLOBAL_MINIMUM
        if called_global and value < certificate.value - max(certificate.gap, 0.0) - rounding:
            return f"start {key} ends at {value}, below the global minimum {certificate.value} by more than its gap"
    if certificate.verdict is ufm.Verdict.LOCAL_MINIMUM:
        for key in range(3):
            beside = ufm.perturb(problem, params, key, 1e-5)
            value = ufm.solve(problem, start=beside, solver=ufm.TrustRegion(radius=1e-4, escapes=False)).value
            if value < certificate.value - 1e3 * rounding:
                return f"from beside the local minimum {certificate.value} small steps lead down to {value}"
    lowest = np.fmin(certificate.escape_curvature, certificate.smallest_eigenvalue + certificate.eigenvalue_residual)
    if certificate.verdict is ufm.Verdict.STRICT_SADDLE and not lowest < 0.0:
        return f"no direction goes down from the strict saddle {certificate.value}"
    return ""


def main() -> None:
    """Draw, solve, certify, attack; one line a family."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=2000)
    parser.add_argument("--starts", type=int, default=20)
    options = parser.parse_args()
    rng, clock = np.random.default_rng(0), time.perf_counter()
    each = -(-options.problems // len(FAMILIES))
    total = Counter()
    names = [verdict.name for verdict in ufm.Verdict]
    print(f"{'family':26}{'problems':>9}" + "".join(f"{name.lower():>16}" for name in names) + f"{'wrong':>7}")
    for family, draw in FAMILIES.items():
        counts: Counter[str] = Counter()
        for i in range(each):
            problem = draw(rng, 1 + i % (K + 3))
            params = ufm.solve(problem, 0, reduce=False).params
            certificate = ufm.certify(problem, params)
            counts[certificate.verdict.name] += 1
            if reason := wrong(problem, params, certificate, options.starts):
                counts["wrong"] += 1
                print(f"  {family}, {problem}: {reason}")
        jax.clear_caches()  # the programs of one family are of no use to the next, and there is room for some thousand
        total += counts
        line = "".join(f"{counts[name]:16d}" for name in names)
        print(f"{family:26}{each:9d}{line}{counts['wrong']:7d}", flush=True)
    print(f"{total['wrong']} wrong of {each * len(FAMILIES)}, {time.perf_counter() - clock:.0f} s")


if __name__ == "__main__":
    main()
