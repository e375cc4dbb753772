"""Figures: data in, a matplotlib Figure out; one file a figure. Importing this package imports no matplotlib."""
