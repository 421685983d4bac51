"""Scalar operations: what a NumPy ufunc does to one element, as instructions.

The meaning is NumPy's to NaN, infinities and signs of zero. Integers wrap around; their division by
zero gives 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.compiler.llvm import elementary
from autodiff.compiler.llvm.types import BOOL, F32, F64, I32, I64, Kind, kind_of
from autodiff.compiler.llvm.writer import Function, Value

__all__ = ["apply", "cast", "combined", "neutral", "supports"]


def _greater(x: Value, y: Value) -> Value:
    return ((x > y) | x.is_nan()).where(x, y) if x.kind.floating else (x > y).where(x, y)


def _smaller(x: Value, y: Value) -> Value:
    return ((x < y) | x.is_nan()).where(x, y) if x.kind.floating else (x < y).where(x, y)


def _truth(x: Value) -> Value:
    return x if x.kind is BOOL else x.differs(0)


def _absolute(x: Value) -> Value:
    if x.kind.floating:
        return x.function.intrinsic("fabs", x)
    return (x < 0).where(-x, x) if x.kind.signed else x


def _sign(x: Value) -> Value:
    if not x.kind.signed:
        return x.differs(0).where(x.like(1), 0)
    other = x.equals(0).where(x.like(0), x) if x.kind.floating else x.like(0)
    return (x > 0).where(x.like(1), (x < 0).where(x.like(-1), other))


# --- Division ------------------------------------------------------------------------------------


def _divided(x: Value, y: Value) -> tuple[Value, Value, Value]:
    """Quotient and remainder of integers towards zero, and whether they are meant (y is not 0)."""
    meant = y.differs(0)
    if not x.kind.signed:
        safe = meant.where(y, 1)
        return x.operate("udiv", safe), x.operate("urem", safe), meant
    # The least integer by -1 is beyond the greatest; negation wraps around as NumPy does
    by_minus_one = y.equals(-1)
    safe = (meant & by_minus_one.operate("xor", 1)).where(y, 1)
    quotient = by_minus_one.where(-x, x.operate("sdiv", safe))
    return quotient, by_minus_one.where(x.like(0), x.operate("srem", safe)), meant


def _floor_divide(x: Value, y: Value) -> Value:
    if x.kind.floating:
        return _float_divmod(x, y)[0]
    quotient, rest, meant = _divided(x, y)
    if x.kind.signed:
        below = rest.differs(0) & ((rest ^ y) < 0)
        quotient = below.where(quotient - 1, quotient)
    return meant.where(quotient, 0)


def _remainder(x: Value, y: Value) -> Value:
    if x.kind.floating:
        return _float_divmod(x, y)[1]
    _, rest, meant = _divided(x, y)
    if x.kind.signed:
        rest = (rest.differs(0) & ((rest ^ y) < 0)).where(rest + y, rest)
    return meant.where(rest, 0)


def _fmod(x: Value, y: Value) -> Value:
    if x.kind.floating:
        return elementary.call("fmod", x, y)
    _, rest, meant = _divided(x, y)
    return meant.where(rest, 0)


def _float_divmod(x: Value, y: Value) -> tuple[Value, Value]:
    # As NumPy's npy_divmod, step by step
    rest = elementary.call("fmod", x, y)
    quotient = (x - rest) / y
    opposite = rest.differs(0) & ((y < 0) ^ (rest < 0))
    remainder = opposite.where(rest + y, rest)
    remainder = rest.equals(0).where(x.function.intrinsic("copysign", x.like(0), y), remainder)
    quotient = opposite.where(quotient - 1, quotient)
    whole = x.function.intrinsic("floor", quotient)
    whole = (quotient - whole > 0.5).where(whole + 1, whole)
    ratio = x / y
    whole = quotient.equals(0).where(x.function.intrinsic("copysign", x.like(0), ratio), whole)
    return y.equals(0).where(ratio, whole), remainder


# --- Other operations ----------------------------------------------------------------------------


def _heaviside(x: Value, at_zero: Value) -> Value:
    step = x.equals(0).where(at_zero, (x > 0).where(x.like(1), 0))
    return x.is_nan().where(x, step)


def _logaddexp(x: Value, y: Value, exp: str, log1p: str, doubled: float) -> Value:
    gap = x - y
    larger = (gap > 0).where(x, y)
    step = elementary.call(exp, -_absolute(gap))
    # What is equal may be infinite, where the difference is NaN
    sums = gap.is_nan().where(gap, larger + elementary.call(log1p, step))
    return x.equals(y).where(x + doubled, sums)


def _logaddexp2(x: Value, y: Value) -> Value:
    gap = x - y
    larger = (gap > 0).where(x, y)
    step = elementary.call("log1p", elementary.call("exp2", -_absolute(gap)))
    sums = gap.is_nan().where(gap, larger + step * (1 / math.log(2)))
    return x.equals(y).where(x + 1.0, sums)


def _shift_left(x: Value, by: Value) -> Value:
    inside = _below(by, x.kind.bits)
    return inside.where(x << inside.where(by, 0), 0)


def _shift_right(x: Value, by: Value) -> Value:
    inside = _below(by, x.kind.bits)
    beyond = x >> (x.kind.bits - 1) if x.kind.signed else x.like(0)
    return inside.where(x >> inside.where(by, 0), beyond)


def _below(by: Value, bits: int) -> Value:
    return (by < bits) & (by >= 0) if by.kind.signed else by < bits


def _finite(x: Value) -> Value:
    if not x.kind.floating:
        return x.function.constant(BOOL, True)
    return _absolute(x) < math.inf


def _infinite(x: Value) -> Value:
    if not x.kind.floating:
        return x.function.constant(BOOL, False)
    return _absolute(x).equals(math.inf)


def _no_number(x: Value) -> Value:
    return x.is_nan() if x.kind.floating else x.function.constant(BOOL, False)


def _unary(name: str) -> Callable[[Value], Value]:
    return lambda x: x.function.intrinsic(name, x) if x.kind.floating else x


def _product(x: Value, y: Value) -> Value:
    # A sum over products may add before it rounds; nothing else has the flag to join in
    return x.operate("fmul contract", y) if x.kind.floating else x * y


_ANY: dict[str, Callable[..., Value]] = {
    "equal": lambda x, y: x.equals(y),
    "not_equal": lambda x, y: x.differs(y),
    "less": lambda x, y: x < y,
    "less_equal": lambda x, y: x <= y,
    "greater": lambda x, y: x > y,
    "greater_equal": lambda x, y: x >= y,
    "logical_and": lambda x, y: _truth(x) & _truth(y),
    "logical_or": lambda x, y: _truth(x) | _truth(y),
    "logical_xor": lambda x, y: _truth(x) ^ _truth(y),
    "logical_not": lambda x: _truth(x) ^ 1,
    "maximum": _greater,
    "minimum": _smaller,
    "isnan": _no_number,
    "isinf": _infinite,
    "isfinite": _finite,
}
"""Operations on scalars of every kind."""

_BOOLS: dict[str, Callable[..., Value]] = {
    "add": lambda x, y: x | y,
    "multiply": lambda x, y: x & y,
    "fmax": lambda x, y: x | y,
    "fmin": lambda x, y: x & y,
    "absolute": lambda x: x,
    "bitwise_and": lambda x, y: x & y,
    "bitwise_or": lambda x, y: x | y,
    "bitwise_xor": lambda x, y: x ^ y,
    "invert": lambda x: x ^ 1,
}

_NUMBERS: dict[str, Callable[..., Value]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": _product,
    "negative": lambda x: -x,
    "positive": lambda x: x,
    "square": lambda x: _product(x, x),
    "absolute": _absolute,
    "sign": _sign,
    "remainder": _remainder,
    "fmod": _fmod,
    "floor_divide": _floor_divide,
    "floor": _unary("floor"),
    "ceil": _unary("ceil"),
    "trunc": _unary("trunc"),
}
"""Operations on floats and integers."""

_INTEGERS: dict[str, Callable[..., Value]] = {
    "fmax": _greater,
    "fmin": _smaller,
    "bitwise_and": lambda x, y: x & y,
    "bitwise_or": lambda x, y: x | y,
    "bitwise_xor": lambda x, y: x ^ y,
    "invert": lambda x: ~x,
    "left_shift": _shift_left,
    "right_shift": _shift_right,
}

_FLOATS: dict[str, Callable[..., Value]] = {
    "divide": lambda x, y: x / y,
    "fabs": _absolute,
    "sqrt": _unary("sqrt"),
    "rint": _unary("roundeven"),
    "reciprocal": lambda x: 1.0 / x,
    "fmax": lambda x, y: ((x > y) | y.is_nan()).where(x, y),
    "fmin": lambda x, y: ((x < y) | y.is_nan()).where(x, y),
    "signbit": lambda x: x.bits() < 0,
    "copysign": lambda x, y: x.function.intrinsic("copysign", x, y),
    "heaviside": _heaviside,
    "deg2rad": lambda x: x * (math.pi / 180.0),
    "rad2deg": lambda x: x * (180.0 / math.pi),
    "radians": lambda x: x * (math.pi / 180.0),
    "degrees": lambda x: x * (180.0 / math.pi),
    "logaddexp": lambda x, y: _logaddexp(x, y, "exp", "log1p", math.log(2)),
    "logaddexp2": _logaddexp2,
}
"""Operations that make floats of integers."""


def _table(kind: Kind) -> dict[str, Callable[..., Value]]:
    if kind is BOOL:
        return {**_ANY, **_BOOLS}
    return {**_ANY, **_NUMBERS, **(_FLOATS if kind.floating else _INTEGERS)}


_NOT_OF_INTEGERS = {"power", "reciprocal", "signbit"}
"""Operations that NumPy has loops of their own for, or none."""

_BY_KIND = {BOOL: _table(BOOL), F64: _table(F64), I64: _table(I64)}


def _operations(kind: Kind) -> dict[str, Callable[..., Value]]:
    return _BY_KIND[BOOL if kind is BOOL else F64 if kind.floating else I64]


def supports(op: str, dtype: np.dtype[Any]) -> bool:
    """Whether there are instructions for an operation on operands of the dtype."""
    kind = kind_of(dtype)
    if kind is None:
        return False
    if op in {"load", "constant", "register", "index", "cast", "where"} or op in _operations(kind):
        return True
    # Integers become float64, as in NumPy; small ones half precision, which is not here
    if not kind.floating and (kind.size < 4 or op in _NOT_OF_INTEGERS):
        return False
    return op in _FLOATS or op in elementary.NAMES


def apply(op: str, args: Sequence[Value], kind: Kind) -> Value:
    """The result of an operation, of the kind that the node has."""
    operation = _operations(args[0].kind).get(op)
    if operation is not None:
        return operation(*args)
    floats = [x if x.kind.floating else cast(x, kind) for x in args]
    if op in _FLOATS:
        return _FLOATS[op](*floats)
    return elementary.call(op, *floats)


def cast(x: Value, kind: Kind) -> Value:
    """The value as another kind, as NumPy's astype does on this processor."""
    if x.kind == kind:
        return x
    if kind is BOOL:
        return x.differs(0)
    if x.kind.floating and kind.floating:
        return x.convert("fptrunc" if kind is F32 else "fpext", kind)
    if kind.floating:
        return x.convert("sitofp" if x.kind.signed else "uitofp", kind)
    if x.kind.floating:
        return _to_integer(x, kind)
    if kind.bits > x.kind.bits:
        return x.convert("sext" if x.kind.signed else "zext", kind)
    return x.convert("trunc" if kind.bits < x.kind.bits else "bitcast", kind)


def _to_integer(x: Value, kind: Kind) -> Value:
    # What is outside has no meaning in C, nor in LLVM, where it may spoil what surrounds it; x86
    # gives the least integer, and that is what is written here
    wide = I64 if kind.size == 8 or (kind.size == 4 and not kind.signed) else I32
    limit = 2.0 ** (wide.bits - 1)
    # float32 has no number between these limits and the ones that a smaller type has
    least = -limit if x.kind is F32 or wide is I64 else -limit - 1
    inside = (x >= -limit if least == -limit else x > least) & (x < limit)
    whole = inside.where(x, 0).convert("fptosi", wide)
    result = inside.where(whole, -(1 << (wide.bits - 1)))
    if kind.size == 8 and not kind.signed:
        above = x - limit
        beyond = (above >= 0) & (above < limit)
        high = beyond.where(above, 0).convert("fptosi", wide) ^ -(1 << 63)
        result = beyond.where(high, result)
    return cast(result, kind)


# --- Combining -----------------------------------------------------------------------------------


def combined(op: str, total: Value, value: Value) -> Value:
    """What a reduction makes of what it has and one more value; its order is free."""
    if op == "add" and total.kind.floating:
        return total.operate("fadd reassoc contract", value)
    if op == "multiply" and total.kind.floating:
        return total.operate("fmul reassoc", value)
    if op in ("maximum", "minimum") and total.kind.floating:
        return total.function.intrinsic(op, total, value)
    return apply(op, [total, value], total.kind)


def neutral(function: Function, op: str, kind: Kind) -> Value:
    """What a reduction begins with."""
    if op in ("maximum", "minimum"):
        greatest = op == "minimum"
        if kind.floating:
            return function.constant(kind, math.inf if greatest else -math.inf)
        if kind is BOOL:
            return function.constant(kind, greatest)
        bits = kind.bits - kind.signed
        least = -(1 << bits) if kind.signed else 0
        return function.constant(kind, (1 << bits) - 1 if greatest else least)
    return function.constant(kind, op in ("multiply", "logical_and"))
