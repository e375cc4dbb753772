"""Cross-entropy under class imbalance (section 3 of the variants, and NC4 of section 8)."""

from ufm.verify.claims.imbalance import minority, nearest_mean, step, vanishing

CLAIMS = (*step.CLAIMS, *minority.CLAIMS, *vanishing.CLAIMS, *nearest_mean.CLAIMS)
