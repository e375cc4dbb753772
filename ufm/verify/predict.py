"""The theorem that covers a problem. The only module of `ufm` that imports `theory`."""

import theory
from theory import NotApplicable, Prediction
from ufm.losses import MSE, CrossEntropy
from ufm.problem import Problem
from ufm.validation import check_problem

__all__ = ["NotApplicable", "Prediction", "predict"]


def predict(problem: Problem) -> Prediction:
    """The global minimum of `problem` in closed form.

    Raises:
        TypeError, ValueError: not a problem with a minimiser.
        NotApplicable: no theorem covers it; its `reasons` say why.
    """
    check_problem(problem, "predict")
    loss = problem.loss
    if isinstance(loss, CrossEntropy):
        return theory.cross_entropy.global_minimum(**_arguments(problem), smoothing=float(loss.smoothing))
    if isinstance(loss, MSE):
        return theory.mse.global_minimum(**_arguments(problem))
    raise NotApplicable("predict", ["There is no theory for a user's loss."])


def _arguments(problem: Problem) -> dict:
    return {
        "K": problem.K,
        "n": problem.n,
        "d": problem.d,
        "lam_W": float(problem.lam_W),
        "lam_H": float(problem.lam_H),
        "lam_b": None if problem.lam_b is None else float(problem.lam_b),
    }
