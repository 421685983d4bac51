"""Primitives that move, reduce and multiply arrays, by ONNX's operators."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import DTypeLike

from autodiff.core.spec import Shape
from autodiff.export.elementwise import Rule
from autodiff.export.writer import Operation, Refused, Value, Writer

__all__ = ["ARRAYS"]

# --- shapes -----------------------------------------------------------------------------------


def _reshape(w: Writer, operation: Operation) -> Value:
    return w.reshape(operation.inputs[0], operation.shape)


def _transpose(w: Writer, operation: Operation) -> Value:
    return w.transpose(operation.inputs[0], operation.params["axes"])


def _broadcast_to(w: Writer, operation: Operation) -> Value:
    return w.expand(operation.inputs[0], operation.shape)


def _unbroadcast(w: Writer, operation: Operation) -> Value:
    (x,) = operation.inputs
    shape = operation.shape
    lead = len(x.shape) - len(shape)
    axes = [
        axis
        for axis, length in enumerate(x.shape)
        if axis < lead or (shape[axis - lead] == 1 and length != 1)
    ]
    x = w.cast(x, operation.dtype)
    if axes:
        x = w.node("ReduceSum", x, w.integers(axes), keepdims=1)
    return w.reshape(x, shape)


def _concatenate(w: Writer, operation: Operation) -> Value:
    pieces = [w.cast(value, operation.dtype) for value in operation.inputs]
    return w.node("Concat", *pieces, axis=operation.params["axis"])


def _stack(w: Writer, operation: Operation) -> Value:
    axis = operation.params["axis"] % len(operation.shape)
    pieces = [
        w.node("Unsqueeze", w.cast(value, operation.dtype), w.integers([axis]))
        for value in operation.inputs
    ]
    return w.node("Concat", *pieces, axis=axis)


def _pad_zeros(w: Writer, operation: Operation) -> Value:
    widths = operation.params["widths"]
    if not widths:
        return operation.inputs[0]
    ends = [before for before, _ in widths] + [after for _, after in widths]
    return w.node("Pad", operation.inputs[0], w.integers(ends))


# --- reductions -------------------------------------------------------------------------------


def _axes(operation: Operation) -> tuple[Shape, int]:
    ndim = len(operation.inputs[0].shape)
    axis = operation.params["axis"]
    given = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple([each % ndim for each in given]), int(bool(operation.params.get("keepdims")))


def _reduced(operator: str, inner: DTypeLike | None = None) -> Rule:
    """A reduction in the result's dtype, or in another that is cast at the end."""

    def rule(w: Writer, operation: Operation) -> Value:
        axes, keepdims = _axes(operation)
        dtype = operation.dtype if inner is None else np.dtype(inner)
        x = w.cast(operation.inputs[0], dtype)
        if axes:
            x = w.node(operator, x, w.integers(axes), keepdims=keepdims)
        return w.cast(x, operation.dtype)

    return rule


def _extremum(operator: str) -> Rule:
    """The largest or smallest; truth values are compared as numbers."""
    plain, as_numbers = _reduced(operator), _reduced(operator, np.int32)
    return lambda w, operation: (as_numbers if operation.dtype == bool else plain)(w, operation)


def _mean(w: Writer, operation: Operation) -> Value:
    """Half precision is added up in single precision, as NumPy does."""
    wide = np.float32 if operation.dtype == np.float16 else None
    return _reduced("ReduceMean", wide)(w, operation)


def _truth(operator: str) -> Rule:
    """Whether any or all are not 0, as numbers."""

    def rule(w: Writer, operation: Operation) -> Value:
        axes, keepdims = _axes(operation)
        x = w.cast(w.cast(operation.inputs[0], bool), np.int32)
        if axes:
            x = w.node(operator, x, w.integers(axes), keepdims=keepdims)
        return w.cast(x, operation.dtype)

    return rule


def _count_nonzero(w: Writer, operation: Operation) -> Value:
    axes, keepdims = _axes(operation)
    x = w.cast(w.cast(operation.inputs[0], bool), np.int64)
    return w.node("ReduceSum", x, w.integers(axes), keepdims=keepdims) if axes else x


def _place(operator: str) -> Rule:
    def rule(w: Writer, operation: Operation) -> Value:
        (x,) = operation.inputs
        axis = operation.params["axis"]
        if x.dtype == bool:
            x = w.cast(x, np.int32)
        if axis is None:
            x, axis = w.reshape(x, (int(np.prod(x.shape)),)), 0
        found = w.node(operator, x, axis=axis, keepdims=int(bool(operation.params.get("keepdims"))))
        return w.reshape(found, operation.shape) if operation.params["axis"] is None else found

    return rule


def _cumsum(w: Writer, operation: Operation) -> Value:
    x = w.cast(operation.inputs[0], operation.dtype)
    return w.node("CumSum", x, w.constant(operation.params["axis"], np.int64))


def _argsort(w: Writer, operation: Operation) -> Value:
    """Equal values keep their order: ONNX says so of its TopK."""
    (x,) = operation.inputs
    axis = operation.params["axis"]
    x = w.cast(x, np.int32) if x.dtype == bool else x
    count = w.integers([operation.shape[axis]])
    return w.node("TopK", x, count, axis=axis, largest=0, sorted=1)


# --- products ---------------------------------------------------------------------------------


def _matmul(w: Writer, operation: Operation) -> Value:
    return w.node("MatMul", *[w.cast(value, operation.dtype) for value in operation.inputs])


def _einsum(w: Writer, operation: Operation) -> Value:
    operands = [w.cast(value, operation.dtype) for value in operation.inputs]
    return w.node("Einsum", *operands, equation=operation.params["subscripts"].replace(" ", ""))


def _euclidean_norm(w: Writer, operation: Operation) -> Value:
    axes, keepdims = _axes(operation)
    return w.node("ReduceL2", operation.inputs[0], w.integers(axes), keepdims=keepdims)


def _det(w: Writer, operation: Operation) -> Value:
    return w.node("Det", w.cast(operation.inputs[0], operation.dtype))


def _convolve(w: Writer, operation: Operation) -> Value:
    """ONNX's convolution does not mirror the second array: it is mirrored before."""
    x, kernel = [w.cast(value, operation.dtype) for value in operation.inputs]
    mode = operation.params["mode"]
    if mode not in ("full", "valid"):
        raise Refused(f"mode {mode!r} is none of 'full' and 'valid'")
    count = len(kernel.shape)
    if count > 3:
        raise Refused("it has more than three axes")
    axes = w.integers(range(count))
    backwards = w.node(
        "Slice",
        kernel,
        w.integers([-1] * count),
        w.integers([-length - 1 for length in kernel.shape]),
        axes,
        w.integers([-1] * count),
    )
    margins = [length - 1 if mode == "full" else 0 for length in kernel.shape]
    found = w.node(
        "Conv",
        w.reshape(x, (1, 1, *x.shape)),
        w.reshape(backwards, (1, 1, *kernel.shape)),
        kernel_shape=list(kernel.shape),
        pads=margins * 2,
    )
    return w.reshape(found, operation.shape)


ARRAYS: Mapping[str, Rule] = {
    "ops.linalg.contractions.einsum": _einsum,
    "ops.linalg.contractions.matmul": _matmul,
    "ops.linalg.norms.euclidean_norm": _euclidean_norm,
    "ops.linalg.products.convolve": _convolve,
    "ops.linalg.solvers.det": _det,
    "ops.reduce.all": _truth("ReduceMin"),
    "ops.reduce.any": _truth("ReduceMax"),
    "ops.reduce.argmax": _place("ArgMax"),
    "ops.reduce.argmin": _place("ArgMin"),
    "ops.reduce.count_nonzero": _count_nonzero,
    "ops.reduce.cumsum": _cumsum,
    "ops.reduce.max": _extremum("ReduceMax"),
    "ops.reduce.mean": _mean,
    "ops.reduce.min": _extremum("ReduceMin"),
    "ops.reduce.prod": _reduced("ReduceProd"),
    "ops.reduce.sum": _reduced("ReduceSum"),
    "ops.shape.broadcast_to": _broadcast_to,
    "ops.shape.concatenate": _concatenate,
    "ops.shape.pad_zeros": _pad_zeros,
    "ops.shape.reshape": _reshape,
    "ops.shape.stack": _stack,
    "ops.shape.transpose": _transpose,
    "ops.shape.unbroadcast": _unbroadcast,
    "ops.sorting.argsort": _argsort,
    "scipy.signal.convolution.convolve_nd": _convolve,
}
"""Rules by the module that declares the primitive, without ``autodiff.``, and its name."""
