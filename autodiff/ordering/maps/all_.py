"""Linear maps with structure: what the local Jacobians of a tape are, and how they multiply.

A map acts on flattened arrays (C order) and knows the shapes of both sides. Most local Jacobians
are blocks: with the input seen as (lead, columns, trail) and the output as (lead, rows, trail),

    out[l, p, r] = sum over q of array[l, p, q, r] * x[l, q, r]

where the array may be the same for all l, or for all r. A dense matrix has lead = trail = 1, a
diagonal one rows = columns = 1; X -> X B is the same block for every row of X, and X -> A X the
same for every column (Kronecker products I x B^T and A x I).

A map whose numbers are left out (`LinearMap.abstract`) composes and adds like any other: planners
use it to follow the structure of products without computing them.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from autodiff.core.spec import Shape
from autodiff.errors import AutodiffError

__all__ = [
    "Block",
    "Dense",
    "Diagonal",
    "Identity",
    "IndexMap",
    "LinearMap",
    "Opaque",
    "Product",
    "Scaled",
    "Zero",
    "block_diagonal",
    "left_multiplication",
    "multiply",
    "right_multiplication",
]

Array = np.ndarray[Any, Any]
Rows = Callable[[Array], Array]
Deferred = tuple[Callable[[], "LinearMap"], int]
"""A product to be carried out, and what that costs."""

FLOAT = np.dtype(float)
_THIN = 16
"""Columns up to which a left factor makes writing the product its main cost."""
_BLOCKED_BYTES = 2**20, 2**22
"""Sizes of products, from and below, that are made in blocks of rows."""
_BLOCK_BYTES = 2**19


def _size(shape: Shape) -> int:
    return math.prod(shape)


class LinearMap:
    """A linear map between arrays of two shapes.

    Attributes
    ----------
    in_shape, out_shape : tuple of int
    in_size, out_size : int
    dtype : numpy.dtype
    structure : str
        "identity", "diagonal", "dense", ... for tables and pictures.
    fma_apply : int
        Fused multiply-adds of one tangent, or of one cotangent; the two are the same.
    nbytes : int
        Bytes of the numbers kept.
    """

    structure = "linear map"
    _recent: tuple[LinearMap, Deferred] | None = None

    def __init__(self, in_shape: Shape, out_shape: Shape, dtype: np.dtype[Any]) -> None:
        self.in_shape = tuple(in_shape)
        self.out_shape = tuple(out_shape)
        self.in_size = math.prod(in_shape)
        self.out_size = math.prod(out_shape)
        self.dtype = dtype

    # --- what a class of maps defines -------------------------------------------------------------

    @property
    @abstractmethod
    def fma_apply(self) -> int:
        """Fused multiply-adds of one tangent or cotangent."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes of the numbers kept."""

    @property
    def fma_materialise(self) -> int:
        """Fused multiply-adds of writing the map as a matrix."""
        return 0

    @abstractmethod
    def push_rows(self, rows: Array) -> Array:
        """Images of the rows of a matrix (k, in_size): a matrix (k, out_size)."""

    @abstractmethod
    def pull_rows(self, rows: Array) -> Array:
        """Images of the rows of a matrix (k, out_size) under the transpose: (k, in_size)."""

    @abstractmethod
    def transpose(self) -> LinearMap:
        """Return the transposed map."""

    @abstractmethod
    def abstract(self) -> LinearMap:
        """Return the map without its numbers: shapes, structure and costs."""

    @abstractmethod
    def rescaled(self, factor: float, in_shape: Shape, out_shape: Shape) -> LinearMap:
        """Return the map times a number, between shapes of the same sizes."""

    @property
    def known(self) -> bool:
        """Whether the map has its numbers."""
        return True

    def matrix(self) -> Array:
        """Return the map as a matrix (out_size, in_size), perhaps one that belongs to the map."""
        if self.in_size <= self.out_size:
            return self.push_rows(np.eye(self.in_size, dtype=self.dtype)).T
        return self.pull_rows(np.eye(self.out_size, dtype=self.dtype))

    # --- what follows -----------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<{self.structure} map {list(self.in_shape)} -> {list(self.out_shape)}>"

    def materialise(self) -> Array:
        """Return the map as a new matrix of shape (out_size, in_size).

        Raises
        ------
        AutodiffError
            The map was made without its numbers.
        """
        self._check_known()
        return np.array(self.matrix())

    def apply(self, tangents: Any) -> Array:
        """Push tangents forward.

        Parameters
        ----------
        tangents : array of shape (k, *in_shape)
            One tangent per entry of the first axis.

        Returns
        -------
        array of shape (k, *out_shape)

        Raises
        ------
        ValueError
            The shape is another one.
        """
        rows = self._rows(tangents, self.in_shape, "apply: tangents")
        return self.push_rows(rows).reshape((len(rows), *self.out_shape))

    def pull(self, cotangents: Any) -> Array:
        """Pull cotangents of shape (k, *out_shape) back: the transposed map of each."""
        rows = self._rows(cotangents, self.out_shape, "pull: cotangents")
        return self.pull_rows(rows).reshape((len(rows), *self.in_shape))

    def _rows(self, values: Any, shape: Shape, what: str) -> Array:
        self._check_known()
        array = np.asarray(values)
        if array.shape[1:] != shape or array.ndim == 0:
            raise ValueError(
                f"{what} have shape {array.shape}; {self!r} takes (k, {str(shape)[1:]} with one "
                "of them per entry of the first axis"
            )
        return array.reshape((len(array), _size(shape)))

    def _check_known(self) -> None:
        if not self.known:
            raise AutodiffError(
                f"{self!r} was made without numbers, to plan with; make the graph at a point to "
                "get them: tape.jacobian_graph(x)"
            )

    def compose(self, other: LinearMap) -> LinearMap:
        """Return the product: this map after the other.

        The product stays structured where the structures go together, and is a matrix otherwise.

        Raises
        ------
        ValueError
            The other's results are not of the shape that this map takes.

        Examples
        --------
        >>> import numpy as np
        >>> Diagonal(np.array([1.0, 2.0])).compose(Diagonal(np.array([3.0, 4.0]))).structure
        'diagonal'
        """
        work = self._deferred(other)[0]
        self._recent = None
        return work()

    def fma_compose(self, other: LinearMap) -> int:
        """Fused multiply-adds of `compose`, an exact integer."""
        return self._deferred(other)[1]

    def _deferred(self, other: LinearMap) -> Deferred:
        """The product decided on, kept for the question that comes next: planners ask twice."""
        recent = self._recent
        if recent is None or recent[0] is not other:
            recent = self._recent = (other, _product(self, other))
        return recent[1]

    def add(self, other: LinearMap) -> LinearMap:
        """Return the sum of two maps between the same shapes."""
        return _sum(self, other)


class Zero(LinearMap):
    """The map that gives zeros."""

    structure = "zero"

    def __init__(self, in_shape: Shape, out_shape: Shape, dtype: np.dtype[Any] = FLOAT) -> None:
        super().__init__(in_shape, out_shape, dtype)

    @property
    def fma_apply(self) -> int:
        """Nothing is multiplied."""
        return 0

    @property
    def nbytes(self) -> int:
        """Nothing is kept."""
        return 0

    def push_rows(self, rows: Array) -> Array:
        """Zeros (k, out_size)."""
        return np.zeros((len(rows), self.out_size), self.dtype)

    def pull_rows(self, rows: Array) -> Array:
        """Zeros (k, in_size)."""
        return np.zeros((len(rows), self.in_size), self.dtype)

    def transpose(self) -> LinearMap:
        """Return the zero map the other way."""
        return Zero(self.out_shape, self.in_shape, self.dtype)

    def abstract(self) -> LinearMap:
        """Return the map itself: it has no numbers."""
        return self

    def rescaled(self, factor: float, in_shape: Shape, out_shape: Shape) -> LinearMap:
        """Return zeros again."""
        return Zero(in_shape, out_shape, self.dtype)


class Scaled(LinearMap):
    """A number times the elements in their order; the shapes may differ (reshape).

    Without its number (`factor` None) it stands for any.
    """

    def __init__(
        self,
        factor: float | None,
        in_shape: Shape,
        out_shape: Shape | None = None,
        dtype: np.dtype[Any] = FLOAT,
    ) -> None:
        super().__init__(in_shape, in_shape if out_shape is None else out_shape, dtype)
        if self.in_size != self.out_size:
            raise ValueError(
                f"a multiple of the identity from shape {self.in_shape} to {self.out_shape}: the "
                "sizes differ"
            )
        self.factor = factor

    @property
    def structure(self) -> str:  # type: ignore[override]  # depends on the number
        """Whether it is the identity."""
        return "identity" if self.factor == 1 else "scaled"

    @property
    def is_unit(self) -> bool:
        """Whether products with it need no multiplication."""
        return self.factor in (1, -1)

    @property
    def known(self) -> bool:
        """Whether the number is known."""
        return self.factor is not None

    @property
    def fma_apply(self) -> int:
        """One product per element, none for a factor of 1 or -1."""
        return 0 if self.is_unit else self.in_size

    @property
    def nbytes(self) -> int:
        """One number."""
        return self.dtype.itemsize

    def push_rows(self, rows: Array) -> Array:
        """Rows times the factor."""
        if self.factor == 1:
            return rows
        # A Python number leaves float32 rows float32
        return -rows if self.factor == -1 else rows * self.factor

    pull_rows = push_rows

    def matrix(self) -> Array:
        """Diagonal matrix."""
        return self.push_rows(np.eye(self.in_size, dtype=self.dtype))

    def transpose(self) -> LinearMap:
        """Return the same multiple the other way."""
        return Scaled(self.factor, self.out_shape, self.in_shape, self.dtype)

    def abstract(self) -> LinearMap:
        """Keep the number only where it is 1 or -1."""
        if self.is_unit:
            return self
        return Scaled(None, self.in_shape, self.out_shape, self.dtype)

    def rescaled(self, factor: float | None, in_shape: Shape, out_shape: Shape) -> LinearMap:
        """Multiply the numbers."""
        product = None
        if factor is not None and self.factor is not None:
            product = self.factor * factor
        return Scaled(product, in_shape, out_shape, self.dtype)


class Identity(Scaled):
    """The identity; with two shapes of one size, a reshape."""

    def __init__(
        self, in_shape: Shape, out_shape: Shape | None = None, dtype: np.dtype[Any] = FLOAT
    ) -> None:
        super().__init__(1, in_shape, out_shape, dtype)


class Block(LinearMap):
    """The same small matrices along the axes: block-diagonal and Kronecker structures.

    Parameters
    ----------
    array : array of shape (lead or 1, rows, columns, trail or 1), or its shape
        A length of 1 where `lead` or `trail` is larger: the same block for all.
    lead, trail : int
    in_shape, out_shape : shapes of sizes lead * columns * trail and lead * rows * trail
    """

    def __init__(
        self,
        array: Array | tuple[int, int, int, int],
        lead: int,
        trail: int,
        in_shape: Shape,
        out_shape: Shape,
        dtype: np.dtype[Any] | None = None,
    ) -> None:
        self.array: Array | None
        if isinstance(array, tuple):
            self.array, stored, own_dtype = None, array, FLOAT
        else:
            self.array, stored, own_dtype = array, _four(array.shape), array.dtype
        super().__init__(in_shape, out_shape, own_dtype if dtype is None else dtype)
        a, rows, columns, b = self.stored = stored
        self.lead = lead
        self.trail = trail
        self.rows = rows
        self.columns = columns
        fits = (
            (a == lead or a == 1)
            and (b == trail or b == 1)
            and self.in_size == lead * columns * trail
            and self.out_size == lead * rows * trail
        )
        if not fits:
            raise ValueError(
                f"blocks of shape {self.stored}, {lead} x {trail} of them, do not map shape "
                f"{self.in_shape} to {self.out_shape}"
            )

    @property
    def structure(self) -> str:  # type: ignore[override]  # depends on the lengths
        """What the lengths make it."""
        if self.lead == self.trail == 1:
            return "dense"
        if self.rows == self.columns == 1:
            return "diagonal"
        blocks = self.lead * self.trail
        kept = self.stored[0] * self.stored[3]
        kind = "block-diagonal" if kept == blocks else "kronecker"
        return f"{kind} {blocks} x [{self.rows},{self.columns}]"

    @property
    def known(self) -> bool:
        """Whether the array is there."""
        return self.array is not None

    @property
    def fma_apply(self) -> int:
        """Every block times its part."""
        return self.lead * self.rows * self.columns * self.trail

    @property
    def nbytes(self) -> int:
        """What is stored: shared blocks once."""
        return math.prod(self.stored) * self.dtype.itemsize

    def _values(self) -> Array:
        self._check_known()
        assert self.array is not None
        return self.array

    def push_rows(self, rows: Array) -> Array:
        """Each block times its part of every row."""
        return _block_times(self._values(), rows, self.lead, self.trail)

    def pull_rows(self, rows: Array) -> Array:
        """Each transposed block times its part of every row."""
        return _block_times(self._values().swapaxes(1, 2), rows, self.lead, self.trail)

    def matrix(self) -> Array:
        """Blocks spread out on zeros; the array itself where it is one matrix."""
        values = self._values()
        if self.lead == self.trail == 1:
            return values[0, :, :, 0]
        return _coarse(values, self.lead, self.trail, 1, 1)[0, :, :, 0]

    def transpose(self) -> LinearMap:
        """Transpose every block."""
        if self.array is None:
            a, p, q, b = self.stored
            array: Any = (a, q, p, b)
        else:
            array = self.array.swapaxes(1, 2)
        return _block(array, self.lead, self.trail, self.out_shape, self.in_shape, self.dtype)

    def abstract(self) -> LinearMap:
        """Keep the shape of the array."""
        return self._like(self.stored, self.in_shape, self.out_shape)

    def _like(self, array: Any, in_shape: Shape, out_shape: Shape) -> LinearMap:
        return _block(array, self.lead, self.trail, in_shape, out_shape, self.dtype)

    def rescaled(self, factor: float | None, in_shape: Shape, out_shape: Shape) -> LinearMap:
        """Multiply the stored numbers."""
        if self.array is None or factor is None:
            return self._like(self.stored, in_shape, out_shape)
        array = self.array if factor == 1 else -self.array if factor == -1 else self.array * factor
        return self._like(array, in_shape, out_shape)


class Dense(Block):
    """A matrix.

    Parameters
    ----------
    matrix : array of shape (out_size, in_size), or its shape
    in_shape, out_shape : shapes, by default flat

    Examples
    --------
    >>> import numpy as np
    >>> Dense(np.array([[1.0, 2.0]])).apply(np.array([[10.0, 1.0]]))
    array([[12.]])
    """

    def __init__(
        self,
        matrix: Array | tuple[int, int],
        in_shape: Shape | None = None,
        out_shape: Shape | None = None,
        dtype: np.dtype[Any] | None = None,
    ) -> None:
        shape: tuple[int, ...] = matrix if isinstance(matrix, tuple) else matrix.shape
        rows, columns = shape
        array = (1, rows, columns, 1) if isinstance(matrix, tuple) else matrix[None, :, :, None]
        super().__init__(
            array,
            1,
            1,
            (columns,) if in_shape is None else in_shape,
            (rows,) if out_shape is None else out_shape,
            dtype,
        )


class Diagonal(Block):
    """One factor per element.

    Parameters
    ----------
    factors : array, of the map's shape, or that shape
    """

    def __init__(
        self,
        factors: Array | Shape,
        in_shape: Shape | None = None,
        out_shape: Shape | None = None,
        dtype: np.dtype[Any] | None = None,
    ) -> None:
        shape = factors if isinstance(factors, tuple) else factors.shape
        size = _size(shape)
        array = (size, 1, 1, 1) if isinstance(factors, tuple) else factors.reshape((size, 1, 1, 1))
        super().__init__(
            array,
            size,
            1,
            shape if in_shape is None else in_shape,
            shape if out_shape is None else out_shape,
            dtype,
        )


def _four(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    lead, rows, columns, trail = shape
    return lead, rows, columns, trail


def _block(
    array: Any,
    lead: int,
    trail: int,
    in_shape: Shape,
    out_shape: Shape,
    dtype: np.dtype[Any] | None = None,
) -> LinearMap:
    """Blocks, as the most special class that describes them."""
    abstract = isinstance(array, tuple)
    a, rows, columns, b = array if abstract else array.shape
    chosen: type[Block] = Block
    if lead * trail == 1:
        chosen = Dense
    elif rows == columns == 1 and a * b == lead * trail:
        chosen, lead, trail = Diagonal, lead * trail, 1
        array = (lead, 1, 1, 1) if abstract else array.reshape((lead, 1, 1, 1))
    # The array has four axes already: the constructors of matrices and diagonals would make two
    # more views of it, in every product
    made = chosen.__new__(chosen)
    Block.__init__(made, array, lead, trail, in_shape, out_shape, dtype)
    return made


def block_diagonal(
    blocks: Array, in_shape: Shape | None = None, out_shape: Shape | None = None
) -> LinearMap:
    """Blocks along the first axis: (count, rows, columns) maps count * columns numbers.

    Examples
    --------
    >>> import numpy as np
    >>> block_diagonal(np.ones((3, 1, 2))).materialise()
    array([[1., 1., 0., 0., 0., 0.],
           [0., 0., 1., 1., 0., 0.],
           [0., 0., 0., 0., 1., 1.]])
    """
    count, rows, columns = blocks.shape
    return _block(
        blocks[..., None],
        count,
        1,
        (count, columns) if in_shape is None else in_shape,
        (count, rows) if out_shape is None else out_shape,
    )


def left_multiplication(a: Array, columns: int) -> LinearMap:
    """Return X -> A X for X with so many columns: the Kronecker product of A and the identity."""
    rows, inner = a.shape
    return _block(a[None, :, :, None], 1, columns, (inner, columns), (rows, columns))


def right_multiplication(b: Array, rows: int) -> LinearMap:
    """Return X -> X B for X with so many rows: the Kronecker product of the identity and B^T."""
    inner, columns = b.shape
    return _block(b.T[None, :, :, None], rows, 1, (rows, inner), (rows, columns))


def _block_times(array: Array, rows: Array, lead: int, trail: int) -> Array:
    """Blocks (a, p, q, b) times rows (k, lead * q * trail), by as few matrix products as can be."""
    a, p, q, b = array.shape
    k = len(rows)
    if p == q == 1 and a * b == lead * trail:
        return rows * array.reshape(-1)
    if k == 0 or 0 in (p, q, lead, trail):
        return np.zeros((k, lead * p * trail), np.result_type(array, rows))
    if b == 1:
        if a == 1:
            matrix = array[0, :, :, 0]
            if trail == 1:
                return (rows.reshape((k * lead, q)) @ matrix.T).reshape((k, lead * p))
            return (matrix @ rows.reshape((k * lead, q, trail))).reshape((k, lead * p * trail))
        if trail == 1:
            product = rows.reshape((k, lead, q)).swapaxes(0, 1) @ array[..., 0].swapaxes(1, 2)
            return product.swapaxes(0, 1).reshape((k, lead * p))
        product = array[..., 0] @ rows.reshape((k, lead, q, trail))
        return product.reshape((k, lead * p * trail))
    # Blocks differ along the trail: it goes in front, beside the lead
    stack = rows.reshape((k, lead, q, trail)).transpose((1, 3, 0, 2))
    product = stack @ array.transpose((0, 3, 2, 1))
    return product.transpose((2, 0, 3, 1)).reshape((k, lead * p * trail))


def _coarse(array: Array, lead: int, trail: int, new_lead: int, new_trail: int) -> Array:
    """Blocks of a coarser division: zeros are filled in around the finer blocks."""
    a, p, q, b = array.shape
    parts, strips = lead // new_lead, trail // new_trail
    if parts == strips == 1:
        return array
    # A block shared by all stays shared
    keep_lead = 1 if a == 1 else new_lead
    keep_trail = 1 if b == 1 else new_trail
    result = np.zeros((keep_lead, parts, p, strips, parts, q, strips, keep_trail), array.dtype)
    split = array.reshape(
        (keep_lead, parts if a > 1 else 1, p, q, strips if b > 1 else 1, keep_trail)
    )
    n, s = np.arange(parts)[:, None], np.arange(strips)[None, :]
    # Integer arrays in several places: their axes (parts, strips) come first
    values = np.broadcast_to(
        split.transpose((1, 4, 0, 2, 3, 5)), (parts, strips, keep_lead, p, q, keep_trail)
    )
    result[:, n, :, s, n, :, s, :] = values
    return result.reshape((keep_lead, parts * p * strips, parts * q * strips, keep_trail))


def _coarse_stored(
    stored: tuple[int, int, int, int], lead: int, trail: int, new_lead: int, new_trail: int
) -> tuple[int, int, int, int]:
    """Shape of what `_coarse` returns."""
    a, p, q, b = stored
    scale = (lead // new_lead) * (trail // new_trail)
    if scale == 1:
        return stored
    return (1 if a == 1 else new_lead, p * scale, q * scale, 1 if b == 1 else new_trail)


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
            self._index = np.asarray(self._index()).reshape(-1).astype(np.intp)
        assert self._index is not None
        return self._index

    @property
    def fma_apply(self) -> int:
        """Additions of a sum, and products where there is a factor; reading is free."""
        moved = self.in_size if self.sums else self.out_size
        return moved if self.sums or self.factor not in (1, -1) else 0

    @property
    def nbytes(self) -> int:
        """The index."""
        return np.dtype(np.intp).itemsize * (self.in_size if self.sums else self.out_size)

    def _read(self, rows: Array) -> Array:
        read = _taken(rows, self.index)
        return read if self.factor == 1 else read * self.factor

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
            summed = np.add.reduceat(moved, starts, axis=1)
            if places.size == size:
                result = summed
            else:
                result = np.zeros((len(rows), size), rows.dtype)
                result[:, places] = summed
        return result if self.factor == 1 else result * self.factor

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
        return _monomial([self])

    def push_rows(self, rows: Array) -> Array:
        """Read or add the columns."""
        return self._add(rows, self.out_size) if self.sums else self._read(rows)

    def pull_rows(self, rows: Array) -> Array:
        """Add or read the columns."""
        return self._read(rows) if self.sums else self._add(rows, self.in_size)

    def transpose(self) -> LinearMap:
        """Read where this one adds, and the other way round."""
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
        """Return the composition with a map of the same direction."""
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
    # Along the axis that lies together in memory whole rows are copied
    if rows.flags.f_contiguous and not rows.flags.c_contiguous:
        read = np.take(rows.T, chosen, axis=0).T
    else:
        read = np.take(rows, chosen, axis=1)
    if missing:
        read[:, index < 0] = 0
    return read


def _is_monomial(factors: Sequence[LinearMap]) -> bool:
    """Whether all factors read, or all sum, with diagonals between: one number per element."""
    directions = {f.sums for f in factors if isinstance(f, IndexMap)}
    return len(directions) <= 1 and all(isinstance(f, (IndexMap, Diagonal)) for f in factors)


def _monomial(factors: Sequence[LinearMap]) -> Array:
    """Matrix of such factors, written down element by element."""
    if any(isinstance(factor, IndexMap) and factor.sums for factor in factors):
        return _monomial([factor.transpose() for factor in reversed(factors)]).T
    index = np.arange(factors[-1].in_size)
    values = np.ones(index.size, np.result_type(*(factor.dtype for factor in factors)))
    for factor in reversed(factors):
        if isinstance(factor, IndexMap):
            index, values = _chosen(index, factor.index), _taken(values[None], factor.index)[0]
            if factor.factor != 1:
                values = values * factor.factor
        else:
            assert isinstance(factor, Diagonal)
            values = values * factor._values().reshape(-1)
    matrix = np.zeros((index.size, factors[-1].in_size), values.dtype)
    kept = np.flatnonzero(index >= 0)
    matrix[kept, index[kept]] = values[kept]
    return matrix


def _chosen(index: Array, by: Array) -> Array:
    """``index[by]``, where -1 stands for nothing in both."""
    if not index.size:
        return np.full(by.shape, -1)
    return np.where(by < 0, -1, index[np.maximum(by, 0)])


class Opaque(LinearMap):
    """A map known by what it does to tangents and cotangents alone.

    Parameters
    ----------
    push, pull : functions of rows (k, in_size) and (k, out_size), or None without numbers
    fma : int
        Cost of one tangent or cotangent.
    """

    structure = "opaque"

    def __init__(
        self,
        push: Rows | None,
        pull: Rows | None,
        fma: int,
        in_shape: Shape,
        out_shape: Shape,
        dtype: np.dtype[Any] = FLOAT,
    ) -> None:
        super().__init__(in_shape, out_shape, dtype)
        self._push = push
        self._pull = pull
        self.fma = fma

    @property
    def known(self) -> bool:
        """Whether it can be applied."""
        return self._push is not None and self._pull is not None

    @property
    def fma_apply(self) -> int:
        """As given."""
        return self.fma

    @property
    def fma_materialise(self) -> int:
        """One tangent per column or one cotangent per row, whichever are fewer."""
        return self.fma * min(self.in_size, self.out_size)

    @property
    def nbytes(self) -> int:
        """Nothing is kept."""
        return 0

    def push_rows(self, rows: Array) -> Array:
        """Call the function for tangents."""
        self._check_known()
        assert self._push is not None
        return self._push(rows)

    def pull_rows(self, rows: Array) -> Array:
        """Call the function for cotangents."""
        self._check_known()
        assert self._pull is not None
        return self._pull(rows)

    def transpose(self) -> LinearMap:
        """Swap the functions."""
        return Opaque(self._pull, self._push, self.fma, self.out_shape, self.in_shape, self.dtype)

    def abstract(self) -> LinearMap:
        """Leave out the functions."""
        return Opaque(None, None, self.fma, self.in_shape, self.out_shape, self.dtype)

    def rescaled(self, factor: float | None, in_shape: Shape, out_shape: Shape) -> LinearMap:
        """Multiply what the functions return."""
        push, pull = self._push, self._pull
        fma = self.fma if factor in (1, -1) else self.fma + min(self.in_size, self.out_size)
        if push is None or pull is None or factor is None:
            return Opaque(None, None, fma, in_shape, out_shape, self.dtype)
        if factor == 1:
            return Opaque(push, pull, fma, in_shape, out_shape, self.dtype)
        return Opaque(
            lambda rows: push(rows) * factor,
            lambda rows: pull(rows) * factor,
            fma,
            in_shape,
            out_shape,
            self.dtype,
        )


class Product(LinearMap):
    """A structured map between index maps, left as it is: multiplying it out would fill it.

    Parameters
    ----------
    factors : sequence of maps, the last to be applied first, as matrices are written
    """

    def __init__(self, factors: Sequence[LinearMap]) -> None:
        first, last = factors[-1], factors[0]
        super().__init__(
            first.in_shape, last.out_shape, np.result_type(*(f.dtype for f in factors))
        )
        self.factors = tuple(factors)

    @property
    def structure(self) -> str:  # type: ignore[override]  # depends on the factors
        """Structures of the factors."""
        return " . ".join(factor.structure for factor in self.factors)

    @property
    def known(self) -> bool:
        """Whether all factors are."""
        return all(factor.known for factor in self.factors)

    @property
    def fma_apply(self) -> int:
        """One factor after the other."""
        return sum(factor.fma_apply for factor in self.factors)

    @property
    def fma_materialise(self) -> int:
        """The structured factor as a matrix, its rows and columns moved and summed."""
        if _is_monomial(self.factors):
            return sum(factor.fma_apply for factor in self.factors if isinstance(factor, Diagonal))
        core = self._core()
        total = self.factors[core].fma_materialise
        rows = self.factors[core].out_size
        total += sum(rows * factor.fma_apply for factor in self.factors[core + 1 :])
        total += sum(self.in_size * factor.fma_apply for factor in self.factors[:core])
        return total

    @property
    def nbytes(self) -> int:
        """What the factors keep."""
        return sum(factor.nbytes for factor in self.factors)

    def _core(self) -> int:
        """Position of the factor that is no index map (or the smallest of them)."""
        for position, factor in enumerate(self.factors):
            if not isinstance(factor, IndexMap):
                return position
        sizes = [factor.out_size * factor.in_size for factor in self.factors]
        return sizes.index(min(sizes))

    def push_rows(self, rows: Array) -> Array:
        """Apply the factors from the last to the first."""
        for factor in reversed(self.factors):
            rows = factor.push_rows(rows)
        return rows

    def pull_rows(self, rows: Array) -> Array:
        """Apply the transposed factors from the first to the last."""
        for factor in self.factors:
            rows = factor.pull_rows(rows)
        return rows

    def matrix(self) -> Array:
        """Multiply out from the structured factor to both sides."""
        if _is_monomial(self.factors):
            return _monomial(self.factors)
        core = self._core()
        matrix = self.factors[core].matrix()
        for factor in self.factors[core + 1 :]:
            matrix = factor.pull_rows(matrix)
        columns = matrix.T
        for factor in reversed(self.factors[:core]):
            columns = factor.push_rows(columns)
        return columns.T

    def transpose(self) -> LinearMap:
        """Transpose the factors and turn them round."""
        return Product([factor.transpose() for factor in reversed(self.factors)])

    def abstract(self) -> LinearMap:
        """Leave out the factors' numbers."""
        return Product([factor.abstract() for factor in self.factors])

    def rescaled(self, factor: float | None, in_shape: Shape, out_shape: Shape) -> LinearMap:
        """Multiply the structured factor."""
        factors = list(self.factors)
        core = self._core()
        chosen = factors[core]
        # rescaled() of every class takes None for a number that is not known
        scale: Any = factor
        factors[core] = chosen.rescaled(scale, chosen.in_shape, chosen.out_shape)
        last, first = factors[0], factors[-1]
        factors[0] = last.rescaled(1.0, last.in_shape, out_shape)
        first = factors[-1]
        factors[-1] = first.rescaled(1.0, in_shape, first.out_shape)
        return Product(factors)


# --- products and sums ----------------------------------------------------------------------------


def multiply(outer: LinearMap, inner: LinearMap) -> tuple[LinearMap, int]:
    """Return the product of two maps, and its fused multiply-adds."""
    work, fma = _product(outer, inner)
    return work(), fma


def _product(outer: LinearMap, inner: LinearMap) -> Deferred:
    """Decide how two maps are multiplied: once, for the cost and for the work."""
    if type(outer) is type(inner) is Diagonal and outer.in_shape == inner.out_shape:
        # Most products of elementwise programs
        return partial(_diagonal_product, outer, inner), outer.in_size
    if outer.in_shape != inner.out_shape:
        raise ValueError(
            f"compose: {outer!r} does not take what {inner!r} gives; shapes {outer.in_shape} and "
            f"{inner.out_shape} differ"
        )
    in_shape, out_shape = inner.in_shape, outer.out_shape
    if isinstance(outer, Block) and isinstance(inner, Block):
        return _block_product(outer, inner) or _dense_product(outer, inner)
    if isinstance(outer, Zero) or isinstance(inner, Zero):
        return lambda: Zero(in_shape, out_shape, outer.dtype), 0
    for scaled, rest in ((outer, inner), (inner, outer)):
        if isinstance(scaled, Scaled):
            factor: Any = scaled.factor
            fma = 0 if scaled.is_unit or isinstance(rest, (Scaled, IndexMap)) else _stored(rest)
            return partial(rest.rescaled, factor, in_shape, out_shape), fma
    if not isinstance(outer, Dense) and not isinstance(inner, Dense):
        lazy = _lazy_product(outer, inner)
        if lazy is not None:
            return lazy
    return _dense_product(outer, inner)


def _diagonal_product(outer: Diagonal, inner: Diagonal) -> Diagonal:
    factors: Any = inner.in_shape
    dtype = outer.dtype
    if outer.array is not None and inner.array is not None:
        factors = outer.array.reshape(-1) * inner.array.reshape(-1)
        dtype = factors.dtype
    return Diagonal(factors, inner.in_shape, outer.out_shape, dtype)


def _stored(chosen: LinearMap) -> int:
    """Products of multiplying a map by a number."""
    if isinstance(chosen, Block):
        return math.prod(chosen.stored)
    if isinstance(chosen, Product):
        return _stored(chosen.factors[chosen._core()])
    return 0


def _block_product(outer: Block, inner: Block) -> Deferred | None:
    """Product of blocks; None where it is a matrix made from unlike parts."""
    in_shape, out_shape = inner.in_shape, outer.out_shape
    dtype = outer.dtype if outer.dtype is inner.dtype else np.result_type(outer.dtype, inner.dtype)
    known = outer.known and inner.known
    if isinstance(outer, Diagonal):
        lead, trail = inner.lead, inner.trail
        shape = (lead, inner.rows, inner.columns, trail)

        def scaled_rows() -> LinearMap:
            if not known:
                return _block(shape, lead, trail, in_shape, out_shape, dtype)
            factors = outer._values().reshape((lead, inner.rows, 1, trail))
            return _block(factors * inner._values(), lead, trail, in_shape, out_shape)

        return scaled_rows, math.prod(shape)
    if isinstance(inner, Diagonal):
        lead, trail = outer.lead, outer.trail
        shape = (lead, outer.rows, outer.columns, trail)

        def scaled_columns() -> LinearMap:
            if not known:
                return _block(shape, lead, trail, in_shape, out_shape, dtype)
            factors = inner._values().reshape((lead, 1, outer.columns, trail))
            return _block(outer._values() * factors, lead, trail, in_shape, out_shape)

        return scaled_columns, math.prod(shape)
    lead, trail = math.gcd(outer.lead, inner.lead), math.gcd(outer.trail, inner.trail)
    if lead * trail == 1:
        return None
    left = _coarse_stored(outer.stored, outer.lead, outer.trail, lead, trail)
    right = _coarse_stored(inner.stored, inner.lead, inner.trail, lead, trail)
    shape = (max(left[0], right[0]), left[1], right[2], max(left[3], right[3]))

    def multiplied() -> LinearMap:
        if not known:
            return _block(shape, lead, trail, in_shape, out_shape, dtype)
        one = _coarse(outer._values(), outer.lead, outer.trail, lead, trail)
        two = _coarse(inner._values(), inner.lead, inner.trail, lead, trail)
        array = one.transpose((0, 3, 1, 2)) @ two.transpose((0, 3, 1, 2))
        return _block(array.transpose((0, 2, 3, 1)), lead, trail, in_shape, out_shape)

    return multiplied, math.prod(shape) * left[2]


def _lazy_product(outer: LinearMap, inner: LinearMap) -> Deferred | None:
    """Keep the factors side by side where at most one is not an index map; else None."""
    left = list(outer.factors) if isinstance(outer, Product) else [outer]
    right = list(inner.factors) if isinstance(inner, Product) else [inner]
    fma = 0
    work: Callable[[], LinearMap] | None = None
    last, first = left[-1], right[0]
    if isinstance(last, IndexMap) and isinstance(first, IndexMap) and last.sums == first.sums:

        def work() -> LinearMap:
            return last.after(first)
    elif isinstance(last, Block) and isinstance(first, Block):
        # The structure of the product decides whether it may stay; numbers are for later
        work, fma = _product(last, first)
        structure = _product(last.abstract(), first.abstract())[0]()
        if isinstance(structure, Dense):
            return None
    whole = [*left, *right]
    solid = sum(not isinstance(factor, IndexMap) for factor in whole)
    merged = 1 if isinstance(last, Block) and isinstance(first, Block) else 0
    if solid - merged > 1 or any(isinstance(factor, (Dense, Opaque)) for factor in whole):
        return None

    def join() -> LinearMap:
        factors = whole if work is None else [*left[:-1], work(), *right[1:]]
        return factors[0] if len(factors) == 1 else Product(factors)

    return join, fma


def _dense_product(outer: LinearMap, inner: LinearMap) -> Deferred:
    """Write one side as a matrix and apply the other to it, whichever is cheaper."""
    rows, columns = outer.out_size, inner.in_size
    forward = inner.fma_materialise + columns * outer.fma_apply
    backward = outer.fma_materialise + rows * inner.fma_apply
    known = outer.known and inner.known
    # At equal cost a matrix is the one that is applied to
    pushes = forward < backward or (forward == backward and isinstance(inner, Dense))

    def multiplied() -> LinearMap:
        if not known:
            dtype = np.result_type(outer.dtype, inner.dtype)
            return Dense((rows, columns), inner.in_shape, outer.out_shape, dtype)
        if isinstance(outer, Dense) and isinstance(inner, Dense):
            matrix = _matrix_product(outer.matrix(), inner.matrix())
        elif pushes:
            matrix = outer.push_rows(inner.matrix().T).T
        else:
            matrix = inner.pull_rows(outer.matrix())
        return Dense(matrix, inner.in_shape, outer.out_shape)

    return multiplied, min(forward, backward)


def _matrix_product(left: Array, right: Array) -> Array:
    """Product of two matrices, in blocks of rows where it is little more than writing the result.

    With few columns on the left, BLAS clears the result in one pass and fills it in another. A
    block is still in the cache in the second pass: for 512 x 8 x 512 this takes a quarter off the
    time where the memory is fresh, and costs nothing where it is not. NumPy asks for huge pages
    for results larger than the bound, and those are as fast in one piece.
    """
    rows, inner = left.shape
    columns = right.shape[1]
    dtype = np.result_type(left, right)
    nbytes = rows * columns * dtype.itemsize
    if inner > _THIN or not _BLOCKED_BYTES[0] <= nbytes < _BLOCKED_BYTES[1]:
        return left @ right
    result = np.empty((rows, columns), dtype)
    step = -(-rows * _BLOCK_BYTES // nbytes)
    for start in range(0, rows, step):
        np.matmul(left[start : start + step], right, out=result[start : start + step])
    return result


def _sum(one: LinearMap, two: LinearMap) -> LinearMap:
    if (one.in_shape, one.out_shape) != (two.in_shape, two.out_shape):
        raise ValueError(f"add: {one!r} and {two!r} are not between the same shapes")
    if isinstance(one, Zero):
        return two
    if isinstance(two, Zero):
        return one
    in_shape, out_shape = one.in_shape, one.out_shape
    dtype = np.result_type(one.dtype, two.dtype)
    known = one.known and two.known
    if isinstance(one, Scaled) and isinstance(two, Scaled):
        total = None
        if one.factor is not None and two.factor is not None:
            total = one.factor + two.factor
        return Scaled(total, in_shape, out_shape, dtype)
    left, right = _as_block(one), _as_block(two)
    if left is not None and right is not None:
        lead, trail = math.gcd(left.lead, right.lead), math.gcd(left.trail, right.trail)
        first = _coarse_stored(left.stored, left.lead, left.trail, lead, trail)
        second = _coarse_stored(right.stored, right.lead, right.trail, lead, trail)
        if not known:
            shape = (max(first[0], second[0]), first[1], first[2], max(first[3], second[3]))
            return _block(shape, lead, trail, in_shape, out_shape, dtype)
        total_array = _coarse(left._values(), left.lead, left.trail, lead, trail) + _coarse(
            right._values(), right.lead, right.trail, lead, trail
        )
        return _block(total_array, lead, trail, in_shape, out_shape)
    if not known:
        return Dense((one.out_size, one.in_size), in_shape, out_shape, dtype)
    return Dense(one.matrix() + two.matrix(), in_shape, out_shape)


def _as_block(chosen: LinearMap) -> Block | None:
    """Blocks of a map that has them: a multiple of the identity is a diagonal."""
    if isinstance(chosen, Block):
        return chosen
    if isinstance(chosen, Scaled):
        size = chosen.in_size
        shapes = (chosen.in_shape, chosen.out_shape)
        if chosen.factor is None:
            return Diagonal((size,), *shapes, chosen.dtype)
        return Diagonal(np.full(size, chosen.factor, chosen.dtype), *shapes)
    return None
