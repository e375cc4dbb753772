"""The dual bound of `ufm.certify.duality` on matrices that commute with permutations of classes of one size; in jax."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ufm.certify.minorant import EPS
from ufm.exchangeable import Exchangeable, Spectrum


def exchangeable_bound(problem: Exchangeable, value: Any, Z: Spectrum, dual: Spectrum) -> jax.Array:
    """The best of two bounds on f*: from the gradient in the logits, scaled to the norm nu, and from it aligned with Z.

    A matrix of this form has the singular values |s_g| and those of T, and the conjugate takes few different columns:
    the bound is that of the full [K, K] dual, at a cost that does not depend on K, n or d.

    Args:
        value: f at the point. Z: its logits W H. dual: the gradient of the data loss in them.
    Source:
        T15, derived for this project.
    """
    best = jnp.maximum(_dual_value(problem, dual), _dual_value(problem, _aligned(problem, Z, dual)))
    eps = np.maximum(EPS, np.finfo(problem.m.dtype).eps)
    return jnp.maximum(best, 0.0) - 8 * eps * (1.0 + jnp.abs(value))


def _aligned(problem: Exchangeable, Z: Spectrum, dual: Spectrum) -> Spectrum:
    """-nu on the singular directions of Z that are not zero, the clipped gradient on the others."""
    nu = problem.nu
    U, s, Vt = jnp.linalg.svd(Z.trivial)
    top = 1e-9 * jnp.maximum(s[0], jnp.max(jnp.abs(Z.standard)))
    U, Vt = U * (s > top), Vt * (s > top)[:, None]
    rest = dual.trivial - U @ (U.T @ dual.trivial)
    rest = rest - (rest @ Vt.T) @ Vt
    A, sizes, B = jnp.linalg.svd(rest)
    present = jnp.abs(Z.standard) > top
    standard = jnp.where(present, -nu * jnp.sign(Z.standard), jnp.clip(dual.standard, -nu, nu))
    return Spectrum(standard, (A * jnp.minimum(sizes, nu)) @ B - nu * U @ Vt)


def _dual_value(problem: Exchangeable, dual: Spectrum) -> jax.Array:
    """D(Gamma) after centring and scaling; -inf outside the conjugate's domain."""
    m, n, nu = problem.m, problem.n, problem.nu
    T, N = dual.trivial, jnp.sum(m * n)
    root, free = jnp.sqrt(m * n), problem.lam_b is not None
    if problem.loss.shift_invariant:
        u = jnp.sqrt(m / jnp.sum(m))
        T = T - jnp.outer(u, u @ T)
    if free:
        T = jnp.where(problem.lam_b == 0.0, T - jnp.outer(T @ root, root) / N, T)
    largest = jnp.maximum(jnp.linalg.svd(T, compute_uv=False)[0], jnp.max(jnp.abs(dual.standard)))
    share = jnp.minimum(1.0, nu / (largest * (1.0 + 4 * EPS)))
    feasible = Spectrum(share * dual.standard, share * T)
    classes = problem.classes()
    G = jnp.where(classes > 0, N * problem.logits(feasible, None), 0.0)  # a row of no class lies in any domain
    bound = -jnp.sum(m * n * problem.loss.conjugate(G, problem.targets(), classes)) / N
    if free:
        bias = jnp.sum((feasible.trivial @ root) ** 2)
        bound = bound - jnp.where(
            problem.lam_b == 0.0, 0.0, bias / (2 * jnp.where(problem.lam_b == 0.0, 1.0, problem.lam_b))
        )
    return bound
