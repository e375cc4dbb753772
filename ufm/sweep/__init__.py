"""Many problems: grids of cases, a store that survives, chunks in this process or in others, results as columns."""
