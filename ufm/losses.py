"""Losses: per-sample values on logits, and the convex conjugates that certificates need.

A loss is a frozen dataclass registered as a pytree, with

    loss(Z, Y) -> [N]            per-sample values of logits Z [K, N] at targets Y [K, N] (jax)
    convex: bool                 convex in Z and >= 0, so that a lower bound exists
    shift_invariant: bool        loss(Z + c 1^T) = loss(Z) for every constant c per sample
    exchangeable: bool           all classes are treated alike; then loss and conjugate take `classes` as well, how many
                                 classes each row stands for (an array that broadcasts with Z, by default 1), and the
                                 conjugate is NumPy or jax
    conjugate: a method or None  conjugate(G, Y) -> [C], sup_z <g, z> - loss(z, y); +inf outside its domain (NumPy)
    rank_bound: method or None   rank_bound(Y, sizes, nu, lam_b, d): a lower bound on f that uses rank(W H) <= d (NumPy)
    repair(G, Y, sizes)          a point of the conjugate's domain near G that keeps 1^T G and, when it is 0, G sizes
    margin_bound: method or None margin_bound(m, K): phi of T12, a lower bound on the loss at the margin m (NumPy), with
                                 margin_slope(m, K), phi', which falls to one least value and then rises
    check(problem, who)          raises if the loss cannot work on this problem's targets and model

Z are the logits of ufm.models: [K, N], or [N, N] similarities for SupCon. In conjugate, repair and rank_bound, C is the
number of groups of samples with a common target.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import xlogy

from ufm import tree
from ufm.checks import as_real, untraced, whole
from ufm.softmax import surprise


class Loss(Protocol):
    """What Problem, solvers and certificates ask of a loss."""

    @property
    def convex(self) -> bool: ...
    @property
    def shift_invariant(self) -> bool: ...
    @property
    def exchangeable(self) -> bool: ...
    @property
    def conjugate(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray] | None: ...
    @property
    def rank_bound(self) -> Callable[[np.ndarray, np.ndarray, float, float | None, int], float] | None: ...
    @property
    def margin_bound(self) -> Callable[[np.ndarray, int], np.ndarray] | None: ...
    def check(self, problem: Any, who: str) -> None: ...
    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray: ...
    def __call__(self, Z: Any, Y: Any) -> Any: ...


@tree.register
@dataclass(frozen=True, eq=False)
class CrossEntropy:
    """Cross entropy with label smoothing: logsumexp(z) - <t, z> + const, t = (1 - smoothing) y + smoothing / K.

    The constant is zero, so the value is the cross entropy between t and softmax(z); its minimum over z is the
    entropy of t. Losses of 1e-10 keep their relative accuracy (log1p of the negative margins, no cancellation).

    Args:
        smoothing: alpha in [0, 1); a leaf of the pytree, sweepable without recompiling.
    Source:
        Szegedy et al. (CVPR 2016) for the smoothing; Guo et al. (arXiv 2402.03979) for its Neural Collapse.
    """

    smoothing: Any = 0.0
    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = True
    exchangeable: ClassVar[bool] = True
    rank_bound: ClassVar[None] = None
    margin_bound: ClassVar[None] = None  # the dual is at least as strong

    def check(self, problem: Any, who: str) -> None:
        """Raise unless the smoothing lies in [0, 1) and the targets are classes."""
        _need_classes(problem, who, "CrossEntropy", "For label sets use ufm.PickAllLabel().")
        untraced(self.smoothing, "smoothing", who)
        number = as_real(self.smoothing)
        if number is None:
            raise TypeError(f"{who}: smoothing={self.smoothing!r} is not a real scalar. Pass a float in [0, 1).")
        if not 0.0 <= number < 1.0:
            raise ValueError(f"{who}: smoothing={number} is outside [0, 1). At 1 the targets carry no label.")

    def __call__(self, Z: jax.Array, Y: jax.Array, classes: Any = 1.0) -> jax.Array:
        margin = classes * (Z - jnp.sum(Y * Z, axis=0))
        mean = jnp.sum(margin, axis=0) / jnp.sum(classes * jnp.ones_like(Z), axis=0)
        return surprise(Z, Y, classes) - self.smoothing * mean

    def conjugate(self, G: Any, Y: Any, classes: Any = 1.0) -> Any:
        """sum_j q_j log q_j for q = g + t in the simplex, +inf elsewhere; [C]."""
        xp = G.__array_namespace__()
        Q = G + self.soft_targets(Y, classes)
        value = (classes * Q * xp.log(xp.where(Q > 0.0, Q, 1.0))).sum(axis=0)
        return xp.where(Q.min(axis=0) >= 0.0, value, xp.inf)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Mix Q = G + T with the marginal target, just enough to make every entry >= 0.

        The mixture keeps the linear constraints 1^T G = 0 and G sizes = 0: both hold for the marginal as well.
        """
        T = self.soft_targets(Y)
        return _mix(G + T, np.outer(T @ sizes, np.ones(T.shape[1])) / np.sum(sizes), G, T)

    def soft_targets(self, Y: Any, classes: Any = 1.0) -> Any:
        """t = (1 - smoothing) y + smoothing / K."""
        K = Y.shape[0] if isinstance(classes, float) else (classes * np.ones_like(Y)).sum(axis=0)
        return (1.0 - self.smoothing) * Y + self.smoothing / K


@tree.register
@dataclass(frozen=True, eq=False)
class MSE:
    """Half the squared error, 1/2 |z - y|^2 per sample (targets may be any real vectors)."""

    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = False
    exchangeable: ClassVar[bool] = True
    margin_bound: ClassVar[None] = None

    def check(self, problem: Any, who: str) -> None:
        """Nothing to refuse but features alone."""
        _need_classifier(problem, who, "MSE")

    def __call__(self, Z: jax.Array, Y: jax.Array, classes: Any = 1.0) -> jax.Array:
        return 0.5 * jnp.sum(classes * (Z - Y) ** 2, axis=0)

    def conjugate(self, G: Any, Y: Any, classes: Any = 1.0) -> Any:
        """1/2 |g|^2 + <g, y>; [C]."""
        return (classes * G * (0.5 * G + Y)).sum(axis=0)

    def rank_bound(self, Y: np.ndarray, sizes: np.ndarray, nu: float, lam_b: float | None, d: int) -> float:
        """t E(Y) + (1 - t) E(Y centred), t = lam_b / (1 + lam_b), E the minimum without bias over rank(Z) <= d.

        Minimising over b splits the data term exactly into these shares of its bias-free and free-bias forms; for
        each, Mirsky's inequality on the singular values s of the targets leaves E = (1/2N) sum s^2 - sum_{j <= d}
        (s_j - N nu)_+^2.

        Source:
            T9 and T10, derived for this project.
        """
        N = np.sum(sizes)
        root = np.sqrt(sizes)

        def least(targets: np.ndarray) -> float:
            s = np.linalg.svd(targets, compute_uv=False)
            kept = np.maximum(s[:d] - N * nu, 0.0)
            return float(np.sum(s**2) - np.sum(kept**2)) / (2 * N)

        weighted = Y * root
        share = 1.0 if lam_b is None else lam_b / (1.0 + lam_b)
        return share * least(weighted) + (1.0 - share) * least(weighted - np.outer(weighted @ root, root) / N)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """G itself: the conjugate is finite everywhere."""
        return G


@tree.register
@dataclass(frozen=True, eq=False)
class RescaledMSE:
    """1/2 [k (z_y - M)^2 + sum_{j != y} z_j^2]: the right class weighs k and should reach M.

    Args:
        k, M: > 0; leaves. k = M = 1 is MSE().
    Source:
        Zhou et al. (ICML 2022, arXiv 2203.01238).
    """

    k: Any = 1.0
    M: Any = 1.0
    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = False
    exchangeable: ClassVar[bool] = True
    rank_bound: ClassVar[None] = None
    margin_bound: ClassVar[None] = None

    def check(self, problem: Any, who: str) -> None:
        """Raise unless k, M > 0 and the targets are classes."""
        _need_classes(problem, who, "RescaledMSE", "For real targets use ufm.MSE().")
        _need_positive(self.k, "k", who)
        _need_positive(self.M, "M", who)

    def __call__(self, Z: jax.Array, Y: jax.Array, classes: Any = 1.0) -> jax.Array:
        return 0.5 * jnp.sum(classes * (1.0 + (self.k - 1.0) * Y) * (Z - self.M * Y) ** 2, axis=0)

    def conjugate(self, G: Any, Y: Any, classes: Any = 1.0) -> Any:
        """sum_j g_j (g_j / (2 w_j) + M y_j), w the weights of the squares; [C]."""
        return (classes * G * (0.5 * G / (1.0 + (self.k - 1.0) * Y) + self.M * Y)).sum(axis=0)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """G itself: the conjugate is finite everywhere."""
        return G


@tree.register
@dataclass(frozen=True, eq=False)
class Focal:
    """-(1 - p_y)^gamma log p_y with p = softmax(z); gamma = 0 is cross-entropy. Not convex for gamma > 0.

    Args:
        gamma: >= 0; a leaf.
    Source:
        Lin et al. (ICCV 2017); Zhou et al. (NeurIPS 2022, arXiv 2210.02192) for its Neural Collapse.
    """

    gamma: Any = 2.0
    convex: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = True
    exchangeable: ClassVar[bool] = False
    conjugate: ClassVar[None] = None
    rank_bound: ClassVar[None] = None

    def check(self, problem: Any, who: str) -> None:
        """Raise unless gamma >= 0 is finite and the targets are classes."""
        _need_classes(problem, who, "Focal", "Use a ufm.UserLoss for other targets.")
        untraced(self.gamma, "gamma", who)
        number = as_real(self.gamma)
        if number is None or not 0.0 <= number < np.inf:
            raise ValueError(f"{who}: gamma={self.gamma!r} is not a finite number >= 0. Pass e.g. gamma=2.0.")

    def __call__(self, Z: jax.Array, Y: jax.Array) -> jax.Array:
        nats = surprise(Z, Y, 1.0)
        return (-jnp.expm1(-nats)) ** self.gamma * nats

    def margin_bound(self, m: np.ndarray, K: int) -> np.ndarray:
        """phi(m) = s^gamma log(1 + e^t), t = log(K-1) - m, s = 1/(1 + e^-t): the loss at m = z_y - mean of the others.

        It is attained where the other logits are equal, and no logits of this m have a smaller loss.
        """
        nats = np.logaddexp(0.0, np.log(K - 1.0) - np.asarray(m, float))
        return (-np.expm1(-nats)) ** float(self.gamma) * nats

    def margin_slope(self, m: np.ndarray, K: int) -> np.ndarray:
        """phi'(m) = -(1 - p)^gamma [(1 - p) - gamma p log p], p = 1 / (1 + (K-1) e^-m) (T13).

        It has one least value: its derivative in p has the sign of 1 + 2 gamma - gamma L (1 - gamma p / (1 - p)) with
        L = -log p, which changes once, as the product of L and the bracket falls for as long as it is positive.
        """
        nats = np.logaddexp(0.0, np.log(K - 1.0) - np.asarray(m, float))
        p, rest = np.exp(-nats), -np.expm1(-nats)
        return -(rest ** float(self.gamma)) * (rest + float(self.gamma) * p * nats)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """G itself: there is no conjugate, so no domain either."""
        return G


@tree.register
@dataclass(frozen=True, eq=False)
class PickAllLabel:
    """sum_{c in S} CE(z, c) = |S| logsumexp(z) - sum_{c in S} z_c for a sample with the label set S.

    Needs `Problem(targets=...)` with 0/1 columns, one for each label set: see `ufm.label_sets`.

    Source:
        Li et al. (ICML 2024, arXiv 2310.15903).
    """

    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = True
    exchangeable: ClassVar[bool] = False
    rank_bound: ClassVar[None] = None
    margin_bound: ClassVar[None] = None

    def check(self, problem: Any, who: str) -> None:
        """Raise unless the targets are label sets."""
        _need_classifier(problem, who, "PickAllLabel")
        Y = problem.group_targets()
        if not (np.all((Y == 0.0) | (Y == 1.0)) and np.all(Y.sum(axis=0) >= 1.0)):
            raise ValueError(
                f"{who}: PickAllLabel needs 0/1 targets with a label in every column. Pass targets of ufm.label_sets."
            )

    def __call__(self, Z: jax.Array, Y: jax.Array) -> jax.Array:
        count = jnp.sum(Y, axis=0)
        return count * jax.scipy.special.logsumexp(Z - jnp.sum(Y * Z, axis=0) / count, axis=0)

    def conjugate(self, G: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """sum_j q_j log(q_j / |S|) for q = g + 1_S >= 0 of mass |S|, +inf elsewhere; [C]."""
        Q = G + Y
        value = np.sum(xlogy(Q, np.maximum(Q, 0.0)), axis=0) - np.sum(Q, axis=0) * np.log(np.sum(Y, axis=0))
        return np.where(np.all(Q >= 0.0, axis=0), value, np.inf)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Mix Q = G + Y with the product of its own column masses and the mean label, just enough to be >= 0."""
        marginal = Y @ sizes
        return _mix(G + Y, np.outer(marginal, Y.sum(axis=0)) / np.sum(marginal), G, Y)


@tree.register
@dataclass(frozen=True, eq=False)
class DotRegression:
    """(z_y - target)^2 / (2 target): only the right logit is asked to reach its largest value.

    Args:
        target: sqrt(E_W E_H) > 0, the product of the norms of a fixed classifier's rows and of the features; a leaf.
    Source:
        Yang et al. (NeurIPS 2022, arXiv 2203.09081), for a fixed ETF classifier.
    """

    target: Any = 1.0
    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = False
    exchangeable: ClassVar[bool] = False
    conjugate: ClassVar[None] = None
    rank_bound: ClassVar[None] = None
    margin_bound: ClassVar[None] = None

    def check(self, problem: Any, who: str) -> None:
        """Raise unless target > 0 and the targets are classes."""
        _need_classes(problem, who, "DotRegression", "Use ufm.MSE() for real targets.")
        _need_positive(self.target, "target", who)

    def __call__(self, Z: jax.Array, Y: jax.Array) -> jax.Array:
        return (jnp.sum(Y * Z, axis=0) - self.target) ** 2 / (2.0 * self.target)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """G itself: no conjugate is used."""
        return G


@tree.register
@dataclass(frozen=True, eq=False)
class SupCon:
    """Mean over positives p of logsumexp_{j != i} z_ji - z_pi for each anchor i: supervised contrastive loss.

    Z [N, N] are similarities of features alone (`ufm.contrastive`); positives are the other samples of the anchor's
    class. An anchor without positives has loss 0.

    Source:
        Khosla et al. (NeurIPS 2020); Graf et al. (ICML 2021) for its minimum.
    """

    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = True
    exchangeable: ClassVar[bool] = False
    conjugate: ClassVar[None] = None
    rank_bound: ClassVar[None] = None
    margin_bound: ClassVar[None] = None

    def check(self, problem: Any, who: str) -> None:
        """Raise unless the model compares features with each other and the targets are classes."""
        if problem.model.classifier or problem.targets is not None:
            raise ValueError(
                f"{who}: SupCon needs features alone and classes. Pass model=ufm.contrastive(temperature)."
            )

    def __call__(self, Z: jax.Array, Y: jax.Array) -> jax.Array:
        others = 1.0 - jnp.eye(Z.shape[1], dtype=Z.dtype)
        positive = (Y.T @ Y) * others
        count = jnp.sum(positive, axis=0)
        # The anchor itself is left out of the sum: -inf, whose exponential and gradient are exact zeros.
        spread = jax.scipy.special.logsumexp(jnp.where(others > 0, Z, -jnp.inf), axis=0)
        return jnp.where(count > 0, spread - jnp.sum(positive * Z, axis=0) / jnp.maximum(count, 1.0), 0.0)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """G itself: no conjugate is used."""
        return G


@tree.register
@dataclass(frozen=True, eq=False)
class UserLoss:
    """Any differentiable `function(Z, Y) -> [N]`; `Problem(loss=function)` wraps it with nothing asserted.

    What is asserted here is taken as a fact by the certificate: assert only what you can prove.

    Args:
        function: jax-traceable; Z and Y are [K, N], the result is one value per sample.
        convex: the loss is convex in each column of Z and never negative; the certificate then has a lower bound.
        shift_invariant: adding a constant to a sample's logits changes nothing.
        conjugate: NumPy function (G [K, C], Y [K, C]) -> [C], sup_z <g, z> - loss(z, y), +inf outside its domain; of a
            convex loss. With it the lower bound closes the gap; without, it is first-order (T14).
    """

    function: Callable[[Any, Any], Any] = field(metadata={"static": True})
    convex: bool = field(default=False, metadata={"static": True})
    shift_invariant: bool = field(default=False, metadata={"static": True})
    conjugate: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = field(default=None, metadata={"static": True})
    exchangeable: ClassVar[bool] = False
    rank_bound: ClassVar[None] = None
    margin_bound: ClassVar[None] = None

    def check(self, problem: Any, who: str) -> None:
        """Raise unless the function and the conjugate can be called."""
        if isinstance(self.function, type) or not callable(self.function):
            raise TypeError(
                f"{who}: UserLoss({self.function!r}) does not hold a callable. Pass a function (Z, Y) -> [N], or "
                "ufm.CrossEntropy() or ufm.MSE(), with the parentheses."
            )
        if self.conjugate is not None and not (callable(self.conjugate) and self.convex):
            raise TypeError(f"{who}: UserLoss needs a callable conjugate, with convex=True, or None.")

    def __call__(self, Z: jax.Array, Y: jax.Array) -> jax.Array:
        return self.function(Z, Y)

    def repair(self, G: np.ndarray, Y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """G itself: the conjugate's domain is not known."""
        return G


def label_sets(K: int, counts: Mapping[int, int]) -> tuple[np.ndarray, tuple[int, ...]]:
    """(targets [K, C], n) of every label set of size m, `counts[m]` samples each, for Problem(targets=..., n=...).

    Columns are ordered by m, then as itertools.combinations of 0 .. K-1.

    Raises:
        ValueError: no set, m outside 1 .. K, or a count < 1.
    """
    K = whole(K, "K", "label_sets", 2, "one class has nothing to separate")
    if not counts:
        raise ValueError("label_sets: counts is empty. Pass e.g. {1: 10, 2: 5}, sets of one and of two labels.")
    columns, sizes = [], []
    for m in sorted(counts):
        whole(m, "set size m", "label_sets", 1, "a sample needs a label")
        whole(counts[m], f"counts[{m}]", "label_sets", 1, "leave out set sizes that do not occur")
        if m > K:
            raise ValueError(f"label_sets: m={m} labels of K={K} classes do not exist. Pass m <= K.")
        for chosen in combinations(range(K), m):
            columns.append(np.isin(np.arange(K), chosen).astype(float))
            sizes.append(int(counts[m]))
    return np.array(columns).T, tuple(sizes)


def _mix(Q: np.ndarray, product: np.ndarray, G: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Q mixed with `product` >= 0 just enough to be >= 0, less T; G itself where Q is >= 0 already."""
    deficit = np.where(Q < 0.0, -Q / (product - np.minimum(Q, 0.0)), 0.0)
    share = np.minimum(1.0, 1.0000001 * np.max(deficit))
    return np.maximum((1.0 - share) * Q + share * product, 0.0) - T if share > 0.0 else G


def _need_classifier(problem: Any, who: str, loss: str) -> None:
    if not problem.model.classifier:
        raise ValueError(f"{who}: {loss} needs logits [K, N], but the model has features alone. Use ufm.SupCon().")


def _need_classes(problem: Any, who: str, loss: str, instead: str) -> None:
    _need_classifier(problem, who, loss)
    if problem.targets is not None:
        raise ValueError(f"{who}: {loss} needs class labels, targets=None. {instead}")


def _need_positive(value: Any, name: str, who: str) -> None:
    untraced(value, name, who)
    number = as_real(value)
    if number is None or not 0.0 < number < np.inf:
        raise ValueError(f"{who}: {name}={value!r} is not a finite positive number. Pass e.g. {name}=1.0.")
