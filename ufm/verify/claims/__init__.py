"""The claims, one file a topic; see `ufm.verify.claim` for how to add one."""

# The slowest first, so that parallel runs end together.
TOPICS = (
    "landscape",
    "balanced",
    "certificates",
    "reductions",
    "squares",
    "focal",
    "focal_rate",
    "bistable",
    "margin_losses",
    "conditioning",
    "residual",
    "few_features",
)
