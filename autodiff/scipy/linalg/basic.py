"""NumPy's functions, under SciPy's names and with SciPy's conventions."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.spec import spec_of
from autodiff.ops.linalg.matrices import as_matrices
from autodiff.ops.operands import operand, operands
from autodiff.scipy.linalg.inputs import columns_of, first_column, floating, square

__all__ = ["det", "inv", "norm", "pinv", "solve"]


def inv(a: Any) -> Any:
    """Inverse of square matrices."""
    return np.linalg.inv(square("inv", a))


def det(a: Any) -> Any:
    """Determinant of square matrices."""
    return np.linalg.det(square("det", a))


def pinv(a: Any) -> Any:
    """Pseudo-inverse of matrices, with SciPy's tolerance: the larger side times the precision."""
    a = as_matrices("pinv", operand(a))
    spec = spec_of(a)
    return np.linalg.pinv(a, rcond=max(spec.shape[-2:]) * float(np.finfo(spec.dtype).eps))


def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Norm of a vector or matrix, as ``np.linalg.norm``."""
    return np.linalg.norm(floating(a), ord, axis, keepdims)


def solve(a: Any, b: Any) -> Any:
    """Solve a x = b; `b` has shape (n,) or (..., n, k)."""
    a, b = operands(a, b)
    a = square("solve", a)
    columns, is_vector = columns_of("solve", b, spec_of(a).shape[-1])
    x = np.linalg.solve(a, columns)
    return first_column(x) if is_vector else x
