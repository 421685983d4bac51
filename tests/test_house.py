"""The size of the house: of its modules, of its core, and of the way that one operation takes."""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import autodiff as ad

PACKAGE = Path(ad.__file__).parent

MOST_LINES = 500
"""Of a module. A longer one has more than one reason to change."""

DECLARATIONS = {
    "ops/elementwise.py",
    "ops/linalg/decompositions.py",
    "ops/linalg/solvers.py",
}
"""Longer modules that are tables of declarations: one primitive after another, with its rules."""

MOST_CODE = 2530
"""Lines of code of what an interpreter of any kind rests on, and of the three that there are.

The fast path of reverse mode does not count: it says again, for one and two inputs, what `reverse`
and `primitive` say for any number, because that is what nearly every operation has.
"""

FAST_PATH = "interpret/fast.py"

MOST_MODULES = 10
"""That ``np.tanh(x @ W)`` and its backward sweep enter: as many as a reader follows in one go."""


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_module_is_long() -> None:
    long = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if lines_of(path) > MOST_LINES
    }
    assert long == DECLARATIONS, "split it by what changes together, or strike it out"


def code_lines(text: str) -> int:
    """Lines of code: without blank ones, comments and docstrings.

    A string that is a statement of its own documents something, whatever stands before it.
    """
    documentation: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        is_constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_constant and isinstance(node.value.value, str):
            documentation.update(range(node.lineno, node.end_lineno + 1))
    layout = {
        tokenize.COMMENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
        tokenize.INDENT,
        tokenize.NEWLINE,
        tokenize.NL,
    }
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in layout:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - documentation)


def test_core_is_small() -> None:
    sizes = {
        path.relative_to(PACKAGE).as_posix(): code_lines(path.read_text(encoding="utf-8"))
        for part in ("core", "interpret")
        for path in sorted((PACKAGE / part).rglob("*.py"))
    }
    fast = sizes.pop(FAST_PATH)
    total = sum(sizes.values())
    assert fast <= total / 10, f"the fast path has {fast} lines of code beside {total}"
    assert total <= MOST_CODE, f"core and interpret have {total} lines of code: {sizes}"


def test_lines_of_code_are_counted() -> None:
    text = '''"""Module."""

import x  # why

# nothing
def f(a,
      b):
    """Say.

    More.
    """
    return """two
lines"""

LIMIT = 1
"""What it is."""
'''
    assert code_lines(text) == 6


def entered(run: Callable[[], Any]) -> set[str]:
    """Modules of the package whose functions a call enters. Generated code is no module."""
    files: set[str] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            files.add(frame.f_code.co_filename)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
    inside = (Path(name) for name in files if name.startswith(str(PACKAGE)))
    return {path.relative_to(PACKAGE).as_posix() for path in inside}


def test_one_operation_and_its_derivative_enter_few_modules() -> None:
    x = np.arange(6.0).reshape(2, 3) / 10
    weights = ad.Tensor(np.ones((3, 2)))
    cotangent = np.ones((2, 2))

    def walk() -> None:
        np.tanh(x @ weights).backward(cotangent)

    walk()  # rules are compiled when they are first used
    modules = entered(walk)
    assert weights.grad is not None
    assert {"tensor.py", FAST_PATH} <= modules
    assert len(modules) <= MOST_MODULES, f"{len(modules)} modules: {sorted(modules)}"


def test_entered_modules_are_those_of_the_package() -> None:
    assert entered(lambda: ad.tree.leaves([1, 2])) == {"tree.py"}
    assert entered(lambda: np.mean([1.0])) == set()


@pytest.mark.parametrize("name", sorted(DECLARATIONS))
def test_listed_modules_exist(name: str) -> None:
    assert (PACKAGE / name).is_file()
