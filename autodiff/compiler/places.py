"""Where values lie: which memory, and how its elements stand in it.

A value that an operation computes *owns* memory, in C order; a view of it lies in the same memory,
with an offset and strides. How a view looks is not declared: the operation's function is called on
memory that nobody reads, and tells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from autodiff.core.spec import Shape

__all__ = ["Place", "aligned", "contiguous", "seen_through", "without_ones"]


class Place(NamedTuple):
    """Elements of a value in the memory of its owner.

    Attributes
    ----------
    owner : int
        Slot.
    shape : tuple of int
    offset : int
    strides : tuple of int
        In elements; 0 for an axis of length 1.
    """

    owner: int
    shape: Shape
    offset: int
    strides: tuple[int, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the elements stand in C order from the beginning."""
        return self.offset == 0 and self.strides == contiguous(self.shape)

    @classmethod
    def owned(cls, slot: int, shape: Shape) -> Place:
        """Return the place of a value in memory of its own."""
        return cls(slot, shape, 0, contiguous(shape))

    @property
    def axes(self) -> tuple[int, ...] | None:
        """Axes in the order in which they stand in memory, where they fill it; else None."""
        if self.is_whole:
            return tuple(range(len(self.shape)))
        order = sorted(
            range(len(self.shape)), key=lambda i: (-self.strides[i], self.shape[i] != 1, i)
        )
        within = contiguous(tuple([self.shape[i] for i in order]))
        fills = self.offset == 0 and within == tuple([self.strides[i] for i in order])
        return tuple(order) if fills else None

    def broadcast(self, shape: Shape) -> tuple[int, ...]:
        """Strides along the axes of a shape that it is broadcast to."""
        lead = len(shape) - len(self.shape)
        own = zip(self.shape, self.strides, strict=True)
        return (0,) * lead + tuple(0 if length == 1 else stride for length, stride in own)


def contiguous(shape: Shape) -> tuple[int, ...]:
    """Strides of an array in C order, 0 for axes of length 1.

    Examples
    --------
    >>> contiguous((2, 1, 3))
    (3, 0, 1)
    """
    strides = []
    size = 1
    for length in reversed(shape):
        strides.append(size if length != 1 else 0)
        size *= length
    return tuple(reversed(strides))


def without_ones(shape: Shape) -> Shape:
    """Axes that have more than one index."""
    return tuple(length for length in shape if length != 1)


def aligned(place: Place, shape: Shape) -> tuple[int, ...]:
    """Strides along the axes of a shape that have more than one index."""
    strides = place.broadcast(shape)
    return tuple(s for s, length in zip(strides, shape, strict=True) if length != 1)


def seen_through(read: Callable[[Any], Any], place: Place, size: int) -> Place | None:
    """Where a function looks in what it is given; None if what it returns is no view of it.

    Parameters
    ----------
    read : function of an array
    place : Place
        Of the array.
    size : int
        Elements of its memory.
    """
    # One byte stands for an element. The memory is as large as the real one, for functions that
    # copy; where nothing reads it, it takes none.
    memory = np.empty(size, np.int8)
    array = as_strided(memory[place.offset :], place.shape, place.strides, writeable=False)
    result = read(array)
    if not isinstance(result, type(memory)) or not np.may_share_memory(result, memory):
        return None
    start = result.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
    strides = zip(result.shape, result.strides, strict=True)
    return Place(
        place.owner,
        result.shape,
        start,
        tuple(0 if length == 1 else stride for length, stride in strides),
    )
