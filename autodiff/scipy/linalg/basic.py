"""Systems, inverses, determinants and least squares, with SciPy's conventions."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.arrays import as_array
from autodiff.core.dispatch import concrete
from autodiff.core.spec import spec_of
from autodiff.ops.linalg.contractions import mT
from autodiff.ops.linalg.matrices import as_matrices
from autodiff.ops.operands import operand, operands
from autodiff.scipy.linalg.inputs import (
    columns_of,
    first_column,
    floating,
    one_triangle,
    require_finite,
    square,
)
from autodiff.scipy.linalg.triangular import solve_triangular
from autodiff.scipy.special.declare import refuse_derivative

__all__ = ["det", "inv", "lstsq", "norm", "pinv", "pinvh", "solve"]

STRUCTURES = {
    "gen": "general",
    "sym": "symmetric",
    "her": "hermitian",
    "pos": "positive definite",
    **{
        name: name
        for name in (
            *("general", "diagonal", "tridiagonal", "banded", "symmetric", "hermitian"),
            *("positive definite", "upper triangular", "lower triangular"),
        )
    },
}
"""What SciPy calls the structures of a matrix, and their short names."""


def _structure(function: str, assume_a: str | None) -> str:
    """The structure by its long name; a matrix of none is a general one."""
    found = STRUCTURES.get("general" if assume_a is None else assume_a)
    if found is None:
        raise ValueError(
            f"{function}: assume_a={assume_a!r} is no structure; known are "
            f"{', '.join(map(repr, STRUCTURES))}"
        )
    return found


def _as_assumed(function: str, a: Any, structure: str, lower: bool) -> Any:
    """The matrix that a solver of this structure reads: entries that it does not read are 0.

    Raises
    ------
    LinAlgError
        A matrix is not positive definite where that was assumed.
    """
    if structure in ("symmetric", "hermitian", "positive definite"):
        a = one_triangle(a, lower, conjugate=structure != "symmetric")
        if structure == "positive definite":
            try:
                np.linalg.cholesky(as_array(concrete(a)))
            except np.linalg.LinAlgError:
                raise np.linalg.LinAlgError(
                    f"{function}: the matrix is not positive definite; leave assume_a out"
                ) from None
        return a
    side = spec_of(a).shape[-1]
    if structure == "diagonal":
        return np.where(np.eye(side, dtype=bool), a, 0.0)
    if structure == "tridiagonal":
        return np.triu(np.tril(a, 1), -1)
    if structure == "upper triangular":
        return np.triu(a)
    return np.tril(a) if structure == "lower triangular" else a


def inv(
    a: Any,
    overwrite_a: bool = False,
    check_finite: bool = True,
    *,
    assume_a: str | None = None,
    lower: bool = False,
) -> Any:
    """Inverse of square matrices.

    Parameters
    ----------
    a : array or Tensor, shape (..., n, n)
    overwrite_a : accepted as SciPy does; nothing is overwritten.
    check_finite : bool
    assume_a : str, optional
        A structure, as of `solve`: it says which entries are read, and have a derivative.
    lower : bool
        Which triangle of a symmetric matrix is read.

    Raises
    ------
    LinAlgError
        A matrix is not square, or singular.
    ValueError
        `assume_a` is no structure, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> inv(np.array([[2.0, 0.0], [0.0, 4.0]]))
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    a = square("inv", a)
    if check_finite:
        require_finite("inv", a)
    return np.linalg.inv(_as_assumed("inv", a, _structure("inv", assume_a), lower))


def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Determinant of square matrices, in the matrices' precision.

    Parameters
    ----------
    a : array or Tensor, shape (..., n, n)
    overwrite_a : accepted as SciPy does; nothing is overwritten.
    check_finite : bool

    Raises
    ------
    LinAlgError
        A matrix is not square.
    ValueError
        A number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(det)(np.array([[0.0, 0.0], [0.0, 3.0]]))
    array([[3., 0.],
           [0., 0.]])
    """
    a = square("det", a)
    if check_finite:
        require_finite("det", a)
    return np.linalg.det(a)


def pinv(
    a: Any,
    *,
    atol: float | None = None,
    rtol: float | None = None,
    return_rank: bool = False,
    check_finite: bool = True,
) -> Any:
    """Pseudo-inverse of matrices; derivatives hold where the rank is constant nearby.

    Parameters
    ----------
    a : array or Tensor, shape (..., m, n)
    atol, rtol : float, optional
        Singular values up to ``max(atol, rtol * largest)`` count as 0. Without both `rtol` is the
        larger side times the precision; with `atol` alone it is 0.
    return_rank : bool
        Also return how many singular values count.
    check_finite : bool

    Raises
    ------
    ValueError
        A tolerance is negative, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> pinv(np.array([[2.0], [0.0]]))
    array([[0.5, 0. ]])
    """
    return _pseudo_inverse("pinv", operand(a), atol, rtol, return_rank, check_finite)


def pinvh(
    a: Any,
    atol: float | None = None,
    rtol: float | None = None,
    lower: bool = True,
    return_rank: bool = False,
    check_finite: bool = True,
) -> Any:
    """Pseudo-inverse of Hermitian matrices, of which one triangle is read.

    Parameters
    ----------
    a : array or Tensor, shape (..., n, n)
    atol, rtol, return_rank, check_finite : as of `pinv`
    lower : bool
        Which triangle is read.

    Raises
    ------
    LinAlgError
        A matrix is not square.
    ValueError
        A tolerance is negative, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> pinvh(np.array([[2.0, 9.0], [0.0, 4.0]]))
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    a = one_triangle(square("pinvh", a), lower)
    return _pseudo_inverse("pinvh", a, atol, rtol, return_rank, check_finite)


def _pseudo_inverse(
    function: str, a: Any, atol: Any, rtol: Any, return_rank: bool, check_finite: bool
) -> Any:
    a = as_matrices(function, a)
    if check_finite:
        require_finite(function, a)
    refuse_derivative(function, atol=atol, rtol=rtol)
    spec = spec_of(a)
    if min(spec.shape[-2:]) == 0:
        empty = mT(a)
        return (empty, 0) if return_rank else empty
    usual = max(spec.shape[-2:]) * float(np.finfo(spec.dtype).eps)
    absolute = 0.0 if atol is None else float(atol)
    relative = float(rtol) if rtol is not None else usual if atol is None else 0.0
    if absolute < 0 or relative < 0:
        raise ValueError(f"{function}: the tolerances atol and rtol must not be negative")
    cutoff: Any = relative
    if not (absolute or return_rank):
        return np.linalg.pinv(a, rcond=cutoff)
    s = np.linalg.svd(as_array(concrete(a)), compute_uv=False)
    largest = s[..., :1]
    threshold = np.maximum(absolute, relative * largest)
    if absolute:
        if s.ndim > 1:
            raise ValueError(f"{function}: atol takes one matrix, got shape {spec.shape}; use rtol")
        cutoff = float(threshold[0] / largest[0]) if largest[0] else 0.0
    result = np.linalg.pinv(a, rcond=cutoff)
    if not return_rank:
        return result
    rank = np.sum(s > threshold, axis=-1)
    return result, int(rank) if s.ndim == 1 else rank


def norm(
    a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False, check_finite: bool = True
) -> Any:
    """Norm of a vector or matrix, as ``np.linalg.norm``.

    Parameters
    ----------
    a : array or Tensor
    ord : number, inf, -inf, "fro" or "nuc"
    axis : int, pair of int or None
    keepdims, check_finite : bool

    Raises
    ------
    ValueError
        `ord` is no norm for these axes, or a number is not finite.

    Examples
    --------
    >>> norm([3.0, 4.0])
    np.float64(5.0)
    """
    a = floating(a)
    if check_finite:
        require_finite("norm", a)
    return np.linalg.norm(a, ord, axis, keepdims)


def solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    assume_a: str | None = None,
    transposed: bool = False,
) -> Any:
    """Solve a x = b.

    Parameters
    ----------
    a : array or Tensor, shape (..., n, n)
    b : array or Tensor, shape (n,) or (..., n, k)
    lower : bool
        Which triangle is read of a matrix that is assumed to be symmetric or Hermitian.
    overwrite_a, overwrite_b : accepted as SciPy does; nothing is overwritten.
    check_finite : bool
    assume_a : str, optional
        "general", "symmetric", "hermitian", "positive definite" (of these one triangle is read),
        "upper triangular", "lower triangular", "diagonal", "tridiagonal" or "banded", or one of
        the short names "gen", "sym", "her", "pos". Entries that are not read have no derivative.
    transposed : bool
        Solve ``a.T x = b``.

    Raises
    ------
    LinAlgError
        `a` is not square, singular, or not positive definite where that was assumed.
    ValueError
        Shapes do not fit, `assume_a` is no structure, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> solve(np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([4.0, 8.0]), assume_a="sym")
    array([1.14285714, 1.71428571])
    """
    a, b = operands(a, b)
    a = square("solve", a)
    columns, is_vector = columns_of("solve", b, spec_of(a).shape[-1])
    if check_finite:
        require_finite("solve", a, columns)
    structure = _structure("solve", assume_a)
    if structure in ("upper triangular", "lower triangular"):
        x = solve_triangular(
            a, columns, int(transposed), structure.startswith("lower"), check_finite=False
        )
    else:
        read = _as_assumed("solve", a, structure, lower)
        x = np.linalg.solve(mT(read) if transposed else read, columns)
    return first_column(x) if is_vector else x


def lstsq(
    a: Any,
    b: Any,
    cond: float | None = None,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    lapack_driver: str | None = None,
) -> Any:
    """Solution of least norm among those of least squares.

    Parameters
    ----------
    a : array or Tensor, shape (m, n)
    b : array or Tensor, shape (m,) or (m, k)
    cond : float, optional
        Singular values up to this multiple of the largest count as 0; the precision by default.
    overwrite_a, overwrite_b : accepted as SciPy does; nothing is overwritten.
    check_finite : bool
    lapack_driver : {"gelsd", "gelss", "gelsy"}, optional
        The solution is the same; "gelsy" gives no singular values.

    Returns
    -------
    x, residues, rank, s
        As SciPy's: residues are empty unless m > n and the rank is n, and one number for a vector.

    Raises
    ------
    LinAlgError
        `a` is not a matrix.
    ValueError
        Shapes do not fit, there is no such driver, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> x, residues, rank, s = lstsq(np.array([[1.0], [1.0]]), np.array([1.0, 3.0]))
    >>> np.round(x, 12), round(float(residues), 12), rank
    (array([2.]), 2.0, 1)
    """
    a, b = operands(a, b)
    a, b = as_matrices("lstsq", a), floating(b)
    if lapack_driver not in (None, "gelsd", "gelss", "gelsy"):
        raise ValueError(
            f"lstsq: lapack_driver must be 'gelsd', 'gelss' or 'gelsy', got {lapack_driver!r}"
        )
    if check_finite:
        require_finite("lstsq", a, b)
    refuse_derivative("lstsq", cond=cond)
    shape, right = spec_of(a).shape, spec_of(b).shape
    if len(shape) != 2 or len(right) not in (1, 2) or right[0] != shape[0]:
        raise ValueError(
            f"lstsq: needs a matrix and a vector or matrix of as many rows, got shapes {shape} "
            f"and {right}"
        )
    eps = float(np.finfo(spec_of(a).dtype).eps)
    x, residues, rank, s = np.linalg.lstsq(a, b, rcond=eps if cond is None else float(cond))
    if len(right) == 1 and spec_of(residues).shape == (1,):
        residues = residues[0]
    return x, residues, int(rank), None if lapack_driver == "gelsy" else s
