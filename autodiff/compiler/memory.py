"""Workspaces as bytes, and arrays that lie in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["address", "aligned_memory", "laid_out"]


def aligned_memory(nbytes: int, alignment: int = 64) -> Any:
    """Array of bytes that begins on a multiple of `alignment`."""
    memory = np.empty(nbytes + alignment, np.uint8)
    start = -address(memory) % alignment
    return memory[start : start + nbytes]


def address(array: Any) -> int:
    """Where an array's first element lies."""
    place: int = array.__array_interface__["data"][0]
    return place


def laid_out(
    memory: Any,
    shape: Sequence[int],
    dtype: np.dtype[Any],
    offset: int = 0,
    strides: Sequence[int] | None = None,
    *,
    checked: bool = True,
) -> Any:
    """Array over a piece of memory, from a byte on; in C order, if no strides are given.

    Parameters
    ----------
    memory : array of bytes
    shape : sequence of int
    dtype : np.dtype
    offset : int
    strides : sequence of int, optional
    checked : bool
        Whether it must lie within the memory. An array that does not shows a layout, and nobody may
        read it.

    Returns
    -------
    array

    Raises
    ------
    ValueError
        It reaches beyond the memory.

    Examples
    --------
    >>> laid_out(aligned_memory(64), (2, 3), np.dtype(float), 8).strides
    (24, 8)
    """
    first = memory[offset : offset + dtype.itemsize].view(dtype)
    if strides is None:
        lengths = [*(max(length, 1) for length in shape[1:]), dtype.itemsize]
        strides = [math.prod(lengths[axis:]) for axis in range(len(shape))]
    array = np.lib.stride_tricks.as_strided(first, shape, strides)
    if checked and array.size:
        start, stop = np.lib.array_utils.byte_bounds(array)
        if start < address(memory) or stop > address(memory) + memory.size:
            raise ValueError(f"an array {shape} at byte {offset} does not fit in {memory.size}")
    return array
