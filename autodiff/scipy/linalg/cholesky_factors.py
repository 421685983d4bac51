"""Cholesky factors, and systems solved with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.ops.linalg.matrices import as_matrices
from autodiff.ops.operands import operand
from autodiff.scipy.linalg.inputs import require_finite
from autodiff.scipy.linalg.triangular import solve_triangular

__all__ = ["cho_factor", "cho_solve", "cholesky"]


def cholesky(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Any:
    """Cholesky factor, as ``scipy.linalg.cholesky``: the upper one by default."""
    a = as_matrices("cholesky", operand(a))
    if check_finite:
        require_finite("cholesky", a)
    return np.linalg.cholesky(a, upper=not lower)


def cho_factor(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Any, bool]:
    """Cholesky factor for `cho_solve`; the triangle that SciPy leaves unspecified is 0."""
    return cholesky(a, lower=lower, check_finite=check_finite), bool(lower)


def cho_solve(
    c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """Solve a x = b from the Cholesky factor of a.

    Parameters
    ----------
    c_and_lower : what `cho_factor` returned
    b : array or Tensor, shape (n,) or (..., n, k)

    Examples
    --------
    >>> import numpy as np
    >>> cho_solve(cho_factor(np.array([[4.0, 2.0], [2.0, 5.0]])), np.array([6.0, 7.0]))
    array([1., 1.])
    """
    c, lower = c_and_lower
    half = solve_triangular(c, b, 0 if lower else 2, lower, check_finite=check_finite)
    return solve_triangular(c, half, 2 if lower else 0, lower, check_finite=check_finite)
