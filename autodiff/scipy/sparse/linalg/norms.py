"""Norms of sparse matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.scipy.sparse.linalg.eigen.functions import svds
from autodiff.scipy.sparse.operators import as_sparse

__all__ = ["norm"]


def norm(x: Any, ord: Any = None, axis: Any = None) -> Any:
    """Norm of a sparse matrix, or of its rows or columns.

    Parameters
    ----------
    x : sparse array
    ord : {None, "fro", 1, -1, inf, -inf, 2}, optional
        Of a matrix: Frobenius (None and "fro"), largest or smallest column sum (1 and -1), largest
        or smallest row sum (inf and -inf), largest singular value (2). Of rows and columns: 1, 2
        (and None).
    axis : int, optional
        Along which vectors lie: 0 for a norm of each column.

    Returns
    -------
    number, array or Tensor

    Raises
    ------
    ValueError
        Another `ord` or `axis`.

    Examples
    --------
    >>> import numpy as np
    >>> norm(np.array([[3.0, 0.0], [0.0, 4.0]])), norm(np.array([[3.0, 1.0], [0.0, 4.0]]), ord=1)
    (np.float64(5.0), np.float64(5.0))
    """
    A = as_sparse(x).canonical()
    if axis is not None and axis not in ((0, 1), (1, 0)):
        if ord not in (None, 1, 2):
            raise ValueError(f"norm: ord {ord!r} of rows or columns; it is None, 1 or 2 here")
        if ord == 1:
            return abs(A).sum(axis=axis)
        return np.sqrt((abs(A) ** 2).sum(axis=axis))
    if ord in (None, "fro", "f"):
        return np.sqrt(np.sum(np.abs(A.data) ** 2))
    if ord == 2:
        return svds(A, k=1, tol=0, return_singular_vectors=False)[0]
    reductions = {1: (np.max, 0), -1: (np.min, 0), np.inf: (np.max, 1), -np.inf: (np.min, 1)}
    if ord not in reductions:
        raise ValueError(
            f"norm: ord {ord!r} of a sparse matrix; it is None, 'fro', 1, -1, 2, inf or -inf here, "
            "and np.linalg.norm(x.toarray(), ord) has the others"
        )
    reduction, along = reductions[ord]
    return reduction(abs(A).sum(axis=along))
