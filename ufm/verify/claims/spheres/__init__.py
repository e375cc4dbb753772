"""Unit features and classifiers, cross-entropy of tau W H (section 1 of the variants)."""

from ufm.verify.claims.spheres import calculus, landscape, minima, saddles

CLAIMS = (*minima.CLAIMS, *calculus.CLAIMS, *landscape.CLAIMS, *saddles.CLAIMS)
