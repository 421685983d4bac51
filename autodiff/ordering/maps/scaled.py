"""Multiples of the identity."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.spec import Shape
from autodiff.ordering.maps.base import FLOAT, Array, LinearMap, unit_of

__all__ = ["Identity", "Scaled"]


class Scaled(LinearMap):
    """A number times the elements in their order; the shapes may differ (reshape).

    Parameters
    ----------
    factor : number or None
        A recorder's Tensor for a number of a program, None for one that is not known yet.
    in_shape : tuple of int
    out_shape : tuple of int, optional
        Of the same size; by default `in_shape`.
    dtype : numpy.dtype

    Raises
    ------
    ValueError
        The sizes differ.

    Examples
    --------
    >>> from autodiff.ordering import Scaled
    >>> Scaled(2.0, (2,)).apply([[1.0, 2.0]])
    array([[2., 4.]])
    """

    def __init__(
        self,
        factor: Any,
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
        return "identity" if unit_of(self.factor) == 1 else "scaled"

    @property
    def is_unit(self) -> bool:
        """Whether products with it need no multiplication."""
        return unit_of(self.factor) != 0

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
        unit = unit_of(self.factor)
        if unit:
            return rows if unit == 1 else -rows
        found: Array = rows * self.factor  # a Python number leaves float32 rows float32
        return found

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
    """The identity; with two shapes of one size, a reshape.

    Parameters
    ----------
    in_shape : tuple of int
    out_shape : tuple of int, optional
        Of the same size; by default `in_shape`.
    dtype : numpy.dtype

    Raises
    ------
    ValueError
        The sizes differ.

    Examples
    --------
    >>> from autodiff.ordering import Identity
    >>> Identity((4,), (2, 2)).apply([[1.0, 2.0, 3.0, 4.0]])
    array([[[1., 2.],
            [3., 4.]]])
    """

    def __init__(
        self, in_shape: Shape, out_shape: Shape | None = None, dtype: np.dtype[Any] = FLOAT
    ) -> None:
        super().__init__(1, in_shape, out_shape, dtype)
