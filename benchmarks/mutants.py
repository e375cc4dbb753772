"""Would `ufm verify` notice a wrong closed form? Every arithmetic step of `theory` is changed, one at a time.

    uv run python benchmarks/mutants.py            # all modules
    uv run python benchmarks/mutants.py mse focal  # these

Mutants: a sub-expression scaled by 1 + 1e-6 (a count, one larger), a plus and a minus exchanged, an operand of
+ - * / dropped, an integer factor or term one larger. The experiments run once; a mutant is killed if a claim that held
no longer does (or theory raises, or does not end). Left out by rule: what decides but does not enter a number
(comparisons, conditions, messages, subscripts, keyword arguments such as axis=, the bounds that check_* is given), one
more than what // halves (k (k-1) + 1 gives the same count), tolerances (sub-expressions with a constant below 1e-4 or a
name with EPS, EDGE, TINY, eps, tol in it), argument checks (functions check_*, _check*, applies, *reasons,
*obstacles), what gives the same roots by `mutants_left_out`, the few mutants listed there one by one with the reason
why they are no error, and functions that no claim calls, which are listed. A mutant that raises TypeError or IndexError
is not a closed form and does not count.
"""

import argparse
import ast
import copy
import importlib
import inspect
import pathlib
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

import numpy as np
from mutants_left_out import EQUIVALENT, WHOLE, Path, at, same_roots

import theory
from ufm.verify.claim import Claim, Measurement, Outcome, judge
from ufm.verify.runner import all_claims

ROOT = pathlib.Path(theory.__file__).parent
FACTOR = 1.0 + 1e-6
SECONDS = 10  # a mutant that takes longer does not end
INVALID = (TypeError, IndexError, KeyError, AttributeError, UnboundLocalError)
Experiment = tuple[Claim, Any, Measurement]


def scaled(x: Any) -> Any:
    """x (1 + 1e-6), or one more of what is counted."""
    return x + 1 if isinstance(x, int) or getattr(x, "dtype", np.dtype(float)).kind in "iu" else x * FACTOR


class TooLongError(Exception):
    """A mutant that does not end."""


def measured() -> list[Experiment]:
    """Every experiment of the default grid whose claim holds."""
    found = []
    for topic, claim in all_claims():
        clock = time.perf_counter()
        for setting in claim.settings(False):
            measurement = claim.measure(setting)
            outcome = judge(claim, setting, measurement).outcome
            if outcome is Outcome.HOLDS:
                found.append((claim, setting, measurement))
            else:
                print(f"{claim.id} at {setting}: {outcome.name} without any change")
        print(f"{topic}: {claim.id} measured in {time.perf_counter() - clock:.1f} s", file=sys.stderr)
    return found


def called(experiments: list[Experiment]) -> dict[tuple[str, int], list[tuple[float, Experiment]]]:
    """(file, first line) of each function of theory -> the experiments whose prediction calls it, fastest first."""
    calls: dict[tuple[str, int], list[tuple[float, Experiment]]] = defaultdict(list)
    for experiment in experiments:
        claim, setting, _ = experiment
        seen: set[tuple[str, int]] = set()

        def watch(frame: Any, event: str, _: Any, seen: set[tuple[str, int]] = seen) -> None:
            if event == "call" and frame.f_code.co_filename.startswith(str(ROOT)):
                seen.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

        forget()
        clock = time.perf_counter()
        sys.setprofile(watch)
        try:
            claim.predict(setting)
        finally:
            sys.setprofile(None)
        for key in seen:
            calls[key].append((time.perf_counter() - clock, experiment))
    return {key: sorted(value, key=lambda pair: pair[0]) for key, value in calls.items()}


def forget() -> None:
    """Empty every cache of theory."""
    for name, module in list(sys.modules.items()):
        if name.startswith("theory"):
            for value in vars(module).values():
                clear = getattr(value, "cache_clear", None)
                if clear is not None:
                    clear()


class Mutant:
    """A function of theory with one expression replaced."""

    def __init__(self, module: Any, function: FunctionType, tree: ast.FunctionDef, line: int, what: str) -> None:
        self.module, self.function, self.tree, self.line, self.what = module, function, tree, line, what

    def code(self) -> CodeType:
        """The changed function's code."""
        tree = ast.Module([self.tree], [])
        vars(self.module)["__scaled__"] = scaled
        namespace = dict(vars(self.module))
        exec(compile(ast.fix_missing_locations(tree), self.function.__code__.co_filename, "exec"), namespace)
        return namespace[self.tree.name].__code__


def mutants(module: Any) -> Iterator[Mutant]:
    """Every mutant of one module."""
    source = ast.parse(inspect.getsource(module))
    owners: list[tuple[Any, ast.FunctionDef]] = []
    for node in source.body:
        if isinstance(node, ast.FunctionDef):
            owners.append((vars(module).get(node.name), node))
        if isinstance(node, ast.ClassDef):
            owners += [
                (vars(vars(module)[node.name]).get(item.name), item)
                for item in node.body
                if isinstance(item, ast.FunctionDef)
            ]
    for owner, node in owners:
        function = owner.fget if isinstance(owner, property) else inspect.unwrap(owner) if owner else None
        if not isinstance(function, FunctionType) or _excluded(node.name):
            continue
        unscaled, ends = same_roots(node)
        equivalent = EQUIVALENT.get(f"{module.__name__.removeprefix('theory.')}.{node.name}", {})
        for path in sites(node, ends):
            floored = isinstance(getattr(at(node, path[:-1]), "op", None), ast.FloorDiv)
            for what, change in changes(at(node, path)):
                if (what.endswith(" scaled") and (floored or path in unscaled)) or WHOLE in equivalent:
                    continue
                if what in equivalent:
                    continue
                tree = copy.deepcopy(node)
                tree.decorator_list = []
                put(tree, path, change)
                yield Mutant(module, function, tree, at(node, path).lineno, what)


def _excluded(name: str) -> bool:
    bare = name.lstrip("_")
    return bare.startswith(("check", "require")) or bare.endswith(("reasons", "obstacles")) or bare == "applies"


def sites(function: ast.FunctionDef, ends: set[Path]) -> Iterator[Path]:
    """Paths of the arithmetic expressions that enter a number; `ends`: of what does not."""

    def walk(node: ast.AST, path: Path) -> Iterator[Path]:
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.Compare | ast.keyword | ast.Assert | ast.arguments):
            return
        if path in ends or (isinstance(node, ast.Call) and ast.unparse(node.func).endswith("isclose")):
            return
        if isinstance(node, ast.BinOp) and not _is_tolerance(node):
            yield path
        checks = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and _excluded(node.func.id)
        for name, value in ast.iter_fields(node):
            if (isinstance(node, ast.If | ast.While | ast.IfExp) and name == "test") or name in ("returns", "slice"):
                continue
            if isinstance(value, ast.AST):
                yield from walk(value, (*path, (name, None)))
            elif isinstance(value, list):
                for i, item in enumerate(value[:3] if checks else value):  # where, name and value; then its bounds
                    if isinstance(item, ast.AST):
                        yield from walk(item, (*path, (name, i)))

    for i, statement in enumerate(function.body):
        yield from walk(statement, (("body", i),))


def _is_tolerance(node: ast.AST) -> bool:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, float) and 0.0 < abs(part.value) < 1e-4:
            return True
        name = part.id if isinstance(part, ast.Name) else part.attr if isinstance(part, ast.Attribute) else ""
        if any(word in name for word in ("EPS", "EDGE", "TINY", "RESOLUTION", "ROUNDING", "eps", "tol", "finfo")):
            return True
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            return True
    return False


def put(node: ast.AST, path: Path, new: ast.AST) -> None:
    """Replace the node at a path."""
    parent, (name, i) = at(node, path[:-1]), path[-1]
    if i is None:
        setattr(parent, name, new)
    else:
        getattr(parent, name)[i] = new


def changes(node: ast.BinOp) -> Iterator[tuple[str, ast.expr]]:
    """(description, replacement) of one arithmetic expression."""
    text = ast.unparse(node)
    yield f"({text}) scaled", ast.Call(ast.Name("__scaled__", ast.Load()), [copy.deepcopy(node)], [])
    if isinstance(node.op, ast.Add | ast.Sub):
        op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        yield f"sign in {text}", ast.BinOp(copy.deepcopy(node.left), op, copy.deepcopy(node.right))
    if isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div):
        yield f"{text} without its last", copy.deepcopy(node.left)
    if isinstance(node.op, ast.Add | ast.Mult):
        yield f"{text} without its first", copy.deepcopy(node.right)
    for side in ("left", "right"):
        constant = getattr(node, side)
        if isinstance(constant, ast.Constant) and type(constant.value) is int:
            more = copy.deepcopy(node)
            setattr(more, side, ast.Constant(constant.value + 1))
            yield f"{text} with {constant.value + 1}", more


def verdict(mutant: Mutant, experiments: list[tuple[float, Experiment]]) -> str:
    """killed, survived or invalid."""
    try:
        code = mutant.code()
    except SyntaxError:
        return "invalid"
    original = mutant.function.__code__
    mutant.function.__code__ = code
    try:
        for _, (claim, setting, measurement) in experiments:
            forget()
            signal.alarm(SECONDS)
            try:
                if judge(claim, setting, measurement).outcome is not Outcome.HOLDS:
                    return "killed"
            except INVALID:
                return "invalid"
            except (TooLongError, ArithmeticError, ValueError, RuntimeError, AssertionError, MemoryError):
                return "killed"
            finally:
                signal.alarm(0)
    finally:
        mutant.function.__code__ = original
        forget()
    return "survived"


def main() -> None:
    """Measure, mutate, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", help="of theory (default: all)")
    options = parser.parse_args()

    def stop(*_: Any) -> None:
        raise TooLongError

    signal.signal(signal.SIGALRM, stop)
    names = options.modules or sorted(
        path.stem for path in ROOT.glob("*.py") if path.stem not in ("__init__", "arguments")
    )
    calls = called(measured())
    total: Counter[str] = Counter()
    for name in names:
        module = importlib.import_module(f"theory.{name}")
        counts: Counter[str] = Counter()
        survivors, silent = [], set()
        for mutant in mutants(module):
            key = (mutant.function.__code__.co_filename, mutant.function.__code__.co_firstlineno)
            if key not in calls:
                silent.add(mutant.function.__name__)
                continue
            found = verdict(mutant, calls[key])
            counts[found] += 1
            if found == "survived":
                survivors.append(f"  theory/{name}.py:{mutant.line} {mutant.function.__name__}: {mutant.what}")
        total += counts
        tried = counts["killed"] + counts["survived"]
        rate = f"{counts['killed'] / tried:.1%}" if tried else "-"
        print(f"{name:20} {tried:5d} mutants  {counts['killed']:5d} killed  {rate:>7}", flush=True)
        if silent:
            print(f"  no claim calls {', '.join(sorted(silent))}")
        print("\n".join(survivors) if survivors else "", end="\n" if survivors else "", flush=True)
    tried = total["killed"] + total["survived"]
    print(f"{'all':20} {tried:5d} mutants  {total['killed']:5d} killed  {total['killed'] / max(tried, 1):.2%}")


if __name__ == "__main__":
    main()
