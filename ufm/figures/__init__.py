"""Figures: data in, a matplotlib Figure out; one file a figure. Importing this package imports no matplotlib.

`ufm.figures.registry.FIGURES` lists those of `ufm figures`, with a function for their data and one for their picture;
`ufm.figures.make.make` writes the files of one. `paper` and `phases` hold them, one file each.
"""
