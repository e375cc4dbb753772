"""What `benchmarks/mutants.py` leaves out: the rule for roots, and a table that names only what exists."""

import ast
import importlib
import pathlib

import pytest

import theory

BENCHMARKS = pathlib.Path(__file__).parents[1] / "benchmarks"
SOURCE = """
def scale(a, b):
    last = 2.0 * b
    last = last + 1.0
    offset = a + b

    def excess(x):
        return a * (x - offset)

    return 3.0 * bracketed_root(excess, 0.0, last + a)
"""


@pytest.fixture
def mutants(monkeypatch):
    if not BENCHMARKS.is_dir():
        pytest.skip("no benchmarks here")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("mutants")


def test_only_scales_of_the_zero_and_ends_of_brackets_are_left_out(mutants):
    (function,) = ast.parse(SOURCE).body
    unscaled, ends = importlib.import_module("mutants_left_out").same_roots(function)
    sites = {ast.unparse(mutants.at(function, path)): path for path in mutants.sites(function, ends)}
    assert set(sites) == {"a + b", "a * (x - offset)", "x - offset", "3.0 * bracketed_root(excess, 0.0, last + a)"}
    assert {text for text, path in sites.items() if path in unscaled} == {"a * (x - offset)", "x - offset"}


def test_every_equivalent_mutant_that_is_listed_exists(mutants):
    for owner, listed in importlib.import_module("mutants_left_out").EQUIVALENT.items():
        module, name = owner.split(".")
        tree = ast.parse((pathlib.Path(theory.__file__).parent / f"{module}.py").read_text())
        (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
        expressions = [node for node in ast.walk(function) if isinstance(node, ast.BinOp)]
        known = {what for node in expressions for what, _ in mutants.changes(node)} | {mutants.WHOLE}
        assert set(listed) <= known, owner
