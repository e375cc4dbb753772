"""Unit features and classifiers, cross-entropy of tau W H (section 1 of the variants)."""

from ufm.verify.claims.spheres import calculus, landscape, minima

CLAIMS = (*minima.CLAIMS, *calculus.CLAIMS, *landscape.CLAIMS)
