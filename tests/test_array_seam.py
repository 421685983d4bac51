"""Only `core.arrays` and `core.memory` ask what an array is: all other modules are read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import autodiff

ROOT = Path(autodiff.__file__).parent

SEAM = {"core/arrays.py", "core/memory.py", "chunked.py", "chunked_index.py"}

TYPES = frozenset({"ndarray", "generic"})
CONVERSIONS = frozenset({"asarray", "asanyarray"})
MEMORY = frozenset({"setflags", "flags"})
ANNOTATING = frozenset({"TypeGuard", "TypeIs", "Annotated", "Optional", "Union"})


class Finder:
    """Offences in one module, as (line, what).

    An offence is a type of NumPy's arrays where it is no annotation, ``np.asarray`` and its kin,
    ``ufunc.at``, an array's flags, and an index ``[()]``.
    """

    def __init__(self, source: str) -> None:
        self.found: list[tuple[int, str]] = []
        tree = ast.parse(source)
        self.modules = set(_names_of_numpy(tree))
        self.visit(tree)

    def visit(self, node: ast.AST) -> None:
        for child in self._evaluated(node):
            self._check(child)
            self.visit(child)

    def _evaluated(self, node: ast.AST) -> Iterator[ast.AST]:
        """Children that stand for values, not for types."""
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            yield from node.orelse
            return
        if isinstance(node, ast.Subscript) and self._is_type_expression(node.value):
            return
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield child

    def _is_type_expression(self, node: ast.expr) -> bool:
        """Whether what is subscripted is a type: ``np.ndarray[...]``, ``TypeGuard[...]``."""
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        return name in ANNOTATING or self._of_numpy(node, TYPES)

    def _of_numpy(self, node: ast.AST, names: frozenset[str]) -> bool:
        return (
            isinstance(node, ast.Attribute)
            and node.attr in names
            and isinstance(node.value, ast.Name)
            and node.value.id in self.modules
        )

    def _check(self, node: ast.AST) -> None:
        what = ""
        if isinstance(node, ast.Attribute):
            if self._of_numpy(node, TYPES | CONVERSIONS):
                what = f"np.{node.attr}"
            elif node.attr in MEMORY:
                what = f".{node.attr}"
            elif node.attr == "at" and isinstance(node.value, ast.Attribute):
                inner = node.value
                if isinstance(inner.value, ast.Name) and inner.value.id in self.modules:
                    what = f"np.{inner.attr}.at"
        elif isinstance(node, ast.Subscript):
            if isinstance(node.slice, ast.Tuple) and not node.slice.elts:
                what = "[()]"
        elif isinstance(node, ast.ImportFrom) and node.module == "numpy":
            names = [a.name for a in node.names if a.name in TYPES | CONVERSIONS]
            what = f"from numpy import {', '.join(names)}" if names else ""
        if what:
            self.found.append((getattr(node, "lineno", 0), what))


def _names_of_numpy(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "numpy":
                    yield alias.asname or alias.name


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def offences(source: str) -> list[str]:
    return [what for _, what in Finder(source).found]


MODULES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.rglob("*.py")
    if path.relative_to(ROOT).as_posix() not in SEAM
)


@pytest.mark.parametrize("module", MODULES)
def test_no_module_asks_for_array_types(module: str) -> None:
    found = Finder((ROOT / module).read_text(encoding="utf-8")).found
    assert not found, "\n".join(
        f"{module}:{line}: {what} (use a function of autodiff.core.arrays or .memory)"
        for line, what in found
    )


def test_modules_are_found() -> None:
    assert {"ops/index.py", "nn/io.py", "numpy/creation.py", "bench/engines/xla.py"} <= set(MODULES)
    assert "core/spec.py" in MODULES
    assert not SEAM & set(MODULES)


def test_the_seam_itself_would_be_found() -> None:
    found = {what for path in SEAM for what in offences((ROOT / path).read_text(encoding="utf-8"))}
    assert {"np.ndarray", "np.generic", "np.asarray", "[()]", ".setflags", "np.add.at"} <= found


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("isinstance(x, np.ndarray)", ["np.ndarray"]),
        ("isinstance(x, (int, np.ndarray, np.generic))", ["np.ndarray", "np.generic"]),
        ("plain = type(x) is np.ndarray", ["np.ndarray"]),
        ("TYPES = {np.ndarray, float}", ["np.ndarray"]),
        ("y = np.ndarray((2,), float)", ["np.ndarray"]),
        ("def f(x=np.ndarray): pass", ["np.ndarray"]),
        ("y: Any = isinstance(x, np.ndarray)", ["np.ndarray"]),
        ("y = np.asarray(x)", ["np.asarray"]),
        ("y = np.asanyarray(x).dtype", ["np.asanyarray"]),
        ("y = list(map(np.asarray, x))", ["np.asarray"]),
        ("y = np.array(x)[()]", ["[()]"]),
        ("y = np.asarray(x)[()]", ["[()]", "np.asarray"]),
        ("def f(x):\n    return x.sum()[()]", ["[()]"]),
        ("x[()] = 1.0", ["[()]"]),
        ("np.add.at(x, i, 1)", ["np.add.at"]),
        ("x.setflags(write=False)", [".setflags"]),
        ("y = x.flags.writeable", [".flags"]),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    y = np.ndarray", ["np.ndarray"]),
    ],
)
def test_planted_offence(statement: str, what: list[str]) -> None:
    assert offences(f"import numpy as np\n{statement}\n") == what


@pytest.mark.parametrize(
    "source",
    [
        "import numpy\nisinstance(x, numpy.ndarray)",
        "import numpy as xp\nisinstance(x, xp.ndarray)",
        "def f():\n    import numpy as np\n    return np.asarray(1)",
        "from numpy import ndarray",
        "from numpy import asarray as convert",
    ],
)
def test_numpy_by_another_name(source: str) -> None:
    assert len(offences(source)) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "def f(x: np.ndarray) -> np.ndarray | None: return x",
        "def f(x: list[np.generic]) -> tuple[np.ndarray, ...]: return x",
        "async def f(*xs: np.ndarray, **ys: np.ndarray): pass",
        "y: np.ndarray = x",
        "class C:\n    y: np.ndarray",
        "def f(x) -> TypeGuard[np.ndarray]: return True",
        "Integers = np.ndarray[Any, np.dtype[np.int64]]",
        "Checked = TypeGuard[np.ndarray]",
        'y = cast("np.ndarray", x)',
        "if TYPE_CHECKING:\n    A = np.ndarray",
        "if typing.TYPE_CHECKING:\n    A = np.ndarray",
        "y = x[0], x[:], x[..., None], x[(1,)]",
        "y = jnp.asarray(x)",
        "y = np.array(x), np.zeros(2), np.float64(1)",
        "y = x.at[0], f.at(1)",
    ],
)
def test_what_is_no_offence(statement: str) -> None:
    assert offences(f"import numpy as np\n{statement}\n") == []
