"""The order of the layers: no module imports from above itself, and nothing in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import autodiff as ad

ORDER = (
    ("errors", "spec", "reuse"),
    ("dispatch",),
    ("rules", "samples", "primitive", "tree"),
    ("ops",),
    ("cotangent", "debug", "scopes"),
    ("reverse", "forward", "batch", "tape", "stage", "readings", "listing"),
    ("tensor",),
    ("transforms", "modes", "recording", "capture", "call"),
    ("jacobian", "custom", "recompute", "testing"),
    ("numpy", "scipy"),
    ("ordering", "draw", "compile", "flow"),
    ("nn", "optim", "data", "bench", "cli"),
)
"""From the lowest layer to the highest. Inside one layer any order without a circle will do."""

CLIENTS = {"nn", "optim", "data", "bench", "cli"}
"""Clients of the public API: they import the package itself, and one another."""

DEFERRED = {("tape", "draw"), ("tape", "ordering"), ("jacobian", "ordering")}
"""Imports upward that wait for a call: methods such as ``tape.draw()`` that lead to a reader of
tapes. Nothing below depends on them."""

PACKAGE = Path(ad.__file__).parent
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}
Import = tuple[str, bool, int]
"""Module imported, whether when the importing module is itself imported, and the line."""


def modules() -> dict[str, Path]:
    """Every module of the package by dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("autodiff", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def is_module(name: str) -> bool:
    return name in MODULES


def imports_of(tree: ast.Module) -> Iterator[Import]:
    """Modules of the package that a module imports, wherever in it, but for type checking."""
    pending: list[tuple[ast.AST, bool]] = [(tree, True)]
    while pending:
        node, top = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += [(child, top) for child in node.orelse]
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, top, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            source = node.module or ""
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield (full if is_module(full) else source), top, node.lineno
        inner = top and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        pending += [(child, inner) for child in ast.iter_child_nodes(node)]


def parsed(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def own_imports(name: str) -> list[Import]:
    return [entry for entry in imports_of(parsed(name)) if entry[0].split(".")[0] == "autodiff"]


def area(module: str) -> str:
    """The part of a dotted name that the table orders."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


LAYERED = [name for name in MODULES if name not in ("autodiff", "autodiff.__main__")]


@pytest.mark.parametrize("name", LAYERED)
def test_module_has_a_layer(name: str) -> None:
    assert area(name) in LEVEL, f"{name}: give it a place in ORDER"


@pytest.mark.parametrize("name", LAYERED)
def test_no_import_from_above(name: str) -> None:
    own = LEVEL[area(name)]
    for target, top, line in own_imports(name):
        where = f"{MODULES[name].relative_to(PACKAGE.parent)}:{line} imports {target}"
        if not top and (area(name), area(target)) in DEFERRED:
            continue
        if area(target) == "":
            assert area(name) in CLIENTS, f"{where}: the package itself is above it"
            continue
        assert LEVEL[area(target)] <= own, f"{where}, which is in a higher layer"


@pytest.mark.parametrize("name", [name for name in LAYERED if area(name) in CLIENTS])
def test_clients_use_the_public_api_alone(name: str) -> None:
    for target, _, line in own_imports(name):
        where = f"{MODULES[name].relative_to(PACKAGE.parent)}:{line} imports {target}"
        assert area(target) in {"", *CLIENTS, "ordering", "draw", "numpy", "scipy"}, (
            f"{where}: it should use `import autodiff as ad`"
        )


def test_no_import_cycle() -> None:
    graph = {
        name: {target for target, top, _ in own_imports(name) if top and target != "autodiff"}
        for name in LAYERED
    }
    done: set[str] = set()
    while len(done) < len(graph):
        ready = {name for name in graph.keys() - done if graph[name] - {name} <= done}
        assert ready, f"import cycle among {sorted(graph.keys() - done)}"
        done |= ready


def is_literal(value: ast.expr | None) -> bool:
    try:
        ast.literal_eval(value or ast.Constant(None))
    except ValueError:
        return False
    return True


def test_package_only_re_exports() -> None:
    """``__init__`` computes nothing: a docstring, imports, lists of names, lazy names."""
    for node in parsed("autodiff").body:
        lazy = isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__")
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        listed = isinstance(node, (ast.Assign, ast.AnnAssign)) and is_literal(node.value)
        imported = isinstance(node, (ast.Import, ast.ImportFrom))
        checked = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        assert lazy or docstring or listed or imported or checked, ast.unparse(node)


def test_table_is_not_wider_than_the_package_needs() -> None:
    assert len(LEVEL) == sum(map(len, ORDER)), "a name stands in two layers"
    assert {"errors", "dispatch", "ops", "reverse", "tensor"} <= set(map(area, MODULES))


def test_walk_sees_imports_inside_functions_and_skips_those_for_types() -> None:
    text = """
if TYPE_CHECKING:
    from autodiff.tensor import Tensor
import autodiff.core.spec
def f():
    from autodiff import tree
"""
    found = sorted(imports_of(ast.parse(text)))
    assert found == [("autodiff.core.spec", True, 4), ("autodiff.tree", False, 6)]
