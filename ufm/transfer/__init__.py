"""Transfer: scores that predict how a linear probe of frozen features will do, and fine-tuning that follows collapse.

From arrays alone: `scores` and each of them, `ncti`, `rank_models`, `fit_probe`.
"""

from ufm.transfer.evidence import logme
from ufm.transfer.pool import ncti
from ufm.transfer.probe import Probe, fit_probe, probe_accuracy
from ufm.transfer.ranking import Ranking, rank_models
from ufm.transfer.scores import (
    SCORES,
    Score,
    Scores,
    cdnv,
    h_score,
    h_score_shrunk,
    nc1,
    ncc_error,
    numerical_rank,
    scores,
    trace_ratio,
    transrate,
    vci,
)

__all__ = [
    "SCORES",
    "Probe",
    "Ranking",
    "Score",
    "Scores",
    "cdnv",
    "fit_probe",
    "h_score",
    "h_score_shrunk",
    "logme",
    "nc1",
    "ncc_error",
    "ncti",
    "numerical_rank",
    "probe_accuracy",
    "rank_models",
    "scores",
    "trace_ratio",
    "transrate",
    "vci",
]
