"""Elementary functions."""

from __future__ import annotations

from autodiff.compiler.llvm.types import F32
from autodiff.compiler.llvm.writer import Value

__all__ = ["NAMES", "call"]

_LIBM = {
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "power": "pow",
    **{
        name: name
        for name in (
            *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan"),
            *("sinh", "cosh", "tanh", "fmod", "hypot", "cbrt", "erf", "erfc"),
        )
    },
}
"""Names in C's library."""

NAMES = frozenset(_LIBM) | {"expit"}


def call(op: str, *args: Value) -> Value:
    """The value of an elementary function."""
    x = args[0]
    if op == "expit":
        return 1.0 / (1.0 + call("exp", -x))
    name = _LIBM[op] + ("f" if x.kind is F32 else "")
    group = x.function.module.attribute_group("nounwind willreturn memory(none)")
    x.function.module.declare(name, x.kind.name, [x.kind.name] * len(args), group)
    return x.function.call(x.kind, name, args)
