"""Sparse matrices made of vectors and of other matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse

from autodiff.core.arrays import is_array, ones
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.ops.index import getitem
from autodiff.ops.operands import operand
from autodiff.scipy.sparse import operations as ops
from autodiff.scipy.sparse.arrays import SparseArray
from autodiff.scipy.sparse.operations import Entries
from autodiff.scipy.sparse.operators import as_sparse, issparse, wrap
from autodiff.scipy.sparse.patterns import Pattern

__all__ = [
    "block_array",
    "block_diag",
    "diags_array",
    "eye_array",
    "find",
    "hstack",
    "kron",
    "kronsum",
    "tril",
    "triu",
    "vstack",
]

scipy_sparse: Any = scipy.sparse


def _format_of(format: str | None, otherwise: str) -> str:
    if format is None:
        return otherwise
    if format not in ("csr", "csc", "coo"):
        raise ValueError(f"format {format!r}: sparse arrays here have one of 'csr', 'csc', 'coo'")
    return format


def diags_array(
    diagonals: Any,
    /,
    *,
    offsets: Any = 0,
    shape: Any = None,
    format: str | None = None,
    dtype: Any = None,
) -> SparseArray:
    """A matrix of its diagonals.

    Parameters
    ----------
    diagonals : sequence of arrays or Tensors, or one of them
        One for each offset; a diagonal of one number is repeated where `shape` is given.
    offsets : int or sequence of int
        0 is the main diagonal, k > 0 the k-th above it.
    shape : (int, int), optional
        By default square, and large enough.
    format : {"csr", "csc", "coo"}, optional
        By default "coo"; SciPy's is "dia", which has no class here.
    dtype : dtype, optional

    Returns
    -------
    SparseArray

    Raises
    ------
    ValueError
        The number of diagonals, their lengths and the shape do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> diags_array([-1.0, np.array([2.0, 3.0])], offsets=[1, 0], shape=(2, 2)).toarray()
    array([[ 2., -1.],
           [ 0.,  3.]])
    """
    if np.ndim(offsets) == 0:
        # As in SciPy: one diagonal, or a sequence of one
        single = isinstance(diagonals, Box) or is_array(diagonals)
        given = operand(diagonals if single else list(diagonals))
        rank = spec_of(given).ndim
        parts = [given if rank < 2 else given[0]]
        offsets = [int(offsets)]
    else:
        parts = [operand(part) for part in diagonals]
        offsets = [int(k) for k in offsets]
    if len(parts) != len(offsets):
        raise ValueError(f"diags_array: {len(parts)} diagonals for {len(offsets)} offsets")
    if len(set(offsets)) != len(offsets):
        raise ValueError(f"diags_array: offsets {offsets} name a diagonal twice")
    lengths = [spec_of(part).size for part in parts]
    if shape is None:
        n = lengths[0] + abs(offsets[0])
        shape = (n, n)
    m, n = int(shape[0]), int(shape[1])
    rows, columns, values = [], [], []
    for part, k, own in zip(parts, offsets, lengths, strict=True):
        length = min(m + k, n - k, m, n)
        if length < 0:
            raise ValueError(f"diags_array: offset {k} is outside of the shape {(m, n)}")
        if own not in (length, 1):
            raise ValueError(
                f"diags_array: diagonal {k} of shape {(m, n)} has {length} elements, got {own}"
            )
        steps = np.arange(length)
        rows.append(steps + max(-k, 0))
        columns.append(steps + max(k, 0))
        flat = np.reshape(part, (own,))
        values.append(flat if own == length else np.repeat(flat, length))
    where = Pattern("coo", (m, n), np.concatenate(rows), np.concatenate(columns))
    data = np.concatenate(values) if len(values) > 1 else values[0]
    if dtype is not None:
        data = data.astype(dtype)
    return wrap(Entries(where, data)).asformat(_format_of(format, "coo"))


def eye_array(
    m: int, n: int | None = None, *, k: int = 0, dtype: Any = float, format: str | None = None
) -> SparseArray:
    """Ones on a diagonal.

    Parameters
    ----------
    m, n : int
        Rows and columns; as many columns as rows by default.
    k : int
        Which diagonal.
    dtype : dtype
    format : {"csr", "csc", "coo"}, optional
        By default "coo"; SciPy's is "dia".

    Returns
    -------
    SparseArray

    Raises
    ------
    ValueError
        There is no such format.

    Examples
    --------
    >>> eye_array(2, k=1).toarray()
    array([[0., 1.],
           [0., 0.]])
    """
    n = m if n is None else n
    length = max(min(m + k, n - k, m, n), 0)
    steps = np.arange(length)
    where = Pattern("coo", (m, n), steps + max(-k, 0), steps + max(k, 0))
    return wrap(Entries(where, ones((length,), np.dtype(dtype)))).asformat(
        _format_of(format, "coo")
    )


def kron(A: Any, B: Any, format: str | None = None) -> SparseArray:
    """Kronecker product of two matrices.

    Parameters
    ----------
    A, B : sparse arrays, or dense matrices
    format : {"csr", "csc", "coo"}, optional
        By default "coo".

    Returns
    -------
    SparseArray

    Raises
    ------
    ValueError
        There is no such format.

    Examples
    --------
    >>> import numpy as np
    >>> kron(np.eye(2), np.array([[2.0, 3.0]])).toarray()
    array([[2., 3., 0., 0.],
           [0., 0., 2., 3.]])
    """
    left, right = as_sparse(A), as_sparse(B)
    (m, n), (p, q) = left.shape, right.shape
    first = np.repeat(np.arange(left.nnz), right.nnz)
    second = np.tile(np.arange(right.nnz), left.nnz)
    rows = left.row.astype(np.int64)[first] * p + right.row[second]
    columns = left.col.astype(np.int64)[first] * q + right.col[second]
    data = getitem(operand(left.data), first) * getitem(operand(right.data), second)
    made = wrap(Entries(Pattern("coo", (m * p, n * q), rows, columns), data))
    return made.asformat(_format_of(format, "coo"))


def kronsum(A: Any, B: Any, format: str | None = None) -> SparseArray:
    """Kronecker sum of two square matrices, ``kron(I, A) + kron(B, I)``.

    Parameters
    ----------
    A, B : sparse arrays, or dense matrices
    format : {"csr", "csc", "coo"}, optional
        By default "csr".

    Returns
    -------
    SparseArray

    Raises
    ------
    ValueError
        A matrix is not square, or there is no such format.

    Examples
    --------
    >>> import numpy as np
    >>> kronsum(np.array([[2.0]]), np.eye(2)).toarray()
    array([[3., 0.],
           [0., 3.]])
    """
    A, B = as_sparse(A), as_sparse(B)
    for matrix in (A, B):
        if matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"kronsum: needs square matrices, got shape {matrix.shape}")
    left = kron(eye_array(B.shape[0], dtype=A.dtype), A)
    right = kron(B, eye_array(A.shape[0], dtype=B.dtype))
    total: SparseArray = left + right
    return total.asformat(_format_of(format, "csr"))


def block_array(blocks: Any, *, format: str | None = None, dtype: Any = None) -> SparseArray:
    """A matrix of blocks; None is a block of zeros.

    Parameters
    ----------
    blocks : nested sequence of sparse arrays, dense matrices and None
    format : {"csr", "csc", "coo"}, optional
        By default "coo".
    dtype : dtype, optional

    Returns
    -------
    SparseArray

    Raises
    ------
    ValueError
        Blocks of one row differ in height, or of one column in width; or a row or column of
        blocks has none.

    Examples
    --------
    >>> import numpy as np
    >>> block_array([[np.eye(1), None], [None, 2.0 * np.eye(2)]]).diagonal()
    array([1., 2., 2.])
    """
    rows = [[None if block is None else as_sparse(block) for block in row] for row in blocks]
    width = len(rows[0]) if rows else 0
    if not width or any(len(row) != width for row in rows):
        raise ValueError("block_array: blocks must be rows of the same number of blocks")
    parts = [(i, j, b) for i, row in enumerate(rows) for j, b in enumerate(row) if b is not None]
    heights = [
        _common("row", i, [b.shape[0] for row, _, b in parts if row == i]) for i in range(len(rows))
    ]
    widths = [
        _common("column", j, [b.shape[1] for _, column, b in parts if column == j])
        for j in range(width)
    ]
    tops, lefts = np.cumsum([0, *heights]), np.cumsum([0, *widths])
    where = Pattern(
        "coo",
        (int(tops[-1]), int(lefts[-1])),
        np.concatenate([tops[i] + b.row for i, _, b in parts]),
        np.concatenate([lefts[j] + b.col for _, j, b in parts]),
    )
    data = np.concatenate([operand(b.data) for _, _, b in parts])
    if dtype is not None:
        data = data.astype(dtype)
    return wrap(Entries(where, data)).asformat(_format_of(format, "coo"))


def _common(what: str, number: int, lengths: Sequence[int]) -> int:
    if not lengths:
        raise ValueError(f"block_array: {what} {number} has no block that tells its size")
    if len(set(lengths)) > 1:
        raise ValueError(f"block_array: blocks of {what} {number} have sizes {list(lengths)}")
    return lengths[0]


def hstack(blocks: Any, format: str | None = None, dtype: Any = None) -> SparseArray:
    """Matrices side by side; see `block_array`.

    Examples
    --------
    >>> import numpy as np
    >>> hstack([np.eye(1), np.eye(1)]).toarray()
    array([[1., 1.]])
    """
    return block_array([list(blocks)], format=format, dtype=dtype)


def vstack(blocks: Any, format: str | None = None, dtype: Any = None) -> SparseArray:
    """Matrices one below the other; see `block_array`.

    Examples
    --------
    >>> import numpy as np
    >>> vstack([np.eye(1), np.eye(1)]).shape
    (2, 1)
    """
    return block_array([[block] for block in blocks], format=format, dtype=dtype)


def block_diag(mats: Any, format: str | None = None, dtype: Any = None) -> SparseArray:
    """Matrices along the diagonal, zeros elsewhere; see `block_array`.

    Examples
    --------
    >>> import numpy as np
    >>> block_diag([np.eye(1), 2.0 * np.eye(1)]).diagonal()
    array([1., 2.])
    """
    parts = [as_sparse(_as_matrix(part)) for part in mats]
    blocks = [[part if i == j else None for j in range(len(parts))] for i, part in enumerate(parts)]
    return block_array(blocks, format=format, dtype=dtype)


def _as_matrix(part: Any) -> Any:
    if issparse(part):
        return part
    part = operand(part)
    rank = spec_of(part).ndim
    return part if rank == 2 else np.reshape(part, (1, -1))


def tril(A: Any, k: int = 0, format: str | None = None) -> SparseArray:
    """Lower triangle, from the k-th diagonal down.

    Examples
    --------
    >>> import numpy as np
    >>> tril(np.ones((2, 2))).toarray()
    array([[1., 0.],
           [1., 1.]])
    """
    return _triangle(A, lambda matrix: scipy_sparse.tril(matrix, k), format)


def triu(A: Any, k: int = 0, format: str | None = None) -> SparseArray:
    """Upper triangle, from the k-th diagonal up.

    Examples
    --------
    >>> import numpy as np
    >>> triu(np.ones((2, 2)), 1).toarray()
    array([[0., 1.],
           [0., 0.]])
    """
    return _triangle(A, lambda matrix: scipy_sparse.triu(matrix, k), format)


def _triangle(A: Any, function: Any, format: str | None) -> SparseArray:
    wanted = _format_of(format, "coo")
    return wrap(ops.moved(as_sparse(A).entries, function, wanted))


def find(A: Any) -> tuple[Any, Any, Any]:
    """Rows, columns and values of the stored elements; values of one place added up.

    SciPy's drops zeros; here they stay, because their derivative is not zero.

    Examples
    --------
    >>> import numpy as np
    >>> find(np.eye(2))
    (array([0, 1], dtype=int32), array([0, 1], dtype=int32), array([1., 1.]))
    """
    made = as_sparse(A).tocsr().canonical()
    return made.row, made.col, made.data
