"""More classes than dimensions on spheres: codes, their values and distances, orthogonal simplices (section 2, T6)."""

from ufm.verify.claims.codes import hardmax, named, partitions, symmetric, tammes

CLAIMS = (*named.CLAIMS, *symmetric.CLAIMS, *hardmax.CLAIMS, *partitions.CLAIMS, *tammes.CLAIMS)
