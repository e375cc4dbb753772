"""Solvers, one file each: `init(problem, params) -> state` and `step(problem, state) -> state`."""
