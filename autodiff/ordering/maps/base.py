"""What a linear map is.

A map acts on flattened arrays (C order) and knows the shapes of both sides. A map whose numbers
are left out (`LinearMap.abstract`) composes and adds like any other: planners use it to follow the
structure of products without computing them.

How two maps multiply depends on the classes of both, so that table stands above all classes, in
`maps.products`; it reaches `LinearMap.compose` and `LinearMap.add` through `arithmetic`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autodiff.core.arrays import as_array, copied
from autodiff.core.dispatch import Box
from autodiff.core.spec import Shape
from autodiff.errors import AutodiffError

__all__ = [
    "FLOAT",
    "Arithmetic",
    "Array",
    "LinearMap",
    "Pending",
    "Rows",
    "arithmetic",
    "unit_of",
]

Array = NDArray[Any]
Rows = Callable[[Array], Array]
Pending = tuple[Callable[[], "LinearMap"], int]
"""A product to be carried out, and what that costs."""

FLOAT = np.dtype(float)


def unit_of(factor: Any) -> int:
    """1 or -1 for a factor that is seen to be that, 0 for any other.

    A number that is being recorded is not looked at: the program is for other numbers too.
    """
    return int(factor) if not isinstance(factor, Box) and factor in (1, -1) else 0


class Arithmetic:
    """How maps multiply and add.

    Attributes
    ----------
    product : function of the outer and the inner map
        Decides how they are multiplied: gives the work still to be done, and its cost.
    sum : function of two maps
    """

    product: Callable[[LinearMap, LinearMap], Pending]
    sum: Callable[[LinearMap, LinearMap], LinearMap]


arithmetic = Arithmetic()
"""Filled in by `maps.products`, which the package loads with the classes."""


class LinearMap:
    """A linear map between arrays of two shapes: the base class of all kinds.

    Parameters
    ----------
    in_shape, out_shape : tuple of int
    dtype : numpy.dtype
        Of the numbers.

    Attributes
    ----------
    in_size, out_size : int
    structure : str
        "identity", "diagonal", "dense", ... for tables and pictures.
    fma_apply : int
        Fused multiply-adds of one tangent, or of one cotangent; the two are the same.
    nbytes : int
        Bytes of the numbers kept.

    Raises
    ------
    TypeError
        A shape is a number.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.ordering import Diagonal, LinearMap
    >>> doubled = Diagonal(np.array([2.0, 2.0]))
    >>> isinstance(doubled, LinearMap), doubled.in_shape, doubled.fma_apply
    (True, (2,), 2)
    """

    structure = "linear map"
    _recent: tuple[LinearMap, Pending] | None = None

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
        """Images of the rows of a matrix; `apply` does the same to arrays, and checks them.

        Parameters
        ----------
        rows : array of shape (k, in_size)
            One flattened tangent per row.

        Returns
        -------
        array of shape (k, out_size)

        Raises
        ------
        AutodiffError
            The map was made without its numbers.

        Examples
        --------
        >>> import numpy as np
        >>> from autodiff.ordering import Diagonal
        >>> Diagonal(np.array([2.0, 3.0])).push_rows(np.ones((1, 2)))
        array([[2., 3.]])
        """

    @abstractmethod
    def pull_rows(self, rows: Array) -> Array:
        """Images of the rows of a matrix under the transpose; `pull` also checks them.

        Parameters
        ----------
        rows : array of shape (k, out_size)
            One flattened cotangent per row.

        Returns
        -------
        array of shape (k, in_size)

        Raises
        ------
        AutodiffError
            The map was made without its numbers.

        Examples
        --------
        >>> import numpy as np
        >>> from autodiff.ordering import Dense
        >>> Dense(np.array([[1.0, 2.0]])).pull_rows(np.ones((1, 1)))
        array([[1., 2.]])
        """

    @abstractmethod
    def transpose(self) -> LinearMap:
        """Return the transposed map.

        Returns
        -------
        LinearMap

        Examples
        --------
        >>> import numpy as np
        >>> from autodiff.ordering import Dense
        >>> Dense(np.ones((3, 2))).transpose()
        <dense map [3] -> [2]>
        """

    @abstractmethod
    def abstract(self) -> LinearMap:
        """Return the map without its numbers: shapes, structure and costs.

        Returns
        -------
        LinearMap
            To plan with: it composes and adds, but cannot be applied.

        Examples
        --------
        >>> import numpy as np
        >>> from autodiff.ordering import Dense
        >>> matrix = Dense(np.ones((3, 2))).abstract()
        >>> matrix.known, matrix.compose(matrix.transpose()), matrix.fma_compose(matrix.transpose())
        (False, <dense map [3] -> [3]>, 18)
        """

    @abstractmethod
    def rescaled(self, factor: float, in_shape: Shape, out_shape: Shape) -> LinearMap:
        """Return the map times a number, between shapes of the same sizes.

        Parameters
        ----------
        factor : float
        in_shape, out_shape : tuple of int

        Returns
        -------
        LinearMap

        Raises
        ------
        ValueError
            The sizes are others; maps that keep no arrays of these sizes do not look.

        Examples
        --------
        >>> import numpy as np
        >>> from autodiff.ordering import Dense
        >>> half = Dense(np.ones((2, 4))).rescaled(0.5, (2, 2), (2,))
        >>> half, half.matrix()[0]
        (<dense map [2, 2] -> [2]>, array([0.5, 0.5, 0.5, 0.5]))
        """

    @property
    def known(self) -> bool:
        """Whether the map has its numbers."""
        return True

    def matrix(self) -> Array:
        """Return the map as a matrix, perhaps one that belongs to the map.

        Returns
        -------
        array of shape (out_size, in_size)
            To read; `materialise` gives a new one.

        Raises
        ------
        AutodiffError
            The map was made without its numbers.

        Examples
        --------
        >>> import numpy as np
        >>> from autodiff.ordering import Diagonal
        >>> Diagonal(np.array([1.0, 2.0])).matrix()
        array([[1., 0.],
               [0., 2.]])
        """
        if self.in_size <= self.out_size:
            return self.push_rows(np.eye(self.in_size, dtype=self.dtype)).T
        return self.pull_rows(np.eye(self.out_size, dtype=self.dtype))

    # --- what follows -----------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<{self.structure} map {list(self.in_shape)} -> {list(self.out_shape)}>"

    def materialise(self) -> Array:
        """Return the map as a new matrix.

        Returns
        -------
        array of shape (out_size, in_size)

        Raises
        ------
        AutodiffError
            The map was made without its numbers.

        Examples
        --------
        >>> import numpy as np
        >>> from autodiff.ordering import IndexMap
        >>> IndexMap(np.array([1, 0, 1]), (2,), (3,)).materialise()
        array([[0., 1.],
               [1., 0.],
               [0., 1.]])
        """
        self._check_known()
        matrix: Array = copied(self.matrix())
        return matrix

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
        AutodiffError
            The map was made without its numbers.
        ValueError
            The shape is another one.

        Examples
        --------
        >>> import numpy as np
        >>> from autodiff.ordering import Dense
        >>> Dense(np.array([[1.0, 2.0]])).apply([[10.0, 1.0], [0.0, 1.0]])
        array([[12.],
               [ 2.]])
        """
        rows = self._rows(tangents, self.in_shape, "apply: tangents")
        return self.push_rows(rows).reshape((len(rows), *self.out_shape))

    def pull(self, cotangents: Any) -> Array:
        """Pull cotangents back: the transposed map of each.

        Parameters
        ----------
        cotangents : array of shape (k, *out_shape)
            One cotangent per entry of the first axis.

        Returns
        -------
        array of shape (k, *in_shape)

        Raises
        ------
        AutodiffError
            The map was made without its numbers.
        ValueError
            The shape is another one.

        Examples
        --------
        >>> import numpy as np
        >>> from autodiff.ordering import Dense
        >>> Dense(np.array([[1.0, 2.0]])).pull([[3.0]])
        array([[3., 6.]])
        """
        rows = self._rows(cotangents, self.out_shape, "pull: cotangents")
        return self.pull_rows(rows).reshape((len(rows), *self.in_shape))

    def _rows(self, values: Any, shape: Shape, what: str) -> Array:
        self._check_known()
        array: Array = as_array(values)
        if array.shape[1:] != shape or array.ndim == 0:
            raise ValueError(
                f"{what} have shape {array.shape}; {self!r} takes (k, {str(shape)[1:]} with one "
                "of them per entry of the first axis"
            )
        return array.reshape((len(array), math.prod(shape)))

    def _check_known(self) -> None:
        if not self.known:
            raise AutodiffError(
                f"{self!r} was made without numbers, to plan with; make the graph at a point to "
                "get them: tape.jacobian_graph(x)"
            )

    def compose(self, other: LinearMap) -> LinearMap:
        """Return the product: this map after the other.

        The product stays structured where the structures go together, and is a matrix otherwise.

        Parameters
        ----------
        other : LinearMap
            The map applied first.

        Returns
        -------
        LinearMap

        Raises
        ------
        ValueError
            The other's results are not of the shape that this map takes.

        Examples
        --------
        >>> import numpy as np
        >>> from autodiff.ordering import Diagonal
        >>> Diagonal(np.array([1.0, 2.0])).compose(Diagonal(np.array([3.0, 4.0]))).structure
        'diagonal'
        """
        work = self._deferred(other)[0]
        self._recent = None
        return work()

    def fma_compose(self, other: LinearMap) -> int:
        """Fused multiply-adds of `compose`, an exact integer.

        Parameters
        ----------
        other : LinearMap
            The map applied first.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            The other's results are not of the shape that this map takes.

        Examples
        --------
        >>> import numpy as np
        >>> from autodiff.ordering import Dense, Diagonal
        >>> matrix, diagonal = Dense(np.ones((3, 2))), Diagonal(np.ones(2))
        >>> matrix.fma_compose(diagonal), matrix.fma_compose(Dense(np.ones((2, 5))))
        (6, 30)
        """
        return self._deferred(other)[1]

    def _deferred(self, other: LinearMap) -> Pending:
        """The product decided on, kept for the question that comes next: planners ask twice."""
        recent = self._recent
        if recent is None or recent[0] is not other:
            recent = self._recent = (other, arithmetic.product(self, other))
        return recent[1]

    def add(self, other: LinearMap) -> LinearMap:
        """Return the sum of two maps between the same shapes.

        Parameters
        ----------
        other : LinearMap

        Returns
        -------
        LinearMap

        Raises
        ------
        ValueError
            The shapes are others.

        Examples
        --------
        >>> import numpy as np
        >>> from autodiff.ordering import Diagonal, Identity
        >>> Diagonal(np.array([1.0, 2.0])).add(Identity((2,))).materialise()
        array([[2., 0.],
               [0., 3.]])
        """
        return arithmetic.sum(self, other)
