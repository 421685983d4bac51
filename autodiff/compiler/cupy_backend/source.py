"""Kernels of CuPy as text: one statement of C++ for each scalar operation.

Operations have the names of NumPy's functions, and each is rounded as NumPy rounds it: nothing is
contracted, and maxima, signs and truth values treat NaN, infinities and zeros as NumPy does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.compiler.kernels import Node

__all__ = ["KernelText", "statements", "supported", "type_name"]

_TYPES = {
    "?": "bool",
    "b": "signed char",
    "B": "unsigned char",
    "h": "short",
    "H": "unsigned short",
    "i": "int",
    "I": "unsigned int",
    "l": "long long",
    "L": "unsigned long long",
    "q": "long long",
    "Q": "unsigned long long",
    "f": "float",
    "d": "double",
}
"""C++ for dtypes by their character, where ``long`` has eight bytes as NumPy's has."""


class KernelText(NamedTuple):
    """What a kernel is made of.

    Attributes
    ----------
    kind : "elementwise", or what it reduces by
    name : str
    inputs, outputs : tuple of (dtype, name)
    body : tuple of str
        Statements.
    result : str
        Name of what is reduced.
    """

    kind: str
    name: str
    inputs: tuple[tuple[np.dtype[Any], str], ...]
    outputs: tuple[tuple[np.dtype[Any], str], ...]
    body: tuple[str, ...]
    result: str = ""

    def __str__(self) -> str:
        given = ", ".join(f"{dtype} {name}" for dtype, name in self.inputs)
        made = ", ".join(f"{dtype} {name}" for dtype, name in self.outputs)
        head = f"// {self.kind} kernel {self.name}: ({given}) -> ({made})"
        return "\n".join([head, *self.body, *([f"reduce {self.result};"] if self.result else [])])


def type_name(dtype: np.dtype[Any]) -> str:
    """C++ type of a dtype."""
    return _TYPES[dtype.char]


def _is_known(dtype: np.dtype[Any]) -> bool:
    return dtype.char in _TYPES and (dtype.char not in "lL" or dtype.itemsize == 8)


Text = Callable[[np.dtype[Any], Sequence[str]], str]
"""Expression for the dtype and the names of the operands."""


def _infix(sign: str) -> Text:
    return lambda dtype, args: f"{args[0]} {sign} {args[1]}"


def _called(name: str) -> Text:
    """Call of a function of C's library, by its name for the dtype."""
    return lambda dtype, args: f"{name}{'f' if dtype.char == 'f' else ''}({', '.join(args)})"


def _written(text: str) -> Text:
    """Text with the operands a and b, and T for their type."""

    def fill(dtype: np.dtype[Any], args: Sequence[str]) -> str:
        a, b = (*args, "")[:2]
        return text.format(a=a, b=b, T=type_name(dtype))

    return fill


_FLOATS: dict[str, Text] = {
    **{
        name: _called(name)
        for name in (
            *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt"),
            *("sin", "cos", "tan", "sinh", "cosh", "tanh", "floor", "ceil", "trunc", "rint"),
            *("fabs", "hypot", "copysign", "fmod", "erf", "erfc"),
        )
    },
    "arcsin": _called("asin"),
    "arccos": _called("acos"),
    "arctan": _called("atan"),
    "arcsinh": _called("asinh"),
    "arccosh": _called("acosh"),
    "arctanh": _called("atanh"),
    "arctan2": _called("atan2"),
    "power": _called("pow"),
    "absolute": _called("fabs"),
    "divide": _infix("/"),
    "reciprocal": _written("({T})1 / {a}"),
    "maximum": _written("({a} >= {b} || {a} != {a}) ? {a} : {b}"),
    "minimum": _written("({a} <= {b} || {a} != {a}) ? {a} : {b}"),
    "fmax": _written("({a} >= {b} || {b} != {b}) ? {a} : {b}"),
    "fmin": _written("({a} <= {b} || {b} != {b}) ? {a} : {b}"),
    "sign": _written("({a} != {a}) ? {a} : ({T})(({a} > 0) - ({a} < 0))"),
    "isnan": _written("{a} != {a}"),
    "isfinite": _written("({a} - {a}) == 0"),
    "isinf": _written("{a} == {a} && ({a} - {a}) != 0"),
}
_NUMBERS: dict[str, Text] = {
    "add": _infix("+"),
    "subtract": _infix("-"),
    "multiply": _infix("*"),
    "negative": _written("-{a}"),
    "positive": _written("{a}"),
    "square": _written("{a} * {a}"),
}
_INTEGERS: dict[str, Text] = {
    "maximum": _written("{a} >= {b} ? {a} : {b}"),
    "minimum": _written("{a} <= {b} ? {a} : {b}"),
    "bitwise_and": _infix("&"),
    "bitwise_or": _infix("|"),
    "bitwise_xor": _infix("^"),
    "invert": _written("~{a}"),
}
_TRUTHS: dict[str, Text] = {
    "add": _infix("||"),
    "multiply": _infix("&&"),
    "maximum": _infix("||"),
    "minimum": _infix("&&"),
    "bitwise_and": _infix("&&"),
    "bitwise_or": _infix("||"),
    "bitwise_xor": _infix("!="),
    "invert": _written("!{a}"),
}
_ALL: dict[str, Text] = {
    "equal": _infix("=="),
    "not_equal": _infix("!="),
    "less": _infix("<"),
    "less_equal": _infix("<="),
    "greater": _infix(">"),
    "greater_equal": _infix(">="),
    "logical_and": _written("({a} != 0) && ({b} != 0)"),
    "logical_or": _written("({a} != 0) || ({b} != 0)"),
    "logical_xor": _written("({a} != 0) != ({b} != 0)"),
    "logical_not": _written("{a} == 0"),
}


def _text_of(op: str, dtype: np.dtype[Any]) -> Text | None:
    kinds: dict[str, tuple[dict[str, Text], ...]] = {
        "f": (_FLOATS, _NUMBERS, _ALL),
        "i": (_INTEGERS, _NUMBERS, _ALL),
        "u": (_INTEGERS, _NUMBERS, _ALL),
        "b": (_TRUTHS, _ALL),
    }
    for table in kinds.get(dtype.kind, ()):
        if op in table:
            return table[op]
    if dtype.kind == "i" and op == "absolute":
        return _written("{a} < 0 ? -{a} : {a}")
    return None


def supported(op: str, dtype: np.dtype[Any]) -> bool:
    """Whether there is text for an operation on operands of a dtype."""
    return _is_known(dtype) and _text_of(op, dtype) is not None


def literal(value: Any, dtype: np.dtype[Any]) -> str:
    """Number in C++, to the last bit."""
    if dtype.kind == "b":
        return "true" if value else "false"
    if dtype.kind == "f":
        suffix = "f" if dtype.char == "f" else ""
        number = float(value)
        if math.isnan(number):
            return f"(0.0{suffix} / 0.0{suffix})"
        if math.isinf(number):
            return f"({'-' if number < 0 else ''}1.0{suffix} / 0.0{suffix})"
        text = f"{number!r}{suffix}"
        return f"({text})" if text.startswith("-") else text
    number = int(value)
    if dtype.kind == "u":
        return f"({type_name(dtype)}){number}ULL"
    if number == -(1 << 63):
        return "(-9223372036854775807LL - 1)"
    return f"({type_name(dtype)}){number}LL"


def _expression(node: Node, nodes: Sequence[Node], names: Sequence[str]) -> str:
    args = [names[a] for a in node.args]
    if node.op == "cast":
        if node.dtype.kind == "b":
            return f"{args[0]} != 0"
        return f"({type_name(node.dtype)}){args[0]}"
    if node.op == "where":
        return f"{args[0]} ? {args[1]} : {args[2]}"
    operands = nodes[node.args[0]].dtype
    text = _text_of(node.op, operands)
    assert text is not None, node.op
    found = text(operands, args)
    # C computes small integers as int
    small = node.dtype.kind in "iu" and node.dtype.itemsize < 4
    return f"({type_name(node.dtype)})({found})" if small else found


def statements(nodes: Sequence[Node], loads: dict[Any, str]) -> tuple[list[str], list[str]]:
    """Statements for scalar operations, and the name of each.

    Parameters
    ----------
    nodes : sequence of Node
    loads : dict of str
        Names of what ``"load"`` nodes read, by their detail.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.compiler.kernels import Node
    >>> double = np.dtype(float)
    >>> nodes = [Node("load", (), double, 0), Node("tanh", (0,), double)]
    >>> statements(nodes, {0: "x0"})
    (['const double t1 = tanh(x0);'], ['x0', 't1'])
    """
    lines: list[str] = []
    names: list[str] = []
    for number, node in enumerate(nodes):
        if node.op == "load":
            names.append(loads[node.detail])
        elif node.op == "constant":
            names.append(literal(node.detail, node.dtype))
        else:
            text = _expression(node, nodes, names)
            names.append(f"t{number}")
            lines.append(f"const {type_name(node.dtype)} t{number} = {text};")
    return lines, names
