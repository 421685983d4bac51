"""Constants of a tape, interned by content.

One array that a program uses ten times is one constant on its tape, copied once. Content decides,
not identity: an array that the program changes between two uses gives two constants, and equal
arrays made anew in every pass of a loop give one.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from autodiff.core.arrays import has_memory, is_number, is_scalar, protected, same_content, sampled

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
        self._arrays: dict[Hashable, list[Any]] = {}

    def intern(self, value: Any) -> Any:
        """Return the value first interned with this content: protected, if it is an array.

        What is neither an array nor a number (a box of an outer transform) is itself.
        """
        if has_memory(value):
            candidates = self._arrays.setdefault(sampled(value), [])
            for known in candidates:
                if known is value or same_content(known, value):
                    return known
            kept = protected(value)
            candidates.append(kept)
            return kept
        key = scalar_key(value)
        return value if key is None else self._scalars.setdefault(key, value)


def scalar_key(value: Any) -> Hashable | None:
    """Key of a number: type and digits, so that 1, 1.0, True and -0.0, 0.0 stay apart."""
    if is_scalar(value):
        return (type(value), value.tobytes())
    if not is_number(value):
        return None
    # Only zeros have a sign that does not show in a comparison, and only NaN differs from itself
    plain = type(value) is not complex and value != 0 and value == value
    return (type(value), value if plain else repr(value))
