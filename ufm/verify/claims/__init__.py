"""The claims, one file a topic; see `ufm.verify.claim` for how to add one."""

# The slowest first, so that parallel runs end together.
TOPICS = (
    "balanced",
    "imbalance",
    "max_margin",
    "minority",
    "layer_peeled",
    "relu_features",
    "imbalanced_squares",
    "regression",
    "multilabel",
    "fixed_classifier",
    "dynamics",
    "paths",
    "late_time",
)
