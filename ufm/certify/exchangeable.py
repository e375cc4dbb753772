"""The dual bound of `ufm.certify.duality` on matrices that commute with permutations of classes of equal size."""

import numpy as np

from ufm.certify.minorant import EPS, LowerBound
from ufm.exchangeable import Exchangeable, Spectrum


def exchangeable_bound(problem: Exchangeable, value: float, Z: Spectrum, dual: Spectrum) -> LowerBound:
    """The best of two bounds on f*: from the gradient in the logits, scaled to the norm nu, and from it aligned with Z.

    A matrix of this form has the singular values |s_g| and those of T, and the conjugate takes few different columns:
    the bound is that of the full [K, K] dual, at a cost that does not depend on K, n or d.

    Args:
        value: f at the point. Z: its logits W H. dual: the gradient of the data loss in them. NumPy.
    Source:
        T15, derived for this project.
    """
    rounding = 8 * EPS * (1.0 + abs(value))
    best = _dual_value(problem, dual)
    if best < value - rounding:
        best = max(best, _dual_value(problem, _aligned(problem, Z, dual)))
    return LowerBound(max(best, 0.0) - rounding, "dual of exchangeable classes (T15)")


def _aligned(problem: Exchangeable, Z: Spectrum, dual: Spectrum) -> Spectrum:
    """-nu on the singular directions of Z that are not zero, the clipped gradient on the others."""
    nu = float(problem.nu)
    U, s, Vt = np.linalg.svd(Z.trivial)
    top = max(float(s[0]), float(np.max(np.abs(Z.standard))))
    rank = int(np.sum(s > 1e-9 * top))
    U, Vt = U[:, :rank], Vt[:rank]
    rest = dual.trivial - U @ (U.T @ dual.trivial)
    rest = rest - (rest @ Vt.T) @ Vt
    A, sizes, B = np.linalg.svd(rest)
    present = np.abs(Z.standard) > 1e-9 * top
    standard = np.where(present, -nu * np.sign(Z.standard), np.clip(dual.standard, -nu, nu))
    return Spectrum(standard, (A * np.minimum(sizes, nu)) @ B - nu * U @ Vt)


def _dual_value(problem: Exchangeable, dual: Spectrum) -> float:
    """D(Gamma) after centring and scaling; -inf outside the conjugate's domain."""
    m, n, nu = problem.m, problem.n, float(problem.nu)
    T, N = dual.trivial, float(np.sum(m * n))
    lam_b = None if problem.lam_b is None else float(problem.lam_b)
    if problem.loss.shift_invariant:
        u = np.sqrt(m / np.sum(m))
        T = T - np.outer(u, u @ T)
    root = np.sqrt(m * n)
    if lam_b == 0.0:
        T = T - np.outer(T @ root, root) / N
    largest = max(float(np.linalg.norm(T, 2)), float(np.max(np.abs(dual.standard))))
    share = 1.0 if largest == 0.0 else min(1.0, nu / (largest * (1.0 + 4 * EPS)))
    feasible = Spectrum(share * dual.standard, share * T)
    classes = problem.classes()
    G = np.where(classes > 0, N * problem.logits(feasible, None), 0.0)  # a row of no class lies in any domain
    bound = -float(np.sum(m * n * problem.loss.conjugate(G, problem.targets(), classes))) / N
    if lam_b:
        bound -= float(np.sum((feasible.trivial @ root) ** 2)) / (2 * lam_b)
    return bound
