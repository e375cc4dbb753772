"""The claims, one file (or folder) a topic; see `ufm.verify.claim` for how to add one."""

# The slowest first, so that parallel runs end together.
TOPICS = (
    "landscape",
    "spheres",
    "balanced",
    "certificates",
    "imbalance",
    "minority",
    "squares",
    "layer_peeled",
    "reductions",
    "normalisations",
    "regression",
    "multilabel",
    "fixed_classifier",
)
