"""Unconstrained feature models of Neural Collapse: solved, certified, measured and set against theory."""

from ufm import metrics
from ufm.batch import solve_batch
from ufm.certify.certificate import Certificate, Verdict, certify
from ufm.certify.curvature import hessian_spectrum
from ufm.collapse import Collapse, collapse
from ufm.flow import Flow, gradient_flow
from ufm.landscape import Atlas, CriticalPoint, atlas
from ufm.layers import layer_collapse, layer_features
from ufm.losses.contrastive import SupCon
from ufm.losses.cross_entropy import CrossEntropy, Focal
from ufm.losses.multilabel import PickAllLabel, label_sets
from ufm.losses.squared import MSE, DotRegression, RescaledMSE
from ufm.losses.user import UserLoss
from ufm.models import (
    Bilinear,
    DeepLinear,
    DeepReLU,
    Gram,
    contrastive,
    fixed_classifier,
    layer_peeled,
    normalized,
    normalized_features,
    relu_features,
)
from ufm.multistart import BestFound, best_found
from ufm.problem import Params, Problem
from ufm.solution import Progress, Solution, Trajectory
from ufm.solve import solve
from ufm.solvers.first_order import FirstOrder, annealed
from ufm.solvers.lbfgs import LBFGS
from ufm.solvers.newton import TrustRegion
from ufm.start import etf_start, perturb, random_start, spectral_start
from ufm.status import Status
from ufm.sweep.case import Case, ETFStart, RandomStart
from ufm.sweep.devices import DevicePool
from ufm.sweep.driver import SweepProgress, sweep
from ufm.sweep.grid import Grid, grid, zipped
from ufm.sweep.merge import merge_stores
from ufm.sweep.pool import SpawnPool
from ufm.sweep.results import Results
from ufm.verify.compare import Comparison, compare

__all__ = [
    "LBFGS",
    "MSE",
    "Atlas",
    "BestFound",
    "Bilinear",
    "Case",
    "Certificate",
    "Collapse",
    "Comparison",
    "CriticalPoint",
    "CrossEntropy",
    "DeepLinear",
    "DeepReLU",
    "DevicePool",
    "DotRegression",
    "ETFStart",
    "FirstOrder",
    "Flow",
    "Focal",
    "Gram",
    "Grid",
    "Params",
    "PickAllLabel",
    "Problem",
    "Progress",
    "RandomStart",
    "RescaledMSE",
    "Results",
    "Solution",
    "SpawnPool",
    "Status",
    "SupCon",
    "SweepProgress",
    "Trajectory",
    "TrustRegion",
    "UserLoss",
    "Verdict",
    "annealed",
    "atlas",
    "best_found",
    "certify",
    "collapse",
    "compare",
    "contrastive",
    "etf_start",
    "fixed_classifier",
    "gradient_flow",
    "grid",
    "hessian_spectrum",
    "label_sets",
    "layer_collapse",
    "layer_features",
    "layer_peeled",
    "merge_stores",
    "metrics",
    "normalized",
    "normalized_features",
    "perturb",
    "random_start",
    "relu_features",
    "solve",
    "solve_batch",
    "spectral_start",
    "sweep",
    "zipped",
]
