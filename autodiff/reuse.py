"""Whether an array's memory may be used again, because nobody else can see it.

A sweep over large arrays spends more time on fresh memory than on arithmetic: the operating system
hands it out page by page, zeroed. NumPy writes the result of ``a * b + c`` over its own temporary
``a * b`` for the same reason, and knows as we do that nobody else can see the temporary: CPython
counts references. A view refers to the array whose memory it shows, so an array that owns its
memory and has no further reference is seen by nobody.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["LARGE", "only_holder", "scaled"]

LARGE = 1 << 16
"""Bytes from which on memory is worth reusing; below, asking costs more than it saves."""

_count: Callable[[Any], int] = getattr(sys, "getrefcount", lambda value: sys.maxsize)


def _references(array: Any, _: int) -> int:
    """References that a function sees to an array passed to it, as `only_holder` is."""
    return _count(array)


def _own_references() -> int:
    """How many of those references are the call's own: what is left after the caller's variable.

    Measured, because interpreters differ. Where a second holder does not show, counting says
    nothing, and no number of references is few enough. A debugger that looks at local variables
    holds them too, and must not raise for good what was measured under it: two is the most that
    any interpreter needs, one for the parameter and one for the argument of the count.
    """
    array = np.empty(1)
    alone = _references(array, 1)
    second = array
    shared = _references(array, 1)
    return min(alone - 1, 2) if shared == alone + 1 and second is array else -sys.maxsize


_OWN = _own_references()


def only_holder(array: Any, holders: int) -> bool:
    """Whether the caller's `holders` references are all there are to an array and its memory.

    The array must be passed as a local variable, which is one of the holders.
    """
    if _count(array) > holders + _OWN:
        return False
    flags = array.flags
    return array.base is None and flags.owndata and flags.writeable


def scaled(g: Any, partial: Any) -> Any:
    """``g * partial``, over `g` itself where the product has its shape and dtype."""
    kind = type(partial)
    if (
        kind is float  # takes the dtype of the array
        or kind is int
        or (kind is np.ndarray and partial.shape == g.shape and partial.dtype == g.dtype)
    ):
        return np.multiply(g, partial, out=g)
    return g * partial
