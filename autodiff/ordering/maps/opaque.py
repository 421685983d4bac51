"""Maps known by what they do alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.spec import Shape
from autodiff.ordering.maps.base import FLOAT, Array, LinearMap, Rows, unit_of

__all__ = ["Opaque"]


class Opaque(LinearMap):
    """A map known by what it does to tangents and cotangents alone.

    Parameters
    ----------
    push, pull : functions of rows (k, in_size) and (k, out_size), or None without numbers
    fma : int
        Cost of one tangent or cotangent.
    in_shape, out_shape : tuple of int
    dtype : numpy.dtype

    Raises
    ------
    AutodiffError
        When it is applied: it was made without the functions.

    Examples
    --------
    >>> import numpy as np
    >>> sums = Opaque(
    ...     lambda rows: np.cumsum(rows, axis=1),
    ...     lambda rows: np.cumsum(rows[:, ::-1], axis=1)[:, ::-1],
    ...     fma=3,
    ...     in_shape=(3,),
    ...     out_shape=(3,),
    ... )
    >>> sums.matrix()
    array([[1., 0., 0.],
           [1., 1., 0.],
           [1., 1., 1.]])
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
        unit = unit_of(factor)
        fma = self.fma if unit else self.fma + min(self.in_size, self.out_size)
        if push is None or pull is None or factor is None:
            return Opaque(None, None, fma, in_shape, out_shape, self.dtype)
        if unit == 1:
            return Opaque(push, pull, fma, in_shape, out_shape, self.dtype)
        return Opaque(
            lambda rows: push(rows) * factor,
            lambda rows: pull(rows) * factor,
            fma,
            in_shape,
            out_shape,
            self.dtype,
        )
