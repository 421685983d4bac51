"""Systems with Toeplitz and circulant matrices, and products with them.

A Toeplitz matrix is linear in its diagonals, so its solver has two inputs: the vector of all
diagonals, from the upper right corner to the lower left one, and the right-hand sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from autodiff.core.arrays import as_array
from autodiff.core.declare import primitive
from autodiff.core.dispatch import concrete
from autodiff.core.spec import spec_of
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.operands import operands
from autodiff.ops.samples import Sample
from autodiff.scipy.linalg.inputs import floating, refuse_half, require_finite
from autodiff.scipy.linalg.special_matrices.construction import column_and_row, of_diagonals
from autodiff.scipy.special.declare import refuse_derivative

__all__ = ["matmul_toeplitz", "solve_circulant", "solve_toeplitz", "toeplitz_solve"]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_linalg: Any = scipy.linalg


def _square_of(diagonals: Any) -> Any:
    n = (diagonals.shape[-1] + 1) // 2
    return of_diagonals(diagonals, n, n)


def _sums_of_diagonals(matrix: Any) -> Any:
    """Adjoint of `_square_of`: rows that are one longer than the period of the sums slant them."""
    n = matrix.shape[-1]
    slanted = np.pad(matrix[:, ::-1], ((0, 0), (0, n)))
    return np.sum(np.reshape(np.ravel(slanted)[: n * (2 * n - 1)], (n, 2 * n - 1)), axis=0)


def _toeplitz_samples(rng: np.random.Generator) -> list[Sample]:
    samples = []
    for n, k in ((4, 2), (1, 1)):
        diagonals = 0.4 * rng.uniform(-1, 1, 2 * n - 1)
        diagonals[n - 1] += 2.5
        samples.append(Sample((diagonals, rng.uniform(-1, 1, (n, k))), {}))
    return samples


@primitive(
    vjp_diagonals=lambda g, diagonals, out: (
        -_sums_of_diagonals(toeplitz_solve(diagonals[::-1], g) @ out.T)
    ),
    vjp_b=lambda g, diagonals: toeplitz_solve(diagonals[::-1], g),
    jvp_diagonals=lambda t, diagonals, out: -toeplitz_solve(diagonals, _square_of(t) @ out),
    jvp_b=lambda t, diagonals: toeplitz_solve(diagonals, t),
    batch=lambda batched, inputs, params: loop_over_batch(
        lambda diagonals, b: toeplitz_solve(diagonals, b), batched, inputs
    ),
    cost=lambda b_spec: 4 * b_spec.size * b_spec.shape[0],
    sample=_toeplitz_samples,
)
def toeplitz_solve(diagonals: Any, b: Any) -> Any:
    """Solution of a x = b by Levinson's recursion, a the Toeplitz matrix of all its diagonals."""
    refuse_half("solve_toeplitz", diagonals, b)
    n = b.shape[0]
    dtype = np.result_type(diagonals, b)
    if b.size == 0:
        return np.zeros(b.shape, dtype)
    c, r = diagonals[n - 1 :], diagonals[n - 1 :: -1]
    return scipy_linalg.solve_toeplitz((c, r), b, check_finite=False).astype(dtype, copy=False)


def _parts_of_toeplitz(function: str, c_or_cr: Any, x: Any) -> tuple[Any, Any, Any]:
    """First column and row, and what the matrix meets."""
    is_pair = isinstance(c_or_cr, tuple)
    c, r, x = operands(*c_or_cr, x) if is_pair else (*operands(c_or_cr, x)[:1], None, x)
    c, r = column_and_row(function, floating(c), None if r is None else floating(r))
    if spec_of(c).ndim != 1:
        raise ValueError(f"{function}: takes one Toeplitz matrix, got c of {spec_of(c).shape}")
    return c, r, floating(x)


def solve_toeplitz(c_or_cr: Any, b: Any, check_finite: bool = True) -> Any:
    """Solve a x = b for a Toeplitz matrix, in n² operations.

    Parameters
    ----------
    c_or_cr : array or Tensor, shape (n,), or a pair of them
        First column, or first column and first row.
    b : array or Tensor, shape (n,) or (n, ...)
    check_finite : bool

    Raises
    ------
    LinAlgError
        A leading principal minor is singular: Levinson's recursion divides by them all.
    ValueError
        Shapes do not fit, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> solve_toeplitz(([2.0, 0.0], [2.0, 1.0]), np.array([4.0, 2.0]))
    array([1.5, 1. ])
    """
    c, r, b = _parts_of_toeplitz("solve_toeplitz", c_or_cr, b)
    n, shape = spec_of(c).shape[0], spec_of(b).shape
    if spec_of(r).shape[0] != n or not shape or shape[0] != n:
        raise ValueError(
            f"solve_toeplitz: c of length {n}, r of length {spec_of(r).shape[0]} and b of shape "
            f"{shape} do not fit"
        )
    if check_finite:
        require_finite("solve_toeplitz", c, r, b)
    diagonals = np.concatenate([r[:0:-1], c])
    return np.reshape(toeplitz_solve(diagonals, np.reshape(b, (n, -1 if b.size else 0))), shape)


def matmul_toeplitz(
    c_or_cr: Any, x: Any, check_finite: bool = False, workers: int | None = None
) -> Any:
    """Product of a Toeplitz matrix with vectors, by Fourier transforms.

    Parameters
    ----------
    c_or_cr : array or Tensor, shape (m,), or a pair of shapes (m,) and (n,)
        First column, or first column and first row.
    x : array or Tensor, shape (n,) or (n, k)
    check_finite : bool
    workers : int, optional
        Accepted as SciPy does: the transforms are NumPy's, and run in one thread.

    Raises
    ------
    ValueError
        Shapes do not fit, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> np.round(matmul_toeplitz(([2.0, 0.0], [2.0, 1.0]), np.array([1.5, 1.0])), 12)
    array([4., 2.])
    """
    c, r, x = _parts_of_toeplitz("matmul_toeplitz", c_or_cr, x)
    m, n, shape = spec_of(c).shape[0], spec_of(r).shape[0], spec_of(x).shape
    if len(shape) not in (1, 2) or shape[0] != n:
        raise ValueError(f"matmul_toeplitz: x has shape {shape}; the matrix has {n} columns")
    if check_finite:
        require_finite("matmul_toeplitz", c, r, x)
    if 0 in (m, n, *shape):
        return np.zeros((m, *shape[1:]), np.result_type(c, r, x))
    columns = np.reshape(x, (n, -1))
    period = m + n - 1
    around = np.concatenate([c, r[:0:-1]])[:, None]
    if "c" in {spec_of(part).dtype.kind for part in (around, columns)}:
        product: Any = np.fft.ifft(
            np.fft.fft(around, axis=0) * np.fft.fft(columns, period, axis=0), axis=0
        )
    else:
        product = np.fft.irfft(
            np.fft.rfft(around, axis=0) * np.fft.rfft(columns, period, axis=0), period, axis=0
        )
    return np.reshape(product[:m], (m, *shape[1:]))


def solve_circulant(
    c: Any,
    b: Any,
    singular: str = "raise",
    tol: float | None = None,
    caxis: int = -1,
    baxis: int = 0,
    outaxis: int = 0,
) -> Any:
    """Solve a x = b for circulant matrices, by Fourier transforms.

    Parameters
    ----------
    c : array or Tensor
        First columns along `caxis`.
    b : array or Tensor
        Right-hand sides along `baxis`; the other axes broadcast with those of `c`.
    singular : {"raise", "lstsq"}
        What to do about a matrix that is nearly singular.
    tol : float, optional
        Eigenvalues up to it count as 0.
    caxis, baxis, outaxis : int

    Raises
    ------
    LinAlgError
        A matrix is nearly singular, and ``singular="raise"``.
    ValueError
        Shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> np.round(solve_circulant([2.0, 1.0, 0.0], np.array([3.0, 3.0, 3.0])), 12)
    array([1., 1., 1.])
    """
    c, b = operands(c, b)
    c, b = np.atleast_1d(floating(c)), np.atleast_1d(floating(b))
    refuse_derivative("solve_circulant", tol=tol)
    c, b = np.moveaxis(c, caxis, -1), np.moveaxis(b, baxis, -1)
    n = spec_of(c).shape[-1]
    if spec_of(b).shape[-1] != n:
        raise ValueError(
            f"solve_circulant: columns of length {n} and right-hand sides of length "
            f"{spec_of(b).shape[-1]} do not fit"
        )
    if singular not in ("raise", "lstsq"):
        raise ValueError(f"solve_circulant: singular must be 'raise' or 'lstsq', got {singular!r}")
    spectrum = np.fft.fft(c, axis=-1)
    sizes = np.abs(as_array(concrete(spectrum)))
    if tol is None:
        tol = sizes.max(axis=-1, keepdims=True) * n * float(np.finfo(sizes.dtype).eps)
    small = sizes <= tol
    if np.any(small):
        if singular == "raise":
            raise np.linalg.LinAlgError(
                "solve_circulant: a matrix is nearly singular; singular='lstsq' takes the solution "
                "of least squares"
            )
        spectrum = np.where(small, 1.0, spectrum)
    ratio = np.fft.fft(b, axis=-1) / spectrum
    x = np.fft.ifft(np.where(small, 0.0, ratio), axis=-1)
    if "c" not in (spec_of(c).dtype.kind, spec_of(b).dtype.kind):
        x = np.real(x)
    return np.moveaxis(x, -1, outaxis)
