"""What the functions take: matrices and right-hand sides, in a precision that LAPACK knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array
from autodiff.core.dispatch import concrete
from autodiff.core.spec import spec_of
from autodiff.ops.linalg.contractions import mT
from autodiff.ops.linalg.matrices import as_matrices, hermitian, require_square
from autodiff.ops.operands import operand

__all__ = [
    "columns_of",
    "each_matrix",
    "first_column",
    "floating",
    "matrices",
    "no_draw",
    "one_triangle",
    "refuse_half",
    "require_finite",
    "same_precision",
    "square",
    "stacked",
]


def floating(x: Any) -> Any:
    """Array or Tensor; integers become float64."""
    x = operand(x)
    if spec_of(x).dtype.kind in "iub":
        return x.astype(np.float64)
    return x


def same_precision(out: Any, *inputs: Any) -> Any:
    """The result in the precision of what went in: SciPy computes some of it in double."""
    wanted = np.result_type(*inputs)
    if out.dtype.kind == "c" and wanted.kind != "c":
        wanted = np.result_type(wanted, np.complex64)
    return out.astype(wanted, copy=False)


def refuse_half(function: str, *inputs: Any) -> None:
    """Refuse float16 by the function's name: LAPACK does not compute in it."""
    if any(x.dtype == np.float16 for x in inputs):
        raise TypeError(f"{function}: array type float16 is unsupported in linalg")


def square(name: str, a: Any) -> Any:
    """Square matrices, or a stack of them.

    Raises
    ------
    LinAlgError
        They are not square.
    """
    a = as_matrices(name, operand(a))
    require_square(name, a)
    return a


def one_triangle(a: Any, lower: bool, conjugate: bool = True) -> Any:
    """Hermitian (or symmetric) matrices of which one triangle is read."""
    if conjugate or spec_of(a).dtype.kind != "c":
        return hermitian(a, "L" if lower else "U")
    return np.tril(a) + mT(np.tril(a, -1)) if lower else np.triu(a) + mT(np.triu(a, 1))


def columns_of(function: str, b: Any, rows: int) -> tuple[Any, bool]:
    """Right-hand sides as columns, and whether there was only a vector.

    Raises
    ------
    ValueError
        Names the function and the shapes.
    """
    b = floating(b)
    shape = spec_of(b).shape
    is_vector = len(shape) == 1
    if not shape or shape[0 if is_vector else -2] != rows:
        raise ValueError(f"{function}: right-hand side of shape {shape} for {rows} equations")
    return (np.reshape(b, (*shape, 1)) if is_vector else b), is_vector


def first_column(x: Any) -> Any:
    """Solution for a right-hand side that was a vector."""
    return x[..., 0]


def require_finite(function: str, *values: Any) -> None:
    """Refuse NaN and infinity, as SciPy does unless it is told not to look."""
    for value in values:
        if not np.isfinite(concrete(value)).all():
            raise ValueError(f"{function}: an input holds NaN or infinity")


def matrices(function: str, a: Any, check_finite: bool) -> Any:
    """Matrices, or stacks of them; without NaN and infinity if that is asked for."""
    a = as_matrices(function, operand(a))
    if check_finite:
        require_finite(function, a)
    return a


def stacked(function: Any, x: Any, count: int) -> tuple[Any, ...]:
    """Results of a function of one matrix for each of a stack."""
    if x.ndim == 2:
        return tuple(as_array(part) for part in function(x))
    flat = x.reshape(-1, *x.shape[-2:])
    rows = [function(matrix) for matrix in flat]
    if not rows:
        parts = function(np.eye(*x.shape[-2:], dtype=x.dtype))
        rows_of = [np.empty((0, *part.shape), part.dtype) for part in parts]
    else:
        rows_of = [np.stack([row[i] for row in rows]) for i in range(count)]
    return tuple(part.reshape(*x.shape[:-2], *part.shape[1:]) for part in rows_of)


@contextmanager
def no_draw() -> Iterator[None]:
    """Leave NumPy's generator as it was: SciPy draws its starts of estimates of norms from it."""
    bits = np.random.mtrand.get_bit_generator()
    before = bits.state
    try:
        yield
    finally:
        bits.state = before


def each_matrix(function: Any, x: Any) -> Any:
    """Apply a function of one matrix to a stack."""
    if x.ndim == 2:
        return same_precision(as_array(function(x)), x)
    flat = x.reshape(-1, *x.shape[-2:])
    rows = [as_array(function(matrix)) for matrix in flat]
    result = np.stack(rows) if rows else np.empty_like(flat)
    return same_precision(result.reshape(x.shape), x)
