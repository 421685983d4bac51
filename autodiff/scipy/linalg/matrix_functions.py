"""Functions of matrices: exponential, logarithm, square root (Higham 2008)."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from autodiff.core.arrays import as_array
from autodiff.core.declare import primitive
from autodiff.errors import NonDifferentiableError
from autodiff.ops import structures
from autodiff.ops.linalg.contractions import mT
from autodiff.ops.linalg.matrices import batch_stack, square_matrices, stack_size
from autodiff.scipy.linalg.inputs import refuse_half, same_precision, square
from autodiff.scipy.linalg.sylvester import sylvester

__all__ = ["expm", "logm", "sqrtm"]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_linalg: Any = scipy.linalg


def _off_diagonal(function: Any, a: Any, direction: Any) -> Any:
    """Derivative of a matrix function at `a` in a direction.

    It is the upper right block of f([[a, direction], [0, a]]) (Higham 2008, theorem 3.6).
    """
    n = a.shape[-1]
    top = np.concatenate([a, direction], axis=-1)
    bottom = np.concatenate([0.0 * a, a], axis=-1)
    return function(np.concatenate([top, bottom], axis=-2))[..., :n, n:]


def _matrix_cost(factor: int) -> Any:
    return lambda x_spec: factor * stack_size(x_spec) * x_spec.shape[-1] ** 3


def _each(function: Any, x: Any) -> Any:
    """Apply a function of one matrix to a stack."""
    if x.ndim == 2:
        return same_precision(as_array(function(x)), x)
    flat = x.reshape(-1, *x.shape[-2:])
    rows = [as_array(function(matrix)) for matrix in flat]
    result = np.stack(rows) if rows else np.empty_like(flat)
    return same_precision(result.reshape(x.shape), x)


@primitive(
    name="expm",
    vjp_x=lambda g, x: _off_diagonal(_expm, mT(x), g),
    jvp_x=lambda t, x: _off_diagonal(_expm, x, t),
    batch=batch_stack(lambda: _expm),
    cost=_matrix_cost(40),
    sample=square_matrices((2, 2), (2, 2, 2)),
    pattern=structures.stacks,
)
def _expm(x: Any) -> Any:
    """Exponential of square matrices."""
    refuse_half("expm", x)
    return same_precision(scipy_linalg.expm(x), x)


@primitive(
    name="logm",
    vjp_x=lambda g, x: _off_diagonal(_logm, mT(x), g),
    jvp_x=lambda t, x: _off_diagonal(_logm, x, t),
    batch=batch_stack(lambda: _logm),
    cost=_matrix_cost(80),
    sample=square_matrices((2, 2), (2, 2, 2)),
    pattern=structures.stacks,
)
def _logm(x: Any) -> Any:
    """Principal logarithm of square matrices."""
    refuse_half("logm", x)
    # In double precision: in single, SciPy's own check of the result warns of its rounding.
    return _each(scipy_linalg.logm, x.astype(np.result_type(x, np.float64))).astype(
        x.dtype, copy=False
    )


@primitive(
    name="sqrtm",
    vjp_x=lambda g, out: sylvester(mT(out), mT(out), g),
    jvp_x=lambda t, out: sylvester(out, out, t),
    batch=batch_stack(lambda: _sqrtm),
    cost=_matrix_cost(30),
    sample=square_matrices((2, 2), (2, 2, 2)),
    pattern=structures.stacks,
)
def _sqrtm(x: Any) -> Any:
    """Principal square root of square matrices; out dx + dx out = dA."""
    refuse_half("sqrtm", x)
    return _each(scipy_linalg.sqrtm, x)


def expm(a: Any) -> Any:
    """Exponential of square matrices.

    Parameters
    ----------
    a : array or Tensor, shape (..., n, n)

    Raises
    ------
    LinAlgError
        The matrices are not square.

    Examples
    --------
    >>> import numpy as np
    >>> expm(np.array([[0.0, 1.0], [0.0, 0.0]]))
    array([[1., 1.],
           [0., 1.]])
    """
    return _expm(square("expm", a))


def logm(a: Any, disp: bool | None = None) -> Any:
    """Principal logarithm of square matrices without eigenvalues on the closed negative axis.

    Raises
    ------
    LinAlgError
        The matrices are not square.
    NonDifferentiableError
        ``disp=False``, which also asks for an estimate of the error.
    """
    if disp is False:
        raise NonDifferentiableError("logm: disp=False is not supported; leave it out")
    return _logm(square("logm", a))


def sqrtm(a: Any) -> Any:
    """Principal square root of square matrices without eigenvalues on the closed negative axis.

    Raises
    ------
    LinAlgError
        The matrices are not square.
    """
    return _sqrtm(square("sqrtm", a))
