"""Norms of vectors and matrices, and the condition number.

Every norm has derivative 0 at zero, an element of its subdifferential; the largest of several equal
entries share the derivative evenly, as in ``np.max``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from autodiff.core.arrays import is_foreign, largest
from autodiff.core.declare import primitive
from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import Shape, Spec, spec_of
from autodiff.ops import elementwise as ew
from autodiff.ops import structures
from autodiff.ops.descriptions import Description, Operation
from autodiff.ops.linalg.decompositions import svd_
from autodiff.ops.linalg.matrices import as_matrices, conj, require_square
from autodiff.ops.linalg.solvers import inv
from autodiff.ops.protocol import implements
from autodiff.ops.reduce import kept_shape, max_, min_, spread
from autodiff.ops.reduce import sum as sum_over
from autodiff.ops.samples import cases
from autodiff.ops.shape import moveaxis_, reshape

__all__ = ["cond_", "euclidean_norm", "matrix_norm_", "norm_", "vector_norm_"]

Axis = int | Sequence[int] | None

# --- the Euclidean norm ---------------------------------------------------------------------------


@cache
def _smallest_length(dtype: np.dtype[Any]) -> float:
    """Length below which squares of elements that matter may underflow."""
    limits = np.finfo(dtype)
    return math.sqrt(float(limits.tiny) / float(limits.eps))


def _direction(x: Any, out: Any, x_spec: Spec, axis: Shape) -> Any:
    """conj(x) / |x|, and 0 where x is 0."""
    length = spread(out, x_spec, axis)
    known = concrete(length)
    if is_foreign(known) or not ((known >= _smallest_length(known.dtype)) & (known < np.inf)).all():
        # Squares over- or underflow: those of multiples of x that have a largest element of 1 do
        # not. Any constant factor may be taken out of a direction.
        size = np.abs(ew.stop_gradient.call(x))
        most = largest(size, axis, True)
        x = x / np.where((most > 0) & np.isfinite(most), most, 1.0)
        length = euclidean_norm(x, axis=axis, keepdims=True)
    at_zero = np.equal(length, 0)
    return np.where(at_zero, 0.0, conj(x) / np.where(at_zero, 1.0, length))


def _moved(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters past a batch axis."""
    return {**params, "axis": tuple(i + 1 for i in params["axis"])}


_samples = cases(
    (((2, 3),), {"axis": (0, 1)}),
    (((2, 3, 4),), {"axis": (1,), "keepdims": True}),
    (((2, 3, 4),), {"axis": (0, 2)}),
)


def _unless_complex(operation: Operation, position: int) -> Description | None:
    """A norm of complex numbers has no complex derivative."""
    if operation.inputs[position].dtype.kind == "c":
        return None
    return structures.one_row(operation, position)


@primitive(
    vjp_x=lambda g, x, out, x_spec, axis: (
        spread(g, x_spec, axis) * _direction(x, out, x_spec, axis)
    ),
    jvp_x=lambda t, x, out, x_spec, axis, keepdims: sum_over(
        ew.real.call(t * _direction(x, out, x_spec, axis)), axis=axis, keepdims=keepdims
    ),
    batch=lambda batched, inputs, params: euclidean_norm(*inputs, **_moved(params)),
    label="‖x‖",
    cost=lambda x_spec: 2 * x_spec.size,
    sample=_samples,
    local=_unless_complex,
    pattern=structures.reduced,
)
def euclidean_norm(x: Any, *, axis: Shape, keepdims: bool = False) -> Any:
    """Square root of the sum of squared moduli over axes; the derivative at zero is 0."""
    squares = x.real * x.real + x.imag * x.imag if x.dtype.kind == "c" else x * x
    return np.sqrt(np.sum(squares, axis=axis, keepdims=keepdims))


@primitive(
    vjp_x=lambda g, x, x_spec, axis: spread(g, x_spec, axis) * (2 * conj(x)),
    jvp_x=lambda t, x, axis, keepdims: sum_over(
        ew.real.call(t * (2 * conj(x))), axis=axis, keepdims=keepdims
    ),
    batch=lambda batched, inputs, params: squared_norm(*inputs, **_moved(params)),
    label="‖x‖²",
    cost=lambda x_spec: 2 * x_spec.size,
    sample=_samples,
    local=_unless_complex,
    pattern=structures.reduced,
)
def squared_norm(x: Any, *, axis: Shape, keepdims: bool = False) -> Any:
    """Square of the Euclidean norm, with the derivative of the sum of squares, at zero too."""
    return np.square(euclidean_norm.forward(x, axis=axis, keepdims=keepdims))


euclidean_norm.square = squared_norm

# --- norms of vectors and matrices ----------------------------------------------------------------


def _positions(axis: Any, ndim: int, function: str) -> Shape:
    """Axes in the order given, made non-negative."""
    if isinstance(axis, (tuple, list)):
        axes = tuple(axis)
    else:
        try:
            axes = (axis.__index__(),)
        except AttributeError:
            raise TypeError(
                f"{function}: axis must be None, an integer or a tuple of integers, got {axis!r}"
            ) from None
    for entry in axes:
        if not -ndim <= entry < ndim:
            raise np.exceptions.AxisError(int(entry), ndim, function)
    found = tuple(int(entry) % ndim for entry in axes)
    if len(set(found)) != len(found):
        raise ValueError(f"{function}: axis {axis!r} names an axis twice")
    return found


def _of_vectors(x: Any, order: Any, axes: Shape, keepdims: bool) -> Any:
    """Norm of all the elements along some axes together, as of a vector."""
    if isinstance(order, str):
        raise ValueError(f"norm: order {order!r} is not one of a vector's, but of a matrix's")
    if order is None or order == 2:
        return euclidean_norm(x, axis=axes, keepdims=keepdims)
    if order == 0:
        nonzero = ew.convert.call(np.not_equal(x, 0), dtype=np.finfo(x.dtype).dtype)
        return np.sum(nonzero, axis=axes, keepdims=keepdims)
    size = np.abs(x)
    if order == np.inf:
        return max_(size, axis=axes, keepdims=keepdims, initial=0)
    if order == -np.inf:
        return min_(size, axis=axes, keepdims=keepdims)
    if order == 1:
        return sum_over(size, axis=axes, keepdims=keepdims)
    total = sum_over(size**order, axis=axes, keepdims=keepdims)
    at_zero = np.equal(total, 0)
    return np.where(at_zero, 0.0, np.where(at_zero, 1.0, total) ** (1.0 / order))


def _of_matrices(x: Any, order: Any, axes: Shape, keepdims: bool) -> Any:
    """Norm of the matrices along two axes, rows first."""
    row, column = axes
    if order is None or order in ("fro", "f"):
        return euclidean_norm(x, axis=axes, keepdims=keepdims)
    if order in (2, -2, "nuc"):
        s = svd_(moveaxis_(x, (row, column), (-2, -1)), compute_uv=False)
        if order == "nuc":
            result = sum_over(s, axis=(len(s.shape) - 1,))
        else:
            result = max_(s, axis=-1, initial=0) if order == 2 else min_(s, axis=-1)
    elif order in (1, -1, np.inf, -np.inf):
        summed, left = (row, column) if abs(order) == 1 else (column, row)
        totals = sum_over(np.abs(x), axis=(summed,), keepdims=True)
        result = max_(totals, axis=left, initial=0) if order > 0 else min_(totals, axis=left)
    else:
        raise ValueError(f"norm: order {order!r} is not one of a matrix's norms")
    spec = spec_of(x)
    if keepdims:
        return reshape(result, shape=kept_shape(spec.shape, axes))
    shape = tuple(n for i, n in enumerate(spec.shape) if i not in axes)
    return reshape(result, shape=shape)


@implements(np.linalg.norm)
def norm_(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """``np.linalg.norm`` with every order and every axis.

    Order 0 counts entries that are not zero: a plain number, without a derivative.
    """
    ndim = len(x.shape)
    if axis is None:
        axes = tuple(range(ndim))
        if ord is None:
            return euclidean_norm(x, axis=axes, keepdims=keepdims)
    else:
        axes = _positions(axis, ndim, "norm")
    if len(axes) == 1:
        return _of_vectors(x, ord, axes, keepdims)
    if len(axes) == 2:
        return _of_matrices(x, ord, axes, keepdims)
    raise ValueError(
        f"norm: of one axis (a vector) or two (a matrix), got {len(axes)} axes of shape "
        f"{tuple(x.shape)}; without ord and axis any number is taken together"
    )


@implements(np.linalg.vector_norm)
def vector_norm_(x: Any, /, *, axis: Axis = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """``np.linalg.vector_norm``."""
    ndim = len(x.shape)
    axes = tuple(range(ndim)) if axis is None else _positions(axis, ndim, "vector_norm")
    return _of_vectors(x, 2 if ord is None else ord, axes, keepdims)


@implements(np.linalg.matrix_norm)
def matrix_norm_(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """``np.linalg.matrix_norm``: norms of the matrices in the last two axes."""
    as_matrices("matrix_norm", x)
    ndim = len(x.shape)
    return _of_matrices(x, ord, (ndim - 2, ndim - 1), keepdims)


@implements(np.linalg.cond)
def cond_(x: Any, p: Any = None) -> Any:
    """``np.linalg.cond``; infinite for a singular matrix, and its derivative not finite there.

    Raises
    ------
    LinAlgError
        Inside vmap, of a singular matrix, with a norm that needs the inverse (not 2, -2 or None).
    """
    x = as_matrices("cond", x)
    if p is None or p in (2, -2):
        s = svd_(x, compute_uv=False)
        largest, smallest = s[..., 0], s[..., -1]
        with np.errstate(all="ignore"):
            ratio = smallest / largest if p == -2 else largest / smallest
        return np.where(np.isnan(ratio), np.inf, ratio)
    require_square("cond", x)
    ndim = len(x.shape)
    axes = (ndim - 2, ndim - 1)
    own = _of_matrices(x, p, axes, False)
    try:
        inverse = inv(x)
    except np.linalg.LinAlgError:
        if np.shape(concrete(x)) != tuple(x.shape):
            # Inside vmap it cannot be told which of the examples is singular.
            raise
        if ndim == 2:
            return np.inf * (1 + own)
        return np.stack([cond_(x[i], p) for i in range(x.shape[0])])
    return own * _of_matrices(inverse, p, axes, False)


@implements(np.linalg.matrix_rank)
def matrix_rank_(
    A: Any,
    tol: Any = None,
    hermitian: bool = False,
    *,
    rtol: Any = None,
) -> Any:
    """``np.linalg.matrix_rank``: plain integers, without a derivative."""
    matrix = A._interpreter.expose(A, "matrix_rank") if isinstance(A, Box) else A
    return np.linalg.matrix_rank(matrix, concrete(tol), hermitian, rtol=concrete(rtol))
