"""The claims, one file a topic; see `ufm.verify.claim` for how to add one."""

# The slowest first, so that parallel runs end together.
TOPICS = ("landscape", "spheres", "codes", "balanced", "certificates", "reductions", "contrastive", "pitfalls")
