"""Equal class sizes: the minima (T7-T9), their spectra and thresholds (T16-T18), their proofs (T2, T3, T14, T15)."""

from ufm.verify.claims.balanced import bounds, convex_form, minima, spectra

CLAIMS = (*minima.CLAIMS, *spectra.CLAIMS, *convex_form.CLAIMS, *bounds.CLAIMS)
