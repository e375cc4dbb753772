"""Figures of `ufm figures`, one file each: `data` computes or reads NumPy tables, `figure` draws them."""
