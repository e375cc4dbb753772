"""What a point proves about the global minimum: T2, T3, T14, T15."""

from ufm.verify.claims.certificates import bounds, convex_form

CLAIMS = (*convex_form.CLAIMS, *bounds.CLAIMS)
