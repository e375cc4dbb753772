"""What may import what, and that importing changes nothing."""

import ast
import pathlib
import subprocess
import sys

import jax
import pytest

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("ufm/**/*.py"), *ROOT.glob("theory/**/*.py")])


def _module(path: pathlib.Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _imports(path: pathlib.Path) -> set[str]:
    """Modules of ours that a file imports, at any depth of its code."""
    names = {_module(other) for other in FILES}
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return (found & names) - {_module(path)}


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT).stdout


def test_theory_needs_neither_jax_nor_ufm():
    code = (
        "import sys, theory; print(sorted({m.split('.')[0] for m in sys.modules} & {'jax', 'jaxlib', 'ufm', 'optax'}))"
    )
    assert _run(code).strip() == "[]"


def test_the_core_does_not_know_theory_changes_no_setting_and_imports_little():
    """SciPy's parts are loaded when they are first used (`import scipy` in a module): optimize alone takes 0.3 s."""
    code = (
        "import sys, jax; before = dict(jax.config.values); import ufm; "
        "print(sorted({'theory', 'matplotlib', 'scipy.optimize', 'scipy.sparse'} & set(sys.modules)), "
        "dict(jax.config.values) == before)"
    )
    assert _run(code).strip() == "[] True"


@pytest.mark.parametrize("path", [p for p in FILES if p.is_relative_to(ROOT / "ufm")], ids=_module)
def test_only_verify_and_the_face_read_theory(path):
    allowed = ("ufm.verify", "ufm.cli", "ufm.__main__", "ufm.face", "ufm.figures")
    if not _module(path).startswith(allowed):
        assert not {name for name in _imports(path) if name.split(".")[0] == "theory"}
        assert not {name for name in _imports(path) if name.startswith(allowed[1:])}


def test_the_module_graph_has_no_cycle():
    graph = {_module(path): _imports(path) for path in FILES}
    packages = {_module(path) for path in FILES if path.name == "__init__.py"}
    order: list[str] = []

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name not in order:
            for other in sorted(graph[name] - packages):
                visit(other, (*trail, name))
            order.append(name)

    for name in sorted(graph.keys() - packages):
        visit(name, ())
    assert len(order) == len(graph) - len(packages)


def test_public_names_are_documented():
    import ufm

    names = [
        name
        for name in vars(ufm)
        if not name.startswith("_") and getattr(vars(ufm)[name], "__module__", "").startswith("ufm")
    ]
    assert {"Problem", "solve", "certify", "compare", "collapse"} <= set(names)
    assert all(getattr(ufm, name).__doc__ for name in names)


def test_structures_of_different_classes_differ():
    """Else a compiled function of one may be run on another: see ufm.tree.register."""
    import ufm
    from ufm import spaces

    values = [
        *[getattr(ufm, name)() for name in ("MSE", "PickAllLabel", "SupCon", "CrossEntropy", "Focal", "RescaledMSE")],
        *[spaces.Euclidean(), spaces.Nonnegative(), spaces.Spheres(1.0), spaces.Budget(1.0), spaces.Fixed(1.0)],
        *[ufm.DeepLinear((3,)), ufm.DeepReLU((3,)), ufm.Bilinear(), ufm.relu_features(), ufm.contrastive()],
    ]
    structures = [jax.tree.structure(value) for value in values]
    for i, structure in enumerate(structures):
        assert [j for j, other in enumerate(structures) if structure == other] == [i]
    assert not any("register_dataclass" in path.read_text() for path in FILES if path.name != "tree.py")


def test_calls_restore_the_settings():
    import ufm

    before = dict(jax.config.values)
    problem = ufm.Problem(K=2, n=2, d=2, lam_W=1e-2, lam_H=1e-2)
    ufm.certify(problem, ufm.solve(problem).params)
    assert dict(jax.config.values) == before
