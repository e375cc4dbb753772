"""Two groups of like classes (STEP imbalance): cross-entropy plus a nuclear norm, solved to rounding.

    min_Theta  sum_c weight_c CE(Theta_c + b, c) + lam |Theta diag(root)|_* + lam_b/2 |b|^2

over class logits Theta [K, K], with the weights and roots of group A for k_A classes and those of B for k_B.
Permutations within the groups leave it alone, so that its unique minimiser has four numbers, and a fifth with a bias:

    Theta = a P_A (+) f P_B + u [x_A 1_A; -x_B 1_B]^T,   x = t sqrt(k_A k_B/K)
    u = sqrt(k_A k_B/K) [1_A/k_A; -1_B/k_B],   b = shift [1_A k_B/K; -1_B k_A/K]

In them the dual is elementary. Let `leak` be the mass that a sample of one group puts on the other group. Stationarity
in a (where a > 0) and in t reads, with p the own mass and r that of every other class of the same group,

    p - r = 1 - lam root/weight,   (leak_A, leak_B) on a quarter ellipse, at an angle,   t_g = scale slope_g(angle).

The first equation turns a leak into all masses, hence into a and the logit between the groups, t_A + shift (group A) or
t_B - shift (group B), decreasing in the leak. What remains is one root in the angle, of a monotone function, and one in
the shift.
"""

import math
from typing import NamedTuple

import numpy as np

from theory.arguments import SMALLEST_NORMAL
from theory.frames import centering
from theory.prediction import Quantity
from theory.roots import EPS, bracketed_root, decreasing_root

BEYOND = -1e3  # lift of an impossible leak; below every lift of a possible one
STEEPEST = 512.0  # logarithm of a tangent: beyond it one of the leaks is zero for all purposes
TRUSTED = 1e-11  # relative duality gap above which the solution is refused; a few eps in practice


class Group(NamedTuple):
    """k like classes; each has `weight` in the mean loss and scales its column of the nuclear norm by `root`."""

    k: int
    weight: float
    root: float


class Side(NamedTuple):
    """Softmax masses of a sample of one group and the logits they stand for.

    Own class p, each other class of the group r, the whole other group leak; within = log(p/r) (0 if k = 1);
    lift = mean over the group of the log masses, minus the log mass of one class of the other group.
    """

    p: float
    r: float
    leak: float
    within: float
    lift: float


class StepMinimum(NamedTuple):
    """The minimiser: within-group margins (a, f), lifts (t_A, t_B) without the shift, and the shift of the bias."""

    within: tuple[float, float]
    lift: tuple[float, float]
    shift: float
    data_loss: float
    value: float
    dual: float  # a lower bound of the minimum up to rounding, from the masses alone
    edge: bool  # within rounding of a threshold: whether a, f or the lifts vanish is not decided


def solve_step(A: Group, B: Group, lam: float, lam_b: float | None) -> StepMinimum:
    """The minimum for groups A and B; lam_b None: no bias, 0.0: free bias.

    Raises:
        ArithmeticError: the duality gap exceeds 1e-11 of the value (never seen).
    """
    pull = A.k * B.k / (A.k + B.k)

    def bias_gradient(shift: float) -> float:
        left, right, _, _ = _given_shift(A, B, lam, shift)
        force = A.k * A.weight * left.leak - B.k * B.weight * right.leak
        return force - (lam_b or 0.0) * pull * shift

    shift = 0.0 if lam_b is None else decreasing_root(bias_gradient)
    left, right, lift, edge = _given_shift(A, B, lam, shift)
    data_loss = sum(
        group.k * group.weight * _loss(group.k, other.k, side.within, t + bias)
        for group, other, side, t, bias in ((A, B, left, lift[0], shift), (B, A, right, lift[1], -shift))
    )
    within = (left.within, right.within)
    penalty = lam * sum(singular_values(A, B, within, lift)) + (lam_b or 0.0) / 2 * pull * shift * shift
    value = data_loss + penalty
    dual = A.k * A.weight * _entropy(A.k, B.k, left) + B.k * B.weight * _entropy(B.k, A.k, right)
    dual -= (lam_b or 0.0) / 2 * pull * shift * shift
    if not abs(value - dual) <= TRUSTED * value:
        raise ArithmeticError(f"solve_step: value {value!r} and dual bound {dual!r} differ; please report {A}, {B}.")
    return StepMinimum(within, lift, shift, data_loss, value, dual, edge)


def singular_values(A: Group, B: Group, within: tuple[float, float], lift: tuple[float, float]) -> list[float]:
    """Nonzero singular values of Theta diag(root) with their multiplicities k_A-1, k_B-1, 1, in this order."""
    between = math.sqrt(A.k * B.k / (A.k + B.k)) * math.hypot(
        math.sqrt(A.k) * A.root * lift[0], math.sqrt(B.k) * B.root * lift[1]
    )
    return [A.root * within[0]] * (A.k - 1) + [B.root * within[1]] * (B.k - 1) + [between]


def large_classes(sizes: np.ndarray) -> np.ndarray:
    """[K] bool, the classes of group A: those of the larger size. Balanced: the first class, as any split is a STEP."""
    larger = sizes > np.min(sizes)
    return larger if np.any(larger) else np.arange(len(sizes)) == 0


def geometry(found: StepMinimum, A: Group, B: Group, in_A: np.ndarray, ratio: float) -> dict[str, Quantity]:
    """gram_W, gram_M, logits, margin for the classes in their own order; |W|^2 = ratio^2 sum_c root_c^2 |m_c|^2."""
    K, spread = A.k + B.k, math.sqrt(A.k * B.k / (A.k + B.k))
    (a, f), (t_A, t_B) = found.within, found.lift
    P_A, P_B = _centre(in_A), _centre(~in_A)
    u = spread * np.where(in_A, 1.0 / A.k, -1.0 / B.k)
    x = spread * np.where(in_A, t_A, -t_B)
    between = singular_values(A, B, found.within, found.lift)[-1]
    cross = np.outer(x, x) / between if between > 0.0 else np.zeros((K, K))
    leads = [a * (A.k - 1) / A.k + t_A + found.shift, f * (B.k - 1) / B.k + t_B - found.shift]
    leads += [inner for inner, group in ((a, A), (f, B)) if group.k > 1]
    return {
        "gram_W": ratio * (A.root * a * P_A + B.root * f * P_B + between * np.outer(u, u)),
        "gram_M": (a / A.root * P_A + f / B.root * P_B + cross) / ratio,
        "logits": a * P_A + f * P_B + np.outer(u, x),
        "margin": min(leads),
    }


def _centre(members: np.ndarray) -> np.ndarray:
    """The projector that centers within one group of classes; [K, K], zero outside."""
    matrix = np.zeros((len(members), len(members)))
    matrix[np.ix_(members, members)] = centering(int(np.sum(members)))
    return matrix


def _given_shift(A: Group, B: Group, lam: float, shift: float) -> tuple[Side, Side, tuple[float, float], bool]:
    """Both sides, the lifts (t_A, t_B) >= 0 and whether a threshold is within rounding, for one shift of the bias."""

    def sides(angle: float) -> tuple[Side, Side, float, float]:
        cosine, sine = 1.0 / math.hypot(1.0, math.exp(-angle)), 1.0 / math.hypot(1.0, math.exp(angle))
        left = _side(A, B.k, lam, _pressure(A, lam) * math.sqrt(B.k / (A.k + B.k)) * cosine)
        right = _side(B, A.k, lam, _pressure(B, lam) * math.sqrt(A.k / (A.k + B.k)) * sine)
        return left, right, cosine / (math.sqrt(A.k) * A.root), sine / (math.sqrt(B.k) * B.root)

    def mismatch(angle: float) -> float:
        left, right, slope_A, slope_B = sides(angle)
        return (left.lift - shift) * slope_B - (right.lift + shift) * slope_A

    edge = any(group.k > 1 and abs(_pressure(group, lam) - 1.0) <= 8 * EPS for group in (A, B))
    if mismatch(-STEEPEST) < 0.0:  # only at trial shifts far from the best one, whose sign is all that counts
        angle = -STEEPEST
    elif mismatch(STEEPEST) > 0.0:
        angle = STEEPEST
    else:
        angle = decreasing_root(mismatch, reach=STEEPEST)
    left, right, slope_A, slope_B = sides(angle)
    total = left.lift + right.lift
    edge = edge or abs(total) <= 64 * EPS
    if total > 0.0:
        scale = total / (slope_A + slope_B)
        return left, right, (scale * slope_A, scale * slope_B), edge
    return _side_of_lift(A, B.k, lam, shift), _side_of_lift(B, A.k, lam, -shift), (0.0, 0.0), edge


def _pressure(group: Group, lam: float) -> float:
    """lam root/weight: from 1 on the classes of the group coincide."""
    return lam * group.root / group.weight


def _capacity(group: Group, lam: float) -> float:
    """1 - (p - r), which the leak cannot reach."""
    return 1.0 if group.k == 1 else min(1.0, _pressure(group, lam))


def _side(group: Group, others: int, lam: float, leak: float) -> Side:
    """The masses and logits that belong to a leak."""
    k, capacity = group.k, _capacity(group, lam)
    leak = max(leak, SMALLEST_NORMAL)  # trial points far from the solution underflow
    if leak >= capacity:
        return Side(0.0, 0.0, leak, 0.0, BEYOND)
    r = max((capacity - leak) / k, SMALLEST_NORMAL)
    p = (1.0 - capacity) + r
    within = math.log1p((1.0 - capacity) / r)  # log(p/r), exact where it is small
    return Side(p, r, leak, within, math.log(p) - within * (k - 1) / k - math.log(leak / others))


def _side_of_lift(group: Group, others: int, lam: float, lift: float) -> Side:
    """The masses and logits that belong to a lift."""
    capacity = _capacity(group, lam)

    def side(logit: float) -> Side:
        return _side(group, others, lam, capacity / (1.0 + math.exp(-logit)))

    return side(bracketed_root(lambda logit: side(logit).lift - lift, -700.0, 700.0))


def _loss(k: int, others: int, within: float, lift: float) -> float:
    """Cross-entropy of a sample from its two kinds of margins."""
    to_others = within * (k - 1) / k + lift
    worst = max(0.0, -to_others)
    rest = (k - 1) * math.exp(-within - worst) + others * math.exp(-to_others - worst)
    return worst + (math.log1p(rest) if worst == 0.0 else math.log(math.exp(-worst) + rest))


def _entropy(k: int, others: int, side: Side) -> float:
    """Entropy of the softmax masses."""
    missing = (k - 1) * side.r + side.leak
    log_p = math.log1p(-missing) if missing < 0.5 else math.log(side.p)
    within = -(k - 1) * side.r * math.log(side.r) if k > 1 else 0.0
    return -side.p * log_p + within - side.leak * math.log(side.leak / others)
