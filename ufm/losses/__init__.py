"""Losses: per-sample values on logits, and the convex conjugates that certificates need.

`ufm.losses.protocol` says what a loss has. Stores and older pickles name each of them ufm.losses.X, whichever file it
is written in.
"""

from ufm.losses.contrastive import SupCon
from ufm.losses.cross_entropy import CrossEntropy, Focal
from ufm.losses.multilabel import PickAllLabel, label_sets
from ufm.losses.protocol import Loss
from ufm.losses.squared import MSE, DotRegression, RescaledMSE
from ufm.losses.user import UserLoss

__all__ = [
    "MSE",
    "CrossEntropy",
    "DotRegression",
    "Focal",
    "Loss",
    "PickAllLabel",
    "RescaledMSE",
    "SupCon",
    "UserLoss",
    "label_sets",
]
