"""Constants of a tape, interned by content.

One array that a program uses ten times is one constant on its tape, copied once. Content decides,
not identity: an array that the program changes between two uses gives two constants, and equal
arrays made anew in every pass of a loop give one.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable
from typing import Any

from autodiff.core.arrays import has_memory, is_foreign, is_number, is_scalar
from autodiff.core.dispatch import Box
from autodiff.core.memory import memory_order, protected, same_content
from autodiff.views import snapshot

__all__ = ["Interner"]


class Interner:
    """Finds what was interned before with the same content.

    Examples
    --------
    >>> import numpy as np
    >>> array = np.array([1.0, 2.0])
    >>> interner = Interner()
    >>> first = interner.intern(array)
    >>> interner.intern(np.array([1.0, 2.0])) is first
    True
    >>> array[0] = 5.0
    >>> interner.intern(array) is first, first
    (False, array([1., 2.]))
    """

    def __init__(self) -> None:
        self._scalars: dict[Hashable, Any] = {}
        # Small arrays, and lists of the others that share a sample
        self._arrays: dict[Hashable, Any] = {}
        # By identity, what was kept: nobody can write to it
        self._own: dict[int, Any] = {}
        self._boxes: dict[Hashable, Box] = {}

    def intern(self, value: Any) -> Any:
        """Return the value first interned with this content: protected, if it is an array.

        Of a box of an outer transform it is a snapshot; what is none of these is itself.
        """
        if isinstance(value, Box):
            shown = (id(value._interpreter), id(value._value), id(value._payload))
            if shown not in self._boxes:
                self._boxes[shown] = snapshot(value)  # keeps alive what the key names
            return self._boxes[shown]
        if is_foreign(value):
            # To compare elements would be to wait for them, and anybody may write to it meanwhile
            kept = self._own.get(id(value))
            if kept is not value:
                kept = protected(value)
                self._own[id(kept)] = kept
            return kept
        if has_memory(value):
            kept = self._own.get(id(value))
            if kept is not value:
                kept = self._small(value) if value.nbytes <= _SMALL else self._large(value)
                self._own[id(kept)] = kept
            return kept
        key = scalar_key(value)
        return value if key is None else self._scalars.setdefault(key, value)

    def _small(self, value: Any) -> Any:
        """Find an array by all of its elements."""
        key = value.dtype.str, value.shape, memory_order(value), value.tobytes()
        kept = self._arrays.get(key)
        if kept is None:
            kept = protected(value)
            # Of a broadcast array, say, the copy is laid out otherwise, and may come again itself
            own = *key[:2], memory_order(kept), key[3]
            kept = self._arrays[key] = self._arrays.setdefault(own, kept)
        return kept

    def _large(self, value: Any) -> Any:
        """Find an array by samples, and by comparing it with others that have the same."""
        key: Hashable = _sampled(value)
        candidates = self._arrays.setdefault(key, [])
        found = _found(candidates, value)
        if found is None and len(candidates) >= _FEW:
            # One-hot vectors, say, that differ where no sample was taken
            key = key, hash(value.tobytes())
            candidates = self._arrays.setdefault(key, [])
            found = _found(candidates, value)
        if found is None:
            kept = protected(value)
            if kept is not value and memory_order(kept) != memory_order(value):
                others = self._arrays.setdefault(_sampled(kept), [])
                found = _found(others, kept)
                if found is None:
                    others.append(kept)
            found = kept if found is None else found
            candidates.append(found)
        return found


def _sampled(array: Any) -> Any:
    """Hashable key that arrays of one content share, and others seldom: layout and few elements."""
    steps = tuple(slice(None, None, max(1, length // 3)) for length in array.shape)
    return array.dtype.str, array.shape, memory_order(array), array[steps].tobytes()


_SMALL = 4096
"""Bytes up to which an array is known by all of its elements, which takes less than samples do."""
_FEW = 4
"""Arrays of one sample that are compared one by one; of more, all elements make the key."""


def _found(candidates: list[Any], value: Any) -> Any:
    for known in candidates:
        if known is value or same_content(known, value):
            return known
    return None


def scalar_key(value: Any) -> Hashable | None:
    """Key of a number: type and bits, so that 1, 1.0, True and -0.0, 0.0 stay apart."""
    if is_scalar(value):
        return (type(value), value.tobytes())
    if isinstance(value, float):
        return (type(value), struct.pack("d", value))
    if isinstance(value, complex):
        return (type(value), struct.pack("dd", value.real, value.imag))
    if is_number(value):
        return (type(value), int(value))
    return None
