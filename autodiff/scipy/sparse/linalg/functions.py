"""Functions of sparse matrices that are matrices: inverse, exponential, powers; and their shapes.

Inverses and exponentials of sparse matrices are dense but in special cases, so what they return has
an entry at every place, whatever its value.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import scipy.sparse.linalg

from autodiff.core.arrays import as_array
from autodiff.scipy.linalg.matrix_functions import expm as dense_expm
from autodiff.scipy.sparse.arrays import SparseArray
from autodiff.scipy.sparse.construction import eye_array
from autodiff.scipy.sparse.linalg.solves import sparse_solve, square_system
from autodiff.scipy.sparse.operations import Entries
from autodiff.scipy.sparse.operators import as_sparse, wrap
from autodiff.scipy.sparse.patterns import Pattern

__all__ = ["expm", "inv", "is_sptriangular", "matrix_power", "spbandwidth"]

scipy_linalg: Any = scipy.sparse.linalg


def _everywhere(dense: Any, format: str) -> SparseArray:
    """Sparse array with an entry at every place of a matrix."""
    rows, columns = (part.ravel() for part in np.indices(dense.shape))
    made = wrap(Entries(Pattern("coo", dense.shape, rows, columns), np.reshape(dense, (-1,))))
    return made.asformat("csc" if format == "csc" else "csr")


def inv(A: Any) -> SparseArray:
    """Inverse of a sparse matrix, with an entry at every place.

    Parameters
    ----------
    A : sparse array or dense matrix, shape (n, n)

    Raises
    ------
    LinAlgError
        The matrix is not square, or singular.

    Notes
    -----
    `spsolve` and `splu` solve with A and make no inverse.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.scipy.sparse import csc_array
    >>> inv(csc_array(np.array([[2.0, 0.0], [1.0, 4.0]]))).toarray()
    array([[ 0.5  ,  0.   ],
           [-0.125,  0.25 ]])
    """
    A = square_system("inv", A)
    units = as_array(np.eye(A.shape[0], dtype=np.finfo(A.dtype).dtype))
    return _everywhere(sparse_solve.call(A.data, units, form=A.pattern, function="inv"), A.format)


def expm(A: Any) -> SparseArray:
    """Exponential of a sparse matrix, with an entry at every place.

    Parameters
    ----------
    A : sparse array or dense matrix, shape (n, n)

    Raises
    ------
    LinAlgError
        The matrix is not square.

    Notes
    -----
    It is that of the dense matrix, and costs as much: `expm_multiply` multiplies with it instead.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.scipy.sparse import csr_array
    >>> expm(csr_array(np.array([[0.0, 1.0], [0.0, 0.0]]))).toarray()
    array([[1., 1.],
           [0., 1.]])
    """
    A = square_system("expm", A)
    return _everywhere(dense_expm(A.toarray()), A.format)


def matrix_power(A: Any, power: int) -> SparseArray:
    """Power of a sparse matrix, by squaring.

    Parameters
    ----------
    A : sparse array or dense matrix, shape (n, n)
    power : int
        Not negative.

    Raises
    ------
    LinAlgError
        The matrix is not square.
    TypeError, ValueError
        The power is no integer, or negative.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.scipy.sparse import csr_array
    >>> matrix_power(csr_array(np.array([[1.0, 1.0], [0.0, 1.0]])), 3).toarray()
    array([[1., 3.],
           [0., 1.]])
    """
    A = square_system("matrix_power", A)
    try:
        left = operator.index(power)
    except TypeError as error:
        raise TypeError(f"matrix_power: the power must be an integer, got {power!r}") from error
    if left < 0:
        raise ValueError(f"matrix_power: the power must not be negative, got {power}; see inv")
    result, square = None, A
    while left:
        if left % 2:
            result = square if result is None else result @ square
        left //= 2
        square = square @ square if left else square
    return eye_array(A.shape[0], dtype=A.dtype, format=A.format) if result is None else result


def spbandwidth(A: Any) -> tuple[int, int]:
    """How many diagonals below and above the main one hold entries.

    Parameters
    ----------
    A : sparse array or dense matrix

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.scipy.sparse import csr_array
    >>> spbandwidth(csr_array(np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]])))
    (0, 2)
    """
    A = as_sparse(A)
    apart = A.row.astype(np.int64) - A.col
    return int(max(apart.max(initial=0), 0)), int(max((-apart).max(initial=0), 0))


def is_sptriangular(A: Any) -> tuple[bool, bool]:
    """Whether all entries are in the lower, and whether all are in the upper triangle.

    Parameters
    ----------
    A : sparse array or dense matrix

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.scipy.sparse import csr_array
    >>> is_sptriangular(csr_array(np.array([[1.0, 0.0], [2.0, 1.0]])))
    (True, False)
    """
    below, above = spbandwidth(A)
    return above == 0, below == 0
