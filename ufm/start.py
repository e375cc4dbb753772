"""Where to start: random with a scale, a simplex ETF, a perturbed point."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ufm import tree
from ufm.certify.minorant import class_gradient, without_sums
from ufm.certify.point import examine
from ufm.checks import positive, untraced
from ufm.exchangeable import FLOOR, SCALES
from ufm.precision import exact
from ufm.problem import Params, Problem
from ufm.reduction import lift_params, merge
from ufm.spaces import Spheres
from ufm.validation import check_params, check_problem


def random_start(problem: Problem, key: Any = 0, scale: float = 1.0) -> Params:
    """Gaussian entries: W and H of variance scale^2 / d (rows and columns of norm about scale), b of scale^2 / K.

    Of a deep model every matrix has rows of norm about scale. Projected on the model's spaces where there are any: on
    spheres the directions are uniform, whatever the scale.
    Drawn in float64 whatever the precision of the solve, so that float32 and float64 see the same point.

    Args:
        key: an int seed >= 0 or a jax PRNG key.
        scale: > 0.
    Raises:
        ValueError: a negative seed, or a scale that is not finite and positive.
    """
    check_problem(problem, "random_start", minimiser=False)
    positive(scale, "scale", "random_start")
    rng = generator(key, "random_start")
    shapes = problem.shapes()
    width, height = scale / np.sqrt(problem.d), scale / np.sqrt(problem.K)
    drawn = Params(
        W=tree.map_shapes(lambda shape: scale / np.sqrt(shape[1]) * rng.standard_normal(shape), shapes.W),
        H=width * rng.standard_normal(shapes.H),
        b=None if shapes.b is None else height * rng.standard_normal(shapes.b),
    )
    return problem.project(drawn)


def etf_start(problem: Problem, scale: float = 1.0) -> Params:
    """Collapsed features on a simplex ETF: rows of W and features h_ki = w_k of norm `scale`, b = 0.

    Projected on the model's spaces where there are any.

    Raises:
        ValueError: d < K - 1, where no simplex ETF exists; targets other than classes, or features alone; a scale
            that is not finite and positive.
    """
    check_problem(problem, "etf_start", minimiser=False)
    positive(scale, "scale", "etf_start")
    K, d = problem.K, problem.d
    if problem.targets is not None or not problem.model.classifier or problem.model.deep:
        raise ValueError("etf_start: a simplex ETF start needs class labels and one classifier. Use random_start.")
    if d < K - 1:
        raise ValueError(
            f"etf_start: d={d} has no simplex ETF of K={K} classes. Pass d >= {K - 1}, or use random_start."
        )
    # The last K - 1 left singular vectors of the centring matrix span the hyperplane orthogonal to the ones.
    basis = np.linalg.qr(np.column_stack([np.ones(K), np.eye(K)[:, : K - 1]]))[0][:, 1:]
    W = np.zeros((K, d))
    W[:, : K - 1] = scale * basis * np.sqrt(K / (K - 1))
    H = np.repeat(W, 1 if problem.merged else problem.sizes, axis=0).T
    if problem.merged:
        H = H * np.sqrt(problem.sizes)
    return problem.project(Params(W, H, None if problem.lam_b is None else np.zeros(K)))


def spectral_start(problem: Problem) -> Params:
    """W and H along the singular vectors of the gradient in the logits at W = H = 0, at the best of a few scales.

    The directions in which f falls fastest from the origin: exact up to a scale for balanced classes, one to two thirds
    fewer Newton steps than from a random start otherwise. Features of a group are equal. On spheres there is no scale.

    Raises:
        ValueError: W and H do not both range over all matrices with weight decay, nor both over spheres.
    Source:
        T2, T10 (the squared loss has its minimum along these vectors); derived for this project.
    """
    check_problem(problem, "spectral_start")
    spheres = isinstance(problem.model.W, Spheres) and isinstance(problem.model.H, Spheres)
    if not (problem.euclidean or spheres):
        raise ValueError(
            "spectral_start: W and H need weight decay and no other constraint, or spheres. Use random_start."
        )
    reduced = merge(problem)
    zero = Params(*[None if shape is None else np.zeros(shape) for shape in reduced.shapes()])
    A = -class_gradient(reduced, examine(reduced, zero).G)
    if problem.lam_b is not None:  # the row sums are the bias's to reduce
        A = without_sums(A, np.asarray(problem.sizes, float))
    U, s, Vt = np.linalg.svd(A, full_matrices=False)
    kept = min(problem.d, len(s))
    if s[0] == 0.0:  # nothing falls: the origin is the minimum
        return zero if problem.merged else lift_params(problem, zero)
    nu = 0.0 if spheres else float(problem.nu)
    length = np.sqrt(np.maximum(s[:kept] - nu, FLOOR * s[0]) / s[0])
    more = (0, problem.d - kept)
    W, H = np.pad(U[:, :kept] * length, ((0, 0), more)), np.pad(length[:, None] * Vt[:kept], (more, (0, 0)))
    if spheres:
        best = reduced.project(Params(W, H, zero.b))
        return best if problem.merged else lift_params(problem, best)
    tilt = float(problem.lam_H / problem.lam_W) ** 0.25
    ray = Params(tilt * W, H / tilt, zero.b)
    with exact():
        values = np.asarray(_values_along(reduced.astype(np.float64), ray))
    best = Params(*[None if x is None else SCALES[np.nanargmin(values)] * x for x in ray])
    return best if problem.merged else lift_params(problem, best)


@jax.jit
def _values_along(problem: Problem, ray: Params) -> jax.Array:
    return jax.vmap(lambda t: problem.objective(jax.tree.map(lambda x: t * x, ray)))(jnp.asarray(SCALES))


def perturb(problem: Problem, params: Any, key: Any = 0, scale: float = 1e-3) -> Params:
    """params + scale * Gaussian, projected on the model's spaces; for instance to leave a critical point.

    Raises:
        TypeError, ValueError: parameters that do not fit the problem; a scale that is not finite and positive.
    """
    check_problem(problem, "perturb")
    point = check_params(problem, params, "perturb")
    positive(scale, "scale", "perturb")
    rng = generator(key, "perturb")
    return problem.project(jax.tree.map(lambda x: x + scale * rng.standard_normal(x.shape), point))


def generator(key: Any, who: str) -> np.random.Generator:
    """The stream of an int seed, or of a jax PRNG key. NumPy's, because it compiles nothing for each new shape."""
    return np.random.default_rng(entropy(key, who))


def entropy(key: Any, who: str) -> Any:
    """What a key seeds NumPy's generator with.

    Raises:
        TypeError: neither an int nor a jax PRNG key. ValueError: an int outside [0, 2^63).
    """
    untraced(key, "key", who)
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ():
        return np.asarray(jax.random.key_data(key)).tolist()
    if isinstance(key, jax.Array) and key.dtype == np.uint32 and key.shape == (2,):
        return np.asarray(key).tolist()
    if isinstance(key, bool) or not isinstance(key, int | np.integer):
        raise TypeError(f"{who}: key={key!r} is neither an int seed nor a jax PRNG key. Pass e.g. key=0.")
    if not 0 <= key < 2**63:
        raise ValueError(f"{who}: key={key} is not a seed. Pass an int in [0, 2^63).")
    return int(key)
