"""A double of CuPy for machines without a device: strict arrays, and kernels that run on the host.

What a kernel's text says is computed in one of two ways: by a small evaluator of C's expressions
on NumPy's arrays, or by a C++ compiler, an element at a time.
"""

from __future__ import annotations

import ctypes
import functools
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from strict import StrictArray, numbers, strict

COMPILER = shutil.which("g++")

TYPES = {
    "bool": np.bool_,
    "signed char": np.int8,
    "unsigned char": np.uint8,
    "short": np.int16,
    "unsigned short": np.uint16,
    "int": np.int32,
    "unsigned int": np.uint32,
    "long long": np.int64,
    "unsigned long long": np.uint64,
    "float": np.float32,
    "double": np.float64,
}
NAMES = {np.dtype(kind): name for name, kind in TYPES.items()}

# --- C's expressions on arrays --------------------------------------------------------------------

TOKENS = re.compile(
    r"\s*(\d+\.?\d*(?:e[-+]?\d+)?(?:ULL|LL|f)?|[A-Za-z_]\w*|&&|\|\||[<>=!]=|[-+*/<>!~?:()&|^,])"
)
LEVELS = [("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<", "<=", ">", ">=")]
LEVELS += [("+", "-"), ("*", "/")]
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "||": np.logical_or,
    "&&": np.logical_and,
    "|": np.bitwise_or,
    "^": np.bitwise_xor,
    "&": np.bitwise_and,
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}
CALLS = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "atan2": "arctan2",
    "pow": "power",
}


def called(name: str) -> Callable[..., Any]:
    """The function of C's library."""
    plain = name if name in ("erf",) else name.removesuffix("f")
    if plain in ("erf", "erfc"):
        return __import__("scipy.special", fromlist=["erf"]).__dict__[plain]
    return getattr(np, CALLS.get(plain, plain))


class Evaluator:
    """Value of an expression for arrays by name; numbers adapt as C's do."""

    def __init__(self, text: str, space: dict[str, Any]) -> None:
        self.tokens = TOKENS.findall(text)
        assert "".join(self.tokens) == text.replace(" ", "").replace("\n", ""), text
        self.at = 0
        self.space = space

    def whole(self) -> Any:
        found = self.choice()
        assert self.at == len(self.tokens), self.tokens
        return found

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, *wanted: str) -> str | None:
        if self.peek() in wanted:
            self.at += 1
            return self.tokens[self.at - 1]
        return None

    def choice(self) -> Any:
        condition = self.binary(0)
        if not self.take("?"):
            return condition
        one = self.choice()
        assert self.take(":")
        return np.where(condition, one, self.choice())

    def binary(self, level: int) -> Any:
        if level == len(LEVELS):
            return self.unary()
        found = self.binary(level + 1)
        while sign := self.take(*LEVELS[level]):
            other = self.binary(level + 1)
            if sign in "+-*" and {np.asarray(x).dtype.kind for x in (found, other)} == {"b"}:
                found, other = np.int32(found), np.int32(other)
            found = BINARY[sign](found, other)
        return found

    def unary(self) -> Any:
        if self.take("-"):
            return np.negative(self.unary())
        if self.take("!"):
            return np.logical_not(self.unary())
        if self.take("~"):
            return np.invert(self.unary())
        if self.take("("):
            start = self.at
            while self.peek() in ("signed", "unsigned", "long", "short", "char", *TYPES):
                self.at += 1
            if self.at > start:
                kind = TYPES[" ".join(self.tokens[start : self.at])]
                assert self.take(")")
                return np.asarray(self.unary()).astype(kind)
            found = self.choice()
            assert self.take(")")
            return found
        token = self.tokens[self.at]
        self.at += 1
        if token[0].isdigit():
            text = token.rstrip("ULf") if not token.endswith("e") else token
            if "." in text or "e" in text:
                return np.float32(text) if token.endswith("f") else np.float64(text)
            return int(text)
        if self.take("("):
            args = [self.choice()]
            while self.take(","):
                args.append(self.choice())
            assert self.take(")")
            return called(token)(*args)
        return {"true": np.True_, "false": np.False_}.get(token, self.space.get(token))


def evaluated(statements: str, space: dict[str, Any]) -> dict[str, Any]:
    """Run statements, one after the other, on arrays."""
    for statement in filter(None, (part.strip() for part in statements.split(";"))):
        declared = re.fullmatch(r"const (.+) (\w+) = (.+)", statement)
        if declared:
            kind, name, text = declared.groups()
            space[name] = np.asarray(Evaluator(text, space).whole()).astype(TYPES[kind])
        else:
            name, text = re.fullmatch(r"(\w+) = (.+)", statement).groups()  # type: ignore[union-attr]
            space[name] = Evaluator(text, space).whole()
    return space


# --- C++ ------------------------------------------------------------------------------------------

HEAD = "#include <cmath>\n#define __device__\nusing namespace std;\n"


@functools.cache
def compiled(text: str) -> Any:
    """Library of a text."""
    assert COMPILER is not None
    folder = Path(tempfile.mkdtemp(prefix="autodiff-kernel-"))
    (folder / "k.cpp").write_text(HEAD + text)
    flags = ["-O1", "-ffp-contract=off", "-fno-builtin", "-shared", "-fPIC", "-Wno-div-by-zero"]
    command = [COMPILER, *flags, "k.cpp", "-o", "k.so"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert not done.returncode, f"{text}\n{done.stderr}"
    return ctypes.CDLL(str(folder / "k.so"))


def run_compiled(
    body: str, preamble: str, given: list[tuple[str, Any]], made: list[tuple[str, Any]]
) -> None:
    """Run statements for each element, from flat arrays into flat arrays."""
    arrays = [*given, *made]
    pointers = ", ".join(f"{NAMES[array.dtype]} *p_{name}" for name, array in arrays)
    loads = "\n".join(f"const {NAMES[array.dtype]} {name} = p_{name}[i];" for name, array in given)
    stores = "\n".join(f"{NAMES[array.dtype]} &{name} = p_{name}[i];" for name, array in made)
    function = compiled(
        f'{preamble}\nextern "C" void run(long long n, {pointers}) {{\n'
        f"for (long long i = 0; i < n; i++) {{\n{loads}\n{stores}\n{body}\n}}\n}}\n"
    ).run
    size = made[0][1].size
    function(ctypes.c_longlong(size), *[a.ctypes.data_as(ctypes.c_void_p) for _, a in arrays])


# --- kernels --------------------------------------------------------------------------------------


class _Kernel:
    compiles = False
    launches: list[str] = []  # noqa: RUF012  # of all kernels, in order

    def _parameters(self, text: str) -> list[tuple[np.dtype[Any], str]]:
        rows = [part.split() for part in text.split(",")]
        return [(np.dtype(kind), name) for kind, name in rows]

    def _arrays(self, args: Any) -> list[Any]:
        assert len(args) == len(self.given)  # type: ignore[attr-defined]
        assert any(type(arg) is StrictArray for arg in args), "Loop size is undecided."
        found = []
        for (dtype, name), arg in zip(self.given, args, strict=True):  # type: ignore[attr-defined]
            if type(arg) is StrictArray:
                assert arg.dtype == dtype, (name, arg.dtype, dtype)
            else:
                assert isinstance(arg, (int, float, bool, np.generic)), type(arg)
            found.append(np.asarray(numbers(arg), dtype))
        return [np.array(each, order="C") for each in np.broadcast_arrays(*found)]


class ElementwiseKernel(_Kernel):
    """Computes each element by itself."""

    def __init__(
        self, given: str, made: str, operation: str, name: str, *, options: Any = ()
    ) -> None:
        assert name.isidentifier()
        self.given, self.made = self._parameters(given), self._parameters(made)
        self.operation, self.name = operation, name
        assert options == ("--fmad=false",)

    def __call__(self, *args: Any) -> Any:
        _Kernel.launches.append(self.name)
        arrays = self._arrays(args)
        shape = arrays[0].shape
        named = [(name, a) for (_, name), a in zip(self.given, arrays, strict=True)]
        made = [(name, np.empty(shape, dtype)) for dtype, name in self.made]
        with np.errstate(all="ignore"):
            if self.compiles:
                run_compiled(self.operation, "", named, made)
            else:
                space = evaluated(self.operation, dict(named))
                for name, array in made:
                    assert np.asarray(space[name]).dtype == array.dtype
                    array[...] = space[name]
        outs = [strict(array) for _, array in made]
        return outs[0] if len(outs) == 1 else tuple(outs)


class ReductionKernel(_Kernel):
    """Computes, and reduces."""

    def __init__(
        self,
        given: str,
        made: str,
        mapped: str,
        reduced: str,
        after: str,
        identity: str,
        name: str,
        *,
        preamble: str = "",
        options: Any = (),
    ) -> None:
        assert name.isidentifier()
        self.given, ((self.dtype, self.out),) = self._parameters(given), self._parameters(made)
        self.mapped, self.reduced, self.identity = mapped, reduced, identity
        self.preamble, self.name = preamble, name
        assert after == f"{self.out} = a"

    def __call__(self, *args: Any, axis: Any, keepdims: bool) -> Any:
        _Kernel.launches.append(self.name)
        arrays = self._arrays(args)
        named = [(name, a) for (_, name), a in zip(self.given, arrays, strict=True)]
        values = np.empty(arrays[0].shape, self.dtype)
        with np.errstate(all="ignore"):
            if self.compiles:
                out = [(self.out, values)]
                run_compiled(f"{self.out} = {self.mapped};", self.preamble, named, out)
            else:
                inside = self.preamble.split("{", 1)[1].rsplit("return", 1)
                space = evaluated(inside[0], dict(named))
                result = inside[1].split(";")[0].strip()
                values[...] = Evaluator(result, space).whole()
            rest = [i for i in range(values.ndim) if i not in axis]
            moved = values.transpose([*axis, *rest])
            shape = [1 if i in axis else n for i, n in enumerate(values.shape)]
            flat = moved.reshape(-1, *[values.shape[i] for i in rest])
            total = np.full(flat.shape[1:], Evaluator(self.identity, {}).whole(), self.dtype)
            for row in flat:
                total = np.asarray(Evaluator(self.reduced, {"a": total, "b": row}).whole())
        total = total.astype(self.dtype)
        return strict(total.reshape(shape) if keepdims else total)


@contextmanager
def cupy_double(monkeypatch: pytest.MonkeyPatch, compiles: bool = False) -> Iterator[list[str]]:
    """Strict arrays are CuPy's; gives the names of the kernels that are launched."""
    module: Any = ModuleType("cupy")
    module.__spec__ = ModuleSpec("cupy", None)
    module.ndarray = StrictArray
    module.ElementwiseKernel, module.ReductionKernel = ElementwiseKernel, ReductionKernel
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "cupy", module)
        patch.setattr(StrictArray, "__module__", "cupy")
        patch.setattr(_Kernel, "compiles", compiles)
        patch.setattr(_Kernel, "launches", [])
        yield _Kernel.launches
