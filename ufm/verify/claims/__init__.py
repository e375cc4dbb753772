"""The claims, one file (or folder) a topic; see `ufm.verify.claim` for how to add one."""

# The slowest first, so that parallel runs end together.
TOPICS = (
    "landscape",
    "spheres",
    "codes",
    "focal",
    "balanced",
    "certificates",
    "imbalance",
    "bistable",
    "focal_rate",
    "minority",
    "max_margin",
    "squares",
    "relu_features",
    "layer_peeled",
    "reductions",
    "normalisations",
    "regression",
    "multilabel",
    "fixed_classifier",
)
