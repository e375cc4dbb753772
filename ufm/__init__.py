"""Unconstrained feature models of Neural Collapse: solved, certified, measured and set against theory."""

from ufm.certify.certificate import Certificate, Verdict, certify
from ufm.certify.curvature import hessian_spectrum
from ufm.collapse import Collapse, collapse
from ufm.losses import MSE, CrossEntropy, UserLoss
from ufm.problem import Params, Problem
from ufm.solve import Progress, Solution, Trajectory, solve
from ufm.solvers.first_order import FirstOrder
from ufm.solvers.lbfgs import LBFGS
from ufm.solvers.newton import TrustRegion
from ufm.start import etf_start, perturb, random_start
from ufm.status import Status
from ufm.verify.compare import Comparison, compare

__all__ = [
    "LBFGS",
    "MSE",
    "Certificate",
    "Collapse",
    "Comparison",
    "CrossEntropy",
    "FirstOrder",
    "Params",
    "Problem",
    "Progress",
    "Solution",
    "Status",
    "Trajectory",
    "TrustRegion",
    "UserLoss",
    "Verdict",
    "certify",
    "collapse",
    "compare",
    "etf_start",
    "hessian_spectrum",
    "perturb",
    "random_start",
    "solve",
]
