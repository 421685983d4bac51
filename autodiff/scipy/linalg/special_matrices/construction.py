"""Matrices put together from others or from vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import spec_of
from autodiff.ops.linalg.matrices import conj
from autodiff.ops.operands import operand, operands
from autodiff.scipy.linalg.inputs import floating

__all__ = [
    "block_diag",
    "circulant",
    "column_and_row",
    "companion",
    "convolution_matrix",
    "diagsvd",
    "fiedler",
    "fiedler_companion",
    "hankel",
    "khatri_rao",
    "leslie",
    "of_diagonals",
    "toeplitz",
]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_linalg: Any = scipy.linalg


def block_diag(*arrs: Any) -> Any:
    """Matrix with the given ones along its diagonal, and 0 elsewhere.

    Parameters
    ----------
    arrs : arrays or Tensors with at most two axes
        Numbers and vectors count as matrices with one row.

    Examples
    --------
    >>> import numpy as np
    >>> block_diag(np.ones((1, 2)), 3.0)
    array([[1., 1., 0.],
           [0., 0., 3.]])
    """
    if not arrs:
        return np.zeros((1, 0))
    blocks = operands(*arrs)
    for position, block in enumerate(blocks):
        if spec_of(block).ndim > 2:
            raise ValueError(
                f"block_diag: argument {position} has shape {spec_of(block).shape}; it must have "
                "at most two axes"
            )
    blocks = [np.atleast_2d(block) for block in blocks]
    widths = [spec_of(block).shape[1] for block in blocks]
    total, start, rows = sum(widths), 0, []
    for block, width in zip(blocks, widths, strict=True):
        rows.append(np.pad(block, ((0, 0), (start, total - start - width))))
        start += width
    return np.concatenate(rows)


def _vector(x: Any) -> Any:
    """A vector, or a stack of them along the first axes."""
    x = operand(x)
    return np.reshape(x, (1,)) if spec_of(x).ndim == 0 else x


def of_diagonals(diagonals: Any, rows: int, columns: int) -> Any:
    """Matrix of all diagonals, from the upper right corner to the lower left one."""
    return diagonals[..., np.arange(rows)[:, None] - np.arange(columns) + columns - 1]


def toeplitz(c: Any, r: Any = None) -> Any:
    """Toeplitz matrix, constant along diagonals, with a first column and a first row.

    Parameters
    ----------
    c : array or Tensor, shape (..., m)
    r : array or Tensor, shape (..., n), optional
        Its first element is not read. The conjugate of `c` if left out.

    Raises
    ------
    ValueError
        The leading axes do not fit.

    Examples
    --------
    >>> toeplitz([1, 2], [9, 3, 4])
    array([[1, 3, 4],
           [2, 1, 3]])
    """
    c, r = column_and_row("toeplitz", c, r)
    rows, columns = spec_of(c).shape[-1], spec_of(r).shape[-1]
    if not rows or not columns:
        return np.zeros((rows, columns), np.result_type(spec_of(c).dtype, spec_of(r).dtype))
    return of_diagonals(np.concatenate([r[..., :0:-1], c], axis=-1), rows, columns)


def column_and_row(function: str, c: Any, r: Any) -> tuple[Any, Any]:
    """First column and first row; without a row the matrix is Hermitian."""
    if r is None:
        c = _vector(c)
        return c, conj(c)
    c, r = map(_vector, operands(c, r))
    stacks = spec_of(c).shape[:-1], spec_of(r).shape[:-1]
    if stacks[0] != stacks[1]:
        raise ValueError(
            f"{function}: columns of shape {spec_of(c).shape} and rows of shape "
            f"{spec_of(r).shape} do not fit"
        )
    return c, r


def circulant(c: Any) -> Any:
    """Circulant matrix with a first column: each column is the one before, moved down by one.

    Parameters
    ----------
    c : array or Tensor, shape (..., n)

    Raises
    ------
    TypeError
        `c` is no array.

    Examples
    --------
    >>> circulant([1, 2, 3])
    array([[1, 3, 2],
           [2, 1, 3],
           [3, 2, 1]])
    """
    c = _vector(c)
    steps = np.arange(spec_of(c).shape[-1])
    return c[..., steps[:, None] - steps]


def hankel(c: Any, r: Any = None) -> Any:
    """Hankel matrix, constant along antidiagonals, with a first column and a last row.

    Parameters
    ----------
    c : array or Tensor, shape (m,)
    r : array or Tensor, shape (n,), optional
        Its first element is not read. Zeros if left out.

    Raises
    ------
    ValueError
        They are no vectors.

    Examples
    --------
    >>> hankel([1, 2, 3])
    array([[1, 2, 3],
           [2, 3, 0],
           [3, 0, 0]])
    """
    if r is None:
        c = _vector(c)
        r = np.zeros_like(c)
    else:
        c, r = column_and_row("hankel", c, r)
    rows, columns = spec_of(c).shape[-1], spec_of(r).shape[-1]
    values = np.concatenate([c, r[..., 1:]], axis=-1)
    return values[..., np.arange(rows)[:, None] + np.arange(columns)]


def companion(a: Any) -> Any:
    """Companion matrix of a polynomial, whose eigenvalues are its roots.

    Parameters
    ----------
    a : array or Tensor, shape (..., n)
        Coefficients, the highest power first; at least two, the first not 0.

    Raises
    ------
    ValueError
        There are fewer than two coefficients, or the first is 0.

    Examples
    --------
    >>> companion([1.0, -3.0, 2.0])
    array([[ 3., -2.],
           [ 1.,  0.]])
    """
    a = floating(_vector(a))
    n = spec_of(a).shape[-1]
    if n < 2:
        raise ValueError(f"companion: needs at least two coefficients, got {n}")
    if np.any(np.equal(concrete(a)[..., 0], 0)):
        raise ValueError("companion: the first coefficient is 0; leave leading zeros out")
    top = (-a[..., 1:] / a[..., :1])[..., None, :]
    below = np.broadcast_to(np.eye(n - 2, n - 1), (*spec_of(a).shape[:-1], n - 2, n - 1))
    return np.concatenate([top, below.astype(spec_of(top).dtype)], axis=-2)


def fiedler_companion(a: Any) -> Any:
    """Companion matrix of a polynomial with five diagonals.

    Parameters
    ----------
    a : array or Tensor, shape (n,)
        Coefficients, the highest power first; the first not 0.

    Raises
    ------
    ValueError
        It is no vector, or the first coefficient is 0.

    Examples
    --------
    >>> fiedler_companion([1.0, -3.0, 2.0])
    array([[ 3., -2.],
           [ 1.,  0.]])
    """
    a = operand(a)
    if not isinstance(a, Box):
        return scipy_linalg.fiedler_companion(a)
    a = floating(_vector(a))
    if spec_of(a).ndim != 1:
        raise ValueError(f"fiedler_companion: needs a vector, got shape {spec_of(a).shape}")
    n = spec_of(a).shape[0]
    if n and np.any(np.equal(concrete(a)[..., 0], 0)):
        raise ValueError("fiedler_companion: the first coefficient is 0; leave leading zeros out")
    if n < 2:
        return np.zeros((0,), spec_of(a).dtype)
    # It is affine in the other coefficients
    units = np.concatenate([np.ones((n, 1)), np.eye(n, n - 1, -1)], axis=1)
    parts = np.stack([scipy_linalg.fiedler_companion(unit) for unit in units])
    slopes = (parts[1:] - parts[0]).astype(spec_of(a).dtype)
    return parts[0].astype(spec_of(a).dtype) + np.tensordot(a[1:] / a[0], slopes, 1)


def convolution_matrix(a: Any, n: int, mode: str = "full") -> Any:
    """Matrix whose product with a vector of length n is its convolution with `a`.

    Parameters
    ----------
    a : array or Tensor, shape (m,)
    n : int
    mode : {"full", "same", "valid"}

    Raises
    ------
    ValueError
        `a` is empty or no vector, n is not positive, or there is no such mode.

    Examples
    --------
    >>> convolution_matrix([1, 2], 2)
    array([[1, 0],
           [2, 1],
           [0, 2]])
    """
    a = _vector(a)
    m = spec_of(a).shape[-1]
    if m == 0 or spec_of(a).ndim != 1:
        raise ValueError(f"convolution_matrix: a has shape {spec_of(a).shape}; it is a vector")
    if n <= 0:
        raise ValueError(f"convolution_matrix: n must be positive, got {n}")
    if mode not in ("full", "same", "valid"):
        raise ValueError(
            f"convolution_matrix: mode must be 'full', 'same' or 'valid', got {mode!r}"
        )
    full = of_diagonals(np.pad(a, (n - 1, n - 1)), m + n - 1, n)
    if mode == "full":
        return full
    if mode == "same":
        start = (min(m, n) - 1) // 2
        return full[start : start + max(m, n)]
    start = min(m, n) - 1
    return full[start : start + max(m, n) - min(m, n) + 1]


def diagsvd(s: Any, M: int, N: int) -> Any:
    """Rectangular matrix of singular values, for a decomposition with square factors.

    Parameters
    ----------
    s : array or Tensor, shape (M,) or (N,)
    M, N : int

    Raises
    ------
    ValueError
        The length of `s` is neither.

    Examples
    --------
    >>> diagsvd([2.0, 1.0], 2, 3)
    array([[2., 0., 0.],
           [0., 1., 0.]])
    """
    s = _vector(s)
    length = spec_of(s).shape[-1]
    if length not in (M, N):
        raise ValueError(f"diagsvd: {length} values for a matrix of shape ({M}, {N})")
    return np.pad(np.diag(s), ((0, M - length), (0, N - length)))


def fiedler(a: Any) -> Any:
    """Fiedler matrix, of absolute differences of all pairs.

    Parameters
    ----------
    a : array or Tensor, shape (..., n)

    Raises
    ------
    TypeError
        `a` is no array.

    Examples
    --------
    >>> fiedler([1.0, 4.0])
    array([[0., 3.],
           [3., 0.]])
    """
    a = _vector(a)
    return np.abs(a[..., :, None] - a[..., None, :])


def leslie(f: Any, s: Any) -> Any:
    """Leslie matrix of fecundities and survivals.

    Parameters
    ----------
    f : array or Tensor, shape (..., n)
    s : array or Tensor, shape (..., n - 1)

    Raises
    ------
    ValueError
        The lengths do not fit.

    Examples
    --------
    >>> leslie([0.1, 2.0], [0.5])
    array([[0.1, 2. ],
           [0.5, 0. ]])
    """
    f, s = map(_vector, operands(f, s))
    n = spec_of(f).shape[-1]
    if spec_of(s).shape[-1] != n - 1 or n < 2:
        raise ValueError(
            f"leslie: {n} fecundities and {spec_of(s).shape[-1]} survivals; there must be one less"
        )
    below = s[..., :, None] * np.eye(n - 1, n)
    return np.concatenate([f[..., None, :], below], axis=-2).astype(
        np.result_type(spec_of(f).dtype, spec_of(s).dtype)
    )


def khatri_rao(a: Any, b: Any) -> Any:
    """Khatri-Rao product: column j is the Kronecker product of the columns j.

    Parameters
    ----------
    a : array or Tensor, shape (..., m, k)
    b : array or Tensor, shape (..., n, k)

    Raises
    ------
    ValueError
        They are no matrices with the same number of columns.

    Examples
    --------
    >>> khatri_rao([[1, 2]], [[3, 4], [5, 6]])
    array([[ 3,  8],
           [ 5, 12]])
    """
    a, b = operands(a, b)
    shapes = spec_of(a).shape, spec_of(b).shape
    if min(map(len, shapes)) < 2 or shapes[0][-1] != shapes[1][-1]:
        raise ValueError(
            f"khatri_rao: needs matrices with equally many columns, got shapes {shapes[0]} and "
            f"{shapes[1]}"
        )
    product = a[..., :, None, :] * b[..., None, :, :]
    rows = shapes[0][-2] * shapes[1][-2]
    return np.reshape(product, (*spec_of(product).shape[:-3], rows, shapes[0][-1]))
