"""The order of the layers: no module imports from above itself, and nothing in a circle.

Imports inside functions count like any other: a call that reaches upwards is a dependency too. Only
what is imported for type checking does not count. Where a lower layer is to be answered from above,
it owns a `deferred.Deferred`, and `autodiff.loading` says who answers.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import autodiff as ad

ORDER = (
    ("errors", "host", "tree", "deferred", "neighbours", "collecting", "chunked", "chunked_index"),
    ("core",),
    ("views",),
    ("ops", "structure", "lowering"),
    ("interpret",),
    ("tape",),
    ("conversions", "copying", "overwriting", "writing", "standard", "tensor"),
    ("transforms",),
    ("numpy", "scipy"),
    ("draw", "flow", "export"),
    ("ordering",),
    ("compiler",),
    ("compat",),
    ("nn", "optim", "data", "interop", "parallel", "testing", "bench", "cli"),
    ("loading",),
)
"""Parts of the package from the lowest layer to the highest; within one they may use each other."""

CLIENTS = {"nn", "optim", "data", "interop", "parallel", "bench", "cli"}
"""Clients of the public API: they import the package itself, and one another.

`testing` is none: `ad.check_grads` is part of that API, so it is built on what is below it.
"""

PUBLIC = {
    "core.arrays",
    "core.memory",
    "core.modes",
    "draw",
    "draw.looks",
    "host",
    "neighbours",
    "ordering",
    "numpy",
    "scipy",
}
"""What clients may use besides: packages with an API of their own, the array seam, the modes."""

PACKAGES = {"__init__", "__main__"}
"""`autodiff` itself, which exports from every layer, and what runs it."""

BY_STRING = {
    "autodiff": "the package exports parts that are loaded when first used",
    "autodiff.loading": "who answers what is asked later",
    "autodiff.compiler.backends": "the package of a backend, by the backend's name",
    "autodiff.numpy.array_api": "extensions of the standard, loaded when first used",
    "autodiff.core.registry": "the module that a pickled primitive was declared in",
    "autodiff.bench.engines": "the module of an engine, by the engine's name",
    "autodiff.compat.installing": "the module that another name stands for",
    "autodiff.bench.lazy": "other libraries, where they are installed",
    "autodiff.cli.functions": "the user's function",
}
"""Modules that import by a string, and what; an ``__init__`` may so import modules of its own."""

PACKAGE = Path(ad.__file__).parent
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}
Import = tuple[str, int]
"""Module imported, and the line."""


def modules() -> dict[str, Path]:
    """Every module of the package by dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("autodiff", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports_of(tree: ast.Module) -> Iterator[Import]:
    """Modules that a module imports, wherever in it, but for type checking."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            source = node.module or ""
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield (full if full in MODULES else source), node.lineno
        pending += ast.iter_child_nodes(node)


@cache
def parsed(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


@cache
def own_imports(name: str) -> tuple[Import, ...]:
    found = imports_of(parsed(name))
    return tuple(entry for entry in found if entry[0].split(".")[0] == "autodiff")


def packages_of(name: str) -> list[str]:
    """The packages around a module."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def imported(name: str) -> set[str]:
    """Modules that run when a module is imported or its functions called, with their packages.

    Not the packages around the module itself: they have begun to run before it.
    """
    targets = {target for target, _ in own_imports(name)}
    targets |= {package for target in targets for package in packages_of(target)}
    return targets - set(packages_of(name)) - {name}


def circles(graph: Mapping[str, set[str]]) -> set[str]:
    """Nodes that lie on a circle, or between two."""
    left = {
        node: {target for target in targets if target in graph} for node, targets in graph.items()
    }
    while True:
        used = {target for targets in left.values() for target in targets}
        ends = {node for node, targets in left.items() if not targets or node not in used}
        if not ends:
            return set(left)
        left = {node: targets - ends for node, targets in left.items() if node not in ends}


def area(module: str) -> str:
    """The part of a dotted name that the table orders."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def where(name: str, line: int) -> str:
    return f"{MODULES[name].relative_to(PACKAGE.parent)}:{line}"


LAYERED = [name for name in MODULES if area(name) not in PACKAGES]


@pytest.mark.parametrize("name", LAYERED)
def test_module_has_a_layer(name: str) -> None:
    assert area(name) in LEVEL, f"{name}: give it a place in ORDER"


def upward(name: str) -> dict[tuple[str, str], str]:
    """Imports from above a module, with what is said of each."""
    found = {}
    for target, line in own_imports(name):
        if area(target) == "__init__":
            fine = area(name) in CLIENTS
        else:
            fine = LEVEL[area(target)] <= LEVEL[area(name)]
        if not fine:
            found[name, target] = f"{where(name, line)} imports {target}, which is above it"
    return found


@pytest.mark.parametrize("name", LAYERED)
def test_no_import_from_above(name: str) -> None:
    found = upward(name)
    assert not list(found.values())


@pytest.mark.parametrize("name", [name for name in LAYERED if area(name) in CLIENTS])
def test_clients_use_the_public_api_alone(name: str) -> None:
    for target, line in own_imports(name):
        public = area(target) in {"__init__", *CLIENTS} or target.partition(".")[2] in PUBLIC
        assert public, f"{where(name, line)} imports {target}: use `import autodiff as ad`"


def test_no_circle_of_imports() -> None:
    """Of modules, whether at the top or inside functions, also within one layer."""
    assert not circles({name: imported(name) for name in MODULES})


def imported_by_string(tree: ast.Module) -> Iterator[tuple[str | None, int]]:
    """What is imported by a string: its beginning, as far as it is written out, or None."""
    for node in ast.walk(tree):
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if called.rpartition(".")[2] in ("import_module", "__import__"):
            argument = node.args[0]
            if isinstance(argument, ast.JoinedStr):
                argument = argument.values[0]
            is_string = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
            yield (argument.value if is_string else None), node.lineno


@pytest.mark.parametrize("name", list(MODULES))
def test_few_modules_import_by_a_string(name: str) -> None:
    """The tests above do not see such imports."""
    if name in BY_STRING:
        return
    is_package = MODULES[name].name == "__init__.py"
    for text, line in imported_by_string(parsed(name)):
        own = is_package and text is not None and text.startswith(f"{name}.")
        foreign = text is not None and text.split(".")[0] not in ("", "autodiff")
        assert own or foreign, f"{where(name, line)} imports {text or 'something'} by a string"


# --- the tests see what they should --------------------------------------------------------------


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
        taken = isinstance(node, (ast.Import, ast.ImportFrom))
        checked = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        assert lazy or docstring or listed or taken or checked, ast.unparse(node)


def test_table_is_not_wider_than_the_package_needs() -> None:
    assert len(LEVEL) == sum(map(len, ORDER)), "a name stands in two layers"
    assert set(LEVEL) == {area(name) for name in LAYERED}
    assert BY_STRING.keys() <= MODULES.keys()


def test_walk_sees_imports_inside_functions_and_skips_those_for_types() -> None:
    text = """
if TYPE_CHECKING:
    from autodiff.tensor import Tensor
import autodiff.core.spec
def f():
    from autodiff import tree
"""
    found = sorted(imports_of(ast.parse(text)))
    assert found == [("autodiff.core.spec", 4), ("autodiff.tree", 6)]


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c", "d"}, "c": {"b"}, "d": set()}) == {"b", "c"}
    assert not circles({"a": {"b", "c"}, "b": {"c"}, "c": {"elsewhere"}})


def test_packages_run_with_what_is_in_them() -> None:
    assert packages_of("autodiff.ops.index") == ["autodiff", "autodiff.ops"]
    assert {"autodiff.core", "autodiff.core.spec"} <= imported("autodiff.ops.index")
    assert "autodiff.ops" not in imported("autodiff.ops.index")


def test_imports_by_a_string_are_seen() -> None:
    text = 'import_module(f"autodiff.{name}")\nimportlib.import_module(name)\n__import__("torch")\n'
    found = sorted(imported_by_string(ast.parse(text)), key=lambda entry: entry[1])
    assert found == [("autodiff.", 1), (None, 2), ("torch", 3)]
