"""``ndarray.flat``: the elements in C order, wherever they are in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from autodiff.core.spec import spec_of
from autodiff.ops.index import parse_key, pick
from autodiff.ops.operands import operands
from autodiff.ops.shape import flattened, ravel_

__all__ = ["Flat"]


class Flat:
    """The elements of a Tensor, to iterate over, read and write by their number in C order.

    What is read is a copy; what is written is written into the Tensor, also where its elements are
    not one after another in memory.

    Parameters
    ----------
    base : Tensor

    Examples
    --------
    >>> import autodiff as ad
    >>> x = ad.Tensor([[1.0, 2.0], [3.0, 4.0]]) * 1.0
    >>> x.T.flat[1] = 30.0
    >>> x
    Tensor([[ 1.,  2.],
            [30.,  4.]])
    """

    __slots__ = ("base",)

    def __init__(self, base: Any) -> None:
        self.base = base

    def __len__(self) -> int:
        return spec_of(self.base).size

    def __iter__(self) -> Iterator[Any]:
        elements = ravel_(self.base)
        return (pick(elements, i) for i in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        return pick(ravel_(self.base), key)

    def __setitem__(self, key: Any, values: Any) -> None:
        size = len(self)
        template, arrays = parse_key(key, (size,), "flat")
        if arrays:
            raise IndexError("flat: an index that is a Tensor is not supported; use .item()")
        places = np.arange(size)[template]
        elements = ravel_(operands(values, self.base)[0])
        if places.size and not spec_of(elements).size:
            raise ValueError("flat: there is no element to write")
        np.put(self.base, places, elements)

    def copy(self) -> Any:
        """Return the elements as a Tensor of one axis."""
        return flattened(self.base)
