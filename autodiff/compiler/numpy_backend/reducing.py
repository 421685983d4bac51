"""Lines of reductions, scans and matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.compiler.numpy_backend.elementwise import apply_ufunc, layout_of
from autodiff.compiler.numpy_backend.moving import is_compact
from autodiff.compiler.numpy_backend.planner import Handler, Planner, compact
from autodiff.compiler.numpy_backend.values import Value
from autodiff.core.arrays import as_array
from autodiff.core.memory import freeze
from autodiff.core.spec import Spec, axes_to_sum
from autodiff.tape.entries import Entry

__all__ = [
    "clip",
    "conjugate",
    "cumsum",
    "matmul",
    "mean",
    "reduction",
    "relu",
    "unbroadcast",
    "where",
]


def reduction(ufunc: np.ufunc) -> Handler:
    """Lines of a primitive that is a ufunc's ``reduce``."""

    def handler(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
        (value,) = operands
        if not value.spec.shape:
            return False
        axis, keepdims = tuple(entry.params["axis"]), entry.params.get("keepdims", False)
        _reduce(planner, entry, value, ufunc, axis, keepdims)
        return True

    return handler


def _reduce(
    planner: Planner, entry: Entry, value: Value, ufunc: np.ufunc, axis: Any, keepdims: bool
) -> None:
    variable = entry.output
    name = planner.method(ufunc, "reduce")
    more = ", True" if keepdims else ""
    axes = None if axis == tuple(range(value.spec.ndim)) else axis[0] if len(axis) == 1 else axis
    if not variable.spec.shape:
        planner.number(variable, f"{name}({{0}}, {axes})", [value])
        return
    if not axis:
        axes = axis
    prototype = _reduced_layout(planner, value, variable.spec.dtype, axis, keepdims)
    result = planner.output(variable, prototype)
    planner.line(f"{name}({{0}}, {axes}, None, {{out}}{more})", [value], result, "buffer")


def _reduced_layout(
    planner: Planner, value: Value, dtype: np.dtype[Any], axis: Any, keepdims: bool
) -> Any:
    """Prototype of a reduction's result, in the order of memory that NumPy gives it.

    Its dtype need not be that of what is reduced: a sum of booleans is a count.
    """
    array = planner.assumed(value)
    shape = tuple(
        1 if i in axis else n for i, n in enumerate(array.shape) if keepdims or i not in axis
    )
    spec = Spec(shape, dtype)
    if compact(array) or len(shape) < 2:
        return planner.prototype(spec)
    kept = iter(range(array.ndim))
    places = [-1 if i in axis and not keepdims else next(kept) for i in range(array.ndim)]
    if keepdims:
        return planner.prototype(spec)
    made = np.nditer(
        [array, None],
        ["reduce_ok", "zerosize_ok"],
        [["readonly"], ["readwrite", "allocate"]],
        op_axes=[list(range(array.ndim)), places],
        op_dtypes=[None, dtype],
        casting="unsafe",  # no element is read
    ).operands[1]
    return planner.prototype(spec, made.strides)


def mean(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """A sum, divided."""
    (value,) = operands
    variable = entry.output
    spec = value.spec
    if not spec.shape or not spec.size or spec.dtype.char not in "fdFD":
        return False
    axis, keepdims = tuple(entry.params["axis"]), entry.params.get("keepdims", False)
    count = math.prod(spec.shape[i] for i in axis)
    divisor = spec.dtype.type(count)
    if not variable.spec.shape:
        name = planner.method(np.add, "reduce")
        axes = None if len(axis) == spec.ndim else axis
        bound = planner.bind(divisor, f"c_{count}")
        planner.number(variable, f"{name}({{0}}, {axes}) / {bound}", [value])
        return True
    _reduce(planner, entry, value, np.add, axis, keepdims)
    result = planner.value(variable)
    bound = planner.bind(freeze(as_array(divisor)), f"c_{count}")
    divide = planner.bind(np.divide, "divide")
    planner.line(f"{divide}({{out}}, {bound}, {{out}})", [], result, "effect")
    return True


def unbroadcast(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """A sum over the axes that broadcasting made."""
    (value,) = operands
    variable = entry.output
    shape = variable.spec.shape
    if value.spec.shape == shape:
        planner.alias(variable, value)
        return True
    if not value.spec.shape or value.spec.dtype != variable.spec.dtype:
        return False
    lead = value.spec.ndim - len(shape)
    if value.spec.shape[lead:] == shape:
        _reduce(planner, entry, value, np.add, tuple(range(lead)), False)
        return True
    if not shape:
        return False
    axes = axes_to_sum(value.spec.shape, shape)
    kept = (1,) * lead + shape
    name = planner.method(np.add, "reduce")
    result = planner.output(variable)
    target = planner.temporary_view(
        f"{{0}}.reshape({kept})", result, result.prototype.reshape(kept)
    )
    planner.line(f"{name}({{0}}, {axes}, None, {{1}}, True)", [value, target], result, "effect")
    return True


def matmul(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """A product into a buffer."""
    variable = entry.output
    dtype = variable.spec.dtype
    if any(value.spec.dtype != dtype or not value.spec.shape for value in operands):
        return False
    if not variable.spec.shape:
        planner.number(variable, "{0} @ {1}", operands)
        return True
    if dtype.kind == "b":
        return False
    result = planner.output(variable)
    name = planner.bind(np.matmul, "matmul")
    planner.line(f"{name}({{0}}, {{1}}, {{out}})", operands, result, "buffer")
    return True


def cumsum(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """A running sum into a buffer."""
    (value,) = operands
    variable = entry.output
    if not variable.spec.shape or variable.spec.dtype != value.spec.dtype:
        return False
    if not is_compact(planner, value):
        return False
    result = planner.output(variable)
    name = planner.method(np.add, "accumulate")
    text = f"{name}({{0}}, {entry.params['axis']}, None, {{out}})"
    planner.line(text, [value], result, "buffer")
    return True


def where(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """One of two copied over the other, where the condition holds."""
    condition, x, y = operands
    variable = entry.output
    spec = variable.spec
    if not spec.shape or condition.spec.dtype != np.bool_:
        return False
    if _joint_dtype(x, y) != spec.dtype:
        return False
    shapes = [value.spec.shape for value in operands]
    if np.broadcast_shapes(*shapes) != spec.shape:
        return False
    prototype = layout_of(planner, operands, spec)
    copyto = planner.bind(np.copyto, "copyto")
    result = planner.over(variable, [y] if y is not x else [], prototype)
    if not (y.is_static and result.storages == y.storages):
        planner.line(f"{copyto}({{out}}, {{0}})", [y.source or y], result, "effect", True)
    text = f"{copyto}({{out}}, {{0}}, where={{1}})"
    planner.line(text, [x.source or x, condition], result, "effect", True)
    return True


def _joint_dtype(x: Value, y: Value) -> Any:
    given = [
        value.literal
        if value.is_constant and type(value.literal) in (int, float, complex)
        else value.spec.dtype
        for value in (x, y)
    ]
    return np.result_type(*given)


def clip(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """Limited into a buffer."""
    variable = entry.output
    if not variable.spec.shape:
        return False
    shapes = [value.spec.shape for value in operands]
    if np.broadcast_shapes(*shapes) != variable.spec.shape:
        return False
    prototype = layout_of(planner, operands, variable.spec)
    result = planner.output(variable, prototype)
    name = planner.bind(np.clip, "clip")
    planner.line(f"{name}({{0}}, {{1}}, {{2}}, {{out}})", operands, result, "buffer", True)
    return True


def relu(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """The larger one of a value and 0."""
    if not entry.output.spec.shape:
        return False
    zero = Value(Spec((), np.dtype(int)), "0", literal=0, is_constant=True)
    return apply_ufunc(planner, entry, np.maximum, [*operands, zero])


def conjugate(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """Conjugated into a buffer."""
    if not entry.output.spec.shape:
        return False
    return apply_ufunc(planner, entry, np.conjugate, operands)
