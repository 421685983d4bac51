"""Lines of elementwise operations: ufuncs that write into a buffer."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.compiler.numpy_backend.planner import Planner, compact, plain_constant
from autodiff.compiler.numpy_backend.values import Value
from autodiff.core.arrays import as_array, is_array
from autodiff.core.memory import freeze
from autodiff.core.spec import Spec
from autodiff.tape.entries import Entry

__all__ = ["apply_ufunc", "elementwise", "layout_of"]

UFUNCS: dict[Any, np.ufunc] = {
    operator.add: np.add,
    operator.sub: np.subtract,
    operator.mul: np.multiply,
    operator.truediv: np.divide,
    operator.floordiv: np.floor_divide,
    operator.mod: np.remainder,
    operator.neg: np.negative,
    operator.pos: np.positive,
}
"""What an operator does on arrays."""

SYMBOLS: dict[Any, str] = {
    operator.add: "{0} + {1}",
    operator.sub: "{0} - {1}",
    operator.mul: "{0} * {1}",
    operator.truediv: "{0} / {1}",
    operator.floordiv: "{0} // {1}",
    operator.mod: "{0} % {1}",
    operator.pow: "{0} ** {1}",
    operator.neg: "-{0}",
}

_POWERS = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal}
"""Exponents for which an array's ``**`` is another ufunc."""


def elementwise(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """Lines of an elementwise primitive whose function is a ufunc or an operator."""
    forward = entry.primitive.forward
    if len(entry.outputs) != 1 or entry.params:
        return False
    (variable,) = entry.outputs
    if not variable.spec.shape:
        if any(value.spec.shape for value in operands):
            return False
        return _on_numbers(planner, entry, operands)
    if forward is operator.pow:
        return _power(planner, entry, operands)
    ufunc = forward if isinstance(forward, np.ufunc) else UFUNCS.get(forward)
    return ufunc is not None and apply_ufunc(planner, entry, ufunc, operands)


def _on_numbers(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    if any(value.storages for value in operands):
        return False
    forward = entry.primitive.forward
    symbol = SYMBOLS.get(forward)
    if symbol is None:
        if not isinstance(forward, np.ufunc) or forward.nout != 1:
            return False
        places = ", ".join(f"{{{i}}}" for i in range(len(operands)))
        symbol = f"{planner.bind(forward, forward.__name__)}({places})"
    elif all(type(value.literal) in (bool, int, float, complex) for value in operands):
        return False  # Python's own arithmetic is another
    planner.number(entry.output, symbol, operands)
    return True


def _power(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    base, exponent = operands
    if exponent.spec.shape:
        return apply_ufunc(planner, entry, np.power, operands)
    literal = exponent.literal
    if type(literal) not in (int, float) or base.spec.dtype.kind not in "fc":
        return False
    if literal in (0, 1):
        return False
    ufunc = _POWERS.get(literal)
    if ufunc is not None:
        return apply_ufunc(planner, entry, ufunc, operands[:1])
    return apply_ufunc(planner, entry, np.power, operands)


def apply_ufunc(planner: Planner, entry: Entry, ufunc: np.ufunc, operands: Sequence[Value]) -> bool:
    """Line ``ufunc(a, b, out)``, over an operand that dies here where there is one."""
    variable = entry.output
    loop = loop_dtypes(ufunc, operands)
    if loop is None or loop[-1] != variable.spec.dtype:
        return False
    shapes = [value.spec.shape for value in operands]
    try:
        if np.broadcast_shapes(*shapes) != variable.spec.shape:
            return False
    except ValueError:
        return False
    prototype = layout_of(planner, operands, variable.spec)
    result = planner.over(variable, operands, prototype)
    taken = [_taken(planner, value, dtype) for value, dtype in zip(operands, loop, strict=False)]
    name = planner.bind(ufunc, ufunc.__name__)
    places = ", ".join(f"{{{i}}}" for i in range(len(taken)))
    keyword = "out=" if ufunc in _BY_KEYWORD else ""
    planner.line(f"{name}({places}, {keyword}{{out}})", taken, result, "buffer", True)
    planner.lines[-1].fills = _covers(taken, variable.spec)
    return True


_BY_KEYWORD = (np.maximum, np.minimum)
"""Ufuncs that do not like a third argument by position."""


def loop_dtypes(ufunc: np.ufunc, operands: Sequence[Value]) -> tuple[np.dtype[Any], ...] | None:
    """Dtypes that NumPy computes these operands in, and gives; None where it would not."""
    if ufunc.nout != 1 or ufunc.nin != len(operands) or ufunc.signature is not None:
        return None
    given: list[Any] = []
    for value in operands:
        kind = type(value.literal)
        weak = value.is_constant and kind in (int, float, complex)
        given.append(kind if weak else value.spec.dtype)
    try:
        return tuple(ufunc.resolve_dtypes((*given, None)))
    except (TypeError, OverflowError):
        return None


def _taken(planner: Planner, value: Value, dtype: np.dtype[Any]) -> Value:
    """Operand as the line takes it: without axes, where that is all there is to it.

    A number that is a constant is taken as an array, which is quicker.
    """
    value = value.source or value
    if not value.is_constant or dtype.kind not in "fc" or not plain_constant(value):
        return value
    literal = value.literal
    if value.spec.shape:
        # One number in every place, as the cotangent of a sum
        if not value.spec.size or any(value.prototype.strides):
            return value
        literal = literal[(0,) * literal.ndim]
    if is_array(literal) and literal.dtype != dtype:
        return value
    with np.errstate(all="ignore"):
        array = freeze(as_array(literal, dtype))
    return planner.shared_constant(array, f"c_{_worded(literal)}")


def _worded(number: Any) -> str:
    text = f"{number:g}" if isinstance(number, (int, float)) else "z"
    return text.replace(".", "p").replace("-", "m").replace("+", "")


def _covers(operands: Sequence[Value], spec: Spec) -> bool:
    return np.broadcast_shapes(*[value.spec.shape for value in operands]) == spec.shape


def layout_of(planner: Planner, operands: Sequence[Value], spec: Spec) -> Any:
    """Prototype of what NumPy makes of these operands: their order of memory."""
    arrays = [planner.assumed(value) for value in operands if value.spec.shape]
    if all(compact(array) for array in arrays):
        return planner.prototype(spec)
    flags: list[Any] = [*[["readonly"] for _ in arrays], ["writeonly", "allocate"]]
    made = np.nditer(
        [*arrays, None],
        ["zerosize_ok"],
        flags,
        op_dtypes=[*[array.dtype for array in arrays], spec.dtype],
    ).operands[-1]
    return planner.prototype(spec, made.strides)
