"""The claims, one file (or folder) a topic; see `ufm.verify.claim` for how to add one."""

# The slowest first, so that parallel runs end together.
TOPICS = (
    "landscape",
    "spheres",
    "codes",
    "contrastive",
    "pitfalls",
    "focal",
    "balanced",
    "imbalance",
    "bistable",
    "focal_rate",
    "margin_losses",
    "minority",
    "max_margin",
    "squares",
    "imbalanced_squares",
    "relu_features",
    "layer_peeled",
    "reductions",
    "conditioning",
    "normalisations",
    "regression",
    "multilabel",
    "fixed_classifier",
)
