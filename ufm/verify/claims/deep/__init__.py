"""Deep models: minima, landscape and traps (L1-L6, F2-F5), ReLUs (D1-D3), cross-entropy (5), layers (P2)."""

from ufm.verify.claims.deep import entropy, groups, layers, linear, relu, search, tables, traps

CLAIMS = (
    *linear.CLAIMS,
    *traps.CLAIMS,
    *relu.CLAIMS,
    *groups.CLAIMS,
    *entropy.CLAIMS,
    *layers.CLAIMS,
    *search.CLAIMS,
    *tables.CLAIMS,
)
