"""The array API's functions that ``np.linalg`` also offers: matrices in the last two axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.spec import normalize_axes, spec_of
from autodiff.ops import elementwise as ew
from autodiff.ops import rearrange
from autodiff.ops.linalg.contractions import matmul, outer_, tensordot_
from autodiff.ops.linalg.matrices import as_matrices, conj
from autodiff.ops.operands import operands
from autodiff.ops.protocol import implements
from autodiff.ops.reduce import sum as sum_over
from autodiff.ops.shape import matrix_transpose_, moveaxis_

__all__ = ["cross_", "diagonal_", "trace_", "vecdot_"]

implements(np.linalg.tensordot)(tensordot_)
implements(np.linalg.matrix_transpose)(matrix_transpose_)


@implements(np.linalg.matmul)
def matmul_(x1: Any, x2: Any, /) -> Any:
    """``np.linalg.matmul``."""
    return matmul(x1, x2)


@implements(np.linalg.outer)
def outer_of_vectors(x1: Any, x2: Any, /) -> Any:
    """``np.linalg.outer``: of vectors only."""
    shapes = spec_of(x1).shape, spec_of(x2).shape
    if any(len(shape) != 1 for shape in shapes):
        raise ValueError(f"outer: needs two vectors, got shapes {shapes[0]} and {shapes[1]}")
    return outer_(x1, x2)


@implements(np.linalg.diagonal)
def diagonal_(x: Any, /, *, offset: int = 0) -> Any:
    """``np.linalg.diagonal``: of the matrices in the last two axes."""
    return rearrange.diagonal_(as_matrices("diagonal", x), offset, -2, -1)


@implements(np.linalg.trace)
def trace_(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """``np.linalg.trace``: of the matrices in the last two axes."""
    diagonal = diagonal_(x, offset=offset)
    if dtype is not None:
        diagonal = ew.convert.call(diagonal, dtype=np.dtype(dtype))
    return sum_over(diagonal, axis=(len(diagonal.shape) - 1,))


@implements(np.linalg.vecdot)
def vecdot_(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """``np.linalg.vecdot``: sum of conj(x1) x2 along an axis."""
    x1, x2 = operands(x1, x2)
    (first,) = normalize_axes(axis, len(x1.shape), "vecdot")
    (second,) = normalize_axes(axis, len(x2.shape), "vecdot")
    x1, x2 = moveaxis_(x1, first, -1), moveaxis_(x2, second, -1)
    if x1.shape[-1] != x2.shape[-1]:
        raise ValueError(
            f"vecdot: vectors of length {x1.shape[-1]} and {x2.shape[-1]} along axis {axis}"
        )
    product = conj(x1) * x2
    return sum_over(product, axis=(len(product.shape) - 1,))


@implements(np.linalg.cross)
def cross_(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """``np.linalg.cross``: of vectors of length 3."""
    x1, x2 = operands(x1, x2)
    (first,) = normalize_axes(axis, len(x1.shape), "cross")
    (second,) = normalize_axes(axis, len(x2.shape), "cross")
    x1, x2 = moveaxis_(x1, first, -1), moveaxis_(x2, second, -1)
    if x1.shape[-1] != 3 or x2.shape[-1] != 3:
        raise ValueError(
            f"cross: needs vectors of length 3, got {x1.shape[-1]} and {x2.shape[-1]} along axis "
            f"{axis}"
        )
    after, before = np.array([1, 2, 0]), np.array([2, 0, 1])
    product = x1[..., after] * x2[..., before] - x1[..., before] * x2[..., after]
    return moveaxis_(product, -1, axis)
