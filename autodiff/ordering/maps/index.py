"""Maps that move, repeat or sum elements."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array
from autodiff.core.dispatch import Box
from autodiff.core.spec import Shape
from autodiff.ops.index import scatter
from autodiff.ordering.maps.base import FLOAT, Array, LinearMap, unit_of
from autodiff.ordering.maps.blocks import Block, Diagonal

__all__ = ["IndexMap", "between", "is_monomial", "monomial", "read_and_summed", "summed"]


class IndexMap(LinearMap):
    """Moves, repeats or sums elements, times one number.

    Parameters
    ----------
    index : integer array, a function that returns it, or None where only the structure is wanted
        For each output element (in C order) the input element it reads, -1 for none.
    in_shape, out_shape : shapes
    sums : bool
        The transpose instead: for each input element the output element it is added to.
    factor : float
    dtype : numpy.dtype

    Raises
    ------
    AutodiffError
        When it is applied: it was made without an index.
    IndexError
        When it is applied: the index points past the elements.

    Examples
    --------
    >>> import numpy as np
    >>> last_first = IndexMap(np.array([2, 0, -1]), (3,), (3,))
    >>> last_first.apply([[1.0, 2.0, 3.0]])
    array([[3., 1., 0.]])
    """

    def __init__(
        self,
        index: Array | Callable[[], Array] | None,
        in_shape: Shape,
        out_shape: Shape,
        sums: bool = False,
        factor: float = 1.0,
        dtype: np.dtype[Any] = FLOAT,
    ) -> None:
        super().__init__(in_shape, out_shape, dtype)
        self._index = index
        self.sums = sums
        self.factor = factor
        self._plan: tuple[Array, Array, Array] | None = None
        self._inverse: Array | None = None

    @property
    def structure(self) -> str:  # type: ignore[override]  # depends on the direction
        """Whether it reads or sums."""
        return "sum" if self.sums else "index"

    @property
    def known(self) -> bool:
        """Whether the index can be had."""
        return self._index is not None

    @property
    def index(self) -> Array:
        """The index, flat."""
        self._check_known()
        if callable(self._index):
            made: Array = as_array(self._index()).reshape(-1).astype(np.intp)
            self._index = made
        assert self._index is not None
        assert not callable(self._index)
        return self._index

    @property
    def fma_apply(self) -> int:
        """Additions of a sum, and products where there is a factor; reading is free."""
        moved = self.in_size if self.sums else self.out_size
        return moved if self.sums or not unit_of(self.factor) else 0

    @property
    def nbytes(self) -> int:
        """The index."""
        return np.dtype(np.intp).itemsize * (self.in_size if self.sums else self.out_size)

    def _read(self, rows: Array) -> Array:
        return self._scaled(_taken(rows, self.index))

    def _add(self, rows: Array, size: int) -> Array:
        """Sum the columns that go to one place: sorted, so that each place is one slice."""
        if self._inverse is None and self._plan is None:
            self._prepare(size)
        if self._inverse is not None:
            result = _taken(rows, self._inverse)
        else:
            assert self._plan is not None
            order, places, starts = self._plan
            in_order = order.size == rows.shape[1] and np.array_equal(order, np.arange(order.size))
            moved = rows if in_order else np.take(rows, order, axis=1)
            result = summed(moved, starts)
            if places.size != size:
                back = np.full(size, -1)
                back[places] = np.arange(places.size)
                result = _taken(result, back)
        return self._scaled(result)

    def _scaled(self, rows: Array) -> Array:
        return rows if unit_of(self.factor) == 1 else rows * self.factor

    def _prepare(self, size: int) -> None:
        """Find out how to sum: where no two elements meet, by reading through the inverse."""
        index = self.index
        used = np.flatnonzero(index >= 0)
        inverse = np.full(size, -1)
        inverse[index[used]] = used
        if np.count_nonzero(inverse >= 0) == used.size:
            self._inverse = inverse
            return
        order = used[np.argsort(index[used], kind="stable")]
        places, starts = np.unique(index[order], return_index=True)
        self._plan = order, places, starts

    def matrix(self) -> Array:
        """Write the factor where the index says."""
        return monomial([self])

    def push_rows(self, rows: Array) -> Array:
        """Read or add the columns."""
        return self._add(rows, self.out_size) if self.sums else self._read(rows)

    def pull_rows(self, rows: Array) -> Array:
        """Add or read the columns."""
        return self._read(rows) if self.sums else self._add(rows, self.in_size)

    def transpose(self) -> LinearMap:
        """Read where this one adds, and add where it reads."""
        return IndexMap(
            self._index, self.out_shape, self.in_shape, not self.sums, self.factor, self.dtype
        )

    def abstract(self) -> LinearMap:
        """Leave out the index."""
        return IndexMap(None, self.in_shape, self.out_shape, self.sums, self.factor, self.dtype)

    def rescaled(self, factor: float | None, in_shape: Shape, out_shape: Shape) -> LinearMap:
        """Multiply the factor."""
        known = factor is not None
        product = self.factor * factor if factor is not None else math.nan
        index = self._index if known else None
        return IndexMap(index, in_shape, out_shape, self.sums, product, self.dtype)

    def after(self, other: IndexMap) -> IndexMap:
        """Return the composition with a map of the same direction.

        Parameters
        ----------
        other : IndexMap
            The map applied first; `sums` is the same for both.

        Returns
        -------
        IndexMap
            Its index is worked out when it is first used.

        Examples
        --------
        >>> import numpy as np
        >>> swap = IndexMap(np.array([1, 0]), (2,), (2,))
        >>> swap.after(swap).index
        array([0, 1])
        """
        if not self.known or not other.known:
            index = None
        elif self.sums:

            def index() -> Array:
                return _chosen(self.index, other.index)
        else:

            def index() -> Array:
                return _chosen(other.index, self.index)

        return IndexMap(
            index,
            other.in_shape,
            self.out_shape,
            self.sums,
            self.factor * other.factor,
            self.dtype,
        )


def _taken(rows: Array, index: Array) -> Array:
    """Columns by number; zeros for -1."""
    if not index.size or not rows.shape[1]:
        return np.zeros((len(rows), index.size), rows.dtype)
    missing = index.min() < 0
    chosen = np.maximum(index, 0) if missing else index
    if isinstance(rows, Box):
        read = np.take(rows, chosen, axis=1)
        return np.where(index < 0, rows.dtype.type(0), read) if missing else read
    # Along the axis that is contiguous in memory whole rows are copied
    if np.isfortran(rows):
        read = np.take(rows.T, chosen, axis=0).T
    else:
        read = np.take(rows, chosen, axis=1)
    if missing:
        read[:, index < 0] = 0
    return read


def summed(rows: Array, starts: Array) -> Array:
    """Sums of the columns from each start to the next; sums over an axis have equally many."""
    found: Array
    count, width = len(starts), rows.shape[1]
    if not isinstance(rows, Box):
        found = np.add.reduceat(rows, starts, axis=1)
    elif np.array_equal(starts * count, np.arange(count) * width):
        found = np.sum(rows.reshape((len(rows), count, width // count)), axis=2)
    else:
        template = slice(None), np.searchsorted(starts, np.arange(width), side="right") - 1
        found = scatter(rows, templates=(template,), shape=(len(rows), count), dtype=rows.dtype)
    return found


def is_monomial(factors: Sequence[LinearMap]) -> bool:
    """Whether all factors read, or all sum, with diagonals between: one number per element."""
    directions = {f.sums for f in factors if isinstance(f, IndexMap)}
    return len(directions) <= 1 and all(isinstance(f, (IndexMap, Diagonal)) for f in factors)


def monomial(factors: Sequence[LinearMap]) -> Array:
    """Matrix of such factors, written down element by element."""
    if any(isinstance(factor, IndexMap) and factor.sums for factor in factors):
        return monomial([factor.transpose() for factor in reversed(factors)]).T
    index, values = _read_by(factors)
    if isinstance(values, Box):
        own = index[:, None] == np.arange(factors[-1].in_size)
        return np.where(own, values[:, None], values.dtype.type(0))
    matrix = np.zeros((index.size, factors[-1].in_size), values.dtype)
    kept = np.flatnonzero(index >= 0)
    matrix[kept, index[kept]] = values[kept]
    return matrix


def _read_by(factors: Sequence[LinearMap]) -> tuple[Array, Array]:
    """For factors that read: which element each result is, and times which number."""
    index = np.arange(factors[-1].in_size)
    values = np.ones(index.size, np.result_type(*(factor.dtype for factor in factors)))
    for factor in reversed(factors):
        if isinstance(factor, IndexMap):
            index, values = _chosen(index, factor.index), _taken(values[None], factor.index)[0]
            if unit_of(factor.factor) != 1:
                values = values * factor.factor
        else:
            # A diagonal of one element, transposed, is a matrix of one
            assert isinstance(factor, Block)
            values = values * factor.values().reshape(-1)
    return index, values


def read_and_summed(factors: Sequence[LinearMap]) -> int | None:
    """Where factors that sum end and factors that read begin, if these are all.

    Of what lies between, each element is read from one place and added to one: one number again.
    """
    kinds = [f.sums if isinstance(f, IndexMap) else None for f in factors]
    if not all(isinstance(f, (IndexMap, Diagonal)) for f in factors):
        return None
    if True not in kinds or False not in kinds:
        return None
    first = kinds.index(False)
    return None if True in kinds[first:] else first


def between(factors: Sequence[LinearMap], middle: int) -> Array:
    """Matrix of factors that sum, then read: `read_and_summed` says where the latter begin."""
    targets, weights = _read_by([factor.transpose() for factor in reversed(factors[:middle])])
    sources, values = _read_by(factors[middle:])
    rows, columns = factors[0].out_size, factors[-1].in_size
    kept = np.flatnonzero((targets >= 0) & (sources >= 0))
    places = targets[kept] * columns + sources[kept]
    numbers = weights[kept] * values[kept]
    added = np.bincount(places, numbers, minlength=rows * columns)
    return added.reshape(rows, columns).astype(numbers.dtype, copy=False)


def _chosen(index: Array, by: Array) -> Array:
    """``index[by]``, where -1 stands for nothing in both."""
    if not index.size:
        return np.full(by.shape, -1)
    return np.where(by < 0, -1, index[np.maximum(by, 0)])
