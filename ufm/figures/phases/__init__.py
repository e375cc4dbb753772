"""Phase diagrams, one file each: a sweep, what theory says of it, and a picture. Options are those of `ufm.sweep`."""
