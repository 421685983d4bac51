"""Writing several values to one place: of them the last stays, as in NumPy.

Other libraries write them in any order, so there only the last of each is written.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff import chunked
from autodiff.core.arrays import as_array, places_at
from autodiff.core.spec import Shape

__all__ = ["last_writes", "write_in_order"]


def last_writes(shape: Shape, index: Any, like: Any = None) -> Any:
    """Mask of the values written at an index that stay, to be broadcast with what is read there."""
    if chunked.is_chunked(like):
        return chunked.last_writes(shape, index)
    places = places_at(shape, index)
    owner = np.full(math.prod(shape), -1)
    written = np.arange(places.size).reshape(places.shape)
    owner[places] = written
    return owner[places] == written


def write_in_order(x: Any, index: Any, value: Any) -> None:
    """Do ``x[index] = value`` for an array of a library that may write in any order."""
    if chunked.is_chunked(x):
        chunked.write(x, index, as_array(value, like=x))
        return
    stays = last_writes(x.shape, index)
    if stays.all():
        x[index] = value
        return
    chosen = np.nonzero(stays)
    flat = x.reshape(-1)
    value = np.broadcast_to(as_array(value, like=x), stays.shape)
    flat[places_at(x.shape, index)[chosen]] = value[chosen]
    x[...] = flat.reshape(x.shape)
