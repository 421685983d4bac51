"""Factors of a chain at work: their products with tangents and adjoints."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from autodiff.core.arrays import as_array

__all__ = ["Elemental", "Matrix", "as_elemental"]


class Elemental(Protocol):
    """A factor that is known by its products alone; any object with these methods is one.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.ordering import Chain
    >>> class Doubling:
    ...     def jvp(self, tangents):
    ...         return 2.0 * tangents
    ...
    ...     def vjp(self, adjoints):
    ...         return 2.0 * adjoints
    >>> chain = Chain([(2, 2, 2)])
    >>> chain.execute(chain.plan(), [Doubling()])
    array([[2., 0.],
           [0., 2.]])
    """

    def jvp(self, tangents: NDArray[Any], /) -> NDArray[Any]:
        """Jacobian times a matrix whose columns are tangents.

        Parameters
        ----------
        tangents : array of shape (n, s)

        Returns
        -------
        array of shape (m, s)

        Examples
        --------
        >>> import numpy as np
        >>> class Doubling:
        ...     def jvp(self, tangents):
        ...         return 2.0 * tangents
        >>> Doubling().jvp(np.eye(2))
        array([[2., 0.],
               [0., 2.]])
        """

    def vjp(self, adjoints: NDArray[Any], /) -> NDArray[Any]:
        """A matrix whose rows are adjoints times the Jacobian.

        Parameters
        ----------
        adjoints : array of shape (s, m)

        Returns
        -------
        array of shape (s, n)

        Examples
        --------
        >>> import numpy as np
        >>> class Doubling:
        ...     def vjp(self, adjoints):
        ...         return 2.0 * adjoints
        >>> Doubling().vjp(np.eye(2))
        array([[2., 0.],
               [0., 2.]])
        """


class Matrix:
    """A matrix as an elemental."""

    def __init__(self, matrix: NDArray[Any]) -> None:
        self.matrix = matrix

    def jvp(self, tangents: NDArray[Any]) -> NDArray[Any]:
        """The matrix times tangents."""
        product: NDArray[Any] = self.matrix @ tangents
        return product

    def vjp(self, adjoints: NDArray[Any]) -> NDArray[Any]:
        """Adjoints times the matrix."""
        product: NDArray[Any] = adjoints @ self.matrix
        return product


def as_elemental(number: int, entry: Any, shape: tuple[int, int]) -> Elemental:
    """A factor as an elemental: one already, or a matrix of the factor's shape."""
    if callable(getattr(entry, "jvp", None)) and callable(getattr(entry, "vjp", None)):
        elemental: Elemental = entry
        return elemental
    matrix = as_array(entry)
    if matrix.dtype == object:
        raise TypeError(
            f"elemental {number} is a {type(entry).__name__}; it must be a matrix or have the "
            "methods jvp and vjp"
        )
    if matrix.shape != shape:
        raise ValueError(f"elemental {number} has shape {matrix.shape}; factor {number}: {shape}")
    return Matrix(matrix)
