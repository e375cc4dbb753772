"""Theory against computation over the settings of the theory reference: the largest difference for each theorem.

    uv run python benchmarks/theorems.py

Every minimum is found from a random start and followed to rounding level; relative means to 1 + the largest entry
(Hessian spectra: to the largest eigenvalue, dense and structured alike). Ten minutes, nearly all of it compilation.
"""

import argparse
import itertools
import math
import time
from collections import defaultdict
from collections.abc import Iterator
from types import ModuleType
from typing import SupportsFloat

import jax.numpy as jnp
import numpy as np

import ufm
from theory import cross_entropy, expand, frames, mse
from ufm.certify.escape import packing
from ufm.certify.point import examine, hessian_product
from ufm.precision import exact, to_host
from ufm.reduction import lift_params, merge, merge_params
from ufm.verify.predict import predict

EPS = float(np.finfo(np.float64).eps)
ROWS: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
FAILED: list[str] = []


def note(theorem: str, **values: SupportsFloat) -> None:
    """Collect differences; the table shows the largest of each."""
    for name, value in values.items():
        ROWS[theorem][name].append(float(value))


def expect(condition: bool, problem: ufm.Problem, what: str) -> None:
    """Collect a yes-or-no statement that does not hold."""
    if not condition:
        loss = type(problem.loss).__name__
        FAILED.append(
            f"{loss} K={problem.K} n={problem.n} d={problem.d} lam_b={problem.lam_b} nu={problem.nu:.2e}: {what}"
        )


def make(
    loss: object, K: int, n: int | tuple[int, ...], d: int, lam_b: float | None, kappa: float, ratio: float
) -> ufm.Problem:
    """By kappa = K sqrt(n) nu (class sizes: N nu) and ratio = lam_W / lam_H."""
    nu, tilt = kappa / (K * math.sqrt(n) if isinstance(n, int) else sum(n)), math.sqrt(ratio)
    return ufm.Problem(K, n, d, nu * tilt, nu / tilt, lam_b, loss)


def minima() -> Iterator[tuple[str, ufm.Problem]]:
    """Settings of T7-T10 with the ranges of the reference."""
    for (K, n), extra in itertools.product([(2, 3), (3, 2), (4, 1), (5, 3), (10, 1)], (-1, 2)):
        for lam_b, smoothing in itertools.product((None, 0.0, 1e-3, 1e-2), (0.0, 0.1, 0.3)):
            for kappa, ratio in ((6e-5, 1.0), (1e-2, 10.0), (0.3, 0.02), (0.66, 1.0), (1.13, 3.0)):
                yield "T7, T16 cross-entropy", make(ufm.CrossEntropy(smoothing), K, n, K + extra, lam_b, kappa, ratio)
    for K, n in ((2, 2), (4, 3), (5, 2), (8, 1)):
        for d in sorted({1, K // 2, K - 1, K + 2}):
            for lam_b in (None, 0.0, 0.01, 0.1, 0.2, 0.3, 0.5, 50.0, 1e4):
                for kappa, ratio in ((1e-2, 10.0), (0.15, 1.0), (0.45, 0.02), (1.1, 1.0)):
                    theorem = "T8, T17 squares, d >= K" if d >= K else "T9, T17 squares, d < K"
                    yield theorem, make(ufm.MSE(), K, n, d, lam_b, kappa, ratio)
    for n, lam_b in itertools.product(((4, 2, 1, 2, 1), (5, 3, 2, 1), (6, 6, 1)), (None, 0.0)):
        for d in sorted({2, len(n) - 1, len(n) + 1}):
            for kappa in (0.3, 0.9, 1.2, 1.7, 2.2):
                yield "T10 squares, imbalanced", make(ufm.MSE(), len(n), n, d, lam_b, kappa, 2.0)


def theory_of(problem: ufm.Problem) -> tuple[ModuleType, dict]:
    """The module of closed forms and its arguments."""
    names = ("K", "n", "d", "lam_W", "lam_H", "lam_b")
    arguments = {name: getattr(problem, name) for name in names}
    if isinstance(problem.loss, ufm.CrossEntropy):
        return cross_entropy, arguments | {"smoothing": problem.loss.smoothing}
    return mse, arguments


def polish(problem: ufm.Problem, start: ufm.Params | None = None, key: int = 0) -> ufm.Params:
    """A solution at 1e-12, then as far as float64 goes."""
    first = ufm.solve(problem, key, start=start)
    expect(first.status is ufm.Status.CONVERGED, problem, first.message)
    return ufm.solve(problem, start=first.params, gtol=EPS).params


def dense_spectrum(problem: ufm.Problem, params: ufm.Params) -> np.ndarray:
    """Eigenvalues of the whole Hessian, ascending."""
    pack, unpack = packing(params)
    with exact():
        typed = problem.astype(np.float64)
        rows = [pack(to_host(hessian_product(typed, params, unpack(e)))) for e in np.eye(pack(params).size)]
    hessian = np.array(rows)
    return np.linalg.eigvalsh((hessian + hessian.T) / 2)


def compare_spectra(theorem: str, problem: ufm.Problem, params: ufm.Params, expected: np.ndarray) -> None:
    """Dense and structured eigenvalues against the predicted ones, and the number of zeros."""
    for name, found in (
        ("dense", dense_spectrum(problem, params)),
        ("structured", ufm.hessian_spectrum(problem, params)),
    ):
        note(theorem, **{name: np.max(np.abs(found - expected)) / expected[-1]})
        small = np.min(np.abs(expected[expected != 0.0])) / 2
        zeros = int(np.sum(np.abs(found) <= small)), int(np.sum(expected == 0.0))
        expect(zeros[0] == zeros[1], problem, f"{name}: {zeros[0]} zero eigenvalues, predicted {zeros[1]}")


def check_minimum(theorem: str, problem: ufm.Problem) -> None:
    """One solve: every quantity, the certificate, T1, and the spectra at the minimum and at the origin."""
    params = polish(problem)
    certificate = ufm.certify(problem, params)
    expect(certificate.verdict is ufm.Verdict.GLOBAL_MINIMUM, problem, certificate.reason)
    trivial = not np.any(predict(problem).quantities["sigma_Z"])
    for row in ufm.compare(problem, params, predict(problem), certificate=certificate).rows:
        if row.name == "nullity":
            expect(row.difference == 0.0, problem, f"certificate: {row.found} zero modes, predicted {row.predicted}")
        else:
            note(theorem, **{row.name: row.difference / (1.0 + np.max(np.abs(row.predicted)))})
    note(theorem, gap=certificate.gap / (1.0 + certificate.value))
    critical(problem, params)
    if isinstance(problem.n, int):
        module, arguments = theory_of(problem)
        compare_spectra(theorem, problem, params, expand(module.minimum_spectrum(**arguments)))
        origin(problem, trivial)


def origin(problem: ufm.Problem, trivial: bool) -> None:
    """T18 at W = H = 0 with the best b."""
    module, arguments = theory_of(problem)
    shapes = problem.shapes()
    level = 1.0 / (problem.K * (1.0 + (problem.lam_b or 0.0))) if isinstance(problem.loss, ufm.MSE) else 0.0
    params = ufm.Params(np.zeros(shapes.W), np.zeros(shapes.H), None if shapes.b is None else np.full(problem.K, level))
    expected = expand(module.origin_spectrum(**arguments))
    compare_spectra("T18 origin", problem, params, expected)
    expect((expected[0] < 0.0) != trivial, problem, "the origin is a saddle iff the minimum is not there")


def critical(problem: ufm.Problem, params: ufm.Params) -> None:
    """T1's identities, each scaled by 1 + |W| + |H|."""
    W, H, b = params
    point, nu = examine(problem, params), float(problem.nu)
    U, s, Vt = np.linalg.svd(point.Z, full_matrices=False)
    r = int(np.sum(s > 1e-6))
    size = 1.0 + np.linalg.norm(W) + np.linalg.norm(H)
    decays = (problem.lam_W * np.sum(W**2) + problem.lam_H * np.sum(H**2)) / 2
    note(
        "T1 identities",
        balance=np.linalg.norm(problem.lam_W * W.T @ W - problem.lam_H * H @ H.T) / size,
        GV=np.linalg.norm((point.G @ Vt[:r].T + nu * U[:, :r]) * np.sqrt(s[:r])) / size,
        UG=np.linalg.norm((U[:, :r].T @ point.G + nu * Vt[:r]) * np.sqrt(s[:r])[:, None]) / size,
        norms=abs(decays - nu * np.sum(s)) / size,
        inner=abs(np.sum(point.G * point.Z) + nu * np.sum(s)) / size,
        sums=0.0 if b is None else np.linalg.norm(point.G.sum(axis=1) + problem.lam_b * b) / size,
    )


def check_one_value(starts: int) -> None:
    """T4 (benign at d = K - 1) and T9 (benign at any d): the spread of the values over the starts."""
    sizes = (4, 2, 1, 2, 1)
    benign = [
        *(make(ufm.CrossEntropy(a), 5, n, 4, b, 0.2, 1.0) for n in (sizes, 2) for a in (0.0, 0.2) for b in (0.0, 0.05)),
        *(make(ufm.MSE(), 5, sizes, d, b, 0.4, 1.0) for d, b in ((5, 0.3), (5, None), (4, 0.0), (7, 0.05))),
    ]
    few = [make(ufm.MSE(), K, n, d, b, 0.2, 3.0) for K, n, d in ((5, 2, 2), (8, 1, 3)) for b in (None, 0.0, 0.3, 50.0)]
    for theorem, problems in (("T4 one value, d >= K-1", benign), ("T9 one value, d < K", few)):
        for problem in problems:
            ends = [polish(problem, key=key) for key in range(starts)]
            certificates = [ufm.certify(problem, params) for params in ends]
            note(theorem, spread=np.ptp([c.value for c in certificates]), gap=max(c.gap for c in certificates))
            expect({c.verdict for c in certificates} == {ufm.Verdict.GLOBAL_MINIMUM}, problem, "not all global")


def check_saddles() -> None:
    """T5: solutions with fewer features, seen in more of them, and squares with lost modes."""
    for loss, smoothing_b in itertools.product((ufm.CrossEntropy(), ufm.CrossEntropy(0.2)), (None, 0.05)):
        for rank, d in ((1, 4), (2, 5), (3, 6)):
            small = make(loss, 5, 2, rank, smoothing_b, 0.15, 4.0)
            W, H, b = polish(small)
            pad = d - rank
            escape(
                make(loss, 5, 2, d, smoothing_b, 0.15, 4.0),
                ufm.Params(np.pad(W, ((0, 0), (0, pad))), np.pad(H, ((0, pad), (0, 0))), b),
            )
    for lam_b, rank, ratio in itertools.product((None, 0.0, 0.3), (1, 2), (0.02, 1.0)):
        problem = make(ufm.MSE(), 4, 3, 6, lam_b, 0.1, ratio)
        basis = np.eye(4) if lam_b is None else frames.centred_basis(4)
        Z = np.repeat(0.9 * basis[:, :rank] @ basis[:, :rank].T, 3, axis=1)
        W, H = frames.balanced_factors(Z, 6, problem.lam_W, problem.lam_H)
        escape(problem, ufm.Params(W, H, None if lam_b is None else np.full(4, 1 / (4 * (1 + lam_b)))))


def escape(problem: ufm.Problem, params: ufm.Params) -> None:
    """The certificate's direction is an eigenvector, its eigenvalue the predicted and the smallest one."""
    certificate = ufm.certify(problem, params)
    expect(certificate.verdict is ufm.Verdict.STRICT_SADDLE, problem, f"saddle called {certificate.verdict.name}")
    expect(certificate.dual_ratio > 1.0, problem, "T3 at a saddle")
    pack, _ = packing(params)
    with exact():
        image = pack(to_host(hessian_product(problem.astype(np.float64), params, certificate.escape)))
    dense, mu = dense_spectrum(problem, params), certificate.escape_predicted
    note(
        "T5 escape from saddles",
        eigenpair=np.linalg.norm(image - mu * pack(certificate.escape)),
        smallest=abs(dense[0] - mu),
    )
    note("T5 escape from saddles", structured=np.max(np.abs(dense - ufm.hessian_spectrum(problem, params))) / dense[-1])
    critical(problem, params)


def check_spurious(starts: int) -> None:
    """T6: the values found at d < K - 1, with how often; a lower one than listed is worth a look."""
    listed = [(5, 2, 0.05, 0.1), (6, 2, 0.03, 0.1), (6, 2, 0.03, 0.03), (5, 3, 1e-3, 0.1)]
    for K, d, lam, lam_b in listed:
        problem = ufm.Problem(K, 1, d, lam, lam, lam_b)
        seen: dict[float, list[ufm.Params]] = defaultdict(list)
        for key in range(starts):
            solution = ufm.solve(problem, key)
            seen[round(solution.value, 9)].append(solution.params)
        for _, ends in sorted(seen.items()):
            c = ufm.certify(problem, ends[0])
            print(
                f"T6  K={K} d={d} lam={lam:g} lam_b={lam_b:g}: f={c.value:.12f}  {len(ends):3d} of {starts} starts  "
                f"{c.verdict.name}  zero modes {c.nullity} (orbit {c.symmetry})  |G|/nu {c.dual_ratio:.3f}  "
                f"f - min F <= {c.gap:.2e}"
            )


def focal(Z, Y):
    """Focal loss, exponent 2: shift-invariant and not convex."""
    log_p = jnp.sum(Y * Z, axis=0) - jnp.log(jnp.sum(jnp.exp(Z), axis=0))
    return -((1.0 - jnp.exp(log_p)) ** 2) * log_p


def check_reductions() -> None:
    """T20 and T21 at random points."""
    rng = np.random.default_rng(0)
    for loss, lam_b in itertools.product((ufm.CrossEntropy(), ufm.CrossEntropy(0.2), ufm.MSE(), focal), (None, 0.1)):
        problem = ufm.Problem(4, (3, 1, 2, 2), 5, 3e-3, 7e-3, lam_b, loss)
        small = merge(problem)
        for key in range(20):
            point = ufm.random_start(small, key, scale=float(10 ** rng.uniform(-1, 1)))
            full = lift_params(problem, point)
            here, there = examine(small, point), examine(problem, full)
            size = 1.0 + here.value
            grads = zip(here.grad, merge_params(problem, there.grad), strict=True)
            note("T21 merging", value=abs(here.value - there.value) / size)
            note("T21 merging", gradient=max(np.max(np.abs(a - b)) for a, b in grads if a is not None) / size)
            if key < 2 and problem.loss.convex:
                dense = dense_spectrum(problem, full)
                note("T21 merging", structured=np.max(np.abs(dense - ufm.hessian_spectrum(problem, full))) / dense[-1])
            if problem.loss.convex:
                anywhere = ufm.random_start(problem, key)
                grad = examine(problem, anywhere).grad.H
                for i, j in ((0, 1), (0, 2), (4, 5), (6, 7)):
                    pulled = np.linalg.norm(grad[:, i] - grad[:, j]) / problem.lam_H
                    apart = np.linalg.norm(anywhere.H[:, i] - anywhere.H[:, j])
                    note("T20 collapse bound", excess=max(0.0, apart / pulled - 1.0))


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=12, help="random starts of T4, T6 and T9")
    options = parser.parse_args()
    began = time.perf_counter()
    counts: dict[str, int] = defaultdict(int)
    for theorem, problem in minima():
        counts[theorem] += 1
        check_minimum(theorem, problem)
    check_one_value(options.starts)
    check_saddles()
    check_spurious(options.starts)
    check_reductions()
    print(f"\n{'theorem':26} {'settings':>8}  largest difference of each quantity")
    for theorem, values in ROWS.items():
        count = counts.get(theorem, max(len(v) for v in values.values()))
        print(f"{theorem:26} {count:8d}  " + "  ".join(f"{name} {max(v):.1e}" for name, v in values.items()))
    print(f"\n{len(FAILED)} statements fail" + "".join(f"\n  {line}" for line in sorted(set(FAILED))))
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
