"""The map that gives zeros."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.spec import Shape
from autodiff.ordering.maps.base import FLOAT, Array, LinearMap

__all__ = ["Zero"]


class Zero(LinearMap):
    """The map that gives zeros.

    Parameters
    ----------
    in_shape, out_shape : tuple of int
    dtype : numpy.dtype

    Raises
    ------
    TypeError
        A shape is a number.

    Examples
    --------
    >>> from autodiff.ordering import Zero
    >>> Zero((2,), (3,)).apply([[1.0, 1.0]])
    array([[0., 0., 0.]])
    """

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
