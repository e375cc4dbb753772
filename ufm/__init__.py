"""Unconstrained feature models, solved, certified and measured."""

from ufm.certify.certificate import Certificate, Verdict, certify
from ufm.certify.curvature import hessian_spectrum
from ufm.losses import MSE, CrossEntropy, UserLoss
from ufm.problem import Params, Problem
from ufm.solve import Progress, Solution, Status, Trajectory, solve
from ufm.solvers.first_order import FirstOrder
from ufm.solvers.lbfgs import LBFGS
from ufm.solvers.newton import TrustRegion
from ufm.start import etf_start, perturb, random_start
