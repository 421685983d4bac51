"""Sparse Hessians by edge pushing: second derivatives by pairs of values as sparse matrices.

No pattern is propagated and nothing is coloured: what the operations' own maps and second
derivatives leave when they are multiplied is the pattern. It holds zeros too, and is the same at
each point that leads along the same path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autodiff.ordering.hessian.dense import point
from autodiff.ordering.hessian.pushing import accumulate, backward
from autodiff.ordering.maps import Block, IndexMap, LinearMap, Product, Scaled, Zero
from autodiff.ordering.patterns import Integers
from autodiff.transforms.jacobian.problem import Problem

if TYPE_CHECKING:
    import scipy.sparse

__all__ = ["pushed_hessian", "sparse_matrix"]

MOST_PRODUCTS = 50_000_000
"""Multiply-adds beyond which values on the way are not sparse, and sweeps serve better."""
_MOST_LISTED = 2_000_000
"""Multiply-adds of one product up to which they are listed one by one."""


class _NotSparseError(Exception):
    """A map is known by its VJP alone, or the products on the way are too many."""


class _Matrix:
    """A sparse matrix; a square diagonal one is kept as its diagonal.

    Attributes
    ----------
    diagonal : array, or None
    """

    def __init__(
        self, diagonal: Any = None, compressed: scipy.sparse.csr_array | None = None
    ) -> None:
        self.diagonal = diagonal
        self._compressed = compressed

    @property
    def compressed(self) -> scipy.sparse.csr_array:
        """As SciPy keeps it."""
        if self._compressed is None:
            size = len(self.diagonal)
            places = np.arange(size + 1)
            self._compressed = _csr(self.diagonal, places[:-1], places, (size, size))
        return self._compressed


def _csr(values: Any, indices: Any, indptr: Any, shape: tuple[int, int]) -> scipy.sparse.csr_array:
    import scipy.sparse

    return scipy.sparse.csr_array((values, indices, indptr), shape=shape)


def _from_places(
    values: Any, rows: Integers, columns: Integers, shape: tuple[int, int]
) -> scipy.sparse.csr_array:
    """Add up numbers by their places; zeros stay."""
    import scipy.sparse

    return scipy.sparse.coo_array((values, (rows, columns)), shape=shape).tocsr()


def _product(
    left: scipy.sparse.csr_array, right: scipy.sparse.csr_array, counts: Integers, total: int
) -> scipy.sparse.csr_array:
    """Product that keeps zeros, as SciPy's does not; `counts` says what each left entry meets."""
    shape = left.shape[0], right.shape[1]
    if total > _MOST_LISTED:
        places = _of_ones(left) @ _of_ones(right)
        places.data[:] = 0
        return _sum([left @ right, places])
    ends = np.concatenate(([0], np.cumsum(counts)))
    at = np.repeat(right.indptr[left.indices] - ends[:-1], counts) + np.arange(total)
    values = np.repeat(left.data, counts) * right.data[at]
    if np.diff(left.indptr).max(initial=0) <= 1:
        # Rows of the right, each times a number
        return _csr(values, right.indices[at], ends[left.indptr], shape)
    rows = np.repeat(np.arange(shape[0]), np.diff(ends[left.indptr]))
    return _from_places(values, rows, right.indices[at], shape)


def _of_ones(own: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
    """Return the places, marked so that no product of them is zero."""
    return _csr(np.ones(len(own.data), np.float32), own.indices, own.indptr, own.shape)


def _sum(terms: list[scipy.sparse.csr_array]) -> scipy.sparse.csr_array:
    """Sum that keeps zeros."""
    parts = [term.tocoo() for term in terms]
    values = np.concatenate([part.data for part in parts])
    rows = np.concatenate([part.coords[0] for part in parts])
    columns = np.concatenate([part.coords[1] for part in parts])
    return _from_places(values, rows, columns, parts[0].shape)


def sparse_matrix(own: LinearMap) -> _Matrix:
    """Return a linear map as a sparse matrix.

    Raises
    ------
    _NotSparseError
        It is known by its VJP alone.
    """
    if own.fma_apply > MOST_PRODUCTS:
        raise _NotSparseError
    shape = own.out_size, own.in_size
    if isinstance(own, Scaled):
        return _Matrix(np.full(own.in_size, own.factor, own.dtype))
    if isinstance(own, Block):
        lead, trail = own.lead, own.trail
        values = np.broadcast_to(own.values(), (lead, own.rows, own.columns, trail))
        if own.rows == own.columns == 1:
            return _Matrix(values.reshape(-1))
        out = np.arange(own.out_size).reshape(lead, own.rows, 1, trail)
        inp = np.arange(own.in_size).reshape(lead, 1, own.columns, trail)
        rows, columns = (np.broadcast_to(at, values.shape).reshape(-1) for at in (out, inp))
        return _Matrix(None, _from_places(values.reshape(-1), rows, columns, shape))
    if isinstance(own, IndexMap):
        at = own.index
        here = np.flatnonzero(at >= 0)
        there = at[here]
        values = np.full(len(here), own.factor, own.dtype)
        if own.sums:
            return _Matrix(None, _from_places(values, there, here, shape))
        indptr = np.concatenate(([0], np.cumsum(at >= 0)))
        return _Matrix(None, _csr(values, there, indptr, shape))
    if isinstance(own, Product):
        algebra = _Matrices()
        total, *others = [sparse_matrix(factor) for factor in own.factors]
        for other in others:
            total = algebra.product(total, other)
        return total
    if isinstance(own, Zero):
        return _Matrix(None, _csr([], [], np.zeros(own.out_size + 1, np.intp), shape))
    raise _NotSparseError


class _Matrices:
    """The algebra of sparse matrices (`pushing.Algebra`)."""

    def __init__(self) -> None:
        self.products = 0
        self._made: dict[int, tuple[LinearMap, _Matrix]] = {}

    def taken(self, own: LinearMap) -> _Matrix:
        """Convert once: a map may be asked for by several pairs."""
        found = self._made.get(id(own))
        if found is None:
            found = self._made[id(own)] = own, sparse_matrix(own)
        return found[1]

    def product(self, outer: _Matrix, inner: _Matrix) -> _Matrix:
        if outer.diagonal is not None and inner.diagonal is not None:
            return _Matrix(outer.diagonal * inner.diagonal)
        if outer.diagonal is not None:
            own = inner.compressed
            values = own.data * np.repeat(outer.diagonal, np.diff(own.indptr))
            return _Matrix(None, _csr(values, own.indices, own.indptr, own.shape))
        if inner.diagonal is not None:
            own = outer.compressed
            values = own.data * inner.diagonal[own.indices]
            return _Matrix(None, _csr(values, own.indices, own.indptr, own.shape))
        left, right = outer.compressed, inner.compressed
        counts = np.diff(right.indptr)[left.indices]
        total = int(counts.sum())
        self.products += total
        if self.products > MOST_PRODUCTS:
            raise _NotSparseError
        return _Matrix(None, _product(left, right, counts, total))

    def sandwich(self, own: _Matrix, middle: _Matrix) -> _Matrix:
        return self.product(self.transpose(own), self.product(middle, own))

    def transpose(self, own: _Matrix) -> _Matrix:
        if own.diagonal is not None:
            return own
        return _Matrix(None, own.compressed.T.tocsr())

    def sum(self, terms: list[_Matrix]) -> _Matrix:
        if len(terms) == 1:
            return terms[0]
        if all(term.diagonal is not None for term in terms):
            return _Matrix(sum(term.diagonal for term in terms))
        return _Matrix(None, _sum([term.compressed for term in terms]))


def pushed_hessian(problem: Problem) -> list[list[Any]] | None:
    """Blocks of a Hessian by first and second input; None where edge pushing cannot serve."""
    where = point(problem)
    function = None if where is None else where.evaluated()
    passed = None if function is None else backward(function)
    if function is None or passed is None:
        return None
    algebra = _Matrices()
    try:
        found = accumulate(passed, len(function.inputs), algebra)
    except _NotSparseError:
        return None
    blocks = []
    for p, first in enumerate(function.inputs):
        row = []
        for q, second in enumerate(function.inputs):
            own = found.get((p, q) if p >= q else (q, p))
            if own is None:
                matrix = _csr([], [], np.zeros(first.size + 1, np.int32), (first.size, second.size))
            else:
                matrix = own.compressed if p >= q else own.compressed.T.tocsr()
                matrix = matrix.copy()
                matrix.sum_duplicates()
            row.append(matrix.astype(second.dtype, copy=False))
        blocks.append(row)
    return blocks
