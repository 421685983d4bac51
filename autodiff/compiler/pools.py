"""Memory of large results, used again when the caller has let go of it.

Fresh memory of some size comes from the system page by page, and takes longer to come than many a
program to compute it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.memory import only_holder

__all__ = ["LARGE", "Pool", "take"]

LARGE = 256 * 1024
"""Bytes from which on it pays."""

KEPT = 2
"""How many arrays a pool keeps."""


class Pool:
    """Arrays like a prototype, which has no memory that matters."""

    __slots__ = ("arrays", "prototype")

    def __init__(self, prototype: Any) -> None:
        self.prototype = prototype
        self.arrays: list[Any] = []


def take(pool: Pool) -> Any:
    """Array that nobody else refers to."""
    arrays = pool.arrays
    for number in range(len(arrays)):
        array = arrays[number]
        if only_holder(array, 2):
            return array
        del array
    array = np.empty_like(pool.prototype)
    arrays.append(array)
    if len(arrays) > KEPT:
        del arrays[0]
    return array
