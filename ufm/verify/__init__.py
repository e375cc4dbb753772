"""Theory against computation: the only part of `ufm` that may import `theory` (`predict`); `compare` does not."""
