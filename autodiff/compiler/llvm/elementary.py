"""Elementary functions: which are written here, and which C's library computes.

Those written here are functions of LLVM that are inlined, and have no branches, so that loops over
them become loops over vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autodiff.compiler.llvm import exponentials, gaussian, logarithms, powers, trigonometry
from autodiff.compiler.llvm.types import BOOL, F32, F64, Kind
from autodiff.compiler.llvm.writer import Function, Module, Value

__all__ = ["NAMES", "OWN", "call"]

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

OWN: dict[str, Callable[[Value], Value]] = {
    "cosh": exponentials.cosh,
    "erf": gaussian.erf,
    "erfc": gaussian.erfc,
    "exp": exponentials.exp,
    "exp2": exponentials.exp2,
    "expit": exponentials.expit,
    "expm1": exponentials.expm1,
    "log": logarithms.log,
    "log10": logarithms.log10,
    "log1p": logarithms.log1p,
    "log2": logarithms.log2,
    "ndtr": gaussian.ndtr,
    "sinh": exponentials.sinh,
    "tanh": exponentials.tanh,
}
"""Functions without branches."""

GUARDED: dict[str, tuple[Callable[..., Value], Callable[..., Value]]] = {
    "cos": (trigonometry.cos, trigonometry.is_hard),
    "power": (powers.power, powers.is_hard),
    "sin": (trigonometry.sin, trigonometry.is_hard),
}
"""Functions without branches for most arguments, and which arguments are left to C's library."""

NAMES = frozenset(_LIBM) | frozenset(OWN)

_PURE = "nounwind willreturn memory(none)"


def call(op: str, *args: Value) -> Value:
    """The value of an elementary function."""
    x = args[0]
    fn = x.function
    if op in OWN:
        name = f"autodiff_{op}_{x.kind.name}"
        if name not in fn.module.functions:
            own = Function(fn.module, name, x.kind.name, [(x.kind, "x")], "alwaysinline nounwind")
            own.finish(OWN[op](own.parameters[0]))
        return fn.call(x.kind, name, args, after="" if fn.inlines else " noinline")
    if op in GUARDED:
        name, group = _guarded(fn.module, op, x.kind, len(args))
        return fn.call(x.kind, name, args, after=f" {group}")
    return _by_libm(op, *args)


def _by_libm(op: str, *args: Value) -> Value:
    x = args[0]
    module = x.function.module
    name = _LIBM[op] + ("f" if x.kind is F32 else "")
    group = module.attribute_group(_PURE)
    module.declare(name, x.kind.name, [x.kind.name] * len(args), group)
    return x.function.call(x.kind, name, args)


def _guarded(module: Module, op: str, kind: Kind, arity: int) -> tuple[str, str]:
    """Name of a function that has variants for vectors, and attributes of calls that say so."""
    name = f"autodiff_{op}_{kind.name}"
    lanes = sorted({module.vector_bytes // kind.size, module.vector_bytes // F64.size} - {1})
    mangled = ",".join(f"_ZGV_LLVM_N{count}{'v' * arity}_{name}({name}_{count})" for count in lanes)
    group = module.attribute_group(f'{_PURE} "vector-function-abi-variant"="{mangled}"')
    if name not in module.functions:
        _write_guarded(module, op, name, kind, arity)
        for count in lanes:
            _write_guarded(module, op, f"{name}_{count}", kind.vector(count), arity)
            module.used.append(f"{name}_{count}")
    return name, group


def _write_guarded(module: Module, op: str, name: str, kind: Kind, arity: int) -> None:
    parameters = [(kind, f"x{number}") for number in range(arity)]
    fn = Function(module, name, kind.name, parameters, f"noinline {_PURE}")
    quick, is_hard = GUARDED[op]
    args = fn.parameters
    hard = is_hard(*args)
    result = quick(*args)
    some = hard
    if kind.lanes > 1:
        reduce = f"llvm.vector.reduce.or.{hard.kind.suffix}"
        module.declare(reduce, BOOL.name, [hard.kind.name])
        some = fn.call(BOOL, reduce, [hard])
    before = fn.block
    number = fn.fresh()
    fn.line(f"br i1 {some.name}, label %hard{number}, label %end{number}")
    fn.label(f"hard{number}")
    exact = _lane_by_lane(op, args)
    exact = hard.where(exact, result)
    fn.line(f"br label %end{number}")
    fn.label(f"end{number}")
    both = f"[ {result.name}, %{before} ], [ {exact.name}, %hard{number} ]"
    fn.finish(fn.value(kind, f"phi {kind.name} {both}"))


def _lane_by_lane(op: str, args: Sequence[Value]) -> Value:
    kind = args[0].kind
    fn = args[0].function
    if kind.lanes == 1:
        return _by_libm(op, *args)
    scalar = F32 if kind.size == F32.size else F64
    total = Value(fn, kind, "poison")
    for lane in range(kind.lanes):
        parts = [fn.value(scalar, f"extractelement {kind.name} {x.name}, i64 {lane}") for x in args]
        part = _by_libm(op, *parts)
        text = f"insertelement {kind.name} {total.name}, {scalar.name} {part.name}, i64 {lane}"
        total = fn.value(kind, text)
    return total
