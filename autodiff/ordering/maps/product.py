"""Structured maps between index maps, not multiplied out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.spec import Shape
from autodiff.ordering.maps.base import Array, LinearMap
from autodiff.ordering.maps.blocks import Diagonal
from autodiff.ordering.maps.index import IndexMap, between, is_monomial, monomial, read_and_summed

__all__ = ["Product"]


class Product(LinearMap):
    """A structured map between index maps, left as it is: multiplying it out would fill it.

    Parameters
    ----------
    factors : sequence of maps, the last to be applied first, as matrices are written

    Raises
    ------
    IndexError
        There are no factors.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.ordering import Diagonal, IndexMap
    >>> first = IndexMap(np.array([0]), (2,), (1,))
    >>> chosen = first.compose(Diagonal(np.array([3.0, 4.0])))
    >>> chosen, chosen.matrix()
    (<index . diagonal map [2] -> [1]>, array([[3., 0.]]))
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
        if is_monomial(self.factors):
            return sum(factor.fma_apply for factor in self.factors if isinstance(factor, Diagonal))
        if read_and_summed(self.factors) is not None:
            return sum(factor.fma_apply for factor in self.factors)
        core = self.core()
        total = self.factors[core].fma_materialise
        rows = self.factors[core].out_size
        total += sum(rows * factor.fma_apply for factor in self.factors[core + 1 :])
        total += sum(self.in_size * factor.fma_apply for factor in self.factors[:core])
        return total

    @property
    def nbytes(self) -> int:
        """What the factors keep."""
        return sum(factor.nbytes for factor in self.factors)

    def core(self) -> int:
        """Position of the factor that is no index map (or of the smallest, if all are).

        Returns
        -------
        int

        Examples
        --------
        >>> import numpy as np
        >>> from autodiff.ordering import Diagonal, IndexMap
        >>> Product([IndexMap(np.array([0]), (2,), (1,)), Diagonal(np.ones(2))]).core()
        1
        """
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
        if is_monomial(self.factors):
            return monomial(self.factors)
        middle = read_and_summed(self.factors)
        if middle is not None:
            return between(self.factors, middle)
        core = self.core()
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
        core = self.core()
        chosen = factors[core]
        # rescaled() of every class takes None for a number that is not known
        scale: Any = factor
        factors[core] = chosen.rescaled(scale, chosen.in_shape, chosen.out_shape)
        last, first = factors[0], factors[-1]
        factors[0] = last.rescaled(1.0, last.in_shape, out_shape)
        first = factors[-1]
        factors[-1] = first.rescaled(1.0, in_shape, first.out_shape)
        return Product(factors)
