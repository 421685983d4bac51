"""The same small matrices along the axes: dense, diagonal, block-diagonal and Kronecker maps.

Most local Jacobians are blocks: with the input seen as (lead, columns, trail) and the output as
(lead, rows, trail),

    out[l, p, r] = sum over q of array[l, p, q, r] * x[l, q, r]

where the array may be the same for all l, or for all r. A dense matrix has lead = trail = 1, a
diagonal one rows = columns = 1; X -> X B is the same block for every row of X, and X -> A X the
same for every column (Kronecker products I x B^T and A x I).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.core.dispatch import Box
from autodiff.core.spec import Shape
from autodiff.ordering.maps.base import FLOAT, Array, LinearMap, unit_of

__all__ = [
    "Block",
    "Dense",
    "Diagonal",
    "block_diagonal",
    "coarse",
    "coarse_stored",
    "left_multiplication",
    "make_block",
    "right_multiplication",
]


class Block(LinearMap):
    """The same small matrices along the axes: block-diagonal and Kronecker structures.

    Parameters
    ----------
    array : array of shape (lead or 1, rows, columns, trail or 1), or its shape
        A length of 1 where `lead` or `trail` is larger: the same block for all.
    lead, trail : int
    in_shape, out_shape : shapes of sizes lead * columns * trail and lead * rows * trail
    dtype : numpy.dtype, optional
        By default that of the array, or float64.

    Raises
    ------
    ValueError
        The array has not four axes, or the lengths do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> two = Block(np.array([1.0, 2.0]).reshape((1, 1, 2, 1)), 2, 1, (2, 2), (2,))
    >>> two
    <kronecker 2 x [1,2] map [2, 2] -> [2]>
    >>> two.matrix()
    array([[1., 2., 0., 0.],
           [0., 0., 1., 2.]])
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

    def values(self) -> Array:
        """Return the array.

        Returns
        -------
        array of shape (lead or 1, rows, columns, trail or 1)

        Raises
        ------
        AutodiffError
            The map was made without its numbers.

        Examples
        --------
        >>> import numpy as np
        >>> Diagonal(np.array([1.0, 2.0])).values().shape
        (2, 1, 1, 1)
        """
        self._check_known()
        assert self.array is not None
        return self.array

    def push_rows(self, rows: Array) -> Array:
        """Each block times its part of every row."""
        return block_times(self.values(), rows, self.lead, self.trail)

    def pull_rows(self, rows: Array) -> Array:
        """Each transposed block times its part of every row."""
        return block_times(self.values().swapaxes(1, 2), rows, self.lead, self.trail)

    def matrix(self) -> Array:
        """Blocks spread out on zeros; the array itself where it is one matrix."""
        values = self.values()
        if self.lead == self.trail == 1:
            return values[0, :, :, 0]
        return coarse(values, self.lead, self.trail, 1, 1)[0, :, :, 0]

    def transpose(self) -> LinearMap:
        """Transpose every block."""
        if self.array is None:
            a, p, q, b = self.stored
            array: Any = (a, q, p, b)
        else:
            array = self.array.swapaxes(1, 2)
        return make_block(array, self.lead, self.trail, self.out_shape, self.in_shape, self.dtype)

    def abstract(self) -> LinearMap:
        """Keep the shape of the array."""
        return self._like(self.stored, self.in_shape, self.out_shape)

    def _like(self, array: Any, in_shape: Shape, out_shape: Shape) -> LinearMap:
        return make_block(array, self.lead, self.trail, in_shape, out_shape, self.dtype)

    def rescaled(self, factor: float | None, in_shape: Shape, out_shape: Shape) -> LinearMap:
        """Multiply the stored numbers."""
        if self.array is None or factor is None:
            return self._like(self.stored, in_shape, out_shape)
        unit = unit_of(factor)
        array = -self.array if unit == -1 else self.array if unit else self.array * factor
        return self._like(array, in_shape, out_shape)


class Dense(Block):
    """A matrix.

    Parameters
    ----------
    matrix : array of shape (out_size, in_size), or its shape
    in_shape, out_shape : shapes, by default flat
    dtype : numpy.dtype, optional
        By default that of the matrix, or float64.

    Raises
    ------
    ValueError
        The matrix has not two axes, or does not fit the shapes.

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
    in_shape, out_shape : tuple of int, optional
        By default the shape of the factors.
    dtype : numpy.dtype, optional
        By default that of the factors, or float64.

    Raises
    ------
    ValueError
        A shape is of another size than the factors.

    Examples
    --------
    >>> import numpy as np
    >>> Diagonal(np.array([2.0, 3.0])).apply([[1.0, 1.0]])
    array([[2., 3.]])
    """

    def __init__(
        self,
        factors: Array | Shape,
        in_shape: Shape | None = None,
        out_shape: Shape | None = None,
        dtype: np.dtype[Any] | None = None,
    ) -> None:
        shape = factors if isinstance(factors, tuple) else factors.shape
        size = math.prod(shape)
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


def make_block(
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

    Parameters
    ----------
    blocks : array of shape (count, rows, columns)
    in_shape, out_shape : tuple of int, optional
        By default (count, columns) and (count, rows).

    Returns
    -------
    LinearMap

    Raises
    ------
    ValueError
        The blocks have not three axes, or do not fit the shapes.

    Examples
    --------
    >>> import numpy as np
    >>> block_diagonal(np.ones((3, 1, 2))).materialise()
    array([[1., 1., 0., 0., 0., 0.],
           [0., 0., 1., 1., 0., 0.],
           [0., 0., 0., 0., 1., 1.]])
    """
    count, rows, columns = blocks.shape
    return make_block(
        blocks[..., None],
        count,
        1,
        (count, columns) if in_shape is None else in_shape,
        (count, rows) if out_shape is None else out_shape,
    )


def left_multiplication(a: Array, columns: int) -> LinearMap:
    """Return X -> A X for X with so many columns: the Kronecker product of A and the identity.

    Parameters
    ----------
    a : array of shape (rows, inner)
    columns : int
        Of X.

    Returns
    -------
    LinearMap
        From shape (inner, columns) to (rows, columns).

    Raises
    ------
    ValueError
        `a` has not two axes.

    Examples
    --------
    >>> import numpy as np
    >>> left_multiplication(np.array([[1.0, 2.0]]), 2).matrix()
    array([[1., 0., 2., 0.],
           [0., 1., 0., 2.]])
    """
    rows, inner = a.shape
    return make_block(a[None, :, :, None], 1, columns, (inner, columns), (rows, columns))


def right_multiplication(b: Array, rows: int) -> LinearMap:
    """Return X -> X B for X with so many rows: the Kronecker product of the identity and B^T.

    Parameters
    ----------
    b : array of shape (inner, columns)
    rows : int
        Of X.

    Returns
    -------
    LinearMap
        From shape (rows, inner) to (rows, columns).

    Raises
    ------
    ValueError
        `b` has not two axes.

    Examples
    --------
    >>> import numpy as np
    >>> right_multiplication(np.array([[1.0], [2.0]]), 2).matrix()
    array([[1., 2., 0., 0.],
           [0., 0., 1., 2.]])
    """
    inner, columns = b.shape
    return make_block(b.T[None, :, :, None], rows, 1, (rows, inner), (rows, columns))


def block_times(array: Array, rows: Array, lead: int, trail: int) -> Array:
    """Blocks (a, p, q, b) times rows (k, lead * q * trail), by as few matrix products as can be."""
    a, p, q, b = array.shape
    k = len(rows)
    if p == q == 1 and a * b == lead * trail:
        return rows * array.reshape(-1)
    if k == 0 or 0 in (p, q, lead, trail):
        return np.zeros((k, lead * p * trail), np.result_type(array.dtype, rows.dtype))
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


def coarse(array: Array, lead: int, trail: int, new_lead: int, new_trail: int) -> Array:
    """Blocks of a coarser division: zeros are filled in around the finer blocks."""
    a, p, q, b = array.shape
    parts, strips = lead // new_lead, trail // new_trail
    if parts == strips == 1:
        return array
    # A block shared by all stays shared
    keep_lead = 1 if a == 1 else new_lead
    keep_trail = 1 if b == 1 else new_trail
    whole = (keep_lead, parts * p * strips, parts * q * strips, keep_trail)
    split = array.reshape(
        (keep_lead, parts if a > 1 else 1, p, q, strips if b > 1 else 1, keep_trail)
    )
    if isinstance(array, Box):
        # Recorded: chosen, as there is nothing to write into
        same_part = np.eye(parts, dtype=bool).reshape((parts, 1, 1, parts, 1, 1, 1))
        same_strip = np.eye(strips, dtype=bool).reshape((strips, 1, 1, strips, 1))
        first, second = split.shape[1], split.shape[4]
        spread = split.transpose((0, 1, 2, 4, 3, 5)).reshape(
            (keep_lead, first, p, second, 1, q, 1, keep_trail)
        )
        return np.where(same_part & same_strip, spread, array.dtype.type(0)).reshape(whole)
    n, s = np.arange(parts)[:, None], np.arange(strips)[None, :]
    result = np.zeros((keep_lead, parts, p, strips, parts, q, strips, keep_trail), array.dtype)
    # Integer arrays in several places: their axes (parts, strips) come first
    values = np.broadcast_to(
        split.transpose((1, 4, 0, 2, 3, 5)), (parts, strips, keep_lead, p, q, keep_trail)
    )
    result[:, n, :, s, n, :, s, :] = values
    return result.reshape(whole)


def coarse_stored(
    stored: tuple[int, int, int, int], lead: int, trail: int, new_lead: int, new_trail: int
) -> tuple[int, int, int, int]:
    """Shape of what `coarse` returns."""
    a, p, q, b = stored
    scale = (lead // new_lead) * (trail // new_trail)
    if scale == 1:
        return stored
    return (1 if a == 1 else new_lead, p * scale, q * scale, 1 if b == 1 else new_trail)
