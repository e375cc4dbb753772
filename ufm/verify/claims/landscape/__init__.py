"""Critical points and where random starts end (T1, T4, T5, T6)."""

from ufm.verify.claims.landscape import atlas, critical, starts

CLAIMS = (*critical.CLAIMS, *starts.CLAIMS, *atlas.CLAIMS)
