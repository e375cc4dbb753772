"""Mutants of `benchmarks/mutants.py` that are no errors: by rule where a root is sought, the others one by one.

A root finder is given a function, of which only the zero counts, and one or more ends, of which only counts that the
root lies beyond or between them. So left out are: the returned value of that function (and each factor of it) scaled,
the slope that it returns for Newton's method, the ends, and the assignments of names that are used as ends alone.
"""

import ast
from collections.abc import Iterator
from typing import Any

ROOT_FINDERS = (
    "bracketed_root",
    "monotone_root",
    "root_beyond",
    "root_of_logarithm",
    "decreasing_root",
    "newton_root",
)
Path = tuple[tuple[str, int | None], ...]
WHOLE = "the whole function"
EQUIVALENT: dict[str, dict[str, str]] = {
    "etf._class_block": {"sign in r * m + v": "the reflection of the feature mean and the bias, which all else allows"},
    "etf_ray._log_integral": {"sign in 1.0 - NODES": "Gauss's nodes are symmetric"},
    "fixed_classifier.is_nearest_mean_rule": {
        "(b + s / 2 * np.sum(M ** 2, axis=0)) scaled": "read is whether all entries are equal",
    },
    "focal_rate._stable_values": {
        "(float(margin_loss(m, K=K, gamma=gamma)) + price * m) scaled": "read is which value is least",
    },
    "min_norm._descend": {
        WHOLE: "decides which corners are tried; the weights that it ends with are _affine_minimiser's",
    },
    "min_norm.min_norm_point": {
        "(points @ x) scaled": "of the products the least one is sought, and how far it is from |x|^2, to end",
        "(x @ x - products[worst]) scaled": "the certificate, compared with rounding",
    },
    "orthoplex.best_partition": {
        "(g * _class_loss(K, g, tau)) scaled": "costs are only compared",
        "(total + cost[g]) scaled": "costs are only compared",
        "(K + 1) scaled": "a group of more than K classes fits nowhere",
        "K + 1 with 2": "a group of more than K classes fits nowhere",
        "K - placed without its last": "groups of more than K classes in all are not returned",
    },
    "regression.minimiser": {"(Y - mean[:, None]) scaled": "only its singular vectors are used"},
    "roots.newton_root": {"(value / slope) scaled": "the next step corrects the last one"},
    "spectra.pair_of": {"sign in mean + gap": "the other one of the pair, to rounding; the product gives this one"},
    "sphere_calculus.hessian_form": {
        "(W * D_W) scaled": "a check: whether the direction is tangent",
        "(H * D_H) scaled": "a check: whether the direction is tangent",
    },
    "step.geometry": {
        f"{term} {change}": "the margin of a large class was never the least one (6000 random problems; not proved)"
        for term, change in [
            ("(a * (A.k - 1) / A.k + t_A + found.shift)", "scaled"),
            ("(a * (A.k - 1) / A.k + t_A)", "scaled"),
            ("(a * (A.k - 1) / A.k)", "scaled"),
            ("a * (A.k - 1) / A.k", "without its last"),
            ("(a * (A.k - 1))", "scaled"),
            ("(A.k - 1)", "scaled"),
            ("sign in A.k -", "1"),
            ("A.k - 1", "without its last"),
        ]
    },
    "step._side_of_lift": {
        "(capacity / (1.0 + math.exp(-logit))) scaled": "the parameter that is solved for: any would do",
        "(1.0 + math.exp(-logit)) scaled": "the parameter that is solved for: any would do",
        "1.0 + math.exp(-logit) without its first": "the parameter that is solved for: any would do",
    },
}


def same_roots(function: ast.FunctionDef) -> tuple[set[Path], set[Path]]:
    """Paths of what may be scaled, and of what may be anything, without another root."""
    unscaled: set[Path] = set()
    free: set[Path] = set()
    nodes = dict(paths(function))
    solved = {}  # name of a local function -> whether it returns a slope too
    for path, call in nodes.items():
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id not in ROOT_FINDERS:
            continue
        free |= {(*path, ("args", i)) for i in range(1, len(call.args))}
        free |= {(*path, ("keywords", i)) for i in range(len(call.keywords))}
        if isinstance(call.args[0], ast.Name):
            solved[call.args[0].id] = call.func.id == "newton_root"
        elif isinstance(call.args[0], ast.Lambda):
            unscaled |= set(factors(call.args[0].body, (*path, ("args", 0), ("body", None))))
    for path, node in nodes.items():
        if not isinstance(node, ast.Return) or node.value is None:
            continue
        owner = next((nodes[path[:i]] for i in range(len(path) - 1, 0, -1) if _defines(nodes[path[:i]])), None)
        if not isinstance(owner, ast.FunctionDef) or owner.name not in solved:
            continue
        value, there = node.value, (*path, ("value", None))
        if solved[owner.name] and isinstance(value, ast.Tuple):
            free.add((*there, ("elts", 1)))
            value, there = value.elts[0], (*there, ("elts", 0))
        unscaled |= set(factors(value, there))
    return unscaled, free | ends(nodes, free)


def ends(nodes: dict[Path, ast.AST], free: set[Path]) -> set[Path]:
    """Values assigned to names that are read in `free` and in such values, beside tests, but nowhere else."""
    assigned = {
        path: {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        for path, node in nodes.items()
        if isinstance(node, ast.Assign)
    }
    read = [(path, n.id) for path, n in nodes.items() if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    read = [(path, name) for path, name in read if not _tested(nodes, path)]
    names = {name for _, name in read}
    while True:
        found = {(*path, ("value", None)) for path, targets in assigned.items() if targets and targets <= names}
        lost = {name for path, name in read if name in names and not any(_below(path, end) for end in free | found)}
        if not lost:
            return found
        names -= lost


def factors(node: ast.AST, path: Path) -> Iterator[Path]:
    """Paths of the expression and of the factors that it is a product or quotient of."""
    yield path
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        yield from factors(node.left, (*path, ("left", None)))
        yield from factors(node.right, (*path, ("right", None)))


def paths(node: ast.AST, path: Path = ()) -> Iterator[tuple[Path, ast.AST]]:
    """Every node with its path."""
    yield path, node
    for name, value in ast.iter_fields(node):
        for i, item in [(None, value)] if isinstance(value, ast.AST) else enumerate(value if _many(value) else []):
            if isinstance(item, ast.AST):
                yield from paths(item, (*path, (name, i)))


def at(node: ast.AST, path: Path) -> Any:
    """The node at a path."""
    for name, i in path:
        value = getattr(node, name)
        node = value if i is None else value[i]
    return node


def _many(value: Any) -> bool:
    return isinstance(value, list)


def _defines(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.Lambda)


def _below(path: Path, above: Path) -> bool:
    return path[: len(above)] == above


def _tested(nodes: dict[Path, ast.AST], path: Path) -> bool:
    """Whether the name at the path only decides: in a comparison, a condition or an error."""
    return any(
        isinstance(nodes[path[:i]], ast.Compare | ast.Raise)
        or (isinstance(nodes[path[:i]], ast.If | ast.While | ast.IfExp) and path[i][0] == "test")
        for i in range(len(path))
    )
