"""Transfer: scores that predict how a linear probe of frozen features will do, and fine-tuning that follows collapse.

From arrays alone: `scores` and each of them, `ncti`, `rank_models`, `fit_probe`. With networks (extra: ufm[networks]):
`layer_profile`, `finetune`, and what they are controlled by. `ufm transfer` runs the experiments.
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

try:
    import equinox as _equinox  # noqa: F401
except ImportError:  # the modules below say what to install when they are imported by name
    pass
else:
    from ufm.transfer.backbones import truncated, untrained
    from ufm.transfer.finetune import Tuned, finetune, predict
    from ufm.transfer.layer_profile import LayerProfile, layer_profile
    from ufm.transfer.plans import METHODS
    from ufm.transfer.samples import augmented, few, inverted, noise, of_classes, shift, split

__all__ = [
    "METHODS",
    "SCORES",
    "LayerProfile",
    "Probe",
    "Ranking",
    "Score",
    "Scores",
    "Tuned",
    "augmented",
    "cdnv",
    "few",
    "finetune",
    "fit_probe",
    "h_score",
    "h_score_shrunk",
    "inverted",
    "layer_profile",
    "logme",
    "nc1",
    "ncc_error",
    "ncti",
    "noise",
    "numerical_rank",
    "of_classes",
    "predict",
    "probe_accuracy",
    "rank_models",
    "scores",
    "shift",
    "split",
    "trace_ratio",
    "transrate",
    "truncated",
    "untrained",
    "vci",
]
